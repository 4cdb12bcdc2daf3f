"""Scale and offset of an accelerometer from gravity alone, without a visit to a laboratory.

Method: van Hees et al., Autocalibration of accelerometer data for free-living physical activity
assessment using local gravity and temperature, J Appl Physiol 117 (2014) 738-744. Whatever the
orientation, an accelerometer that does not move measures 1 g; scale and offset of each axis are
those that bring the means of still pieces nearest to the unit sphere. The temperature term of the
paper is left out: no stream of temperature is recorded beside the accelerometer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wban_dataset.errors import DatasetError
from wban_dataset.hygiene.epochs import STANDARD_GRAVITY, Epochs

STILL_WINDOW_NS = 10_000_000_000
STILL_SD_G = 0.013
MOST_G = 2.0
"""What is still and further from 0 than this is no gravity."""

SPHERE_REACH_G = 0.3
"""Each axis needs still pieces beyond this on both sides of 0."""

LEAST_POINTS = 12
"""Still pieces for six unknowns."""

GOOD_ERROR_G = 0.010
"""What the error must come down to."""

MOST_ITERATIONS = 1000
CONVERGED = 1e-10
NEAREST_G = 0.001
"""Distances below this weigh no more: smaller ones are the noise of the mean."""


class NotCalibratedError(DatasetError):
    """A recording that gravity does not tell the calibration of."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """What makes still pieces measure 1 g: ``values * scale + offset``.

    Attributes
    ----------
    scale
        Of each axis.
    offset
        Of each axis in g.
    error_before_g, error_after_g
        Mean distance of still pieces from 1 g.
    n_points
        Still pieces that it was fitted to.
    """

    scale: tuple[float, float, float]
    offset: tuple[float, float, float]
    error_before_g: float
    error_after_g: float
    n_points: int


def apply_calibration(
    values: NDArray[np.floating], calibration: Calibration
) -> NDArray[np.float64]:
    """Correct an accelerometer's values (n, 3) in m/s2."""
    offset = np.array(calibration.offset) * STANDARD_GRAVITY
    return values * np.array(calibration.scale) + offset


def still_points(epochs: Epochs) -> NDArray[np.float64]:
    """Means in g of the pieces in which nothing moved, (p, 3)."""
    still = (epochs.sd < STILL_SD_G).all(axis=1) & (np.abs(epochs.mean) < MOST_G).all(axis=1)
    return epochs.mean[still & epochs.complete]


def calibrate(points: NDArray[np.float64]) -> Calibration:
    """Fit scale and offset to the means of still pieces.

    Parameters
    ----------
    points
        In g, (p, 3); of one device, from as many of its recordings as there are.

    Raises
    ------
    NotCalibratedError
        If there are too few, they do not show both sides of each axis, or the fit leaves too much.
    """
    _check_points(points)
    scale, offset = _fit(points)
    before, after = _error(points), _error(points * scale + offset)
    if not after < min(before, GOOD_ERROR_G):
        raise NotCalibratedError(
            f"calibration by gravity: still pieces are {1000 * before:.1f} mg from 1 g before the "
            f"fit and {1000 * after:.1f} mg after, expected less than "
            f"{1000 * GOOD_ERROR_G:.0f} mg and less than before. Leave the recording as it is, "
            "or look at its accelerometer."
        )
    return Calibration(_by_axis(scale), _by_axis(offset), before, after, len(points))


def _check_points(points: NDArray[np.float64]) -> None:
    if len(points) < LEAST_POINTS:
        raise NotCalibratedError(
            f"calibration by gravity: there are {len(points)} still pieces of 10 s, expected at "
            f"least {LEAST_POINTS}. Record for longer, with rests in several postures."
        )
    low, high = points.min(axis=0), points.max(axis=0)
    for axis, name in enumerate("xyz"):
        if low[axis] > -SPHERE_REACH_G or high[axis] < SPHERE_REACH_G:
            raise NotCalibratedError(
                f"calibration by gravity: still pieces go from {low[axis]:.2f} to "
                f"{high[axis]:.2f} g on axis {name}, expected below "
                f"-{SPHERE_REACH_G} and above {SPHERE_REACH_G} g. Record rests in more postures, "
                "or turn the sensor over on a table for a minute each way."
            )


def _by_axis(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])


def _error(points: NDArray[np.float64]) -> float:
    radius: NDArray[np.float64] = np.linalg.norm(points, axis=1)
    return float(np.abs(radius - 1.0).mean())


def _fit(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Iterate: the nearest point of the sphere to each point, then a line for each axis.

    Pieces weigh by the inverse of their distance, so that those in which something moved slowly
    count little.
    """
    scale, offset = np.ones(3), np.zeros(3)
    last = np.inf
    for _ in range(MOST_ITERATIONS):
        fitted = points * scale + offset
        radius = np.linalg.norm(fitted, axis=1, keepdims=True)
        weights = 1.0 / np.maximum(np.abs(radius - 1.0), NEAREST_G)
        scale, offset = _weighted_lines(points, fitted / radius, weights)
        error = float(np.average(np.abs(radius - 1.0), weights=weights))
        if abs(last - error) < CONVERGED:
            break
        last = error
    return scale, offset


def _weighted_lines(
    x: NDArray[np.float64], y: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Slope and intercept of each column of y (p, 3) on x (p, 3); weights (p, 1)."""
    total = weights.sum()
    mean_x, mean_y = (weights * x).sum(axis=0) / total, (weights * y).sum(axis=0) / total
    spread = (weights * (x - mean_x) ** 2).sum(axis=0)
    slope = (weights * (x - mean_x) * (y - mean_y)).sum(axis=0) / spread
    return slope, mean_y - slope * mean_x
