"""Where a sensor's range was too small for what it was to measure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wban_dataset.recording.recorded_stream import Stream

CHUNK_ROWS = 1_000_000


@dataclass(frozen=True, slots=True)
class Clipping:
    """Samples with an axis at the end of its range.

    Attributes
    ----------
    limit
        Where the range ends, in the stream's unit.
    n_samples, n_clipped
        All, and those that are clipped.
    spans
        (start, stop) in ns of each run of clipped samples, to the next sample that is not.
    """

    limit: float
    n_samples: int
    n_clipped: int
    spans: tuple[tuple[int, int], ...]

    @property
    def fraction(self) -> float:
        """Share of the samples that are clipped; 0 without samples."""
        return self.n_clipped / self.n_samples if self.n_samples else 0.0


def clipping(stream: Stream) -> Clipping:
    """Find clipped samples of a stream of motion."""
    limit = _limit_counts(stream)
    stamps = stream.monotonic_ns
    clipped = np.zeros(stream.n, dtype=np.bool_)
    for start in range(0, stream.n, CHUNK_ROWS):
        stop = min(start + CHUNK_ROWS, stream.n)
        counts = stream.read_counts(int(stamps[start]), int(stamps[stop - 1]) + 1)
        clipped[start:stop] = ((counts >= limit) | (counts <= -limit)).any(axis=1)
    edges = np.diff(clipped.astype(np.int8), prepend=0, append=0)
    ends = np.append(stamps, stamps[-1:] + round(1e9 / stream.sampling_rate_hz))
    spans = zip(
        stamps[np.flatnonzero(edges == 1)].tolist(),
        ends[np.flatnonzero(edges == -1)].tolist(),
        strict=True,
    )
    n_clipped = int(np.count_nonzero(clipped))
    return Clipping(limit * stream.scale_factor, stream.n, n_clipped, tuple(spans))


def _limit_counts(stream: Stream) -> int:
    """Magnitude of the count at which the chip ends, as it is stated; else that of its words."""
    stated = stream.attributes.get("clip_counts")
    return int(stated) if stated is not None else int(np.iinfo(np.int16).max)
