"""A stream as pieces of a bounded length, in physical units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording.recorded_stream import Stream

PIECE_BYTES = 8 << 20


@dataclass(frozen=True, slots=True)
class Piece:
    """Consecutive samples.

    Attributes
    ----------
    monotonic_ns, time_ns
        Stamps on the session's clock, and in UTC, int64 (n,).
    time_unc_ns, segment
        As the session has them, (n,).
    values
        As `Stream.read` gives them, (n, ...).
    """

    monotonic_ns: NDArray[np.int64]
    time_ns: NDArray[np.int64]
    time_unc_ns: NDArray[np.int32]
    segment: NDArray[np.uint16]
    values: NDArray[Any]


def pieces(stream: Stream) -> Iterator[Piece]:
    """Give a stream from its first sample to its last."""
    row_bytes = 8 * int(np.prod(stream.sample_shape, dtype=np.int64))
    n_rows = max(1, PIECE_BYTES // max(1, row_bytes))
    for start in range(0, stream.n, n_rows):
        rows = slice(start, min(start + n_rows, stream.n))
        next_ns = int(stream.monotonic_ns[rows.stop]) if rows.stop < stream.n else None
        yield Piece(
            stream.monotonic_ns[rows],
            stream.time[rows],
            stream.time_unc_ns[rows],
            stream.segment[rows],
            stream.read(int(stream.monotonic_ns[start]), next_ns),
        )


def resolution(stream: Stream) -> float:
    """Smallest step of a stream's values in its units."""
    return 1.0 if stream.kind == "infrared" else stream.scale_factor


def decimals(stream: Stream) -> int:
    """Digits behind the point that keep a stream's values within a hundredth of a step."""
    return max(0, int(np.ceil(-np.log10(resolution(stream)))) + 2)
