"""Fetching sealed sessions: copied aside, verified, and only then given their name and a receipt.

A copy is made in ``.NAME.pulling`` beside its place. One that was cut stays there, and the next
run goes on with it. A session that is here already gets what is new beside it (labels, the clock),
unless somebody has changed that here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from wban_dataset.recording.errors import DAMAGE, ReceiptError, RecordingError, damaged_inside
from wban_dataset.recording.folder_tree import is_sealed
from wban_dataset.recording.journal import sync_directory
from wban_dataset.recording.layout import CLOCK_SIDECAR, FILE_NAME, LABELS_SIDECAR
from wban_dataset.recording.probe import probe
from wban_dataset.recording.receipts import Receipt, append_receipts, read_receipts
from wban_dataset.recording.sealed import SealedStore
from wban_dataset.recording.session import Session
from wban_dataset.transfer.errors import FetchError, TransferError
from wban_dataset.transfer.rsync import FETCHED, Listed, Rsync

RECEIPTS_NAME = "receipts.csv"
ENDING = ".pulling"


class Outcome(Enum):
    """What became of a session."""

    FETCHED = "fetched and verified"
    UPDATED = "was here, what is new beside it was fetched, verified"
    HERE = "was here and verified"
    FAILED = "failed"


@dataclass(slots=True)
class Pulled:
    """What a run has done.

    Attributes
    ----------
    outcomes
        By the session's path below the place.
    receipts
        Of every copy that is here and intact.
    problems
        A sentence for each session that failed.
    """

    outcomes: dict[str, Outcome] = field(default_factory=dict[str, Outcome])
    receipts: list[Receipt] = field(default_factory=list[Receipt])
    problems: list[str] = field(default_factory=list[str])


def pull(
    rsync: Rsync,
    name: str,
    to: Path,
    tell: Callable[[str, Outcome, int, int], None],
) -> Pulled:
    """Fetch all sealed sessions of a place.

    Parameters
    ----------
    name
        What a place that is itself a session is called here.
    tell
        Called after each session: its path, its outcome, its number from 1, the number of all.

    Raises
    ------
    TransferError
        If nothing more can be moved; sessions that had their turn are here with their receipts.
    """
    listed = rsync.sealed_sessions()
    to.mkdir(parents=True, exist_ok=True)
    known = _known_receipts(to / RECEIPTS_NAME)
    pulled = Pulled()
    for number, session in enumerate(listed, 1):
        path = name if session.path == "." else session.path
        try:
            outcome, receipt = _Pull(rsync, session, to / path, known).run()
            if receipt not in known:
                append_receipts(to / RECEIPTS_NAME, [receipt])
            pulled.receipts.append(receipt)
        except (FetchError, RecordingError) as error:
            pulled.problems.append(str(error))
            outcome = Outcome.FAILED
        pulled.outcomes[path] = outcome
        tell(path, outcome, number, len(listed))
    return pulled


class _Pull:
    """One session."""

    def __init__(self, rsync: Rsync, session: Listed, folder: Path, known: list[Receipt]) -> None:
        self._rsync = rsync
        self._session = session
        self._folder = folder
        self._aside = folder.with_name(f".{folder.name}{ENDING}")
        self._known = known

    def run(self) -> tuple[Outcome, Receipt]:
        """Fetch it; give what became of it, and the receipt of the copy that is here."""
        here = self._folder.exists() or self._folder.is_symlink()
        if here and (self._folder.is_symlink() or not is_sealed(self._folder)):
            raise FetchError(
                f"{self._folder}: there is something that is no sealed session, expected nothing "
                "or the session itself. Move it away, then pull again."
            )
        self._rsync.fetch(self._session, self._aside, like=self._folder if here else None)
        if here:
            return self._update()
        receipt = self._verified_copy()
        _sync(self._aside)
        self._aside.rename(self._folder)
        sync_directory(self._folder.parent)
        return Outcome.FETCHED, receipt

    def _verified_copy(self) -> Receipt:
        """Verify what was fetched; a copy that fails is compared with its origin and mended once.

        Raises
        ------
        FetchError
            If the session is damaged at the other end too; nothing of it is kept.
        """
        if not _problem(self._aside):
            return _receipt(self._aside)
        self._rsync.fetch(self._session, self._aside, like=None, anew=True)
        problem = _problem(self._aside)
        if problem:
            shutil.rmtree(self._aside)
            raise FetchError(
                f"session {self._session.path}: it is damaged where it was fetched from "
                f"({problem}), expected an intact one. Run 'wban-dataset verify' on it there."
            )
        return _receipt(self._aside)

    def _update(self) -> tuple[Outcome, Receipt]:
        """Take over what is new beside a session that is here."""
        new = [name for name in FETCHED if self._is_new(name)]
        if FILE_NAME in new:
            shutil.rmtree(self._aside)
            raise FetchError(
                f"session {self._session.path}: another session of this name is in "
                f"{self._folder}, expected the same content. Move it away, then pull again."
            )
        for name in new:
            if (self._folder / name).exists() and not self._is_as_fetched(name):
                shutil.rmtree(self._aside)
                raise FetchError(
                    f"{self._folder / name}: it was changed here and where it comes from, expected "
                    "one of them as it was fetched. Put the right one into both places."
                )
        _sync(self._aside)
        for name in new:
            (self._aside / name).replace(self._folder / name)
        shutil.rmtree(self._aside)
        sync_directory(self._folder)
        receipt = _receipt(self._folder)
        for known in self._known:
            if _same_copy(known, receipt):
                return (Outcome.UPDATED if new else Outcome.HERE), known
        problem = _problem(self._folder)
        if problem:
            raise FetchError(
                f"session {self._folder}: the copy here is damaged ({problem}), expected an intact "
                "one. Remove it, then pull again."
            )
        return (Outcome.UPDATED if new else Outcome.HERE), receipt

    def _is_new(self, name: str) -> bool:
        fetched, here = self._aside / name, self._folder / name
        if not fetched.exists():
            return False
        if not here.exists():
            return True
        return not fetched.samefile(here) and _sha256(fetched) != _sha256(here)

    def _is_as_fetched(self, name: str) -> bool:
        """Whether a file beside the session is the one that was fetched last."""
        session_id = _receipt(self._folder).session_id
        mine = [receipt for receipt in self._known if receipt.session_id == session_id]
        column = {LABELS_SIDECAR: "labels_sha256", CLOCK_SIDECAR: "clock_sha256"}[name]
        return bool(mine) and getattr(mine[-1], column) == _sha256(self._folder / name)


def _known_receipts(path: Path) -> list[Receipt]:
    if not path.exists():
        return []
    try:
        return read_receipts(path)
    except ReceiptError as error:
        raise TransferError(str(error)) from error


def _problem(folder: Path) -> str:
    """Read a copy from end to end; say what is wrong with it, "" where nothing is."""
    try:
        probe(folder / FILE_NAME)
        try:
            with Session.open(folder) as session:
                problems = [*session.verify().problems]
                _ = session.labels, session.start_utc  # reads what is beside it, too
        except DAMAGE as error:
            raise damaged_inside(folder, error) from error
    except RecordingError as error:
        return str(error).rstrip(".")
    return problems[0] if problems else ""


def _receipt(folder: Path) -> Receipt:
    with Session.open(folder) as session:
        store = session.store
        assert isinstance(store, SealedStore)  # noqa: S101 - there is nothing but the file
        return Receipt.now(str(session.session_id), store.content_sha256(), folder)


def _same_copy(one: Receipt, other: Receipt) -> bool:
    columns = ("session_id", "content_sha256", "labels_sha256", "clock_sha256")
    return all(getattr(one, column) == getattr(other, column) for column in columns)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_directory(folder)
