"""Where a person is to be found: sessions, datasets, caches, exports, and rows of tables.

Links are not followed, hidden folders are looked into. What cannot be read is told, since the
person may be in it.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, cast

from wban_dataset.dataset.layout import DATASET_FILE
from wban_dataset.dataset.opened import load_dataset
from wban_dataset.errors import DatasetError
from wban_dataset.exports.array_export import DESCRIPTION_NAME as ARRAYS_DESCRIPTION_NAME
from wban_dataset.exports.bids_names import label_of
from wban_dataset.exports.chosen import opened
from wban_dataset.exports.description import DESCRIPTION_NAME, FORMAT
from wban_dataset.recording.errors import RecordingError, system_error
from wban_dataset.recording.layout import FILE_NAME, JOURNAL_NAME, UNREADABLE_ENDING
from wban_dataset.recording.receipts import COLUMNS as RECEIPT_COLUMNS
from wban_dataset.subjects import SUBJECTS_NAME

PARTICIPANTS_NAME = "participants.tsv"
MAX_DESCRIPTION_BYTES = 64 << 20


class Kind(IntEnum):
    """What was found, in the order in which it is removed."""

    SESSION = 1
    CACHE = 2
    DATASET = 3
    EXPORT = 4
    ROW = 5


@dataclass(frozen=True, slots=True)
class Trace:
    """One thing to be removed.

    Attributes
    ----------
    path
        A folder, or the table that has the rows.
    names
        Of a table: the values of its first column whose rows go.
    recognised_by
        Of a folder: the entry in it that is removed last, so that a removal that is interrupted
        can be found again.
    """

    kind: Kind
    path: Path
    names: frozenset[str] = frozenset()
    recognised_by: str = ""


@dataclass(slots=True)
class Found:
    """What a search has found.

    Attributes
    ----------
    unread
        A sentence for each thing that could not be looked into.
    session_ids
        Of the sessions found.
    """

    traces: list[Trace] = field(default_factory=list[Trace])
    unread: list[str] = field(default_factory=list[str])
    session_ids: set[str] = field(default_factory=set[str])


def find_traces(names: Collection[str], places: Iterable[Path]) -> Found:
    """Look for a person in all places, by each of the names that the person has.

    Raises
    ------
    DatasetError
        If a place is no folder.
    """
    search = _Search(frozenset(names))
    for place in dict.fromkeys(path.resolve() for path in places):
        if not place.is_dir():
            raise DatasetError(
                f"{place}: it is no folder, expected one to look into. Check the path."
            )
        search.look_into(place)
    search.look_for_receipts()
    found = search.found
    unique = dict.fromkeys(found.traces)
    found.traces = sorted(unique, key=lambda trace: (trace.kind, trace.path))
    found.unread = list(dict.fromkeys(found.unread))
    return found


class _Search:
    """One walk over all places."""

    def __init__(self, names: frozenset[str]) -> None:
        self.found = Found()
        self._names = names
        self._receipts: list[Path] = []

    def look_into(self, place: Path) -> None:
        """Walk over a folder and all below it, except into what is recognised as a whole."""
        waiting = [place]
        while waiting:
            folder = waiting.pop()
            try:
                entries = _entries(folder)
            except OSError as error:
                self.found.unread.append(system_error(error))
                continue
            if self._is_whole(folder, entries):
                continue
            self._look_at_files(folder, entries)
            waiting += [folder / name for name, is_folder in entries.items() if is_folder]

    def look_for_receipts(self) -> None:
        """Find receipts of the sessions that were found; they name no person."""
        for path in self._receipts:
            named = self.found.session_ids & set(_first_column(path, ","))
            if named:
                self.found.traces.append(Trace(Kind.ROW, path, frozenset(named)))

    def _is_whole(self, folder: Path, entries: dict[str, bool]) -> bool:
        """Look at a folder that is one thing; False where it is merely a place for things."""
        try:
            if entries.get(FILE_NAME) is False or entries.get(JOURNAL_NAME):
                self._look_at_session(folder, entries)
            elif entries.get(DATASET_FILE) is False:
                self._look_at_dataset(folder)
            elif folder.name.startswith(".") and folder.name.endswith(".building"):
                self.found.traces.append(Trace(Kind.CACHE, folder))
            elif entries.get(DESCRIPTION_NAME) is False:
                return self._look_at_export(folder, DESCRIPTION_NAME)
            elif entries.get(ARRAYS_DESCRIPTION_NAME) is False:
                return self._look_at_export(folder, ARRAYS_DESCRIPTION_NAME)
            else:
                return False
        except (DatasetError, RecordingError, ValueError) as error:
            self.found.unread.append(str(error))
        except OSError as error:
            self.found.unread.append(system_error(error))
        return True

    def _look_at_session(self, folder: Path, entries: dict[str, bool]) -> None:
        if UNREADABLE_ENDING in folder.name:
            self.found.unread.append(
                f"{folder}: it holds remains of a session that cannot be read, so it is not known "
                "whose; look at its name, and remove it by hand if it is theirs."
            )
            return
        with opened(folder) as session:
            if str(session.subject) in self._names:
                marker = FILE_NAME if FILE_NAME in entries else JOURNAL_NAME
                self.found.traces.append(Trace(Kind.SESSION, folder, recognised_by=marker))
                self.found.session_ids.add(str(session.session_id))

    def _look_at_dataset(self, folder: Path) -> None:
        with load_dataset(folder) as dataset:
            if any(info.subject in self._names for info in dataset.sessions):
                trace = Trace(Kind.DATASET, folder, recognised_by=DATASET_FILE)
                self.found.traces.append(trace)

    def _look_at_export(self, folder: Path, name: str) -> bool:
        """Look at a folder with a description; False where the description is another's."""
        content = _json(folder / name)
        if content.get("format") != FORMAT:
            return False
        subjects = cast("list[str]", content.get("subjects", [content.get("subject")]))
        if self._names.intersection(subjects):
            self.found.traces.append(Trace(Kind.EXPORT, folder, recognised_by=name))
        return True

    def _look_at_files(self, folder: Path, entries: dict[str, bool]) -> None:
        """Look at the tables in a folder, and at the folders of a BIDS dataset."""
        for name in sorted(name for name, is_folder in entries.items() if not is_folder):
            path = folder / name
            try:
                if name == PARTICIPANTS_NAME:
                    self._look_at_participants(folder, entries)
                elif name == SUBJECTS_NAME:
                    self._look_at_rows(path, ",", self._names)
                elif name.endswith(".csv") and _columns(path, ",") == RECEIPT_COLUMNS:
                    self._receipts.append(path)
            except (OSError, UnicodeDecodeError, csv.Error) as error:
                self.found.unread.append(f"{path}: it cannot be read ({error}); look at it.")

    def _look_at_participants(self, folder: Path, entries: dict[str, bool]) -> None:
        labels = {f"sub-{label_of(name)}" for name in self._names}
        for label in sorted(labels):
            if entries.get(label):
                self.found.traces.append(Trace(Kind.EXPORT, folder / label))
        self._look_at_rows(folder / PARTICIPANTS_NAME, "\t", labels)

    def _look_at_rows(self, path: Path, delimiter: str, names: Collection[str]) -> None:
        named = frozenset(names) & set(_first_column(path, delimiter))
        if named:
            self.found.traces.append(Trace(Kind.ROW, path, named))


def delimiter_of(table: Path) -> str:
    """Tab for ``.tsv``, otherwise a comma."""
    return "\t" if table.suffix == ".tsv" else ","


def key_column(columns: list[str]) -> int:
    """Which column of a table says whose a row is; the first, where none is called ``subject``."""
    if "participant_id" in columns:
        return columns.index("participant_id")
    return columns.index("subject") if "subject" in columns else 0


def _first_column(path: Path, delimiter: str) -> Iterator[str]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter=delimiter)
        column = key_column([name.strip() for name in next(rows, list[str]())])
        yield from (row[column].strip() for row in rows if len(row) > column)


def _columns(path: Path, delimiter: str) -> tuple[str, ...]:
    with path.open("rb") as file:
        head = file.readline(1024)
    try:
        return tuple(next(csv.reader([head.decode("utf-8-sig").rstrip()], delimiter=delimiter)))
    except (UnicodeDecodeError, csv.Error, StopIteration):
        return ()


def _json(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        content: Any = json.loads(file.read(MAX_DESCRIPTION_BYTES))
    return cast("dict[str, Any]", content) if isinstance(content, dict) else {}


def _entries(folder: Path) -> dict[str, bool]:
    """Names in a folder, and whether each is a folder; links, which are neither, are left out."""
    with os.scandir(folder) as found:
        return {
            entry.name: entry.is_dir(follow_symlinks=False)
            for entry in found
            if not entry.is_symlink()
        }
