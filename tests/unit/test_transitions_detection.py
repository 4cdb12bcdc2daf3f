"""Detected transitions against true ones."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wban_dataset.transitions.detection import Event, events_of_labels, score


def events(*onsets, session=0, pair=(0, 1)):
    return [Event(session, onset, *pair) for onset in onsets]


def test_within_the_tolerance_is_found_and_each_event_once():
    found = score(events(100, 200, 300), events(95, 105, 310, 500), tolerance_ns=10)
    assert found.matches.tolist() == [[0, 0], [2, 2]] or found.matches.tolist() == [[0, 1], [2, 2]]
    assert (found.precision, found.recall) == (2 / 4, 2 / 3)
    assert found.f1 == pytest.approx(4 / 7)
    assert abs(found.onset_error_ns[0]) == 5
    assert found.onset_error_ns[1] == 10


def test_the_tolerance_is_inclusive():
    assert score(events(100), events(110), 10).n_matched == 1
    assert score(events(100), events(111), 10).n_matched == 0


def test_other_activities_and_other_sessions_are_other_events():
    truth = events(100)
    assert score(truth, events(100, pair=(1, 0)), 10).n_matched == 0
    assert score(truth, events(100, pair=(1, 0)), 10, same_pair=False).n_matched == 1
    assert score(truth, events(100, session=1), 10, same_pair=False).n_matched == 0


def test_as_many_as_possible_are_matched_and_then_the_nearest():
    # the nearest first would leave 100 without a partner
    assert score(events(100, 120), events(110, 130), 12).matches.tolist() == [[0, 0], [1, 1]]
    assert score(events(0, 100), events(90), 100).onset_error_ns.tolist() == [-10]


def test_nothing_to_find_and_nothing_found():
    nothing = score([], [], 10)
    assert math.isnan(nothing.precision)
    assert math.isnan(nothing.recall)
    assert math.isnan(nothing.f1)
    assert score(events(1), [], 10).recall == 0
    assert score([], events(1), 10).precision == 0


def test_a_negative_tolerance_is_refused():
    with pytest.raises(ValueError, match="tolerance: found -1 ns"):
        score([], [], -1)


def test_events_of_a_sequence_of_labels():
    instants = np.array([0, 10, 20, 30, 40, 50])
    labels = np.array([0, 0, -1, 1, 1, 0])
    assert events_of_labels(3, instants, labels) == [Event(3, 20, 0, 1), Event(3, 45, 1, 0)]
    assert events_of_labels(3, instants[:0], labels[:0]) == []


def most_by_trying(truth, detected, tolerance):
    best = (0, 0)
    short, long = sorted((truth, detected), key=len)
    for chosen in itertools.permutations(long, len(short)):
        away = [abs(a - b) for a, b in zip(short, chosen, strict=True) if abs(a - b) <= tolerance]
        best = max(best, (len(away), -sum(away)))
    return best


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(0, 40), max_size=5, unique=True),
    st.lists(st.integers(0, 40), max_size=5, unique=True),
    st.integers(0, 12),
)
def test_no_other_matching_is_better(truth, detected, tolerance):
    found = score(events(*truth), events(*detected), tolerance)
    expected = most_by_trying(truth, detected, tolerance)
    assert (found.n_matched, -int(np.abs(found.onset_error_ns).sum())) == expected
