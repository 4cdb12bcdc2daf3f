"""What the element, filter and converter inside a simulated LIS3DH make of the world."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STANDARD_GRAVITY = 9.80665
MG_PER_DIGIT = (1.0, 2.0, 4.0, 12.0)  # of the upper 12 bits, by the range bits
FIFO_BITS = 10
# From power-down, high resolution takes so many samples to settle (table of turn-on times).
SETTLING_SAMPLES = 7
NOISE_G = 220e-6  # per root Hz
# Within the limits, 17 to 360 digits of 4 mg (mechanical characteristics).
SELF_TEST_G = (0.36, 0.31, 0.58)


@dataclass(frozen=True, slots=True)
class Lis3dhSettings:
    """The registers that say how to measure, decoded.

    Attributes
    ----------
    bits
        Of the operating mode: 12 high resolution, 10 normal, 8 low power.
    axes
        Bit 0 is x, bit 2 is z; an axis that is off reads 0.
    self_test
        0 none, 1 and 2 the two directions of the excitation.
    into_fifo
        The FIFO keeps the 10 most significant bits.
    """

    rate_hz: float
    bits: int
    range_code: int
    axes: int
    self_test: int
    big_endian: bool
    into_fifo: bool


class Lis3dhSensing:
    """The sensing element with its errors.

    Parameters
    ----------
    zero_g_offset_g, gain_error
        Per axis. None: drawn from `random`, typical of the data sheet.
    noise
        Also off with `ideal`, which takes every error away.
    """

    def __init__(
        self,
        random: np.random.Generator,
        *,
        zero_g_offset_g: Sequence[float] | None,
        gain_error: Sequence[float] | None,
        noise: bool,
        ideal: bool,
        self_test_works: bool,
    ) -> None:
        self._random = random
        # Drawn in any case, so that one given value does not change the others.
        drawn_offset_g = np.clip(random.normal(0, 0.04, 3), -0.1, 0.1)
        drawn_gain = np.clip(random.normal(0, 0.02, 3), -0.1, 0.1)
        self._offset_g = drawn_offset_g if zero_g_offset_g is None else np.asarray(zero_g_offset_g)
        self._gain = 1.0 + (drawn_gain if gain_error is None else np.asarray(gain_error))
        self._noise = noise and not ideal
        self._ideal = ideal
        self._self_test_works = self_test_works

    def measure(
        self, acceleration: NDArray[np.float64], first: int, settings: Lis3dhSettings
    ) -> NDArray[np.int16]:
        """Convert m/s^2 (n, 3) of samples `first` and on to what the registers show, int16 (n, 3).

        Words are left-justified.
        """
        measured_g = self._measured_g(acceleration, first, settings)
        digits = measured_g * (1000.0 / MG_PER_DIGIT[settings.range_code])
        kept_bits = FIFO_BITS if settings.into_fifo else 12
        bits = min(settings.bits, kept_bits) if self._ideal else settings.bits
        limit = 1 << (bits - 1)
        rounded = np.rint(digits / (1 << (12 - bits)))
        words = np.clip(rounded, -limit, limit - 1).astype(np.int16) << (16 - bits)
        words &= -1 << (16 - kept_bits)  # the FIFO cuts the lowest bits off
        words *= np.array([settings.axes >> axis & 1 for axis in range(3)], dtype=np.int16)
        return words.astype(">i2" if settings.big_endian else "<i2", copy=False)

    def _measured_g(
        self, acceleration: NDArray[np.float64], first: int, settings: Lis3dhSettings
    ) -> NDArray[np.float64]:
        """Measure in g, before the converter, (n, 3)."""
        measured_g = acceleration / STANDARD_GRAVITY
        if not self._ideal:
            measured_g = measured_g * self._gain + self._offset_g
            if settings.bits == 12:
                numbers = np.arange(first + 1, first + 1 + len(measured_g))[:, None]
                measured_g = measured_g * np.minimum(numbers / SETTLING_SAMPLES, 1.0)
        if self._noise:
            bandwidth_hz = settings.rate_hz / (9 if settings.bits == 12 else 2)
            rms_g = NOISE_G * math.sqrt(bandwidth_hz)
            measured_g = measured_g + self._random.standard_normal(measured_g.shape) * rms_g
        if settings.self_test in (1, 2) and self._self_test_works:
            sign = 1.0 if settings.self_test == 1 else -1.0
            measured_g = measured_g + sign * np.array(SELF_TEST_G)
        return measured_g
