"""How long the disk lasts, and what goes from it: the second copy for sealing is counted in."""

from __future__ import annotations

import logging
import math
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal, Self

from wban_collect.config import Config
from wban_collect.durations import room_text, span
from wban_collect.errors import StorageError
from wban_collect.keeping.catalogue import Catalogue, verified_elsewhere
from wban_collect.reservation import STEP_BYTES, reserved_share
from wban_collect.schedule import parse_session_length
from wban_collect.session_folder import rename_folder
from wban_dataset.recording.errors import FolderInUseError, SealingError
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.folder_tree import is_sealed
from wban_dataset.recording.journal import sync_directory
from wban_dataset.recording.layout import (
    CLOCK_SIDECAR,
    FILE_NAME,
    LABELS_SIDECAR,
    RECEIPT_NAME,
    SUMMARY_NAME,
)
from wban_dataset.recording.whole_file import is_written_aside

log = logging.getLogger(__name__)

SpaceState = Literal["ok", "warn", "full"]

REMOVE_VERIFIED = "remove verified"
GOING = ".removed-"
"""Before the name of a session that is being removed: hidden, so that no half of it looks whole."""

LOOK_INTERVAL_S = 10.0
"""How often whoever records looks whether room has to be made."""

LOOKS_AHEAD = 3
"""Room is made for so many intervals: the recording must not end between two looks."""

BEGIN_BYTES = 2 * STEP_BYTES
"""What a session that begins sets aside at once, for its second copy."""

OWN_FILES = frozenset({FILE_NAME, SUMMARY_NAME, LABELS_SIDECAR, CLOCK_SIDECAR, RECEIPT_NAME})
"""What a receipt answers for; a session with anything else beside it is never removed."""


class SpacePolicy:
    """Says when the disk is full, and makes room where that was asked for.

    Parameters
    ----------
    keep_free_bytes
        Never recorded into.
    when_full
        "stop", or "remove verified": sealed sessions that were verified elsewhere may go.
    bytes_per_hour
        That the streams make.
    gzip_level
        Of sealed sessions.
    session_hours
        After which a new session begins; endless where one session is recorded until it is stopped.
    free_bytes
        Looks at the disk.
    """

    def __init__(
        self,
        out: Path,
        keep_free_bytes: int,
        warn_hours: float,
        when_full: str,
        bytes_per_hour: float,
        *,
        gzip_level: int = 1,
        session_hours: float = math.inf,
        catalogue: Catalogue | None = None,
        free_bytes: Callable[[], int] | None = None,
    ) -> None:
        self._out = out
        self._keep_free_bytes = keep_free_bytes
        self._warn_hours = warn_hours
        self._when_full = when_full
        self._bytes_per_hour = bytes_per_hour
        self._removing = threading.Lock()
        self._session_hours = session_hours
        self._second_copy = reserved_share(gzip_level)
        self._catalogue = catalogue or Catalogue(out)
        self._free_bytes = free_bytes or (lambda: shutil.disk_usage(out).free)

    @classmethod
    def of(cls, config: Config, out: Path, catalogue: Catalogue | None = None) -> Self:
        """Make the policy that a configuration asks for, the same for all that speak of room."""
        storage, unattended = config.storage, config.unattended
        session_ns = parse_session_length(unattended.session_length)
        return cls(
            out,
            keep_free_bytes=storage.keep_free_mb * 1_000_000,
            warn_hours=storage.warn_hours,
            when_full=storage.when_full,
            bytes_per_hour=config.bytes_per_second() * 3600,
            gzip_level=storage.gzip_level,
            session_hours=session_ns / 3.6e12 if unattended.enabled else math.inf,
            catalogue=catalogue,
        )

    def hours_left(self, free_bytes: float) -> float:
        """Hours that can at least be recorded into so much free space.

        While a session is recorded, each byte of its journal takes its own place and that of the
        second copy, which is reserved with it, and both until it is sealed; then only the sealed
        copy is left. So two sessions, the one that is recorded and the one that is being sealed,
        take both, and all before them one. How much smaller than the most that is reserved for it a
        sealed copy becomes depends on what is recorded, and is not counted on.
        """
        if self._bytes_per_hour <= 0:
            return math.inf
        usable_bytes = max(free_bytes - self._keep_free_bytes, 0.0)
        both_hours = usable_bytes / (self._bytes_per_hour * (1 + self._second_copy))
        unsealed_hours = min(both_hours, 2 * self._session_hours)
        return unsealed_hours + (both_hours - unsealed_hours) * (1 + 1 / self._second_copy)

    def room_text(self, free_bytes: float) -> str:
        """Say how long so much free space lasts."""
        hours = self.hours_left(free_bytes)
        if not math.isfinite(hours):
            return "enough for any time"
        return room_text(hours, self._bytes_per_hour)

    def state(self, free_bytes: int, unsealed_bytes: int) -> SpaceState:
        """Judge the free space.

        Parameters
        ----------
        unsealed_bytes
            Of journals that wait to be sealed and need room for that; not of the session that is
            being recorded, which has reserved its own.
        """
        left_bytes = free_bytes - self._second_copy * unsealed_bytes
        if left_bytes <= self._keep_free_bytes:
            return "full"
        return "warn" if self.hours_left(left_bytes) < self._warn_hours else "ok"

    def make_room(self, needed_bytes: int) -> list[Path]:
        """Remove sessions that were verified elsewhere, the oldest first, until so much is free.

        Only where `when_full` says so; from any thread. `needed_bytes` are beyond those that are
        always kept free.

        Returns
        -------
        list
            Folders that are gone.
        """
        with self._removing:
            if self._when_full != REMOVE_VERIFIED or self._has(needed_bytes):
                return []
            self._finish_removals()
            removed: list[Path] = []
            for folder in self._verified():
                if self._has(needed_bytes):
                    break
                if self._remove(folder):
                    removed.append(folder)
            return removed

    def make_room_to_record(self, unsealed_bytes: int) -> list[Path]:
        """Make room where a recording would otherwise be refused, or ended before the next look.

        Parameters
        ----------
        unsealed_bytes
            As for `state`.

        Returns
        -------
        list
            As of `make_room`.
        """
        both_bytes_per_s = self._bytes_per_hour / 3600 * (1 + self._second_copy)
        soon_bytes = LOOKS_AHEAD * LOOK_INTERVAL_S * both_bytes_per_s + BEGIN_BYTES
        return self.make_room(int(soon_bytes + self._second_copy * unsealed_bytes))

    def needed_to_begin(self, unsealed_bytes: int) -> int:
        """Free bytes without which a session that begins would be ended at once.

        Parameters
        ----------
        unsealed_bytes
            As for `state`.
        """
        return int(self._keep_free_bytes + self._second_copy * unsealed_bytes) + BEGIN_BYTES

    def shortage(self, free_bytes: int, unsealed_bytes: int) -> str:
        """Say that room runs short and what can be done about it; nothing while it does not."""
        if self.state(free_bytes, unsealed_bytes) == "ok":
            return ""
        left_bytes = free_bytes - self._second_copy * unsealed_bytes
        if self._when_full == REMOVE_VERIFIED:
            remedy = (
                "copy sessions away, verify the copies and release them ('wban-collect release'): "
                "what is released is removed when the disk is full."
            )
        else:
            remedy = (
                "copy sessions away and remove them, or set "
                f'storage.when_full = "{REMOVE_VERIFIED}".'
            )
        return f"{self._out}: room for {span(self.hours_left(left_bytes) * 3600)}; {remedy}"

    def _has(self, needed_bytes: int) -> bool:
        return self._free_bytes() - self._keep_free_bytes >= needed_bytes

    def _verified(self) -> Iterator[Path]:
        """Sessions that may go, the oldest first; each is looked at when its turn comes."""
        for folder, summary in self._catalogue.sealed(having=RECEIPT_NAME).items():
            if verified_elsewhere(folder, summary):
                yield folder

    def _remove(self, folder: Path) -> bool:
        try:
            with locked(folder):
                if not is_sealed(folder) or not _holds_only_own_files(folder):
                    return False
                hidden = rename_folder(folder, f"{GOING}{folder.name}")
                _delete(hidden)
        except FolderInUseError as error:
            log.debug("%s", error)  # somebody works on it
            return False
        except (OSError, SealingError, StorageError) as error:
            log.warning("%s was verified elsewhere and cannot be removed: %s", folder, error)
            return False
        # No warning, of which one of a kind might stand for many: each removal is in the log.
        log.info("%s removed to make room: a copy of it was verified elsewhere.", folder)
        return True

    def _finish_removals(self) -> None:
        """Remove what a power cut left of sessions that were being removed."""
        try:
            left = sorted(self._out.rglob(f"{GOING}*"))
        except OSError as error:
            log.warning("%s cannot be searched: %s", self._out, error)
            return
        for hidden in left:
            try:
                if _holds_only_own_files(hidden) and self._may_go(hidden):
                    _delete(hidden)
            except OSError as error:
                log.warning("%s cannot be removed: %s", hidden, error)

    def _may_go(self, hidden: Path) -> bool:
        """Whether the session itself is gone already, or is still what was verified."""
        if not (hidden / FILE_NAME).exists():
            return True
        summary = self._catalogue.summaries.of([hidden]).get(hidden)
        return summary is not None and verified_elsewhere(hidden, summary)


def _holds_only_own_files(folder: Path) -> bool:
    return folder.is_dir() and all(
        path.name in OWN_FILES or is_written_aside(path.name) for path in folder.iterdir()
    )


def _delete(hidden: Path) -> None:
    """Delete a session; its receipt goes last, so that what a cut leaves can still be judged."""
    own = sorted(hidden.iterdir(), key=lambda path: (path.name == RECEIPT_NAME, path.name))
    for path in own:
        path.unlink()
    hidden.rmdir()
    sync_directory(hidden.parent)
