"""A driver above its simulated chip, and the loop that a bus thread runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_collect.clock import VirtualClock
from wban_collect.device import SelfTestResult
from wban_collect.simulation.bus import SimulatedI2CBus
from wban_dataset.recording.streams import Gap, SampleBlock

SECOND = 1_000_000_000


class RestingWorld:
    """Sensors that lie still: 1 g upwards, no turning."""

    end_ns = None

    def begin(self, start_ns: int) -> None:
        """Time needs no zero here."""

    def acceleration(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.tile([0.0, 0.0, 9.80665], (len(times_ns), 1))

    def angular_rate(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.zeros((len(times_ns), 3))


@dataclass
class DriverRig:
    """Runs one driver in virtual time and keeps what it delivers."""

    device: Any
    chip: Any
    bus: SimulatedI2CBus
    clock: VirtualClock
    outputs: list[SampleBlock | Gap] = field(default_factory=list)
    longest_hold_ns: int = 0

    def start(self) -> None:
        self.take(self.device.start(), waits=True)

    def record(self, duration_s: float) -> None:
        end_ns = self.clock.monotonic_ns() + int(duration_s * SECOND)
        while self.device.next_due_ns() < end_ns:
            self.clock.sleep_until_ns(self.device.next_due_ns())
            self.take(self.device.read())

    def take(self, steps: Iterator[Any], *, waits: bool = False) -> None:
        """Go through the steps; a driver that starts says how long it wants to wait between."""
        while True:
            begin_ns = self.clock.monotonic_ns()
            try:
                step = next(steps)
            except StopIteration:
                return
            finally:
                hold_ns = self.clock.monotonic_ns() - begin_ns
                self.longest_hold_ns = max(self.longest_hold_ns, hold_ns)
            if step is not None:
                self.outputs.append(step)
            if waits:
                self.clock.sleep_until_ns(self.device.next_due_ns())

    def self_test(self) -> list[SelfTestResult]:
        """Run the chip's self-test to its end, waiting where it asks for it."""
        results: list[SelfTestResult] = []
        for step in self.device.self_test():
            if step is None:
                self.clock.sleep_until_ns(self.device.next_due_ns())
            else:
                results.append(step)
        return results

    def blocks(self, stream: str) -> list[SampleBlock]:
        return [o for o in self.outputs if isinstance(o, SampleBlock) and o.stream == stream]

    def gaps(self, stream: str) -> list[Gap]:
        return [o for o in self.outputs if isinstance(o, Gap) and o.stream == stream]

    def counts(self, stream: str) -> NDArray[Any]:
        return np.concatenate([block.data for block in self.blocks(stream)])
