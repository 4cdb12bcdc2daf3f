"""Moving maximum and mean, in time that does not depend on the length of the window."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def forward_maximum(values: NDArray[Any], length: int) -> NDArray[Any]:
    """Maximum of each values[i : i + length], (n - length + 1,); van Herk 1992, Gil & Werman 1993.

    Blocks of the window's length: a window is the end of one block and the beginning of the next.
    """
    n = len(values)
    if n < length:
        return values[:0]
    padding = -n % length
    lowest = values.min()
    blocks = np.concatenate([values, np.full(padding, lowest, values.dtype)]).reshape(-1, length)
    to_here = np.maximum.accumulate(blocks, axis=1).ravel()
    from_here = np.maximum.accumulate(blocks[:, ::-1], axis=1)[:, ::-1].ravel()
    return np.maximum(from_here[: n - length + 1], to_here[length - 1 : n])


def centred_maximum(values: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """Maximum of the values at most `half` places away, (n,)."""
    edge = np.full(half, -np.inf)
    return forward_maximum(np.concatenate([edge, values, edge]), 2 * half + 1)


def centred_mean(sums: NDArray[np.float64], half: int) -> NDArray[np.float64]:
    """Mean of the values at most `half` places away, fewer at the ends; from `sums_of`."""
    n = len(sums) - 1
    place = np.arange(n)
    first = np.maximum(place - half, 0)
    last = np.minimum(place + half + 1, n)
    return (sums[last] - sums[first]) / (last - first)


def sums_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of the values before each place, (n + 1,)."""
    return np.concatenate([np.zeros(1), np.cumsum(values)])
