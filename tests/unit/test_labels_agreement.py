"""Agreement of two annotators, on timelines whose answer is known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from wban_dataset.labels.agreement import agreement, cohen_kappa
from wban_dataset.labels.timeline import timeline
from wban_dataset.recording.streams import Label

S = 1_000_000_000
CLASSES = ("eating", "sitting")


def said(*spans):
    return timeline([Label(a * S, b * S, name, source="page") for a, b, name in spans], CLASSES)


def test_kappa_of_cohens_table():
    # J. Cohen (1960): observed 0.70, by chance 0.41
    confusion = np.array([[88, 14, 18], [10, 40, 10], [2, 6, 12]])
    assert cohen_kappa(confusion) == pytest.approx(0.492, abs=5e-4)


def test_who_agree_wholly():
    one = said((0, 10, "eating"), (10, 30, "sitting"))
    result = agreement(one, one)
    assert result.kappa == result.observed == 1.0
    assert (result.both_ns, result.only_a_ns, result.only_b_ns) == (30 * S, 0, 0)
    # onset of eating, onset of sitting, end of sitting
    assert (result.borders.n_matched, result.borders.p90_ns) == (3, 0.0)
    assert set(result.by_class) == {"eating", "sitting"}


def test_a_border_that_lies_elsewhere():
    one = said((0, 10, "eating"), (10, 20, "sitting"))
    other = said((0, 12, "eating"), (12, 20, "sitting"))
    result = agreement(one, other)
    # agree 18 of 20 s; by chance 0.5 * 0.6 + 0.5 * 0.4 = 0.5
    assert result.observed == pytest.approx(0.9)
    assert result.kappa == pytest.approx((0.9 - 0.5) / 0.5)
    assert result.by_class["sitting"].onsets.median_ns == 2 * S
    assert result.by_class["eating"].both_ns == 10 * S
    assert (result.by_class["eating"].a_ns, result.by_class["eating"].b_ns) == (10 * S, 12 * S)


def test_time_that_one_labelled_alone_is_told_and_not_compared():
    result = agreement(said((0, 10, "eating")), said((5, 30, "eating")))
    assert (result.both_ns, result.only_a_ns, result.only_b_ns) == (5 * S, 5 * S, 20 * S)
    assert result.observed == 1.0
    assert math.isnan(result.kappa)


def test_borders_are_matched_once_and_nearest_first():
    one = said((0, 1, "eating"), (2, 3, "eating"))
    other = said((2, 3, "eating"))
    onsets = agreement(one, other).by_class["eating"].onsets
    assert (onsets.n_matched, onsets.n_only_a, onsets.n_only_b, onsets.median_ns) == (1, 1, 0, 0)


def test_borders_far_apart_are_not_of_one_change():
    onsets = agreement(said((0, 100, "eating")), said((6, 100, "eating"))).by_class["eating"].onsets
    assert (onsets.n_matched, onsets.n_only_a, onsets.n_only_b) == (0, 1, 1)


def test_nothing_in_common():
    result = agreement(said((0, 10, "eating")), said())
    assert math.isnan(result.kappa)
    assert math.isnan(result.observed)
    assert result.borders.n_only_a == 2


def test_timelines_of_other_classes_are_the_callers_mistake():
    with pytest.raises(ValueError, match="same classes"):
        agreement(said(), timeline([], ("other",)))
