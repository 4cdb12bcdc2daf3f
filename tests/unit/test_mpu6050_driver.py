"""The MPU-6050 driver against scripted bytes: what it writes, what it makes of what it reads."""

from __future__ import annotations

import errno
import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.contract.driver_rig import SECOND, DriverRig, RestingWorld
from wban_collect.clock import VirtualClock
from wban_collect.devices import mpu6050_registers as reg
from wban_collect.devices.mpu6050 import Mpu6050
from wban_collect.devices.mpu6050_self_test import first_generation_trim, judged, later_trim
from wban_collect.errors import BusError, DeviceDataError, DeviceError, DeviceNotFoundError
from wban_collect.simulation.bus import SimulatedI2CBus
from wban_collect.simulation.mpu6050 import SimulatedMpu6050
from wban_dataset.recording.streams import Gap, SampleBlock

MS = 1_000_000


class ScriptedBus:
    """A register file with a FIFO; `answers` overrides what a register reads."""

    def __init__(self, clock: VirtualClock, who_am_i: int = 0x68) -> None:
        self.clock = clock
        self.registers = bytearray(128)
        self.registers[0x75] = who_am_i
        self.fifo = bytearray()
        self.written: list[tuple[int, int, int]] = []
        self.answers: dict[int, list[bytes | BusError]] = defaultdict(list)
        self.reads: list[tuple[int, int]] = []
        self.read_only: set[int] = set()

    def write(self, address: int, data: bytes) -> None:
        self.clock.sleep_until_ns(self.clock.monotonic_ns() + 100_000)
        register, value = data
        self.written.append((register, value, self.clock.monotonic_ns()))
        if register == 0x6B:
            value &= 0x7F  # reset ends by itself
        if register not in self.read_only:
            self.registers[register] = value

    def write_read(self, address: int, data: bytes, n_bytes: int) -> bytes:
        self.clock.sleep_until_ns(self.clock.monotonic_ns() + 300_000)
        register = data[0]
        self.reads.append((register, n_bytes))
        if self.answers[register]:
            answer = self.answers[register].pop(0)
            if isinstance(answer, BusError):
                raise answer
            return answer
        if register == 0x72:
            return len(self.fifo).to_bytes(2, "big")
        if register == 0x74:
            taken = bytes(self.fifo[:n_bytes])
            del self.fifo[:n_bytes]
            return taken
        return bytes(self.registers[register : register + n_bytes])

    def reopen(self) -> None:
        pass

    def close(self) -> None:
        pass


def run(device: Mpu6050, clock: VirtualClock, steps: Iterator[Any]) -> list[Any]:
    """Take all steps, each no earlier than the device wants."""
    outputs = []
    for step in steps:
        clock.sleep_until_ns(device.next_due_ns())
        outputs.append(step)
    return [output for output in outputs if output is not None]


def started(who_am_i: int = 0x68, **options: Any) -> tuple[Mpu6050, ScriptedBus, VirtualClock]:
    clock = VirtualClock(1_000 * MS)
    bus = ScriptedBus(clock, who_am_i)
    device = Mpu6050("mpu6050", bus, clock, **options)
    run(device, clock, device.start())
    bus.reads.clear()
    return device, bus, clock


def records(first: int, n: int) -> bytes:
    """FIFO records whose accel x counts up, 12 bytes each."""
    words = np.zeros((n, 6), dtype=">i2")
    words[:, 0] = np.arange(first, first + n)
    words[:, 2] = 4096
    words[:, 5] = -1
    return words.tobytes()


def test_records_are_signed_big_endian_accel_then_gyro() -> None:
    raw = bytes.fromhex("0001 ffff 8000 7fff 0100 fffe")
    accel, gyro = reg.decode_records(raw, 12)
    assert accel.tolist() == [[1, -1, -32768]]
    assert gyro.tolist() == [[32767, 256, -2]]
    assert (accel.dtype.str, gyro.dtype.str) == ("<i2", "<i2")


def test_records_with_temperature_leave_it_out() -> None:
    raw = bytes.fromhex("0001 0002 0003 0bb8 0004 0005 0006")
    accel, gyro = reg.decode_records(raw, 14)
    assert accel.tolist() == [[1, 2, 3]]
    assert gyro.tolist() == [[4, 5, 6]]


def test_the_chip_is_reset_clocked_by_its_gyroscope_and_set_up_before_the_fifo_runs() -> None:
    _, bus, _ = started(sampling_rate_hz=100.0, accel_range_g=8, gyro_range_dps=1000)
    assert [(register, value) for register, value, _ in bus.written] == [
        (0x6B, 0x80),  # reset
        (0x6B, 0x01),  # awake, PLL
        (0x6A, 0x00),
        (0x23, 0x00),  # FIFO off
        (0x6C, 0x00),
        (0x19, 9),  # 1 kHz / 10
        (0x1A, 3),  # 44 and 42 Hz: the widest below 50
        (0x1B, 0x10),  # 1000 dps
        (0x1C, 0x10),  # 8 g
        (0x37, 0x00),
        (0x38, 0x10),  # FIFO overflow shows in INT_STATUS
        (0x23, 0x00),
        (0x6A, 0x00),
        (0x6A, 0x04),  # FIFO reset while it is off
        (0x6A, 0x40),
        (0x23, 0x78),  # accel and gyro
    ]
    times = {i: time_ns for i, (_, _, time_ns) in enumerate(bus.written)}
    assert times[1] - times[0] >= 100 * MS  # reset
    assert times[11] - times[1] >= 60 * MS  # the gyroscope settles


def test_the_6500_gets_its_accelerometer_filter_too() -> None:
    _, bus, _ = started(0x70, sampling_rate_hz=200.0)
    settings = {register: value for register, value, _ in bus.written}
    assert settings[0x1A] == 2  # 92 Hz, below 100
    assert settings[0x1D] == 2


def test_the_streams_say_what_counts_mean() -> None:
    device, _, _ = started(accel_range_g=4, gyro_range_dps=500, placement="ankle")
    accel, gyro = device.streams
    assert (accel.name, accel.kind, accel.units) == ("accel", "accel", "m s-2")
    assert accel.scale_factor == 9.80665 / 8192
    assert (gyro.name, gyro.kind, gyro.units) == ("gyro", "gyro", "rad s-1")
    assert gyro.scale_factor == pytest.approx(math.pi / 180 / 65.5)
    assert (accel.placement, gyro.placement) == ("ankle", "ankle")
    assert accel.attributes == {
        "range": 4 * 9.80665,
        "clip_counts": 32767,
        "bandwidth_hz": 44,
        "group_delay_ns": 4_900_000,
        "watermark": 10,
        "fifo_size": 85,
    }
    assert gyro.attributes["group_delay_ns"] == 4_800_000


@pytest.mark.parametrize(
    ("who_am_i", "model", "fifo_size"),
    [
        (0x68, "MPU-6050", 85),
        (0x70, "MPU-6500", 42),
        (0x71, "MPU-9250", 42),
        (0x72, "MPU-6050 clone (0x72)", 42),
        (0x73, "MPU-9255", 42),
        (0x74, "MPU-6515", 42),
        (0x75, "MPU-6500 clone (0x75)", 42),
        (0x78, "MPU-6880", 42),
        (0x98, "ICM-20689", 42),
        (0xAF, "ICM-20608", 42),
        (0x11, "ICM-20600", 72),
        (0x12, "ICM-20602", 72),
    ],
)
def test_relatives_and_clones_are_known(who_am_i: int, model: str, fifo_size: int) -> None:
    device, _, _ = started(who_am_i)
    assert device.identity.model == model
    assert {spec.device for spec in device.streams} == {model}
    assert {spec.attributes["fifo_size"] for spec in device.streams} == {fifo_size}


def test_a_clone_without_the_filter_register_gets_the_6050s_delays() -> None:
    clock = VirtualClock(0)
    bus = ScriptedBus(clock, 0x98)
    bus.read_only.add(0x1D)
    device = Mpu6050("mpu6050", bus, clock, sampling_rate_hz=200.0)
    assert run(device, clock, device.start()) == []
    assert [spec.attributes["group_delay_ns"] for spec in device.streams] == [3_000_000, 2_800_000]
    assert bus.registers[0x1A] == 2


def test_a_genuine_6500_without_the_filter_register_is_an_error() -> None:
    clock = VirtualClock(0)
    bus = ScriptedBus(clock, 0x70)
    bus.read_only.add(0x1D)
    device = Mpu6050("mpu6050", bus, clock)
    with pytest.raises(DeviceError, match="register 0x1d reads 0x00 after set-up, expected 0x03"):
        run(device, clock, device.start())


@pytest.mark.parametrize("who_am_i", [0x00, 0xFF, 0x6C])
def test_another_chip_is_refused_with_the_known_ones(who_am_i: int) -> None:
    clock = VirtualClock(0)
    bus = ScriptedBus(clock, who_am_i)
    device = Mpu6050("mpu6050", bus, clock)
    with pytest.raises(DeviceNotFoundError, match=rf"is 0x{who_am_i:02x}, expected one of 0x11,"):
        run(device, clock, device.start())
    assert bus.written == []


def test_the_fifo_is_drained_in_bursts_between_which_others_may_go_first() -> None:
    device, bus, clock = started()
    clock.sleep_until_ns(device.next_due_ns() + 100 * MS)  # twenty records at 100 Hz
    bus.fifo += records(0, 20)
    begin_ns = bus.clock.monotonic_ns()
    steps = list(device.read())
    assert [type(step) for step in steps] == [type(None)] * 2 + [SampleBlock] * 2
    # Eight records are 96 bytes; the overflow flag is looked at after each burst.
    assert bus.reads == [
        (0x72, 2),
        (0x74, 96),
        (0x3A, 1),
        (0x74, 96),
        (0x3A, 1),
        (0x74, 48),
        (0x3A, 1),
    ]
    accel, gyro = steps[2:]
    assert accel.data[:, 0].tolist() == list(range(20))
    assert gyro.data[:, 2].tolist() == [-1] * 20
    assert accel.read == gyro.read
    assert (accel.read.read_start_ns, accel.read.read_end_ns) == (begin_ns, begin_ns + 300_000)
    assert accel.read.fifo_level == 0


def test_a_count_that_the_time_does_not_explain_is_read_again() -> None:
    device, bus, clock = started()
    clock.sleep_until_ns(device.next_due_ns())
    bus.fifo += records(0, 10)
    bus.answers[0x72] = [(60 * 12).to_bytes(2, "big")]  # garbled: there are ten
    accel, _ = (step for step in device.read() if step is not None)
    assert accel.n_samples == 10
    assert bus.reads.count((0x72, 2)) == 2


def test_a_count_that_is_read_twice_is_believed_whatever_the_time_says() -> None:
    device, bus, clock = started()
    clock.sleep_until_ns(device.next_due_ns() + 300 * MS)
    bus.fifo += records(0, 10)  # the chip is slow
    accel, _ = (step for step in device.read() if step is not None)
    assert accel.n_samples == 10
    assert bus.reads.count((0x72, 2)) == 2


def test_a_record_that_is_just_being_written_is_waited_for() -> None:
    device, bus, _ = started()
    bus.fifo += records(0, 2)
    bus.answers[0x72] = [(17).to_bytes(2, "big")]
    accel, _ = (step for step in device.read() if step is not None)
    assert accel.n_samples == 2


def test_a_count_that_stays_broken_empties_the_fifo_and_makes_one_gap() -> None:
    device, bus, clock = started()
    clock.sleep_until_ns(device.next_due_ns())
    bus.fifo += records(0, 10)
    assert len(run(device, clock, device.read())) == 2
    bus.fifo += records(10, 2)[:-4]
    bus.written.clear()
    assert run(device, clock, device.read()) == []
    assert [(r, v) for r, v, _ in bus.written[-3:]] == [(0x6A, 0x04), (0x6A, 0x40), (0x23, 0x78)]
    bus.fifo[:] = records(30, 3)
    outputs = run(device, clock, device.read())
    gaps = [output for output in outputs if isinstance(output, Gap)]
    assert [(gap.stream, gap.cause) for gap in gaps] == [
        ("accel", "fifo misaligned"),
        ("gyro", "fifo misaligned"),
    ]
    blocks = outputs[2:]
    assert [(block.first_index, block.segment) for block in blocks] == [(10, 1), (10, 1)]


def test_an_overflow_found_in_a_pause_spoils_only_what_was_read_after_it() -> None:
    device, bus, clock = started()
    bus.fifo += records(0, 20)
    bus.answers[0x3A] = [b"\x00", b"\x11"]
    accel, _ = run(device, clock, device.read())
    assert accel.data[:, 0].tolist() == list(range(8))
    assert accel.read.fifo_level == 12
    bus.fifo[:] = records(90, 1)
    outputs = run(device, clock, device.read())
    assert [output.cause for output in outputs[:2]] == ["fifo overflow", "fifo overflow"]
    assert [output.segment for output in outputs[2:]] == [1, 1]


def test_a_nearly_full_fifo_counts_as_overflowing() -> None:
    device, bus, clock = started()
    bus.fifo += records(0, 83)  # of 85
    assert run(device, clock, device.read()) == []
    assert (0x6A, 0x04) in [(r, v) for r, v, _ in bus.written[-4:]]


def test_a_bus_nobody_drives_is_not_taken_for_data() -> None:
    device, bus, clock = started()
    bus.answers[0x72] = [b"\xff\xff"]
    with pytest.raises(DeviceDataError, match="FIFO_COUNT is 65535, expected at most 1024"):
        run(device, clock, device.read())
    bus.fifo += b"\xff" * 24
    assert run(device, clock, device.read()) == []


def test_what_was_read_before_a_bus_error_is_delivered() -> None:
    device, bus, _ = started()
    bus.fifo += records(0, 20)
    bus.answers[0x74] = [records(0, 8), BusError("broken off", errno.EIO)]
    reading = device.read()
    assert next(reading) is None
    accel = next(reading)
    assert isinstance(accel, SampleBlock)
    assert (accel.n_samples, accel.read.fifo_level) == (8, 12)
    next(reading)
    with pytest.raises(BusError, match="broken off"):
        next(reading)


def test_a_chip_that_went_to_sleep_is_an_error() -> None:
    device, _, clock = started()
    clock.sleep_until_ns(clock.monotonic_ns() + 800 * MS)
    with pytest.raises(DeviceError, match=r"no new sample for 0\.8 s"):
        run(device, clock, device.read())


@pytest.mark.parametrize(
    ("rate_hz", "code"),
    [(1000, 1), (500, 1), (200, 2), (100, 3), (50, 4), (25, 5), (12.5, 6), (4, 6)],
)
def test_the_filter_is_the_widest_below_half_the_rate(rate_hz: float, code: int) -> None:
    rate = reg.sample_rate(rate_hz)
    assert reg.choose_filter(rate, accel_filter=False).code == code
    assert reg.choose_filter(rate, accel_filter=True).code == code


def test_400_hz_divides_the_8_khz_of_an_unfiltered_6050() -> None:
    device, bus, _ = started(sampling_rate_hz=400.0)
    settings = {register: value for register, value, _ in bus.written}
    assert (settings[0x19], settings[0x1A]) == (19, 0)
    accel, gyro = device.streams
    assert (accel.sampling_rate_hz, gyro.attributes["bandwidth_hz"]) == (400.0, 256)


def test_400_hz_is_refused_by_a_6500() -> None:
    clock = VirtualClock(0)
    device = Mpu6050("mpu6050", ScriptedBus(clock, 0x70), clock, sampling_rate_hz=400.0)
    with pytest.raises(DeviceError, match="MPU-6500, which cannot sample at 400 Hz"):
        run(device, clock, device.start())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sampling_rate_hz": 104.0}, "the nearest rate that the chip makes is 100"),
        ({"sampling_rate_hz": 2000.0}, "the nearest rate that the chip makes is 1000"),
        ({"sampling_rate_hz": 1.0}, r"the nearest rate that the chip makes is 3\.90625"),
        ({"sampling_rate_hz": -1.0}, r"the nearest rate that the chip makes is 3\.90625"),
        ({"accel_range_g": 6}, "allowed are 2, 4, 8 and 16"),
        ({"gyro_range_dps": 300}, "allowed are 250, 500, 1000 and 2000"),
        ({"watermark": 21}, "allowed are 1 to 20"),
        ({"address": 0x53}, "the chip has 0x68 or 0x69"),
    ],
)
def test_a_setting_the_chip_has_not_is_refused_with_what_is_allowed(
    options: dict[str, Any], says: str
) -> None:
    clock = VirtualClock(0)
    with pytest.raises(ValueError, match=says):
        Mpu6050("mpu6050", ScriptedBus(clock), clock, **options)


def test_making_a_device_does_not_touch_the_bus() -> None:
    clock = VirtualClock(0)
    bus = ScriptedBus(clock)
    Mpu6050("mpu6050", bus, clock)
    assert bus.reads == []
    assert bus.written == []


def self_test_rig(model: str, **chip_options: Any) -> DriverRig:
    clock = VirtualClock(1_000 * SECOND)
    chip = SimulatedMpu6050(RestingWorld(), 3, model=model, keep_truth=True, **chip_options)
    bus = SimulatedI2CBus(clock, [chip])
    return DriverRig(Mpu6050("mpu6050", bus, clock), chip, bus, clock)


SIX_AXES = ["accel x", "accel y", "accel z", "gyro x", "gyro y", "gyro z"]


@pytest.mark.parametrize(("model", "percent"), [("mpu6050", 14), ("mpu6500", 50), ("mpu9250", 50)])
def test_the_self_test_of_a_good_chip_is_near_the_factorys_values(
    model: str, percent: float
) -> None:
    results = self_test_rig(model).self_test()
    assert [r.axis for r in results] == SIX_AXES
    assert {(r.lowest, r.highest) for r in results} == {(-percent, percent)}
    # Its gain is off by a percent or two, and it has noise.
    assert [r.change for r in results] == pytest.approx([0] * 6, abs=4)
    assert all(r.passed for r in results)


@pytest.mark.parametrize("model", ["mpu6050", "mpu6500"])
def test_the_self_test_of_stuck_elements_fails_on_every_axis(model: str) -> None:
    results = self_test_rig(model, self_test_works=False).self_test()
    assert [r.passed for r in results] == [False] * 6
    assert [r.change for r in results] == pytest.approx([-100] * 6, abs=4)


@pytest.mark.parametrize("model", ["mpu6050", "mpu6500"])
def test_after_the_self_test_the_chip_sleeps_and_a_start_makes_it_sample_normally(
    model: str,
) -> None:
    tested = self_test_rig(model, ideal=True)
    tested.self_test()
    assert tested.bus.write_read(0x68, b"\x6b", 1) == b"\x41"  # asleep
    tested.start()
    tested.record(2.0)
    assert tested.gaps("accel") == []
    assert np.unique(tested.counts("accel"), axis=0).tolist() == [[0, 0, 4096]]
    assert np.unique(tested.counts("gyro"), axis=0).tolist() == [[0, 0, 0]]
    assert len(tested.counts("accel")) == pytest.approx(200, abs=20)


def test_the_self_test_of_another_chip_is_refused_and_nothing_is_written_to_it() -> None:
    clock = VirtualClock(0)
    bus = ScriptedBus(clock, 0x6C)
    device = Mpu6050("mpu6050", bus, clock)
    with pytest.raises(DeviceNotFoundError, match="WHO_AM_I is 0x6c"):
        run(device, clock, device.self_test())
    assert bus.written == []


def test_a_self_test_that_is_broken_off_leaves_the_chip_asleep() -> None:
    tested = self_test_rig("mpu6050")
    steps = tested.device.self_test()
    next(steps)
    steps.close()
    assert tested.bus.write_read(0x68, b"\x6b", 1)[0] & 0x40


def test_the_6050s_factory_values_come_from_five_bits_each() -> None:
    # accel codes 1, 31, 2: 0b00001, 0b11111, 0b00010; gyro codes 1, 2, 31
    raw = bytes((0b000_00001, 0b111_00010, 0b000_11111, 0b00_01_11_10))
    accel_x, accel_y, accel_z, gyro_x, gyro_y, gyro_z = first_generation_trim(raw)
    assert (accel_x, accel_y) == (pytest.approx(4096 * 0.34), pytest.approx(4096 * 0.92))
    assert accel_z == pytest.approx(4096 * 0.34 * (0.92 / 0.34) ** (1 / 30))
    assert (gyro_x, gyro_y) == (pytest.approx(3275), pytest.approx(-3275 * 1.046))
    assert gyro_z == pytest.approx(3275 * 1.046**30)


def test_later_parts_factory_values_grow_by_a_percent_a_code() -> None:
    assert later_trim(bytes((1, 2, 101, 0, 255, 3))) == pytest.approx(
        [2620, 2646.2, 2620 * 1.01**100, 0, 2620 * 1.01**254, 2672.662]
    )


@pytest.mark.parametrize("who_am_i", [0x11, 0x12])
def test_the_icm_20600_keeps_its_gyroscopes_codes_elsewhere(who_am_i: int) -> None:
    clock = VirtualClock(0)
    bus = ScriptedBus(clock, who_am_i)
    device = Mpu6050("mpu6050", bus, clock)
    run(device, clock, device.self_test())
    assert (0x50, 3) in bus.reads
    assert (0x00, 3) not in bus.reads


def test_a_clone_without_factory_values_is_judged_by_how_far_it_moved() -> None:
    change, none = np.array([4915.2, -4915.2, 1638.4]), np.zeros(3)
    results = list(
        judged(change, none, (225.0, 675.0), 1000 / 16384, first=False, units="mg", prefix="accel ")
    )
    assert [(r.change, r.passed) for r in results] == [
        (pytest.approx(300), True),
        (pytest.approx(300), True),
        (pytest.approx(100), False),
    ]
    assert {(r.lowest, r.highest, r.units) for r in results} == {(225.0, 675.0, "mg")}
