"""When a chip will have its next samples: enough to plan reads, not to stamp them."""

from __future__ import annotations

from collections import deque

N_LOOKS = 64
"""Looks over which the period is bounded: at 10 samples each, to 0.2 %."""

LATE_EDGE_TRUST = 0.2
"""Share of an edge's lateness that is believed: now and then an interrupt is served 3 ms late."""

EDGE_PERIOD_GAIN = 0.3
"""Share of an edge's correction that is put down to the period; the looks bound the result."""


class SamplePace:
    """A running line through the instants at which a chip latches its samples.

    Each look at the chip says "this one was there, the next was not". Two looks bound the period,
    one the phase; the line is moved just as far as they need. Stamps are fitted later from the
    same looks, all of them at once (`timebase`).

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
        self._looks: deque[tuple[int, int, int]] = deque(maxlen=N_LOOKS)
        self._index = self._edge_index = 0
        self._latch_ns = 0.0

    def restart(self, index: int, latch_ns: float) -> None:
        """Begin anew with a guess of when sample `index` is latched; the period is kept."""
        self._looks.clear()
        self._index = self._edge_index = index
        self._latch_ns = latch_ns

    def observe(self, newest: int, start_ns: int, end_ns: int) -> None:
        """Learn that `newest` was latched by `end_ns`, and the next not before `start_ns`."""
        self._looks.append((newest, start_ns, end_ns))
        expected_ns = self.latch_ns(newest)
        self._bound_period(newest, start_ns, end_ns)
        self._index = newest
        self._latch_ns = min(max(expected_ns, start_ns - self.period_ns), end_ns)

    def observe_edge(self, index: int, edge_ns: int, latency_ns: int) -> None:
        """Learn that `index` was latched before `edge_ns`, usually by at most `latency_ns`."""
        expected_ns = self.latch_ns(index)
        late_ns = max(edge_ns - latency_ns - expected_ns, 0)
        latch_ns = min(expected_ns + LATE_EDGE_TRUST * late_ns, edge_ns)
        n_periods = max(index - self._edge_index, 1)
        self.period_ns += EDGE_PERIOD_GAIN * (latch_ns - expected_ns) / n_periods
        self._edge_index = self._index = index
        self._latch_ns = latch_ns

    def latch_ns(self, index: float) -> float:
        """When sample `index` is or was latched."""
        return self._latch_ns + (index - self._index) * self.period_ns

    def _bound_period(self, newest: int, start_ns: int, end_ns: int) -> None:
        """Keep the period within what this look and the oldest one leave possible."""
        oldest, oldest_start_ns, oldest_end_ns = self._looks[0]
        n_periods = newest - oldest
        if n_periods > 1:
            shortest_ns = (start_ns - oldest_end_ns) / (n_periods + 1)
            longest_ns = (end_ns - oldest_start_ns) / (n_periods - 1)
            self.period_ns = min(max(self.period_ns, shortest_ns), longest_ns)
        self.period_ns = min(max(self.period_ns, self._shortest_ns), self._longest_ns)
