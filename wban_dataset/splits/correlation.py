"""Whether two stretches of acceleration are one movement: correlation over 20 s."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.splits.moving import sums_of

OVER_S = 20.0
COPY = 0.995
"""Correlation above which two stretches are copies."""

SIMILAR = 0.98
"""Correlation above which a person should look."""

HOPELESS = 0.9
"""Correlation of the magnitude below which no lag between rows, and no offset, is tried."""

MIN_SD = 0.5
"""m s-2; below it, a correlation is a warning only."""

LAG_ROWS = 4
"""A landmark may be found so many rows beside its place in the copy."""

LEAST_PART = 0.1
"""Of a row; what lies nearer to a row is that row."""

Rows = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Likeness:
    """How alike two stretches are, at best, over 20 s.

    Attributes
    ----------
    first, last
        Rows of the first stretch, half-open: all that is a copy, or the best 20 s.
    lag_rows
        Row of the second stretch that row 0 of the first matches, rounded.
    """

    is_copy: bool
    correlation: float
    first: int
    last: int
    lag_rows: int


def likeness(first: Rows, second: Rows, core: slice, rate_hz: float) -> Likeness | None:
    """Compare a stretch with a longer one that is the same if they are copies.

    Parameters
    ----------
    first
        m s-2, (n, channels).
    second
        m s-2, (n + 2 * LAG_ROWS, channels'); row LAG_ROWS is expected to match row 0 of `first`.
    core
        Rows of `first` that are known to look alike, from which the lag is taken.

    Returns
    -------
    Likeness
        None where it is not even similar, or there are less than 20 s.
    """
    length = round(OVER_S * rate_hz)
    if len(first) < length:
        return None
    lag = _best_lag(_length_of(first), _length_of(second), core)
    correlation, deviation = _at_lag(first, second, lag, length)
    copied = (correlation > COPY) & (deviation > MIN_SD)
    lag_rows = round(lag) - LAG_ROWS
    if copied.any():
        places = np.flatnonzero(copied)
        best = float(correlation[places].max())
        return Likeness(True, best, int(places[0]), int(places[-1]) + length, lag_rows)
    alike = np.where(deviation > MIN_SD, correlation > SIMILAR, correlation > COPY)
    if not alike.any():
        return None
    best_place = int(np.argmax(np.where(alike, correlation, -1.0)))
    best = float(correlation[best_place])
    return Likeness(False, best, best_place, best_place + length, lag_rows)


def _at_lag(first: Rows, second: Rows, lag: float, length: int) -> tuple[Rows, Rows]:
    """Correlation and deviation of every stretch, at the nearest row or between rows.

    The better one: what lies between rows is interpolated, which costs a true copy a little.
    """
    correlation, deviation = _running(first, _shifted(second, round(lag), len(first)), length)
    if abs(lag - round(lag)) < LEAST_PART or correlation.max() < HOPELESS:
        return correlation, deviation
    between, deviation_between = _running(first, _shifted(second, lag, len(first)), length)
    better = between > correlation
    return np.maximum(between, correlation), np.where(better, deviation_between, deviation)


def _running(first: Rows, second: Rows, length: int) -> tuple[Rows, Rows]:
    """Correlation and standard deviation of every stretch of a length, (n - length + 1,) each.

    The better one of the magnitude, which is blind to how the sensor was turned, and of all
    channels together, which are blind to an offset.
    """
    correlation, deviation = _moving_correlation(
        _length_of(first)[:, None], _length_of(second)[:, None], length
    )
    if correlation.max() < HOPELESS or first.shape[1] != second.shape[1]:
        return correlation, deviation
    together, deviation_together = _moving_correlation(first, second, length)
    better = together > correlation
    return np.maximum(together, correlation), np.where(better, deviation_together, deviation)


def _moving_correlation(one: Rows, other: Rows, length: int) -> tuple[Rows, Rows]:
    covariance = _moving_covariance(one, other, length)
    variances = [_moving_covariance(values, values, length) for values in (one, other)]
    product = np.sqrt(np.maximum(variances[0] * variances[1], 1e-12))
    return covariance / product, np.sqrt(np.maximum(np.maximum(*variances), 0.0))


def _moving_covariance(one: Rows, other: Rows, length: int) -> Rows:
    """Covariance of every stretch of a length, summed over channels."""
    total = np.zeros(len(one) - length + 1)
    for x, y in zip((one - one.mean(axis=0)).T, (other - other.mean(axis=0)).T, strict=True):
        means = [_moving_mean(values, length) for values in (x * y, x, y)]
        total += means[0] - means[1] * means[2]
    return total


def _moving_mean(values: Rows, length: int) -> Rows:
    sums = sums_of(values)
    return (sums[length:] - sums[:-length]) / length


def _best_lag(first: Rows, second: Rows, core: slice) -> float:
    """Row of the second that row 0 of the first matches best, between rows where that is better."""
    one = first[core] - first[core].mean()
    correlations: list[float] = []
    for lag in range(2 * LAG_ROWS + 1):
        other = second[core.start + lag : core.stop + lag]
        other = other - other.mean()
        size = float(np.linalg.norm(one) * np.linalg.norm(other))
        correlations.append(float(one @ other) / max(size, 1e-12))
    best = int(np.argmax(correlations))
    if best in (0, 2 * LAG_ROWS):
        return float(best)
    before, at, after = correlations[best - 1 : best + 2]
    curvature = before - 2 * at + after
    return best + (0.5 * (before - after) / curvature if curvature < 0 else 0.0)


def _shifted(rows: Rows, lag: float, n: int) -> Rows:
    """Rows from a lag on; between rows by cubic interpolation (Catmull & Rom 1974)."""
    whole = int(np.floor(lag))
    part = lag - whole
    if part == 0 or whole < 1 or whole + n + 2 > len(rows):
        nearest = min(round(lag), len(rows) - n)
        return rows[nearest : nearest + n]
    before, left, right, after = (rows[whole + i : whole + i + n] for i in (-1, 0, 1, 2))
    return left + 0.5 * part * (
        right
        - before
        + part
        * (2 * before - 5 * left + 4 * right - after + part * (3 * (left - right) + after - before))
    )


def _length_of(rows: NDArray[Any]) -> Rows:
    return np.sqrt(np.einsum("ij,ij->i", rows, rows))
