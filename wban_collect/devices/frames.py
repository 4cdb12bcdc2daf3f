"""Making the stored picture out of the captured one, in plain numpy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Resizer:
    """Shrinks pictures of one size to another by area averaging.

    Every stored pixel is the mean of the captured area that it covers, so that fine structure turns
    into grey instead of moire. Whole-number ratios, the usual case, take integer sums alone.

    Raises
    ------
    ValueError
        If the stored picture would be larger than the captured one.
    """

    def __init__(self, source: tuple[int, int], target: tuple[int, int]) -> None:
        """Take both sizes as (height, width)."""
        if min(target) < 1 or target[0] > source[0] or target[1] > source[1]:
            raise ValueError(
                f"pictures of {source[1]}x{source[0]} cannot be stored as {target[1]}x{target[0]}: "
                "the stored size must be at least 1x1 and at most the captured size"
            )
        self.source = source
        self.target = target
        self._is_whole = source[0] % target[0] == 0 and source[1] % target[1] == 0
        self._row_taps = _area_taps(source[0], target[0])
        self._column_taps = _area_taps(source[1], target[1])

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Shrink a picture uint8 (height, width) of the source size; the result is a new array."""
        if picture.shape != self.source:
            raise ValueError(f"a picture of shape {picture.shape} came, expected {self.source}")
        if self.source == self.target:
            return picture.copy()
        if self._is_whole:
            return _block_means(picture, self.target)
        strips = np.zeros((self.target[0], self.source[1]), dtype=np.float32)
        for index, weight in self._row_taps:
            strips += weight[:, np.newaxis] * picture[index]
        means = np.full(self.target, 0.5, dtype=np.float32)  # rounds half up
        for index, weight in self._column_taps:
            means += weight * strips[:, index]
        return means.astype(np.uint8)


def _block_means(picture: NDArray[np.uint8], target: tuple[int, int]) -> NDArray[np.uint8]:
    """Means of equal blocks of whole pixels, rounded half up."""
    rows, columns = picture.shape[0] // target[0], picture.shape[1] // target[1]
    n_pixels = rows * columns
    # uint16 holds 256 pixels of 255 and the rounding; whole rows first, they lie in one piece.
    kind = np.uint16 if n_pixels <= 256 else np.uint32
    sums = picture[0::rows].astype(kind)
    for row in range(1, rows):
        sums += picture[row::rows]
    totals = sums[:, 0::columns].copy()
    for column in range(1, columns):
        totals += sums[:, column::columns]
    totals += kind(n_pixels // 2)
    totals //= kind(n_pixels)
    return totals.astype(np.uint8)


def _area_taps(n_source: int, n_target: int) -> list[tuple[NDArray[np.intp], NDArray[np.float32]]]:
    """Split each target pixel of one axis into source pixels: [(index, weight)], (n_target,) each.

    The weights of one target pixel add up to 1. There are as many pairs as source pixels can share
    in one target pixel; where fewer do, the weight is 0.
    """
    scale = n_source / n_target
    starts = np.arange(n_target) * scale
    stops = starts + scale
    first = np.floor(starts).astype(np.intp)
    taps: list[tuple[NDArray[np.intp], NDArray[np.float32]]] = []
    for offset in range(int(np.ceil(scale)) + 1):
        index = first + offset
        shared = np.clip(np.minimum(stops, index + 1) - np.maximum(starts, index), 0.0, None)
        if shared.max() > 0:
            taps.append((np.minimum(index, n_source - 1), (shared / scale).astype(np.float32)))
    return taps


def luma_plane(array: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Give the brightness plane (height, width) of a YUV420 buffer (3/2 height, stride), a view.

    picamera2 returns all planes stacked and keeps the padding that the hardware put after each row
    (`Helpers._make_array_shared`); the first `height` rows are Y.
    """
    if array.ndim != 2 or array.shape[0] < height or array.shape[1] < width:
        raise ValueError(
            f"the camera gave a buffer of shape {array.shape}, expected at least "
            f"({height * 3 // 2}, {width}) for YUV420 of {width}x{height}"
        )
    return array[:height, :width]
