"""The simulated MPU-6050 family does what its register maps say; registers are plain numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from wban_collect.clock import VirtualClock
from wban_collect.errors import BusError
from wban_collect.simulation.bus import BusFaults, SimulatedI2CBus
from wban_collect.simulation.mpu6050 import SimulatedMpu6050
from wban_collect.simulation.world import ActivitySpan

G = 9.80665
MS = 1_000_000
WAKE = bytes((0x6B, 0x01))
DLPF_3 = bytes((0x1A, 0x03))
RATE_100_HZ = bytes((0x19, 9))
ACCEL_8G = bytes((0x1C, 0x10))
ACCEL_AND_GYRO = bytes((0x23, 0x78))
FIFO_ON = bytes((0x6A, 0x40))


class CountingWorld:
    """Sample number k in the low bits of accel x (at 8 g) and gyro z (at 250 dps), at 100 Hz."""

    end_ns = None

    def __init__(self) -> None:
        self.begun_ns: int | None = None

    def begin(self, start_ns: int) -> None:
        if self.begun_ns is None:
            self.begun_ns = start_ns

    def _numbers(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        assert self.begun_ns is not None
        return (times_ns - self.begun_ns) / (10 * MS)

    def acceleration(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        result = np.zeros((len(times_ns), 3))
        result[:, 0] = self._numbers(times_ns) * (G / 4096)
        result[:, 2] = G
        return result

    def angular_rate(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        result = np.zeros((len(times_ns), 3))
        result[:, 1] = math.radians(10.0)
        result[:, 2] = self._numbers(times_ns) * math.radians(1 / 131)
        return result

    def temperature(self, time_ns: int) -> NDArray[np.float64]:
        return np.zeros((24, 32))

    def infrared(self, time_ns: int, height: int, width: int) -> NDArray[np.uint8]:
        return np.zeros((height, width), dtype=np.uint8)

    def spans(self) -> list[ActivitySpan]:
        return []


class Rig:
    """A chip alone on a 400 kHz bus, without overhead, at time 0."""

    def __init__(self, *settings: bytes, **options: object) -> None:
        self.world = CountingWorld()
        options = {"ideal": True, "keep_truth": True, **options}
        self.chip = SimulatedMpu6050(self.world, 1, **options)  # type: ignore[arg-type]
        self.clock = VirtualClock(0)
        self.bus = SimulatedI2CBus(self.clock, [self.chip], overhead_ns=0)
        self.write(*settings)

    def write(self, *settings: bytes) -> None:
        for setting in settings:
            self.bus.write(0x68, setting)

    def read(self, register: int, n_bytes: int = 1) -> bytes:
        return self.bus.write_read(0x68, bytes((register,)), n_bytes)

    def count(self) -> int:
        return int.from_bytes(self.read(0x72, 2), "big")

    def words(self, n_bytes: int, columns: int = 6) -> NDArray[np.int16]:
        return np.frombuffer(self.read(0x74, n_bytes), ">i2").reshape(-1, columns)

    def wait_for_samples(self, n: int) -> None:
        """Until sample n - 1 of the clock's run is wholly in the FIFO."""
        self.clock.sleep_until_ns(int(self.chip.latch_instants_ns(n - 1, 1)[0]) + 30_000)

    def wait_for_records(self, n: int) -> None:
        self.wait_for_samples(self.chip.fifo_first_sample + n)


def recording(*more: bytes, **options: object) -> Rig:
    return Rig(WAKE, DLPF_3, RATE_100_HZ, ACCEL_8G, *more, ACCEL_AND_GYRO, FIFO_ON, **options)


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        ({}, 0x68),
        ({"model": "mpu6500"}, 0x70),
        ({"model": "mpu9250"}, 0x71),
        ({"model": "mpu9255"}, 0x73),
        ({"who_am_i": 0x98}, 0x98),
    ],
)
def test_who_am_i(options: dict[str, object], answer: int):
    rig = Rig(bytes((0x75, 0x00)), **options)  # read only
    assert rig.read(0x75) == bytes((answer,))


def test_unknown_model_is_refused():
    with pytest.raises(ValueError, match="mpu6051"):
        Rig(model="mpu6051")


def test_sleeps_at_power_up_and_takes_no_samples_then():
    rig = Rig()
    assert rig.read(0x6B) == b"\x40"
    rig.clock.sleep_until_ns(500 * MS)
    assert rig.read(0x3A) == b"\x00"
    assert rig.read(0x3B, 14) == bytes(14)


def test_reset_takes_100_ms_and_restores_the_defaults():
    rig = recording()
    rig.write(bytes((0x6B, 0x80)))
    rig.write(bytes((0x19, 4)))  # too early: lost
    assert rig.read(0x19, 2) == bytes(2)
    assert rig.read(0x6B) == b"\x40"
    rig.clock.sleep_until_ns(102 * MS)
    rig.write(bytes((0x19, 4)))
    assert rig.read(0x19) == b"\x04"


@pytest.mark.parametrize(
    ("model", "dlpf", "divider", "period_ns"),
    [
        ("mpu6050", 3, 0, 1_000_000),
        ("mpu6050", 6, 19, 20_000_000),
        ("mpu6050", 0, 7, 1_000_000),
        ("mpu6050", 7, 0, 125_000),
        ("mpu6500", 0, 7, 125_000),  # the divider acts on 1 kHz only
        ("mpu6500", 1, 4, 5_000_000),
    ],
)
def test_rate_is_base_over_divider(model: str, dlpf: int, divider: int, period_ns: int):
    rig = Rig(WAKE, bytes((0x1A, dlpf)), bytes((0x19, divider)), model=model)
    assert np.diff(rig.chip.latch_instants_ns(0, 3)).tolist() == [period_ns, period_ns]


def test_sampling_begins_one_period_after_waking():
    rig = Rig(DLPF_3, RATE_100_HZ, WAKE)
    woken_ns = rig.clock.monotonic_ns() - 2_500  # the write ends before its STOP
    assert rig.chip.latch_instants_ns(0, 2).tolist() == [woken_ns + 10 * MS, woken_ns + 20 * MS]


def test_world_begins_at_the_first_record():
    rig = Rig(WAKE, DLPF_3, RATE_100_HZ, ACCEL_8G, ACCEL_AND_GYRO)
    rig.wait_for_samples(7)
    rig.write(FIFO_ON)
    assert rig.chip.fifo_first_sample == 7
    assert rig.world.begun_ns == rig.chip.latch_instants_ns(7, 1)[0]
    rig.wait_for_records(3)
    assert rig.words(36)[:, 0].tolist() == [0, 1, 2]


def test_records_are_accel_then_gyro_big_endian():
    rig = recording()
    rig.wait_for_records(2)
    assert rig.count() == 24
    # 1 g at 4096 per g; 10 degrees per second at 131 each
    assert rig.words(24).tolist() == [[0, 0, 4096, 0, 1310, 0], [1, 0, 4096, 0, 1310, 1]]


@pytest.mark.parametrize(
    ("fifo_en", "record"),
    [
        (0x08, [0, 0, 4096]),
        (0x70, [0, 1310, 0]),
        (0x20, [1310]),
        (0x88, [0, 0, 4096, -1880]),  # (31 - 36.53) * 340 = -1880.2
        (0xF8, [0, 0, 4096, -1880, 0, 1310, 0]),
    ],
)
def test_fifo_en_chooses_what_a_record_holds(fifo_en: int, record: list[int]):
    rig = Rig(WAKE, DLPF_3, RATE_100_HZ, ACCEL_8G, bytes((0x23, fifo_en)), FIFO_ON)
    rig.wait_for_records(1)
    assert rig.count() == 2 * len(record)
    assert rig.words(2 * len(record), len(record)).tolist() == [record]


def test_temperature_scale_of_the_later_parts():
    rig = recording(model="mpu6500")
    rig.wait_for_samples(1)
    # (31 - 21) * 333.87 = 3338.7
    assert int.from_bytes(rig.read(0x41, 2), "big", signed=True) == 3339


@pytest.mark.parametrize(("bits", "counts"), [(0, 16384), (1, 8192), (2, 4096), (3, 2048)])
def test_accel_ranges(bits: int, counts: int):
    rig = Rig(WAKE, DLPF_3, bytes((0x1C, bits << 3)))
    rig.wait_for_samples(1)
    assert int.from_bytes(rig.read(0x3F, 2), "big", signed=True) == counts


@pytest.mark.parametrize(("bits", "counts"), [(0, 1310), (1, 655), (2, 328), (3, 164)])
def test_gyro_ranges(bits: int, counts: int):
    rig = Rig(WAKE, DLPF_3, bytes((0x1B, bits << 3)))
    rig.wait_for_samples(1)
    assert int.from_bytes(rig.read(0x45, 2), "big", signed=True) == counts


def test_burst_of_14_bytes_is_one_instant_even_across_a_new_sample():
    rig = recording()
    rig.wait_for_records(1)
    second_ns = int(rig.chip.latch_instants_ns(rig.chip.fifo_first_sample + 1, 1)[0])
    rig.clock.sleep_until_ns(second_ns - 200_000)  # 14 bytes take 315 us
    words = np.frombuffer(rig.read(0x3B, 14), ">i2")
    assert words.tolist() == [0, 0, 4096, -1880, 0, 1310, 0]
    words = np.frombuffer(rig.read(0x3B, 14), ">i2")
    assert (words[0], words[6]) == (1, 1)


def test_low_count_byte_alone_shows_what_was_latched():
    rig = recording()
    rig.wait_for_records(2)
    assert rig.read(0x73) == b"\x00"  # never latched yet
    assert rig.count() == 24
    rig.wait_for_records(4)
    assert rig.read(0x73) == b"\x18"
    assert rig.count() == 48


def test_count_can_show_part_of_a_record():
    rig = recording()
    third_ns = int(rig.chip.latch_instants_ns(rig.chip.fifo_first_sample + 2, 1)[0])
    # the high byte is taken 3 bytes and 2 bits (72.5 us) after the start; 10 us is 5 bytes
    rig.clock.sleep_until_ns(third_ns + 11_000 - 72_500)
    assert rig.count() == 24 + 5
    rig.wait_for_records(3)
    assert rig.words(36)[:, 0].tolist() == [0, 1, 2]  # nothing is torn by that


def test_empty_fifo_repeats_the_last_byte():
    rig = recording()
    rig.wait_for_records(1)
    data = rig.read(0x74, 16)
    assert data[12:] == bytes((data[11],)) * 4
    assert rig.count() == 0


def test_fifo_register_does_not_step():
    rig = recording()
    rig.wait_for_records(2)
    rig.read(0x74, 12)
    assert np.frombuffer(rig.read(0x74, 12), ">i2")[0] == 1


@pytest.mark.parametrize(("model", "size"), [("mpu6050", 1024), ("mpu6500", 512)])
def test_overflow_drops_the_oldest_bytes_and_with_them_the_alignment(model: str, size: int):
    rig = recording(model=model)
    rig.wait_for_records(100)
    assert rig.read(0x3A) == b"\x11"
    assert rig.read(0x3A) == b"\x00"  # cleared by reading
    assert rig.count() == size
    # The end is a whole record, so the beginning is not: 1024 = 85 * 12 + 4, 512 = 42 * 12 + 8.
    rest = size % 12
    data = rig.read(0x74, size)
    assert np.frombuffer(data[rest:], ">i2").reshape(-1, 6)[:, 0].tolist() == list(
        range(100 - size // 12, 100)
    )
    torn = np.array([[100 - size // 12 - 1, 0, 4096, 0, 1310, 100 - size // 12 - 1]], ">i2")
    assert data[:rest] == torn.tobytes()[12 - rest :]


def test_no_overflow_in_a_fifo_that_is_just_full():
    rig = recording()
    rig.wait_for_records(85)  # 1020 bytes
    assert rig.read(0x3A) == b"\x01"
    assert rig.count() == 1020
    rig.wait_for_records(86)
    assert rig.read(0x3A) == b"\x11"


def test_later_part_may_stop_when_full():
    rig = recording(bytes((0x1A, 0x43)), model="mpu6500")
    rig.wait_for_records(100)
    assert rig.read(0x3A) == b"\x11"
    assert rig.count() == 512
    assert rig.words(504)[:, 0].tolist() == list(range(42))


def test_fifo_mode_bit_means_nothing_to_the_first_generation():
    rig = recording(bytes((0x1A, 0x43)))
    rig.wait_for_records(100)
    assert np.frombuffer(rig.read(0x74, 1024)[4:], ">i2")[0] == 15


def test_recovery_from_overflow_begins_with_a_whole_record():
    rig = recording()
    rig.wait_for_records(90)
    rig.write(bytes((0x6A, 0x00)), bytes((0x6A, 0x04)), FIFO_ON)
    assert rig.count() == 0
    assert rig.read(0x6A) == b"\x40"  # the reset bit clears itself
    rig.wait_for_records(2)
    assert rig.words(24)[:, 0].tolist() == [90, 91]


def test_reset_of_a_running_fifo_is_ignored_by_the_first_generation():
    rig = recording()
    rig.wait_for_records(2)
    rig.write(bytes((0x6A, 0x44)))
    assert rig.count() == 24
    later = recording(model="mpu6500")
    later.wait_for_records(2)
    later.write(bytes((0x6A, 0x44)))
    assert later.count() == 0


def test_fifo_does_not_fill_when_off_and_keeps_what_it_has():
    rig = recording()
    rig.wait_for_records(3)
    rig.write(bytes((0x6A, 0x00)))
    rig.clock.sleep_until_ns(rig.clock.monotonic_ns() + 100 * MS)
    assert rig.count() == 36


def test_long_burst_takes_what_arrives_meanwhile():
    rig = recording(bytes((0x19, 0)))  # 1 kHz; 240 bytes take 5.4 ms
    rig.wait_for_records(18)
    records = rig.words(240)
    assert records[:, 0].tolist() == [round(k / 10) for k in range(20)]


def test_accel_repeats_above_1_khz():
    rig = Rig(WAKE, bytes((0x1A, 0x00)), ACCEL_8G, bytes((0x23, 0x18)), FIFO_ON)
    rig.wait_for_records(41)
    words = rig.words(41 * 8, 4).astype(int)
    # 8 kHz: record k is k / 80 samples of the world's 100 Hz; accel only knows every eighth
    first = rig.chip.fifo_first_sample
    held = [k - (first + k) % 8 for k in range(41)]
    assert words[:, 0].tolist() == [round(k / 80) for k in held]
    assert words[:, 3].tolist() == [round(k / 80) for k in range(41)]


def test_standby_axes_deliver_nothing():
    rig = recording(bytes((0x6C, 0x0A)))  # accel z and gyro y
    rig.wait_for_records(2)
    assert rig.words(24).tolist() == [[0] * 6, [1, 0, 0, 0, 0, 1]]


def test_internal_oscillator_is_further_off_than_the_gyro_pll():
    options: dict[str, object] = {"ideal": False, "clock_error": 0.002, "rc_clock_error": -0.04}
    rig = Rig(DLPF_3, WAKE, **options)
    assert np.diff(rig.chip.latch_instants_ns(0, 2))[0] == round(1e6 / 1.002)
    rig.write(bytes((0x6B, 0x00)))
    assert np.diff(rig.chip.latch_instants_ns(0, 2))[0] == round(1e6 / 0.96)


def test_given_errors_show():
    rig = recording(
        ideal=False,
        noise=False,
        accel_offset_g=(0.0, 0.5, 0.0),
        accel_gain_error=(0.0, 0.0, 0.25),
        gyro_bias_dps=(2.0, 0.0, 0.0),
        gyro_gain_error=(0.0, -0.5, 0.0),
    )
    rig.wait_for_records(1)
    assert rig.words(12).tolist() == [[0, 2048, 5120, 262, 655, 0]]


def test_noise_is_that_of_the_data_sheet():
    zero = (0.0, 0.0, 0.0)
    rig = recording(
        ideal=False,
        accel_offset_g=zero,
        accel_gain_error=zero,
        gyro_bias_dps=zero,
        gyro_gain_error=zero,
    )
    records: list[NDArray[np.int16]] = []
    for n in range(80, 2401, 80):
        rig.wait_for_records(n)
        records.append(rig.words(960))
    sigma = np.concatenate(records).astype(float).std(axis=0)
    # 400 ug over 44 Hz at 4096 per g; 0.005 dps over 42 Hz at 131; rounding adds 1/12
    assert sigma[1] == pytest.approx(math.sqrt((400e-6 * 4096) ** 2 * 44 + 1 / 12), rel=0.05)
    assert sigma[3] == pytest.approx(math.sqrt((0.005 * 131) ** 2 * 42 + 1 / 12), rel=0.05)


def test_no_record_is_torn_where_batches_meet():
    rig = recording(ideal=False, accel_offset_g=(0, 0, 0), accel_gain_error=(0, 0, 0))
    rig.wait_for_records(1)
    rows: list[NDArray[np.int16]] = []
    while len(rows) < 300:
        # looks at every phase of a record's way into the FIFO
        rig.clock.sleep_until_ns(rig.clock.monotonic_ns() + 9_997_000)
        rows += list(rig.words(rig.count() // 12 * 12))
    # noise of 11 counts; a byte of another measurement would show as a jump of 256
    assert np.abs(np.array(rows)[:, 2] - 4096).max() < 100


def test_self_test_response_follows_the_factory_codes():
    plain = Rig(WAKE, DLPF_3, ACCEL_8G)
    moved = Rig(WAKE, DLPF_3, bytes((0x1B, 0xE0, 0xF0)))
    words: list[NDArray[np.int64]] = []
    for rig in (plain, moved):
        rig.wait_for_samples(1)
        words.append(np.frombuffer(rig.read(0x3B, 14), ">i2").astype(np.int64))
    change = words[1] - words[0]
    x, y, z, low = moved.read(0x0D, 4)
    gyro_codes = [code & 0x1F for code in (x, y, z)]
    accel_codes = [(code >> 5) << 2 | low >> shift & 3 for code, shift in ((x, 4), (y, 2), (z, 0))]
    for axis in range(3):
        expected = 4096 * 0.34 * (0.92 / 0.34) ** ((accel_codes[axis] - 1) / 30)
        assert change[axis] == pytest.approx(expected, abs=1)
        expected = (1, -1, 1)[axis] * 25 * 131 * 1.046 ** (gyro_codes[axis] - 1)
        assert change[4 + axis] == pytest.approx(expected, abs=1)


def test_truth_tells_the_instant_of_every_record_read():
    rig = recording()
    rig.wait_for_records(5)
    rig.read(0x74, 36)
    rig.wait_for_records(8)
    rig.read(0x74, 24)
    expected = rig.chip.latch_instants_ns(rig.chip.fifo_first_sample, 5)
    assert rig.chip.read_instants_ns().tolist() == expected.tolist()


def test_truth_survives_an_overflow():
    rig = recording()
    rig.wait_for_records(100)
    rig.read(0x74, 1024)
    expected = rig.chip.latch_instants_ns(rig.chip.fifo_first_sample + 14, 86)
    # the torn record before the 85 whole ones counts with its last byte
    assert rig.chip.read_instants_ns().tolist() == expected.tolist()


def test_any_read_clears_the_status_when_asked_to():
    rig = recording()
    rig.wait_for_records(1)
    rig.read(0x75)
    assert rig.read(0x3A) == b"\x01"
    rig.write(bytes((0x37, 0x10)))
    rig.wait_for_records(2)
    rig.read(0x75)
    assert rig.read(0x3A) == b"\x00"


def test_unplugged_chip_comes_back_asleep():
    rig = recording()
    faults = BusFaults(unplugged_spans_ns={0x68: ((MS, 50 * MS),)})
    rig.bus = SimulatedI2CBus(rig.clock, [rig.chip], faults=faults)
    rig.clock.sleep_until_ns(20 * MS)
    with pytest.raises(BusError) as caught:
        rig.read(0x75)
    assert caught.value.errno == 121
    rig.clock.sleep_until_ns(200 * MS)
    assert (rig.read(0x6B), rig.read(0x23), rig.count()) == (b"\x40", b"\x00", 0)


def test_what_is_written_sticks_from_100_ms_after_power():
    rig = Rig(WAKE, power_on_ns=0)
    assert rig.read(0x6B) == b"\x40"
    rig.clock.sleep_until_ns(100 * MS)
    rig.write(WAKE)
    assert rig.read(0x6B) == b"\x01"


def self_test_change(**options: object) -> tuple[Rig, NDArray[np.int64]]:
    """Change of the seven words at 2 g and 250 dps when all axes are excited."""
    plain = Rig(WAKE, DLPF_3, **options)
    moved = Rig(WAKE, DLPF_3, bytes((0x1B, 0xE0, 0xE0)), **options)
    words: list[NDArray[np.int64]] = []
    for rig in (plain, moved):
        rig.wait_for_samples(1)
        words.append(np.frombuffer(rig.read(0x3B, 14), ">i2").astype(np.int64))
    return moved, words[1] - words[0]


def test_self_test_response_of_later_parts_follows_their_codes():
    rig, change = self_test_change(model="mpu6500")
    gyro_codes, accel_codes = rig.read(0x00, 3), rig.read(0x0D, 3)
    for axis in range(3):
        assert change[axis] == pytest.approx(2620 * 1.01 ** (accel_codes[axis] - 1), abs=1)
        assert change[4 + axis] == pytest.approx(2620 * 1.01 ** (gyro_codes[axis] - 1), abs=1)


@pytest.mark.parametrize("model", ["mpu6050", "mpu6500"])
def test_broken_elements_do_not_move(model: str):
    _, change = self_test_change(model=model, self_test_works=False)
    assert change.tolist() == [0] * 7
