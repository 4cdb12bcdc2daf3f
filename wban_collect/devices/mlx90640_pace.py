"""When an MLX90640 will have its next subpage: enough to plan polls, not to stamp subpages."""

from __future__ import annotations

import math

GOLDEN_FRACTION = 0.6180339887498949

FIRST_POLL_SHARE = 0.8
"""Of a period after the last subpage: nothing new is to be expected before (chip clock +-2 %)."""

LONGEST_STEP_NS = 5_000_000
STEP_SHARE = 0.1


class SubpagePace:
    """The instant of the last subpage, and when to look for the next.

    The first look at each subpage is moved by a golden-ratio sequence over one step. Looks that are
    locked to the chip's phase would bound all subpages equally badly; these find some just before
    and some just after a subpage ends, which is what the clock fit lives on.
    """

    def __init__(self, period_ns: float) -> None:
        self.period_ns = period_ns
        self.step_ns = int(min(LONGEST_STEP_NS, STEP_SHARE * period_ns))
        self.ready_ns = 0.0
        self._phase_known = False
        self._dither = 0.0

    def restart(self, now_ns: int) -> None:
        """Forget the phase: the chip was set up at `now_ns`."""
        self.ready_ns = float(now_ns)
        self._phase_known = False

    def observe(self, not_before_ns: int, by_ns: int) -> None:
        """Learn that the newest subpage ended between the two; `not_before_ns` 0: not known.

        A prediction that the bounds allow is better than either bound.
        """
        predicted_ns = float(by_ns)
        if self._phase_known:
            # After a long silence the newest is several periods on; a tenth for the chip's clock.
            n_periods = max(math.floor((by_ns - self.ready_ns) / self.period_ns + 0.1), 1)
            predicted_ns = self.ready_ns + n_periods * self.period_ns
        self.ready_ns = min(max(predicted_ns, float(not_before_ns)), float(by_ns))
        self._phase_known = True

    def first_poll_ns(self) -> int:
        """When to look for the next subpage first."""
        self._dither = (self._dither + GOLDEN_FRACTION) % 1.0
        wait_ns = FIRST_POLL_SHARE * self.period_ns if self._phase_known else 0.0
        return int(self.ready_ns + wait_ns + self._dither * self.step_ns)

    def n_periods(self, since_ns: float, *, odd: bool | None) -> int:
        """How many periods lie between `since_ns` and the last subpage.

        Of the whole numbers with the parity that the subpage numbers tell (None: nothing) the one
        nearest to the time that passed, at least 1.
        """
        periods = (self.ready_ns - since_ns) / self.period_ns
        if odd is None:
            return max(round(periods), 1)
        remainder = 1 if odd else 0
        return max(2 * round((periods - remainder) / 2) + remainder, 2 - remainder)
