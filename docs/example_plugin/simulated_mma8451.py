"""A simulated MMA8451Q for wban's --simulate: registers and sampling, from the data sheet.

The FIFO, motion detection and the interrupt pins are not simulated.
"""

from __future__ import annotations

import numpy as np

from wban_collect.simulation.chip import ChipNack
from wban_collect.simulation.chip_clock import ChipClock
from wban_collect.simulation.world import World, sampling_until_ns

STANDARD_GRAVITY = 9.80665
STATUS, OUT_X_MSB, OUT_Z_LSB, WHO_AM_I = 0x00, 0x01, 0x06, 0x0D
XYZ_DATA_CFG, CTRL_REG1 = 0x0E, 0x2A
WRITABLE = frozenset((0x09, 0x0A, XYZ_DATA_CFG, *range(CTRL_REG1, 0x32)))
RATES_HZ = (800.0, 400.0, 200.0, 100.0, 50.0, 12.5, 6.25, 1.5625)
NOISE_G = 99e-6  # per root Hz; the bandwidth is half the rate


class SimulatedMma8451:
    """An MMA8451Q on wban's `SimulatedI2CBus`; made by ``wban-collect start --simulate``.

    Attributes
    ----------
    unplugged
        While true the chip does not acknowledge.
    """

    def __init__(self, world: World, seed: int, *, address: int, clock_error: float) -> None:
        self._world = world
        self.address = address
        self._clock_error = clock_error
        self._random = np.random.default_rng((seed, 0x8451))
        self.unplugged = False
        self._reset()

    def power_cycle(self, now_ns: int) -> None:
        """Start anew in standby with the power-on values."""
        self._reset()

    def write(self, data: bytes, end_ns: int) -> None:
        """Set the register pointer, then write what follows it."""
        if self.unplugged:
            raise ChipNack
        if not data:
            return
        self._pointer = data[0]
        for value in data[1:]:
            if self._pointer in WRITABLE:
                self._registers[self._pointer] = value
                if self._pointer == CTRL_REG1:
                    self._run_or_rest(end_ns)
            self._pointer += 1

    def read(self, n_bytes: int, byte_ns: float, start_ns: int) -> bytes:
        """Read on from the register pointer; behind the data it goes back to the status."""
        if self.unplugged:
            raise ChipNack
        received = bytearray()
        for place in range(n_bytes):
            if self._pointer in (STATUS, OUT_X_MSB):
                self._sample(start_ns + round((1 + place) * byte_ns))
            received.append(self._registers[self._pointer])
            if self._pointer == OUT_Z_LSB:
                self._registers[STATUS] = 0
            self._pointer = STATUS if self._pointer == OUT_Z_LSB else (self._pointer + 1) % 0x40
        return bytes(received)

    def stop_condition(self) -> None:
        """Keep the register pointer, as the chip does."""

    def _reset(self) -> None:
        self._registers = bytearray(0x40)
        self._registers[WHO_AM_I] = 0x1A
        self._pointer = 0
        self._clock: ChipClock | None = None
        self._n_sampled = 0

    def _run_or_rest(self, now_ns: int) -> None:
        control = self._registers[CTRL_REG1]
        if not control & 0x01:
            self._clock = None
            return
        rate_hz = RATES_HZ[control >> 3 & 7]
        first_ns = now_ns + round(2e9 / rate_hz + 1e6)  # turn-on time: two periods and 1 ms
        self._clock = ChipClock(first_ns, rate_hz, self._clock_error)
        self._n_sampled = 0
        self._world.begin(first_ns)

    def _sample(self, now_ns: int) -> None:
        """Bring the data registers up to an instant."""
        if self._clock is None:
            return
        n_sampled = self._clock.n_until(sampling_until_ns(self._world, now_ns))
        if n_sampled == self._n_sampled:
            return
        overwritten = self._registers[STATUS] or n_sampled - self._n_sampled > 1
        self._n_sampled = n_sampled
        self._registers[STATUS] = 0xFF if overwritten else 0x0F
        self._registers[OUT_X_MSB : OUT_Z_LSB + 1] = self._words(n_sampled - 1, self._clock)

    def _words(self, number: int, clock: ChipClock) -> bytes:
        """Measure one sample: 14 bits, left-justified, big-endian."""
        counts_per_g = 4096 >> (self._registers[XYZ_DATA_CFG] & 3)
        acceleration = self._world.acceleration(clock.instants_ns(number, 1))[0]
        noise_g = self._random.standard_normal(3) * NOISE_G * (0.5e9 / clock.period_ns) ** 0.5
        counts = np.rint((acceleration / STANDARD_GRAVITY + noise_g) * counts_per_g)
        words = np.clip(counts, -8192, 8191).astype(np.int16) << 2
        return words.astype(">i2").tobytes()
