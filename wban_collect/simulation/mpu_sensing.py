"""What the sensors inside a simulated MPU-6050, 6500 or 9250 measure, before any register."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wban_collect.simulation.world import World

STANDARD_GRAVITY = 9.80665
# By the range bits (data sheet, tables of sensitivity).
ACCEL_LSB_PER_G = (16384.0, 8192.0, 4096.0, 2048.0)
GYRO_LSB_PER_DPS = (131.0, 65.5, 32.8, 16.4)

# Bandwidth by DLPF_CFG, Hz.
_ACCEL_BANDWIDTH_HZ = (260, 184, 94, 44, 21, 10, 5, 260)
_GYRO_BANDWIDTH_HZ = (256, 188, 98, 42, 20, 10, 5, 256)
_GYRO_NOISE_DPS = 0.005  # per root Hz
# Factory codes of the self-test: 5 bits each in the MPU-6050, 8 bits later.
_ACCEL_SELF_TEST_CODES = (17, 16, 19)
_GYRO_SELF_TEST_CODES = (14, 15, 13)
_LATER_ACCEL_SELF_TEST_CODES = (105, 98, 112)
_LATER_GYRO_SELF_TEST_CODES = (190, 185, 195)


@dataclass(frozen=True, slots=True)
class MpuModel:
    """What differs between the members of the family.

    Attributes
    ----------
    temperature_lsb_per_c, temperature_zero_c
        TEMP_OUT = (T - zero) * lsb.
    accel_noise_g
        Per root Hz.
    first_generation
        The MPU-6050: SMPLRT_DIV acts on 8 kHz too, FIFO_RESET needs FIFO_EN off, there is no
        FIFO_MODE, and the self-test has codes of its own. Later parts stay at 8 kHz with the
        filter off and may stop when the FIFO is full.
    """

    who_am_i: int
    fifo_bytes: int
    temperature_lsb_per_c: float
    temperature_zero_c: float
    accel_noise_g: float
    first_generation: bool


def _later_model(who_am_i: int) -> MpuModel:
    return MpuModel(who_am_i, 512, 333.87, 21.0, 300e-6, first_generation=False)


MODELS = {
    "mpu6050": MpuModel(0x68, 1024, 340.0, 36.53, 400e-6, first_generation=True),
    "mpu6500": _later_model(0x70),
    "mpu6515": _later_model(0x74),
    "mpu9250": _later_model(0x71),
    "mpu9255": _later_model(0x73),
}


@dataclass(frozen=True, slots=True)
class MpuSettings:
    """The registers that say how to measure, decoded.

    Attributes
    ----------
    accel_range, gyro_range
        0 to 3: 2 to 16 g, 250 to 2000 degrees per second.
    accel_self_test, gyro_self_test, standby
        Bit 2 is x, bit 0 is z; in `standby` bits 5 to 3 the accelerometer's, 2 to 0 the gyro's.
    """

    accel_range: int
    gyro_range: int
    dlpf: int
    accel_self_test: int
    gyro_self_test: int
    standby: int


class MpuSensing:
    """Accelerometer, thermometer and gyroscope with their errors.

    Parameters
    ----------
    accel_offset_g, accel_gain_error, gyro_bias_dps, gyro_gain_error
        Per axis. None: drawn from `random`, typical of the data sheet.
    noise
        Also off with `ideal`, which takes every error away.
    self_test_works
        False: the excitation moves nothing.
    """

    def __init__(
        self,
        world: World,
        random: np.random.Generator,
        model: MpuModel,
        *,
        accel_offset_g: Sequence[float] | None,
        accel_gain_error: Sequence[float] | None,
        gyro_bias_dps: Sequence[float] | None,
        gyro_gain_error: Sequence[float] | None,
        temperature_c: float,
        noise: bool,
        ideal: bool,
        self_test_works: bool = True,
    ) -> None:
        self._world = world
        self._random = random
        self._model = model
        self._accel_offset_g = self._drawn(accel_offset_g, (0.02, 0.02, 0.03))
        self._accel_gain = 1.0 + self._drawn(accel_gain_error, (0.01, 0.01, 0.01))
        self._gyro_bias_dps = self._drawn(gyro_bias_dps, (1.5, 1.5, 1.5))
        self._gyro_gain = 1.0 + self._drawn(gyro_gain_error, (0.01, 0.01, 0.01))
        self._temperature_c = temperature_c
        self._noise = noise and not ideal
        self._ideal = ideal
        self._self_test_works = self_test_works

    def self_test_registers(self) -> dict[int, bytes]:
        """Give the codes of the self-test as the factory wrote them, by their first register."""
        if not self._model.first_generation:
            later = {0x00: _LATER_GYRO_SELF_TEST_CODES, 0x0D: _LATER_ACCEL_SELF_TEST_CODES}
            return {register: bytes(codes) for register, codes in later.items()}
        accel, gyro = _ACCEL_SELF_TEST_CODES, _GYRO_SELF_TEST_CODES
        axes = bytes((accel[axis] >> 2) << 5 | gyro[axis] for axis in range(3))
        low_bits = (accel[0] & 3) << 4 | (accel[1] & 3) << 2 | accel[2] & 3
        return {0x0D: axes + bytes((low_bits,))}

    def _self_test_g(self) -> NDArray[np.float64]:
        """Acceleration that the excitation feigns, (3,)."""
        if self._model.first_generation:
            # Register map: at +-8 g, 4096 * 0.34 * (0.92 / 0.34) ** ((code - 1) / 30).
            codes = np.array(_ACCEL_SELF_TEST_CODES)
            return 0.34 * (0.92 / 0.34) ** ((codes - 1) / 30)
        # Application note: at +-2 g, 2620 * 1.01 ** (code - 1).
        return 2620 * 1.01 ** (np.array(_LATER_ACCEL_SELF_TEST_CODES) - 1.0) / ACCEL_LSB_PER_G[0]

    def _self_test_dps(self) -> NDArray[np.float64]:
        """Angular rate that the excitation feigns, (3,)."""
        if self._model.first_generation:
            # Register map: at +-250 dps, 25 * 131 * 1.046 ** (code - 1), y negative.
            codes = np.array(_GYRO_SELF_TEST_CODES)
            return np.array((25.0, -25.0, 25.0)) * 1.046 ** (codes - 1)
        return 2620 * 1.01 ** (np.array(_LATER_GYRO_SELF_TEST_CODES) - 1.0) / GYRO_LSB_PER_DPS[0]

    def measure(
        self,
        accel_instants_ns: NDArray[np.int64],
        gyro_instants_ns: NDArray[np.int64],
        settings: MpuSettings,
    ) -> NDArray[np.int16]:
        """Measure accel x y z, temperature, gyro x y z: int16 (n, 7)."""
        words = np.empty((len(gyro_instants_ns), 7))
        words[:, :3] = self._accel(accel_instants_ns, settings)
        words[:, 3] = self._temperature_c - self._model.temperature_zero_c
        words[:, 3] *= self._model.temperature_lsb_per_c
        words[:, 4:] = self._gyro(gyro_instants_ns, settings)
        for bit, column in enumerate((6, 5, 4, 2, 1, 0)):
            if settings.standby >> bit & 1:
                words[:, column] = 0.0
        return np.clip(np.rint(words), -32768, 32767).astype(np.int16)

    def _accel(self, instants_ns: NDArray[np.int64], settings: MpuSettings) -> NDArray[np.float64]:
        """Measure in counts before rounding, (n, 3)."""
        lsb_per_g = ACCEL_LSB_PER_G[settings.accel_range]
        counts = self._world.acceleration(instants_ns) / (STANDARD_GRAVITY / lsb_per_g)
        if not self._ideal:
            counts = counts * self._accel_gain + self._accel_offset_g * lsb_per_g
        if self._noise:
            rms_g = self._model.accel_noise_g * math.sqrt(_ACCEL_BANDWIDTH_HZ[settings.dlpf])
            counts = counts + self._random.standard_normal(counts.shape) * (rms_g * lsb_per_g)
        if settings.accel_self_test and self._self_test_works:
            counts = counts + _axes(settings.accel_self_test) * self._self_test_g() * lsb_per_g
        return counts

    def _gyro(self, instants_ns: NDArray[np.int64], settings: MpuSettings) -> NDArray[np.float64]:
        """Measure in counts before rounding, (n, 3)."""
        lsb_per_dps = GYRO_LSB_PER_DPS[settings.gyro_range]
        counts = self._world.angular_rate(instants_ns) / (math.radians(1.0) / lsb_per_dps)
        if not self._ideal:
            counts = counts * self._gyro_gain + self._gyro_bias_dps * lsb_per_dps
        if self._noise:
            rms_dps = _GYRO_NOISE_DPS * math.sqrt(_GYRO_BANDWIDTH_HZ[settings.dlpf])
            counts = counts + self._random.standard_normal(counts.shape) * (rms_dps * lsb_per_dps)
        if settings.gyro_self_test and self._self_test_works:
            counts = counts + _axes(settings.gyro_self_test) * self._self_test_dps() * lsb_per_dps
        return counts

    def _drawn(self, given: Sequence[float] | None, spread: Sequence[float]) -> NDArray[np.float64]:
        # Drawn in any case, so that one given value does not change the others.
        drawn = np.clip(self._random.standard_normal(3), -2.5, 2.5) * np.asarray(spread)
        return drawn if given is None else np.asarray(given, dtype=np.float64)


def _axes(bits: int) -> NDArray[np.float64]:
    """1 for each axis whose bit is set, x in bit 2."""
    return np.array([bits >> 2 & 1, bits >> 1 & 1, bits & 1], dtype=np.float64)
