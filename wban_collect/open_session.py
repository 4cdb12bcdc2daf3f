"""The session that is being recorded: its folder, held against others, and what is open in it."""

from __future__ import annotations

import hashlib
import shutil
from contextlib import ExitStack
from pathlib import Path

from wban_collect.errors import StorageError
from wban_collect.reservation import SpaceReservation, reserved_share
from wban_collect.session_folder import create_folder, unusable
from wban_collect.storage import Destination
from wban_dataset.recording.errors import SealingError
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.journal import JournalWriter, sync_directory
from wban_dataset.recording.layout import JOURNAL_NAME, RESERVATION_NAME
from wban_dataset.recording.streams import SessionHeader


class OpenSession:
    """A new session below `out`; nobody seals it while this is open.

    Raises
    ------
    StorageError
        If the disk refuses; nothing is left then.
    """

    def __init__(
        self, out: Path, name: str, header: SessionHeader, segment_bytes: int, segment_ns: int
    ) -> None:
        self.header = header
        self.folder = create_folder(out, name)
        self._held = ExitStack()
        try:
            self._held.enter_context(locked(self.folder))
            sync_directory(out)
            journal = JournalWriter(
                self.folder / JOURNAL_NAME,
                hashlib.blake2b(header.session_id.encode(), digest_size=16).digest(),
                segment_bytes=segment_bytes,
                segment_ns=segment_ns,
            )
            self.reservation = SpaceReservation(
                self.folder / RESERVATION_NAME, reserved_share(header.gzip_level)
            )
        except (OSError, SealingError) as error:
            self.discard()
            if isinstance(error, OSError):
                raise unusable(out, error) from error
            raise StorageError(str(error)) from error
        self.destination = Destination(header, journal, self.reservation)

    def discard(self) -> None:
        """Remove it: nothing was recorded into it."""
        self._held.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Give back the reserved space and the folder; it can be sealed now."""
        self.reservation.release()
        self._held.close()
