"""Stretches of a stream without a gap, and how much of a span of time they cover."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Stretches:
    """Half-open spans without a gap, in order, none overlapping the next.

    Attributes
    ----------
    start_ns, stop_ns
        int64 (k,); a stretch reaches one period beyond its last sample, but not into the next one.
    """

    start_ns: NDArray[np.int64]
    stop_ns: NDArray[np.int64]

    @classmethod
    def of(cls, stamps_ns: NDArray[np.int64], segment: NDArray[np.integer], period_ns: int) -> Self:
        """Find the stretches of a stream, increasing stamps and segments (n,)."""
        if not len(stamps_ns):
            return cls(np.empty(0, np.int64), np.empty(0, np.int64))
        last = np.flatnonzero(segment[1:] != segment[:-1])
        start_ns = stamps_ns[np.concatenate(([0], last + 1))]
        stop_ns = stamps_ns[np.concatenate((last, [len(stamps_ns) - 1]))] + period_ns
        stop_ns[:-1] = np.minimum(stop_ns[:-1], start_ns[1:])
        return cls(start_ns, stop_ns)

    def covered_ns(
        self, start_ns: NDArray[np.int64], stop_ns: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Time of each span [start, stop) that lies in a stretch, (w,)."""
        if len(self.start_ns) == 1:  # the usual session, and several times quicker
            within = np.minimum(stop_ns, self.stop_ns) - np.maximum(start_ns, self.start_ns)
            return np.maximum(within, 0)
        return self._covered_before(stop_ns) - self._covered_before(start_ns)

    def _covered_before(self, instant_ns: NDArray[np.int64]) -> NDArray[np.int64]:
        """Time covered before each instant, (w,)."""
        if not len(self.start_ns):
            return np.zeros(len(instant_ns), dtype=np.int64)
        lengths = self.stop_ns - self.start_ns
        before = np.concatenate(([0], np.cumsum(lengths)))
        place = np.searchsorted(self.start_ns, instant_ns, side="right") - 1
        held = np.maximum(place, 0)
        within = np.clip(instant_ns - self.start_ns[held], 0, lengths[held])
        return before[held] + within
