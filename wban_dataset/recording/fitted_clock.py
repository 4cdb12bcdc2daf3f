"""A fitted clock: from the index of a sample to its time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording.evidence import Ints

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClockFit:
    """Time of every sample of a stream, from knots; made by `clock_fit.fit_clock`.

    Between two knots of a segment the time is linear in the index, after the last it goes on at the
    fitted rate. Times increase strictly. All arrays of knots are (k,), those of reads (r,).
    """

    knot_index: Ints
    knot_ns: Ints
    knot_period_ns: Floats
    knot_unc_ns: Floats
    segment_last_knot: Ints  # (s,)
    read_segment: Ints  # 0, 1, ... in order of appearance
    read_first_index: Ints
    read_first_row: Ints

    @property
    def n_samples(self) -> int:
        """Number of samples recorded."""
        return int(self.read_first_row[-1])

    def stamps(self, start: int = 0, stop: int | None = None) -> tuple[Ints, NDArray[np.int32]]:
        """Return times and 1-sigma uncertainties of the samples [start, stop), ns, (n,) each."""
        index, read = self._places(start, stop)
        knot = self._knots(index, read)
        return self._times(index, knot), self._uncertainties(index, knot)

    def periods_ns(self, start: int = 0, stop: int | None = None) -> Floats:
        """Return the fitted sampling period at the samples [start, stop), ns, (n,)."""
        index, read = self._places(start, stop)
        return self.knot_period_ns[self._knots(index, read)]

    def instants(self, index: Ints, read: Ints) -> Ints:
        """Return times in ns of samples by their index in the segments of given reads, (n,)."""
        return self._times(index, self._knots(index, read))

    def _places(self, start: int, stop: int | None) -> tuple[Ints, Ints]:
        """Index in the chip's count, and read, of recorded samples."""
        rows = np.arange(start, self.n_samples if stop is None else stop, dtype=np.int64)
        read = np.searchsorted(self.read_first_row, rows, side="right") - 1
        return self.read_first_index[read] + (rows - self.read_first_row[read]), read

    def _knots(self, index: Ints, read: Ints) -> Ints:
        """Knot at or before each index, in the segment of its read."""
        segment = self.read_segment[read]
        last = self.segment_last_knot[segment]
        first = np.where(segment > 0, self.segment_last_knot[segment - 1] + 1, 0)
        knot = np.searchsorted(self.knot_index, index, side="right") - 1
        return np.clip(knot, first, last)

    def _times(self, index: Ints, knot: Ints) -> Ints:
        steps = (index - self.knot_index[knot]) * self.knot_period_ns[knot]
        return self.knot_ns[knot] + np.rint(steps).astype(np.int64)

    def _uncertainties(self, index: Ints, knot: Ints) -> NDArray[np.int32]:
        following = np.minimum(knot + 1, len(self.knot_index) - 1)
        run = np.maximum(self.knot_index[following] - self.knot_index[knot], 1)
        part = np.minimum((index - self.knot_index[knot]) / run, 1.0)
        here, there = self.knot_unc_ns[knot], self.knot_unc_ns[following]
        unc_ns = np.ceil(here + part * (there - here))
        return np.minimum(unc_ns, np.iinfo(np.int32).max).astype(np.int32)
