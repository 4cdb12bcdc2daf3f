"""The ADXL345 driver against scripted bytes: what it writes, what it makes of what it reads."""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.contract.driver_rig import SECOND, DriverRig, RestingWorld
from wban_collect.clock import VirtualClock
from wban_collect.devices import adxl345_registers as reg
from wban_collect.devices.adxl345 import Adxl345
from wban_collect.errors import BusError, DeviceDataError, DeviceError, DeviceNotFoundError
from wban_collect.simulation.adxl345 import SimulatedAdxl345
from wban_collect.simulation.bus import SimulatedI2CBus
from wban_dataset.recording.streams import Gap, SampleBlock

MS = 1_000_000
STREAM_10 = 0x80 | 10


class ScriptedBus:
    """A register file; `answers` overrides what a register reads, one entry after another."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.registers = bytearray(64)
        self.registers[0] = 0xE5
        self.written: list[tuple[int, int]] = []
        self.answers: dict[int, list[bytes | BusError]] = defaultdict(list)
        self.reads: list[tuple[int, int]] = []

    def write(self, address: int, data: bytes) -> None:
        self.clock.sleep_until_ns(self.clock.monotonic_ns() + 100_000)
        register, value = data
        self.written.append((register, value))
        self.registers[register] = value

    def write_read(self, address: int, data: bytes, n_bytes: int) -> bytes:
        self.clock.sleep_until_ns(self.clock.monotonic_ns() + 300_000)
        self.reads.append((data[0], n_bytes))
        if self.answers[data[0]]:
            answer = self.answers[data[0]].pop(0)
            if isinstance(answer, BusError):
                raise answer
            return answer
        return bytes(self.registers[data[0] : data[0] + n_bytes])

    def reopen(self) -> None:
        pass

    def close(self) -> None:
        pass


def started(**options: Any) -> tuple[Adxl345, ScriptedBus, VirtualClock]:
    clock = VirtualClock(1_000 * MS)
    bus = ScriptedBus(clock)
    device = Adxl345("adxl345", bus, clock, **options)
    finish(device.start())
    bus.written.clear()
    bus.reads.clear()
    return device, bus, clock


def finish(steps: Iterator[Any]) -> list[Any]:
    return [step for step in steps if step is not None]


def entry(x: int, level: int, *, int_source: int | None = None) -> bytes:
    """What one read of an entry brings: 8 bytes, or 10 with INT_SOURCE."""
    head = b"" if int_source is None else bytes((int_source, 0x0B))
    counts = np.array([x, -x, 256], dtype="<i2").tobytes()
    return head + counts + bytes((STREAM_10, level))


def script_drain(bus: ScriptedBus, xs: list[int], *, arriving: int = 0) -> None:
    """Script a level of len(xs) and as many entries; `arriving` more come during the drain."""
    levels = [len(xs) - 1 - k + arriving for k in range(len(xs))]
    bus.answers[0x38].append(bytes((STREAM_10, len(xs))))
    bus.answers[0x30].append(entry(xs[0], levels[0], int_source=0x82))
    bus.answers[0x32] += [entry(x, level) for x, level in zip(xs[1:], levels[1:], strict=True)]


def test_entries_are_signed_little_endian() -> None:
    raw = bytes((0xFF, 0xFF, 0x00, 0x01, 0x00, 0xF0))
    assert reg.decode_entries(raw).tolist() == [[-1, 256, -4096]]


def test_the_chip_is_set_up_in_standby_and_measures_last() -> None:
    clock = VirtualClock(0)
    bus = ScriptedBus(clock)
    finish(Adxl345("adxl345", bus, clock, range_g=16).start())
    assert bus.written == [
        (0x2D, 0x00),  # standby
        (0x38, 0x00),  # bypass empties the FIFO
        (0x1E, 0x00),
        (0x1F, 0x00),
        (0x20, 0x00),  # offsets
        (0x2C, 0x0A),  # 100 Hz
        (0x31, 0x0B),  # full resolution, 16 g
        (0x38, 0x8A),  # stream, watermark 10
        (0x2F, 0x00),
        (0x2E, 0x00),  # no interrupt is wired
        (0x2D, 0x08),  # measure
    ]


def test_the_stream_says_what_counts_mean() -> None:
    device, _, _ = started(sampling_rate_hz=400.0, range_g=4, placement="wrist")
    (spec,) = device.streams
    assert (spec.name, spec.kind, spec.units, spec.dtype) == ("accel", "accel", "m s-2", "<i2")
    assert spec.scale_factor == 9.80665 / 256
    assert spec.placement == "wrist"
    assert spec.attributes == {
        "range": 4 * 9.80665,
        "clip_counts": 1023,
        "group_delay_ns": 1_250_000,
        "watermark": 16,
        "fifo_size": 32,
    }


def test_one_read_drains_the_fifo_and_tells_when_its_level_was_seen() -> None:
    device, bus, clock = started()
    clock.sleep_until_ns(device.next_due_ns())
    begin_ns = clock.monotonic_ns()
    script_drain(bus, [1, 2, 3], arriving=2)
    (block,) = finish(device.read())
    assert isinstance(block, SampleBlock)
    assert block.data.tolist() == [[1, -1, 256], [2, -2, 256], [3, -3, 256]]
    assert (block.first_index, block.segment) == (0, 0)
    assert (block.read.read_start_ns, block.read.read_end_ns) == (begin_ns, begin_ns + 300_000)
    assert block.read.fifo_level == 0
    # The first entry brings INT_SOURCE, the others do without.
    assert bus.reads == [(0x38, 2), (0x30, 10), (0x32, 8), (0x32, 8)]


def test_others_may_go_first_every_three_milliseconds() -> None:
    device, bus, _ = started()
    script_drain(bus, list(range(20)))
    bus.answers[0x30] += [entry(x, 19 - x, int_source=0x82) for x in (8, 17)]
    del bus.answers[0x32][16], bus.answers[0x32][7]  # those two follow a pause
    steps = list(device.read())
    assert [type(step) for step in steps] == [type(None), type(None), SampleBlock]
    assert steps[-1].data[:, 0].tolist() == list(range(20))


def test_an_overrun_makes_one_gap_and_the_survivors_a_new_segment() -> None:
    device, bus, clock = started()
    clock.sleep_until_ns(device.next_due_ns() - 20 * MS)
    script_drain(bus, list(range(8)))
    finish(device.read())
    clock.sleep_until_ns(clock.monotonic_ns() + 1_000 * MS)
    bus.answers[0x38].append(bytes((STREAM_10, 32)))
    bus.answers[0x30].append(entry(7, 1, int_source=0x83))
    bus.answers[0x32].append(entry(8, 0))
    gap, block = finish(device.read())
    assert isinstance(gap, Gap)
    assert (gap.stream, gap.cause, gap.exact) == ("accel", "fifo overflow", False)
    # 1 s at 100 Hz, of which the two newest survived.
    assert gap.n_missing == pytest.approx(98, abs=2)
    assert gap.stop_ns - gap.start_ns == pytest.approx(990 * MS, abs=20 * MS)
    assert (block.first_index, block.segment) == (8, 1)
    assert block.data[:, 0].tolist() == [7, 8]
    # The entry's own transaction told the level: itself and one more.
    assert block.read.read_end_ns - block.read.read_start_ns == 300_000
    assert block.read.fifo_level == 0


def test_a_level_that_was_read_wrongly_costs_the_read_and_invents_no_sample() -> None:
    device, bus, clock = started()
    clock.sleep_until_ns(device.next_due_ns())
    bus.answers[0x38].append(bytes((STREAM_10, 25)))  # garbled: there are three
    bus.answers[0x30].append(entry(1, 2, int_source=0x82))
    with pytest.raises(DeviceDataError, match="holds 2 entries, expected 24 to 24"):
        finish(device.read())


def test_what_was_read_before_a_bus_error_is_delivered() -> None:
    device, bus, clock = started()
    script_drain(bus, [1, 2, 3])
    bus.answers[0x32][1] = BusError("broken off", errno.EIO)
    reading = device.read()
    block = next(reading)
    assert isinstance(block, SampleBlock)
    with pytest.raises(BusError, match="broken off"):
        next(reading)
    assert block.data[:, 0].tolist() == [1, 2]
    assert block.read.fifo_level == 1
    clock.sleep_until_ns(clock.monotonic_ns() + 500 * MS)
    finish(device.start())
    script_drain(bus, [9])
    gap, block = finish(device.read())
    assert (gap.cause, block.segment, block.first_index) == ("bus error", 1, 2)


@pytest.mark.parametrize("fifo_ctl", [0x00, 0xFF])
def test_a_chip_that_lost_its_settings_is_noticed_at_the_next_look(fifo_ctl: int) -> None:
    device, bus, _ = started()
    bus.answers[0x38].append(bytes((fifo_ctl, 3)))
    with pytest.raises(DeviceDataError, match=rf"FIFO_CTL reads 0x{fifo_ctl:02x}, expected 0x8a"):
        finish(device.read())


def test_a_chip_that_stops_sampling_is_an_error() -> None:
    device, bus, clock = started()
    bus.registers[0x39] = 0
    clock.sleep_until_ns(clock.monotonic_ns() + 400 * MS)
    assert finish(device.read()) == []
    clock.sleep_until_ns(clock.monotonic_ns() + 400 * MS)
    with pytest.raises(DeviceError, match=r"no new sample for 0\.8 s"):
        finish(device.read())


@pytest.mark.parametrize(("device_id", "says"), [(0x00, "0x00"), (0xFF, "0xff"), (0x68, "0x68")])
def test_another_chip_is_refused(device_id: int, says: str) -> None:
    clock = VirtualClock(0)
    bus = ScriptedBus(clock)
    bus.registers[0] = device_id
    with pytest.raises(DeviceNotFoundError, match=rf"device id is {says}, expected 0xe5"):
        finish(Adxl345("adxl345", bus, clock).start())
    assert bus.written == []


@pytest.mark.parametrize("code", [errno.EREMOTEIO, errno.ENXIO])
def test_nobody_there_is_refused(code: int) -> None:
    clock = VirtualClock(0)
    bus = ScriptedBus(clock)
    bus.answers[0x00].append(BusError("not acknowledged", code))
    with pytest.raises(DeviceNotFoundError, match="0x53: nobody answers"):
        finish(Adxl345("adxl345", bus, clock).start())


def test_a_setting_that_does_not_hold_is_an_error() -> None:
    clock = VirtualClock(0)
    bus = ScriptedBus(clock)
    bus.answers[0x31].append(b"\x0a")
    with pytest.raises(DeviceError, match="register 0x31 reads 0x0a after set-up, expected 0x0b"):
        finish(Adxl345("adxl345", bus, clock).start())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sampling_rate_hz": 120.0}, "the nearest rate that the chip makes is 100"),
        ({"sampling_rate_hz": 3200.0}, "the nearest rate that the chip makes is 800"),
        ({"sampling_rate_hz": -5.0}, "the nearest rate that the chip makes is 0.097"),
        ({"range_g": 3}, "allowed are 2, 4, 8 and 16"),
        ({"watermark": 32}, "allowed are 1 to 31"),
        ({"watermark": 0}, "allowed are 1 to 31"),
        ({"address": 0x68}, "the chip has 0x53 or 0x1d"),
    ],
)
def test_a_setting_the_chip_has_not_is_refused_with_what_is_allowed(
    options: dict[str, Any], says: str
) -> None:
    clock = VirtualClock(0)
    with pytest.raises(ValueError, match=says):
        Adxl345("adxl345", ScriptedBus(clock), clock, **options)


def test_making_a_device_does_not_touch_the_bus() -> None:
    clock = VirtualClock(0)
    bus = ScriptedBus(clock)
    Adxl345("adxl345", bus, clock)
    assert bus.reads == bus.written == []


def test_stopping_a_chip_that_is_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    device, bus, _ = started()

    def gone(*_: object) -> None:
        raise BusError("gone", errno.EREMOTEIO)

    monkeypatch.setattr(bus, "write", gone)
    device.stop()


def self_test_rig(**chip_options: Any) -> DriverRig:
    clock = VirtualClock(1_000 * SECOND)
    chip = SimulatedAdxl345(RestingWorld(), 3, keep_truth=True, **chip_options)
    bus = SimulatedI2CBus(clock, [chip])
    return DriverRig(Adxl345("adxl345", bus, clock), chip, bus, clock)


def test_the_self_test_of_a_good_chip_moves_every_axis_as_far_as_the_data_sheet_says() -> None:
    results = self_test_rig().self_test()
    assert [(r.axis, r.units) for r in results] == [("x", "mg"), ("y", "mg"), ("z", "mg")]
    # Limits at 2.5 V in counts of 1/256 g, times 1.77 (x, y) and 1.47 (z) at 3.3 V.
    assert [(r.lowest, r.highest) for r in results] == [
        pytest.approx((88.5 / 0.256, 955.8 / 0.256)),
        pytest.approx((-955.8 / 0.256, -88.5 / 0.256)),
        pytest.approx((110.25 / 0.256, 1286.25 / 0.256)),
    ]
    # What the simulated chip's force makes: 420, -420 and 600 counts.
    assert [r.change for r in results] == pytest.approx([1640, -1640, 2344], abs=5)
    assert all(r.passed for r in results)


def test_the_self_test_of_a_stuck_element_fails_on_every_axis() -> None:
    results = self_test_rig(self_test_works=False).self_test()
    assert [r.passed for r in results] == [False] * 3
    assert all(abs(r.change) < 10 for r in results)


def test_after_the_self_test_the_chip_rests_and_a_start_makes_it_sample_normally() -> None:
    tested = self_test_rig(ideal=True)
    tested.self_test()
    assert tested.bus.write_read(0x53, b"\x2d", 1) == b"\x00"  # standby
    tested.start()
    tested.record(2.0)
    assert tested.gaps("accel") == []
    assert np.unique(tested.counts("accel"), axis=0).tolist() == [[0, 0, 256]]
    assert len(tested.counts("accel")) == pytest.approx(200, abs=20)


def test_the_self_test_of_another_chip_is_refused_and_nothing_is_written_to_it() -> None:
    clock = VirtualClock(0)
    bus = ScriptedBus(clock)
    bus.registers[0] = 0x33
    with pytest.raises(DeviceNotFoundError, match="device id is 0x33"):
        finish(Adxl345("adxl345", bus, clock).self_test())
    assert bus.written == []


def test_a_self_test_that_is_broken_off_leaves_the_chip_at_rest() -> None:
    tested = self_test_rig()
    steps = tested.device.self_test()
    next(steps)
    steps.close()
    assert tested.bus.write_read(0x53, b"\x2d", 1) == b"\x00"
