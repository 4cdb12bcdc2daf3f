"""Whether the recorder lives: judged by rows on the disk, not by threads that run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wban_collect.storage import Commit

LONGEST_SILENCE_NS = 10_000_000_000
"""A required stream has new rows on the disk, or its device a new attempt, within this time."""

LONGEST_WITHOUT_FSYNC_NS = 20_000_000_000
"""Clock anchors are written every 10 s whatever the sensors do; a slow card may take its time."""


class FreshRows:
    """When each stream last had new rows on the disk."""

    def __init__(self, now_ns: int) -> None:
        self.fsync_ns = now_ns
        self.by_stream: dict[str, int] = {}
        self._n_rows: dict[str, int] = {}
        self._session_id = ""

    def note(self, commit: Commit) -> None:
        """Take what an fsync has made safe."""
        self.fsync_ns = commit.monotonic_ns
        if commit.session_id != self._session_id:
            self._session_id, self._n_rows = commit.session_id, {}
        for stream, n_rows in commit.n_rows.items():
            if n_rows > self._n_rows.get(stream, 0):
                self.by_stream[stream] = commit.monotonic_ns
        self._n_rows = commit.n_rows


@dataclass(frozen=True)
class Vitals:
    """What tells a hung recorder from one whose sensor has failed (CLOCK_MONOTONIC, ns).

    Attributes
    ----------
    fsync_ns
        When something last reached the disk.
    fresh_ns
        By required stream, when new rows of it did.
    attempt_ns
        By required stream, when its device was last started, restarted, or found to be delivering.
    """

    now_ns: int
    fsync_ns: int
    fresh_ns: Mapping[str, int]
    attempt_ns: Mapping[str, int]

    def complaint(self) -> str:
        """Say what hangs; nothing while the recorder lives.

        A sensor that fails is set up anew every few seconds, which is life enough: restarting the
        whole recorder would only hurt the other sensors.
        """
        if self.now_ns - self.fsync_ns > LONGEST_WITHOUT_FSYNC_NS:
            return f"nothing was fsynced for {(self.now_ns - self.fsync_ns) / 1e9:.0f} s"
        for stream, attempt_ns in self.attempt_ns.items():
            newest_ns = max(attempt_ns, self.fresh_ns.get(stream, 0))
            if self.now_ns - newest_ns > LONGEST_SILENCE_NS:
                silent_s = (self.now_ns - newest_ns) / 1e9
                return f"{stream}: no row and no attempt to restart it for {silent_s:.0f} s"
        return ""
