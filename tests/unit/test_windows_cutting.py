"""Windows on true stamps: where they lie, what they are called, what covers them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wban_dataset.errors import DatasetError
from wban_dataset.labels.timeline import Timeline
from wban_dataset.windows.cutting import StreamTimes, cut
from wban_dataset.windows.window_rule import LABEL_RULES, WindowRule
from wban_dataset.windows.window_table import joined

MS = 1_000_000
CLASSES = ("lie", "sit", "walk")


def stream(n=100, period_ns=20 * MS, start_ns=0, kind="accel", segment=None):
    stamps_ns = start_ns + period_ns * np.arange(n, dtype=np.int64)
    segment = np.zeros(n, dtype=np.int32) if segment is None else np.asarray(segment)
    return StreamTimes(kind, stamps_ns, segment, period_ns)


def spans(*rows):
    start, stop, code = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    uncertainty = np.zeros(len(code), dtype=np.int64)
    return Timeline(start, stop, code.astype(np.int16), uncertainty, CLASSES)


NOTHING = Timeline(*(np.empty(0, np.int64),) * 2, np.empty(0, np.int16), np.empty(0, int), CLASSES)


def rule(length_ms=1000, stride_ms=400, **options):
    return WindowRule(length_ms * MS, stride_ms * MS, **options)


def labels_of(table):
    return table.label.tolist()


class TestWhereWindowsLie:
    def test_the_one_that_just_fits_counts(self):
        assert len(cut({"accel": stream(50)}, NOTHING, rule())) == 1
        assert len(cut({"accel": stream(49)}, NOTHING, rule())) == 0

    @pytest.mark.parametrize("n", [50, 69, 70, 71, 90, 15_038])
    def test_as_many_as_samples_allow(self, n):
        table = cut({"accel": stream(n)}, NOTHING, rule())
        assert len(table) == (n - 50) // 20 + 1
        first = np.arange(len(table)) * 20
        np.testing.assert_array_equal(table.first_row["accel"], first)
        np.testing.assert_array_equal(table.last_row["accel"], first + 50)
        np.testing.assert_array_equal(table.stop_ns - table.start_ns, 1000 * MS)

    def test_they_begin_at_the_first_sample_whenever_that_was(self):
        table = cut({"accel": stream(100, start_ns=123_456_789)}, NOTHING, rule())
        assert table.start_ns.tolist() == [123_456_789 + k * 400 * MS for k in range(3)]

    def test_none_lies_across_a_gap_and_each_stretch_begins_anew(self):
        one, other = stream(60), stream(75, start_ns=1_507 * MS)
        both = StreamTimes(
            "accel",
            np.concatenate((one.stamps_ns, other.stamps_ns)),
            np.repeat([3, 4], [60, 75]),
            20 * MS,
        )
        table = cut({"accel": both}, NOTHING, rule())
        assert table.start_ns.tolist() == [0, 1_507 * MS, 1_907 * MS]
        assert table.first_row["accel"].tolist() == [0, 60, 80]

    def test_a_stretch_does_not_reach_into_the_next_one(self):
        # the second segment begins 5 ms after the last sample: no full period is left
        stamps_ns = np.concatenate((np.arange(50) * 20, 49 * 20 + 5 + np.arange(20) * 20)) * MS
        times = StreamTimes("accel", stamps_ns, np.repeat([0, 1], [50, 20]), 20 * MS)
        assert len(cut({"accel": times}, NOTHING, rule())) == 0

    def test_a_stream_without_a_sample_gives_no_window(self):
        table = cut({"accel": stream(0), "gyro": stream(100, kind="gyro")}, NOTHING, rule())
        assert len(table) == 0
        assert set(table.first_row) == set(table.present) == {"accel", "gyro"}
        assert table.label.dtype == np.int16

    def test_the_number_of_the_session_is_in_every_row(self):
        table = cut({"accel": stream(100)}, NOTHING, rule(), session=7)
        assert table.session.tolist() == [7, 7, 7]
        assert table.session.dtype == np.int32

    def test_tables_can_be_joined(self):
        tables = [cut({"accel": stream(100)}, NOTHING, rule(), number) for number in range(2)]
        assert joined(tables).session.tolist() == [0, 0, 0, 1, 1, 1]


class TestTheReference:
    def test_it_is_the_first_accelerometer_by_name(self):
        streams = {
            "wrist_accel": stream(500, start_ns=1),
            "ankle_accel": stream(50, start_ns=2),
            "a_gyro": stream(500, kind="gyro"),
        }
        assert cut(streams, NOTHING, rule()).start_ns.tolist() == [2]

    def test_it_may_be_named(self):
        streams = {"accel": stream(500), "gyro": stream(50, start_ns=9, kind="gyro")}
        assert cut(streams, NOTHING, rule(reference="gyro")).start_ns.tolist() == [9]

    @pytest.mark.parametrize(
        ("streams", "reference", "expected"),
        [
            ({"accel": stream()}, "gyro", "reference stream 'gyro': the session's streams are acc"),
            ({"gyro": stream(kind="gyro")}, None, "streams are gyro, expected an accelerometer"),
            ({}, None, "streams are none"),
        ],
    )
    def test_where_there_is_none_a_sentence_says_so(self, streams, reference, expected):
        with pytest.raises(DatasetError) as refused:
            cut(streams, NOTHING, rule(reference=reference))
        assert expected in str(refused.value)

    def test_stamps_that_run_backwards_are_refused_with_their_row(self):
        backwards = StreamTimes("accel", np.array([0, 20, 20, 40]), np.zeros(4, int), 20)
        with pytest.raises(DatasetError, match="stream 'accel', row 2: its stamp 20 ns does not"):
            cut({"accel": backwards}, NOTHING, rule())


class TestOtherStreams:
    def test_they_keep_their_own_rate(self):
        fast = stream(1000, period_ns=3 * MS, start_ns=MS, kind="gyro")
        table = cut({"accel": stream(100), "gyro": fast}, NOTHING, rule())
        for start_ns, first, last in zip(
            table.start_ns, table.first_row["gyro"], table.last_row["gyro"], strict=True
        ):
            inside = (fast.stamps_ns >= start_ns) & (fast.stamps_ns < start_ns + 1000 * MS)
            np.testing.assert_array_equal(np.flatnonzero(inside), np.arange(first, last))

    def test_one_that_ends_early_is_masked_from_there(self):
        early = stream(75, kind="gyro")  # covers until 1.5 s
        table = cut({"accel": stream(150), "gyro": early}, NOTHING, rule(min_coverage=0.7))
        # windows begin at 0, 0.4, 0.8, ...: covered by 1, 1, 0.7, 0.3, 0 and 0 s
        assert table.present["gyro"].tolist() == [True, True, True, False, False, False]
        assert table.present["accel"].all()

    def test_a_gap_in_it_counts_as_uncovered(self):
        segment = np.repeat([0, 1], [20, 30])
        gapped = stream(50, kind="gyro", segment=segment)
        gapped.stamps_ns[20:] += 300 * MS
        table = cut({"accel": stream(65), "gyro": gapped}, NOTHING, rule(min_coverage=0.7))
        assert table.present["gyro"].tolist() == [True]
        table = cut({"accel": stream(65), "gyro": gapped}, NOTHING, rule(min_coverage=0.71))
        assert table.present["gyro"].tolist() == [False]

    def test_one_without_a_sample_is_masked_everywhere(self):
        table = cut({"accel": stream(100), "gyro": stream(0, kind="gyro")}, NOTHING, rule())
        assert table.present["gyro"].tolist() == [False] * 3

    def test_of_pictures_the_nearest_to_the_middle_is_named(self):
        pictures = stream(8, period_ns=250 * MS, start_ns=130 * MS, kind="thermal")
        table = cut({"accel": stream(100), "thermal": pictures}, NOTHING, rule())
        # middles 0.5, 0.9, 1.3; pictures at 0.13, 0.38, 0.63, 0.88, 1.13, 1.38, ...
        assert table.frame["thermal"].tolist() == [1, 3, 5]
        assert "accel" not in table.frame

    def test_of_two_as_near_the_earlier_counts(self):
        pictures = stream(2, period_ns=1000 * MS, kind="infrared")
        pictures.stamps_ns[:] = [400 * MS, 600 * MS]
        table = cut({"accel": stream(50), "infrared": pictures}, NOTHING, rule())
        assert table.frame["infrared"].tolist() == [0]

    def test_a_picture_outside_the_window_is_none(self):
        slow = stream(2, period_ns=1500 * MS, kind="thermal")
        table = cut({"accel": stream(150), "thermal": slow}, NOTHING, rule())
        # windows [0, 1), [.4, 1.4), [.8, 1.8), [1.2, 2.2), [1.6, 2.6), [2, 3)
        assert table.frame["thermal"].tolist() == [0, -1, 1, 1, -1, -1]
        assert not table.present["thermal"][1]


HUNDRED = {"accel": stream(100)}
"""Windows [0, 1), [0.4, 1.4), [0.8, 1.8)."""


class TestLabels:
    def test_majority_takes_what_covers_most(self):
        table = cut(HUNDRED, spans((0, 900 * MS, 0), (900 * MS, 3000 * MS, 2)), rule())
        assert labels_of(table) == [0, 0, 2]
        np.testing.assert_allclose(table.label_fraction, [0.9, 0.5, 0.9])

    def test_of_equals_the_lower_code_counts_and_unlabelled_time_loses(self):
        table = cut({"accel": stream(50)}, spans((0, 500 * MS, 2), (500 * MS, 10**9, 1)), rule())
        assert labels_of(table) == [1]
        table = cut({"accel": stream(50)}, spans((0, 500 * MS, 2)), rule())
        assert labels_of(table) == [2]

    def test_mostly_unlabelled_is_unlabelled(self):
        table = cut({"accel": stream(50)}, spans((0, 499 * MS, 2)), rule())
        assert labels_of(table) == [-1]
        assert table.label_fraction.tolist() == [0.0]
        assert table.previous_label.tolist() == table.next_label.tolist() == [-1]

    def test_last_and_centre(self):
        timeline = spans((0, 999 * MS, 0), (999 * MS, 1600 * MS, 1))
        assert labels_of(cut(HUNDRED, timeline, rule(label_rule="last"))) == [1, 1, -1]
        assert labels_of(cut(HUNDRED, timeline, rule(label_rule="centre"))) == [0, 0, 1]
        fraction = cut(HUNDRED, timeline, rule(label_rule="last")).label_fraction
        np.testing.assert_allclose(fraction, [0.001, 0.401, 0], atol=1e-6)

    def test_a_border_belongs_to_what_begins_there(self):
        timeline = spans((0, 500 * MS, 0), (500 * MS, 10**9, 1))
        assert labels_of(cut({"accel": stream(50)}, timeline, rule(label_rule="centre"))) == [1]

    def test_pure_keeps_mixed_windows_unlabelled_and_drop_mixed_leaves_them_out(self):
        timeline = spans((0, 1000 * MS, 0), (1000 * MS, 1400 * MS, 1))
        assert labels_of(cut(HUNDRED, timeline, rule(label_rule="pure"))) == [0, -1, -1]
        dropped = cut(HUNDRED, timeline, rule(label_rule="drop-mixed"))
        assert labels_of(dropped) == [0]
        assert dropped.start_ns.tolist() == [0]

    def test_drop_mixed_keeps_what_is_wholly_unlabelled(self):
        timeline = spans((0, 1000 * MS, 0))
        dropped = cut(
            {"accel": stream(150)}, timeline, rule(stride_ms=1000, label_rule="drop-mixed")
        )
        assert labels_of(dropped) == [0, -1, -1]

    def test_previous_and_next_are_those_beside_the_labels_own_span(self):
        timeline = spans((0, 100 * MS, 0), (100 * MS, 900 * MS, 2), (950 * MS, 2000 * MS, 1))
        table = cut({"accel": stream(100)}, timeline, rule())
        assert labels_of(table) == [2, 2, 1]
        assert (table.previous_label[0], table.next_label[0]) == (0, 1)
        assert (table.previous_label[2], table.next_label[2]) == (2, -1)

    def test_of_two_spans_of_a_class_the_longer_share_tells_the_neighbours(self):
        timeline = spans(
            (0, 100 * MS, 2), (100 * MS, 300 * MS, 0), (300 * MS, 700 * MS, 1),
            (700 * MS, 1000 * MS, 0), (1000 * MS, 1100 * MS, 2),
        )  # fmt: skip
        table = cut({"accel": stream(50)}, timeline, rule())
        assert labels_of(table) == [0]
        assert (table.previous_label[0], table.next_label[0]) == (1, 2)

    def test_without_labels_every_rule_gives_none(self):
        for name in LABEL_RULES:
            assert labels_of(cut(HUNDRED, NOTHING, rule(label_rule=name))) == [-1] * 3


@st.composite
def timelines(draw):
    edges = sorted(draw(st.sets(st.integers(-5, 60), min_size=2, max_size=12)))
    rows, previous = [], -1
    for start, stop in itertools.pairwise(edges):
        code = draw(st.integers(-1, 2))
        if code not in (-1, previous):
            rows.append((start, stop, code))
        previous = code
    return spans(*rows) if rows else NOTHING


@settings(max_examples=300, deadline=None)
@given(timelines(), st.integers(1, 12), st.integers(1, 9), st.integers(1, 40))
def test_labels_are_those_of_counting_nanosecond_by_nanosecond(timeline, length, stride, n):
    table = cut({"accel": stream(n, period_ns=1)}, timeline, WindowRule(length, stride))
    assert table.start_ns.tolist() == list(range(0, n - length + 1, stride))
    for row, start in enumerate(table.start_ns.tolist()):
        codes = timeline.at(np.arange(start, start + length)).tolist()
        counts = [codes.count(code) for code in (0, 1, 2, -1)]
        expected = (0, 1, 2, -1)[int(np.argmax(counts))]
        assert table.label[row] == expected
        share = 0 if expected < 0 else max(counts) / length
        assert table.label_fraction[row] == pytest.approx(share)
    last = cut({"accel": stream(n, period_ns=1)}, timeline, WindowRule(length, stride, "last"))
    np.testing.assert_array_equal(last.label, timeline.at(last.stop_ns - 1))
    pure = cut({"accel": stream(n, period_ns=1)}, timeline, WindowRule(length, stride, "pure"))
    np.testing.assert_array_equal(pure.label, np.where(table.label_fraction == 1, table.label, -1))
