"""Whether to record by itself: the schedule, a person's word, and pauses after a failure."""

from __future__ import annotations

from datetime import datetime

from wban_collect.config import UnattendedConfig
from wban_collect.schedule import Schedule, parse_session_length

RETRY_NS = 5_000_000_000
"""After a recording that could not begin, the next attempt; systemd's watchdog waits for it."""


class Unattended:
    """Decides, asked every second.

    A person's `stop` holds until a person's `start`, the schedule's next beginning, or the next
    boot. While the clock is not known to be right the schedule does not count: rather too much is
    recorded than nothing.
    """

    def __init__(self, config: UnattendedConfig) -> None:
        self.enabled = config.enabled
        self.subject, self.activity = config.subject, config.activity
        self.session_ns = parse_session_length(config.session_length)
        self._schedule = Schedule.parse(config.schedule)
        self._held_by_person = False
        self._was_scheduled = False
        self._retry_at_ns = 0

    def wants(self, local: datetime, *, synchronised: bool) -> bool:
        """Whether it is to be recorded now."""
        scheduled = not synchronised or self._schedule.wants(local)
        if scheduled and not self._was_scheduled:
            self._held_by_person = False
        self._was_scheduled = scheduled
        return self.enabled and scheduled and not self._held_by_person

    def may_try(self, now_ns: int) -> bool:
        """Whether the pause after a failure is over."""
        return now_ns >= self._retry_at_ns

    def note_failure(self, now_ns: int) -> None:
        """Wait before the next attempt."""
        self._retry_at_ns = now_ns + RETRY_NS

    def hold(self) -> None:
        """Take note that a person has said stop."""
        self._held_by_person = True

    def release(self) -> None:
        """Take note that a person has said start."""
        self._held_by_person = False
