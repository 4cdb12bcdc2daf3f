"""How long the disk lasts, and what goes from it: the second copy for sealing is counted in."""

from __future__ import annotations

import logging
import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from wban_collect.errors import StorageError
from wban_collect.keeping.catalogue import Catalogue, verified_elsewhere
from wban_collect.reservation import reserved_share
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
        catalogue: Catalogue | None = None,
        free_bytes: Callable[[], int] | None = None,
    ) -> None:
        self._out = out
        self._keep_free_bytes = keep_free_bytes
        self._warn_hours = warn_hours
        self._when_full = when_full
        self._bytes_per_hour = bytes_per_hour
        self._second_copy = reserved_share(gzip_level)
        self._catalogue = catalogue or Catalogue(out)
        self._free_bytes = free_bytes or (lambda: shutil.disk_usage(out).free)

    def hours_left(self, free_bytes: float) -> float:
        """Hours that can be recorded into so much free space, if nothing is sealed meanwhile.

        While a session is recorded, each byte of its journal takes its own place and that of the
        second copy, which is reserved with it. Sealing gives the journal's place back, and what
        compression saves: where sessions are short, the disk lasts at least twice as long.
        """
        if self._bytes_per_hour <= 0:
            return math.inf
        usable_bytes = max(free_bytes - self._keep_free_bytes, 0.0)
        return usable_bytes / (self._bytes_per_hour * (1 + self._second_copy))

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

        Only where `when_full` says so; `needed_bytes` are beyond those that are always kept free.

        Returns
        -------
        list
            Folders that are gone.
        """
        if self._when_full != REMOVE_VERIFIED:
            return []
        self._finish_removals()
        removed: list[Path] = []
        for folder in self._verified():
            if self._free_bytes() - self._keep_free_bytes >= needed_bytes:
                break
            if self._remove(folder):
                removed.append(folder)
        return removed

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
        log.warning("%s removed: the disk is full, and it was verified elsewhere.", folder)
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
