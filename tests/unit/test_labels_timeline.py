"""Label algebra: what counts where labels overlap, and what windows are labelled from."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wban_dataset.labels.timeline import (
    KEY_PRESS_UNCERTAINTY_NS,
    PRIORITY,
    UNLABELLED,
    LabelError,
    timeline,
)
from wban_dataset.recording.streams import Label

CLASSES = ("eating", "sitting", "walking")


def label(start, stop, name="eating", source="page", **more):
    return Label(start, stop, name, source=source, **more)


def spans(made):
    return [
        (start, stop, made.classes[code])
        for start, stop, code in zip(
            made.start_ns.tolist(), made.stop_ns.tolist(), made.code.tolist(), strict=True
        )
    ]


def test_labels_become_spans_sorted_by_start_and_time_between_has_none():
    made = timeline([label(20, 30, "walking"), label(0, 10)], CLASSES)
    assert spans(made) == [(0, 10, "eating"), (20, 30, "walking")]
    assert made.start_ns.dtype == made.uncertainty_ns.dtype == np.int64
    assert made.code.dtype == np.int16


def test_spans_are_half_open():
    made = timeline([label(0, 10), label(10, 20, "sitting")], CLASSES)
    assert made.at([-1, 0, 9, 10, 19, 20]).tolist() == [UNLABELLED, 0, 0, 1, 1, UNLABELLED]


@pytest.mark.parametrize(("stronger", "weaker"), list(pairwise(PRIORITY)))
def test_the_source_that_stands_first_prevails(stronger, weaker):
    made = timeline([label(0, 10, "eating", weaker), label(3, 5, "sitting", stronger)], CLASSES)
    assert spans(made) == [(0, 3, "eating"), (3, 5, "sitting"), (5, 10, "eating")]
    made = timeline([label(0, 10, "eating", stronger), label(3, 5, "sitting", weaker)], CLASSES)
    assert spans(made) == [(0, 10, "eating")]


def test_within_a_source_confidence_then_uncertainty_then_the_name_decides():
    surer = label(0, 10, "eating", annotator="zoe", confidence=0.9)
    other = label(5, 15, "sitting", annotator="anna", confidence=0.8)
    assert spans(timeline([surer, other], CLASSES)) == [(0, 10, "eating"), (10, 15, "sitting")]
    sharp = label(0, 10, "eating", annotator="zoe", uncertainty_ns=1)
    blurred = label(5, 15, "sitting", annotator="anna", uncertainty_ns=2)
    assert spans(timeline([blurred, sharp], CLASSES)) == [(0, 10, "eating"), (10, 15, "sitting")]
    first = label(0, 10, "eating", annotator="anna")
    second = label(5, 15, "sitting", annotator="zoe")
    assert spans(timeline([second, first], CLASSES)) == [(0, 10, "eating"), (10, 15, "sitting")]


def test_touching_spans_of_one_class_are_one():
    pieces = [label(0, 10), label(10, 20), label(20, 30, "sitting"), label(31, 40, "sitting")]
    assert spans(timeline(pieces, CLASSES)) == [
        (0, 20, "eating"), (20, 30, "sitting"), (31, 40, "sitting"),
    ]  # fmt: skip


def test_an_empty_label_erases_where_it_prevails():
    made = timeline([label(0, 10, source="live"), label(4, 6, "")], CLASSES)
    assert spans(made) == [(0, 4, "eating"), (6, 10, "eating")]
    made = timeline([label(0, 10, source="page"), label(4, 6, "", source="live")], CLASSES)
    assert spans(made) == [(0, 10, "eating")]


def test_a_label_without_length_covers_nothing():
    assert spans(timeline([label(0, 10), label(5, 5, "sitting", "person")], CLASSES)) == [
        (0, 10, "eating")
    ]


def test_the_uncertainty_of_a_border_is_that_of_the_label_that_makes_it():
    live = label(0, 10, "eating", "live")
    page = label(4, 6, "sitting", "page", uncertainty_ns=7)
    made = timeline([live, page], CLASSES)
    # eating begins by key press, is cut off by the page, and goes on where the page's label ends
    assert made.uncertainty_ns.tolist() == [KEY_PRESS_UNCERTAINTY_NS, 7, 7]


def test_key_presses_that_state_their_uncertainty_keep_it():
    pressed = [label(0, 1, "eating", "live", uncertainty_ns=5), label(2, 3, "eating", "button")]
    assert timeline(pressed, CLASSES).uncertainty_ns.tolist() == [5, 10**9]
    assert timeline([label(0, 1, source="import")], CLASSES).uncertainty_ns.tolist() == [0]


def test_overlap_of_one_annotator_is_refused_with_both_spans():
    with pytest.raises(LabelError) as refused:
        timeline(
            [label(0, 10, annotator="anna"), label(9, 12, "sitting", annotator="anna")],
            CLASSES,
            where="session /data/S01",
        )
    assert str(refused.value) == (
        "session /data/S01: 'eating' from 0 to 10 ns and 'sitting' from 9 to 12 ns overlap and are "
        "both by annotator 'anna' (source 'page'), expected one label at a time. Shorten or remove "
        "one of them in labels.csv."
    )


def test_a_long_label_that_covers_several_is_found():
    with pytest.raises(LabelError, match="overlap"):
        timeline([label(0, 100), label(1, 2, "sitting")], CLASSES)


def test_two_annotators_may_overlap():
    both = [label(0, 10, annotator="anna"), label(5, 15, "sitting", annotator="ben")]
    assert spans(timeline(both, CLASSES)) == [(0, 10, "eating"), (10, 15, "sitting")]


def test_unknown_class_is_refused_with_the_nearest_or_leaves_its_time_unlabelled():
    with pytest.raises(LabelError, match=r"unknown class \(nearest: 'eating'\), expected one of"):
        timeline([label(0, 10, "eatign")], CLASSES)
    under = label(0, 20, "sitting", "live")
    made = timeline([under, label(5, 10, "juggling")], CLASSES, unknown="unlabelled")
    assert spans(made) == [(0, 5, "sitting"), (10, 20, "sitting")]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (label(10, 5), "ends before it starts"),
        (label(10, 0, source="live"), "a label that still runs is closed by ending its session"),
        (label(0, 5, source="guess"), "has the source 'guess', expected one of person, page"),
    ],
)
def test_bad_labels_are_refused(bad, why):
    with pytest.raises(LabelError, match=why):
        timeline([bad], CLASSES)


def test_no_labels_at_all():
    made = timeline([], CLASSES)
    assert len(made) == 0
    assert made.at([0, 5]).tolist() == [UNLABELLED, UNLABELLED]
    assert made.fraction([0], [5]).tolist() == [[0, 0, 0]]


def test_fraction_of_windows_by_class():
    made = timeline([label(0, 10), label(10, 14, "sitting"), label(20, 30, "walking")], CLASSES)
    shares = made.fraction([0, 5, 12, 14, -10, -5, 25, 40], [10, 15, 22, 20, 0, 45, 30, 50])
    assert shares.tolist() == [
        [1, 0, 0], [0.5, 0.4, 0], [0, 0.2, 0.2], [0, 0, 0],
        [0, 0, 0], [0.2, 0.08, 0.2], [0, 0, 1], [0, 0, 0],
    ]  # fmt: skip


def test_windows_without_length_are_the_callers_mistake():
    with pytest.raises(ValueError, match="must end after"):
        timeline([label(0, 10)], CLASSES).fraction([5], [5])


LABELS = st.lists(
    st.builds(
        lambda start, length, name, source, who: Label(start, start + length, name, who, source),
        st.integers(0, 40),
        st.integers(0, 15),
        st.sampled_from([*CLASSES, ""]),
        st.sampled_from(PRIORITY),
        st.integers(0, 10**6).map(str),
    ),
    max_size=8,
    unique_by=lambda label: label.annotator,
)


@given(LABELS)
@settings(max_examples=300, deadline=None)
def test_each_instant_has_the_label_that_prevails(labels):
    made = timeline(labels, CLASSES)
    assert np.all(made.start_ns[1:] >= made.stop_ns[:-1])
    assert np.all(made.stop_ns > made.start_ns)
    touching = made.start_ns[1:] == made.stop_ns[:-1]
    assert np.all(made.code[1:][touching] != made.code[:-1][touching])
    instants = range(60)
    by_hand = [_prevailing(labels, instant) for instant in instants]
    assert made.at(list(instants)).tolist() == by_hand
    shares = made.fraction(np.arange(50), np.arange(50) + 10)
    for start in (0, 7, 49):
        counts = [by_hand[start : start + 10].count(code) / 10 for code in range(3)]
        assert shares[start] == pytest.approx(counts)


def _prevailing(labels, instant):
    """As docs/labels.md says it, for one nanosecond."""
    here = [x for x in labels if x.start_ns <= instant < x.stop_ns]
    if not here:
        return UNLABELLED
    pressed = ("live", "button")
    best = min(
        here,
        key=lambda x: (
            PRIORITY.index(x.source), -x.confidence, 10**9 * (x.source in pressed), x.annotator,
        ),
    )  # fmt: skip
    return CLASSES.index(best.label) if best.label else UNLABELLED
