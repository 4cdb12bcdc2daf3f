"""Labels to other tools and back, and what that changes in a session's ``labels.csv``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wban_dataset.labels.bids_events import EVENTS
from wban_dataset.labels.document import UNSTATED, Document, ExchangeError, ExchangeFormat
from wban_dataset.labels.elan import ELAN
from wban_dataset.labels.label_studio import LABEL_STUDIO
from wban_dataset.labels.session_labels import (
    Annotations,
    annotations_of,
    folder_of,
    own_labels,
    sidecar_labels,
    span_ns,
)
from wban_dataset.labels.sidecar import check_labels, write_labels
from wban_dataset.recording.layout import LABELS_SIDECAR
from wban_dataset.recording.session import Session
from wban_dataset.recording.sidecars import overlaid
from wban_dataset.recording.streams import Label

FORMATS: dict[str, ExchangeFormat] = {form.name: form for form in (ELAN, LABEL_STUDIO, EVENTS)}

MOST_BYTES = 64 * 2**20
"""A file of labels is far smaller; what is larger is something else."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What an import does to the labels of the annotators in the file.

    Attributes
    ----------
    unchanged
        How many labels are as they were.
    removed, added
        Labels before and after, where they differ.
    notes
        What in the file was left aside.
    """

    unchanged: int
    removed: tuple[Label, ...]
    added: tuple[Label, ...]
    notes: tuple[str, ...] = ()


def document_of(session: Session) -> Document:
    """Gather what is exported: the labels of each annotator, not cut by those of others."""
    return Document(
        annotations_of(session),
        origin_ns=span_ns(session)[0],
        session_id=session.session_id,
        start_utc=session.start_utc,
    )


def format_of(path: Path) -> ExchangeFormat:
    """Tell a format by the ending of a file.

    Raises
    ------
    ExchangeError
        If no format has it.
    """
    for form in FORMATS.values():
        if path.suffix.lower() == form.suffix:
            return form
    endings = ", ".join(f"{form.suffix} ({form.name})" for form in FORMATS.values())
    raise ExchangeError(f"{path}: its ending is {path.suffix!r}, expected {endings}. Rename it.")


def import_labels(
    session: Session,
    path: Path,
    *,
    annotator: str | None = None,
    classes: Sequence[str] | None = None,
) -> Changes:
    """Take the labels of a file into the session's ``labels.csv``, which is written whole.

    Annotators that the file does not name keep what they said. Where a label is as it was, as far
    as the format can hold it, the session's own exact one stays.

    Parameters
    ----------
    annotator
        Who made all labels of the file; by default whom the file names.
    classes
        Names that labels may have; None: any.

    Raises
    ------
    ExchangeError
        If the file cannot be read or is of another session.
    LabelError
        If its labels lie outside the session, overlap, or are of an unknown class.
    """
    form = format_of(path)
    document = _read(path, form, session)
    before = annotations_of(session)
    after: Annotations = {}
    for name, labels in _renamed(document.annotations, annotator).items():
        after[name] = _restored(labels, before.get(name, []), form, document.origin_ns)
    labels = [label for own in after.values() for label in own]
    _check(labels, session, path, classes)
    changes = _changes(before, after, document.notes)
    if changes.added or changes.removed:
        rows = sidecar_rows(session, after)
        write_labels(folder_of(session) / LABELS_SIDECAR, rows)
    return changes


def sidecar_rows(session: Session, after: Annotations) -> list[Label]:
    """Make the rows of ``labels.csv`` after which these annotators say what `after` says.

    What was recorded and is no longer said is erased by rows with an empty label.
    """
    own = own_labels(session)
    rows = [label for label in sidecar_labels(session) if label.annotator not in after]
    for annotator, said in after.items():
        recorded = [label for label in own if label.annotator == annotator]
        gone = [label for label in recorded if label not in said]
        uncovered = [piece for piece in overlaid(gone, said) if piece not in said]
        rows += [replace(piece, label="", source="import") for piece in uncovered]
        rows += [label for label in said if label not in recorded]
    return rows


def _read(path: Path, form: ExchangeFormat, session: Session) -> Document:
    if path.stat().st_size > MOST_BYTES:
        raise ExchangeError(
            f"{path}: it has {path.stat().st_size} bytes, expected at most {MOST_BYTES} for "
            "labels. Check the path."
        )
    document = form.read(path, path.read_bytes(), session.session_id, span_ns(session)[0])
    if document.session_id not in ("", session.session_id):
        raise ExchangeError(
            f"{path}: it was exported from the session {document.session_id}, expected "
            f"{session.session_id}. Import it into the session that it is of."
        )
    return document


def _check(
    labels: Sequence[Label], session: Session, path: Path, classes: Sequence[str] | None
) -> None:
    """Check labels; those of one annotator may not overlap, whatever their sources."""
    span = span_ns(session)

    def place_of(label: Label) -> str:
        return f"{path}, at {(label.start_ns - span[0]) / 1e9:.3f} s"

    check_labels(labels, span, place_of, classes)
    of_one_source = [replace(label, source="import") for label in labels]
    check_labels(of_one_source, span, place_of, classes)


def _renamed(annotations: Annotations, annotator: str | None) -> Annotations:
    if annotator is None:
        return annotations
    every = [label for labels in annotations.values() for label in labels]
    return {annotator: [replace(label, annotator=annotator) for label in every]}


def _restored(
    labels: Iterable[Label], before: Sequence[Label], form: ExchangeFormat, origin_ns: int
) -> list[Label]:
    """Give labels the exact times and the details that the format could not hold."""
    exact: dict[int, int] = {}
    same: dict[tuple[int, int, str], Label] = {}
    for label in before:
        held = form.held(label.start_ns, origin_ns), form.held(label.stop_ns, origin_ns)
        exact |= {held[0]: label.start_ns, held[1]: label.stop_ns}
        same[*held, label.label] = label
    restored: list[Label] = []
    for label in labels:
        known = same.get((label.start_ns, label.stop_ns, label.label))
        start_ns = exact.get(label.start_ns, label.start_ns)
        stop_ns = exact.get(label.stop_ns, label.stop_ns)
        if label.source != UNSTATED:
            restored.append(replace(label, start_ns=start_ns, stop_ns=stop_ns))
        elif known is not None:
            restored.append(known)
        else:
            imported = replace(label, start_ns=start_ns, stop_ns=stop_ns, source="import")
            restored.append(imported)
    return sorted(restored, key=lambda label: (label.start_ns, label.stop_ns))


def _changes(before: Annotations, after: Annotations, notes: tuple[str, ...]) -> Changes:
    said = [label for name in after for label in before.get(name, [])]
    says = [label for labels in after.values() for label in labels]
    return Changes(
        unchanged=sum(label in said for label in says),
        removed=tuple(label for label in said if label not in says),
        added=tuple(label for label in says if label not in said),
        notes=notes,
    )
