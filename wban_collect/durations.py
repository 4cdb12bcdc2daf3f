"""Lengths of time as people write and read them: 30s, 5min, 1.5h; 1 h 23 min."""

from __future__ import annotations

import re

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS

_DURATION = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>ms|s|min|m|h|d)?\Z")
_UNIT_NS = {
    "ms": SECOND_NS // 1000,
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "min": 60 * SECOND_NS,
    "h": 3600 * SECOND_NS,
    "d": DAY_NS,
}


def parse_duration(text: str) -> int:
    """Parse a length of time to ns; a bare number is seconds.

    Raises
    ------
    ValueError
        If it is none, or shorter than 1 ns, or 366 days and longer.
    """
    match = _DURATION.match(text.strip())
    nanoseconds = float(match["number"]) * _UNIT_NS[match["unit"] or "s"] if match else 0.0
    if not 1 <= nanoseconds < 366 * DAY_NS:
        raise ValueError(
            f"{text[:40]!r} is not a duration: expected a positive length of time such as "
            "30s, 5min or 1.5h"
        )
    return int(nanoseconds)


def span(duration_s: float) -> str:
    """Say a length of time in its two largest units: ``1 h 23 min``."""
    minutes, seconds = divmod(max(int(duration_s), 0), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [(days, "d"), (hours, "h"), (minutes, "min"), (seconds, "s")]
    while len(parts) > 1 and not parts[0][0]:
        parts.pop(0)
    return " ".join(f"{number} {unit}" for number, unit in parts[:2])


def room_text(hours_left: float, bytes_per_hour: float) -> str:
    """Say how long the disk lasts, in the same words wherever it is said."""
    return (
        f"enough for at least {span(hours_left * 3600)} at {bytes_per_hour / 1e6:.1f} MB an hour, "
        "copies made while sealing counted in"
    )
