"""Other people's splits: a table of windows, and lists of their numbers for each fold.

The table is a CSV file with a row a window: ``session``, ``start`` and ``stop`` (seconds, or sample
numbers, half-open), and ``subject`` where it is known. A list names windows by the number of their
row, the first being 0:

- JSON: ``{"folds": [{"name": "1", "train": [0, 1], "validation": [], "test": [2]}]}``, or one such
  fold alone;
- text: ``train.txt``, ``validation.txt`` and ``test.txt`` in a folder, or in a folder below it for
  each fold; a number a line.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from wban_dataset.errors import DatasetError
from wban_dataset.session_info import SessionInfo
from wban_dataset.splits.audit import audit
from wban_dataset.splits.audited import AuditedDataset
from wban_dataset.splits.findings import AuditResult, Finding
from wban_dataset.splits.fold import Fold, Role
from wban_dataset.windows.window_table import UNLABELLED, WindowTable

COLUMNS = ("session", "start", "stop")
NS_PER_UNIT = 1_000_000_000
"""Of a second; sample numbers are multiplied too, so that both may have decimals."""

LISTED = (Role.TEST, Role.VALIDATION, Role.TRAIN)
ALSO_CALLED = {"val": "validation", "valid": "validation", "training": "train"}


def read_windows(path: Path) -> tuple[list[SessionInfo], WindowTable]:
    """Read the table of windows; rows keep their numbers.

    Raises
    ------
    DatasetError
        If it cannot be read, a column is missing, or a value is none.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise DatasetError(
                    f"windows {path}: the column {missing[0]} is missing, expected the columns "
                    "session, start, stop and, where known, subject. Name them in the first line."
                )
            rows = [(row, reader.line_num) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"windows {path}: it cannot be read ({error}), expected a CSV file in UTF-8."
        ) from error
    if not rows:
        raise DatasetError(f"windows {path}: it has no row, expected a window a row.")
    return _tabled(path, rows)


@dataclass(frozen=True, slots=True)
class ListedSplit:
    """Folds from lists, and the windows that they are of.

    Attributes
    ----------
    windows
        The table, and behind it once more each window that a list has for a second role.
    row
        Number in the table of each window, (w,).
    """

    windows: WindowTable
    folds: list[Fold]
    row: NDArray[np.int64]


def read_split(path: Path, windows: WindowTable) -> ListedSplit:
    """Read lists of window numbers.

    A window that is listed for two roles is no error: it is the plainest of leaks, and counted.

    Raises
    ------
    DatasetError
        If they cannot be read, or name a window that is not there.
    """
    if path.is_dir():
        named = _folder_folds(path)
    else:
        try:
            document: Any = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DatasetError(
                f"split {path}: it cannot be read ({error}), expected JSON with lists of window "
                "numbers, or a folder with train.txt and test.txt."
            ) from error
        named = _json_folds(path, document)
    listed = [_listed_roles(path, name, lists, len(windows)) for name, lists in named]
    again = [(number, role, rows) for number, roles in enumerate(listed) for role, rows in roles[1]]
    row = np.concatenate([np.arange(len(windows)), *(rows for _, _, rows in again)])
    roles = [np.zeros(len(row), dtype=np.uint8) for _ in listed]
    for fold_roles, (first, _) in zip(roles, listed, strict=True):
        fold_roles[: len(windows)] = first
    place = len(windows)
    for number, role, rows in again:
        roles[number][place : place + len(rows)] = role
        place += len(rows)
    folds = [Fold(name, role) for (name, _), role in zip(named, roles, strict=True)]
    return ListedSplit(windows.take(row), folds, row)


def audited_as_listed(audited: AuditedDataset, split: ListedSplit) -> AuditResult:
    """Audit, and give findings with the numbers that windows have in the table."""

    def numbered(found: Finding) -> Finding:
        rows = np.unique(split.row[found.rows])
        return replace(found, rows=rows, n_windows=len(rows))

    return replace(audit(audited, numbered=numbered), windows=None)


def _tabled(
    path: Path, rows: Sequence[tuple[dict[str, str], int]]
) -> tuple[list[SessionInfo], WindowTable]:
    subject_of: dict[str, str] = {}
    starts: list[int] = []
    stops: list[int] = []
    for row, line in rows:
        starts.append(_ns(path, line, "start", row["start"]))
        stops.append(_ns(path, line, "stop", row["stop"]))
        if stops[-1] <= starts[-1]:
            raise DatasetError(
                f"windows {path}, line {line}: stop {row['stop']} is not after start "
                f"{row['start']}, expected half-open spans that have a length."
            )
        _note_subject(path, line, row, subject_of)
    names = sorted(subject_of)
    number = {name: i for i, name in enumerate(names)}
    session = np.array([number[row["session"]] for row, _ in rows], dtype=np.int32)
    return [_info(name, subject_of[name]) for name in names], _table(session, starts, stops)


def _note_subject(path: Path, line: int, row: dict[str, str], subject_of: dict[str, str]) -> None:
    session, subject = row["session"], row.get("subject") or ""
    if not session:
        raise DatasetError(f"windows {path}, line {line}: session is empty, expected its name.")
    if subject_of.setdefault(session, subject) != subject:
        raise DatasetError(
            f"windows {path}, line {line}: session {session} is of subject {subject!r} here and of "
            f"{subject_of[session]!r} before, expected one subject a session. If names of "
            "sessions repeat from person to person, put the person's name before them."
        )


def _ns(path: Path, line: int, column: str, text: str | None) -> int:
    try:
        value = float(text or "")
        return round(value * NS_PER_UNIT)
    except (ValueError, OverflowError) as error:
        raise DatasetError(
            f"windows {path}, line {line}: {column} is {text!r}, expected a number (seconds or "
            "sample numbers)."
        ) from error


def _info(name: str, subject: str) -> SessionInfo:
    return SessionInfo(name, subject, "", "", "table of windows", "", 0)


def _table(session: NDArray[np.int32], starts: list[int], stops: list[int]) -> WindowTable:
    n = len(session)
    unknown = np.full(n, UNLABELLED, dtype=np.int16)
    return WindowTable(
        session=session,
        start_ns=np.array(starts, dtype=np.int64),
        stop_ns=np.array(stops, dtype=np.int64),
        label=unknown,
        label_fraction=np.zeros(n, dtype=np.float32),
        previous_label=unknown,
        next_label=unknown,
    )


def _json_folds(path: Path, document: Any) -> list[tuple[str, dict[str, list[Any]]]]:
    whole = cast("dict[str, Any]", document) if isinstance(document, dict) else {"folds": document}
    folds: object = whole.get("folds", [whole])
    if not isinstance(folds, list):
        raise _shape_error(path)
    if not all(isinstance(fold, dict) for fold in cast("list[object]", folds)):
        raise _shape_error(path)
    named: list[tuple[str, dict[str, list[Any]]]] = []
    for number, fold in enumerate(cast("list[dict[str, Any]]", folds), start=1):
        lists: dict[str, list[Any]] = {}
        for key, value in fold.items():
            role = ALSO_CALLED.get(key, key)
            if role in ("train", "validation", "test"):
                if not isinstance(value, list):
                    raise _shape_error(path)
                lists[role] = cast("list[Any]", value)
        named.append((str(fold.get("name", number)), lists))
    return named


def _shape_error(path: Path) -> DatasetError:
    return DatasetError(
        f"split {path}: its shape is not known, expected "
        '{"folds": [{"name": "1", "train": [0, 1], "test": [2]}]} with window numbers from 0.'
    )


def _folder_folds(path: Path) -> list[tuple[str, dict[str, list[Any]]]]:
    folders = [path] if _lists_in(path) else sorted(p for p in path.iterdir() if _lists_in(p))
    if not folders:
        raise DatasetError(
            f"split {path}: there is no train.txt or test.txt in it or one folder below, expected "
            "lists of window numbers, a number a line."
        )
    return [(folder.name, _lists_in(folder)) for folder in folders]


def _lists_in(folder: Path) -> dict[str, list[Any]]:
    lists: dict[str, list[Any]] = {}
    for role in (*(role.name.lower() for role in LISTED), *ALSO_CALLED):
        file = folder / f"{role}.txt"
        if file.is_file():
            try:
                lists[ALSO_CALLED.get(role, role)] = file.read_text(encoding="utf-8").split()
            except (OSError, UnicodeDecodeError) as error:
                raise DatasetError(f"split {file}: it cannot be read ({error}).") from error
    return lists


def _listed_roles(
    path: Path, name: str, lists: dict[str, list[Any]], n_windows: int
) -> tuple[NDArray[np.uint8], list[tuple[Role, NDArray[np.int64]]]]:
    """Give each window's most guarded role, and the windows that have another one besides."""
    if not lists.get("train") or not (lists.get("test") or lists.get("validation")):
        raise DatasetError(
            f"split {path}: fold {name} has no windows to "
            f"{'test' if lists.get('train') else 'train'} on, expected lists for both."
        )
    role = np.zeros(n_windows, dtype=np.uint8)
    again: list[tuple[Role, NDArray[np.int64]]] = []
    for part in LISTED:
        rows = _numbers(path, name, lists.get(part.name.lower(), []), n_windows)
        twice = role[rows] != Role.UNUSED
        again.append((part, rows[twice]))
        role[rows[~twice]] = part
    return role, again


def _numbers(path: Path, name: str, values: Iterable[Any], n_windows: int) -> NDArray[np.int64]:
    try:
        rows = np.array([_whole(value) for value in values], dtype=np.int64)
    except (ValueError, TypeError, OverflowError) as error:
        raise DatasetError(
            f"split {path}: fold {name}: {error}; expected numbers of windows, from 0."
        ) from error
    beyond = rows[(rows < 0) | (rows >= n_windows)]
    if len(beyond):
        raise DatasetError(
            f"split {path}: fold {name} names window {beyond[0]}, expected 0 to {n_windows - 1}, "
            "the numbers of the rows of the table. Numbers from 1 must be made numbers from 0."
        )
    return np.unique(rows)


def _whole(value: Any) -> int:
    if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
        raise ValueError(f"{value!r} is no whole number")
    return int(value)
