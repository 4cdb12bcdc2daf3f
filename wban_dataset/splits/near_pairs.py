"""Which of many points lie close together, without comparing each with each.

A balanced tree of boxes, split at the median of the widest coordinate; two boxes are compared
further only while they come within the tolerance (dual-tree search, Gray & Moore 2001).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from wban_dataset.splits.landmarks import (
    PROFILE_STEPS,
    PROFILE_TOLERANCE,
    SHAPE_COSINE,
    SHAPE_STEPS,
)

LEAF_SIZE = 64
N_AT_ONCE = 20_000
N_LEAVES = 64
"""Leaves that one is compared with at a time."""

CHILDREN = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])

Ints = NDArray[np.int64]


def near_pairs(profile: NDArray[np.int16], shape: NDArray[np.int8]) -> Iterator[Ints]:
    """Find pairs of landmarks whose profiles and shapes both agree.

    Yields
    ------
    NDArray
        Places of both, the smaller first, each pair once, int64 (p, 2).
    """
    if len(profile) < 2:
        return
    order, levels = _tree(profile)
    profile, shape = profile[order], shape[order]
    leaves = _close_leaves(profile, levels)
    bounds: list[int] = levels[-1].tolist()
    for first, others in _by_first(leaves):
        rows = np.arange(bounds[first], bounds[first + 1])
        for place in range(0, len(others), N_LEAVES):
            some = others[place : place + N_LEAVES]
            other_rows = np.concatenate([np.arange(bounds[i], bounds[i + 1]) for i in some])
            found = order[_agreeing(profile, shape, rows, other_rows)]
            if len(found):
                yield np.sort(found, axis=1)


def _agreeing(
    profile: NDArray[np.int16], shape: NDArray[np.int8], rows: Ints, other_rows: Ints
) -> Ints:
    cosine = shape[rows].astype(np.float32) @ shape[other_rows].T.astype(np.float32)
    left, right = np.nonzero(cosine > SHAPE_COSINE * SHAPE_STEPS**2)
    left, right = rows[left], other_rows[right]
    apart = np.abs(profile[left].astype(np.int32) - profile[right]).max(axis=1, initial=0)
    near = (left < right) & (apart <= PROFILE_TOLERANCE * PROFILE_STEPS)
    return np.stack([left[near], right[near]], axis=1)


def _tree(points: NDArray[np.int16]) -> tuple[Ints, list[Ints]]:
    """Order points so that boxes are contiguous; bounds of the boxes of each level."""
    order = np.arange(len(points))
    levels = [np.array([0, len(points)])]
    while len(points) / (len(levels[-1]) - 1) > LEAF_SIZE:
        bounds = [0]
        for start, stop in pairwise(levels[-1].tolist()):
            rows = order[start:stop]
            inside = points[rows]
            widest = int(np.argmax(inside.max(axis=0).astype(np.int32) - inside.min(axis=0)))
            middle = len(rows) // 2
            order[start:stop] = rows[np.argpartition(inside[:, widest], middle)]
            bounds += [start + middle, stop]
        levels.append(np.array(bounds))
    return order, levels


def _close_leaves(points: NDArray[np.int16], levels: list[Ints]) -> Ints:
    """Pairs of boxes of the last level that come within the tolerance, int64 (p, 2)."""
    tolerance = round(PROFILE_TOLERANCE * PROFILE_STEPS)
    pairs = np.zeros((1, 2), dtype=np.int64)
    for level, bounds in enumerate(levels):
        if level:
            pairs = np.concatenate([2 * pairs + child for child in CHILDREN])
            pairs = pairs[pairs[:, 0] <= pairs[:, 1]]
        low = np.minimum.reduceat(points, bounds[:-1]).astype(np.int32) - tolerance
        high = np.maximum.reduceat(points, bounds[:-1]).astype(np.int32)
        pairs = np.concatenate(
            [
                part[_meet(low, high, part[:, 0], part[:, 1])]
                for part in np.split(pairs, range(N_AT_ONCE, len(pairs), N_AT_ONCE))
            ]
        )
    return pairs


def _meet(
    low: NDArray[np.int32], high: NDArray[np.int32], first: Ints, second: Ints
) -> NDArray[np.bool_]:
    apart = (low[first] > high[second]) | (low[second] > high[first])
    return np.logical_not(np.any(apart, axis=1))


def _by_first(pairs: Ints) -> list[tuple[int, list[int]]]:
    """Second boxes of each first one."""
    pairs = pairs[np.argsort(pairs[:, 0], kind="stable")]
    firsts, starts = np.unique(pairs[:, 0], return_index=True)
    seconds: list[list[int]] = [part.tolist() for part in np.split(pairs[:, 1], starts[1:])]
    return list(zip(firsts.tolist(), seconds, strict=True))
