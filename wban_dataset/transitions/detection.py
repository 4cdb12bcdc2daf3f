"""Detected transitions scored as events: an onset within the tolerance is found, once."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.labels.timeline import UNLABELLED


@dataclass(frozen=True, slots=True)
class Event:
    """A change of activity: session, onset, and the activities' codes."""

    session: int
    onset_ns: int
    from_label: int
    to_label: int


@dataclass(frozen=True, slots=True)
class DetectionScore:
    """How well events were detected.

    Attributes
    ----------
    n_matched, n_truth, n_detected
        Pairs, and events on either side.
    matches
        Numbers of the true and of the detected event of each pair, int64 (n_matched, 2).
    onset_error_ns
        Detected less true onset of each pair, int64 (n_matched,).
    """

    n_truth: int
    n_detected: int
    matches: NDArray[np.int64]
    onset_error_ns: NDArray[np.int64]

    @property
    def n_matched(self) -> int:
        """Count the events that were found."""
        return len(self.matches)

    @property
    def precision(self) -> float:
        """Share of what was detected that is true; NaN where nothing was detected."""
        return self.n_matched / self.n_detected if self.n_detected else float("nan")

    @property
    def recall(self) -> float:
        """Share of what is true that was detected; NaN where there is nothing to detect."""
        return self.n_matched / self.n_truth if self.n_truth else float("nan")

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall; NaN where there is no event at all."""
        n_events = self.n_truth + self.n_detected
        return 2 * self.n_matched / n_events if n_events else float("nan")


def score(
    truth: Sequence[Event],
    detected: Sequence[Event],
    tolerance_ns: int,
    *,
    same_pair: bool = True,
) -> DetectionScore:
    """Match detected events with true ones, one to one, and count.

    As many as possible are matched, and of all such ways the one whose onsets differ least in sum.

    Parameters
    ----------
    tolerance_ns
        How far an onset may lie from the true one, inclusive.
    same_pair
        Whether an event also has to be between the same activities.

    Raises
    ------
    ValueError
        If the tolerance is negative.
    """
    if tolerance_ns < 0:
        raise ValueError(f"tolerance: found {tolerance_ns} ns, expected 0 or more")
    groups: dict[tuple[int, ...], tuple[list[int], list[int]]] = {}
    for side, events in enumerate((truth, detected)):
        for number, event in enumerate(events):
            pair = (event.from_label, event.to_label) if same_pair else ()
            groups.setdefault((event.session, *pair), ([], []))[side].append(number)
    true_ns = np.array([event.onset_ns for event in truth], dtype=np.int64)
    found_ns = np.array([event.onset_ns for event in detected], dtype=np.int64)
    parts = [
        _matched(true_ns, found_ns, np.array(mine), np.array(theirs), tolerance_ns)
        for mine, theirs in groups.values()
        if mine and theirs
    ]
    matches = np.concatenate([np.empty((0, 2), np.int64), *parts])
    matches = matches[np.argsort(matches[:, 0], kind="stable")]
    errors = found_ns[matches[:, 1]] - true_ns[matches[:, 0]]
    return DetectionScore(len(truth), len(detected), matches, errors)


def events_of_labels(
    session: int, instant_ns: NDArray[np.int64], label: NDArray[np.integer]
) -> list[Event]:
    """Find the events in a sequence of labels, as a classifier gives one for each window.

    Parameters
    ----------
    instant_ns
        What each label is for, such as the middle of its window, increasing (w,).
    label
        Codes (w,); those of unlabelled windows are skipped.

    Returns
    -------
    list[Event]
        Onsets halfway between the last label of one kind and the first of the other.
    """
    labelled = label != UNLABELLED
    instants, labels = instant_ns[labelled], label[labelled]
    changes = np.flatnonzero(labels[1:] != labels[:-1])
    return [
        Event(
            session,
            int(instants[row] + (instants[row + 1] - instants[row]) // 2),
            int(labels[row]),
            int(labels[row + 1]),
        )
        for row in changes.tolist()
    ]


def _matched(
    true_ns: NDArray[np.int64],
    found_ns: NDArray[np.int64],
    mine: NDArray[np.int64],
    theirs: NDArray[np.int64],
    tolerance_ns: int,
) -> NDArray[np.int64]:
    """Pairs of event numbers of one session and pair of activities, (k, 2)."""
    optimize: Any = importlib.import_module("scipy.optimize")
    away = np.abs(true_ns[mine][:, None] - found_ns[theirs][None, :])
    # One pair beyond the tolerance costs more than all pairs within it together.
    beyond = float(tolerance_ns + 1) * (min(away.shape) + 1)
    cost = np.where(away <= tolerance_ns, away.astype(np.float64), beyond)
    rows, columns = optimize.linear_sum_assignment(cost)
    within = away[rows, columns] <= tolerance_ns
    return np.column_stack((mine[rows[within]], theirs[columns[within]]))
