"""Removing what a search has found, sessions first."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Iterable
from pathlib import Path

from wban_dataset.privacy.key import key_to_extend, write_key
from wban_dataset.privacy.traces import Kind, Trace, delimiter_of, key_column
from wban_dataset.recording.errors import RecordingError, system_error
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.journal import sync_directory
from wban_dataset.recording.whole_file import write_whole


def remove(traces: Iterable[Trace]) -> list[str]:
    """Remove each of them, in their order.

    Returns
    -------
    list of str
        A sentence for each that could not be removed; the others are gone.
    """
    problems: list[str] = []
    for trace in traces:
        try:
            if trace.kind is Kind.ROW:
                _remove_rows(trace)
            else:
                _remove_folder(trace)
        except RecordingError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(f"not removed: {system_error(error)}")
    return problems


def remove_from_key(path: Path, subject: str, session_ids: Iterable[str]) -> None:
    """Forget a person's new name, and those of the person's sessions.

    Raises
    ------
    PrivacyError
        If the key cannot be read.
    OSError
        If the disk refuses.
    """
    with key_to_extend(path) as key:
        key.subjects.pop(subject, None)
        for session_id in session_ids:
            key.sessions.pop(session_id, None)
        write_key(path, key)


def _remove_folder(trace: Trace) -> None:
    """Remove a folder that no other process works on, what it is recognised by last."""
    with locked(trace.path):
        for path in sorted(trace.path.iterdir(), key=lambda p: p.name == trace.recognised_by):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)  # follows no links
            else:
                path.unlink()
        trace.path.rmdir()
    sync_directory(trace.path.parent)


def _remove_rows(trace: Trace) -> None:
    write_whole(trace.path, _without(trace.path, trace.names))


def _without(table: Path, names: frozenset[str]) -> bytes:
    """Give a table without the rows of some names."""
    delimiter = delimiter_of(table)
    with table.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.reader(file, delimiter=delimiter))
    column = key_column([name.strip() for name in rows[0]])
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(rows[0])
    writer.writerows(
        row for row in rows[1:] if len(row) <= column or row[column].strip() not in names
    )
    return text.getvalue().encode()
