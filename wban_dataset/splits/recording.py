"""A recording as the auditor reads it: rows by their number, one session at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Signal:
    """One stream of one session.

    Attributes
    ----------
    kind, units
        As in ``/streams``: ``accel`` in ``m s-2``, ...
    n_rows
        Rows of this session.
    first_row
        Number of its first row in the table of windows' rows (``offset`` of the session).
    read
        Rows [start, stop) counted from 0 within the session; (n, channels) or (n, h, w).
    scale_factor
        Physical value of one count, 0 where unknown. With it the counts themselves are compared, so
        that a copy under another scale is found.
    copy_rows
        Equal rows that make a copy; 0: those of 5 s. Ready windows may be shorter than that.
    """

    kind: str
    units: str
    sampling_rate_hz: float
    n_rows: int
    first_row: int
    read: Callable[[int, int], NDArray[Any]]
    scale_factor: float = 0.0
    copy_rows: int = 0


@dataclass(frozen=True, slots=True)
class Recording:
    """The streams of one session by name; `session` is its number."""

    session: int
    streams: Mapping[str, Signal]
