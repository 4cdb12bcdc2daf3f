"""A simulated LSM6DSOX alone on a bus; registers are plain numbers."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from wban_collect.clock import VirtualClock
from wban_collect.simulation.bus import SimulatedI2CBus
from wban_collect.simulation.lsm6dsox import SimulatedLsm6dsox

G = 9.80665
MS = 1_000_000
PERIOD_NS = 9_600_000  # 104 Hz is 384 steps of 25 us
ACCEL_104_HZ_8G = bytes((0x10, 0x4C))
GYRO_104_HZ_1000_DPS = bytes((0x11, 0x48))
BATCH_BOTH = bytes((0x09, 0x44))
TIMESTAMP_ON = bytes((0x19, 0x20))
CONTINUOUS = bytes((0x0A, 0x06))
WITH_TIMESTAMPS = bytes((0x0A, 0x46))
BYPASS = bytes((0x0A, 0x00))
GYRO, ACCEL, TIMESTAMP = 1, 2, 4


class CountingWorld:
    """Sample number k in accel x (at 8 g) and gyro z (at 1000 dps), at 104 Hz."""

    end_ns = None

    def __init__(self) -> None:
        self.begun_ns: int | None = None

    def begin(self, start_ns: int) -> None:
        if self.begun_ns is None:
            self.begun_ns = start_ns

    def _numbers(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        assert self.begun_ns is not None
        return (times_ns - self.begun_ns) / PERIOD_NS

    def acceleration(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        result = np.zeros((len(times_ns), 3))
        result[:, 0] = self._numbers(times_ns) * (G / 4096)
        result[:, 2] = G
        return result

    def angular_rate(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        result = np.zeros((len(times_ns), 3))
        result[:, 1] = math.radians(10.0)
        result[:, 2] = self._numbers(times_ns) * math.radians(0.035)
        return result


class Rig:
    """A chip alone on a 400 kHz bus, without overhead, at time 0."""

    def __init__(self, *settings: bytes, **options: object) -> None:
        self.world = CountingWorld()
        options = {"ideal": True, "keep_truth": True, **options}
        self.chip = SimulatedLsm6dsox(self.world, 1, **options)  # type: ignore[arg-type]
        self.clock = VirtualClock(0)
        self.bus = SimulatedI2CBus(self.clock, [self.chip], overhead_ns=0)
        self.write(*settings)

    def write(self, *settings: bytes) -> None:
        for setting in settings:
            self.bus.write(0x6A, setting)

    def read(self, register: int, n_bytes: int = 1) -> bytes:
        return self.bus.write_read(0x6A, bytes((register,)), n_bytes)

    def status(self) -> tuple[int, int]:
        """Words in the FIFO, and the flags beside their number."""
        low, high = self.read(0x3A, 2)
        return (high & 3) << 8 | low, high & 0xFC

    def words(self, n: int) -> list[tuple[int, int, bytes]]:
        """Sensor, counter and data of the next words; checks the parity."""
        raw = self.read(0x78, 7 * n)
        parts = [raw[start : start + 7] for start in range(0, len(raw), 7)]
        assert all(part[0].bit_count() % 2 == 0 for part in parts)
        return [(part[0] >> 3, part[0] >> 1 & 3, part[1:]) for part in parts]

    def sample(self) -> list[int]:
        """Newest temperature, gyro x y z and accel x y z."""
        return np.frombuffer(self.read(0x20, 14), "<i2").tolist()

    def timestamp(self) -> int:
        return int.from_bytes(self.read(0x40, 4), "little")

    def wait_for_samples(self, n: int) -> None:
        """Until sample n - 1 of the clock's run is wholly in the FIFO."""
        self.clock.sleep_until_ns(int(self.chip.latch_instants_ns(n - 1, 1)[0]) + 30_000)

    def wait_for_slots(self, n: int) -> None:
        self.wait_for_samples(self.chip.fifo_first_sample + n)

    def settle(self) -> None:
        self.clock.sleep_until_ns(self.clock.monotonic_ns() + 100 * MS)


def running(*more: bytes, **options: object) -> Rig:
    """Both sensors on and settled."""
    rig = Rig(BATCH_BOTH, TIMESTAMP_ON, ACCEL_104_HZ_8G, GYRO_104_HZ_1000_DPS, *more, **options)
    rig.settle()
    return rig


def recording(*more: bytes, **options: object) -> Rig:
    rig = running(*more, **options)
    rig.write(WITH_TIMESTAMPS)
    return rig


def counts(data: bytes) -> list[int]:
    return np.frombuffer(data, "<i2").tolist()
