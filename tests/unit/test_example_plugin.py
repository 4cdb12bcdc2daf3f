"""The driver of docs/example_plugin keeps the promises that its page makes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.contract.driver_rig import SECOND, DriverRig
from tests.unit.plugin_packages import EXAMPLE
from wban_collect.clock import VirtualClock
from wban_collect.errors import BusError, DeviceError, DeviceNotFoundError
from wban_collect.simulation.bus import BusFaults, SimulatedI2CBus

G = 9.80665


class CountingWorld:
    """x grows by 16 counts of 1/2048 g every 20 ms, 400 times, then anew; y 0 g, z 1 g."""

    end_ns = None

    def __init__(self) -> None:
        self.begun_ns: int | None = None

    def begin(self, start_ns: int) -> None:
        self.begun_ns = self.begun_ns or start_ns

    def acceleration(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        assert self.begun_ns is not None
        number = (times_ns - self.begun_ns) / 20e6
        return np.stack([number % 400 * 16 / 2048 * G, 0 * number, 0 * number + G], axis=1)


@pytest.fixture
def modules(monkeypatch: pytest.MonkeyPatch) -> tuple[Any, Any]:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    return __import__("wban_mma8451"), __import__("simulated_mma8451")


def rig(
    modules: tuple[Any, Any],
    *,
    clock_error: float = 0.0,
    faults: BusFaults | None = None,
    **options: Any,
) -> DriverRig:
    driver, simulated = modules
    clock = VirtualClock(1_000 * SECOND)
    world = CountingWorld()
    chip = simulated.SimulatedMma8451(world, 1, address=0x1D, clock_error=clock_error)
    bus = SimulatedI2CBus(clock, [chip], effective=0.4, faults=faults)
    device = driver.Mma8451(
        "mma8451", bus, clock, stream="accel", address=0x1D, placement="", **options
    )
    return DriverRig(device, chip, bus, clock)


def numbers(recording: DriverRig) -> NDArray[np.int64]:
    """Which sample each delivered one is; noise is two counts, a sample sixteen."""
    return np.rint(recording.counts("accel")[:, 0] / 16).astype(np.int64)


def test_every_sample_is_delivered_once_and_bounded_by_two_polls(modules: Any) -> None:
    recording = rig(modules)
    recording.start()
    recording.record(60.0)
    found = numbers(recording)
    assert found.tolist() == [k % 400 for k in range(len(found))]
    assert len(found) == pytest.approx(3000, abs=10)
    assert recording.gaps("accel") == []
    world_start_ns = recording.chip._world.begun_ns
    for block in recording.blocks("accel")[1:]:
        latched_ns = world_start_ns + block.first_index * 20_000_000
        assert block.read.read_start_ns < latched_ns <= block.read.read_end_ns
        assert block.read.read_end_ns - block.read.read_start_ns < 6_000_000


@pytest.mark.parametrize("clock_error", [-0.02, 0.02])
def test_a_chip_whose_clock_is_off_loses_nothing(modules: Any, clock_error: float) -> None:
    recording = rig(modules, clock_error=clock_error)
    recording.start()
    recording.record(30.0)
    assert recording.gaps("accel") == []
    assert len(recording.counts("accel")) == pytest.approx(1500 * (1 + clock_error), abs=5)


def test_one_g_is_what_the_range_says(modules: Any) -> None:
    for range_g, counts in ((2, 4096), (4, 2048), (8, 1024)):
        recording = rig(modules, range_g=range_g)
        recording.start()
        recording.record(1.0)
        assert np.median(recording.counts("accel")[:, 2]) == pytest.approx(counts, abs=3)
        (spec,) = recording.device.streams
        assert counts * spec.scale_factor == pytest.approx(G)


def test_samples_that_came_and_went_are_a_gap(modules: Any) -> None:
    recording = rig(modules)
    recording.start()
    recording.record(1.0)
    n_before = len(recording.counts("accel"))
    recording.clock.sleep_until_ns(recording.clock.monotonic_ns() + SECOND)
    recording.record(1.0)
    (gap,) = recording.gaps("accel")
    found = numbers(recording)
    assert gap.cause == "missed"
    assert gap.n_missing == pytest.approx(found[n_before] - found[n_before - 1] - 1, abs=1)
    assert [b.segment for b in recording.blocks("accel")] == [
        int(b.first_index >= n_before) for b in recording.blocks("accel")
    ]


def test_a_chip_that_was_unplugged_comes_back_in_a_new_segment(modules: Any) -> None:
    spans = {0x1D: ((3 * SECOND, 5 * SECOND),)}
    recording = rig(modules, faults=BusFaults(unplugged_spans_ns=spans))
    recording.start()
    with pytest.raises(BusError):
        recording.record(4.0)
    with pytest.raises(DeviceNotFoundError, match="nobody answers"):
        recording.start()
    recording.clock.sleep_until_ns(1_006 * SECOND)
    recording.start()
    recording.record(2.0)
    (gap,) = recording.gaps("accel")
    assert gap.cause == "bus error"
    assert gap.n_missing == pytest.approx(150, abs=5)
    assert {block.segment for block in recording.blocks("accel")} == {0, 1}


def test_a_chip_that_lost_its_settings_is_noticed(modules: Any) -> None:
    recording = rig(modules)
    recording.start()
    recording.record(1.0)
    recording.chip.power_cycle(recording.clock.monotonic_ns())
    with pytest.raises(DeviceError, match=r"no new sample for 0\.7 s"):
        recording.record(2.0)


def test_another_chip_is_refused(modules: Any) -> None:
    recording = rig(modules)
    recording.chip._registers[0x0D] = 0x2A  # an MMA8452Q
    with pytest.raises(DeviceNotFoundError, match="WHO_AM_I is 0x2a, expected 0x1a"):
        recording.start()


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"sampling_rate_hz": 60.0}, "allowed are 100, 50, 12.5, 6.25"),
        ({"range_g": 16}, "allowed are 2, 4 and 8"),
    ],
)
def test_a_setting_the_chip_has_not_is_refused(
    modules: Any, options: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        rig(modules, **options)
