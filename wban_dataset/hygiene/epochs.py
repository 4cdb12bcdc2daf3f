"""A stream of motion in equal pieces of time: mean, spread and extremes of each axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording.recorded_stream import Stream

STANDARD_GRAVITY = 9.80665
"""m/s2 in 1 g."""

LEAST_COVERAGE = 0.9
"""Share of its nominal samples that a piece must have to be judged."""

CHUNK_NS = 3_600_000_000_000
"""What is held in memory at once; a whole number of all lengths in use."""


@dataclass(frozen=True, slots=True)
class Epochs:
    """Pieces of one length, from the stream's first sample on; those without a sample are left out.

    Attributes
    ----------
    length_ns
        Of each piece.
    start_ns
        int64 (e,), increasing.
    n_samples
        int64 (e,).
    complete
        Whether it has at least `LEAST_COVERAGE` of its samples, bool (e,).
    mean, sd, low, high
        By axis in g, float64 (e, 3).
    """

    length_ns: int
    start_ns: NDArray[np.int64]
    n_samples: NDArray[np.int64]
    complete: NDArray[np.bool_]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def __len__(self) -> int:
        """Count the pieces."""
        return len(self.start_ns)


def epochs_of(stream: Stream, length_ns: int) -> Epochs:
    """Cut an accelerometer's stream into pieces; reads an hour at a time.

    Raises
    ------
    ValueError
        If an hour is no whole number of lengths.
    """
    if CHUNK_NS % length_ns:
        raise ValueError("length_ns must divide an hour")
    parts = list(_parts(stream, length_ns))
    columns = [np.concatenate(column) for column in zip(*parts, strict=True)] if parts else None
    if columns is None:
        none = np.zeros((0, 3))
        no_times = np.zeros(0, dtype=np.int64)
        no_flags = np.zeros(0, dtype=np.bool_)
        return Epochs(length_ns, no_times, no_times, no_flags, none, none, none, none)
    expected = length_ns * 1e-9 * stream.sampling_rate_hz
    start_ns, n_samples, *figures = columns
    return Epochs(length_ns, start_ns, n_samples, n_samples >= LEAST_COVERAGE * expected, *figures)


def _parts(stream: Stream, length_ns: int) -> Iterator[tuple[NDArray[np.float64 | np.int64], ...]]:
    """Columns of `Epochs` but `complete`, an hour at a time."""
    if not stream.n:
        return
    stamps = stream.monotonic_ns
    for start_ns in range(int(stamps[0]), int(stamps[-1]) + 1, CHUNK_NS):
        rows = stream.span(start_ns, start_ns + CHUNK_NS)
        if rows.start == rows.stop:
            continue
        number = (stamps[rows] - start_ns) // length_ns
        first = np.flatnonzero(np.diff(number, prepend=-1))
        values = stream.read(start_ns, start_ns + CHUNK_NS) / STANDARD_GRAVITY
        yield (start_ns + length_ns * number[first], *_figures(values, first))


def _figures(
    values: NDArray[np.float64], first: NDArray[np.int64]
) -> tuple[NDArray[np.float64 | np.int64], ...]:
    """Count, mean, standard deviation, least and greatest of each piece; `first` are its rows."""
    counts = np.diff(first, append=len(values))
    mean = np.add.reduceat(values, first) / counts[:, None]
    deviation = values - np.repeat(mean, counts, axis=0)
    sd = np.sqrt(np.add.reduceat(deviation**2, first) / counts[:, None])
    return counts, mean, sd, np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)
