"""The oscillator of a simulated LSM6DSOX: it makes the sampling rate and the timestamp."""

from __future__ import annotations

import math

from wban_collect.simulation.chip_clock import ChipClock

TICK_NS = 25_000
FREQ_FINE_STEP = 0.0015
TIMESTAMP_MODULUS = 1 << 32


class Oscillator:
    """Steps of 25 us; every so many of them a sample is taken.

    While both sensors are off it rests, and the timestamp with it.

    Parameters
    ----------
    error, drift_ppm, drift_period_s, drift_phase_rad
        See `ChipClock`.

    Attributes
    ----------
    clock
        When the samples are taken; of the last run while it rests, None before the first.
    ticks_per_sample
        0 while it rests.
    """

    def __init__(
        self, error: float, drift_ppm: float, drift_period_s: float, drift_phase_rad: float
    ) -> None:
        self._error = error
        self._drift_ppm = drift_ppm
        self._drift_period_s = drift_period_s
        self._drift_phase_rad = drift_phase_rad
        self.reset()

    @property
    def freq_fine(self) -> int:
        """INTERNAL_FREQ_FINE: the error in steps of 0.15 %, as a register.

        Seen on a chip: 0x1B while it runs, 0x1A while it is powered down.
        """
        fine = round(self._error / FREQ_FINE_STEP) - (not self.ticks_per_sample)
        return min(max(fine, -128), 127) & 0xFF

    def reset(self) -> None:
        """Rest, with the timestamp at zero."""
        self.clock: ChipClock | None = None
        self.ticks_per_sample: int = 0
        self._ticks_at_start = self._ticks_at_zero = 0.0

    def run(self, now_ns: int, ticks_per_sample: int) -> bool:
        """Sample at another rate from now on, or rest; whether that is a change."""
        if ticks_per_sample == self.ticks_per_sample:
            return False
        self._ticks_at_start = self._ticks(now_ns) + ticks_per_sample
        self.ticks_per_sample = ticks_per_sample
        if ticks_per_sample:
            period_ns = ticks_per_sample * TICK_NS
            self.clock = ChipClock(
                now_ns + round(period_ns / (1.0 + self._error)),
                1e9 / period_ns,
                self._error,
                drift_ppm=self._drift_ppm,
                drift_period_s=self._drift_period_s,
                drift_phase_rad=self._drift_phase_rad,
            )
        return True

    def zero_timestamp(self, now_ns: int) -> None:
        """Let the timestamp begin at zero now."""
        self._ticks_at_zero = self._ticks(now_ns)

    def timestamp(self, now_ns: int) -> int:
        """Give the timestamp as it is now."""
        return self._shown(self._ticks(now_ns))

    def timestamp_of(self, sample: int) -> int:
        """Give the timestamp as it was when a sample was taken."""
        return self._shown(self._ticks_at_start + sample * self.ticks_per_sample)

    def _shown(self, ticks: float) -> int:
        return math.floor(ticks - self._ticks_at_zero + 1e-6) % TIMESTAMP_MODULUS

    def _ticks(self, now_ns: int) -> float:
        """Count the steps made until now."""
        if self.clock is None or not self.ticks_per_sample:
            return self._ticks_at_start
        newest = max(self.clock.n_until(now_ns) - 1, 0)
        beyond = (now_ns - self.clock.instant_ns(newest)) / self.clock.period_ns
        return self._ticks_at_start + (newest + beyond) * self.ticks_per_sample
