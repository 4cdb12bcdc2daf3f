"""The same raw counts at any offset: hashes of short runs, at positions that the content chooses.

Winnowing (Schleimer, Wilkerson & Aiken 2003): of the hashes of all runs of `k` rows, those are kept
that are the smallest of some `w` in a row. Whatever two recordings share over w + k - 1 rows, they
then have a kept hash in common, at whatever offset it stands: nothing of 5 s is overlooked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.splits.moving import forward_maximum
from wban_dataset.splits.recording import Signal

SAME_S = 5.0
"""Equal counts over this time make a copy."""

MIN_CHANGED = 0.1
"""Share of rows that differ from the row before, below which equal counts say nothing: a sensor
that lies still, or a picture of nothing, is the same for everybody."""

ROWS_HASHED = {"thermal": 8, "infrared": 8}
MOTION_ROWS_HASHED = 32
"""One number for all rates, so that the hashes of two rates can be compared."""

_MIXERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # of splitmix64
_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
_INVERSE = pow(_BASE, -1, 1 << 64)
_NEVER = np.uint64(0)
"""Stands for a run that is too flat to identify anything; hashes are turned round to be maxima."""


@dataclass(frozen=True, slots=True)
class RunLength:
    """Rows that make a copy, and of which a hash is taken."""

    same: int
    hashed: int

    @classmethod
    def of(cls, signal: Signal) -> RunLength:
        """By the stream's nominal rate."""
        same = signal.copy_rows or int(SAME_S * signal.sampling_rate_hz)
        hashed = ROWS_HASHED.get(signal.kind, MOTION_ROWS_HASHED)
        return cls(max(4, same), hashed if same >= 2 * hashed else max(2, same // 2))

    @property
    def winnowed(self) -> int:
        """Of how many hashes in a row the first by value is kept."""
        return self.same - self.hashed + 1


def copy_rows_of_ready(window_rows: int, sampling_rate_hz: float) -> int:
    """Equal rows that make a copy of ready windows: only the rows of one follow each other.

    Those of 5 s, or of a window that is shorter.
    """
    return max(2, min(int(SAME_S * sampling_rate_hz), window_rows))


def counts_of(signal: Signal, rows: NDArray[Any]) -> NDArray[np.uint64]:
    """Turn rows into words that are equal where the raw counts are, (n, words).

    Where the scale of the counts is unknown, the bits of the values stand for them.
    """
    flat = np.ascontiguousarray(rows.reshape(len(rows), -1))
    if signal.scale_factor > 0 and flat.dtype.kind == "f":
        known = np.where(np.isfinite(flat), flat, 0)
        counts = np.rint(known / signal.scale_factor).astype(np.int64)
        return counts.view(np.uint64)
    if flat.shape[1] * flat.itemsize <= 64:
        return flat.view(f"<u{flat.itemsize}").astype(np.uint64)
    return _words(flat)


def fingerprints(
    words: NDArray[np.uint64], length: RunLength
) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
    """Give the rows at which kept runs begin, and their hashes.

    Parameters
    ----------
    words
        From `counts_of`, (n, words).
    """
    n = len(words)
    if n < length.same:
        return np.zeros(0, np.int64), np.zeros(0, np.uint64)
    rows = _hashed_rows(words)
    hashes = _hashed_runs(rows, length.hashed)
    hashes[~_lively(rows, length)] = _NEVER
    largest = forward_maximum(hashes, length.winnowed)
    # A run is kept where it is the largest of some window: the smallest of those maxima is its own.
    edge = np.full(length.winnowed - 1, np.iinfo(np.uint64).max, np.uint64)
    around = ~forward_maximum(~np.concatenate([edge, largest, edge]), length.winnowed)
    kept = np.flatnonzero((hashes == around) & (hashes != _NEVER))
    return kept, hashes[kept]


def equal_runs(
    first: NDArray[np.uint64], second: NDArray[np.uint64], length: int
) -> list[tuple[int, int]]:
    """Find where two stretches of the same length are equal for long enough and not flat.

    Returns
    -------
    list
        Half-open spans of rows.
    """
    equal = (first == second).all(axis=1)
    changed = np.concatenate([[0], (first[1:] != first[:-1]).any(axis=1)])
    before = np.concatenate([[0], np.cumsum(changed)])
    edges = np.flatnonzero(np.diff(np.concatenate([[0], equal.astype(np.int8), [0]])))
    long_enough = [(a, b) for a, b in edges.reshape(-1, 2).tolist() if b - a >= length]
    return [
        (start, stop)
        for start, stop in long_enough
        if (before[start + length : stop + 1] - before[start : stop + 1 - length]).max()
        >= MIN_CHANGED * length
    ]


def _lively(rows: NDArray[np.uint64], length: RunLength) -> NDArray[np.bool_]:
    """Tell which runs change at all.

    A copy with `MIN_CHANGED` of its rows changed has at least one such run.
    """
    changed = np.concatenate([[0], (rows[1:] != rows[:-1]).astype(np.int64)])
    before = np.concatenate([[0], np.cumsum(changed)])
    return before[length.hashed :] > before[1 : len(before) - length.hashed + 1]


def _hashed_rows(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Hash each row of words, (n,)."""
    drawn = np.asarray(np.random.PCG64(0).random_raw(words.shape[1]), dtype=np.uint64)
    factors = drawn | np.uint64(1)
    return _mixed(words @ factors)


def _hashed_runs(rows: NDArray[np.uint64], length: int) -> NDArray[np.uint64]:
    """Hash every run of rows, (n - length + 1,): a polynomial, from differences of its sums."""
    powers = np.cumprod(np.full(len(rows), _BASE, np.uint64))
    inverses = np.cumprod(np.full(len(rows), _INVERSE, np.uint64))
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(rows * powers)])
    return _mixed((sums[length:] - sums[:-length]) * inverses[: len(rows) - length + 1])


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Let each bit depend on all bits: the end of splitmix64 (Steele, Lea & Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * _MIXERS[0]
    values = (values ^ (values >> np.uint64(27))) * _MIXERS[1]
    return values ^ (values >> np.uint64(31))


def _words(flat: NDArray[Any]) -> NDArray[np.uint64]:
    """Take the bytes of each picture eight at a time, zeros at the end, (n, words)."""
    raw = flat.view(np.uint8).reshape(len(flat), -1)
    padding = -raw.shape[1] % 8
    if padding:
        raw = np.pad(raw, ((0, 0), (0, padding)))
    return np.ascontiguousarray(raw).view("<u8")
