"""The self-test of the MPU-6050 family: what the factory measured against what is measured now.

RM-MPU-6000A (rev. 4.2, registers 13 to 16) for the first generation, AN-MPU-9250A-03 for later
parts. Limits for chips without factory values are those of the maker's own drivers.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from wban_collect.clock import Clock
from wban_collect.device import SelfTestResult
from wban_collect.devices import mpu6050_registers as reg
from wban_collect.devices.register_chip import RegisterChip
from wban_collect.devices.self_test import Readings, mean_reading, results

SETTLING_NS = 60_000_000
N_READINGS = 100
PAUSE_NS = 2_000_000
ALL_AXES_EXCITED = 0xE0

ACCEL_TRIM_CODES = 0x0D
FIRST_DEVIATION_PERCENT = (-14.0, 14.0)
LATER_DEVIATION_PERCENT = (-50.0, 50.0)
FIRST_CHANGE_MG, LATER_CHANGE_MG = (300.0, 950.0), (225.0, 675.0)
FIRST_CHANGE_DPS, LATER_CHANGE_DPS = (10.0, 105.0), (60.0, 250.0)


class Mpu6050SelfTest:
    """One run on a chip that is awake and has settled.

    Parameters
    ----------
    wait_until
        Told the instant to be resumed at before each None that is yielded.
    """

    def __init__(
        self,
        chip: RegisterChip,
        clock: Clock,
        variant: reg.Variant,
        wait_until: Callable[[int], None],
    ) -> None:
        self._chip = chip
        self._clock = clock
        self._variant = variant
        self._wait_until = wait_until
        # The ranges at which the factory's values hold.
        self._accel_range_g = 8 if variant.first_generation else 2
        self._gyro_range_dps = 250

    def steps(self) -> Iterator[SelfTestResult | None]:
        """Measure with and without the excitation; one result per axis of both sensors.

        Raises
        ------
        DeviceError
            If a setting does not hold.
        """
        trim = self._read_trim()
        resting = yield from self._mean(excited=False)
        excited = yield from self._mean(excited=True)
        change = excited - resting
        first = self._variant.first_generation
        yield from judged(
            change[:3],
            trim[:3],
            FIRST_CHANGE_MG if first else LATER_CHANGE_MG,
            1000.0 / reg.ACCEL_COUNTS_PER_G[self._accel_range_g],
            first=first,
            units="mg",
            prefix="accel ",
        )
        yield from judged(
            change[3:],
            trim[3:],
            FIRST_CHANGE_DPS if first else LATER_CHANGE_DPS,
            1.0 / reg.GYRO_COUNTS_PER_DPS[self._gyro_range_dps],
            first=first,
            units="deg/s",
            prefix="gyro ",
        )

    def _read_trim(self) -> NDArray[np.float64]:
        """Responses that the factory measured, accel then gyro, counts (6,); 0: not written."""
        if self._variant.first_generation:
            return first_generation_trim(self._chip.read(ACCEL_TRIM_CODES, 4))
        gyro_codes = self._chip.read(self._variant.gyro_trim_codes, 3)
        return later_trim(self._chip.read(ACCEL_TRIM_CODES, 3) + gyro_codes)

    def _mean(self, *, excited: bool) -> Generator[None, None, Readings]:
        settings = self._settings(excited=excited)
        self._chip.configure(settings)
        self._chip.verify(settings)
        return (
            yield from mean_reading(
                self._clock,
                self._wait_until,
                self._read_counts,
                settling_ns=SETTLING_NS,
                n_readings=N_READINGS,
                pause_ns=PAUSE_NS,
            )
        )

    def _settings(self, *, excited: bool) -> dict[int, int]:
        """1 kHz through the filter of 92 Hz, with or without the force on all axes."""
        force = ALL_AXES_EXCITED if excited else 0
        settings = {
            reg.PWR_MGMT_2: 0,
            reg.SMPLRT_DIV: 0,
            reg.CONFIG: 2,
            reg.GYRO_CONFIG: force | reg.GYRO_RANGE_CODES[self._gyro_range_dps],
            reg.ACCEL_CONFIG: force | reg.ACCEL_RANGE_CODES[self._accel_range_g],
        }
        if self._variant.accel_filter and self._variant.genuine:
            settings[reg.ACCEL_CONFIG_2] = 2
        return settings

    def _read_counts(self) -> Readings:
        """Read the newest sample of both sensors, counts (6,)."""
        accel, gyro = reg.decode_records(self._chip.read(reg.ACCEL_XOUT_H, 14), 14)
        return np.concatenate((accel[0], gyro[0])).astype(np.float64)


def first_generation_trim(raw: bytes) -> NDArray[np.float64]:
    """Take the factory's responses of an MPU-6050 from SELF_TEST_X, Y, Z and A, counts (6,).

    Each axis has 5 bits: the gyroscope's are the lowest of its register, the accelerometer's are
    its highest three and two of SELF_TEST_A.
    """
    low_bits = raw[3]
    accel = [(raw[axis] >> 5) << 2 | low_bits >> (4 - 2 * axis) & 3 for axis in range(3)]
    gyro = [raw[axis] & 0x1F for axis in range(3)]
    accel_trim = [4096 * 0.34 * (0.92 / 0.34) ** ((code - 1) / 30) if code else 0 for code in accel]
    gyro_trim = [
        sign * 25 * 131 * 1.046 ** (code - 1) if code else 0
        for sign, code in zip((1, -1, 1), gyro, strict=True)
    ]
    return np.array(accel_trim + gyro_trim, dtype=np.float64)


def later_trim(codes: bytes) -> NDArray[np.float64]:
    """Work out the factory's responses of a later part, accel then gyro, counts (6,)."""
    return np.array([2620 * 1.01 ** (code - 1) if code else 0 for code in codes], dtype=np.float64)


def judged(
    change: NDArray[np.float64],
    trim: NDArray[np.float64],
    absolute_limits: tuple[float, float],
    units_per_count: float,
    *,
    first: bool,
    units: str,
    prefix: str,
) -> Iterator[SelfTestResult]:
    """Judge three axes by their deviation from the factory's values.

    Without factory values, the change itself is judged: clones have none.
    """
    if np.all(trim != 0):
        deviation = (change / trim - 1) * 100
        limits = FIRST_DEVIATION_PERCENT if first else LATER_DEVIATION_PERCENT
        yield from results(_listed(deviation), [limits] * 3, "% off the factory's value", prefix)
    else:
        magnitude = np.abs(change) * units_per_count
        yield from results(_listed(magnitude), [absolute_limits] * 3, units, prefix)


def _listed(values: NDArray[np.float64]) -> Sequence[float]:
    return values.tolist()
