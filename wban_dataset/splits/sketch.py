"""What is kept of a recording to tell whether another one is its copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from wban_dataset.splits.fingerprints import RunLength, counts_of, fingerprints
from wban_dataset.splits.landmarks import (
    MARGIN_S,
    METRES_PER_S2,
    Landmarks,
    landmarks,
    magnitude,
)
from wban_dataset.splits.recording import Recording, Signal

BYTES_AT_ONCE = 1 << 22
SKETCH_VERSION = 1
"""A new one where sketches that were kept must be made again."""


@dataclass(frozen=True, slots=True)
class Fingerprints:
    """Hashes of short runs of rows: where each begins, int64 (m,), and its hash, uint64 (m,)."""

    row: NDArray[np.int64]
    value: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Sketch:
    """Of one recording; small, independent of all others, and quick to send to another process.

    Attributes
    ----------
    counts
        By stream: its raw counts, `fingerprints`.
    shapes
        By stream of acceleration: its `landmarks`.
    """

    session: int
    counts: Mapping[str, Fingerprints]
    shapes: Mapping[str, Landmarks]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Give it as plain arrays by name, to be kept in a file."""
        arrays: dict[str, NDArray[Any]] = {}
        for part, kept in (("counts", self.counts), ("shapes", self.shapes)):
            for stream, found in kept.items():
                names = [field.name for field in fields(found)]
                arrays |= {f"{part}/{stream}/{name}": getattr(found, name) for name in names}
        return arrays

    @classmethod
    def from_arrays(cls, session: int, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Take it from plain arrays; `session` may be another number than before."""
        parts: dict[str, dict[str, dict[str, NDArray[Any]]]] = {"counts": {}, "shapes": {}}
        for path, values in arrays.items():
            part, stream, name = path.split("/")
            parts[part].setdefault(stream, {})[name] = values
        return cls(
            session,
            {stream: Fingerprints(**found) for stream, found in parts["counts"].items()},
            {stream: Landmarks(**found) for stream, found in parts["shapes"].items()},
        )


def sketched(recording: Recording) -> Sketch:
    """Read a recording once, piece by piece, and keep what identifies it."""
    counts: dict[str, Fingerprints] = {}
    shapes: dict[str, Landmarks] = {}
    for name in sorted(recording.streams):
        signal = recording.streams[name]
        counts[name], shape = _sketched_signal(signal)
        if has_shape(signal):
            shapes[name] = shape
    return Sketch(recording.session, counts, shapes)


def has_shape(signal: Signal) -> bool:
    """Whether it is an acceleration, in units that a threshold in m s-2 can be held against."""
    return signal.kind == "accel" and signal.units in METRES_PER_S2


def _sketched_signal(signal: Signal) -> tuple[Fingerprints, Landmarks]:
    length = RunLength.of(signal)
    prints: list[tuple[NDArray[np.int64], NDArray[np.uint64]]] = []
    found: list[Landmarks] = []
    margin = max(length.same, round(MARGIN_S * signal.sampling_rate_hz) + 1)
    for begin, first, last, rows in _pieces(signal, margin):
        row, value = fingerprints(counts_of(signal, rows), length)
        kept = (row >= first - begin) & (row < last - begin)
        prints.append((row[kept] + begin, value[kept]))
        if has_shape(signal):
            lengths = magnitude(rows, signal.units)
            part = landmarks(lengths, signal.sampling_rate_hz, first - begin, last - begin)
            found.append(Landmarks(part.row + begin, part.place, part.shape, part.profile))
    columns = zip(*prints, strict=True) if prints else ((), ())
    row, value = (_joined(column) for column in columns)
    return Fingerprints(row.astype(np.int64), value.astype(np.uint64)), _joined_landmarks(found)


def _pieces(signal: Signal, margin: int) -> Iterator[tuple[int, int, int, NDArray[Any]]]:
    """Yield where a piece begins, the rows [first, last) that it answers for, and its rows."""
    if not signal.n_rows:
        return
    one = signal.read(0, 1)
    size = max(BYTES_AT_ONCE // max(one.nbytes, 1), 4 * margin)
    for first in range(0, signal.n_rows, size):
        last = min(first + size, signal.n_rows)
        begin = max(0, first - margin)
        yield begin, first, last, signal.read(begin, min(last + margin, signal.n_rows))


def _joined(parts: Any) -> NDArray[Any]:
    return np.concatenate(list(parts)) if len(parts) else np.zeros(0, dtype=np.int64)


def _joined_landmarks(parts: list[Landmarks]) -> Landmarks:
    if not parts:
        nothing = landmarks(np.zeros(1), 1.0, 0, 0)
        return nothing
    return Landmarks(
        *(np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(Landmarks))
    )
