"""Units that other people's recordings are in."""

from __future__ import annotations

import math
from dataclasses import dataclass

from wban_dataset.errors import DatasetError
from wban_dataset.recording.streams import StreamKind

STANDARD_GRAVITY = 9.80665
"""m/s2 of one g (BIPM, The International System of Units)."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of a motion signal.

    Attributes
    ----------
    kind
        What is measured in it.
    si
        The same in SI, UDUNITS.
    factor
        Value in SI = value * factor.
    """

    kind: StreamKind
    si: str
    factor: float


UNITS: dict[str, Unit] = {
    "g": Unit("accel", "m s-2", STANDARD_GRAVITY),
    "mg": Unit("accel", "m s-2", STANDARD_GRAVITY / 1000),
    "m/s2": Unit("accel", "m s-2", 1.0),
    "deg/s": Unit("gyro", "rad s-1", math.pi / 180),
    "rad/s": Unit("gyro", "rad s-1", 1.0),
}

NS_PER_UNIT: dict[str, int] = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1000, "ns": 1}

_SPELLINGS = {
    "m/s^2": "m/s2",
    "m/s²": "m/s2",
    "m s-2": "m/s2",
    "°/s": "deg/s",
    "dps": "deg/s",
    "rad s-1": "rad/s",
    "\u00b5s": "us",  # micro sign
    "\u03bcs": "us",  # Greek mu
}


def unit_of(name: str) -> Unit:
    """Give a motion unit by its name.

    Raises
    ------
    DatasetError
        If it is not known.
    """
    unit = UNITS.get(_SPELLINGS.get(name, name))
    if unit is None:
        raise DatasetError(
            f"unit {name!r}: it is not known, expected one of {', '.join(UNITS)}. "
            "Convert the signal if it is in another."
        )
    return unit


def ns_per(name: str) -> int:
    """Nanoseconds in a unit of time.

    Raises
    ------
    DatasetError
        If it is not known.
    """
    ns = NS_PER_UNIT.get(_SPELLINGS.get(name, name))
    if ns is None:
        raise DatasetError(
            f"unit of time {name!r}: it is not known, expected one of {', '.join(NS_PER_UNIT)}. "
            "Leave the time column out and give a rate if it is in another."
        )
    return ns
