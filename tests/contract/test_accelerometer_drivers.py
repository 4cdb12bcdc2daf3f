"""What all accelerometer drivers promise, above simulated chips on a simulated bus."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.contract.driver_rig import SECOND, DriverRig
from wban_collect.clock import VirtualClock
from wban_collect.devices.adxl345 import Adxl345
from wban_collect.devices.lis3dh import Lis3dh
from wban_collect.devices.lsm6dsox import Lsm6dsox
from wban_collect.devices.mpu6050 import Mpu6050
from wban_collect.errors import BusError, DeviceError, DeviceNotFoundError
from wban_collect.simulation.adxl345 import SimulatedAdxl345
from wban_collect.simulation.bus import BusFaults, SimulatedI2CBus
from wban_collect.simulation.edges import SimulatedEdges
from wban_collect.simulation.lis3dh import SimulatedLis3dh
from wban_collect.simulation.lsm6dsox import SimulatedLsm6dsox
from wban_collect.simulation.mpu6050 import SimulatedMpu6050
from wban_dataset.recording.evidence import Evidence
from wban_dataset.recording.streams import Gap, SampleBlock
from wban_dataset.recording.timebase import fit

START_NS = 1_000 * SECOND
IDLE_CORE = 0.4
"""Share of 400 kHz that a Pi 4 really gives while its core idles: 160 kHz."""


class SwayingWorld:
    """Slow sines of different rates along the axes, unlike at any two samples."""

    end_ns = None

    def begin(self, start_ns: int) -> None:
        """Time 0 is where the machine's is."""

    def acceleration(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        t = (times_ns - START_NS)[:, None] / 1e9
        return np.array([6.0, 9.0, 12.0]) * np.sin(np.array([0.7, 1.1, 1.9]) * t)

    def angular_rate(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        t = (times_ns - START_NS)[:, None] / 1e9
        return np.array([1.0, 2.0, 3.0]) * np.cos(np.array([0.9, 1.3, 0.5]) * t)


class Rig(DriverRig):
    """The rig of an accelerometer."""

    def blocks(self, stream: str = "accel") -> list[SampleBlock]:
        return super().blocks(stream)

    def gaps(self, stream: str = "accel") -> list[Gap]:
        return super().gaps(stream)

    def counts(self, stream: str = "accel") -> NDArray[np.int16]:
        return super().counts(stream)

    @property
    def period_ns(self) -> float:
        """Before the start the nominal one: some chips have no 100 Hz but something near it."""
        return self.device.streams[0].period_ns

    def latched_ns(self, n: int) -> NDArray[np.int64]:
        """True instants of the first n samples that went into the FIFO since the last start."""
        first = getattr(self.chip, "fifo_first_sample", 0)
        return self.chip.latch_instants_ns(first, n)


def adxl345_rig(
    *,
    rate_hz: float = 100.0,
    clock_error: float = 0.0,
    ideal: bool = False,
    edges: bool = False,
    effective: float = IDLE_CORE,
    faults: BusFaults | None = None,
) -> Rig:
    clock = VirtualClock(START_NS)
    chip = SimulatedAdxl345(
        SwayingWorld(), 1, clock_error=clock_error, ideal=ideal, keep_truth=True
    )
    line = chip.int1 = SimulatedEdges(clock, chip, seed=2) if edges else None
    bus = SimulatedI2CBus(clock, [chip], effective=effective, faults=faults)
    device = Adxl345("adxl345", bus, clock, sampling_rate_hz=rate_hz, edges=line)
    return Rig(device, chip, bus, clock)


def adxl345_with_interrupt_rig(**options: Any) -> Rig:
    return adxl345_rig(edges=True, **options)


def lis3dh_rig(
    *,
    rate_hz: float = 100.0,
    clock_error: float = 0.0,
    ideal: bool = False,
    edges: bool = False,
    effective: float = IDLE_CORE,
    faults: BusFaults | None = None,
) -> Rig:
    clock = VirtualClock(START_NS)
    chip = SimulatedLis3dh(SwayingWorld(), 1, clock_error=clock_error, ideal=ideal, keep_truth=True)
    line = chip.int1 = SimulatedEdges(clock, chip, seed=2) if edges else None
    bus = SimulatedI2CBus(clock, [chip], effective=effective, faults=faults)
    device = Lis3dh("lis3dh", bus, clock, sampling_rate_hz=rate_hz, edges=line)
    return Rig(device, chip, bus, clock)


def lis3dh_with_interrupt_rig(**options: Any) -> Rig:
    return lis3dh_rig(edges=True, **options)


def mpu_rig(
    model: str,
    *,
    rate_hz: float = 100.0,
    clock_error: float = 0.0,
    ideal: bool = False,
    effective: float = IDLE_CORE,
    faults: BusFaults | None = None,
) -> Rig:
    clock = VirtualClock(START_NS)
    chip = SimulatedMpu6050(
        SwayingWorld(), 1, model=model, clock_error=clock_error, ideal=ideal, keep_truth=True
    )
    bus = SimulatedI2CBus(clock, [chip], effective=effective, faults=faults)
    return Rig(Mpu6050("mpu6050", bus, clock, sampling_rate_hz=rate_hz), chip, bus, clock)


def mpu6050_rig(**options: Any) -> Rig:
    return mpu_rig("mpu6050", **options)


def mpu6500_rig(**options: Any) -> Rig:
    return mpu_rig("mpu6500", **options)


def lsm6dsox_rig(
    *,
    rate_hz: float = 100.0,
    clock_error: float = 0.0,
    ideal: bool = False,
    effective: float = IDLE_CORE,
    faults: BusFaults | None = None,
) -> Rig:
    clock = VirtualClock(START_NS)
    chip = SimulatedLsm6dsox(
        SwayingWorld(), 1, clock_error=clock_error, ideal=ideal, keep_truth=True
    )
    bus = SimulatedI2CBus(clock, [chip], effective=effective, faults=faults)
    return Rig(Lsm6dsox("lsm6dsox", bus, clock, sampling_rate_hz=rate_hz), chip, bus, clock)


MakeRig = Callable[..., Rig]
WITH_INTERRUPT = [adxl345_with_interrupt_rig, lis3dh_with_interrupt_rig]
every_driver = pytest.mark.parametrize(
    "make_rig",
    [
        adxl345_rig,
        lis3dh_rig,
        lsm6dsox_rig,
        mpu6050_rig,
        mpu6500_rig,
        *WITH_INTERRUPT,
    ],
)


@every_driver
@pytest.mark.parametrize("clock_error", [-0.03, 0.0, 0.03])
def test_every_latched_sample_is_delivered_once_and_in_order(
    make_rig: MakeRig, clock_error: float
) -> None:
    rig = make_rig(clock_error=clock_error)
    n_nominal = 60e9 / rig.period_ns
    rig.start()
    rig.record(60.0)
    # A minute at 100 Hz or so, less what is still in the FIFO.
    n_samples = len(rig.counts())
    assert n_samples == pytest.approx(n_nominal * (1 + clock_error), abs=40)
    assert np.array_equal(rig.chip.read_instants_ns(), rig.latched_ns(n_samples))
    for stream in (spec.name for spec in rig.device.streams):
        blocks = rig.blocks(stream)
        ends = np.cumsum([block.n_samples for block in blocks])
        assert [block.first_index for block in blocks] == [0, *ends[:-1].tolist()]
        assert {block.segment for block in blocks} == {0}
        assert rig.gaps(stream) == []


@every_driver
def test_each_read_bounds_its_samples_as_the_evidence_says(make_rig: MakeRig) -> None:
    rig = make_rig(clock_error=0.02)
    rig.start()
    rig.record(20.0)
    latched_ns = rig.latched_ns(len(rig.counts()) + 40)
    for block in rig.blocks():
        newest = block.first_index + block.n_samples + block.read.fifo_level - 1
        assert latched_ns[newest] <= block.read.read_end_ns
        assert latched_ns[newest + 1] > block.read.read_start_ns


@pytest.mark.parametrize("make_rig", WITH_INTERRUPT)
def test_an_interrupts_stamp_belongs_to_the_watermarks_sample(make_rig: MakeRig) -> None:
    rig = make_rig(clock_error=-0.03)
    rig.start()
    rig.record(20.0)
    latched_ns = rig.latched_ns(len(rig.counts()))
    watermark = rig.device.streams[0].attributes["watermark"]
    latencies_ns = [
        block.read.edge_ns - latched_ns[block.first_index + watermark - 1]
        for block in rig.blocks()
        if block.read.edge_ns
    ]
    assert len(latencies_ns) == len(rig.blocks())
    # 20 us at least; 3.9 ms and the exponential part of a late one at most.
    assert min(latencies_ns) >= 20_000
    assert max(latencies_ns) < 4_500_000


@every_driver
@pytest.mark.parametrize("clock_error", [-0.03, 0.03])
def test_stamps_fitted_from_the_evidence_are_true(make_rig: MakeRig, clock_error: float) -> None:
    rig = make_rig(clock_error=clock_error)
    rig.start()
    rig.record(60.0)
    blocks = rig.blocks()
    (watermark,) = {spec.attributes["watermark"] for spec in rig.device.streams}
    evidence = Evidence.from_reads(
        "fifo",
        rig.period_ns,
        int(watermark),
        first_index=[block.first_index for block in blocks],
        n=[block.n_samples for block in blocks],
        segment=[block.segment for block in blocks],
        reads=[block.read for block in blocks],
    )
    stamps_ns, _ = fit(evidence)
    errors_ms = (stamps_ns - rig.latched_ns(len(stamps_ns))) / 1e6
    limit_ms = 0.05 if make_rig in WITH_INTERRUPT else 0.3
    assert np.sqrt(np.mean(errors_ms**2)) <= limit_ms


@every_driver
def test_a_bad_bus_costs_segments_but_never_order(make_rig: MakeRig) -> None:
    faults = BusFaults(
        nack_probability=0.01, clock_timeout_probability=0.005, garbage_probability=0.0003
    )
    rig = make_rig(faults=faults)
    n_failures = 0
    while rig.clock.monotonic_ns() < START_NS + 60 * SECOND:
        try:
            rig.start()
            rig.record((START_NS + 60 * SECOND - rig.clock.monotonic_ns()) / SECOND)
        except (BusError, DeviceError):
            n_failures += 1
    assert n_failures > 5
    for stream in (spec.name for spec in rig.device.streams):
        blocks, gaps = rig.blocks(stream), rig.gaps(stream)
        ends = np.cumsum([block.n_samples for block in blocks])
        assert [block.first_index for block in blocks] == [0, *ends[:-1].tolist()]
        assert [block.segment for block in blocks] == sorted(block.segment for block in blocks)
        # Every break is told, and told once.
        assert len(gaps) == blocks[-1].segment
        assert all(earlier.stop_ns <= later.start_ns for earlier, later in pairwise(gaps))


def test_polls_do_not_lock_to_the_chips_phase() -> None:
    rig = adxl345_rig(clock_error=0.0)
    rig.start()
    rig.record(20.0)
    latched_ns = rig.latched_ns(len(rig.counts()))
    ages = [
        (block.read.read_end_ns - latched_ns[block.first_index + block.n_samples - 1]) / 10e6
        for block in rig.blocks()
    ]
    # Of 190 reads at 10 ms, one in ten falls in each tenth of the period.
    histogram, _ = np.histogram(np.array(ages) % 1.0, bins=10, range=(0.0, 1.0))
    assert histogram.min() >= 12


@every_driver
def test_the_bus_is_held_for_three_milliseconds_at_most(make_rig: MakeRig) -> None:
    rig = make_rig(rate_hz=200.0, effective=1.0)
    rig.start()
    rig.record(2.0)
    rig.clock.sleep_until_ns(rig.clock.monotonic_ns() + SECOND // 8)
    rig.record(1.0)
    assert rig.longest_hold_ns <= 3_500_000


@every_driver
def test_an_ideal_chips_values_are_the_worlds_within_half_a_count(make_rig: MakeRig) -> None:
    rig = make_rig(ideal=True)
    rig.start()
    rig.record(10.0)
    world = SwayingWorld()
    latched_ns = rig.latched_ns(len(rig.counts()))
    for spec in rig.device.streams:
        truth = world.acceleration if spec.kind == "accel" else world.angular_rate
        measured = rig.counts(spec.name) * spec.scale_factor
        step = spec.scale_factor * int(spec.attributes.get("step_counts", 1))
        assert np.abs(measured - truth(latched_ns)).max() <= step * 0.5000001


@every_driver
def test_an_overflow_makes_one_gap_and_a_new_segment(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.start()
    rig.record(2.0)
    n_before = len(rig.counts())
    # 170 samples of an LSM6DSOX fit in its FIFO, of the others 33 at most.
    pause_ns = int(3.3 * SECOND) if isinstance(rig.device, Lsm6dsox) else 2 * SECOND
    rig.clock.sleep_until_ns(rig.clock.monotonic_ns() + pause_ns)
    rig.record(2.0)
    instants_ns = rig.chip.read_instants_ns()
    for stream in (spec.name for spec in rig.device.streams):
        (gap,) = rig.gaps(stream)
        assert gap.cause == "fifo overflow"
        blocks = rig.blocks(stream)
        assert {block.segment for block in blocks if block.first_index < n_before} == {0}
        assert {block.segment for block in blocks if block.first_index >= n_before} == {1}
        # The gap lies between the samples on both sides of it, to about one period.
        assert gap.start_ns == pytest.approx(instants_ns[n_before - 1], abs=12_000_000)
        after_ns = instants_ns[instants_ns > instants_ns[n_before - 1] + 50_000_000][0]
        if isinstance(rig.device, Adxl345 | Lis3dh | Lsm6dsox):
            assert gap.stop_ns == pytest.approx(after_ns, abs=12_000_000)
        if gap.exact:  # counted by the chip's own time
            latched_ns = rig.latched_ns(1000)
            n_lost = np.sum((latched_ns > instants_ns[n_before - 1]) & (latched_ns < after_ns))
            assert gap.n_missing == n_lost
        else:
            assert gap.n_missing == round((gap.stop_ns - gap.start_ns) / 10e6) - 1
        assert 150 < gap.n_missing < 205


@every_driver
def test_a_chip_that_was_unplugged_comes_back_in_a_new_segment(make_rig: MakeRig) -> None:
    address = make_rig().chip.address
    rig = make_rig(
        faults=BusFaults(unplugged_spans_ns={address: ((3 * SECOND, 5 * SECOND),)}),
    )
    rig.start()
    with pytest.raises(BusError):
        rig.record(4.0)
    n_before = len(rig.counts())
    with pytest.raises(DeviceNotFoundError, match="nobody answers"):
        rig.start()
    rig.clock.sleep_until_ns(START_NS + 6 * SECOND)
    rig.start()
    rig.record(2.0)
    for stream in (spec.name for spec in rig.device.streams):
        (gap,) = rig.gaps(stream)
        assert gap.cause == "bus error"
        assert START_NS + 2.8 * SECOND < gap.start_ns < START_NS + 3 * SECOND
        assert START_NS + 6 * SECOND < gap.stop_ns < START_NS + 6.4 * SECOND
        blocks = rig.blocks(stream)
        assert [b.segment for b in blocks] == [int(b.first_index >= n_before) for b in blocks]
        ends = np.cumsum([block.n_samples for block in blocks])
        assert [block.first_index for block in blocks] == [0, *ends[:-1].tolist()]


@every_driver
def test_a_restart_without_an_error_is_a_gap_too(make_rig: MakeRig) -> None:
    rig = make_rig()
    rig.start()
    rig.record(1.0)
    rig.start()
    rig.record(1.0)
    (gap,) = rig.gaps()
    assert gap.cause == "device restarted"
    assert {block.segment for block in rig.blocks()} == {0, 1}


def test_a_clock_chip_at_the_same_address_is_refused() -> None:
    clock = VirtualClock(START_NS)
    chip = SimulatedMpu6050(SwayingWorld(), 1, who_am_i=0x12 ^ 0xFF)
    bus = SimulatedI2CBus(clock, [chip])
    rig = Rig(Mpu6050("mpu6050", bus, clock), chip, bus, clock)
    with pytest.raises(DeviceNotFoundError, match="WHO_AM_I is 0xed"):
        rig.start()


@every_driver
def test_a_line_of_noise_on_the_bus_is_never_taken_for_a_long_recording(
    make_rig: MakeRig,
) -> None:
    """Every transfer garbled: set-up must not succeed."""
    rig = make_rig(faults=BusFaults(garbage_probability=1.0))
    with pytest.raises(DeviceNotFoundError):
        rig.start()


@pytest.mark.parametrize("rate_hz", [12.5, 52.0, 400.0, 833.0])
def test_the_lsm6dsox_keeps_up_at_its_rates(rate_hz: float) -> None:
    rig = lsm6dsox_rig(rate_hz=rate_hz, clock_error=0.05, effective=1.0)
    n_nominal = 10e9 / rig.period_ns
    rig.start()
    rig.record(10.0)
    assert rig.gaps() == []
    n_samples = len(rig.counts())
    assert n_samples == pytest.approx(n_nominal * 1.05, abs=40)
    assert np.array_equal(rig.chip.read_instants_ns(), rig.latched_ns(n_samples))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_lsm6dsox_delivers_or_counts_every_sample_however_late_it_is_read(seed: int) -> None:
    chance = random.Random(seed)
    rig = lsm6dsox_rig(rate_hz=416.0, ideal=True)
    rig.start()
    while rig.clock.monotonic_ns() < START_NS + 30 * SECOND:
        rig.clock.sleep_until_ns(rig.device.next_due_ns() + int(chance.expovariate(1 / 2e8)))
        for step in rig.device.read():
            if step is None:  # others have the bus
                rig.clock.sleep_until_ns(rig.clock.monotonic_ns() + chance.choice([0, 60_000_000]))
            else:
                rig.outputs.append(step)
    read_ns = rig.chip.read_instants_ns()
    latched_ns = rig.latched_ns(20_000)
    latched_ns = latched_ns[latched_ns >= read_ns[0]]
    world = SwayingWorld()
    for spec in rig.device.streams:
        truth = world.acceleration if spec.kind == "accel" else world.angular_rate
        n_counted = 0
        for output in (output for output in rig.outputs if output.stream == spec.name):
            if isinstance(output, Gap):
                assert output.exact
                n_counted += output.n_missing
            else:
                # The block's samples are of the very instants that follow on all counted before.
                instants_ns = latched_ns[n_counted : n_counted + output.n_samples]
                errors = output.data * spec.scale_factor - truth(instants_ns)
                assert np.abs(errors).max() <= spec.scale_factor * 0.5000001
                n_counted += output.n_samples
        assert len(rig.gaps(spec.name)) > 10
        assert latched_ns[n_counted - 1] == read_ns[-1]


@pytest.mark.parametrize("rate_hz", [25.0, 200.0, 400.0])
def test_the_adxl345_keeps_up_at_its_rates(rate_hz: float) -> None:
    rig = adxl345_rig(rate_hz=rate_hz, clock_error=0.05)
    rig.start()
    rig.record(10.0)
    assert rig.gaps() == []
    assert len(rig.counts()) == pytest.approx(10 * rate_hz * 1.05, abs=40)


@pytest.mark.parametrize("rate_hz", [4.0, 25.0, 500.0, 1000.0])
def test_the_mpu_keeps_up_at_its_rates(rate_hz: float) -> None:
    rig = mpu6500_rig(rate_hz=rate_hz, clock_error=-0.05, effective=1.0)
    rig.start()
    rig.record(10.0)
    assert rig.gaps() == []
    assert len(rig.counts()) == pytest.approx(10 * rate_hz * 0.95, abs=40)


def test_the_6050_makes_400_hz() -> None:
    rig = mpu6050_rig(rate_hz=400.0, clock_error=0.03)
    rig.start()
    rig.record(10.0)
    n_samples = len(rig.counts("gyro"))
    assert rig.gaps() == []
    assert n_samples == pytest.approx(4120, abs=40)
    assert np.array_equal(rig.chip.read_instants_ns(), rig.latched_ns(n_samples))
