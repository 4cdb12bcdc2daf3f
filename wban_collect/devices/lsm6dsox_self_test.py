"""The self-test of an LSM6DSOX: the chip pushes its own sensors, and they must move.

Procedure of the application note, limits of the data sheet (table 2).
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from wban_collect.clock import Clock
from wban_collect.device import SelfTestResult
from wban_collect.devices import lsm6dsox_registers as reg
from wban_collect.devices.register_chip import RegisterChip
from wban_collect.devices.self_test import Readings, mean_reading, results

SETTLING_NS = 100_000_000
N_READINGS = 5


@dataclass(frozen=True, slots=True)
class SensorTest:
    """The test of one sensor.

    Attributes
    ----------
    settings
        Registers that switch the sensor on.
    push
        Of CTRL5_C: pushes all axes in the positive direction.
    limits
        Of the change, in magnitude.
    pause_ns
        A bit more than one of the sensor's periods.
    """

    name: str
    settings: Mapping[int, int]
    push: int
    data_register: int
    units_per_count: float
    units: str
    limits: tuple[float, float]
    pause_ns: int


SENSOR_TESTS = (
    # 52 Hz, 4 g
    SensorTest(
        "accel", {reg.CTRL1_XL: 0x38}, 0x01, reg.OUTX_L_A, 1000 / 8192, "mg", (50, 1700), 22_000_000
    ),
    # 208 Hz, 2000 degrees per second
    SensorTest(
        "gyro", {reg.CTRL2_G: 0x5C}, 0x04, reg.OUTX_L_G, 0.07, "deg/s", (150, 700), 6_000_000
    ),
)


class Lsm6dsoxSelfTest:
    """One run on a chip that has been reset.

    Parameters
    ----------
    wait_until
        Told the instant to be resumed at before each None that is yielded.
    """

    def __init__(self, chip: RegisterChip, clock: Clock, wait_until: Callable[[int], None]) -> None:
        self._chip = chip
        self._clock = clock
        self._wait_until = wait_until

    def steps(self) -> Iterator[SelfTestResult | None]:
        """Measure with and without the push, one sensor after the other; one result per axis.

        Raises
        ------
        DeviceError
            If a setting does not hold.
        """
        for test in SENSOR_TESTS:
            resting = yield from self._mean(test, pushed=False)
            pushed = yield from self._mean(test, pushed=True)
            change = np.abs(pushed - resting) * test.units_per_count
            yield from results(change.tolist(), [test.limits] * 3, test.units, f"{test.name} ")
            self._chip.configure(dict.fromkeys(test.settings, reg.POWER_DOWN))

    def _mean(self, test: SensorTest, *, pushed: bool) -> Generator[None, None, Readings]:
        settings = {
            reg.CTRL3_C: reg.BDU | reg.IF_INC,
            **test.settings,
            reg.CTRL5_C: test.push if pushed else 0,
        }
        self._chip.configure(settings)
        self._chip.verify(settings)
        return (
            yield from mean_reading(
                self._clock,
                self._wait_until,
                lambda: self._read_counts(test),
                settling_ns=SETTLING_NS,
                n_readings=N_READINGS,
                pause_ns=test.pause_ns,
            )
        )

    def _read_counts(self, test: SensorTest) -> Readings:
        """Read the newest sample of a sensor, counts (3,)."""
        raw = self._chip.read(test.data_register, 6)
        return np.frombuffer(raw, dtype="<i2").astype(np.float64)
