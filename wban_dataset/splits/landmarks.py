"""The shape of an acceleration around its peaks, from which a changed copy is recognised.

A copy under another gain, with noise, turned or shifted still peaks at the same instants. Peaks of
the magnitude are landmarks; what surrounds each (6 s before, around and after) is kept as a shape
(first DFT coefficients, of length 1) and as a profile (how its energy is distributed over time).
Of a copy that correlates above 0.995 the profiles agree within `PROFILE_TOLERANCE` and the shapes
above `SHAPE_COSINE` at one landmark at least; benchmarks/near_duplicates.py measures how surely.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.splits.moving import centred_maximum, centred_mean, sums_of

WINDOW_S = 6.0
PEAK_S = 0.6
"""A landmark is the highest within so much time on both sides."""

SMOOTHING_S = 0.08
"""Half the mean's length: leaves what the first coefficients describe, up to 3 Hz."""

MARGIN_S = WINDOW_S + PEAK_S + SMOOTHING_S
"""What must be known on both sides of a stretch to find its landmarks."""

N_COEFFICIENTS = 18
SHAPE_RATE_HZ = 10
N_PARTS = 6
PROFILE_TOLERANCE = 0.02
SHAPE_COSINE = 0.975

MIN_SD = 0.3
"""m s-2; what moves less within 6 s is nobody's in particular."""

SHAPE_STEPS = 127
PROFILE_STEPS = 20_000
PLACES = (-1, 0, 1)
"""The window ends at the landmark, is around it, begins at it: one fits into a short copy."""

METRES_PER_S2 = {"m s-2": 1.0, "g": 9.80665, "mg": 9.80665e-3}
"""Factor from the units of a stream."""


@dataclass(frozen=True, slots=True)
class Landmarks:
    """Landmarks of one stream, each with its three windows.

    Attributes
    ----------
    row
        Of the peak, int64 (m,).
    place
        Which of `PLACES`, int8 (m,).
    shape
        Cosine and sine coefficients, of length `SHAPE_STEPS`, int8 (m, 2 * N_COEFFICIENTS).
    profile
        Shares of the energy, in steps of 1 / `PROFILE_STEPS`, int16 (m, N_PARTS + 1).
    """

    row: NDArray[np.int64]
    place: NDArray[np.int8]
    shape: NDArray[np.int8]
    profile: NDArray[np.int16]


def magnitude(rows: NDArray[Any], units: str) -> NDArray[np.float64]:
    """Length of the acceleration in m s-2, (n,); 0 where it is not known."""
    squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    length = np.sqrt(squares) * METRES_PER_S2[units]
    return np.where(np.isfinite(length), length, 0.0)


def landmarks(values: NDArray[np.float64], rate_hz: float, first: int, last: int) -> Landmarks:
    """Find landmarks among values[first:last]; rows are counted from values[0].

    Parameters
    ----------
    values
        Magnitude in m s-2, (n,), with `MARGIN_S` on both sides of the stretch where there is that.
    """
    values = values - values.mean()
    sums, squares = sums_of(values), sums_of(values**2)
    smooth = centred_mean(sums, max(1, round(SMOOTHING_S * rate_hz)))
    peaks = np.flatnonzero(smooth == centred_maximum(smooth, max(1, round(PEAK_S * rate_hz))))
    peaks = peaks[(peaks >= first) & (peaks < last)]
    length = round(WINDOW_S * rate_hz)
    parts = [_at(peaks, place, length, rate_hz, smooth, sums, squares) for place in PLACES]
    return Landmarks(
        *(np.concatenate([getattr(part, name) for part in parts]) for name in Landmarks.__slots__)
    )


def _at(
    peaks: NDArray[np.int64],
    place: int,
    length: int,
    rate_hz: float,
    smooth: NDArray[np.float64],
    sums: NDArray[np.float64],
    squares: NDArray[np.float64],
) -> Landmarks:
    """Describe one of the windows of each peak, where it lies within and moves enough."""
    start = peaks - length // 2 + place * (length // 2)
    within = (start >= 0) & (start + length < len(sums))
    start, peaks = start[within], peaks[within]
    mean = (sums[start + length] - sums[start]) / length
    variance = (squares[start + length] - squares[start]) / length - mean**2
    moving = variance > MIN_SD**2
    start, mean, variance = start[moving], mean[moving], variance[moving]
    coefficients = _coefficients(smooth, start, rate_hz)
    size = np.maximum(np.linalg.norm(coefficients, axis=1), 1e-9)
    shares = _shares(start, length, mean, variance, sums, squares)
    n_points = WINDOW_S * SHAPE_RATE_HZ
    slow = size / np.sqrt(variance) / n_points  # how much of the energy is slow enough to be shape
    return Landmarks(
        row=peaks[moving],
        place=np.full(len(start), place, dtype=np.int8),
        shape=np.rint(coefficients / size[:, None] * SHAPE_STEPS).astype(np.int8),
        profile=np.rint(np.column_stack([shares, slow]) * PROFILE_STEPS).astype(np.int16),
    )


def _coefficients(
    smooth: NDArray[np.float64], start: NDArray[np.int64], rate_hz: float
) -> NDArray[np.float64]:
    points = np.arange(round(WINDOW_S * SHAPE_RATE_HZ))
    offsets = np.rint(points * rate_hz / SHAPE_RATE_HZ).astype(np.int64)
    found = np.fft.rfft(smooth[start[:, None] + offsets], axis=1)[:, 1 : N_COEFFICIENTS + 1]
    return np.concatenate([found.real, found.imag], axis=1)


def _shares(
    start: NDArray[np.int64],
    length: int,
    mean: NDArray[np.float64],
    variance: NDArray[np.float64],
    sums: NDArray[np.float64],
    squares: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Share of each sixth of a window in its energy around the mean, (m, N_PARTS)."""
    edges = np.rint(np.linspace(0, length, N_PARTS + 1)).astype(np.int64)
    at = start[:, None] + edges
    total, total_squares = np.diff(sums[at], axis=1), np.diff(squares[at], axis=1)
    around = mean[:, None]
    energy = total_squares - 2 * around * total + np.diff(edges) * around**2
    return energy / (length * variance)[:, None]
