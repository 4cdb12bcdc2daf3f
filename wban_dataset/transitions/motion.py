"""What the signal shows of a change of posture: on one grid of 20 ms, in physical units.

A change of posture turns gravity from one plateau to another and moves the body meanwhile. Five
quantities tell it from the plateaus beside it: how fast the body turns (gyroscope), how fast
gravity turns, how fast and how far the acceleration leaves gravity, and how far gravity is from
both plateaus. The first four are logarithms, since they range over decades.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

STEP_NS = 20_000_000
STEP_S = STEP_NS / 1e9

ENVELOPE_S = 0.2
GRAVITY_S = 0.3
"""Standard deviations of the Gaussians that smooth the envelopes and single out gravity."""

PLATEAU_S = (5.0, 8.5)
"""Gravity beside a change is the median from 5 to 8.5 s before and after its boundary."""

# Below these the quantities are noise of the sensor: rad/s, rad/s, m s-3, m s-2.
_FLOORS = {"turning": 0.02, "gravity_turning": 0.02, "jerk": 0.3, "leaving": 0.02}

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Motion:
    """One stretch of a session without a gap.

    Attributes
    ----------
    start_ns
        Of the grid.
    accel
        m s-2, (n, 3).
    gyro
        rad s-1, (n, 3); None where there is none.
    gravity
        Direction of gravity, unit vectors (n, 3).
    envelopes
        Logarithms of the quantities that do not depend on a boundary, (n, 4), or (n, 3) without
        gyroscope.
    """

    start_ns: int
    accel: Floats
    gyro: Floats | None
    gravity: Floats
    envelopes: Floats

    @classmethod
    def of(
        cls,
        accel_ns: NDArray[np.int64],
        accel: NDArray[np.floating],
        gyro_ns: NDArray[np.int64] | None = None,
        gyro: NDArray[np.floating] | None = None,
    ) -> Self:
        """Put a stretch of the accelerometer, (n, 3) in m s-2, and of the gyroscope on the grid.

        Parameters
        ----------
        gyro_ns, gyro
            Stamps (m,) and rad s-1 (m, 3); None, or no sample: without gyroscope.
        """
        start_ns = int(accel_ns[0])
        n_steps = int((accel_ns[-1] - start_ns) // STEP_NS) + 1
        on_grid = _on_grid(accel_ns, accel, start_ns, n_steps)
        turning = None
        if gyro is not None and gyro_ns is not None and len(gyro_ns):
            turning = _on_grid(gyro_ns, gyro, start_ns, n_steps)
        steady = _smoothed(on_grid, GRAVITY_S)
        gravity = steady / np.maximum(np.linalg.norm(steady, axis=1, keepdims=True), 1e-9)
        return cls(start_ns, on_grid, turning, gravity, _envelopes(on_grid, turning, steady))

    def __len__(self) -> int:
        """Count the points of the grid."""
        return len(self.accel)

    def place(self, instant_ns: int | float) -> int:
        """Give the point of the grid that is nearest to an instant; may lie outside."""
        return round((instant_ns - self.start_ns) / STEP_NS)

    def instant_ns(self, place: float) -> int:
        """Give the instant of a point of the grid."""
        return self.start_ns + round(place * STEP_NS)

    def features(self, boundary: int, first: int, last: int) -> Floats:
        """Quantities at points [first, last) beside a boundary, (last - first, 5 or 4)."""
        points = slice(first, last)
        gravity = self.gravity[points]
        before, after = self.plateaus(boundary)
        away = np.minimum(_angle(gravity, before), _angle(gravity, after))
        return np.column_stack((self.envelopes[points], away))

    def plateaus(self, boundary: int) -> tuple[Floats, Floats]:
        """Direction of gravity before and after a boundary, unit vectors (3,)."""
        near, far = (round(seconds / STEP_S) for seconds in PLATEAU_S)
        return (
            self._median_gravity(boundary - far, boundary - near),
            self._median_gravity(boundary + near, boundary + far),
        )

    def _median_gravity(self, first: int, last: int) -> Floats:
        """Median direction over the points [first, last), as far as they are there."""
        first = int(np.clip(first, 0, len(self) - 1))
        last = int(np.clip(last, first + 1, len(self)))
        middle = np.median(self.gravity[first:last], axis=0)
        return middle / max(float(np.linalg.norm(middle)), 1e-9)


def _on_grid(
    stamps_ns: NDArray[np.int64], values: NDArray[np.floating], start_ns: int, n_steps: int
) -> Floats:
    """Mean of the samples around each point; interpolated where a slower stream has none."""
    place = (stamps_ns - start_ns + STEP_NS // 2) // STEP_NS
    inside = (place >= 0) & (place < n_steps)
    place = place[inside]
    if not len(place):
        return np.zeros((n_steps, values.shape[1]))
    n_samples = np.bincount(place, minlength=n_steps)
    has_samples = n_samples > 0
    points = np.arange(n_steps)
    made = np.empty((n_steps, values.shape[1]))
    for channel in range(values.shape[1]):
        weights = values[inside, channel].astype(np.float64)
        sums = np.bincount(place, weights, n_steps)
        means = sums[has_samples] / n_samples[has_samples]
        made[:, channel] = np.interp(points, points[has_samples], means)
    return made


def _envelopes(accel: Floats, gyro: Floats | None, steady: Floats) -> Floats:
    """Logarithms of the quantities that depend on no boundary, (n, 4 or 3)."""
    gravity = steady / np.maximum(np.linalg.norm(steady, axis=1, keepdims=True), 1e-9)
    columns = {
        "gravity_turning": np.linalg.norm(_slope(gravity), axis=1),
        "jerk": _root_mean_square(_slope(accel)),
        "leaving": _root_mean_square(accel - steady),
    }
    if gyro is not None:
        columns = {"turning": _root_mean_square(gyro), **columns}
    return np.column_stack([np.log(values + _FLOORS[name]) for name, values in columns.items()])


def _root_mean_square(vectors: Floats) -> Floats:
    """Smoothed length of vectors (n, 3), (n,)."""
    squares = np.sum(vectors**2, axis=1, keepdims=True)
    return np.sqrt(np.maximum(_smoothed(squares, ENVELOPE_S)[:, 0], 0.0))


def _slope(vectors: Floats) -> Floats:
    """Change per second, (n, 3)."""
    return np.gradient(vectors, STEP_S, axis=0) if len(vectors) > 1 else np.zeros_like(vectors)


def _smoothed(columns: Floats, deviation_s: float) -> Floats:
    """Columns (n, c) under a Gaussian; beyond the ends they stay as they end."""
    reach = round(4 * deviation_s / STEP_S)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * STEP_S / deviation_s) ** 2)
    kernel /= kernel.sum()
    padded = np.pad(columns, ((reach, reach), (0, 0)), mode="edge")
    smoothed = np.empty_like(columns)
    for channel in range(columns.shape[1]):
        smoothed[:, channel] = np.convolve(padded[:, channel], kernel, mode="valid")
    return smoothed


def _angle(directions: Floats, direction: Floats) -> Floats:
    """Angle between unit vectors (n, 3) and one, rad (n,)."""
    return np.arccos(np.clip(directions @ direction, -1.0, 1.0))
