"""The simulated LSM6DSOX does what its data sheet says; registers are plain numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.unit.simulated_lsm6dsox_rig import (
    ACCEL,
    ACCEL_104_HZ_8G,
    BATCH_BOTH,
    CONTINUOUS,
    GYRO,
    GYRO_104_HZ_1000_DPS,
    MS,
    TIMESTAMP,
    TIMESTAMP_ON,
    Rig,
    counts,
    recording,
    running,
)
from wban_collect.errors import BusError
from wban_collect.simulation.bus import BusFaults, SimulatedI2CBus


def test_power_on_values() -> None:
    rig = Rig(bytes((0x0F, 0x00)))  # read only
    assert rig.read(0x0F) == b"\x6c"
    assert rig.read(0x10, 3) == b"\x00\x00\x04"
    assert rig.read(0x18) == b"\xe0"
    rig.clock.sleep_until_ns(500 * MS)
    assert rig.status() == (0, 0)
    assert rig.read(0x1E, 16) == bytes(16)


def test_reset_restores_the_defaults_and_takes_50_us() -> None:
    rig = recording()
    rig.wait_for_slots(3)
    rig.write(bytes((0x12, 0x05)))
    # The register is read three bytes after the start: 68 us.
    assert rig.read(0x12) == b"\x04"
    assert rig.read(0x09, 3) == bytes(3)
    assert (rig.read(0x10), rig.status()) == (b"\x00", (0, 0))


def test_what_is_written_during_the_reset_is_lost() -> None:
    rig = Rig()
    rig.chip.write(bytes((0x12, 0x05)), 1_000)
    rig.chip.write(bytes((0x10, 0x40)), 50_000)
    assert rig.chip.read(1, 0.0, 50_000) == b"\x00"
    rig.chip.write(bytes((0x12,)), 50_500)
    assert rig.chip.read(1, 0.0, 50_500) == b"\x05"  # still resetting
    rig.chip.write(bytes((0x10, 0x40)), 51_000)
    rig.chip.write(bytes((0x10,)), 51_500)
    assert rig.chip.read(1, 0.0, 52_000) == b"\x40"


def test_without_if_inc_the_address_stays() -> None:
    rig = recording(bytes((0x12, 0x00)))
    assert rig.read(0x0F, 3) == b"\x6c\x6c\x6c"
    rig.wait_for_slots(1)
    assert len(set(rig.read(0x78, 8))) == 1


@pytest.mark.parametrize(
    ("code", "period_ns"),
    [(1, 76_800_000), (2, 38_400_000), (4, 9_600_000), (7, 1_200_000), (10, 150_000)],
)
def test_rates_halve_from_6667_hz(code: int, period_ns: int) -> None:
    rig = Rig(bytes((0x10, code << 4)))
    on_ns = rig.clock.monotonic_ns() - 2_500  # the write ends before its STOP
    instants_ns = rig.chip.latch_instants_ns(0, 3) - on_ns
    assert instants_ns.tolist() == [period_ns, 2 * period_ns, 3 * period_ns]


def test_the_second_sensor_joins_the_samples_of_the_first() -> None:
    rig = Rig(ACCEL_104_HZ_8G)
    before = rig.chip.latch_instants_ns(0, 5).tolist()
    rig.clock.sleep_until_ns(20 * MS)
    rig.write(GYRO_104_HZ_1000_DPS)
    assert rig.chip.latch_instants_ns(0, 5).tolist() == before
    rig.write(bytes((0x11, 0x50)))  # 208 Hz: the faster of the two
    assert np.diff(rig.chip.latch_instants_ns(0, 2)).tolist() == [4_800_000]


def test_the_timestamp_counts_steps_of_25_us_since_it_was_switched_on() -> None:
    rig = Rig(ACCEL_104_HZ_8G)
    assert rig.timestamp() == 0
    rig.clock.sleep_until_ns(50 * MS)
    rig.write(TIMESTAMP_ON)
    rig.clock.sleep_until_ns(150 * MS)
    assert rig.timestamp() == 4_000
    rig.write(bytes((0x42, 0xAA)))
    assert rig.timestamp() == 3  # 75 us from the end of the write to the first byte of the read
    rig.write(bytes((0x10, 0x00)))
    frozen = rig.timestamp()
    rig.clock.sleep_until_ns(rig.clock.monotonic_ns() + 100 * MS)
    assert rig.timestamp() == frozen


def test_the_timestamp_runs_over_after_30_hours() -> None:
    rig = Rig(TIMESTAMP_ON, bytes((0x10, 0x10)))
    rig.clock.sleep_until_ns(2**32 * 25_000 + 10 * MS)
    assert 390 < rig.timestamp() <= 405


@pytest.mark.parametrize(
    ("clock_error", "register"), [(0.03, 20), (-0.03, 0x100 - 20), (0.0011, 1), (0.0, 0)]
)
def test_the_trim_tells_the_clocks_error_and_steps_follow_it(
    clock_error: float, register: int
) -> None:
    rig = recording(ideal=False, clock_error=clock_error)
    assert rig.read(0x63)[0] == register
    instants_ns = rig.chip.latch_instants_ns(0, 101)
    assert instants_ns[100] - instants_ns[0] == pytest.approx(100 * 9.6e6 / (1 + clock_error))
    # The steps are the oscillator's own, so that there are 384 to a sample whatever its error.
    rig.wait_for_slots(3)
    times = [int.from_bytes(d[:4], "little") for s, _, d in rig.words(9) if s == TIMESTAMP]
    assert np.diff(times).tolist() == [384, 384]
    rig.write(bytes((0x10, 0x00)), bytes((0x11, 0x00)))
    assert rig.read(0x63)[0] == (register - 1) % 256  # as seen on a chip that is powered down


@pytest.mark.parametrize(("mask", "shown"), [(0x08, 0x7FFF), (0x00, 0)])
def test_values_before_the_sensors_have_settled(mask: int, shown: int) -> None:
    rig = Rig(bytes((0x13, mask)), BATCH_BOTH, CONTINUOUS, ACCEL_104_HZ_8G, GYRO_104_HZ_1000_DPS)
    rig.wait_for_samples(10)
    words = rig.words(20)
    accel = [counts(data)[2] for sensor, _, data in words if sensor == ACCEL]
    gyro = [counts(data)[1] for sensor, _, data in words if sensor == GYRO]
    # The accelerometer's 20 ms are two samples, the gyroscope's 70 ms are seven.
    assert accel == [shown] * 2 + [4096] * 8
    assert gyro == [shown] * 7 + [286] * 3


@pytest.mark.parametrize(("bits", "z"), [(0, 16384), (1, 2048), (2, 8192), (3, 4096)])
def test_accel_ranges(bits: int, z: int) -> None:
    rig = running(bytes((0x10, 0x40 | bits << 2)))
    assert rig.sample()[6] == z


@pytest.mark.parametrize(
    ("bits", "y"), [(0x00, 1143), (0x02, 2286), (0x04, 571), (0x08, 286), (0x0C, 143)]
)
def test_gyro_ranges(bits: int, y: int) -> None:
    # 10 deg/s at 8.75, 4.375, 17.5, 35 and 70 mdps
    rig = running(bytes((0x11, 0x40 | bits)))
    assert rig.sample()[2] == y


def test_the_registers_show_temperature_gyro_and_accel_of_one_instant() -> None:
    rig = recording()
    second_ns = int(rig.chip.latch_instants_ns(rig.chip.fifo_first_sample + 1, 1)[0])
    rig.clock.sleep_until_ns(second_ns - 200_000)  # 14 bytes take 315 us
    assert rig.sample() == [1536, 0, 286, 0, 0, 0, 4096]  # (31 - 25) * 256
    assert rig.sample() == [1536, 0, 286, 1, 1, 0, 4096]


def test_the_status_tells_what_is_new() -> None:
    rig = running()
    assert rig.read(0x1E) == b"\x07"
    rig.read(0x28, 6)
    assert rig.read(0x1E) == b"\x06"
    rig.read(0x20, 8)
    assert rig.read(0x1E) == b"\x00"
    rig.clock.sleep_until_ns(rig.clock.monotonic_ns() + 10 * MS)
    assert rig.read(0x1E) == b"\x07"


def test_given_errors_show() -> None:
    rig = recording(
        ideal=False,
        noise=False,
        accel_offset_g=(0.0, 0.5, 0.0),
        accel_gain_error=(0.0, 0.0, 0.25),
        gyro_bias_dps=(3.5, 0.0, 0.0),
        gyro_gain_error=(0.0, -0.5, 0.0),
    )
    rig.wait_for_slots(1)
    _, gyro, accel = rig.words(3)
    assert (counts(gyro[2]), counts(accel[2])) == ([100, 143, 0], [0, 2048, 5120])


def test_noise_is_that_of_the_data_sheet() -> None:
    zero = (0.0, 0.0, 0.0)
    rig = recording(
        ideal=False,
        accel_offset_g=zero,
        accel_gain_error=zero,
        gyro_bias_dps=zero,
        gyro_gain_error=zero,
    )
    rows: list[list[int]] = []
    for n in range(150, 3001, 150):
        rig.wait_for_slots(n)
        words = [counts(data) for sensor, _, data in rig.words(450) if sensor != TIMESTAMP]
        rows += [gyro[:1] + accel[1:2] for gyro, accel in zip(words[::2], words[1::2], strict=True)]
    gyro, accel = np.array(rows, dtype=float).std(axis=0)
    # 3.8 mdps over 33 Hz at 35 mdps; 80 ug over 52 Hz at 4096 per g; rounding adds 1/12.
    assert gyro == pytest.approx(math.sqrt((3.8 / 35) ** 2 * 33 + 1 / 12), rel=0.05)
    assert accel == pytest.approx(math.sqrt((80e-6 * 4096) ** 2 * 52.1 + 1 / 12), rel=0.05)


@pytest.mark.parametrize(
    ("bits", "accel_sign", "gyro_sign"),
    [(0x01, 1, 0), (0x02, -1, 0), (0x04, 0, 1), (0x0C, 0, -1), (0x05, 1, 1)],
)
def test_the_self_test_moves_all_axes_within_the_limits(
    bits: int, accel_sign: int, gyro_sign: int
) -> None:
    rig = running(bytes((0x11, 0x4C)))  # 2000 dps
    before = np.array(rig.sample())
    rig.write(bytes((0x14, bits)))
    rig.clock.sleep_until_ns(rig.clock.monotonic_ns() + 20 * MS)
    change = (np.array(rig.sample()) - before)[1:]
    gyro_dps, accel_mg = change[:3] * 0.07, change[3:] / 4.096
    if accel_sign:
        assert np.all((accel_sign * accel_mg > 50) & (accel_sign * accel_mg < 1700))
    if gyro_sign:
        assert np.all((gyro_sign * gyro_dps > 150) & (gyro_sign * gyro_dps < 700))
    if not accel_sign:
        assert np.all(np.abs(accel_mg) < 2)


def test_the_self_test_of_a_broken_chip_moves_nothing() -> None:
    rig = running(self_test_works=False)
    before = np.array(rig.sample())
    rig.write(bytes((0x14, 0x05)))
    rig.clock.sleep_until_ns(rig.clock.monotonic_ns() + 20 * MS)
    assert np.all(np.abs(np.array(rig.sample()) - before) <= 3)


def test_an_unplugged_chip_comes_back_with_its_power_on_values() -> None:
    rig = recording()
    start_ns = rig.clock.monotonic_ns()
    faults = BusFaults(unplugged_spans_ns={0x6A: ((MS, 50 * MS),)})
    rig.bus = SimulatedI2CBus(rig.clock, [rig.chip], faults=faults)
    rig.clock.sleep_until_ns(start_ns + 20 * MS)
    with pytest.raises(BusError) as caught:
        rig.read(0x0F)
    assert caught.value.errno == 121
    rig.clock.sleep_until_ns(start_ns + 55 * MS)
    with pytest.raises(BusError):
        rig.read(0x0F)  # it boots for 10 ms
    rig.clock.sleep_until_ns(start_ns + 61 * MS)
    assert (rig.read(0x0F), rig.read(0x0A), rig.read(0x10)) == (b"\x6c", b"\x00", b"\x00")
    assert rig.status() == (0, 0)


def test_a_chip_that_keeps_no_truth_says_so() -> None:
    rig = Rig(keep_truth=False)
    with pytest.raises(ValueError, match="keep_truth=True"):
        rig.chip.read_instants_ns()
    with pytest.raises(ValueError, match="set a data rate first"):
        rig.chip.latch_instants_ns(0, 1)
