"""Mean and spread of a stream, taken from the rows that a fold trains on and from no other."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Normalisation:
    """What turns values into multiples of the standard deviation of the training rows.

    Attributes
    ----------
    mean, standard_deviation
        float64 (channels,) for motion, one value for all pixels of a stream of pictures.
    n_rows
        Rows of the stream that they were taken from, each once however many windows have it.
    """

    mean: NDArray[np.float64]
    standard_deviation: NDArray[np.float64]
    n_rows: int

    @classmethod
    def fit(cls, parts: Iterable[NDArray[Any]]) -> Self:
        """Take rows piece by piece: (n, channels), or (n, h, w) of pictures; NaN is left out.

        A channel that never changes is divided by 1, so that it becomes 0 and not infinite.
        """
        n_rows = 0
        count, mean, squares = 0.0, np.zeros(1), np.zeros(1)
        for part in parts:
            n_rows += len(part)
            # A copy with one column for each channel; pictures have one channel.
            values = np.asarray(part, dtype=np.float64)
            values = values if values.ndim == 2 else values.reshape(-1, 1)
            known = ~np.isnan(values)
            n = known.sum(axis=0)
            part_mean = np.where(known, values, 0.0).sum(axis=0) / np.maximum(n, 1)
            deviation = np.where(known, values - part_mean, 0.0)
            # Chan, Golub & LeVeque 1979: exact where a plain sum of squares is not.
            total = np.maximum(count + n, 1)
            shift = part_mean - mean
            squares = squares + (deviation**2).sum(axis=0) + shift**2 * count * n / total
            mean = mean + shift * n / total
            count = count + n
        deviation = np.sqrt(squares / np.maximum(count, 1))
        return cls(mean, np.where(deviation > 0, deviation, 1.0), n_rows)

    def apply(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Normalise rows (n, ...) whose last axis are the channels, or pictures."""
        # All values of a row at once: stepping through three channels is what would take long.
        n_values = math.prod(values.shape[1:])
        n_times = n_values // len(self.mean)
        mean = np.tile(self.mean.astype(np.float32), n_times)
        scale = np.tile(self.standard_deviation.astype(np.float32), n_times)
        rows = values.reshape(len(values), n_values)
        normalised = np.subtract(rows, mean, dtype=np.float32)
        np.divide(normalised, scale, out=normalised)
        return normalised.reshape(values.shape)
