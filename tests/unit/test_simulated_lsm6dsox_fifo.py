"""The tagged FIFO of the simulated LSM6DSOX does what the data sheet says."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.simulated_lsm6dsox_rig import (
    ACCEL,
    BYPASS,
    CONTINUOUS,
    GYRO,
    MS,
    TIMESTAMP,
    WITH_TIMESTAMPS,
    counts,
    recording,
    running,
)


def test_a_slot_has_timestamp_gyro_and_accel_with_one_counter() -> None:
    rig = recording()
    rig.wait_for_slots(5)
    assert rig.status()[0] == 15
    words = rig.words(15)
    assert [sensor for sensor, _, _ in words] == [TIMESTAMP, GYRO, ACCEL] * 5
    assert [counter for _, counter, _ in words] == [k % 4 for k in range(5) for _ in range(3)]
    # 10 deg/s at 0.035 each is 285.7; 1 g at 4096.
    assert [counts(data) for sensor, _, data in words if sensor == GYRO] == [
        [0, 286, k] for k in range(5)
    ]
    assert [counts(data) for sensor, _, data in words if sensor == ACCEL] == [
        [k, 0, 4096] for k in range(5)
    ]
    times = [int.from_bytes(data[:4], "little") for sensor, _, data in words if sensor == TIMESTAMP]
    assert np.diff(times).tolist() == [384] * 4


def test_tags_have_even_parity() -> None:
    rig = recording()
    rig.wait_for_slots(2)
    tags = [rig.read(0x78, 7)[0] for _ in range(6)]
    # Sensor in bits 7 to 3, counter in 2 and 1: slot 0 and slot 1 of timestamp, gyro, accel.
    assert tags == [0b00100_00_1, 0b00001_00_1, 0b00010_00_1, 0b00100_01_0, 0b00001_01_0, 0x12]


def test_the_world_begins_with_the_first_slot() -> None:
    rig = running()
    assert rig.world.begun_ns is None
    rig.write(WITH_TIMESTAMPS)
    first = rig.chip.fifo_first_sample
    assert first == 10  # 100 ms and the writes are 10 periods and a bit
    assert rig.world.begun_ns == rig.chip.latch_instants_ns(first, 1)[0]


def test_a_word_may_be_read_in_parts() -> None:
    rig = recording()
    rig.wait_for_slots(1)
    assert rig.read(0x78)[0] >> 3 == TIMESTAMP
    assert rig.status()[0] == 3  # not taken yet
    rig.read(0x79, 6)
    assert rig.status()[0] == 2
    assert rig.read(0x78)[0] >> 3 == GYRO
    assert counts(rig.read(0x79, 6)) == [0, 286, 0]
    assert rig.status()[0] == 1


def test_an_empty_fifo_gives_words_without_a_sensor() -> None:
    rig = recording()
    rig.wait_for_slots(1)
    assert rig.words(3)[0][0] == TIMESTAMP
    assert rig.read(0x78, 14) == bytes(14)
    assert rig.status() == (0, 0)


def test_the_level_can_show_part_of_a_slot() -> None:
    rig = recording()
    third_ns = int(rig.chip.latch_instants_ns(rig.chip.fifo_first_sample + 2, 1)[0])
    # The level is taken 3 bytes and 2 bits (72.5 us) after the start; a word comes every 5 us.
    rig.clock.sleep_until_ns(third_ns + 11_000 - 72_500)
    assert rig.status()[0] == 6 + 2


def test_bypass_empties_the_fifo_and_begins_the_counter_anew() -> None:
    rig = recording()
    rig.wait_for_slots(3)
    rig.write(BYPASS)
    assert rig.status() == (0, 0)
    rig.clock.sleep_until_ns(rig.clock.monotonic_ns() + 50 * MS)
    assert rig.status() == (0, 0)
    rig.write(WITH_TIMESTAMPS)
    rig.wait_for_slots(1)
    assert [counter for _, counter, _ in rig.words(3)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("rates", "sensors"),
    [
        (0x04, [[ACCEL]] * 4),
        (0x40, [[GYRO]] * 4),
        (0x43, [[GYRO, ACCEL], [GYRO], [GYRO, ACCEL], [GYRO]]),  # accel at half the rate
        (0x24, [[GYRO, ACCEL], [ACCEL], [ACCEL], [ACCEL]]),  # gyro at a quarter
    ],
)
def test_each_sensor_is_batched_at_its_own_rate(rates: int, sensors: list[list[int]]) -> None:
    rig = running(bytes((0x09, rates)))
    rig.write(CONTINUOUS)
    rig.wait_for_slots(4)
    words = rig.words(rig.status()[0])
    found = [[s for s, counter, _ in words if counter == slot] for slot in range(4)]
    assert found == sensors


@pytest.mark.parametrize(("decimation", "expected"), [(0x00, 0), (0x40, 17), (0x80, 3), (0xC0, 1)])
def test_timestamps_may_come_with_every_slot_every_8th_or_every_32nd(
    decimation: int, expected: int
) -> None:
    rig = running()
    rig.write(bytes((0x0A, 0x06 | decimation)))
    rig.wait_for_slots(17)
    words = rig.words(rig.status()[0])
    assert [sensor for sensor, _, _ in words].count(TIMESTAMP) == expected


def test_overflow_drops_the_oldest_words_and_is_latched_until_the_status_is_read() -> None:
    rig = recording()
    rig.wait_for_slots(170)
    assert rig.status() == (510, 0x20)  # full at the next slot
    rig.wait_for_slots(173)
    assert rig.status() == (512, 0x68)  # overrun, full, overrun latched
    assert rig.status() == (512, 0x60)
    # 519 words were written, so the first 7 are gone: two slots and one word.
    words = rig.words(4)
    assert [(sensor, counter) for sensor, counter, _ in words[:3]] == [
        (GYRO, 2),
        (ACCEL, 2),
        (TIMESTAMP, 3),
    ]
    assert counts(words[1][2])[0] == 2
    assert rig.status() == (508, 0)


def test_long_overflow_leaves_the_newest_words() -> None:
    rig = recording()
    rig.wait_for_slots(5_000)
    assert rig.status() == (512, 0x68)
    words = rig.words(512)
    assert counts(words[-1][2])[0] == 4_999
    assert words[-1][1] == 4_999 % 4
    assert words[0][0] == GYRO


def test_fifo_mode_keeps_the_oldest_words() -> None:
    rig = running()
    rig.write(bytes((0x0A, 0x41)))
    rig.wait_for_slots(400)
    assert rig.status()[0] == 512
    words = rig.words(512)
    assert counts(words[2][2])[0] == 0
    assert words[-1][0] == GYRO  # 170 slots and two words


def test_the_watermark_may_also_limit_the_fifo() -> None:
    rig = recording(bytes((0x07, 30)), bytes((0x08, 0x00)))
    rig.wait_for_slots(9)
    assert rig.status() == (27, 0)
    rig.wait_for_slots(11)
    assert rig.status() == (33, 0x80)
    limited = recording(bytes((0x07, 30)), bytes((0x08, 0x80)))
    limited.wait_for_slots(20)
    assert limited.status()[0] == 30


def test_truth_tells_the_instant_of_every_slot_that_was_wholly_read() -> None:
    rig = recording()
    rig.wait_for_slots(5)
    rig.read(0x78, 7 * 8)  # two slots and two thirds
    expected = rig.chip.latch_instants_ns(rig.chip.fifo_first_sample, 5).tolist()
    assert rig.chip.read_instants_ns().tolist() == expected[:2]
    rig.read(0x78, 7 * 7)
    assert rig.chip.read_instants_ns().tolist() == expected


def test_truth_leaves_out_what_an_overflow_tore() -> None:
    rig = recording()
    rig.wait_for_slots(173)
    rig.read(0x78, 7 * 512)
    first = rig.chip.fifo_first_sample + 3  # slot 2 lost its first word
    expected = rig.chip.latch_instants_ns(first, 170).tolist()
    assert rig.chip.read_instants_ns().tolist() == expected
