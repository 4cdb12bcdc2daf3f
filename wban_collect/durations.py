"""Lengths of time as people write them: 30s, 5min, 1.5h."""

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
