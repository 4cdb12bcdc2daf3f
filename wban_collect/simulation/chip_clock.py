"""A chip's own oscillator: when it takes its samples."""

from __future__ import annotations

import math
from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray

_CHUNK = 256


class ChipClock:
    """Instants at which a chip samples, with the error and drift of its oscillator.

    Sample k is taken at ``start_ns + k * T + w(k * T)``, rounded to ns, where T is the nominal
    period divided by ``1 + error`` and w makes the local rate swing sinusoidally by `drift_ppm`
    with a period of `drift_period_s`, as slow changes of temperature do. Without error and drift
    sample k falls exactly on ``start_ns + round(k * 1e9 / nominal_rate_hz)``.

    Parameters
    ----------
    start_ns
        Instant of sample 0.
    error
        The oscillator runs this fraction too fast (0.03: 3 % more samples per second).
    drift_phase_rad
        Phase of the swing at time 0 of the machine, so that restarting the chip does not restart
        its temperature.

    Raises
    ------
    ValueError
        If the rate is not positive, or error and drift would let time stand still.
    """

    def __init__(
        self,
        start_ns: int,
        nominal_rate_hz: float,
        error: float = 0.0,
        *,
        drift_ppm: float = 0.0,
        drift_period_s: float = 600.0,
        drift_phase_rad: float = 0.0,
    ) -> None:
        if (
            nominal_rate_hz <= 0
            or error <= -0.5
            or abs(drift_ppm) >= 500_000
            or drift_period_s <= 0
        ):
            raise ValueError(
                f"a chip clock of {nominal_rate_hz} Hz, error {error}, drift {drift_ppm} ppm over "
                f"{drift_period_s} s does not run; expected a rate and drift period above 0, an "
                "error above -0.5, a drift below 500000 ppm"
            )
        self.start_ns = start_ns
        self.period_ns = 1e9 / nominal_rate_hz / (1.0 + error)
        self._angular_per_ns = 2.0 * math.pi / (drift_period_s * 1e9)
        self._swing_ns = drift_ppm * 1e-6 / self._angular_per_ns
        self._phase = drift_phase_rad + self._angular_per_ns * start_ns
        self._chunk_first = 0
        self._chunk = self.instants_ns(0, _CHUNK).tolist()

    def instants_ns(self, first: int, n: int) -> NDArray[np.int64]:
        """Instants of samples first .. first + n - 1, int64 (n,), strictly increasing."""
        elapsed = np.arange(first, first + n, dtype=np.float64) * self.period_ns
        if self._swing_ns:
            angle = elapsed * self._angular_per_ns + self._phase
            elapsed += self._swing_ns * (np.cos(angle) - math.cos(self._phase))
        return self.start_ns + np.rint(elapsed).astype(np.int64)

    def instant_ns(self, index: int) -> int:
        """Instant of one sample."""
        offset = index - self._chunk_first
        if not 0 <= offset < _CHUNK:
            self._move_chunk(index)
            offset = index - self._chunk_first
        return self._chunk[offset]

    def n_until(self, now_ns: int) -> int:
        """Count the samples taken until `now_ns`, that instant included."""
        chunk = self._chunk
        while not chunk[0] <= now_ns < chunk[-1]:
            if now_ns < self.start_ns:
                return 0
            # A guess good to the swing; its own chunk then says how far it was off.
            offset = 0 if now_ns < chunk[0] else _CHUNK - 1
            steps = math.floor((now_ns - chunk[offset]) / self.period_ns)
            self._move_chunk(max(0, self._chunk_first + offset + steps))
            chunk = self._chunk
        return self._chunk_first + bisect_right(chunk, now_ns)

    def _move_chunk(self, index: int) -> None:
        # Mostly ahead of the sample asked for, because time goes forward.
        self._chunk_first = max(0, index - _CHUNK // 8)
        self._chunk = self.instants_ns(self._chunk_first, _CHUNK).tolist()
