"""How well each stream was recorded: rate, jitter, gaps, clipping, losses, stamp uncertainty.

Counts are accumulated block by block and percentiles through a histogram, so that the memory that
this takes does not grow with the session.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording.evidence import Ints
from wban_dataset.recording.streams import Gap, StreamSpec

BINS_PER_OCTAVE = 256  # a percentile is read to within 0.4 %


@dataclass(frozen=True, slots=True)
class StreamQuality:
    """Figures of one stream, as the file's quality group keeps them.

    Attributes
    ----------
    effective_rate_hz
        Fitted sampling rate while sampling: intervals within segments over the time they took. 0
        with fewer than two samples in every segment.
    jitter_p50_ns, jitter_p99_ns
        How much later than the fitted time the evidence of it came (`timebase.StampedStream`). The
        stamps themselves are fitted and do not jitter; this shows what they were fitted through.
    n_gaps, n_lost
        Gaps, and the samples known to be missing in them.
    clipped_fraction
        Share of samples with at least one channel at the end of its range; of pictures, the share
        of such pixels.
    unc_p99_ns
        99th percentile of the stamps' 1-sigma uncertainty.
    """

    effective_rate_hz: float
    jitter_p50_ns: int
    jitter_p99_ns: int
    n_gaps: int
    n_lost: int
    clipped_fraction: float
    unc_p99_ns: int


class LogHistogram:
    """Percentiles of non-negative integers in constant memory, whatever the order they come in."""

    def __init__(self) -> None:
        self._counts = np.zeros(64 * BINS_PER_OCTAVE, dtype=np.int64)

    @property
    def n_values(self) -> int:
        """Number of values added."""
        return int(self._counts.sum())

    def add(self, values: NDArray[Any]) -> None:
        """Count values; negative ones as 0."""
        # frexp is exact on every machine: value = mantissa * 2**exponent, mantissa in [0.5, 1).
        mantissa, exponent = np.frexp(np.maximum(values, 0).astype(np.float64))
        within = ((mantissa - 0.5) * (2 * BINS_PER_OCTAVE)).astype(np.int64)
        bins = np.where(mantissa > 0, exponent.astype(np.int64) * BINS_PER_OCTAVE + within, 0)
        self._counts += np.bincount(bins, minlength=len(self._counts))

    def percentile(self, percent: float) -> int:
        """Return what `percent` of all values do not exceed, to 0.4 %; 0 without values."""
        if not self.n_values:
            return 0
        rank = max(-(-self.n_values * percent // 100), 1)
        place = int(np.searchsorted(np.cumsum(self._counts), rank))
        if place == 0:
            return 0
        exponent, within = divmod(place, BINS_PER_OCTAVE)
        return round(float(np.ldexp(0.5 + within / (2 * BINS_PER_OCTAVE), exponent)))


class QualityAccumulator:
    """Figures of one stream, gathered in any number of parts.

    Parameters
    ----------
    clip_limits
        Least and greatest count that the chip gives (`clip_limits`), or None where there is no
        such thing.
    """

    def __init__(self, clip_limits: tuple[int, int] | None = None) -> None:
        self._clip_limits = clip_limits
        self._jitter = LogHistogram()
        self._uncertainty = LogHistogram()
        self._n_counted = self._n_clipped = 0
        self._n_gaps = self._n_lost = 0
        self._n_intervals = self._sampled_ns = 0
        self._last: tuple[int, int] | None = None

    def add_counts(self, data: NDArray[Any]) -> None:
        """Count clipped samples in counts (n, channels), or clipped pixels in (n, h, w)."""
        if self._clip_limits is None:
            return
        low, high = self._clip_limits
        clipped = (data <= low) | (data >= high)
        if clipped.ndim == 2:
            clipped = clipped.any(axis=1)
        self._n_counted += clipped.size
        self._n_clipped += int(np.count_nonzero(clipped))

    def add_stamps(
        self, monotonic_ns: Ints, time_unc_ns: NDArray[Any], segment: NDArray[Any]
    ) -> None:
        """Take the next stamps of the stream, (n,) each, in order."""
        if not len(monotonic_ns):
            return
        self._uncertainty.add(time_unc_ns)
        same = segment[1:] == segment[:-1]
        self._n_intervals += int(np.count_nonzero(same))
        self._sampled_ns += int(np.diff(monotonic_ns)[same].sum())
        if self._last is not None and self._last[0] == int(segment[0]):
            self._n_intervals += 1
            self._sampled_ns += int(monotonic_ns[0]) - self._last[1]
        self._last = int(segment[-1]), int(monotonic_ns[-1])

    def add_arrivals(self, lateness_ns: Ints) -> None:
        """Take how late the evidence of reads came, (r,), from `timebase.StampedStream`."""
        self._jitter.add(lateness_ns)

    def add_gap(self, gap: Gap) -> None:
        """Count a gap of this stream."""
        self._n_gaps += 1
        self._n_lost += max(gap.n_missing, 0)

    def result(self) -> StreamQuality:
        """Return the figures of all that was added so far."""
        rate_hz = self._n_intervals * 1e9 / self._sampled_ns if self._sampled_ns else 0.0
        return StreamQuality(
            effective_rate_hz=rate_hz,
            jitter_p50_ns=self._jitter.percentile(50),
            jitter_p99_ns=self._jitter.percentile(99),
            n_gaps=self._n_gaps,
            n_lost=self._n_lost,
            clipped_fraction=self._n_clipped / self._n_counted if self._n_counted else 0.0,
            unc_p99_ns=self._uncertainty.percentile(99),
        )


def clip_limits(spec: StreamSpec) -> tuple[int, int] | None:
    """Return the least and greatest count of a stream; None for thermal words, which do not clip.

    A chip with fewer bits than its counts says so in the attribute ``clip_counts``, a magnitude.
    """
    if spec.kind == "thermal":
        return None
    magnitude = spec.attributes.get("clip_counts")
    if magnitude is not None:
        return -int(magnitude), int(magnitude)
    info = np.iinfo(np.dtype(spec.dtype))
    return int(info.min), int(info.max)
