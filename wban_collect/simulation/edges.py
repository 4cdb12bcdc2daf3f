"""Interrupt lines of simulated chips, with the latency of the kernel's stamps."""

from __future__ import annotations

import random
import time
from collections import deque
from typing import Protocol

from wban_collect.clock import Clock


class InterruptingChip(Protocol):
    """A chip with an interrupt pin."""

    def advance(self, now_ns: int) -> None:
        """Come up to an instant, so that the edges until then are told."""
        ...


class SimulatedEdges:
    """Implements `wban_collect.gpio.EdgeSource` for one pin of a simulated chip.

    Wired by ``chip.int1 = SimulatedEdges(clock, chip, seed=seed)``, before the chip is set up.
    The chip tells each rising edge (`rise`); `edges_ns` gives its stamp as the kernel would take
    it: `least_latency_ns` later, plus an exponential part, plus about 3 ms in 2 % of the cases
    (another interrupt was being served). Stamps keep their order. An edge is not seen before its
    stamp.

    Attributes
    ----------
    simulation_thread_time_ns
        Thread time spent in the chip from here.
    """

    def __init__(
        self,
        clock: Clock,
        chip: InterruptingChip,
        *,
        seed: int = 0,
        least_latency_ns: int = 20_000,
        mean_extra_ns: int = 20_000,
        outlier_probability: float = 0.02,
        outlier_ns: int = 3_000_000,
    ) -> None:
        self._clock = clock
        self._chip = chip
        self._random = random.Random(seed)
        self._least_latency_ns = least_latency_ns
        self._mean_extra_ns = mean_extra_ns
        self._outlier_probability = outlier_probability
        self._outlier_ns = outlier_ns
        self._stamps: deque[int] = deque()
        self._newest_stamp_ns = 0
        self._open = True
        self.simulation_thread_time_ns = 0

    def rise(self, instant_ns: int) -> None:
        """Take a rising edge of the pin at `instant_ns`."""
        if not self._open:
            return
        latency_ns = self._least_latency_ns
        if self._mean_extra_ns:
            latency_ns += round(self._random.expovariate(1.0 / self._mean_extra_ns))
        if self._random.random() < self._outlier_probability:
            latency_ns += round(self._outlier_ns * self._random.uniform(0.7, 1.3))
        self._newest_stamp_ns = max(instant_ns + latency_ns, self._newest_stamp_ns + 1)
        self._stamps.append(self._newest_stamp_ns)

    def edges_ns(self) -> list[int]:
        """Stamps of all edges since the last call, oldest first; never waits."""
        began = time.thread_time_ns()
        now_ns = self._clock.monotonic_ns()
        self._chip.advance(now_ns)
        seen: list[int] = []
        while self._stamps and self._stamps[0] <= now_ns:
            seen.append(self._stamps.popleft())
        self.simulation_thread_time_ns += time.thread_time_ns() - began
        return seen

    def close(self) -> None:
        """Give the line back; edges are no longer taken."""
        self._open = False
        self._stamps.clear()
