"""The clock that everything is stamped with: CLOCK_MONOTONIC in integer nanoseconds."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import Protocol

VIRTUAL_START_NS = 1_000_000_000_000
"""Monotonic time at which a recording in virtual time begins."""


class Clock(Protocol):
    """A source of monotonic time. The recorder never asks another."""

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC now, ns."""
        ...

    def realtime_ns(self) -> int:
        """Wall time now, ns since 1970 (UTC). For naming things, never for stamping samples."""
        ...

    def sleep_until_ns(self, deadline_ns: int) -> None:
        """Return at `deadline_ns`, at once if it has passed, earlier if woken."""
        ...

    def wake(self) -> None:
        """End the present sleep, or the next one, at once."""
        ...


class SystemClock:
    """The machine's own clocks. Each worker has one of its own, so that it can be woken alone."""

    def __init__(self) -> None:
        # Held while nobody has woken the sleeper: an Event costs several times as much CPU.
        self._asleep = threading.Lock()
        self._asleep.acquire()
        self._stopped = False

    def monotonic_ns(self) -> int:
        """CLOCK_MONOTONIC now, ns."""
        return time.monotonic_ns()

    def realtime_ns(self) -> int:
        """CLOCK_REALTIME now, ns since 1970."""
        return time.time_ns()

    def sleep_until_ns(self, deadline_ns: int) -> None:
        """Sleep until `deadline_ns`, or until woken."""
        remaining_ns = deadline_ns - time.monotonic_ns()
        if remaining_ns > 0 and not self._stopped:
            self._asleep.acquire(timeout=remaining_ns / 1e9)

    def wake(self) -> None:
        """End the present sleep, or the next one, at once."""
        with suppress(RuntimeError):  # it was woken already
            self._asleep.release()

    def stop(self) -> None:
        """End every present and future sleep at once."""
        self._stopped = True
        self.wake()


class VirtualClock:
    """Time that passes only while somebody sleeps or a simulated transfer runs.

    Each simulated bus or camera has one of its own, so that they run side by side as real ones do;
    whoever steps them takes the one that is furthest behind.
    """

    def __init__(self, start_ns: int, realtime_offset_ns: int = 0) -> None:
        self._now_ns = start_ns
        self._realtime_offset_ns = realtime_offset_ns

    def monotonic_ns(self) -> int:
        """Virtual monotonic time, ns."""
        return self._now_ns

    def realtime_ns(self) -> int:
        """Virtual wall time, ns since 1970."""
        return self._now_ns + self._realtime_offset_ns

    def sleep_until_ns(self, deadline_ns: int) -> None:
        """Let time pass until `deadline_ns`."""
        self._now_ns = max(self._now_ns, deadline_ns)

    def wake(self) -> None:
        """Nobody sleeps in virtual time."""
