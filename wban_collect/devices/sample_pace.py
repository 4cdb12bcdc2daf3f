"""When a chip will have its next samples: enough to plan reads, not to stamp them."""

from __future__ import annotations

PERIOD_GAIN = 0.3
"""Share of a phase error that is put down to the period. Errors arise only where the line is proved
wrong, so that the loop is quiet once it fits; 0.3 learns a 5 % clock error in about ten reads."""

LATE_EDGE_TRUST = 0.2
"""Share of an edge's lateness that is believed: now and then an interrupt is served 3 ms late."""


class SamplePace:
    """A running line through the instants at which a chip latches its samples.

    Each look at the chip says "this one was there, the next was not"; the line is moved just as far
    as that needs. Stamps are fitted later from the same looks, all of them at once (`timebase`).

    Parameters
    ----------
    nominal_period_ns
        Period that the chip's settings promise.
    tolerance
        How wrong the chip's own clock may be, as a fraction.
    """

    def __init__(self, nominal_period_ns: float, tolerance: float) -> None:
        self.period_ns = nominal_period_ns
        self._shortest_ns = nominal_period_ns * (1 - tolerance)
        self._longest_ns = nominal_period_ns * (1 + tolerance)
        self._index = 0
        self._latch_ns = 0.0

    def restart(self, index: int, latch_ns: float) -> None:
        """Begin anew with a guess of when sample `index` is latched; the period is kept."""
        self._index = index
        self._latch_ns = latch_ns

    def observe(self, newest: int, start_ns: int, end_ns: int) -> None:
        """Learn that `newest` was latched by `end_ns`, and the next not before `start_ns`."""
        self._move(newest, start_ns - self.period_ns, end_ns)

    def observe_edge(self, index: int, edge_ns: int, latency_ns: int) -> None:
        """Learn that `index` was latched before `edge_ns`, usually by at most `latency_ns`."""
        late = self.latch_ns(index) < edge_ns - latency_ns
        self._move(index, edge_ns - latency_ns, edge_ns, trust=LATE_EDGE_TRUST if late else 1.0)

    def latch_ns(self, index: float) -> float:
        """When sample `index` is or was latched."""
        return self._latch_ns + (index - self._index) * self.period_ns

    def _move(
        self, index: int, earliest_ns: float, latest_ns: float, *, trust: float = 1.0
    ) -> None:
        """Move the line so that `index` lies between the two, or towards it."""
        expected_ns = self.latch_ns(index)
        correction_ns = trust * (min(max(expected_ns, earliest_ns), latest_ns) - expected_ns)
        n_samples = max(index - self._index, 1)
        period_ns = self.period_ns + PERIOD_GAIN * correction_ns / n_samples
        self.period_ns = min(max(period_ns, self._shortest_ns), self._longest_ns)
        self._index = index
        self._latch_ns = expected_ns + correction_ns
