"""What is noted every ten seconds: the clocks side by side, and the machine's state."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path

from wban_collect.clock import Clock
from wban_collect.health import read_health
from wban_collect.storage import Storage
from wban_dataset.recording.streams import ClockAnchor

log = logging.getLogger(__name__)

INTERVAL_NS = 10_000_000_000


class Housekeeping:
    """Logs clock anchors and health, and ends the recording before the disk is full.

    Parameters
    ----------
    note_health
        False in virtual time: what this machine does meanwhile is no part of the simulated session,
        which is to be made again to the byte.
    """

    name = "housekeeping"

    def __init__(
        self,
        clock: Clock,
        read_anchor: Callable[[], ClockAnchor],
        storage: Storage,
        out: Path,
        keep_free_bytes: int,
        stop: Callable[[str], None],
        *,
        note_health: bool = True,
    ) -> None:
        self.clock = clock
        self.free_bytes = 0
        self._read_anchor = read_anchor
        self._storage = storage
        self._out = out
        self._keep_free_bytes = keep_free_bytes
        self._stop = stop
        self._note_health = note_health
        self._due_ns = clock.monotonic_ns()

    def next_due_ns(self) -> int:
        """When the next note is due."""
        return self._due_ns

    def step(self) -> None:
        """Note the clocks and the machine's state."""
        now_ns = self.clock.monotonic_ns()
        self._due_ns = now_ns + INTERVAL_NS
        self._storage.put(self._read_anchor())
        try:
            self.free_bytes = shutil.disk_usage(self._out).free
        except OSError as error:
            # A folder that went away stops the writer, not this thread.
            log.warning("%s: %s", self._out, error.strerror)
            return
        if self._note_health:
            self._storage.put(read_health(now_ns, self._out, self._storage.fsync_ns))
        if self.free_bytes < self._keep_free_bytes:
            log.warning(
                "%s: %.0f MB free, fewer than storage.keep_free_mb; the recording ends here.",
                self._out,
                self.free_bytes / 1e6,
            )
            self._stop("disk full")
