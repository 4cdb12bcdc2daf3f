"""MLX90640 subpages -> whole images: the other half from before, bad pixels from neighbours."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording.thermal_calibration import N_COLUMNS, N_ROWS
from wban_dataset.recording.thermal_subpage import (
    Pattern,
    as_selection,
    by_quarter,
    quarters,
    subpage_mask,
)

DIAGONALS = ((-1, -1), (-1, 1), (1, -1), (1, 1))


def compose(
    subpage_images: NDArray[np.float32],
    subpages: NDArray[np.integer],
    previous: NDArray[np.float32] | None = None,
    *,
    bad_pixels: NDArray[np.bool_] | None = None,
    pattern: Pattern = "chess",
) -> NDArray[np.float32]:
    """Complete each subpage to an image with the half that was measured last before it.

    Parameters
    ----------
    subpage_images
        (n, 24, 32) in time order; what lies outside a row's own subpage is not looked at.
    subpages
        (n,) 0 or 1.
    previous
        Last image (24, 32) of the stretch before, so that a long recording can be done in batches.
        None at the start of a segment.
    bad_pixels
        (24, 32); replaced by `fill_bad_pixels`. None: nothing is replaced.

    Returns
    -------
    NDArray
        (n, 24, 32), one image for each row; NaN where the other half was not seen yet. A half
        that was invalid (NaN) stays so until its next subpage: nothing older is put in its place.
    """
    images = np.array(subpage_images, dtype=np.float32)
    if bad_pixels is not None:
        fill_bad_pixels(images, subpages, bad_pixels, pattern)
    complete(images, subpages, previous, pattern)
    return images


def complete(
    images: NDArray[np.float32],
    subpages: NDArray[np.integer],
    previous: NDArray[np.float32] | None,
    pattern: Pattern,
) -> None:
    """Put the half that was measured last into each image, in place; see `compose`."""
    odd = np.asarray(subpages) & 1
    before = np.full((N_ROWS, N_COLUMNS), np.nan, np.float32) if previous is None else previous
    view, view_before = by_quarter(images), by_quarter(before)
    for subpage in (0, 1):
        other_rows = np.flatnonzero(odd != subpage)
        last_seen = np.maximum.accumulate(np.where(odd == subpage, np.arange(len(odd)), -1))
        sources = last_seen[other_rows]
        n_unseen = int(np.searchsorted(sources, 0))
        unseen = as_selection(other_rows[:n_unseen])
        targets, origins = as_selection(other_rows[n_unseen:]), as_selection(sources[n_unseen:])
        for row, column in quarters(pattern, subpage):
            view[unseen, :, row, :, column] = view_before[:, row, :, column]
            view[targets, :, row, :, column] = view[origins, :, row, :, column]


def fill_bad_pixels(
    images: NDArray[np.float32],
    subpages: NDArray[np.integer],
    bad_pixels: NDArray[np.bool_],
    pattern: Pattern = "chess",
) -> None:
    """Replace bad pixels of each row's own subpage, in place, as the vendor's library does.

    Chess: the median of the four diagonal neighbours, which belong to the same subpage (two at an
    edge, one in a corner). Interleaved: the mean of the two neighbours in the row, or, where
    both sides have two good pixels, the line of the flatter side carried on. Neighbours that are
    bad themselves are left out (clones have such); a pixel without any becomes NaN.
    """
    masks = [subpage_mask(pattern, subpage) for subpage in (0, 1)]
    for row, column in np.argwhere(bad_pixels):
        subpage = 0 if masks[0][row, column] else 1
        rows = as_selection(np.flatnonzero((np.asarray(subpages) & 1) == subpage))
        own = images[rows]
        if pattern == "chess":
            own[:, row, column] = _diagonal_median(own, bad_pixels, int(row), int(column))
        else:
            own[:, row, column] = _row_estimate(own, bad_pixels, int(row), int(column))
        images[rows, row, column] = own[:, row, column]


def _is_good(bad_pixels: NDArray[np.bool_], row: int, column: int) -> bool:
    inside = 0 <= row < N_ROWS and 0 <= column < N_COLUMNS
    return inside and not bad_pixels[row, column]


def _diagonal_median(
    images: NDArray[np.float32], bad_pixels: NDArray[np.bool_], row: int, column: int
) -> NDArray[np.float32]:
    places = [(row + down, column + right) for down, right in DIAGONALS]
    good = [images[:, r, c] for r, c in places if _is_good(bad_pixels, r, c)]
    if not good:
        return np.full(len(images), np.nan, np.float32)
    ordered = np.sort(np.stack(good), axis=0)  # NaN last: no warning, unlike nanmedian
    middle = (ordered[(len(good) - 1) // 2] + ordered[len(good) // 2]) / 2
    return np.asarray(middle, dtype=np.float32)


def _row_estimate(
    images: NDArray[np.float32], bad_pixels: NDArray[np.bool_], row: int, column: int
) -> NDArray[np.float32]:
    near = [c for c in (column - 1, column + 1) if _is_good(bad_pixels, row, c)]
    far = [c for c in (column - 2, column + 2) if _is_good(bad_pixels, row, c)]
    if not near:
        return np.full(len(images), np.nan, np.float32)
    if len(near) + len(far) < 4:
        return np.asarray(images[:, row, near].mean(axis=1), dtype=np.float32)
    left, right = images[:, row, column - 1], images[:, row, column + 1]
    left_slope = left - images[:, row, column - 2]
    right_slope = right - images[:, row, column + 2]
    flatter_left = np.abs(right_slope) > np.abs(left_slope)
    return np.where(flatter_left, left + left_slope, right + right_slope)
