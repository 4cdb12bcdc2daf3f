"""Pictures brought to the size that a model takes: each new pixel is the mean of its area."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from wban_dataset.dataset.layout import TEMPERATURE_FILL

Size = tuple[int, int]


def infrared_at(pictures: NDArray[np.uint8], size: Size) -> NDArray[np.uint8]:
    """Average uint8 pictures (n, h, w) to `size`, halves rounded up."""
    if pictures.shape[1:] == size:
        return pictures
    height, width = pictures.shape[1:]
    if not height % size[0] and not width % size[1]:
        return _whole_blocks(pictures, height // size[0], width // size[1])
    return np.floor(_weighted(pictures.astype(np.float32), size) + 0.5).astype(np.uint8)


def thermal_at(pictures: NDArray[np.int16], size: Size) -> NDArray[np.int16]:
    """Average temperatures (n, h, w), leaving unknown pixels out; unknown where none is known."""
    if pictures.shape[1:] == size:
        return pictures
    known = (pictures != TEMPERATURE_FILL).astype(np.float32)
    total = _weighted(pictures * known, size)
    share = _weighted(known, size)
    unknown = share < np.float32(1e-6)  # of the area; rounding leaves no exact zero
    mean = np.rint(total / np.where(unknown, np.float32(1), share))
    return np.where(unknown, np.float32(TEMPERATURE_FILL), mean).astype(np.int16)


def _whole_blocks(pictures: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """Average blocks of rows x columns pixels, by adding whole rows, then whole columns."""
    sums = pictures[:, 0::rows].astype(np.uint32 if rows * columns > 256 else np.uint16)
    for row in range(1, rows):
        sums += pictures[:, row::rows]
    total = sums[:, :, 0::columns].copy()
    for column in range(1, columns):
        total += sums[:, :, column::columns]
    n = rows * columns
    total += np.asarray(n // 2, dtype=total.dtype)
    return (total // np.asarray(n, dtype=total.dtype)).astype(np.uint8)


def _weighted(pictures: NDArray[np.float32], size: Size) -> NDArray[np.float32]:
    """Average (n, h, w) to (n, *size) by the share of each old pixel in each new one."""
    rows = _shares(pictures.shape[1], size[0])
    columns = _shares(pictures.shape[2], size[1])
    return np.matmul(np.matmul(rows, pictures), columns.T)


@lru_cache(maxsize=16)
def _shares(old: int, new: int) -> NDArray[np.float32]:
    """Share of each new pixel that lies in each old one, along one axis, (new, old)."""
    edges = np.arange(new + 1) * (old / new)
    pixels = np.arange(old)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.maximum(overlap, 0.0) * (new / old)).astype(np.float32)
