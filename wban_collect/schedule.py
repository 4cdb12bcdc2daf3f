"""When to record by itself: times of the day, in local time, on days of the week.

Daylight saving: what counts is what the clock on the wall shows. A span may therefore be an hour
shorter on the day on which clocks go forward and an hour longer on the other; a time that the wall
clock skips takes effect as it jumps, and a time that it shows twice counts both times.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from wban_collect.durations import DAY_NS, SECOND_NS, parse_duration

SHORTEST_SESSION_NS = 10 * SECOND_NS
LONGEST_SESSION_NS = DAY_NS

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_S = 86_400
HORIZON_DAYS = 15
"""What does not change in two weeks and a day never does: in one of them no clock is changed."""

_SPAN = re.compile(
    r"((?P<days>[a-z]+(\s*[,-]\s*[a-z]+)*)\s+)?"
    r"(?P<start>\d{1,2}:\d{2})\s*-\s*(?P<stop>\d{1,2}:\d{2})\Z"
)


@dataclass(frozen=True, slots=True)
class Span:
    """From `start_s` to before `stop_s` of each of the days (Monday is 0), seconds since midnight.

    `stop_s` is beyond a day where the span ends on the morning after.
    """

    days: frozenset[int]
    start_s: int
    stop_s: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``07:00-23:00`` or ``mon-fri,sun 22:00-06:00``; see `Schedule.parse`."""
        match = _SPAN.match(text.strip().lower())
        if match is None:
            raise _unusable(text)
        start_s, stop_s = _seconds(match["start"], text), _seconds(match["stop"], text)
        if start_s in (stop_s, DAY_S):
            raise _unusable(text)
        days = _days(match["days"], text) if match["days"] else frozenset(range(7))
        return cls(days, start_s, stop_s if stop_s > start_s else stop_s + DAY_S)

    def holds(self, weekday: int, second: int) -> bool:
        """Whether a second of a day lies in it."""
        if weekday in self.days and self.start_s <= second < self.stop_s:
            return True
        return (weekday - 1) % 7 in self.days and second < self.stop_s - DAY_S


@dataclass(frozen=True, slots=True)
class Schedule:
    """When to record; always where there are no spans."""

    spans: tuple[Span, ...] = ()

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Self:
        """Make a schedule of spans such as ``07:00-23:00`` or ``sat,sun 10:00-12:00``.

        A span that ends before it starts goes on into the next day, whether that is listed or not.

        Raises
        ------
        ValueError
            If a text is no span.
        """
        return cls(tuple(Span.parse(text) for text in texts))

    def wants(self, local: datetime) -> bool:
        """Whether to record at a local time."""
        if not self.spans:
            return True
        second = local.hour * 3600 + local.minute * 60 + local.second
        return any(span.holds(local.weekday(), second) for span in self.spans)

    def next_change(self, local: datetime) -> datetime | None:
        """When `wants` next changes, in the time zone of `local`; None if it never does.

        Parameters
        ----------
        local
            With a time zone that knows when its clocks are changed, as `local_zone` gives it; one
            of a fixed offset (``datetime.astimezone()``) cannot foresee that.
        """
        if not self.spans:
            return None
        zone = local.tzinfo
        if zone is None:
            raise ValueError("a local time without its time zone, expected one with it")
        now_s = local.timestamp()
        before = self.wants(local)
        for instant_s in sorted(set(self._instants(local, zone))):
            instant = datetime.fromtimestamp(instant_s, zone)
            if instant_s > now_s and self.wants(instant) != before:
                return instant
        return None

    def _instants(self, local: datetime, zone: tzinfo) -> Iterator[int]:
        """Every instant from then on at which something could change, seconds since 1970."""
        edges_s = {edge for span in self.spans for edge in (span.start_s, span.stop_s)}
        for number in range(-1, HORIZON_DAYS):
            day = local.date() + timedelta(days=number)
            for edge_s in edges_s:
                at = datetime.combine(day, time(), zone) + timedelta(seconds=edge_s)
                yield int(at.replace(fold=0).timestamp())
                yield int(at.replace(fold=1).timestamp())
        yield from _clock_changes(int(local.timestamp()), zone)


def parse_session_length(text: str) -> int:
    """Parse the length of unattended sessions, such as 10min or 1h, to ns.

    Raises
    ------
    ValueError
        If it is no length of time, or not within 10 s and one day.
    """
    length_ns = parse_duration(text)
    if not SHORTEST_SESSION_NS <= length_ns <= LONGEST_SESSION_NS:
        raise ValueError(
            f"{text[:40]!r} is no usable length of a session: expected 10s to 1d, e.g. 1h"
        )
    return length_ns


def local_zone() -> tzinfo:
    """Time zone of this machine, with its rules; UTC where none is set."""
    try:
        name = os.environ.get("TZ", "").removeprefix(":")
        if name:
            return ZoneInfo(name)
        with Path("/etc/localtime").open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        return datetime.now(UTC).astimezone().tzinfo or UTC


def _clock_changes(from_s: int, zone: tzinfo) -> Iterator[int]:
    """Instants at which the wall clock is changed, to the second."""

    def offset(instant_s: int) -> timedelta | None:
        return datetime.fromtimestamp(instant_s, zone).utcoffset()

    for start_s in range(from_s, from_s + HORIZON_DAYS * DAY_S, DAY_S):
        before_s, after_s = start_s, start_s + DAY_S
        if offset(before_s) == offset(after_s):
            continue
        while after_s - before_s > 1:
            middle_s = (before_s + after_s) // 2
            if offset(middle_s) == offset(before_s):
                before_s = middle_s
            else:
                after_s = middle_s
        yield after_s


def _seconds(text: str, whole: str) -> int:
    hours, _, minutes = text.partition(":")
    second = int(hours) * 3600 + int(minutes) * 60
    if int(minutes) > 59 or second > DAY_S:
        raise _unusable(whole)
    return second


def _days(text: str, whole: str) -> frozenset[int]:
    """Days of ``mon-fri,sun``; a range may run over the end of the week."""
    days: set[int] = set()
    for part in re.sub(r"\s", "", text).split(","):
        names = part.split("-")
        if len(names) > 2 or not set(names) <= set(WEEKDAYS):
            raise _unusable(whole)
        first, last = WEEKDAYS.index(names[0]), WEEKDAYS.index(names[-1])
        days.update((first + i) % 7 for i in range((last - first) % 7 + 1))
    return frozenset(days)


def _unusable(text: str) -> ValueError:
    return ValueError(
        f"{text[:40]!r} is no usable span of time: expected local times such as '07:00-23:00' or "
        "'mon-fri 22:00-06:00', with the days mon, tue, wed, thu, fri, sat and sun; "
        "a whole day is '00:00-24:00'"
    )
