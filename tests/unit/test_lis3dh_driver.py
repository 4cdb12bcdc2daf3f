"""The LIS3DH driver against scripted bytes, and against its simulated chip where counts matter."""

from __future__ import annotations

import errno
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.contract.driver_rig import SECOND, DriverRig, RestingWorld
from wban_collect.clock import VirtualClock
from wban_collect.devices import lis3dh_registers as reg
from wban_collect.devices.lis3dh import Lis3dh
from wban_collect.errors import BusError, DeviceDataError, DeviceError, DeviceNotFoundError
from wban_collect.simulation.bus import BusFaults, SimulatedI2CBus
from wban_collect.simulation.lis3dh import SimulatedLis3dh
from wban_dataset.recording.streams import Gap, SampleBlock

MS = 1_000_000
STREAM_10 = 0x80 | 9
"""Watermark 10: the flag rises with one more than the threshold."""


class ScriptedBus:
    """A register file; `answers` overrides what a register reads, one entry after another."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.registers = bytearray(128)
        self.registers[0x0F] = 0x33
        self.registers[0x2F] = 0x20
        self.written: list[tuple[int, int]] = []
        self.answers: dict[int, list[bytes | BusError]] = defaultdict(list)
        self.reads: list[tuple[int, int]] = []
        self.burst_ns = 300_000

    def write(self, address: int, data: bytes) -> None:
        self.clock.sleep_until_ns(self.clock.monotonic_ns() + 100_000)
        register, value = data
        self.written.append((register, value))
        self.registers[register] = value

    def write_read(self, address: int, data: bytes, n_bytes: int) -> bytes:
        took_ns = self.burst_ns if data[0] == 0xA8 else 300_000
        self.clock.sleep_until_ns(self.clock.monotonic_ns() + took_ns)
        self.reads.append((data[0], n_bytes))
        if self.answers[data[0]]:
            answer = self.answers[data[0]].pop(0)
            if isinstance(answer, BusError):
                raise answer
            return answer
        register = data[0] & 0x7F
        return bytes(self.registers[register : register + n_bytes])

    def reopen(self) -> None:
        pass

    def close(self) -> None:
        pass


def made(clock: VirtualClock, **options: Any) -> tuple[Lis3dh, ScriptedBus]:
    bus = ScriptedBus(clock)
    return Lis3dh("lis3dh", bus, clock, **options), bus


def started(**options: Any) -> tuple[Lis3dh, ScriptedBus, VirtualClock]:
    clock = VirtualClock(1_000 * MS)
    device, bus = made(clock, **options)
    run(device, clock)
    bus.written.clear()
    bus.reads.clear()
    return device, bus, clock


def run(device: Lis3dh, clock: VirtualClock) -> None:
    """Set the chip up, waiting where the driver asks for it."""
    for _ in device.start():
        clock.sleep_until_ns(device.next_due_ns())


def finish(steps: Iterator[Any]) -> list[Any]:
    return [step for step in steps if step is not None]


def samples(first: int, n: int) -> bytes:
    """Words whose x counts up in counts of 12 bits."""
    words = np.zeros((n, 3), dtype="<i2")
    words[:, 0] = np.arange(first, first + n)
    words[:, 1] = -words[:, 0]
    words[:, 2] = 250
    return (words << 4).astype("<i2").tobytes()


def level(n: int, *, overrun: bool = False) -> bytes:
    """FIFO_CTRL_REG and FIFO_SRC_REG."""
    source = min(n, 31) | (0x80 if n >= 10 else 0) | (0x20 if n == 0 else 0)
    return bytes((STREAM_10, source | (0x40 if overrun else 0)))


def test_samples_are_signed_little_endian_and_left_justified() -> None:
    raw = bytes.fromhex("f0ff 1000 0080")
    counts = reg.decode_samples(raw)
    assert counts.tolist() == [[-1, 1, -2048]]
    assert counts.dtype.str == "<i2"


def test_the_chip_is_set_up_in_power_down_and_the_fifo_starts_from_bypass_when_it_has_settled() -> (
    None
):
    clock = VirtualClock(0)
    device, bus = made(clock, range_g=8)
    steps = device.start()
    next(steps)
    next(steps)
    assert bus.written == [
        (0x20, 0x00),  # power down
        (0x21, 0x00),
        (0x22, 0x00),  # no interrupt is wired
        (0x23, 0xA8),  # block data update, 8 g, high resolution
        (0x24, 0x40),  # the FIFO is enabled while in bypass, or the data would freeze
        (0x25, 0x00),
        (0x2E, 0x00),  # bypass empties the FIFO
        (0x20, 0x57),  # 100 Hz, all axes
    ]
    assert device.next_due_ns() == clock.monotonic_ns() + 70 * MS  # seven periods
    clock.sleep_until_ns(device.next_due_ns())
    assert list(steps) == []
    assert bus.written[8:] == [(0x2E, 0x89)]  # stream, watermark 10


def test_normal_mode_settles_at_once_and_has_half_the_rate_as_bandwidth() -> None:
    clock = VirtualClock(0)
    device, bus = made(clock, high_resolution=False, range_g=2)
    steps = device.start()
    next(steps)
    next(steps)
    assert (0x23, 0x80) in bus.written
    assert device.next_due_ns() == clock.monotonic_ns() + 11_600_000
    assert device.streams[0].attributes["bandwidth_hz"] == 50.0
    assert device.streams[0].attributes["group_delay_ns"] == 5 * MS


def test_a_wired_line_gets_the_watermark() -> None:
    class NoEdges:
        def edges_ns(self) -> list[int]:
            return []

        def close(self) -> None:
            pass

    _, bus, _ = started(edges=NoEdges(), watermark=5)
    assert (bus.registers[0x22], bus.registers[0x2E]) == (0x04, 0x84)


@pytest.mark.parametrize(
    ("range_g", "counts_per_g"), [(2, 1000), (4, 500), (8, 250), (16, 250 / 3)]
)
def test_the_stream_says_what_counts_mean(range_g: int, counts_per_g: float) -> None:
    device, _, _ = started(sampling_rate_hz=400.0, range_g=range_g, placement="wrist")
    (spec,) = device.streams
    assert (spec.name, spec.kind, spec.units, spec.dtype) == ("accel", "accel", "m s-2", "<i2")
    assert spec.scale_factor == pytest.approx(9.80665 / counts_per_g)
    assert spec.placement == "wrist"
    assert spec.attributes == {
        "range": range_g * 9.80665,
        "clip_counts": round(range_g * counts_per_g) - 1,
        "bandwidth_hz": 400 / 9,
        "group_delay_ns": 8_750_000,
        "watermark": 16,
        "fifo_size": 32,
        "step_counts": 4,
    }


def test_one_burst_drains_the_fifo_and_the_look_before_it_is_the_evidence() -> None:
    device, bus, clock = started()
    clock.sleep_until_ns(device.next_due_ns())
    begin_ns = clock.monotonic_ns()
    bus.answers[0xAE] = [level(3)]
    bus.answers[0xA8] = [samples(1, 3)]
    (block,) = finish(device.read())
    assert isinstance(block, SampleBlock)
    assert block.data.tolist() == [[1, -1, 250], [2, -2, 250], [3, -3, 250]]
    assert (block.first_index, block.segment) == (0, 0)
    assert (block.read.read_start_ns, block.read.read_end_ns) == (begin_ns, begin_ns + 300_000)
    assert block.read.fifo_level == 0
    assert bus.reads == [(0xAE, 2), (0xA8, 18)]


def test_no_burst_is_longer_than_17_samples_and_others_may_go_between() -> None:
    device, bus, _ = started()
    bus.answers[0xAE] = [level(20), level(4)]
    bus.answers[0xA8] = [samples(0, 17), samples(17, 3)]
    steps = list(device.read())
    assert [type(step) for step in steps] == [type(None), SampleBlock]
    assert steps[-1].data[:, 0].tolist() == list(range(20))
    assert bus.reads == [(0xAE, 2), (0xA8, 102), (0xAE, 2), (0xA8, 18)]


def test_an_empty_fifo_is_not_read() -> None:
    device, bus, _ = started()
    assert finish(device.read()) == []
    assert bus.reads == [(0xAE, 2)]


def test_an_overrun_makes_one_gap_and_the_32_that_are_left_a_new_segment() -> None:
    device, bus, clock = started()
    clock.sleep_until_ns(device.next_due_ns() - 20 * MS)
    bus.answers[0xAE] = [level(8)]
    bus.answers[0xA8] = [samples(0, 8)]
    finish(device.read())
    clock.sleep_until_ns(clock.monotonic_ns() + 1_000 * MS)
    begin_ns = clock.monotonic_ns()
    bus.answers[0xAE] = [level(32, overrun=True), level(15)]
    bus.answers[0xA8] = [samples(76, 17), samples(93, 15)]
    gap, block = finish(device.read())
    assert isinstance(gap, Gap)
    assert (gap.stream, gap.cause, gap.exact) == ("accel", "fifo overflow", False)
    # 1 s at 100 Hz, of which the newest 32 survived.
    assert gap.n_missing == pytest.approx(68, abs=2)
    assert (block.first_index, block.segment) == (8, 1)
    assert block.data[:, 0].tolist() == list(range(76, 108))
    # The burst that took the first of a full FIFO bounds the 32nd: nothing is known of a 33rd.
    assert (block.read.read_start_ns, block.read.read_end_ns) == (
        begin_ns + 300_000,
        begin_ns + 600_000,
    )
    assert block.read.fifo_level == 0


def test_an_overrun_in_a_pause_ends_the_segment_that_was_begun() -> None:
    device, bus, clock = started()
    bus.answers[0xAE] = [level(20), level(32, overrun=True), level(29), level(12)]
    bus.answers[0xA8] = [samples(0, 17), samples(40, 3), samples(43, 17), samples(60, 12)]
    reading = device.read()
    assert next(reading) is None
    clock.sleep_until_ns(clock.monotonic_ns() + 500 * MS)
    before, gap, after = finish(reading)
    assert before.data[:, 0].tolist() == list(range(17))
    assert (before.segment, before.read.fifo_level) == (0, 3)
    assert gap.cause == "fifo overflow"
    assert (after.first_index, after.segment) == (17, 1)
    assert after.data[:, 0].tolist() == list(range(40, 72))


def test_a_burst_that_came_too_late_after_its_look_belongs_to_the_gap() -> None:
    """The computer was away between the two: whether the FIFO overflowed, nobody can tell."""
    device, bus, clock = started()
    clock.sleep_until_ns(device.next_due_ns())
    bus.answers[0xAE] = [level(3)]
    bus.answers[0xA8] = [samples(0, 3)]
    finish(device.read())
    bus.answers[0xAE] = [level(5)]
    bus.answers[0xA8] = [samples(70, 5)]
    bus.burst_ns = 400 * MS  # there was room for 27 samples, 270 ms
    assert finish(device.read()) == []
    assert device.next_due_ns() == clock.monotonic_ns()
    bus.burst_ns = MS
    bus.answers[0xAE] = [level(32, overrun=True), level(15)]
    bus.answers[0xA8] = [samples(90, 17), samples(107, 15)]
    gap, block = finish(device.read())
    assert (gap.cause, block.segment, block.first_index) == ("fifo overflow", 1, 3)
    assert block.data[:, 0].tolist() == list(range(90, 122))


def test_what_was_read_before_a_bus_error_is_delivered() -> None:
    device, bus, clock = started()
    bus.answers[0xAE] = [level(20), level(3)]
    bus.answers[0xA8] = [samples(0, 17), BusError("broken off", errno.EIO)]
    reading = device.read()
    assert next(reading) is None
    block = next(reading)
    assert isinstance(block, SampleBlock)
    with pytest.raises(BusError, match="broken off"):
        next(reading)
    assert block.data[:, 0].tolist() == list(range(17))
    assert block.read.fifo_level == 3
    clock.sleep_until_ns(clock.monotonic_ns() + 500 * MS)
    run(device, clock)
    bus.answers[0xAE] = [level(1)]
    bus.answers[0xA8] = [samples(9, 1)]
    gap, block = finish(device.read())
    assert (gap.cause, block.segment, block.first_index) == ("bus error", 1, 17)


@pytest.mark.parametrize("fifo_ctrl", [0x00, 0xFF])
def test_a_chip_that_lost_its_settings_is_noticed_at_the_next_look(fifo_ctrl: int) -> None:
    device, bus, _ = started()
    bus.answers[0xAE] = [bytes((fifo_ctrl, 0x20))]
    with pytest.raises(
        DeviceDataError, match=rf"FIFO_CTRL_REG reads 0x{fifo_ctrl:02x}, expected 0x89"
    ):
        finish(device.read())


@pytest.mark.parametrize("source", [0x25, 0x00, 0x60, 0x7F])
def test_flags_that_contradict_each_other_are_noticed(source: int) -> None:
    device, bus, _ = started()
    bus.answers[0xAE] = [bytes((STREAM_10, source))]
    with pytest.raises(DeviceDataError, match="flags of FIFO_SRC_REG contradict"):
        finish(device.read())


@pytest.mark.parametrize(
    "burst",
    [samples(1, 3)[1:] + b"\x00", b"\xff" * 18, samples(1, 2) + b"\xff" * 6],
    ids=["shifted", "nobody drives the bus", "the last sample"],
)
def test_bytes_that_the_chip_never_sends_are_noticed(burst: bytes) -> None:
    device, bus, _ = started()
    bus.answers[0xAE] = [level(3)]
    bus.answers[0xA8] = [burst]
    with pytest.raises(DeviceDataError, match="bits below its 12"):
        finish(device.read())


def test_a_chip_that_stops_sampling_is_an_error() -> None:
    device, _, clock = started()
    clock.sleep_until_ns(clock.monotonic_ns() + 400 * MS)
    assert finish(device.read()) == []
    clock.sleep_until_ns(clock.monotonic_ns() + 400 * MS)
    with pytest.raises(DeviceError, match=r"no new sample for 0\.8 s"):
        finish(device.read())


@pytest.mark.parametrize(("device_id", "says"), [(0x00, "0x00"), (0xFF, "0xff"), (0x32, "0x32")])
def test_another_chip_is_refused(device_id: int, says: str) -> None:
    clock = VirtualClock(0)
    device, bus = made(clock)
    bus.registers[0x0F] = device_id
    with pytest.raises(DeviceNotFoundError, match=rf"WHO_AM_I is {says}, expected 0x33"):
        run(device, clock)
    assert bus.written == []


@pytest.mark.parametrize("code", [errno.EREMOTEIO, errno.ENXIO])
def test_nobody_there_is_refused(code: int) -> None:
    clock = VirtualClock(0)
    device, bus = made(clock)
    bus.answers[0x0F].append(BusError("not acknowledged", code))
    with pytest.raises(DeviceNotFoundError, match="0x18: nobody answers"):
        run(device, clock)


@pytest.mark.parametrize("register", [0x20, 0x23, 0x2E])
def test_a_setting_that_does_not_hold_is_an_error(register: int) -> None:
    clock = VirtualClock(0)
    device, bus = made(clock)
    bus.answers[register].append(b"\x42")
    with pytest.raises(DeviceError, match=rf"register 0x{register:02x} reads 0x42 after set-up"):
        run(device, clock)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"sampling_rate_hz": 120.0}, "the nearest rate that the chip makes is 100"),
        ({"sampling_rate_hz": 1344.0}, "the nearest rate that the chip makes is 400"),
        ({"sampling_rate_hz": -5.0}, "the nearest rate that the chip makes is 1. Allowed"),
        ({"range_g": 3}, "allowed are 2, 4, 8 and 16"),
        ({"watermark": 32}, "allowed are 1 to 31"),
        ({"watermark": 0}, "allowed are 1 to 31"),
        ({"address": 0x53}, "the chip has 0x18 or 0x19"),
    ],
)
def test_a_setting_the_chip_has_not_is_refused_with_what_is_allowed(
    options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ValueError, match=says):
        made(VirtualClock(0), **options)


def test_making_a_device_does_not_touch_the_bus() -> None:
    _, bus = made(VirtualClock(0))
    assert bus.reads == bus.written == []


def test_stopping_a_chip_that_is_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    device, bus, _ = started()

    def gone(*_: object) -> None:
        raise BusError("gone", errno.EREMOTEIO)

    monkeypatch.setattr(bus, "write", gone)
    device.stop()


def rig(faults: BusFaults | None = None, **chip_options: Any) -> DriverRig:
    clock = VirtualClock(1_000 * SECOND)
    chip = SimulatedLis3dh(RestingWorld(), 3, keep_truth=True, **chip_options)
    bus = SimulatedI2CBus(clock, [chip], faults=faults)
    return DriverRig(Lis3dh("lis3dh", bus, clock), chip, bus, clock)


@pytest.mark.parametrize("pause_s", [0.4, 2.0, 30.0])
@pytest.mark.parametrize("clock_error", [-0.1, 0.0, 0.1])
def test_an_overflow_counts_as_many_samples_as_were_lost(
    pause_s: float, clock_error: float
) -> None:
    recording = rig(clock_error=clock_error)
    recording.start()
    recording.record(10.0)
    recording.clock.sleep_until_ns(recording.clock.monotonic_ns() + int(pause_s * SECOND))
    recording.record(5.0)
    (gap,) = recording.gaps("accel")
    instants_ns = recording.chip.read_instants_ns()
    latched_ns = recording.chip.latch_instants_ns(recording.chip.fifo_first_sample, 6000)
    places = np.searchsorted(latched_ns, instants_ns)
    n_lost = int(np.sum(np.diff(places) - 1))
    assert n_lost > 0
    # The driver's own estimate; sealing counts exactly, from all reads.
    assert gap.n_missing == pytest.approx(n_lost, abs=1 + 0.002 * n_lost)


def test_the_driver_waits_until_high_resolution_has_settled() -> None:
    recording = rig(noise=False, zero_g_offset_g=(0, 0, 0), gain_error=(0, 0, 0))
    recording.start()
    recording.record(1.0)
    # 1 g at 8 g is 250 counts in steps of 4: 248, from the first sample on.
    assert set(recording.counts("accel")[:, 2].tolist()) == {248}


@pytest.mark.parametrize("rate_hz", [1.0, 10.0, 25.0, 400.0])
@pytest.mark.parametrize("clock_error", [-0.1, 0.1])
def test_the_driver_keeps_up_at_its_rates(rate_hz: float, clock_error: float) -> None:
    clock = VirtualClock(1_000 * SECOND)
    chip = SimulatedLis3dh(RestingWorld(), 3, keep_truth=True, clock_error=clock_error)
    bus = SimulatedI2CBus(clock, [chip], effective=0.4)
    recording = DriverRig(Lis3dh("lis3dh", bus, clock, sampling_rate_hz=rate_hz), chip, bus, clock)
    recording.start()
    recording.record(60.0)
    assert recording.gaps("accel") == []
    n_samples = len(recording.counts("accel"))
    assert n_samples == pytest.approx(60 * rate_hz * (1 + clock_error), abs=20)
    first = chip.fifo_first_sample
    assert np.array_equal(chip.read_instants_ns(), chip.latch_instants_ns(first, n_samples))


def test_a_chip_that_came_back_with_its_power_on_settings_is_set_up_again() -> None:
    """It was gone between two reads only: no transfer failed."""
    recording = rig()
    recording.start()
    recording.record(1.0)
    recording.chip.power_cycle(recording.clock.monotonic_ns())
    recording.clock.sleep_until_ns(recording.clock.monotonic_ns() + 10 * MS)
    with pytest.raises(DeviceDataError, match="lost its settings"):
        recording.record(1.0)
    recording.start()
    recording.record(1.0)
    (gap,) = recording.gaps("accel")
    assert gap.cause == "device restarted"
    assert {block.segment for block in recording.blocks("accel")} == {0, 1}


def test_the_self_test_of_a_good_chip_moves_every_axis_as_far_as_the_data_sheet_says() -> None:
    tested = rig()
    results = tested.self_test()
    assert [(r.axis, r.units, r.lowest, r.highest) for r in results] == [
        ("x", "mg", 68.0, 1440.0),
        ("y", "mg", 68.0, 1440.0),
        ("z", "mg", 68.0, 1440.0),
    ]
    # What the simulated chip's force makes, to its gain error and the digit of 4 mg.
    assert [r.change for r in results] == pytest.approx([360, 310, 580], rel=0.1, abs=8)
    assert all(r.passed for r in results)


def test_the_self_test_of_a_stuck_element_fails_on_every_axis() -> None:
    results = rig(self_test_works=False).self_test()
    assert [r.passed for r in results] == [False] * 3
    assert all(r.change < 20 for r in results)


def test_after_the_self_test_the_chip_rests_and_a_start_makes_it_sample_normally() -> None:
    tested = rig(noise=False, zero_g_offset_g=(0, 0, 0), gain_error=(0, 0, 0))
    tested.self_test()
    assert tested.bus.write_read(0x18, b"\x20", 1) == b"\x00"  # power-down
    tested.start()
    tested.record(2.0)
    assert tested.gaps("accel") == []
    assert set(tested.counts("accel")[:, 2].tolist()) == {248}
    assert len(tested.counts("accel")) == pytest.approx(200, abs=20)


def test_the_self_test_of_another_chip_is_refused_and_nothing_is_written_to_it() -> None:
    clock = VirtualClock(0)
    device, bus = made(clock)
    bus.registers[0x0F] = 0x32
    with pytest.raises(DeviceNotFoundError, match="WHO_AM_I is 0x32"):
        finish(device.self_test())
    assert bus.written == []


def test_a_self_test_that_is_broken_off_leaves_the_chip_at_rest() -> None:
    tested = rig()
    steps = tested.device.self_test()
    next(steps)
    steps.close()
    assert tested.bus.write_read(0x18, b"\x20", 1) == b"\x00"
