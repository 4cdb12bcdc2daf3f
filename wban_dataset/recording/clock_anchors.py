"""CLOCK_MONOTONIC to UTC, from the anchors that were logged while recording.

A Pi has no clock of its own: it starts with a stale time and steps to the true one when the network
answers. Monotonic time knows no steps, so what a synchronised clock says once holds backwards for
the whole boot. Between steps both clocks tick at one rate: the kernel slews them together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording.streams import ClockAnchor

Ints = NDArray[np.int64]

STEP_NS = 500_000_000  # smaller changes of realtime - monotonic are interpolated over


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The wall clock was set: realtime jumped by `step_ns` between two anchors."""

    before_ns: int
    after_ns: int
    step_ns: int


@dataclass(frozen=True, slots=True)
class UtcMap:
    """Piecewise linear map from CLOCK_MONOTONIC to UTC; beyond its ends both tick alike.

    Attributes
    ----------
    monotonic_ns, utc_ns
        Points of the map, (p,) each; the first strictly, the second never decreasing.
    synchronised
        Whether the points come from a synchronised clock. If not, the times may be days off.
    steps
        Where the wall clock was set, in order.
    """

    monotonic_ns: Ints
    utc_ns: Ints
    synchronised: bool
    steps: tuple[ClockStep, ...] = ()

    def to_utc(self, monotonic_ns: Ints | int) -> Ints:
        """Return UTC in ns since 1970 of instants in any order, (n,); never runs backwards."""
        times_ns = np.asarray(monotonic_ns, dtype=np.int64)
        return _mapped(times_ns, self.monotonic_ns, self.utc_ns)

    def to_monotonic(self, utc_ns: Ints | int) -> Ints:
        """Return CLOCK_MONOTONIC in ns of instants in UTC, (n,), within 1 ns of `to_utc`."""
        times_ns = np.asarray(utc_ns, dtype=np.int64)
        keep = np.concatenate(([True], np.diff(self.utc_ns) > 0))
        return _mapped(times_ns, self.utc_ns[keep], self.monotonic_ns[keep])


def utc_from_anchors(anchors: Iterable[ClockAnchor]) -> UtcMap:
    """Make the map of a boot from its anchors.

    The points are the synchronised anchors of the last stretch without a step that has any; what
    came before is mapped by that stretch too. Where the clock was never synchronised, all anchors
    of the last stretch are taken; without any anchor, UTC is the time since boot.
    """
    by_time = {a.monotonic_ns: a for a in anchors}  # of two at one instant the later one
    ordered = [by_time[time_ns] for time_ns in sorted(by_time)]
    if not ordered:
        origin = np.zeros(1, dtype=np.int64)
        return UtcMap(origin, origin, synchronised=False)
    monotonic_ns = np.array([a.monotonic_ns for a in ordered], dtype=np.int64)
    realtime_ns = np.array([a.realtime_ns for a in ordered], dtype=np.int64)
    steps, stretch = _steps(monotonic_ns, realtime_ns)
    synchronised = np.array([a.synchronised for a in ordered], dtype=bool)
    any_synchronised = bool(synchronised.any())
    usable = synchronised if any_synchronised else np.ones(len(ordered), dtype=bool)
    chosen = usable & (stretch == stretch[usable].max())
    utc_ns = np.maximum.accumulate(realtime_ns[chosen])
    return UtcMap(monotonic_ns[chosen], utc_ns, any_synchronised, steps)


def _steps(monotonic_ns: Ints, realtime_ns: Ints) -> tuple[tuple[ClockStep, ...], Ints]:
    """Find steps of the wall clock, and count those before each anchor, (p,)."""
    jumps_ns = np.diff(realtime_ns - monotonic_ns)
    stepped = np.abs(jumps_ns) > STEP_NS
    steps = tuple(
        ClockStep(int(monotonic_ns[i]), int(monotonic_ns[i + 1]), int(jumps_ns[i]))
        for i in np.flatnonzero(stepped)
    )
    return steps, np.concatenate(([0], np.cumsum(stepped))).astype(np.int64)


def _mapped(times_ns: Ints, source_ns: Ints, target_ns: Ints) -> Ints:
    """Interpolate linearly on integers; beyond the ends the offset stays."""
    last = len(source_ns) - 1
    left = np.clip(np.searchsorted(source_ns, times_ns, side="right") - 1, 0, last)
    right = np.minimum(left + 1, last)
    since_ns = times_ns - source_ns[left]
    run_ns = source_ns[right] - source_ns[left]
    # What the target gains on the source is small, so that a float holds it to the nanosecond.
    gained_ns = target_ns[right] - target_ns[left] - run_ns
    part = np.clip(since_ns, 0, run_ns) / np.maximum(run_ns, 1)
    return target_ns[left] + since_ns + np.rint(part * gained_ns).astype(np.int64)
