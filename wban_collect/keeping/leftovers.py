"""What recordings left that is not sealed; what is nothing, or nobody's, is cleared away.

A machine that is cut off in a recording's first instant leaves a journal without a session header,
from which no session can be made. Where no byte of a record is in it, it is removed. Otherwise its
folder gets the ending ``.unreadable``: whatever could be data is kept, and not tried again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from wban_collect.session_folder import rename_folder
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.folder_tree import RECORDERS_OWN, has_journal, session_folders
from wban_dataset.recording.framing import (
    SEGMENT_HEADER,
    SEGMENT_MAGIC,
    Damage,
    Record,
    segment_paths,
)
from wban_dataset.recording.journal import sync_directory
from wban_dataset.recording.journal_reader import JournalReader
from wban_dataset.recording.layout import (
    FILE_NAME,
    JOURNAL_NAME,
    PARTIAL_NAME,
    RESERVATION_NAME,
    UNREADABLE_ENDING,
)
from wban_dataset.recording.records import SESSION_HEADER, RecordError, decode
from wban_dataset.recording.streams import SessionHeader

READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Remains:
    """A recording that was cut off before anything said whose it is.

    Attributes
    ----------
    moved_to
        Where its folder is now; None where there was nothing in it and it was removed.
    """

    folder: Path
    moved_to: Path | None

    @property
    def text(self) -> str:
        """The same for a person."""
        if self.moved_to is None:
            return (
                f"{self.folder}: cut off before its first record was on the disk; "
                "nothing was recorded, and the empty journal was removed"
            )
        return (
            f"{self.folder}: no intact record says whose session it is, expected a session header; "
            f"its remains are kept in {self.moved_to}, and nothing in them can be sealed"
        )


def unsealed_sessions(directory: Path) -> list[Path]:
    """Sessions at or below a directory that still have a journal, in order of path."""
    return sorted(folder for folder in session_folders(directory) if has_journal(folder))


def header_of(folder: Path) -> SessionHeader | None:
    """Say whose journal is in a folder: its first header that is intact; None where there is none.

    Raises
    ------
    OSError
        If the journal cannot be opened.
    JournalVersionError
        If a newer program wrote it.
    """
    return next(_headers(folder), None)


def first_header(folder: Path) -> SessionHeader | None:
    """Like `header_of`, but without searching: looks at the journal's first record only."""
    return next(_headers(folder, 1), None)


def clear_remains(folder: Path) -> Remains | None:
    """Clear away a recording that was cut off before its header was on the disk.

    Returns
    -------
    Remains or None
        None where the folder can be sealed and was left alone.

    Raises
    ------
    SealingError
        If another process works on the folder.
    JournalVersionError
        If a newer program wrote the journal.
    OSError, StorageError
        If the disk refuses.
    """
    with locked(folder):
        if (folder / FILE_NAME).exists() or header_of(folder) is not None:
            return None
        for name in (RESERVATION_NAME, PARTIAL_NAME):
            (folder / name).unlink(missing_ok=True)
        if _holds_nothing(folder):
            _remove(folder)
            return Remains(folder, None)
        return Remains(folder, rename_folder(folder, f"{folder.name}{UNREADABLE_ENDING}"))


def _headers(folder: Path, n_records: int | None = None) -> Iterator[SessionHeader]:
    found: Iterator[Record | Damage] = iter(JournalReader(folder / JOURNAL_NAME))
    for record in islice(found, n_records):
        if isinstance(record, Record) and record.kind == SESSION_HEADER:
            try:
                item = decode(record.kind, record.payload)
            except RecordError:
                continue
            if isinstance(item, SessionHeader):
                yield item


def _holds_nothing(folder: Path) -> bool:
    """Whether a folder is as a recorder makes it, and not a byte of a record is in its journal."""
    journal = folder / JOURNAL_NAME
    segments = [path for _, path in segment_paths(journal)]
    own = {path.name for path in folder.iterdir()} <= RECORDERS_OWN
    return own and set(journal.iterdir()) == set(segments) and all(map(_is_empty, segments))


def _is_empty(segment: Path) -> bool:
    """Whether there are only zeros in a segment, after its header or the beginning of one."""
    with segment.open("rb") as file:
        magic = file.read(len(SEGMENT_MAGIC))
        if not SEGMENT_MAGIC.startswith(magic) and magic.strip(b"\0"):
            return False
        file.seek(SEGMENT_HEADER.size)
        return not any(part.strip(b"\0") for part in iter(lambda: file.read(READ_BYTES), b""))


def _remove(folder: Path) -> None:
    journal = folder / JOURNAL_NAME
    for _, path in segment_paths(journal):
        path.unlink()
    journal.rmdir()
    folder.rmdir()
    sync_directory(folder.parent)
