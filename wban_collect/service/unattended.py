"""Whether to record by itself: the schedule, a person's word, and pauses after a failure."""

from __future__ import annotations

from datetime import datetime

from wban_collect.config import UnattendedConfig
from wban_collect.schedule import Schedule, local_zone, parse_session_length

RETRY_NS = 5_000_000_000
"""After a recording that could not begin, the next attempt; systemd's watchdog waits for it."""

OUTSIDE = "recording outside the schedule: the clock is not known to be right"


class Unattended:
    """Decides, asked every second.

    A person's `stop` holds until a person's `start`, the schedule's next beginning, or the daemon's
    next start (the next boot). While the clock is not known to be right the schedule does not
    count: rather too much is recorded than nothing.

    Attributes
    ----------
    note
        What it does otherwise than the schedule by itself, and why; empty where it follows it.
    """

    def __init__(self, config: UnattendedConfig) -> None:
        self.enabled = config.enabled
        self.subject, self.activity = config.subject, config.activity
        self.session_ns = parse_session_length(config.session_length)
        self._schedule = Schedule.parse(config.schedule)
        self.note = ""
        self._held_by_person = False
        self._was_scheduled = False
        self._retry_at_ns = 0

    def wants(self, local: datetime, *, synchronised: bool) -> bool:
        """Whether it is to be recorded now."""
        outside = not self._schedule.wants(local)
        scheduled = not outside or not synchronised
        if scheduled and not self._was_scheduled:
            self.release()
        self._was_scheduled = scheduled
        if self.enabled and not self._held_by_person:
            self.note = OUTSIDE if outside and scheduled else ""
        return self.enabled and scheduled and not self._held_by_person

    def may_try(self, now_ns: int) -> bool:
        """Whether the pause after a failure is over."""
        return now_ns >= self._retry_at_ns

    def note_failure(self, now_ns: int) -> None:
        """Wait before the next attempt."""
        self._retry_at_ns = now_ns + RETRY_NS

    def hold(self, local: datetime | None = None) -> None:
        """Take note that a person has said stop; `local` is the time, now where it is left out."""
        self._held_by_person = True
        if self.enabled:
            self.note = f"stopped by hand; {self._resumption(local or datetime.now(local_zone()))}"

    def release(self) -> None:
        """Take note that a person has said start."""
        self._held_by_person = False
        self.note = ""

    def _resumption(self, local: datetime) -> str:
        """Say when it records by itself again after a person's stop."""
        begins = self._schedule.next_change(local)
        if begins is not None and not self._schedule.wants(begins):
            begins = self._schedule.next_change(begins)
        if begins is None:
            return "it records again at 'wban-collect start' or the next boot"
        return (
            f"it records again at the schedule's next beginning ({begins:%a %d %b %H:%M}), at "
            "'wban-collect start' or the next boot"
        )
