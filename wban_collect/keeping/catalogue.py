"""The sessions on the recorder's disk, sealed or not, told cheaply and without HDF5."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from wban_collect.control.messages import SessionEntry
from wban_collect.keeping.leftovers import header_of
from wban_collect.keeping.summaries import Summaries
from wban_collect.session_folder import CROCKFORD
from wban_dataset.recording.folder_tree import has_journal, is_sealed, session_folders
from wban_dataset.recording.framing import JournalVersionError, segment_paths
from wban_dataset.recording.layout import FILE_NAME, JOURNAL_NAME
from wban_dataset.recording.receipts import own_receipt
from wban_dataset.recording.streams import SessionHeader
from wban_dataset.recording.summary_file import SessionSummary

log = logging.getLogger(__name__)

RECORDING, WAITING, SEALING, SEALED, FAILED = "recording", "waiting", "sealing", "sealed", "failed"

_NOBODY: Mapping[Path, str] = MappingProxyType({})
_ULID_TIME_CHARS = 10


@dataclass(frozen=True)
class _Found:
    """A session on the disk and what is known of it without opening its file."""

    folder: Path
    sealed: bool
    n_bytes: int
    started_ns: int
    header: SessionHeader | None = None


@dataclass(frozen=True)
class _KnownHeader:
    """A header, and the journal that it was found in; without one, how much was looked at."""

    inode: int
    n_bytes: int
    header: SessionHeader | None


class Catalogue:
    """Lists the sessions below a folder; may be used from any thread.

    Attributes
    ----------
    summaries
        Of the sealed ones.
    """

    def __init__(self, out: Path) -> None:
        self.summaries = Summaries()
        self._out = out
        self._headers: dict[Path, _KnownHeader] = {}

    def entries(self, limit: int, busy: Mapping[Path, str] = _NOBODY) -> list[SessionEntry]:
        """Give the newest sessions, the newest first.

        Parameters
        ----------
        busy
            State of unsealed sessions that somebody is at work on; others are "waiting".
        """
        folders = set(session_folders(self._out))
        self.summaries.forget_all_but(folders)
        for folder in list(self._headers):
            if folder not in folders:
                self._headers.pop(folder, None)
        found = [item for folder in folders if (item := self._look(folder))]
        found.sort(key=lambda item: (item.started_ns, item.folder), reverse=True)
        shown = found[:limit]
        summaries = self.summaries.of(item.folder for item in shown if item.sealed)
        return [_entry(item, summaries.get(item.folder), busy) for item in shown]

    def sealed(self, having: str = FILE_NAME) -> dict[Path, SessionSummary]:
        """Give the summaries of all sealed sessions that can be read, the oldest first.

        Parameters
        ----------
        having
            Only those that have a file of this name.
        """
        folders = [
            folder
            for folder in session_folders(self._out)
            if (folder / having).exists() and is_sealed(folder)
        ]
        found = self.summaries.of(folders)
        return dict(sorted(found.items(), key=lambda item: (started_ns(item[1]), item[0])))

    def _look(self, folder: Path) -> _Found | None:
        """Find out what costs little; None where the folder is gone."""
        try:
            return self._look_at_journal(folder) if has_journal(folder) else self._file(folder)
        except OSError as error:
            log.debug("%s: %s", folder, error)
            return None

    def _file(self, folder: Path) -> _Found:
        state = (folder / FILE_NAME).stat()
        summary = self.summaries.kept(folder)
        begun_ns = started_ns(summary) if summary else state.st_mtime_ns
        return _Found(folder, True, state.st_size, begun_ns)

    def _look_at_journal(self, folder: Path) -> _Found:
        journal = folder / JOURNAL_NAME
        state = journal.stat()
        n_bytes = sum(path.stat().st_size for _, path in segment_paths(journal))
        header = self._header(folder, state.st_ino, n_bytes)
        begun_ns = id_time_ns(header.session_id) if header else state.st_mtime_ns
        return _Found(folder, False, n_bytes, begun_ns, header)

    def _header(self, folder: Path, inode: int, n_bytes: int) -> SessionHeader | None:
        known = self._headers.get(folder)
        if known is None or known.inode != inode or (not known.header and known.n_bytes < n_bytes):
            try:
                header = header_of(folder)
            except JournalVersionError as error:
                log.debug("%s", error)
                header = None
            self._headers[folder] = known = _KnownHeader(inode, n_bytes, header)
        return known.header


def started_ns(summary: SessionSummary) -> int:
    """When a sealed session began, ns since 1970, as well as that is known."""
    try:
        begun = datetime.fromisoformat(summary.start_utc[:19])
    except ValueError:
        return id_time_ns(summary.session_id)
    return int(begun.replace(tzinfo=UTC).timestamp()) * 1_000_000_000


def id_time_ns(session_id: str) -> int:
    """Wall time at which a session's id was made, ns since 1970; 0 if it is no ULID."""
    value = 0
    for character in session_id[:_ULID_TIME_CHARS]:
        digit = CROCKFORD.find(character)
        if digit < 0:
            return 0
        value = value << 5 | digit
    return value * 1_000_000


def _entry(found: _Found, summary: SessionSummary | None, busy: Mapping[Path, str]) -> SessionEntry:
    folder = str(found.folder)
    if not found.sealed:
        header = found.header
        state = busy.get(found.folder, WAITING if header else FAILED)
        if header is None:
            return SessionEntry(folder, state, found.n_bytes)
        return SessionEntry(
            folder,
            state,
            found.n_bytes,
            session_id=header.session_id,
            subject=header.subject,
            activity=header.activity,
            continues=header.continues,
        )
    if summary is None:
        return SessionEntry(folder, FAILED, found.n_bytes)
    return SessionEntry(
        folder,
        SEALED,
        found.n_bytes,
        session_id=summary.session_id,
        subject=summary.subject,
        activity=summary.activity,
        start_utc=summary.start_utc,
        duration_s=summary.duration_s,
        n_lost=summary.n_lost,
        complete=summary.complete,
        recovered=summary.recovered,
        verified_elsewhere=verified_elsewhere(found.folder, summary),
        continues=summary.continues,
    )


def verified_elsewhere(folder: Path, summary: SessionSummary) -> bool:
    """Whether a copy elsewhere was found intact that holds all that this session does."""
    receipt = own_receipt(folder)
    try:
        return receipt is not None and not receipt.misfit(summary, folder)
    except OSError:
        return False
