"""What the sensors inside a simulated LSM6DSOX measure, before any register."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wban_collect.simulation.world import World

STANDARD_GRAVITY = 9.80665
# By the range bits (data sheet, CTRL1_XL and CTRL2_G; the odd ones of the latter are FS_125).
ACCEL_RANGE_G = (2, 16, 4, 8)
GYRO_DPS_PER_LSB = (0.00875, 0.004375, 0.0175, 0.004375, 0.035, 0.004375, 0.07, 0.004375)

# Table 2: noise density in high-performance mode, by range in g; of the gyroscope, any range.
_ACCEL_NOISE_G = {2: 70e-6, 4: 75e-6, 8: 80e-6, 16: 110e-6}
_GYRO_NOISE_DPS = 0.0038
# Table 18: cut-off of the filter LPF2 by rate code, Hz.
_GYRO_BANDWIDTH_HZ = (0, 4.2, 8.3, 16.6, 33.0, 66.8, 135.9, 295.5, 1108.1, 1320.7, 1441.8)

# Within the limits of table 2: 50 to 1700 mg; 20 to 80 dps at 250 dps, 150 to 700 at 2000 dps.
_ACCEL_DEFLECTION_G = (0.62, 0.58, 0.71)
_GYRO_DEFLECTION_OF_RANGE = (0.18, 0.21, 0.17)
_GYRO_FULL_SCALE_LSB = 1000 / 0.035  # the same in every range

# What a value shows before its filter has settled, if DRDY_MASK is set.
_UNSETTLED = 0x7FFF


@dataclass(frozen=True, slots=True)
class LsmSettings:
    """The registers that say how to measure, decoded.

    Attributes
    ----------
    accel_rate, gyro_rate
        Codes of the output data rates; 0: the sensor is off.
    accel_range, gyro_range
        Range bits, 2 and 3 of them.
    accel_sign, gyro_sign
        Of the self-test's deflection; 0: none.
    accel_settled_ns, gyro_settled_ns
        From when on the values are good.
    mask_unsettled
        DRDY_MASK: before that they read 0x7FFF.
    """

    accel_rate: int
    gyro_rate: int
    accel_range: int
    gyro_range: int
    accel_sign: int
    gyro_sign: int
    accel_settled_ns: int
    gyro_settled_ns: int
    mask_unsettled: bool


class LsmSensing:
    """Accelerometer, gyroscope and thermometer with their errors.

    Parameters
    ----------
    accel_offset_g, accel_gain_error, gyro_bias_dps, gyro_gain_error
        Per axis. None: drawn from `random`, typical of the data sheet.
    noise
        Also off with `ideal`, which takes every error away.
    self_test_works
        False: the excitation moves nothing, as in a chip whose sensors are broken.
    """

    def __init__(
        self,
        world: World,
        random: np.random.Generator,
        *,
        accel_offset_g: Sequence[float] | None,
        accel_gain_error: Sequence[float] | None,
        gyro_bias_dps: Sequence[float] | None,
        gyro_gain_error: Sequence[float] | None,
        temperature_c: float,
        noise: bool,
        ideal: bool,
        self_test_works: bool,
    ) -> None:
        self._world = world
        self._random = random
        self._accel_offset_g = self._drawn(accel_offset_g, 0.02)
        self._accel_gain = 1.0 + self._drawn(accel_gain_error, 0.005)
        self._gyro_bias_dps = self._drawn(gyro_bias_dps, 0.5)
        self._gyro_gain = 1.0 + self._drawn(gyro_gain_error, 0.005)
        self._temperature_c = temperature_c
        self._noise = noise and not ideal
        self._ideal = ideal
        self._self_test_works = self_test_works

    def measure(self, instants_ns: NDArray[np.int64], settings: LsmSettings) -> NDArray[np.int16]:
        """Measure temperature, gyro x y z, accel x y z: int16 (n, 7), in the registers' order."""
        counts = np.zeros((len(instants_ns), 7))
        counts[:, 0] = (self._temperature_c - 25.0) * 256.0
        if settings.gyro_rate:
            counts[:, 1:4] = self._gyro(instants_ns, settings)
        if settings.accel_rate:
            counts[:, 4:] = self._accel(instants_ns, settings)
        unsettled = _UNSETTLED if settings.mask_unsettled else 0
        counts[instants_ns < settings.gyro_settled_ns, 1:4] = unsettled
        counts[instants_ns < settings.accel_settled_ns, 4:] = unsettled
        return np.clip(np.rint(counts), -32768, 32767).astype(np.int16)

    def _accel(self, instants_ns: NDArray[np.int64], settings: LsmSettings) -> NDArray[np.float64]:
        """Measure in counts before rounding, (n, 3)."""
        range_g = ACCEL_RANGE_G[settings.accel_range]
        lsb_g = range_g / 32768
        counts = self._world.acceleration(instants_ns) / (STANDARD_GRAVITY * lsb_g)
        if not self._ideal:
            counts = counts * self._accel_gain + self._accel_offset_g / lsb_g
        if self._noise:
            bandwidth_hz = _accel_bandwidth_hz(settings.accel_rate)
            rms = _ACCEL_NOISE_G[range_g] * math.sqrt(bandwidth_hz) / lsb_g
            counts = counts + self._random.standard_normal(counts.shape) * rms
        if self._self_test_works:
            counts = counts + settings.accel_sign * np.array(_ACCEL_DEFLECTION_G) / lsb_g
        return counts

    def _gyro(self, instants_ns: NDArray[np.int64], settings: LsmSettings) -> NDArray[np.float64]:
        """Measure in counts before rounding, (n, 3)."""
        lsb_dps = GYRO_DPS_PER_LSB[settings.gyro_range]
        counts = self._world.angular_rate(instants_ns) / (math.radians(1.0) * lsb_dps)
        if not self._ideal:
            counts = counts * self._gyro_gain + self._gyro_bias_dps / lsb_dps
        if self._noise:
            rms = _GYRO_NOISE_DPS * math.sqrt(_GYRO_BANDWIDTH_HZ[settings.gyro_rate]) / lsb_dps
            counts = counts + self._random.standard_normal(counts.shape) * rms
        if self._self_test_works:
            deflection = np.array(_GYRO_DEFLECTION_OF_RANGE) * _GYRO_FULL_SCALE_LSB
            counts = counts + settings.gyro_sign * deflection
        return counts

    def _drawn(self, given: Sequence[float] | None, spread: float) -> NDArray[np.float64]:
        # Drawn in any case, so that one given value does not change the others.
        drawn = np.clip(self._random.standard_normal(3), -2.5, 2.5) * spread
        return drawn if given is None else np.asarray(given, dtype=np.float64)


def _accel_bandwidth_hz(rate_code: int) -> float:
    """Half of the rate: filter LPF1."""
    return 0.8 if rate_code == 11 else 6666.7 / 2 / (1 << (10 - rate_code))
