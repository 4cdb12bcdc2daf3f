"""The LSM6DSOX driver against scripted words: what it makes of its tagged FIFO."""

from __future__ import annotations

import errno
import itertools
from typing import Any

import pytest

from tests.unit.scripted_lsm6dsox import (
    ACCEL,
    GYRO,
    MS,
    TICKS_104_HZ,
    TIMESTAMP,
    ScriptedBus,
    numbers,
    run,
    slot_words,
    slots,
    started,
    word,
)
from wban_collect.clock import VirtualClock
from wban_collect.devices.lsm6dsox import Lsm6dsox
from wban_collect.errors import BusError, DeviceDataError
from wban_dataset.recording.streams import Gap, SampleBlock


def test_the_fifo_is_drained_in_bursts_of_whole_slots_between_which_others_may_go_first() -> None:
    device, bus, clock = started()
    bus.fifo += slots(0, 10)
    begin_ns = clock.monotonic_ns()
    steps = list(device.read())
    assert [type(step) for step in steps] == [type(None)] * 2 + [SampleBlock] * 2
    assert bus.reads == [(0x3A, 2), (0x78, 84), (0x78, 84), (0x78, 42)]
    accel, gyro = steps[2:]
    assert numbers(accel) == list(range(10))
    assert gyro.data[:, 2].tolist() == [-k for k in range(10)]
    assert (accel.data.dtype.str, gyro.data.dtype.str) == ("<i2", "<i2")
    assert accel.read == gyro.read
    assert (accel.read.read_start_ns, accel.read.read_end_ns) == (begin_ns, begin_ns + 300_000)
    assert accel.read.fifo_level == 0
    assert accel.read.chip_ticks == 5000 + 9 * TICKS_104_HZ


@pytest.mark.parametrize("order", list(itertools.permutations((GYRO, ACCEL, TIMESTAMP))))
def test_the_order_of_words_within_a_slot_does_not_matter(order: tuple[int, ...]) -> None:
    device, bus, clock = started()
    bus.fifo += slots(0, 3, order=order)
    accel, gyro = run(device, clock, device.read())
    assert accel.data.tolist() == [[0, 0, 4096], [1, 0, 4096], [2, 0, 4096]]
    assert gyro.data.tolist() == [[0, 7, 0], [0, 7, -1], [0, 7, -2]]


def test_a_slot_that_is_just_being_written_stays_and_counts_as_latched() -> None:
    device, bus, clock = started()
    third = slot_words(2)
    bus.fifo += slots(0, 2) + third[0]
    accel, _ = run(device, clock, device.read())
    assert (numbers(accel), accel.read.fifo_level) == ([0, 1], 1)
    bus.fifo += third[1] + third[2]
    accel, gyro = run(device, clock, device.read())
    assert (accel.first_index, gyro.first_index, numbers(accel)) == (2, 2, [2])
    assert accel.read.fifo_level == 0


def test_only_what_the_level_promised_is_read() -> None:
    device, bus, clock = started()
    bus.fifo += slots(0, 5)
    bus.answers[0x3A] = [bytes((6, 0))]
    accel, _ = run(device, clock, device.read())
    assert numbers(accel) == [0, 1]
    assert len(bus.fifo) == 9 * 7


def test_the_chips_time_runs_on_over_its_32_bits() -> None:
    device, bus, clock = started()
    before = 2**32 - 2 * TICKS_104_HZ
    for k in range(4):
        ticks = before + k * TICKS_104_HZ
        bus.fifo += b"".join(slot_words(k, ticks=ticks))
        accel, _ = run(device, clock, device.read())
        assert accel.read.chip_ticks == ticks
        assert accel.segment == 0


def overflowed(device: Lsm6dsox, bus: ScriptedBus, clock: VirtualClock) -> list[Any]:
    """Read 10 slots, let 200 be lost and 512 words remain, and read on."""
    bus.fifo += slots(0, 10)
    run(device, clock, device.read())
    # 512 is no multiple of 3: two words of slot 209 are left before the 170 whole ones.
    bus.fifo += slots(209, 171)[7:]
    bus.flags = 0x48  # FIFO_OVR_IA and FIFO_OVR_LATCHED
    clock.sleep_until_ns(clock.monotonic_ns() + 3_600 * MS)
    return run(device, clock, device.read())


def test_an_overflow_is_counted_exactly_by_the_chips_time_and_the_rest_is_read_on() -> None:
    device, bus, clock = started()
    outputs = overflowed(device, bus, clock)
    gaps, blocks = outputs[:2], outputs[2:]
    assert [(gap.stream, gap.cause, gap.n_missing, gap.exact) for gap in gaps] == [
        ("accel", "fifo overflow", 200, True),
        ("gyro", "fifo overflow", 200, True),
    ]
    accel, gyro = blocks
    assert (accel.first_index, accel.segment) == (gyro.first_index, gyro.segment) == (10, 1)
    assert numbers(accel) == [-gyro_z for gyro_z in gyro.data[:, 2].tolist()]
    assert numbers(accel) == list(range(210, 380))
    assert bus.written == []  # nothing was thrown away
    bus.fifo += slots(380, 4)
    accel, _ = run(device, clock, device.read())
    assert (accel.first_index, accel.segment, numbers(accel)) == (180, 1, [380, 381, 382, 383])


def test_the_evidence_of_a_full_fifo_is_a_look_behind_its_first_words() -> None:
    device, bus, clock = started()
    begin_ns = clock.monotonic_ns()
    accel = overflowed(device, bus, clock)[2]
    # 12 words come first, two of them of a torn slot; 500 words are left, all read afterwards.
    assert bus.reads[3:7] == [(0x78, 42), (0x3A, 2), (0x78, 84), (0x3A, 2)]
    assert accel.read.fifo_level == 0
    assert accel.read.read_end_ns - accel.read.read_start_ns == 300_000
    assert accel.read.read_start_ns > begin_ns + 3_600 * MS


def test_a_fifo_that_was_full_and_lost_nothing_makes_no_gap() -> None:
    device, bus, clock = started()
    bus.fifo += slots(0, 10)
    run(device, clock, device.read())
    bus.fifo += slots(10, 170)
    bus.flags = 0x48
    outputs = run(device, clock, device.read())
    assert [type(output) for output in outputs] == [SampleBlock, SampleBlock]
    assert (outputs[0].first_index, outputs[0].segment, outputs[0].n_samples) == (10, 0, 170)
    # An empty FIFO soon after is no stalled chip.
    clock.sleep_until_ns(clock.monotonic_ns() + 300 * MS)
    assert run(device, clock, device.read()) == []


def test_two_instants_with_the_same_counter_are_never_put_together() -> None:
    """While another device has the bus, the FIFO fills up and loses slots between two bursts."""
    device, bus, clock = started()
    bus.fifo += slots(0, 170)
    reading = device.read()
    assert next(reading) is None  # four slots are read
    clock.sleep_until_ns(clock.monotonic_ns() + 4_000 * MS)
    # Slot 8 has the counter of slot 4; its first word is overwritten.
    bus.fifo[:] = slots(8, 165)[7:]
    bus.flags = 0x08
    outputs = run(device, clock, reading)
    blocks = [o for o in outputs if isinstance(o, SampleBlock) and o.stream == "accel"]
    gaps = [o for o in outputs if isinstance(o, Gap) and o.stream == "accel"]
    assert [numbers(block) for block in blocks] == [[0, 1, 2, 3], list(range(9, 173))]
    assert [(gap.cause, gap.n_missing, gap.exact) for gap in gaps] == [("fifo overflow", 5, True)]
    assert [block.segment for block in blocks] == [0, 1]
    # Slots 4 to 169 were known to be latched when the first four were read.
    assert blocks[0].read.fifo_level == 166


def spoiled(fault: str) -> bytes:
    """Slots 10 to 15 of which number 13 cannot be true."""
    words = [word for k in range(10, 16) for word in slot_words(k)]
    if fault == "parity":
        words[9] = bytes((words[9][0] ^ 1,)) + words[9][1:]
    elif fault == "sensor":
        words[9] = word(3, 13, bytes(6))
    elif fault == "nobody drives the bus":
        words[9:] = [b"\xff" * 7] * 9
    elif fault == "empty":
        words[9:] = [bytes(7)] * 9
    elif fault == "counter":
        words[9:12] = [word(w[0] >> 3, 15, w[1:]) for w in words[9:12]]
    elif fault == "word missing":
        del words[10]
    elif fault == "timestamp":
        words[9:12] = slot_words(13, ticks=5000)
    return b"".join(words)


@pytest.mark.parametrize(
    "fault",
    ["parity", "sensor", "nobody drives the bus", "empty", "counter", "word missing", "timestamp"],
)
def test_words_that_cannot_be_true_empty_the_fifo_and_make_one_gap(fault: str) -> None:
    device, bus, clock = started()
    bus.fifo += slots(0, 10)
    run(device, clock, device.read())
    bus.fifo += spoiled(fault)
    accel, gyro = run(device, clock, device.read())
    assert numbers(accel) == [10, 11, 12]
    assert gyro.n_samples == 3
    assert [(r, v) for r, v, _ in bus.written] == [(0x0A, 0x40), (0x0A, 0x46)]
    bus.fifo[:] = slots(20, 3)
    outputs = run(device, clock, device.read())
    assert [(gap.cause, gap.n_missing, gap.exact) for gap in outputs[:2]] == [
        ("fifo misaligned", 7, True),  # 13 to 19
    ] * 2
    assert [(block.first_index, block.segment) for block in outputs[2:]] == [(13, 1), (13, 1)]


def test_the_loss_is_counted_even_if_no_word_is_good() -> None:
    device, bus, clock = started()
    bus.fifo += slots(0, 10)
    run(device, clock, device.read())
    bus.fifo += b"\xff" * 42
    assert run(device, clock, device.read()) == []
    bus.fifo[:] = slots(12, 2)
    outputs = run(device, clock, device.read())
    assert [(gap.n_missing, gap.exact) for gap in outputs[:2]] == [(2, True)] * 2


def test_an_overflow_between_the_look_and_the_words_is_called_so() -> None:
    device, bus, clock = started()
    bus.fifo += slots(0, 10)
    run(device, clock, device.read())
    bus.fifo += slots(14, 3)  # 10 to 13 went while the level was read
    bus.answers[0x3A] = [bytes((9, 0)), bytes((9, 0x08))]
    assert run(device, clock, device.read()) == []
    bus.fifo[:] = slots(20, 2)
    outputs = run(device, clock, device.read())
    assert [(gap.cause, gap.n_missing) for gap in outputs[:2]] == [("fifo overflow", 10)] * 2


def test_a_timestamp_that_the_next_does_not_follow_counts_no_loss() -> None:
    """After the FIFO was emptied only the chip's time says how many samples are missing."""
    device, bus, clock = started()
    bus.fifo += slots(0, 10)
    run(device, clock, device.read())
    bus.fifo += slots(50, 1, ticks=2**30) + slots(51, 3)
    bus.flags = 0x08
    assert run(device, clock, device.read()) == []
    bus.fifo[:] = slots(60, 2)
    outputs = run(device, clock, device.read())
    assert [gap.n_missing for gap in outputs[:2]] == [50, 50]


def test_what_is_left_of_a_slot_when_the_fifo_starts_is_dropped() -> None:
    device, bus, clock = started()
    bus.fifo += slots(0, 4)[7:]
    accel, gyro = run(device, clock, device.read())
    assert (numbers(accel), gyro.n_samples) == ([1, 2], 2)
    assert (accel.first_index, accel.read.fifo_level) == (0, 1)
    bus.fifo += slots(4, 3)
    accel, _ = run(device, clock, device.read())
    assert (numbers(accel), accel.read.fifo_level) == ([3, 4, 5, 6], 0)


def test_samples_before_the_filters_have_settled_are_dropped() -> None:
    device, bus, clock = started()
    bus.fifo += slots(0, 3, accel_x=0x7FFF) + slots(3, 1, accel_x=0x7FFD) + slots(4, 2)
    accel, gyro = run(device, clock, device.read())
    assert (accel.first_index, numbers(accel)) == (0, [4, 5])
    assert gyro.data[:, 2].tolist() == [-4, -5]
    assert accel.read.fifo_level == 0


def test_a_clipped_sample_later_on_is_a_sample() -> None:
    device, bus, clock = started()
    bus.fifo += slots(0, 2) + slots(2, 2, accel_x=0x7FFF)
    accel, _ = run(device, clock, device.read())
    assert numbers(accel) == [0, 1, 0x7FFF, 0x7FFF]


def test_sensors_that_never_settle_are_an_error() -> None:
    device, bus, clock = started()
    bus.fifo += slots(0, 65, accel_x=0x7FFF)
    with pytest.raises(DeviceDataError, match="65 samples after its start still read 0x7ffd or"):
        run(device, clock, device.read())


def test_a_bus_nobody_drives_is_not_taken_for_a_level() -> None:
    device, bus, clock = started()
    bus.answers[0x3A] = [b"\xff\xff"]
    with pytest.raises(DeviceDataError, match="level is 1023, expected at most 512"):
        run(device, clock, device.read())


def test_what_was_read_before_a_bus_error_is_delivered() -> None:
    device, bus, _ = started()
    bus.fifo += slots(0, 10)
    bus.answers[0x78] = [slots(0, 4), BusError("broken off", errno.EIO)]
    reading = device.read()
    assert next(reading) is None
    accel = next(reading)
    assert isinstance(accel, SampleBlock)
    assert (numbers(accel), accel.read.fifo_level) == ([0, 1, 2, 3], 6)
    next(reading)
    with pytest.raises(BusError, match="broken off"):
        next(reading)
