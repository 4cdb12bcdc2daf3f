"""How busy the chips keep a bus, against times that were measured or worked out elsewhere."""

from __future__ import annotations

import pytest

from tests.integration.command_line import collect
from wban_collect.bus_budget import bus_load
from wban_collect.config import Config, MotionConfig, ThermalConfig


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (Config(thermal=[ThermalConfig(refresh_hz=8.0)]), 0.30),  # 38.1 ms each
        (Config(thermal=[ThermalConfig(refresh_hz=16.0)]), 0.61),
        (Config(motion=[MotionConfig(driver="adxl345", sampling_rate_hz=400.0)]), 0.10),
        (Config(motion=[MotionConfig(driver="mpu6050", sampling_rate_hz=200.0)]), 0.055),
    ],
)
def test_wire_times_are_those_of_the_data_sheets(config, expected):
    software = bus_load(config, 1, 1e12)
    assert bus_load(config, 1, 400_000) - software == pytest.approx(expected, rel=0.2)


def test_only_chips_of_the_bus_count():
    config = Config(thermal=[ThermalConfig(bus=3)])
    assert bus_load(config, 1, 400_000) == 0.0
    assert bus_load(config, 3, 400_000) > 0.3


def test_what_no_bus_can_do_is_refused_before_recording(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text("[[thermal]]\nrefresh_hz = 64.0\n")
    outcome = collect("config", "check", "--config", file)
    assert outcome.code == 2
    assert "of its time at 400 kHz" in outcome.error


OVERLOAD = "[[motion]]\nsampling_rate_hz = 1000.0\n[[thermal]]\nrefresh_hz = 64.0\n"


@pytest.mark.parametrize(
    "command",
    [
        ("config", "check"),
        ("daemon", "--simulate"),
        ("start", "--subject", "S01", "--activity", "eating", "--simulate"),
    ],
)
def test_what_the_check_refuses_nobody_records(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "c.toml").write_text(OVERLOAD)
    outcome = collect(*command, "--config", "c.toml")
    assert outcome.code == 2
    assert outcome.error.startswith("Error: c.toml: bus 1: its chips want 29")
    assert not (tmp_path / "recordings").exists()


@pytest.mark.parametrize("command", [("config", "check"), ("daemon", "--simulate")])
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[control]\ntcp = "0.0.0.0:7711"\n', "control.tcp: address '0.0.0.0:7711'"),
        ('[control]\nlive_tcp = "ipc:///x"\n', "control.live_tcp: address 'ipc:///x'"),
        ('[control]\nsocket = "ipc:///x"\n', "control.socket: socket 'ipc:///x'"),
        ('[[infrared]]\nrule = "every 0.0 s"\n', "camera: a frame every 0.0 s"),
        ("[[motion]]\nsampling_rate_hz = 123.0\n", "mpu6050: MPU-6050: sampling_rate_hz is 123"),
    ],
)
def test_the_check_and_the_daemon_refuse_the_same_and_name_the_file(
    tmp_path, monkeypatch, command, text, says
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "c.toml").write_text(text)
    outcome = collect(*command, "--config", "c.toml")
    assert outcome.code == 2
    assert outcome.error.startswith(f"Error: c.toml: {says}")


def test_keys_that_are_missing_are_a_warning_with_the_next_step(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text(f'[control]\ntcp = "tcp://*:7711"\nkeys = "{tmp_path}/keys"\n')
    outcome = collect("config", "check", "--config", file)
    assert outcome.code == 0
    (warning,) = [line for line in outcome.out.splitlines() if line.startswith("warning")]
    assert f"'wban-collect keys server --keys {tmp_path}/keys'" in warning
    assert collect("keys", "server", "--keys", tmp_path / "keys").code == 0
    assert "warning" not in collect("config", "check", "--config", file).out


def test_a_rate_that_the_chip_has_not_is_told_with_the_nearest(tmp_path):
    file = tmp_path / "c.toml"
    file.write_text('[[motion]]\ndriver = "lsm6dsox"\n[[motion]]\nname = "other"\n')
    lines = collect("config", "check", "--config", file).out.splitlines()
    (told,) = [line for line in lines if "nearest rate" in line]
    assert told.startswith("accel: nearest rate of the chip: 104.167 Hz (100 asked for)")


def test_start_with_nothing_plugged_in_says_that_others_may_be_missing_too(tmp_path):
    out = tmp_path / "recordings"
    file = tmp_path / "c.toml"
    file.write_text("[storage]\nkeep_free_mb = 0\n[[motion]]\nbus = 98\n[[thermal]]\nbus = 99\n")
    who = ("--subject", "S01", "--activity", "eating")
    outcome = collect("start", *who, "--foreground", "--config", file, "--out", out)
    assert outcome.code == 1
    assert "/dev/i2c-9" in outcome.error
    assert "required devices (mlx90640, mpu6050); 'wban-collect doctor'" in outcome.error
