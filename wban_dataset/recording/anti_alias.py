"""Values of a sampled signal between its samples: linear, or through a low-pass filter.

A place between samples is an index and the part of the way to the next; the grid counts as uniform,
since a chip's period changes by parts per million only.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CUT = 0.45  # of the new rate: half amplitude here
HALF_WIDTH_IN_NEW_SAMPLES = 20.0  # the transition ends below half the new rate
SHORTEST_HALF_WIDTH = 2.0  # of a kernel, in old samples; below it, linear
BLOCK_VALUES = 1 << 14  # of intermediate results, which then stay in the cache of the processor


class LowPass:
    """Windowed-sinc low-pass (Blackman window, zero phase), evaluated where it is asked for.

    Towards the ends of the samples it may use, the kernel becomes symmetrically shorter, down to
    linear interpolation at the very end: the phase stays zero, a trend stays a trend, and nothing
    is invented beyond the end; only the cut gets less steep.

    Parameters
    ----------
    ratio
        Old rate over new rate, at least 1.

    Raises
    ------
    ValueError
        If the rate would go up.
    """

    def __init__(self, ratio: float) -> None:
        if not ratio >= 1.0:
            raise ValueError(
                f"a low-pass for a lower rate needs a ratio of at least 1, got {ratio}"
            )
        self._cycles_per_sample = CUT / ratio
        self.half_width = HALF_WIDTH_IN_NEW_SAMPLES * ratio
        reach = math.ceil(self.half_width)
        self._taps = np.arange(-reach, reach + 1)

    def __call__(self, values: Floats, left: Ints, part: Floats, first: Ints, last: Ints) -> Floats:
        """Return the filtered signal between samples, (p, channels).

        Parameters
        ----------
        values
            Samples, (n, channels).
        left, part
            Sample before each place, (p,), never decreasing, and the part of the way to the next,
            (p,), in [0, 1).
        first, last
            The samples that each place may use, (p,); both count.
        """
        half_widths = np.minimum(
            np.minimum(left - first + part, last - left - part), self.half_width
        )
        result = linear(values, left, part, last)
        long = np.flatnonzero(half_widths >= SHORTEST_HALF_WIDTH)
        n_rows = max(BLOCK_VALUES // len(self._taps), 1)
        for start in range(0, len(long), n_rows):
            rows = long[start : start + n_rows]
            result[rows] = self._filtered(values, left[rows], part[rows], half_widths[rows])
        return result

    def _filtered(self, values: Floats, left: Ints, part: Floats, half_widths: Floats) -> Floats:
        # Where both grids are even, a few kernels serve all places.
        kernels, kernel = np.unique(part + 1j * half_widths, return_inverse=True)
        weights = self._weights(self._taps - kernels.real[:, None], kernels.imag[:, None])
        weights = (weights / weights.sum(axis=1, keepdims=True))[kernel]
        reach = len(self._taps) // 2
        first = int(left[0]) - reach
        # Beyond the samples the weight is 0.
        near = values[np.clip(np.arange(first, int(left[-1]) + reach + 1), 0, len(values) - 1)]
        around = sliding_window_view(np.ascontiguousarray(near.T), len(self._taps), axis=1)
        columns = [(weights * of_channel[left - left[0]]).sum(axis=1) for of_channel in around]
        return np.stack(columns, axis=1)

    def _weights(self, distance: Floats, half_width: Floats) -> Floats:
        cosine = np.cos(distance * (np.pi / half_width))
        window = 0.42 + 0.5 * cosine + 0.08 * (2.0 * cosine * cosine - 1.0)
        window[np.abs(distance) >= half_width] = 0.0
        return window * np.sinc(2.0 * self._cycles_per_sample * distance)


def linear(values: Floats, left: Ints, part: Floats, last: Ints) -> Floats:
    """Interpolate linearly between samples, using none after `last`, (p, channels)."""
    share = part[:, None]
    return (1.0 - share) * values[left] + share * values[np.minimum(left + 1, last)]
