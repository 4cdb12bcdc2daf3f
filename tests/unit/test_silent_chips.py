"""A chip that answers and delivers nothing is set up anew in time; the watchdog never starves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from wban_collect.assembly import Simulation, simulated_parts
from wban_collect.bus import BusWorker
from wban_collect.clock import VirtualClock
from wban_collect.config import Config, MotionConfig, ThermalConfig
from wban_collect.device import DeviceOutput
from wban_collect.simulation.bus import SimulatedI2CBus
from wban_collect.simulation.people import one_activity
from wban_collect.vitals import LONGEST_SILENCE_NS
from wban_dataset.recording.streams import Gap

SECOND = 1_000_000_000
START_NS = 1000 * SECOND
BEGIN_NS, END_NS = START_NS + 2 * SECOND, START_NS + 30 * SECOND
WELL_WITHIN_NS = LONGEST_SILENCE_NS - 2 * SECOND
LEAST_SAMPLES = 8
"""After END_NS the chip is well again for a while, whatever the pause before its next attempt."""

Answer = Callable[[bytes], bytes]


@dataclass(frozen=True)
class Lie:
    """What becomes of the answers to reads of 2 bytes from one register."""

    config: Config
    register: bytes
    answer: Answer


def motion(driver: Any) -> Config:
    return Config(motion=[MotionConfig(driver=driver)], thermal=[ThermalConfig()])


LIES = {
    "MPU-6050, empty FIFO": Lie(motion("mpu6050"), b"\x72", lambda _: b"\0\0"),
    "MPU-6050, misaligned FIFO": Lie(motion("mpu6050"), b"\x72", lambda _: b"\0\7"),
    "MPU-6050, full FIFO": Lie(motion("mpu6050"), b"\x72", lambda _: b"\4\0"),
    "ADXL345, empty FIFO": Lie(motion("adxl345"), b"\x38", lambda true: true[:1] + b"\0"),
    "LIS3DH, empty FIFO": Lie(motion("lis3dh"), b"\xae", lambda true: true[:1] + b"\x20"),
    "LSM6DSOX, empty FIFO": Lie(motion("lsm6dsox"), b"\x3a", lambda _: b"\0\0"),
    "MLX90640, no new subpage": Lie(
        motion("mpu6050"), b"\x80\x00", lambda true: bytes((true[0], true[1] & ~0x08))
    ),
    "MLX90640, always torn": Lie(
        motion("mpu6050"), b"\x80\x00", lambda true: bytes((true[0], true[1] | 0x08))
    ),
    "MLX90640 at 0.5 Hz, no new subpage": Lie(
        Config(motion=[MotionConfig()], thermal=[ThermalConfig(refresh_hz=0.5)]),
        b"\x80\x00",
        lambda true: bytes((true[0], true[1] & ~0x08)),
    ),
}


class LyingBus(SimulatedI2CBus):
    """Between two instants some register's answers are not the chip's."""

    lie: Lie

    def __init__(self, clock: VirtualClock, chips: Sequence[Any], **settings: Any) -> None:
        super().__init__(clock, chips, **settings)
        self._time = clock

    def write_read(self, address: int, data: bytes, n_bytes: int) -> bytes:
        true = super().write_read(address, data, n_bytes)
        lies = BEGIN_NS <= self._time.monotonic_ns() < END_NS
        asked = data == self.lie.register and n_bytes == 2
        return self.lie.answer(true) if lies and asked else true


@dataclass
class Watched:
    """A bus worker and what the watchdog sees of its devices.

    Attributes
    ----------
    mute_ns
        By device, the longest time with neither samples nor an attempt at it.
    n_samples
        By stream, since END_NS.
    """

    config: Config
    lie: Lie | None = None
    mute_ns: dict[str, int] = field(default_factory=dict[str, int])
    n_samples: dict[str, int] = field(default_factory=dict[str, int])
    gaps: list[Gap] = field(default_factory=list[Gap])
    heard_ns: dict[str, int] = field(default_factory=dict[str, int])

    def run(self, until_ns: int) -> None:
        classes: dict[str, Any] = {}
        if self.lie is not None:
            classes["bus"] = type("Bus", (LyingBus,), {"lie": self.lie})
        world = one_activity("walking", 1)
        part = simulated_parts(self.config, Simulation(world, 1, True, START_NS, classes=classes))
        (bus,) = part.buses
        worker = BusWorker("i2c-1", bus.bus, bus.devices, bus.clock, self._take, _meet)
        streams = {spec.name: device.name for device in bus.devices for spec in device.streams}
        while bus.clock.monotonic_ns() < until_ns:
            bus.clock.sleep_until_ns(worker.next_due_ns())
            self._now_ns = bus.clock.monotonic_ns()
            self._watch(worker, streams)
            worker.step()

    def _watch(self, worker: BusWorker, streams: dict[str, str]) -> None:
        attempts_ns = worker.attempts_ns()
        for stream, device in streams.items():
            newest_ns = max(attempts_ns[device], self.heard_ns.get(stream, 0))
            mute_ns = self._now_ns - newest_ns
            self.mute_ns[device] = max(self.mute_ns.get(device, 0), mute_ns)

    def _take(self, output: DeviceOutput) -> None:
        if isinstance(output, Gap):
            self.gaps.append(output)
            return
        self.heard_ns[output.stream] = self._now_ns
        if self._now_ns >= END_NS:
            self.n_samples.setdefault(output.stream, 0)
            self.n_samples[output.stream] += len(output.data)


def _meet(_device: object) -> None:
    """Nobody needs to know."""


@pytest.mark.parametrize("name", LIES)
def test_a_chip_that_answers_and_delivers_nothing_never_stops_the_watchdog(name: str) -> None:
    lie = LIES[name]
    watched = Watched(lie.config, lie)
    watched.run(END_NS + 25 * SECOND)
    assert max(watched.mute_ns.values()) < WELL_WITHIN_NS, watched.mute_ns
    silent = "thermal" if name.startswith("MLX") else "accel"
    assert watched.n_samples[silent] >= LEAST_SAMPLES  # it came back by itself
    others = {gap.stream for gap in watched.gaps} - {silent, "gyro"}
    assert not others, "the other chip of the bus lost something"


def test_a_bus_that_is_asked_for_too_much_forgets_nobody() -> None:
    overload = Config(
        motion=[MotionConfig(sampling_rate_hz=1000.0)], thermal=[ThermalConfig(refresh_hz=64.0)]
    )
    watched = Watched(overload)
    watched.run(START_NS + 40 * SECOND)
    assert max(watched.mute_ns.values()) < WELL_WITHIN_NS, watched.mute_ns


def test_a_chip_that_is_slow_on_purpose_is_not_taken_for_a_silent_one() -> None:
    slow = Config(motion=[MotionConfig(driver="lis3dh", sampling_rate_hz=1.0, watermark=16)])
    watched = Watched(slow)
    watched.run(START_NS + 200 * SECOND)
    assert not watched.gaps
    assert watched.n_samples["accel"] >= 16 * 9
    assert max(watched.mute_ns.values()) < WELL_WITHIN_NS, watched.mute_ns
