"""Where the sketches of two recordings agree, so that both are worth reading again.

All sketches together are kept in files and compared in parts, so that memory does not grow with the
number of recordings.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wban_dataset.splits import spilled
from wban_dataset.splits.landmarks import (
    N_COEFFICIENTS,
    N_PARTS,
    PLACES,
    PROFILE_STEPS,
    PROFILE_TOLERANCE,
)
from wban_dataset.splits.near_pairs import near_pairs
from wban_dataset.splits.sketch import Sketch
from wban_dataset.splits.spilled import Records, Spilled, parts_by

N_COMPARED = 32
"""Places of the same hash that each is compared with: a signal that repeats itself for hours would
otherwise be compared with itself at all its lags."""

Ints = NDArray[np.int64]
Slab = tuple[int, int, int]
"""Axis of the profile, and its half-open range, in which the smaller one of two points lies."""

_HASH = np.dtype([("stream", "<i4"), ("row", "<i8"), ("value", "<u8")])
_SHAPE = np.dtype(
    [
        ("stream", "<i4"),
        ("row", "<i8"),
        ("profile", "<i2", (N_PARTS + 1,)),
        ("shape", "i1", (2 * N_COEFFICIENTS,)),
    ]
)
_PAIR = np.dtype([("first", "<i4"), ("second", "<i4"), ("row", "<i8"), ("other_row", "<i8")])
_TOLERANCE = round(PROFILE_TOLERANCE * PROFILE_STEPS)


@dataclass(frozen=True, slots=True)
class CandidatePair:
    """Two streams of two recordings, and where sketches agree: rows of both, (m,) each."""

    first: tuple[int, str]
    second: tuple[int, str]
    rows: Ints
    other_rows: Ints


class Candidates:
    """Takes sketches one by one, then tells which streams have something in common.

    Parameters
    ----------
    folder
        An empty folder for what is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._streams: list[tuple[int, str]] = []
        self._hashes = Spilled(folder, _HASH)
        self._shapes = [Spilled(folder, _SHAPE) for _ in PLACES]

    def add(self, sketch: Sketch) -> None:
        """Take the sketch of one more recording."""
        for name in sorted({*sketch.counts, *sketch.shapes}):
            number = len(self._streams)
            self._streams.append((sketch.session, name))
            if name in sketch.counts:
                found = sketch.counts[name]
                self._hashes.append(_records(_HASH, number, row=found.row, value=found.value))
            if name in sketch.shapes:
                marks = sketch.shapes[name]
                for place, kept in zip(PLACES, self._shapes, strict=True):
                    own = marks.place == place
                    columns = {n: getattr(marks, n)[own] for n in ("row", "profile", "shape")}
                    kept.append(_records(_SHAPE, number, **columns))

    def same_hashes(self) -> Iterator[CandidatePair]:
        """Give the streams of which short runs have equal hashes."""
        pairs = Spilled(self._folder, _PAIR)
        for part in parts_by(self._hashes, lambda records: records["value"]):
            ordered = part[np.lexsort((part["stream"], part["row"], part["value"]))]
            value = ordered["value"]
            for apart in range(1, N_COMPARED + 1):
                places = np.flatnonzero(value[apart:] == value[:-apart])
                if not len(places):
                    break
                pairs.append(self._pairs(ordered[places], ordered[places + apart]))
        yield from self._by_streams(pairs)

    def same_shapes(self) -> Iterator[CandidatePair]:
        """Give the streams of acceleration that look alike around a landmark."""
        pairs = Spilled(self._folder, _PAIR)
        for kept in self._shapes:
            for points, slabs in _regions(kept):
                for found in near_pairs(points["profile"], points["shape"]):
                    left, right = points[found[:, 0]], points[found[:, 1]]
                    own = _within(left["profile"], right["profile"], slabs)
                    pairs.append(self._pairs(left[own], right[own]))
        yield from self._by_streams(pairs)

    def _pairs(self, left: Records, right: Records) -> Records:
        """Give what belongs to two sessions, that of the smaller number first."""
        session = self._sessions
        of_left, of_right = session[left["stream"]], session[right["stream"]]
        left, right = (
            np.where(of_left > of_right, right, left)[of_left != of_right],
            np.where(of_left > of_right, left, right)[of_left != of_right],
        )
        made = np.empty(len(left), dtype=_PAIR)
        made["first"], made["row"] = left["stream"], left["row"]
        made["second"], made["other_row"] = right["stream"], right["row"]
        return made

    def _by_streams(self, pairs: Spilled) -> Iterator[CandidatePair]:
        for part in parts_by(pairs, self._key):
            key = self._key(part)
            ordered = part[np.argsort(key, kind="stable")]
            ends = np.flatnonzero(np.diff(np.sort(key))) + 1
            for own in np.split(ordered, ends) if len(part) else ():
                first, second = int(own["first"][0]), int(own["second"][0])
                yield CandidatePair(
                    self._streams[first], self._streams[second], own["row"], own["other_row"]
                )
        pairs.remove()

    def _key(self, pairs: Records) -> Ints:
        return pairs["first"].astype(np.int64) * len(self._streams) + pairs["second"]

    @property
    def _sessions(self) -> Ints:
        return np.array([session for session, _ in self._streams], dtype=np.int64)


def _records(dtype: np.dtype[np.void], stream: int, **columns: NDArray[np.generic]) -> Records:
    made = np.empty(len(columns["row"]), dtype=dtype)
    made["stream"] = stream
    for name, values in columns.items():
        made[name] = values
    return made


def _regions(
    points: Spilled, axis: int = 0, slabs: tuple[Slab, ...] = ()
) -> Iterator[tuple[Records, tuple[Slab, ...]]]:
    """Cut points into parts that can be held, each with all that is near enough to its own."""
    if points.n_records <= spilled.MOST_HELD or axis == N_PARTS + 1:
        yield points.whole(), slabs
        return
    edges = _edges(points, axis)
    if len(edges) == 2:
        yield from _regions(points, axis + 1, slabs)
        return
    parts = [Spilled(points.folder, points.dtype) for _ in edges[1:]]
    for block in points.blocks():
        at = block["profile"][:, axis].astype(np.int64)
        for (low, high), part in zip(pairwise(edges), parts, strict=True):
            part.append(block[(at >= low) & (at < high + _TOLERANCE)])
    for (low, high), part in zip(pairwise(edges), parts, strict=True):
        yield from _regions(part, axis + 1, (*slabs, (axis, low, high)))
        part.remove()


def _edges(points: Spilled, axis: int) -> list[int]:
    """Edges of slabs with not too many points each, and wider than what reaches into them."""
    lowest = int(np.iinfo(np.int16).min)
    counts = np.zeros(1 << 16, dtype=np.int64)
    for block in points.blocks():
        at = block["profile"][:, axis].astype(np.int64) - lowest
        counts += np.bincount(at, minlength=len(counts))
    before = np.concatenate([[0], np.cumsum(counts)])
    edges = [int(np.searchsorted(before, 0, side="right")) - 1]
    last = int(np.searchsorted(before, points.n_records))
    while edges[-1] < last:
        wanted = int(before[edges[-1]]) + spilled.MOST_HELD // 2
        full = int(np.searchsorted(before, wanted))
        edges.append(min(last, max(full, edges[-1] + 2 * _TOLERANCE)))
    return [edge + lowest for edge in edges]


def _within(
    profile: NDArray[np.int16], other: NDArray[np.int16], slabs: tuple[Slab, ...]
) -> NDArray[np.bool_]:
    """Tell which pairs are a region's own: those of whom the smaller one lies in its slabs."""
    own = np.ones(len(profile), dtype=np.bool_)
    for axis, low, high in slabs:
        smaller = np.minimum(profile[:, axis], other[:, axis])
        own &= (smaller >= low) & (smaller < high)
    return own
