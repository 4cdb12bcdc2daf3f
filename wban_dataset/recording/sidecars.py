"""What stands beside a sealed session: labels given later, and the true time learnt later.

``labels.csv`` has the columns of the group ``labels``; only ``start_ns``, ``stop_ns`` and ``label``
must be there. Its rows take priority: where one covers a time, the file's own labels are cut away,
and a row with an empty label leaves the time without any. ``clock.csv`` has ``monotonic_ns``,
``realtime_ns`` and ``source``; its rows are clock anchors of the same boot, taken as synchronised.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from wban_dataset.recording.errors import SessionError
from wban_dataset.recording.streams import ClockAnchor, Label

REQUIRED_LABEL_COLUMNS = ("start_ns", "stop_ns", "label")
REQUIRED_CLOCK_COLUMNS = ("monotonic_ns", "realtime_ns")


def read_labels(path: Path) -> list[Label]:
    """Read a ``labels.csv``.

    Raises
    ------
    SessionError
        If a column is missing, or a row has no whole numbers or ends before it starts.
    """
    labels: list[Label] = []
    for line, row in _rows(path, REQUIRED_LABEL_COLUMNS):
        try:
            label = Label(
                start_ns=int(row["start_ns"]),
                stop_ns=int(row["stop_ns"]),
                label=row["label"],
                annotator=row.get("annotator") or "",
                source=row.get("source") or "page",
                confidence=float(row.get("confidence") or 1.0),
                uncertainty_ns=int(row.get("uncertainty_ns") or 0),
            )
        except ValueError as error:
            raise _bad_row(path, line, str(error)) from error
        if label.stop_ns < label.start_ns:
            raise _bad_row(path, line, "stop_ns is before start_ns")
        labels.append(label)
    return sorted(labels, key=lambda label: (label.start_ns, label.stop_ns))


def read_clock(path: Path) -> list[ClockAnchor]:
    """Read a ``clock.csv``.

    Raises
    ------
    SessionError
        If a column is missing, or a row has no whole numbers.
    """
    anchors: list[ClockAnchor] = []
    for line, row in _rows(path, REQUIRED_CLOCK_COLUMNS):
        try:
            monotonic_ns, realtime_ns = int(row["monotonic_ns"]), int(row["realtime_ns"])
        except ValueError as error:
            raise _bad_row(path, line, str(error)) from error
        anchors.append(ClockAnchor(monotonic_ns, 0, realtime_ns, synchronised=True, est_error_ns=0))
    return anchors


def overlaid(labels: Iterable[Label], later: Iterable[Label]) -> list[Label]:
    """Labels of a file with those of a sidecar over them, in the order of their start."""
    on_top = list(later)
    kept = [piece for label in labels for piece in _uncovered(label, on_top)]
    kept += [label for label in on_top if label.label]
    return sorted(kept, key=lambda label: (label.start_ns, label.stop_ns, label.label))


def _uncovered(label: Label, covers: Iterable[Label]) -> list[Label]:
    """Cut away what any of the covers covers."""
    pieces = [label]
    for cover in covers:
        pieces = [part for piece in pieces for part in _without(piece, cover)]
    return pieces


def _without(label: Label, cover: Label) -> Iterator[Label]:
    if cover.stop_ns <= label.start_ns or cover.start_ns >= label.stop_ns:
        yield label
        return
    if label.start_ns < cover.start_ns:
        yield replace(label, stop_ns=cover.start_ns)
    if cover.stop_ns < label.stop_ns:
        yield replace(label, start_ns=cover.stop_ns)


def _rows(path: Path, required: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Rows of a table as (line number, values by column)."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = reader.fieldnames or []
            missing = [name for name in required if name not in columns]
            if missing:
                raise SessionError(
                    f"{path}: the column {missing[0]} is missing (found: {', '.join(columns)}), "
                    f"expected at least {', '.join(required)}. Add it, or remove the file."
                )
            for row in reader:
                yield reader.line_num, {k: v or "" for k, v in row.items() if isinstance(k, str)}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise SessionError(
            f"{path}: it cannot be read ({error}), expected a table in UTF-8 with the columns "
            f"{', '.join(required)}. Mend or remove it."
        ) from error


def _bad_row(path: Path, line: int, why: str) -> SessionError:
    return SessionError(
        f"{path}, line {line}: {why}, expected whole nanoseconds of CLOCK_MONOTONIC. "
        "Mend or remove the row."
    )
