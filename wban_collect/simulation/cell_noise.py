"""Randomness that is a function of time: time is cut into cells, each cell's numbers are a hash.

Nothing is drawn in an order, so an instant looks the same whoever asks for it and whenever, and a
recording may go on for ever. All three shapes come with the derivatives that a gyroscope and an
accelerometer need.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_CELL = np.uint64(0x9E3779B97F4A7C15)
_CHANNEL = np.uint64(0xD1B54A32D192ED03)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_MASK_64 = (1 << 64) - 1


def uniform(seed: int, cells: NDArray[np.int64], n_channels: int) -> Floats:
    """Numbers in [0, 1) that belong to `cells` (m,): shape (m, n_channels). SplitMix64's mix."""
    channels = np.arange(1, n_channels + 1, dtype=np.uint64) * _CHANNEL
    key = np.array([seed & _MASK_64], dtype=np.uint64)
    z = cells.astype(np.uint64)[:, None] * _CELL + channels[None, :] + key
    z = (z ^ (z >> np.uint64(30))) * _MIX_1
    z = (z ^ (z >> np.uint64(27))) * _MIX_2
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


@functools.lru_cache(maxsize=4096)
def _drawn(seed: int, first: int, stop: int, n_channels: int) -> Floats:
    """Numbers of cells first .. stop - 1; kept, since neighbouring blocks share cells."""
    numbers = uniform(seed, np.arange(first, stop, dtype=np.int64), n_channels)
    numbers.flags.writeable = False
    return numbers


def smooth_step(u: Floats) -> tuple[Floats, Floats, Floats]:
    """Rise from 0 to 1 over u = 0..1, with its first and second derivative by u.

    The quintic 6u^5 - 15u^4 + 10u^3, the minimum-jerk movement between two points at rest
    (Flash and Hogan 1985). Constant outside.
    """
    u = np.minimum(np.maximum(u, 0.0), 1.0)
    rest = u * (1.0 - u)
    return u * u * u * (u * (u * 6.0 - 15.0) + 10.0), 30.0 * rest**2, 60.0 * rest * (1.0 - 2.0 * u)


def bump(u: Floats) -> tuple[Floats, Floats, Floats]:
    """(1 - u^2)^3 within |u| < 1, 0 outside, with its first and second derivative by u."""
    u = np.minimum(np.maximum(u, -1.0), 1.0)
    rest = 1.0 - u * u
    return rest**3, -6.0 * u * rest**2, rest * (24.0 * u * u - 6.0 * rest)


def held(
    seed: int, t: Floats, cell_s: float, move_s: float, n_channels: int
) -> tuple[Floats, Floats]:
    """Levels that are held for a cell and reached by a smooth move at its start.

    Parameters
    ----------
    t
        Time in s, (n,).
    cell_s, move_s
        Length of a cell and of the move within it, `move_s` <= `cell_s`.

    Returns
    -------
    levels, rates
        (n, n_channels) each; levels are uniform in [-1, 1).
    """
    position = t / cell_s
    cells = np.floor(position).astype(np.int64)
    first = int(cells.min())
    levels = 2.0 * _drawn(seed, first - 1, int(cells.max()) + 1, n_channels) - 1.0
    local = cells - first
    before = levels[local]
    step = levels[local + 1] - before
    rise, rate, _ = smooth_step((position - cells) * (cell_s / move_s))
    return before + step * rise[:, None], step * (rate / move_s)[:, None]


def held_at(seed: int, t: float, cell_s: float, move_s: float, n_channels: int) -> list[float]:
    """Levels of `held` at one instant, without the cost of arrays."""
    position = t / cell_s
    cell = math.floor(position)
    before, after = (2.0 * _drawn(seed, cell - 1, cell + 1, n_channels) - 1.0).tolist()
    rise = smooth_rise((position - cell) * cell_s / move_s)
    return [a + (b - a) * rise for a, b in zip(before, after, strict=True)]


def smooth_rise(u: float) -> float:
    """Value of `smooth_step` for one number."""
    u = min(max(u, 0.0), 1.0)
    return u * u * u * (u * (u * 6.0 - 15.0) + 10.0)


def events(
    seed: int, t: Floats, cell_s: float, probability: float, n_channels: int
) -> tuple[Floats, Floats, Floats] | None:
    """Brief movements out and back, at most one per cell.

    Each lies within its cell, lasts between 25 and 80 % of it, and has a size in [-1, 1) per
    channel.

    Returns
    -------
    values, rates, accelerations
        (n, n_channels) each, per s and per s^2; None when nothing happens during `t`.
    """
    position = t / cell_s
    cells = np.floor(position).astype(np.int64)
    first = int(cells.min())
    drawn = _drawn(seed, first, int(cells.max()) + 1, n_channels + 3)
    happens = drawn[:, 0] < probability
    if not happens.any():
        return None
    half = 0.125 + 0.275 * drawn[:, 1]
    centre = half + (1.0 - 2.0 * half) * drawn[:, 2]
    size = (2.0 * drawn[:, 3:] - 1.0) * happens[:, None]
    local = cells - first
    value, rate, curve = bump((position - cells - centre[local]) / half[local])
    amplitude, width_s = size[local], half[local] * cell_s
    return (
        amplitude * value[:, None],
        amplitude * (rate / width_s)[:, None],
        amplitude * (curve / width_s**2)[:, None],
    )
