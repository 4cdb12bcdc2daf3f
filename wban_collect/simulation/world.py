"""What simulated chips measure: a world that can be asked for any instant.

All functions are pure in time: the same instant gives the same answer whoever asks, in whatever
order, so that all chips see one world.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ActivitySpan:
    """What the wearer does from start to stop (half-open), CLOCK_MONOTONIC."""

    start_ns: int
    stop_ns: int
    activity: str


class World(Protocol):
    """The physical truth around the simulated chips."""

    def begin(self, start_ns: int) -> None:
        """Fix the instant that is the world's time 0; the first caller decides."""
        ...

    def acceleration(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Proper acceleration in the sensor's frame, m/s^2, (n, 3). At rest: 1 g upwards."""
        ...

    def angular_rate(self, times_ns: NDArray[np.int64]) -> NDArray[np.float64]:
        """Angular rate in the sensor's frame, rad/s, (n, 3)."""
        ...

    def temperature(self, time_ns: int) -> NDArray[np.float64]:
        """Object temperature that each thermal pixel sees, degC, (24, 32)."""
        ...

    def infrared(self, time_ns: int, height: int, width: int) -> NDArray[np.uint8]:
        """Infrared picture, (height, width)."""
        ...

    def spans(self) -> list[ActivitySpan]:
        """Tell what is truly done when; empty before `begin`."""
        ...

    @property
    def end_ns(self) -> int | None:
        """Where the world ends (replay), or None."""
        ...


def sampling_until_ns(world: World, now_ns: int) -> int:
    """Latest instant until `now_ns` that chips may sample: a replayed world ends."""
    end_ns = world.end_ns
    return now_ns if end_ns is None else min(now_ns, end_ns - 1)
