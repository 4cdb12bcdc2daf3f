"""What a session's own labels and its ``labels.csv`` say together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from wban_dataset.labels.sidecar import check_labels, line_of
from wban_dataset.labels.timeline import LabelError, Timeline, UnknownClass, timeline
from wban_dataset.recording.layout import LABELS_SIDECAR
from wban_dataset.recording.session import Session
from wban_dataset.recording.sidecars import overlaid, read_labels
from wban_dataset.recording.streams import Label

UNNAMED = "unnamed"
"""How an annotator without a name is called where a name is needed."""

Annotations = dict[str, list[Label]]
"""Labels by annotator, in the order of their start."""


def folder_of(session: Session) -> Path:
    """Give the folder that the session's sidecars stand in."""
    return session.path if session.path.is_dir() else session.path.parent


def span_ns(session: Session) -> tuple[int, int]:
    """Give the first and the last stamp of any stream; both the start where there is no sample."""
    stamps = [session.stream(name).monotonic_ns for name in session.streams]
    stamps = [own for own in stamps if len(own)]
    if not stamps:
        return session.started_monotonic_ns, session.started_monotonic_ns
    return min(int(own[0]) for own in stamps), max(int(own[-1]) for own in stamps)


def own_labels(session: Session) -> list[Label]:
    """Give the labels that were recorded, without those of ``labels.csv``."""
    table = session.store.table("labels")
    columns = [np.asarray(table[name]).tolist() for name in table]
    return [Label(**dict(zip(table, row, strict=True))) for row in zip(*columns, strict=True)]


def sidecar_labels(session: Session, classes: Sequence[str] | None = None) -> list[Label]:
    """Give the rows of ``labels.csv``, checked; those with an empty label too.

    Parameters
    ----------
    classes
        Names that labels may have; None: any.

    Raises
    ------
    SessionError
        If the file cannot be read as labels.
    LabelError
        If rows lie outside the session, contradict one another, or are of no known class.
    """
    path = folder_of(session) / LABELS_SIDECAR
    if not path.exists():
        return []
    labels = read_labels(path)
    check_labels(labels, span_ns(session), partial(line_of, path), classes)
    return labels


def labels_of(session: Session, classes: Sequence[str] | None = None) -> list[Label]:
    """Give the labels that count: ``labels.csv`` over the session's own.

    Rows with an empty label are kept, since they prevail over others of ``labels.csv`` as well.
    Raises as `sidecar_labels`.
    """
    later = sidecar_labels(session, classes)
    erasing = [label for label in later if not label.label]
    return [*overlaid(own_labels(session), later), *erasing]


def timeline_of(
    session: Session, classes: Sequence[str], *, unknown: UnknownClass = "refuse"
) -> Timeline:
    """Make a session's timeline.

    Raises
    ------
    LabelError
        If labels lie outside the session, overlap, or are of an unknown class or source.
    SessionError
        If ``labels.csv`` cannot be read.
    """
    labels = labels_of(session, classes if unknown == "refuse" else None)
    return timeline(labels, classes, unknown=unknown, where=f"session {session.path}")


def annotations_of(session: Session) -> Annotations:
    """Give what each annotator said, not cut by what others said.

    An annotator's rows of ``labels.csv`` stand over what the same annotator said live.
    Raises as `sidecar_labels`.
    """
    own, later = own_labels(session), sidecar_labels(session)
    return {
        annotator: overlaid(_by(annotator, own), _by(annotator, later))
        for annotator in sorted({label.annotator for label in [*own, *later]})
    }


def _by(annotator: str, labels: Sequence[Label]) -> list[Label]:
    return [label for label in labels if label.annotator == annotator]


def labels_by(session: Session, said: Annotations, name: str) -> list[Label]:
    """Give the labels of one annotator, `UNNAMED` standing for no name.

    Raises
    ------
    LabelError
        If nobody of that name labelled the session.
    """
    annotator = "" if name == UNNAMED and UNNAMED not in said else name
    if annotator not in said:
        names = ", ".join(annotator or UNNAMED for annotator in said)
        raise LabelError(
            f"session {session.path}: it has no labels by {name!r}, expected one of "
            f"{names or 'nobody'}. See 'wban-dataset labels show'."
        )
    return said[annotator]
