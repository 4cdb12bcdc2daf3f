"""BIDS events tables (events.tsv): onset and duration in seconds, one row a label.

Format: Brain Imaging Data Structure 1.11, "Task events"; further columns are permitted and
described in events.json.
"""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path

from wban_dataset.labels.document import (
    MOST_SECONDS,
    UNSTATED,
    Document,
    ExchangeError,
    ExchangeFormat,
)
from wban_dataset.labels.session_labels import Annotations
from wban_dataset.recording.streams import Label

MISSING = "n/a"
COLUMNS = (
    *("onset", "duration", "trial_type"),
    *("annotator", "source", "confidence", "uncertainty"),
)
_DESCRIPTIONS = {
    "onset": {"Description": "Start, from the first sample of the session", "Units": "s"},
    "duration": {"Description": "Length", "Units": "s"},
    "trial_type": {"Description": "Activity"},
    "annotator": {"Description": "Who labelled; n/a where no name was given"},
    "source": {"Description": "How the label was made: person, page, import, button, live, model"},
    "confidence": {"Description": "From 0 to 1"},
    "uncertainty": {"Description": "How far the borders may be from the true ones", "Units": "s"},
}


def write_events(document: Document) -> bytes:
    """Write a document as events.tsv.

    Raises
    ------
    ExchangeError
        If a name has a tab or a line break, which the table cannot hold.
    """
    labels = [label for own in document.annotations.values() for label in own]
    labels.sort(key=lambda label: (label.start_ns, label.stop_ns, label.annotator))
    rows = [COLUMNS, *(_row(label, document.origin_ns) for label in labels)]
    for cell in (cell for row in rows for cell in row):
        if any(character in cell for character in "\t\r\n"):
            raise ExchangeError(
                f"the name {cell!r} has a tab or a line break, which events.tsv cannot hold, "
                "expected none. Rename it in labels.csv."
            )
    return "".join("\t".join(row) + "\n" for row in rows).encode()


def read_events(path: Path, content: bytes, session_id: str, origin_ns: int) -> Document:
    """Read an events.tsv; rows without a ``trial_type`` are left aside.

    Raises
    ------
    ExchangeError
        With the line: if it is no such table, or a row has no onset and duration.
    """
    reader = csv.DictReader(_lines(path, content), delimiter="\t", quoting=csv.QUOTE_NONE)
    columns = reader.fieldnames or []
    for required in ("onset", "duration", "trial_type"):
        if required not in columns:
            raise ExchangeError(
                f"{path}: the column {required} is missing (found: {', '.join(columns)}), expected "
                "an events.tsv with onset, duration and trial_type. Add it, or check the path."
            )
    annotations: Annotations = {}
    n_unnamed = 0
    for row in reader:
        cells = {
            name: "" if cell in (None, MISSING) else cell for name, cell in row.items() if name
        }
        if not cells["trial_type"]:
            n_unnamed += 1
            continue
        label = _label(f"{path}, line {reader.line_num}", cells, origin_ns)
        annotations.setdefault(label.annotator, []).append(label)
    notes = (f"{n_unnamed} rows without a trial_type",) if n_unnamed else ()
    return Document(annotations, origin_ns, notes=notes)


def describe_events() -> bytes:
    """Write events.json, which says what the columns are."""
    return json.dumps(_DESCRIPTIONS, indent=2).encode() + b"\n"


def _lines(path: Path, content: bytes) -> list[str]:
    try:
        return content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ExchangeError(
            f"{path}: it is not UTF-8 ({error.reason} at byte {error.start}), expected an "
            "events.tsv. Save it as UTF-8."
        ) from error


def _row(label: Label, origin_ns: int) -> tuple[str, ...]:
    return (
        _seconds(label.start_ns - origin_ns),
        _seconds(label.stop_ns - label.start_ns),
        label.label,
        label.annotator or MISSING,
        label.source or MISSING,
        repr(label.confidence),
        _seconds(label.uncertainty_ns),
    )


def _seconds(ns: int) -> str:
    """Write nanoseconds as seconds, exactly."""
    sign = "-" if ns < 0 else ""
    return f"{sign}{abs(ns) // 10**9}.{abs(ns) % 10**9:09d}"


def _label(where: str, cells: dict[str, str], origin_ns: int) -> Label:
    onset_ns = _nanoseconds(where, "onset", cells["onset"])
    duration_ns = _nanoseconds(where, "duration", cells["duration"])
    if duration_ns <= 0:
        raise ExchangeError(
            f"{where}: the duration is {cells['duration']} s, expected more than 0. "
            "Correct the row, or leave its trial_type n/a."
        )
    return Label(
        start_ns=origin_ns + onset_ns,
        stop_ns=origin_ns + onset_ns + duration_ns,
        label=cells["trial_type"],
        annotator=cells.get("annotator", ""),
        source=cells.get("source", "") or UNSTATED,
        confidence=_confidence(where, cells.get("confidence") or "1"),
        uncertainty_ns=_nanoseconds(where, "uncertainty", cells.get("uncertainty") or "0"),
    )


def _nanoseconds(where: str, column: str, seconds: str) -> int:
    try:
        value = Decimal(seconds)
        if abs(value) >= MOST_SECONDS:
            raise ValueError(seconds)
        return round(value * 10**9)
    except (ArithmeticError, ValueError) as error:
        raise ExchangeError(
            f"{where}: the {column} is {seconds or MISSING!r}, expected seconds as a number "
            f"below {MOST_SECONDS}. Correct the row."
        ) from error


def _confidence(where: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ExchangeError(
            f"{where}: the confidence is {text!r}, expected 0 to 1. Correct the row."
        ) from error


EVENTS = ExchangeFormat(
    name="events",
    suffix=".tsv",
    write=write_events,
    read=read_events,
    held=lambda time_ns, origin_ns: time_ns,
    cannot_hold=("the session that the labels belong to is not in the file",),
    description=describe_events,
)
