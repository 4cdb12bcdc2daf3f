"""Physical values as 16 bit counts, the way a session keeps them.

A sensor gives multiples of its resolution, and most recordings still show them, whatever unit and
number of digits they were written in. Where the multiples fit into 16 bits, counts of just that
resolution keep every value; otherwise the greatest value becomes the greatest count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

GREATEST_COUNT = 32767
LEAST_COUNT = -32768
TOLERANCE = 0.01
"""Of a step: as far as a value may lie from a multiple (text is rounded, float32 was calculated
with) and still be taken for it."""
SEARCHED_VALUES = 4096
REACH = 8.0
"""A step is refined over values up to so many times farther from 0 at a time; farther, its present
error would take one multiple for the next."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Counts:
    """Values as counts.

    Attributes
    ----------
    counts
        int16, of the values' shape; value = count * `scale_factor`.
    is_exact
        The counts are those of the sensor, rather than of a finer grid laid over its values.
    largest_error
        How far the counts are from the values at most, in their unit.
    """

    counts: NDArray[np.int16]
    scale_factor: float
    is_exact: bool
    largest_error: float


def quantised(values: Floats, step: float = 0.0) -> Counts:
    """Turn finite values into counts.

    Parameters
    ----------
    step
        The sensor's resolution where it is known; 0: it is looked for in the values.
    """
    for candidate in (step, _found_step(values)) if step else (_found_step(values),):
        if candidate:
            counts = values / candidate
            rounded = np.rint(counts)
            if _fits(rounded) and np.abs(counts - rounded).max(initial=0.0) <= TOLERANCE:
                return _counts(values, rounded, candidate, is_exact=True)
    greatest = float(np.abs(values).max(initial=0.0))
    scale_factor = greatest / GREATEST_COUNT if greatest > 0 else 1.0
    return _counts(values, np.rint(values / scale_factor), scale_factor, is_exact=not greatest)


def _fits(counts: Floats) -> bool:
    least, greatest = counts.min(initial=0.0), counts.max(initial=0.0)
    return bool(least >= LEAST_COUNT and greatest <= GREATEST_COUNT)


def _counts(
    values: Floats, rounded: NDArray[Any], scale_factor: float, *, is_exact: bool
) -> Counts:
    counts = rounded.astype(np.int16)
    error = float(np.abs(counts * scale_factor - values).max(initial=0.0))
    return Counts(counts, scale_factor, is_exact, error)


def _found_step(values: Floats) -> float:
    """Look for the greatest step of which some thousand values are multiples; 0: there is none."""
    flat = np.abs(values.ravel())
    stride = max(1, len(flat) // SEARCHED_VALUES)
    ordered = np.unique(np.concatenate(([0.0], flat[::stride])))
    span = float(ordered[-1])
    if span == 0.0:
        return 0.0
    # A difference below half a count of full scale is rounding, or too small a step to be kept.
    differences = np.diff(ordered)
    differences = differences[differences > span / GREATEST_COUNT / 2]
    if not len(differences):
        return 0.0
    step = float(differences.min())
    reach = step * REACH
    while True:
        within = ordered[(ordered > 0) & (ordered <= reach)]
        multiples = np.rint(within / step)
        if len(within):
            step = float(np.dot(multiples, within) / np.dot(multiples, multiples))
        if reach >= span:
            return step
        reach *= REACH
