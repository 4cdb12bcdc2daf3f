"""Records: every item comes back as it was, and a payload that makes no sense is refused."""

import dataclasses
import math
from contextlib import suppress

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from wban_dataset.recording import records
from wban_dataset.recording.journal import Damage, JournalWriter
from wban_dataset.recording.records import RecordError, decode, encode, read_items
from wban_dataset.recording.streams import (
    ClockAnchor,
    Gap,
    HealthSample,
    Label,
    Mark,
    Read,
    SampleBlock,
    SessionEnd,
    SessionHeader,
    StreamSpec,
)

HEADER = SessionHeader(
    session_id="01KAXZ3QJ8M4T2V9R7C5B1N0GH",
    boot_id="3c1ad0f2-1c66-4a44-8b50-0d0b2a5de9f1",
    subject="S01",
    activity="eating",
    host="pi",
    wban_version="0.1.0",
    started_monotonic_ns=1,
    configuration='[camera]\nname = "Kamera \u00e4"\n',
    attributes={"note": "x", "n": 3, "share": 0.5, "flag": True},
)
ITEMS = [
    HEADER,
    Gap("accel", 5, 9, -1, "fifo overflow"),
    ClockAnchor(1, 2, -3, True, 4),
    Label(10, 0, "eating", "me", "live", 0.5, 7),
    Mark(1 << 62, "sneezed"),
    HealthSample(1, 41.5, 0x50005, 10**12, 0.25, 9_000_000),
    SessionEnd(99, "stopped", {"accel": 0, "gyro": 12}),
]
ACCEL = StreamSpec(
    name="accel",
    kind="accel",
    device="mpu6050",
    dtype="<i2",
    sample_shape=(3,),
    units="m s-2",
    sampling_rate_hz=100.0,
    evidence="fifo",
    scale_factor=9.80665 / 16384,
    channels=("x", "y", "z"),
    attributes={"range": 2, "group_delay_ns": 4.9e6},
)


def payload_of(item):
    _, buffers = encode(item)
    return b"".join(bytes(buffer) for buffer in buffers)


def round_trip(item):
    kind, _ = encode(item)
    return decode(kind, payload_of(item))


def accel_block(n=4, **changes):
    data = np.arange(3 * n, dtype="<i2").reshape(n, 3)
    block = SampleBlock("accel", 1000, 2, data, Read(10, 20, 15, 3, 4))
    return dataclasses.replace(block, **changes)


def forged_block(arrays, body, stream="accel", first_index=0, segment=0, read=(0, 0, 0, 0, 0)):
    """Give a payload as `encode` lays it out, with whatever head and arrays."""
    head = msgspec.msgpack.encode([stream, first_index, segment, read, arrays])
    return len(head).to_bytes(4, "little") + head + bytes(-(len(head) + 4) % 8) + body


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: type(item).__name__)
def test_an_item_comes_back_as_it_was(item):
    assert round_trip(item) == item


def test_a_block_comes_back_with_its_columns_and_evidence():
    picture = np.random.default_rng(1).integers(0, 255, (2, 5, 7), np.uint8)
    columns = {
        "exposure_ns": np.array([1, 2], "<i8"),
        "gain": np.array([1.5, math.nan], "<f4"),
        "illuminated": np.array([0, 1], "|u1"),
    }
    block = SampleBlock("infrared", 3, 1, picture, Read(1, 2, 3), columns)
    back = round_trip(block)
    assert (back.stream, back.first_index, back.segment, back.read) == (
        "infrared",
        3,
        1,
        Read(1, 2, 3),
    )
    np.testing.assert_array_equal(back.data, picture)
    assert list(back.columns) == list(columns)
    for name, column in columns.items():
        assert back.columns[name].dtype == column.dtype
        np.testing.assert_array_equal(back.columns[name], column)


def test_a_stream_comes_back_with_its_calibration():
    eeprom = np.arange(832, dtype="<u2")
    spec = dataclasses.replace(ACCEL, name="thermal", kind="thermal", calibration={"ee": eeprom})
    back = round_trip(spec)
    np.testing.assert_array_equal(back.calibration["ee"], eeprom)
    assert dataclasses.replace(back, calibration={}) == dataclasses.replace(spec, calibration={})


def test_a_block_without_samples_keeps_its_shape():
    back = round_trip(accel_block(0))
    assert back.data.shape == (0, 3)
    assert back.data.dtype == np.dtype("<i2")


def test_the_arrays_of_a_block_are_not_copied():
    block = accel_block()
    _, buffers = encode(block)
    assert any(np.shares_memory(np.frombuffer(b, "|u1"), block.data) for b in buffers if len(b))
    payload = payload_of(block)
    assert np.shares_memory(decode(records.BLOCK, payload).data, np.frombuffer(payload, "|u1"))


def test_big_endian_and_strided_arrays_are_stored_little_endian_and_contiguous():
    data = np.arange(24, dtype=">i2").reshape(4, 6)[:, ::2]
    back = round_trip(accel_block(data=data))
    assert back.data.dtype == np.dtype("<i2")
    np.testing.assert_array_equal(back.data, data)


def test_numpy_scalars_are_stored_as_numbers():
    block = accel_block(first_index=np.int64(5), read=Read(np.int64(1), np.int64(2)))
    assert round_trip(block).first_index == 5
    health = HealthSample(np.int64(1), np.float32(40.5), 0, 7, np.float64(0.5), 3)
    assert round_trip(health) == HealthSample(1, 40.5, 0, 7, 0.5, 3)


@pytest.mark.parametrize("dtype", [object, "U3", "S3", "M8[ns]", "<c16", "<f2"])
def test_a_dtype_that_has_no_place_in_a_journal_is_refused(dtype):
    with pytest.raises(ValueError, match="'data' for the journal is of dtype"):
        encode(accel_block(data=np.zeros((2, 3), dtype)))


def test_something_that_is_no_item_is_refused():
    with pytest.raises(TypeError, match="a dict has no kind of journal record"):
        encode({"a": 1})
    with pytest.raises(TypeError, match="cannot hold a object"):
        encode(dataclasses.replace(ACCEL, attributes={"a": object()}))


NONSENSE = [
    (accel_block(first_index=-1), "negative index, level"),
    (accel_block(segment=-1), "negative index, level"),
    (accel_block(read=Read(0, 0, 0, -1)), "negative index, level"),
    (accel_block(read=Read(-5, 0)), "negative time"),
    (accel_block(read=Read(0, 1 << 63)), "beyond 64 bits"),
    (accel_block(stream=""), "no stream"),
    (accel_block(data=np.array(3, "<i2")), "without an axis"),
    (accel_block(columns={"gain": np.zeros(3, "<f4")}), "expected 4 rows"),
    (accel_block(columns={"gain": np.array(1, "<f4")}), "expected 4 rows"),
    (dataclasses.replace(ACCEL, name=""), "cannot name a group"),
    (dataclasses.replace(ACCEL, name="a/b"), "cannot name a group"),
    (dataclasses.replace(ACCEL, dtype="|O"), "samples of dtype"),
    (dataclasses.replace(ACCEL, sample_shape=(3, -1)), "samples of dtype"),
    (dataclasses.replace(ACCEL, sample_shape=(0,)), "samples of dtype"),
    (dataclasses.replace(ACCEL, sampling_rate_hz=math.nan), "sampling rate of nan"),
    (dataclasses.replace(ACCEL, sampling_rate_hz=-1.0), "sampling rate of -1"),
    (dataclasses.replace(ACCEL, mounting=(1.0,)), "mounting of 1 numbers"),
    (Gap("accel", 1, 2, -2, "x"), "-2 samples"),
    (Gap("accel", 1, 2, 0, "x", n_bytes=-1), "-1 bytes"),
    (Label(5, 4, "eating"), "ends at 4 ns, before it starts at 5"),
    (SessionEnd(1, "x", {"accel": -1}), "negative number is lost"),
    (Mark(1 << 63, "x"), "time_ns is 9223372036854775808, beyond 64 bits"),
]


@pytest.mark.parametrize(("item", "complaint"), NONSENSE, ids=lambda value: str(value)[:40])
def test_nonsense_is_refused_before_it_is_written_and_after_it_is_read(
    item, complaint, monkeypatch
):
    with pytest.raises(ValueError, match=complaint):
        encode(item)
    with monkeypatch.context() as patch:  # as a program with a fault would write it
        patch.setattr(records, "_complaint", lambda item: "")
        kind, payload = encode(item)[0], payload_of(item)
    with pytest.raises(RecordError, match=complaint):
        decode(kind, payload)


@pytest.mark.parametrize(
    ("arrays", "body"),
    [
        ([], b""),
        ([["x", "<i2", [4]]], bytes(8)),
        ([["", "<i2", [4]]], b""),
        ([["", "<i2", [4]]], bytes(16)),
        ([["", "<i2", [5]]], bytes(8)),
        ([["", "<i2", [-4]]], bytes(8)),
        ([["", "<i2", [-2, -2]]], bytes(8)),
        ([["", "|O", [1]]], bytes(8)),
        ([["", "<i2", [1 << 62, 4]]], bytes(8)),
        ([["", "<i2", [0, (1 << 64) - 1]]], b""),
        ([["", "<i2", [0, 1 << 62, 1 << 62]]], b""),
        ([["", "<i2", [1] * 9]], bytes(8)),
        ([["", "<i2", [4]], ["", "<i2", [4]]], bytes(16)),
        ([["", "<i2", [4]], ["x", "<i8", [2]]], bytes(16)),
        ([["", "<i2", ["4"]]], bytes(8)),
        ([["", 5, [4]]], bytes(8)),
        ("none", b""),
    ],
)
def test_arrays_that_do_not_fit_their_payload_are_refused(arrays, body):
    with pytest.raises(RecordError, match="journal record of a SampleBlock"):
        decode(records.BLOCK, forged_block(arrays, body))


def test_the_forged_layout_is_the_true_one():
    arrays = [["", "<i2", [4]]]
    np.testing.assert_array_equal(
        decode(records.BLOCK, forged_block(arrays, bytes(range(8)))).data,
        [0x0100, 0x0302, 0x0504, 0x0706],
    )


@pytest.mark.parametrize("payload", [b"", b"\0\0\0", b"\xff\xff\xff\xff", b"\1\0\0\0\xc1\0\0\0"])
@pytest.mark.parametrize("kind", range(1, 10))
def test_payloads_too_short_for_their_head_are_refused(kind, payload):
    with pytest.raises(RecordError):
        decode(kind, payload)


@pytest.mark.parametrize("kind", [0, 10, 255])
def test_an_unknown_kind_is_no_item_and_no_error(kind):
    assert decode(kind, b"whatever a newer program writes") is None


def test_a_field_that_a_newer_program_added_is_passed_over():
    head = msgspec.msgpack.encode({"time_ns": 5, "text": "here", "colour": "red"})
    padding = bytes(-(len(head) + 4) % 8)
    payload = len(head).to_bytes(4, "little") + head + padding
    assert decode(records.MARK, payload) == Mark(5, "here")


def test_a_calibration_inside_of_the_head_is_refused():
    fields = msgspec.to_builtins(ACCEL) | {"calibration": {"eeprom": [1, 2]}}
    head = msgspec.msgpack.encode({"spec": fields, "arrays": []})
    payload = len(head).to_bytes(4, "little") + head + bytes(-(len(head) + 4) % 8)
    with pytest.raises(RecordError):
        decode(records.STREAM_SPEC, payload)


def test_a_record_that_makes_no_sense_is_read_as_damage_of_itself(tmp_path):
    with JournalWriter(tmp_path / "j") as writer:
        writer.append(*encode(Mark(1, "before")), 0)
        writer.append(records.MARK, [b"nonsense"], 0)
        writer.append(99, [b"from the future"], 0)
        writer.append(*encode(Mark(2, "after")), 0)
    before, damage, after = read_items(tmp_path / "j")
    assert (before, after) == (Mark(1, "before"), Mark(2, "after"))
    assert isinstance(damage, Damage)
    assert (damage.first_missing_sequence, damage.n_missing_records) == (1, 1)


@given(
    npst.arrays(
        st.sampled_from(records.DTYPES),
        npst.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5),
    )
)
@settings(deadline=None)
def test_any_array_of_a_known_dtype_comes_back(data):
    back = round_trip(accel_block(data=data))
    assert back.data.dtype == data.dtype
    np.testing.assert_array_equal(back.data, data)


@given(st.integers(0, 12), st.binary(max_size=300))
@settings(deadline=None)
def test_any_bytes_are_an_item_or_a_record_error(kind, payload):
    length = len(payload).to_bytes(4, "little")
    for candidate in (payload, length + payload + bytes(-(len(payload) + 4) % 8)):
        with suppress(RecordError):
            decode(kind, candidate)


@given(st.sampled_from([*ITEMS, ACCEL, accel_block()]), st.data())
@settings(deadline=None, max_examples=500)
def test_a_payload_with_wrong_bytes_is_an_item_or_a_record_error(item, data):
    kind, _ = encode(item)
    payload = bytearray(payload_of(item))
    for _ in range(data.draw(st.integers(1, 3))):
        payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    with suppress(RecordError):
        decode(kind, bytes(payload))
