"""The MPU-6050 driver against scripted bytes: what it writes, what it makes of what it reads."""

from __future__ import annotations

import errno
import math
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from wban_collect.clock import VirtualClock
from wban_collect.devices import mpu6050_registers as reg
from wban_collect.devices.mpu6050 import Mpu6050
from wban_collect.errors import BusError, DeviceDataError, DeviceError, DeviceNotFoundError
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
    device, bus, _ = started()
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
