"""Live messages: what they say, that each is understood alone, and what is refused."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wban_collect.control.messages import BacklogStatus, Status
from wban_collect.live.messages import LiveSample, SampleMessage, decode, encode
from wban_collect.live.packing import (
    LARGEST_PICTURE_BYTES,
    LivePacker,
    Origin,
    WallClock,
    topic_of,
)
from wban_collect.live.times import newest_sample_ns
from wban_dataset.recording.streams import Gap, Label, Mark, Read, SampleBlock, StreamSpec
from wban_dataset.recording.thermal import Calibration

EXAMPLE = Path(__file__).parents[1] / "data" / "mlx90640" / "melexis_example.json"
MS = 1_000_000
ORIGIN = Origin("01SESSION", "kitchen-pi", "boot-1", simulated=True)
CLOCK = WallClock(1_767_225_600_000_000_000, synchronised=True)

ACCEL = StreamSpec(
    name="wrist_accel",
    kind="accel",
    device="ADXL345",
    dtype="<i2",
    sample_shape=(3,),
    units="m s-2",
    sampling_rate_hz=100.0,
    evidence="fifo",
    scale_factor=0.5,
    add_offset=1.0,
    channels=("x", "y", "z"),
    placement="wrist",
    attributes={"watermark": 4},
)
INFRARED = StreamSpec(
    name="infrared",
    kind="infrared",
    device="imx219",
    dtype="|u1",
    sample_shape=(4, 6),
    units="1",
    sampling_rate_hz=5.0,
    evidence="sensor",
    attributes={"line_time_ns": 10_000, "sensor_rows": 1000},
)


def accel_block(first_index: int = 0, n: int = 4, read: Read | None = None) -> SampleBlock:
    counts = np.arange(3 * n, dtype="<i2").reshape(n, 3)
    return SampleBlock("wrist_accel", first_index, 2, counts, read or Read(100 * MS, 102 * MS))


def sent(packer: LivePacker, block: SampleBlock) -> LiveSample:
    """What a reader makes of a block that the packer has packed."""
    sample = decode([topic_of(block), packer.pack(block, ORIGIN, CLOCK)])
    assert isinstance(sample, LiveSample)
    return sample


@pytest.fixture
def packer() -> LivePacker:
    packer = LivePacker()
    for spec in (ACCEL, INFRARED):
        packer.meet(spec)
    return packer


# --- samples -------------------------------------------------------------------------------------


def test_a_message_alone_says_all_about_its_samples(packer):
    sample = sent(packer, accel_block(first_index=7))
    about = sample.about
    assert (about.session_id, about.host, about.boot_id) == ("01SESSION", "kitchen-pi", "boot-1")
    assert about.simulated
    assert (about.stream, about.kind, about.device) == ("wrist_accel", "accel", "ADXL345")
    assert (about.placement, about.mounting) == ("wrist", ACCEL.mounting)
    assert (about.first_index, about.segment) == (7, 2)
    assert (about.channels, about.units) == (("x", "y", "z"), "m s-2")
    assert (about.sampling_rate_hz, about.period_ns) == (100.0, 10 * MS)
    assert about.realtime_offset_ns == CLOCK.offset_ns
    assert about.synchronised
    assert sample.values()[0].tolist() == [1.0, 1.5, 2.0]  # 0, 1, 2 times 0.5 plus 1
    assert sample.values().shape == (4, 3)


def test_counts_travel_little_endian_whatever_order_they_are_in(packer):
    block = SampleBlock("wrist_accel", 0, 0, np.array([[1, 256, -2]], dtype=">i2"), Read(1, 2))
    about = sent(packer, block).about
    assert (about.dtype, about.data) == ("<i2", b"\x01\x00\x00\x01\xfe\xff")


def test_any_program_understands_a_message_with_msgpack_alone(packer):
    message = msgspec.msgpack.decode(packer.pack(accel_block(), ORIGIN, CLOCK))
    assert (message["format"], message["format_version"]) == ("wban-live", 1)
    counts = np.frombuffer(message["data"], message["dtype"]).reshape(message["shape"])
    assert (counts * message["scale_factor"] + message["add_offset"])[-1].tolist() == [5.5, 6, 6.5]


def test_samples_are_a_period_apart_and_end_at_the_newest(packer):
    sample = sent(packer, accel_block())
    newest_ns = sample.about.newest_ns
    assert (newest_ns - sample.times_ns()).tolist() == [30 * MS, 20 * MS, 10 * MS, 0]


def test_numbers_of_numpy_in_what_a_driver_delivers_are_sent_as_numbers(packer):
    block = SampleBlock(
        "wrist_accel", np.int64(5), np.int64(1), accel_block().data, Read(1, np.int64(2))
    )
    assert sent(packer, block).about.first_index == 5


# --- about when ----------------------------------------------------------------------------------


def test_without_an_interrupt_the_fill_level_bounds_the_newest_sample():
    # Latched between 10 ms before the read's start and its end, 90..102 ms: 96 ms +- 6 ms.
    assert newest_sample_ns(ACCEL, accel_block()) == (96 * MS, 6 * MS)


def test_entries_that_stayed_in_the_fifo_are_newer_than_the_block():
    block = accel_block(read=Read(100 * MS, 102 * MS, fifo_level=2))
    assert newest_sample_ns(ACCEL, block) == (76 * MS, 6 * MS)


def test_the_interrupt_tells_the_watermark_sample_and_so_the_newest():
    # Sample 4 of 6 was latched at 80 ms, so the sixth about two periods later.
    block = accel_block(n=6, read=Read(100 * MS, 102 * MS, edge_ns=80 * MS))
    assert newest_sample_ns(ACCEL, block) == (100 * MS, 5 * MS)


def test_an_interrupt_that_would_put_the_newest_after_its_read_is_not_believed():
    block = accel_block(n=8, read=Read(100 * MS, 102 * MS, edge_ns=80 * MS))
    assert newest_sample_ns(ACCEL, block)[0] == 96 * MS


def subpage_read_at(read_start_ns: int, read_end_ns: int) -> SampleBlock:
    words = np.zeros((1, 834), "<u2")
    return SampleBlock("thermal", 0, 0, words, Read(read_start_ns, read_end_ns))


def test_a_subpage_is_from_half_a_period_before_it_was_ready():
    # Ready between two polls, at 998 ms +- 2 ms; its integration took the 125 ms before.
    block = subpage_read_at(996 * MS, 1000 * MS)
    assert newest_sample_ns(thermal_spec(), block) == (935_500_000, 2 * MS)


def test_a_subpage_without_an_earlier_poll_was_ready_within_the_last_period():
    block = subpage_read_at(0, 1000 * MS)
    assert newest_sample_ns(thermal_spec(), block) == (875 * MS, 62_500_000)


def test_a_picture_is_from_the_middle_of_its_exposure():
    columns = {
        "sensor_ns": np.array([1000 * MS]),
        "exposure_ns": np.array([8 * MS]),
        "stamp_unc_ns": np.array([30_000], dtype="<i4"),
    }
    picture = np.zeros((1, 4, 6), "|u1")
    block = SampleBlock("infrared", 0, 0, picture, Read(1020 * MS, 1021 * MS), columns)
    # 4 ms before the stamp, and 500 rows of 10 us after it.
    assert newest_sample_ns(INFRARED, block) == (1001 * MS, 30_000)


def test_a_picture_without_a_stamp_is_from_before_its_delivery():
    block = SampleBlock("infrared", 0, 0, np.zeros((1, 4, 6), "|u1"), Read(1000 * MS, 1010 * MS))
    assert newest_sample_ns(INFRARED, block) == (910 * MS, 100 * MS)


# --- pictures ------------------------------------------------------------------------------------


def thermal_spec() -> StreamSpec:
    eeprom = np.array(json.loads(EXAMPLE.read_text(encoding="utf-8"))["eeprom"], dtype=np.uint16)
    return StreamSpec(
        name="thermal",
        kind="thermal",
        device="MLX90640",
        dtype="<u2",
        sample_shape=(834,),
        units="degC",
        sampling_rate_hz=8.0,
        evidence="ready",
        attributes={"emissivity": 0.9, "reflected_offset_c": 8.0},
        calibration={"eeprom": eeprom},
    )


def subpages(indices: list[int]) -> list[SampleBlock]:
    """Subpages 0, 1, 0, ... of the data sheet's example, with the given indices in the stream."""
    frames = np.array(json.loads(EXAMPLE.read_text(encoding="utf-8"))["frames"], dtype="<u2")
    return [
        SampleBlock("thermal", index, 0, frames[index % 2][np.newaxis], Read(1, 2))
        for index in indices
    ]


@pytest.fixture
def thermal_packer(packer) -> LivePacker:
    packer.meet(thermal_spec())
    return packer


def test_thermal_pictures_are_the_temperatures_that_the_thermal_maths_gives(thermal_packer):
    blocks = subpages([0, 1, 2])
    spec = thermal_spec()
    expected_c = Calibration.from_eeprom(spec.calibration["eeprom"]).temperatures(
        np.concatenate([block.data for block in blocks]), 0.9, reflected_offset_c=8.0
    )
    for block, picture_c in zip(blocks, expected_c, strict=True):
        sample = sent(thermal_packer, block)
        assert (sample.counts.dtype.str, sample.counts.shape) == ("<i2", (1, 24, 32))
        assert (sample.about.scale_factor, sample.about.units) == (0.01, "degC")
        np.testing.assert_allclose(sample.values()[0], picture_c, atol=0.0051)  # rounded to 0.01


def test_half_a_thermal_picture_is_unknown_until_its_subpage_was_seen(thermal_packer):
    first, second = (sent(thermal_packer, block) for block in subpages([0, 1]))
    assert first.about.fill_value == -32768
    assert np.isnan(first.values()).sum() == 384
    assert (first.counts == -32768).sum() == 384
    assert not np.isnan(second.values()).any()


def test_a_half_is_not_kept_over_subpages_that_nobody_saw(thermal_packer):
    before, after = (sent(thermal_packer, block) for block in subpages([1, 4]))
    assert np.isnan(before.values()).sum() == 384
    assert np.isnan(after.values()).sum() == 384


def test_another_sensor_is_understood_by_its_own_calibration(thermal_packer):
    (first, second) = subpages([0, 1])
    sent(thermal_packer, first)
    other = thermal_spec()
    other.calibration["eeprom"][:] = 0  # as a device that could not be read
    thermal_packer.meet(other)
    assert np.isnan(sent(thermal_packer, second).values()).all()


def test_a_large_picture_is_thinned_out_so_that_what_waits_stays_small(packer):
    picture = np.arange(720 * 1280).reshape(1, 720, 1280).astype("|u1")
    sample = sent(packer, SampleBlock("infrared", 0, 0, picture, Read(1, 2)))
    # Every second pixel of every second row is 230,400 bytes, all of them are 921,600.
    assert sample.about.every_nth_pixel == 2
    assert sample.counts.shape == (1, 360, 640)
    assert sample.counts.nbytes <= LARGEST_PICTURE_BYTES
    assert (sample.counts == picture[:, ::2, ::2]).all()


def test_a_small_picture_is_sent_whole(packer):
    picture = np.arange(24).reshape(1, 4, 6).astype("|u1")
    sample = sent(packer, SampleBlock("infrared", 0, 0, picture, Read(1, 2)))
    assert (sample.counts == picture).all()
    assert (sample.about.every_nth_pixel, sample.about.fill_value) == (1, None)


# --- everything else -----------------------------------------------------------------------------

STATUS = Status(
    state="idle",
    version="1",
    host="pi",
    boot_id="b",
    pid=1,
    now_ns=5,
    uptime_s=1.0,
    out="/data",
    unattended=False,
    synchronised=True,
    free_bytes=10,
    bytes_per_hour=1.0,
    hours_left=10.0,
    backlog=BacklogStatus(0, 12),
)


@pytest.mark.parametrize(
    ("item", "topic", "expected"),
    [
        (
            Gap("accel", 1, 2, 3, "torn", exact=True),
            b"gap/accel",
            {"stream": "accel", "start_ns": 1, "stop_ns": 2, "n_missing": 3, "cause": "torn"},
        ),
        (
            Label(4, 0, "walking", "me"),
            b"label",
            {"start_ns": 4, "stop_ns": 0, "label": "walking", "annotator": "me", "source": "live"},
        ),
        (Mark(5, "coffee"), b"mark", {"time_ns": 5, "text": "coffee"}),
        (STATUS, b"status", {"status": STATUS}),
    ],
    ids=["gap", "label", "mark", "status"],
)
def test_what_is_no_sample_says_what_it_is_and_whose(packer, item, topic, expected):
    assert topic_of(item) == topic
    message = decode([topic, packer.pack(item, ORIGIN, CLOCK)])
    assert {name: getattr(message, name) for name in expected} == expected
    assert (message.session_id, message.host, message.boot_id) == (
        "01SESSION",
        "kitchen-pi",
        "boot-1",
    )


# --- what is refused -----------------------------------------------------------------------------


def test_another_version_of_the_format_is_named(packer):
    message = msgspec.msgpack.decode(packer.pack(Mark(5, "coffee"), ORIGIN, CLOCK))
    newer = msgspec.msgpack.encode(message | {"format_version": 2, "time_ns": "later"})
    with pytest.raises(ValueError, match="version 2, expected 'wban-live' version 1"):
        decode([b"mark", newer])


def test_a_field_that_a_later_program_added_does_no_harm(packer):
    message = msgspec.msgpack.decode(packer.pack(accel_block(), ORIGIN, CLOCK))
    longer = msgspec.msgpack.encode(message | {"colour": "green"})
    assert isinstance(decode([b"sample/wrist_accel", longer]), LiveSample)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"shape": [5, 3]}, "24 bytes of data, expected 30"),
        ({"shape": [1 << 40, 1 << 40]}, "expected"),
        ({"shape": [-4, -3]}, "cannot be understood"),
        ({"dtype": "O"}, "cannot be understood"),
        ({"period_ns": float("nan")}, "cannot be understood"),
        ({"newest_ns": 1 << 63}, "cannot be understood"),
        ({"type": "picture"}, "cannot be understood"),
    ],
)
def test_samples_that_make_no_sense_are_refused(packer, change, complaint):
    message = msgspec.msgpack.decode(packer.pack(accel_block(), ORIGIN, CLOCK))
    with pytest.raises(ValueError, match=complaint):
        decode([b"sample/wrist_accel", msgspec.msgpack.encode(message | change)])


@pytest.mark.parametrize("parts", [[], [b"topic"], [b"a", b"b", b"c"]])
def test_a_message_of_another_number_of_frames_is_refused(parts):
    with pytest.raises(ValueError, match="expected 2"):
        decode(parts)


def test_maps_nested_without_end_are_refused():
    with pytest.raises(ValueError, match="cannot be understood"):
        decode([b"", b"\x81\xa6format" + b"\x91" * 100_000 + b"\x01"])
    with pytest.raises(ValueError, match="cannot be understood"):
        decode([b"", b"\x81\xa6colour" + b"\x91" * 100_000 + b"\x01"])


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_understood(data):
    with pytest.raises(ValueError, match="live message"):
        decode([b"sample/accel", data])


@given(st.integers(0, 600), st.integers(0, 255))
def test_a_message_with_one_wrong_byte_is_refused_or_understood(place, value):
    packer = LivePacker()
    packer.meet(ACCEL)
    message = bytearray(packer.pack(accel_block(), ORIGIN, CLOCK))
    message[place % len(message)] = value
    with contextlib.suppress(ValueError):
        understood = decode([b"sample/wrist_accel", bytes(message)])
        assert isinstance(understood, LiveSample)
        assert len(understood.values()) == len(understood.times_ns())


def test_a_stream_that_was_never_described_cannot_be_sent():
    with pytest.raises(KeyError):
        LivePacker().pack(accel_block(), ORIGIN, CLOCK)


def test_a_message_survives_the_way_there_and_back(packer):
    about = sent(packer, accel_block()).about
    assert isinstance(about, SampleMessage)
    assert decode([b"x", encode(about)]).about == about
