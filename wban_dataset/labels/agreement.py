"""How far two annotators of one session agree: Cohen's kappa over time, and their borders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wban_dataset.labels.timeline import UNLABELLED, Timeline

MATCHED_WITHIN_NS = 5_000_000_000
"""Two borders further apart than this are not of the same change."""


@dataclass(frozen=True, slots=True)
class BorderAgreement:
    """Borders of both, matched one to one, nearest first.

    Attributes
    ----------
    n_matched, n_only_a, n_only_b
        Borders that both have, and those that one has alone.
    median_ns, p90_ns
        Of the distance of matched borders; NaN where there is none.
    """

    n_matched: int
    n_only_a: int
    n_only_b: int
    median_ns: float
    p90_ns: float


@dataclass(frozen=True, slots=True)
class ClassAgreement:
    """Agreement on one class.

    Attributes
    ----------
    kappa
        Cohen's, of this class against all others; NaN where neither or both have nothing else.
    a_ns, b_ns, both_ns
        For how long the one, the other, and both say it, within the time that both labelled.
    onsets
        Of the borders at which the class begins.
    """

    kappa: float
    a_ns: int
    b_ns: int
    both_ns: int
    onsets: BorderAgreement


@dataclass(frozen=True, slots=True)
class Agreement:
    """Agreement of two annotators.

    Attributes
    ----------
    kappa
        Cohen's, over the time that both labelled; NaN where there is none, or one class only.
    observed
        Share of that time in which they agree.
    both_ns, only_a_ns, only_b_ns
        For how long both labelled, and one alone.
    borders
        Of all changes, also to unlabelled time.
    by_class
        For each class that one of them used.
    """

    kappa: float
    observed: float
    both_ns: int
    only_a_ns: int
    only_b_ns: int
    borders: BorderAgreement
    by_class: dict[str, ClassAgreement]


def agreement(a: Timeline, b: Timeline) -> Agreement:
    """Compare two timelines of the same classes.

    Source of kappa: J. Cohen, A coefficient of agreement for nominal scales, Educational and
    Psychological Measurement 20 (1960); each nanosecond counts as one item.

    Raises
    ------
    ValueError
        If their classes differ.
    """
    if a.classes != b.classes:
        raise ValueError("timelines to compare must have the same classes in the same order")
    confusion = _confusion_ns(a, b)
    both = confusion[:-1, :-1]
    matched = _borders(a, b)
    return Agreement(
        kappa=cohen_kappa(both),
        observed=float(np.trace(both) / both.sum()) if both.sum() else float("nan"),
        both_ns=int(both.sum()),
        only_a_ns=int(confusion[:-1, -1].sum()),
        only_b_ns=int(confusion[-1, :-1].sum()),
        borders=_border_agreement(list(matched.values())),
        by_class={
            name: _class_agreement(both, code, matched[code])
            for code, name in enumerate(a.classes)
            if code in a.code or code in b.code
        },
    )


def cohen_kappa(confusion: NDArray[np.int64]) -> float:
    """Cohen's kappa of a confusion matrix (k, k); NaN where chance alone agrees wholly."""
    total = float(confusion.sum())
    if not total:
        return float("nan")
    observed = float(np.trace(confusion)) / total
    shares_a, shares_b = confusion.sum(axis=1) / total, confusion.sum(axis=0) / total
    by_chance = float(shares_a @ shares_b)
    return (observed - by_chance) / (1 - by_chance) if by_chance < 1 else float("nan")


def _confusion_ns(a: Timeline, b: Timeline) -> NDArray[np.int64]:
    """Time by class of a and of b, (k + 1, k + 1); the last row and column: unlabelled."""
    edges = np.unique(np.concatenate([a.start_ns, a.stop_ns, b.start_ns, b.stop_ns]))
    confusion = np.zeros((len(a.classes) + 1, len(a.classes) + 1), dtype=np.int64)
    # UNLABELLED is -1 and so counts in the last row and column
    np.add.at(confusion, (a.at(edges[:-1]), b.at(edges[:-1])), np.diff(edges))
    return confusion


def _class_agreement(
    both: NDArray[np.int64], code: int, matched: tuple[NDArray[np.int64], int, int]
) -> ClassAgreement:
    hit = int(both[code, code])
    a_ns, b_ns = int(both[code].sum()), int(both[:, code].sum())
    rest = int(both.sum()) - a_ns - b_ns + hit
    against_others = np.array([[hit, a_ns - hit], [b_ns - hit, rest]])
    onsets = _border_agreement([matched])
    return ClassAgreement(cohen_kappa(against_others), a_ns, b_ns, hit, onsets)


def _borders(a: Timeline, b: Timeline) -> dict[int, tuple[NDArray[np.int64], int, int]]:
    """Match borders by the code of what begins there: distances in ns, only in a, only in b."""
    changes_a, changes_b = _changes(a), _changes(b)
    return {
        code: _matched(changes_a.get(code, []), changes_b.get(code, []))
        for code in (UNLABELLED, *range(len(a.classes)))
    }


def _changes(timeline: Timeline) -> dict[int, list[int]]:
    """Instants at which each code begins; `UNLABELLED` where a span ends and none follows."""
    begins: dict[int, list[int]] = {}
    for start_ns, code in zip(timeline.start_ns.tolist(), timeline.code.tolist(), strict=True):
        begins.setdefault(code, []).append(start_ns)
    followed = np.isin(timeline.stop_ns, timeline.start_ns)
    begins[UNLABELLED] = timeline.stop_ns[~followed].tolist()
    return begins


def _matched(a: Sequence[int], b: Sequence[int]) -> tuple[NDArray[np.int64], int, int]:
    """Match instants one to one, the nearest two first, none over `MATCHED_WITHIN_NS` apart."""
    pairs = sorted(
        (abs(one - other), i, j)
        for i, one in enumerate(a)
        for j, other in enumerate(b)
        if abs(one - other) <= MATCHED_WITHIN_NS
    )
    taken_a: set[int] = set()
    taken_b: set[int] = set()
    distances: list[int] = []
    for distance, i, j in pairs:
        if i not in taken_a and j not in taken_b:
            taken_a.add(i)
            taken_b.add(j)
            distances.append(distance)
    n_matched = len(distances)
    return np.array(distances, dtype=np.int64), len(a) - n_matched, len(b) - n_matched


def _border_agreement(
    matched: Sequence[tuple[NDArray[np.int64], int, int]],
) -> BorderAgreement:
    distances = np.concatenate([distance for distance, _, _ in matched])
    quantiles = np.quantile(distances, [0.5, 0.9]) if len(distances) else [float("nan")] * 2
    return BorderAgreement(
        n_matched=len(distances),
        n_only_a=sum(only for _, only, _ in matched),
        n_only_b=sum(only for _, _, only in matched),
        median_ns=float(quantiles[0]),
        p90_ns=float(quantiles[1]),
    )
