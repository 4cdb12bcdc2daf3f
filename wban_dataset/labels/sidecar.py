"""``labels.csv``: written whole, and checked with the number of the row that is wrong."""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from wban_dataset.labels.timeline import (
    PRIORITY,
    LabelError,
    described,
    first_overlap,
    stated_uncertainty_ns,
)
from wban_dataset.recording.streams import Label
from wban_dataset.recording.whole_file import write_whole
from wban_dataset.recording.wording import check_printable

COLUMNS = ("start_ns", "stop_ns", "label", "annotator", "source", "confidence", "uncertainty_ns")

OUTSIDE_NS = 1_000_000_000
"""How far a label may reach beyond the first and the last sample: a label is pressed before a
sensor answers, and carried over from the session before by a second."""


def write_labels(path: Path, labels: Iterable[Label]) -> None:
    """Write a table of labels in the order of their start, replacing what stood there.

    Raises
    ------
    LabelError
        If the name of an annotator has a control character in it.
    OSError
        If the disk refuses; what stood there before still does.
    """
    rows = sorted(labels, key=lambda label: (label.start_ns, label.stop_ns, label.annotator))
    for name in {label.annotator for label in rows}:
        try:
            check_printable(name, "annotator")
        except ValueError as error:
            raise LabelError(f"{error}.") from error
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([getattr(label, column) for column in COLUMNS] for label in rows)
    write_whole(path, text.getvalue().encode())


def check_labels(
    labels: Sequence[Label],
    span_ns: tuple[int, int],
    place_of: Callable[[Label], str],
    classes: Sequence[str] | None = None,
) -> None:
    """Check labels that came from a file against the session that they are of.

    Parameters
    ----------
    span_ns
        First and last stamp of the session.
    place_of
        Names the file, and the row where there is one, that a label came from.
    classes
        Names that labels may have; None: any.

    Raises
    ------
    LabelError
        If a label reaches outside the session by more than its uncertainty (at least
        1 s), has an unknown source or class, or overlaps another of its annotator and source.
    """
    for label in labels:
        _check_span(label, span_ns, place_of)
        _check_values(label, classes, place_of)
    overlap = first_overlap(labels)
    if overlap is not None:
        earlier, later = overlap
        raise LabelError(
            f"{place_of(later)}: the label {described(later)} overlaps {described(earlier)} of "
            f"the same annotator ({later.annotator!r}), expected one label at a time. Shorten or "
            "remove one of them."
        )


def _check_span(label: Label, span_ns: tuple[int, int], place_of: Callable[[Label], str]) -> None:
    slack_ns = max(OUTSIDE_NS, stated_uncertainty_ns(label))
    if label.start_ns < span_ns[0] - slack_ns or label.stop_ns > span_ns[1] + slack_ns:
        raise LabelError(
            f"{place_of(label)}: the label {described(label)} is outside the session, expected "
            f"within {span_ns[0]} to {span_ns[1]} ns, give or take a second. Correct it; "
            "times in labels.csv are nanoseconds of the session's own clock."
        )


def _check_values(
    label: Label, classes: Sequence[str] | None, place_of: Callable[[Label], str]
) -> None:
    if label.source not in PRIORITY:
        raise LabelError(
            f"{place_of(label)}: the source is {label.source!r}, expected one of "
            f"{', '.join(PRIORITY)}. Correct it."
        )
    if not 0.0 <= label.confidence <= 1.0 or label.uncertainty_ns < 0:
        raise LabelError(
            f"{place_of(label)}: the confidence is {label.confidence} and the uncertainty "
            f"{label.uncertainty_ns} ns, expected 0 to 1 and at least 0 ns. Correct it."
        )
    if classes is not None and label.label and label.label not in classes:
        nearest = difflib.get_close_matches(label.label, list(classes), n=1, cutoff=0.5)
        hint = f" (nearest: {nearest[0]!r})" if nearest else ""
        raise LabelError(
            f"{place_of(label)}: the label {label.label!r} is of no known class{hint}, expected "
            f"one of {', '.join(classes)}. Correct it, or add the class to the study."
        )


def line_of(path: Path, label: Label) -> str:
    """Name the line of a ``labels.csv`` that a label came from."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        for row in reader:
            times = int(row["start_ns"]), int(row["stop_ns"])
            names = row["label"], row.get("annotator") or ""
            if (*times, *names) == (label.start_ns, label.stop_ns, label.label, label.annotator):
                return f"{path}, line {reader.line_num}"
    return str(path)
