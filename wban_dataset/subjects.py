"""``subjects.csv``: under which licence and consent the recordings of each subject may be used.

The columns ``subject``, ``licence`` and ``consent`` must be there, in any order; whatever other
columns there are (``age``, ``sex``, ``handedness``) are kept as they were written. The table stands
beside the sessions. Names, addresses and dates of birth have no place in it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wban_dataset.errors import DatasetError

SUBJECTS_NAME = "subjects.csv"
REQUIRED_COLUMNS = ("subject", "licence", "consent")


class SubjectsError(DatasetError):
    """A ``subjects.csv`` that cannot be used."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One row.

    Attributes
    ----------
    licence, consent
        As written; "" where nothing was said.
    further
        The other columns by name, in their order.
    """

    subject: str
    licence: str = ""
    consent: str = ""
    further: Mapping[str, str] = field(default_factory=dict[str, str])


def read_subjects(path: Path) -> dict[str, Subject]:
    """Read a ``subjects.csv``: its rows by subject, in the order of the file.

    Raises
    ------
    SubjectsError
        If it is no table in UTF-8, a column is missing or there twice, or a row has too many or
        too few values, names no subject, or one that a row before it has named.
    """
    found: dict[str, Subject] = {}
    lines: dict[str, int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = [name.strip() for name in next(reader, list[str]())]
            _check_columns(path, columns)
            for values in reader:
                if not any(value.strip() for value in values):
                    continue
                row = _subject(path, reader.line_num, columns, values)
                if row.subject in found:
                    raise SubjectsError(
                        f"{path}, line {reader.line_num}: subject {row.subject!r} is named again "
                        f"after line {lines[row.subject]}, expected one row for each. "
                        "Remove one of them."
                    )
                found[row.subject] = row
                lines[row.subject] = reader.line_num
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise SubjectsError(
            f"{path}: it cannot be read ({reason}), expected a table in UTF-8 with the columns "
            f"{', '.join(REQUIRED_COLUMNS)}. Mend it."
        ) from error
    return found


def subjects_beside(places: Iterable[Path]) -> dict[str, Subject]:
    """Read each ``subjects.csv`` in the folders named, or in those that hold them; {} without any.

    Parameters
    ----------
    places
        Sessions, or folders with sessions below.

    Raises
    ------
    SubjectsError
        If a table cannot be used, or two of them differ about a subject.
    """
    found: dict[str, Subject] = {}
    came_from: dict[str, Path] = {}
    for path in _tables_beside(places):
        for name, row in read_subjects(path).items():
            if found.setdefault(name, row) != row:
                raise SubjectsError(
                    f"{path}: its row of subject {name!r} is another than that in "
                    f"{came_from[name]}, expected the same. Make the rows equal, or the subjects' "
                    "names different."
                )
            came_from.setdefault(name, path)
    return found


def _tables_beside(places: Iterable[Path]) -> list[Path]:
    folders = {folder for place in places for folder in (place.resolve(), place.resolve().parent)}
    tables = [folder / SUBJECTS_NAME for folder in sorted(folders)]
    return [table for table in tables if table.is_file()]


def _check_columns(path: Path, columns: list[str]) -> None:
    missing = [name for name in REQUIRED_COLUMNS if name not in columns]
    if missing:
        raise SubjectsError(
            f"{path}: the column {missing[0]} is missing (found: {', '.join(columns) or 'none'}), "
            f"expected at least {', '.join(REQUIRED_COLUMNS)}. Add it; its values may be empty."
        )
    if "" in columns or len(set(columns)) < len(columns):
        raise SubjectsError(
            f"{path}: its columns are {', '.join(columns)}, expected that each has a name of its "
            "own. Name them differently."
        )


def _subject(path: Path, line: int, columns: list[str], values: list[str]) -> Subject:
    if len(values) != len(columns):
        raise SubjectsError(
            f"{path}, line {line}: there are {len(values)} values, expected {len(columns)} as in "
            "the first line. Mend the row; a value with a comma stands in quotes."
        )
    row = {name: value.strip() for name, value in zip(columns, values, strict=True)}
    if not row["subject"]:
        raise SubjectsError(
            f"{path}, line {line}: it names no subject, expected one as the sessions have it. "
            "Name it, or remove the row."
        )
    further = {name: value for name, value in row.items() if name not in REQUIRED_COLUMNS}
    return Subject(row["subject"], row["licence"], row["consent"], further)
