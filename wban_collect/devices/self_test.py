"""What the chips' self-tests share: an average of readings, and how much it changed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from wban_collect.clock import Clock
from wban_collect.device import SelfTestResult

AXES = ("x", "y", "z")

Readings = NDArray[np.float64]


def mean_reading(
    clock: Clock,
    wait_until: Callable[[int], None],
    read: Callable[[], Readings],
    *,
    settling_ns: int,
    n_readings: int,
    pause_ns: int,
) -> Generator[None, None, Readings]:
    """Average readings of a chip at rest; yields where it waits, after `wait_until` was told.

    Parameters
    ----------
    settling_ns
        Before the first reading.
    pause_ns
        Before each further one: a little more than the chip's period, so that each is new.
    """
    wait_until(clock.monotonic_ns() + settling_ns)
    yield None
    total = read()
    for _ in range(n_readings - 1):
        wait_until(clock.monotonic_ns() + pause_ns)
        yield None
        total = total + read()
    return total / n_readings


def results(
    changes: Sequence[float], limits: Sequence[tuple[float, float]], units: str, prefix: str = ""
) -> Iterator[SelfTestResult]:
    """Judge the change of each axis by its limits; `prefix` comes before the axis's letter."""
    for axis, change, (lowest, highest) in zip(AXES, changes, limits, strict=True):
        yield SelfTestResult(f"{prefix}{axis}", float(change), lowest, highest, units)
