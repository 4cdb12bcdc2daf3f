"""The configuration file: defaults, refusals, and the example that explains every key."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from wban_collect.config import (
    DEFAULT_LOAD,
    REFERENCE_LOAD,
    Config,
    DeviceConfig,
    InfraredConfig,
    MotionConfig,
    ThermalConfig,
    load_config,
    parse_config,
    stream_names,
    to_toml,
)
from wban_collect.errors import ConfigError

EXAMPLE = Path(__file__).resolve().parents[2] / "systemd" / "config.toml"


def test_example_is_the_default_load():
    assert load_config(EXAMPLE) == DEFAULT_LOAD


def test_example_explains_every_key():
    text = EXAMPLE.read_text()
    tables = (*msgspec.structs.fields(Config), *_leaf_fields())
    missing = [field.encode_name for field in tables if not _stands_in(field.encode_name, text)]
    assert missing == []


def _leaf_fields():
    for struct in (MotionConfig, ThermalConfig, InfraredConfig, DeviceConfig):
        yield from msgspec.structs.fields(struct)
    for name in ("study", "storage", "alignment", "simulation"):
        yield from msgspec.structs.fields(type(getattr(DEFAULT_LOAD, name)))


def _stands_in(key: str, text: str) -> bool:
    return re.search(rf"^(# )?({key} = |\[+{key}\])", text, re.MULTILINE) is not None


def test_configuration_survives_being_written_and_read():
    assert parse_config(to_toml(REFERENCE_LOAD), "again") == REFERENCE_LOAD


def test_no_device_means_the_default_load():
    assert parse_config("[storage]\ngzip_level = 4\n", "c").motion == DEFAULT_LOAD.motion


def test_named_devices_make_named_streams():
    config = parse_config('[[motion]]\nname = "wrist"\n[[motion]]\naddress = 0x69\n', "c")
    assert stream_names(config) == ["wrist_accel", "wrist_gyro", "accel", "gyro"]


def test_the_commented_device_of_the_example_is_a_usable_one():
    """Without the leading comment signs it says what it promises."""
    _, _, after = EXAMPLE.read_text().partition("# [[device]]\n")
    table, _, _ = after.partition("\n\n")
    lines = [line.removeprefix("# ") for line in table.splitlines() if " = " in line]
    (device,) = parse_config("\n".join(["[[device]]", *lines]), "c").device
    assert device == DeviceConfig(
        driver="mma8451",
        name="ankle_accel",
        address=0x1D,
        options={"sampling_rate_hz": 50.0, "range_g": 4},
    )


def test_a_plug_in_counts_as_one_stream_of_its_own_name_and_an_accelerometers_bytes():
    text = '[[device]]\ndriver = "my-chip"\naddress = 0x1d\n'
    config = parse_config(
        text + '[[device]]\ndriver = "my-chip"\nname = "leg"\naddress = 0x1c\n', "c"
    )
    assert stream_names(config) == ["my_chip", "leg"]
    # Only a plug-in knows what it makes: 100 Hz x 6 bytes are assumed for each.
    assert config.bytes_per_second() == 1200
    assert parse_config(to_toml(config), "again") == config


def test_default_load_makes_a_tenth_of_a_megabyte_a_second():
    # 100 Hz x 12 bytes + 8 x 834 words + 5 pictures of 160 x 120
    assert DEFAULT_LOAD.bytes_per_second() == 1200 + 13344 + 96000


def test_reference_load_makes_about_1_2_megabytes_a_second():
    assert REFERENCE_LOAD.bytes_per_second() == 4800 + 26688 + 1152000


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a =", "not valid TOML"),
        ("[storrage]\n", "unknown key storrage: did you mean storage?"),
        ("[[thermal]]\nadress = 3\n", "unknown key thermal[0].adress: did you mean address?"),
        ("[thermal]\nbus = 1\n", "thermal is {'bus': 1}: expected a list"),
        ("[[thermal]]\nrefresh_hz = 3\n", "expected one of 0.5, 1, 2, 4, 8, 16, 32, 64"),
        ("[[motion]]\naddress = 900\n", "motion[0].address is 900: expected a whole number <= 119"),
        ("[[motion]]\naccel_range_g = 3\n", "motion[0].accel_range_g is 3, expected one of 2, 4"),
        ('[[motion]]\ndriver = "x"\n', "motion[0].driver is 'x', expected one of mpu6050, adxl345"),
        ("[storage]\nout = 3\n", "storage.out is 3: expected a text"),
        ('[study]\nactivities = "foo"\n', "study.activities is 'foo', expected one of paper-"),
        ('[study]\nactivities = ["\\u00e9"]\n', "study.activities: activity"),
        ("[[motion]]\n[[motion]]\n", "two devices make the stream 'accel'"),
        ('[[motion]]\n[[motion]]\nname = "b"\n', "two devices share address 0x68 on bus 1"),
        ('[[infrared]]\nrule = "x"\n', "infrared[0].rule is 'x', expected 'every frame'"),
        ("[[infrared]]\nframe_rate_hz = nan\n", "infrared[0].frame_rate_hz is nan"),
        ("[[device]]\nbus = 1\n", "device[0] is {'bus': 1}: object missing required field"),
        ('[[device]]\ndriver = "x y"\naddress = 29\n', "device[0].driver is 'x y'"),
        (
            '[[device]]\ndriver = "x"\naddress = 29\noptions = { y = [1] }\n',
            "device[0].options is {'y': [1]}: expected a text, a number, or true or false",
        ),
        (
            '[[motion]]\n[[device]]\ndriver = "x"\naddress = 0x68\n',
            "two devices share address 0x68 on bus 1",
        ),
        (
            '[[motion]]\n[[device]]\ndriver = "accel"\naddress = 0x1d\n',
            "two devices make the stream 'accel'",
        ),
        ("[[motion]]\nsampling_rate_hz = inf\n", "motion[0].sampling_rate_hz is inf"),
        (
            '[unattended]\nschedule = ["7-23"]\n',
            "unattended.schedule: '7-23' is no usable span of time: expected local times",
        ),
        ('[unattended]\nsession_length = "2d"\n', "unattended.session_length: '2d' is no usable"),
        ("[unattended]\nenabled = true\n", "unattended.subject: subject '' is not a usable id"),
        (
            '[unattended]\nenabled = true\nsubject = "S01"\nactivity = "eatign"\n',
            "unattended.activity: unknown activity 'eatign': did you mean 'eating'?",
        ),
    ],
)
def test_bad_configuration_is_refused_with_the_key_and_what_is_allowed(text, complaint):
    with pytest.raises(ConfigError) as error:
        parse_config(text, "wban.toml")
    assert str(error.value).startswith("wban.toml: ")
    assert complaint in str(error.value)


def test_missing_file_names_the_next_step(tmp_path):
    with pytest.raises(ConfigError, match="config init"):
        load_config(tmp_path / "none.toml")


def test_an_annotator_with_a_control_character_is_refused():
    with pytest.raises(ConfigError, match=r"study\.annotator .*control character"):
        parse_config('[study]\nannotator = "a\\u001b[31m"', "test")
