"""One label or none at each instant: what windows are labelled from.

Labels may overlap: a person corrects later what was pressed live, a model proposes, two people
annotate the same recording. A timeline is what is left after the rules of docs/labels.md.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wban_dataset.errors import DatasetError
from wban_dataset.recording.streams import Label

UNLABELLED = -1

PRIORITY = ("person", "page", "import", "button", "live", "model")
"""Sources of labels, the one that prevails first: who looked later and longer knows better."""

KEY_PRESS_UNCERTAINTY_NS = 1_000_000_000
"""A person presses a key up to a second late; taken for live labels that state nothing better."""

KEY_PRESSES = ("live", "button")

UnknownClass = Literal["refuse", "unlabelled"]


class LabelError(DatasetError):
    """Labels that contradict one another, or that the study does not know."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Spans without overlap, half-open, sorted by start; time between them is unlabelled.

    Touching spans of the same class are one span.

    Attributes
    ----------
    start_ns, stop_ns
        On the session's own clock, int64 (n,).
    code
        Place of the class in `classes`, int16 (n,).
    uncertainty_ns
        How far the start of each span may lie from the true change, int64 (n,).
    classes
        Names of the classes.
    """

    start_ns: NDArray[np.int64]
    stop_ns: NDArray[np.int64]
    code: NDArray[np.int16]
    uncertainty_ns: NDArray[np.int64]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        """Count the spans."""
        return len(self.code)

    def at(self, times_ns: ArrayLike) -> NDArray[np.int16]:
        """Codes at instants in any order, int16 (t,); `UNLABELLED` where there is none."""
        times = np.asarray(times_ns, dtype=np.int64)
        if not len(self):
            return np.full(times.shape, UNLABELLED, dtype=np.int16)
        span = np.searchsorted(self.start_ns, times, side="right") - 1
        inside = (span >= 0) & (times < self.stop_ns[span])
        return np.where(inside, self.code[span], np.int16(UNLABELLED))

    def fraction(self, start_ns: ArrayLike, stop_ns: ArrayLike) -> NDArray[np.float64]:
        """Share of each window [start, stop) that each class covers, (w, classes).

        Raises
        ------
        ValueError
            If a window is empty or ends before it starts.
        """
        starts = np.asarray(start_ns, dtype=np.int64)
        stops = np.asarray(stop_ns, dtype=np.int64)
        lengths = stops - starts
        if np.any(lengths <= 0):
            raise ValueError("windows must end after they start")
        if not len(self):
            return np.zeros((len(starts), len(self.classes)))
        before = self._labelled_before_spans()
        covered = self._labelled_until(stops, before) - self._labelled_until(starts, before)
        return covered / lengths[:, None]

    def _labelled_before_spans(self) -> NDArray[np.int64]:
        """Time in ns of each class before each span, (n, classes)."""
        rows = np.arange(1, len(self))
        before = np.zeros((len(self), len(self.classes)), dtype=np.int64)
        before[rows, self.code[:-1]] = (self.stop_ns - self.start_ns)[:-1]
        return np.cumsum(before, axis=0)

    def _labelled_until(
        self, times: NDArray[np.int64], before: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Time in ns of each class before each instant, (t, classes)."""
        span = np.maximum(np.searchsorted(self.start_ns, times, side="right") - 1, 0)
        within = np.clip(times, self.start_ns[span], self.stop_ns[span]) - self.start_ns[span]
        until = before[span]
        until[np.arange(len(times)), self.code[span]] += within
        return until


def timeline(
    labels: Sequence[Label],
    classes: Sequence[str],
    *,
    priority: Sequence[str] = PRIORITY,
    unknown: UnknownClass = "refuse",
    where: str = "labels",
) -> Timeline:
    """Decide between labels where they overlap.

    The source that stands first in `priority` prevails; within a source the higher confidence, then
    the smaller uncertainty, then the annotator who comes first by name. An empty label leaves its
    time unlabelled where it prevails.

    Parameters
    ----------
    labels
        In any order.
    classes
        Names that labels may have; a class's code is its place.
    unknown
        What a label of no class does: be refused, or leave its time unlabelled.
    where
        What the labels are of, for the sentence of an error: ``session /data/S01_eating``.

    Raises
    ------
    LabelError
        If two labels of one annotator and source overlap, a label has not ended or ends before it
        starts, or its class or its source is unknown.
    """
    codes = _codes(labels, classes, unknown, where)
    ranks = _ranks(labels, priority, where)
    _check_spans(labels, where)
    _check_overlaps(labels, where)
    edges = np.unique([edge for label in labels for edge in (label.start_ns, label.stop_ns)])
    owner = _owner_of_stretches(labels, ranks, edges.astype(np.int64))
    return _spans(labels, codes, edges.astype(np.int64), owner, tuple(classes))


def stated_uncertainty_ns(label: Label) -> int:
    """Give the uncertainty of a label's borders; a key press that states none has 1 s."""
    if not label.uncertainty_ns and label.source in KEY_PRESSES:
        return KEY_PRESS_UNCERTAINTY_NS
    return label.uncertainty_ns


def described(label: Label) -> str:
    """Write a label so that its place in a table can be found."""
    return f"{label.label!r} from {label.start_ns} to {label.stop_ns} ns"


def first_overlap(labels: Sequence[Label]) -> tuple[Label, Label] | None:
    """Find two labels of one annotator and source that overlap, the earlier one first."""
    by_hand: dict[tuple[str, str], list[Label]] = {}
    for label in labels:
        if label.stop_ns > label.start_ns:
            by_hand.setdefault((label.annotator, label.source), []).append(label)
    for own in by_hand.values():
        own.sort(key=lambda label: (label.start_ns, label.stop_ns))
        for earlier, later in pairwise(own):
            if later.start_ns < earlier.stop_ns:
                return earlier, later
    return None


def _check_overlaps(labels: Sequence[Label], where: str) -> None:
    overlap = first_overlap(labels)
    if overlap is not None:
        earlier, later = overlap
        raise LabelError(
            f"{where}: {described(earlier)} and {described(later)} overlap and are both by "
            f"annotator {earlier.annotator!r} (source {earlier.source!r}), expected one label at a "
            "time. Shorten or remove one of them in labels.csv."
        )


def _codes(
    labels: Sequence[Label], classes: Sequence[str], unknown: UnknownClass, where: str
) -> list[int]:
    code_of = {name: code for code, name in enumerate(classes)} | {"": UNLABELLED}
    for label in labels:
        if unknown == "refuse" and label.label not in code_of:
            nearest = difflib.get_close_matches(label.label, list(classes), n=1, cutoff=0.5)
            hint = f" (nearest: {nearest[0]!r})" if nearest else ""
            raise LabelError(
                f"{where}: the label {described(label)} is of an unknown class{hint}, expected "
                f"one of {', '.join(classes) or 'none'}. Correct it in labels.csv, or add the "
                "class to the study."
            )
    return [code_of.get(label.label, UNLABELLED) for label in labels]


def _ranks(
    labels: Sequence[Label], priority: Sequence[str], where: str
) -> list[tuple[int, float, int, str]]:
    """Give what to sort labels by, the one that prevails first."""
    place = {source: rank for rank, source in enumerate(priority)}
    ranks: list[tuple[int, float, int, str]] = []
    for label in labels:
        if label.source not in place:
            raise LabelError(
                f"{where}: the label {described(label)} has the source {label.source!r}, "
                f"expected one of {', '.join(priority)}. Correct it in labels.csv."
            )
        rank = place[label.source]
        ranks.append((rank, -label.confidence, stated_uncertainty_ns(label), label.annotator))
    return ranks


def _check_spans(labels: Sequence[Label], where: str) -> None:
    for label in labels:
        if label.stop_ns < label.start_ns:
            raise LabelError(
                f"{where}: the label {described(label)} ends before it starts, expected a span. "
                "Correct it in labels.csv; a label that still runs is closed by ending its session."
            )


def _owner_of_stretches(
    labels: Sequence[Label], ranks: Sequence[tuple[int, float, int, str]], edges: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Which label has each stretch between two edges, int64 (edges - 1,); -1 for none."""
    owner = np.full(max(len(edges) - 1, 0), -1, dtype=np.int64)
    for i in sorted(range(len(labels)), key=lambda i: ranks[i], reverse=True):
        first, last = np.searchsorted(edges, (labels[i].start_ns, labels[i].stop_ns))
        owner[first:last] = i  # the one that prevails comes last
    return owner


def _spans(
    labels: Sequence[Label],
    codes: Sequence[int],
    edges: NDArray[np.int64],
    owner: NDArray[np.int64],
    classes: tuple[str, ...],
) -> Timeline:
    """Join stretches of one class and leave out those without."""
    code = np.array([*codes, UNLABELLED], dtype=np.int16)[owner]
    first = np.flatnonzero(np.diff(code, prepend=np.int16(UNLABELLED - 1)))
    last = np.append(first[1:], len(code))
    labelled = code[first] != UNLABELLED if len(first) else np.zeros(0, dtype=np.bool_)
    first, last = first[labelled], last[labelled]
    uncertainty = [_uncertainty_at(labels, edges, owner, int(stretch)) for stretch in first]
    return Timeline(
        edges[first],
        edges[last],
        code[first],
        np.array(uncertainty, dtype=np.int64),
        classes,
    )


def _uncertainty_at(
    labels: Sequence[Label], edges: NDArray[np.int64], owner: NDArray[np.int64], stretch: int
) -> int:
    """Uncertainty of the start of a stretch: of the label that begins, or cuts it off, there."""
    label = labels[int(owner[stretch])]
    if label.start_ns != edges[stretch]:
        label = labels[int(owner[stretch - 1])]
    return stated_uncertainty_ns(label)
