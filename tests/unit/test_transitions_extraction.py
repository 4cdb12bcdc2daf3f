"""The table of transitions, their windows and their profiles."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.posture_changes import PERIOD_NS, SECOND_NS, recording
from wban_dataset.labels.timeline import Timeline
from wban_dataset.transitions.extraction import MotionStream, extract, is_transition, motions
from wban_dataset.transitions.profiles import SIGNALS, TIME_S, clips, profiles
from wban_dataset.transitions.transition_table import Source, joined
from wban_dataset.transitions.transition_windows import Part, cut_transitions
from wban_dataset.windows.cutting import StreamTimes
from wban_dataset.windows.window_rule import WindowRule

CLASSES = ("laying", "sitting", "standing", "stand_to_sit", "sit_to_stand", "lie_to_stand")
LAYING, SITTING, STANDING, STAND_TO_SIT, SIT_TO_STAND, LIE_TO_STAND = range(6)


def timeline(*rows, uncertainty_s=0.0):
    """Spans (start s, stop s, code)."""
    start, stop, code = (np.array(column) for column in zip(*rows, strict=True))
    as_ns = [np.rint(seconds * 1e9).astype(np.int64) for seconds in (start, stop)]
    uncertainty_ns = np.full(len(code), round(uncertainty_s * 1e9))
    return Timeline(*as_ns, code.astype(np.int16), uncertainty_ns, CLASSES)


def stream(values, stamps_ns, kind):
    times = StreamTimes(kind, stamps_ns, np.zeros(len(stamps_ns), dtype=np.int32), PERIOD_NS)
    return MotionStream(times, values)


def signal(changes, duration_s):
    stamps_ns, accel, gyro = recording(changes, duration_s)
    return motions(stream(accel, stamps_ns, "accel"), stream(gyro, stamps_ns, "gyro"))


class TestExplicitTransitions:
    spans = ((0, 10, STANDING), (10, 13, STAND_TO_SIT), (13, 30, SITTING))

    def test_spans_before_itself_and_after(self):
        table = extract(timeline(*self.spans), session=3)
        assert len(table) == 1
        assert table.session.tolist() == [3]
        assert (table.from_label[0], table.to_label[0]) == (STANDING, SITTING)
        assert table.transition_label[0] == STAND_TO_SIT
        assert table.source[0] == Source.EXPLICIT
        borders = (table.before_start_ns, table.onset_ns, table.offset_ns, table.after_stop_ns)
        assert [int(border[0]) for border in borders] == [s * SECOND_NS for s in (0, 10, 13, 30)]
        assert table.boundary_ns[0] == 11_500_000_000
        assert table.duration_ns[0] == 3 * SECOND_NS

    def test_uncertainty_is_that_of_the_labels(self):
        table = extract(timeline(*self.spans, uncertainty_s=1.0))
        assert table.onset_uncertainty_ns[0] == table.offset_uncertainty_ns[0] == SECOND_NS

    def test_where_nothing_labelled_follows_the_name_tells(self):
        table = extract(timeline((0, 10, LAYING), (10, 13, LIE_TO_STAND), (25, 40, LAYING)))
        assert (table.from_label[0], table.to_label[0]) == (LAYING, STANDING)
        assert table.after_stop_ns[0] == table.offset_ns[0]

    def test_two_transitions_in_a_row_have_the_activity_of_their_names_between(self):
        table = extract(
            timeline(
                (0, 10, STANDING), (10, 13, STAND_TO_SIT),
                (13, 16, SIT_TO_STAND), (16, 30, STANDING),
            )
        )  # fmt: skip
        pairs = list(zip(table.from_label.tolist(), table.to_label.tolist(), strict=True))
        assert pairs == [(STANDING, SITTING), (SITTING, STANDING)]

    def test_one_alone_in_the_session_has_no_neighbours(self):
        table = extract(timeline((5, 8, LIE_TO_STAND)))
        # "lie" begins no class: the activity before it is not known
        assert (table.from_label[0], table.to_label[0]) == (-1, STANDING)
        assert table.before_start_ns[0] == 5 * SECOND_NS


class TestBoundaries:
    spans = ((0, 14, STANDING), (14, 30, SITTING))

    def test_without_signal_the_bare_boundary_stays(self):
        table = extract(timeline(*self.spans, uncertainty_s=1.0))
        assert table.source.tolist() == [Source.BOUNDARY]
        assert table.onset_ns[0] == table.offset_ns[0] == 14 * SECOND_NS
        assert table.onset_uncertainty_ns[0] == SECOND_NS
        assert table.transition_label[0] == -1

    def test_on_the_signal_it_is_refined(self):
        table = extract(timeline(*self.spans), signal=signal([(11, 14)], 30))
        assert table.source.tolist() == [Source.REFINED]
        assert table.onset_ns[0] / 1e9 == pytest.approx(11, abs=0.8)
        assert table.offset_ns[0] / 1e9 == pytest.approx(14, abs=0.8)
        assert 0 < table.onset_uncertainty_ns[0] < SECOND_NS
        assert table.boundary_ns[0] == 14 * SECOND_NS

    def test_where_the_signal_shows_none_the_boundary_stays(self):
        table = extract(timeline(*self.spans), signal=signal([], 30))
        assert table.source.tolist() == [Source.BOUNDARY]
        table = extract(timeline(*self.spans), signal=signal([], 10))
        assert table.source.tolist() == [Source.BOUNDARY]

    def test_the_middle_of_a_short_gap_counts_and_a_long_gap_separates(self):
        table = extract(timeline((0, 10, STANDING), (12, 30, SITTING)))
        assert table.boundary_ns.tolist() == [11 * SECOND_NS]
        assert table.onset_uncertainty_ns.tolist() == [SECOND_NS]
        assert len(extract(timeline((0, 10, STANDING), (16, 30, SITTING)))) == 0

    def test_the_same_activity_again_is_no_change(self):
        assert len(extract(timeline((0, 10, STANDING), (11, 30, STANDING)))) == 0

    def test_no_label_no_transition(self):
        empty = Timeline(*(np.empty(0, np.int64),) * 2, np.empty(0, np.int16), np.empty(0), CLASSES)
        table = extract(empty)
        assert len(table) == 0
        assert table.onset_ns.dtype == np.int64


def test_names_of_transitions():
    assert is_transition("sit_to_stand")
    assert is_transition("SIT_TO_STAND")
    assert not is_transition("walking")
    assert not is_transition("_to_stand")
    assert not is_transition("to_and_fro")


def test_gaps_part_the_signal():
    stamps_ns, accel, _ = recording([], 20)
    stamps_ns[500:] += SECOND_NS
    times = StreamTimes("accel", stamps_ns, np.repeat([0, 1], 500), PERIOD_NS)
    parts = motions(MotionStream(times, accel))
    assert [len(part) for part in parts] == [500, 500]
    assert parts[1].start_ns == 11 * SECOND_NS


class TestWindows:
    def test_their_grid_begins_at_the_onset_and_their_part_is_told(self):
        spans = ((0, 10, STANDING), (10.03, 13, STAND_TO_SIT), (13, 30, SITTING))
        labels = timeline(*spans)
        table = extract(labels)
        stamps_ns, accel, _ = recording([], 30)
        streams = {"accel": stream(accel, stamps_ns, "accel").times}
        rule = WindowRule(SECOND_NS, SECOND_NS // 2)
        made = cut_transitions(table, streams, labels, rule, 2 * SECOND_NS, session=4)
        start_s = made.windows.start_ns / 1e9
        np.testing.assert_allclose(start_s, 10.03 + 0.5 * np.arange(-4, 8))
        middle_s = start_s + 0.5
        expected = np.select(
            [middle_s < 10.03, middle_s < 13], [Part.BEFORE, Part.TRANSITION], Part.AFTER
        )
        np.testing.assert_array_equal(made.part, expected)
        assert set(made.part.tolist()) == {0, 1, 2}
        assert made.transition.tolist() == [0] * 12
        assert made.windows.session.tolist() == [4] * 12
        assert made.windows.present["accel"].all()

    def test_none_leaves_the_spans_or_the_recording(self):
        labels = timeline((9.5, 10, STANDING), (10, 13, STAND_TO_SIT), (13, 14, SITTING))
        stamps_ns, accel, _ = recording([], 13.6)
        streams = {"accel": stream(accel, stamps_ns, "accel").times}
        rule = WindowRule(SECOND_NS, SECOND_NS // 2)
        made = cut_transitions(extract(labels), streams, labels, rule, 5 * SECOND_NS)
        assert made.windows.start_ns.min() / 1e9 == 9.5
        assert made.windows.stop_ns.max() / 1e9 == 13.5

    def test_no_transition_no_window(self):
        labels = timeline((0, 10, STANDING))
        stamps_ns, accel, _ = recording([], 10)
        streams = {"accel": stream(accel, stamps_ns, "accel").times}
        made = cut_transitions(extract(labels), streams, labels, WindowRule(10**9, 10**9), 10**9)
        assert len(made.windows) == len(made.part) == 0


class TestProfiles:
    def test_they_are_the_statistics_of_what_lies_around_the_onsets(self):
        changes = [(15, 18), (40, 44), (70, 73), (95, 98)]
        stamps = [0, *[s for on, off in changes for s in (on, off)], 120]
        codes = [STANDING, STAND_TO_SIT, SITTING, SIT_TO_STAND] * 3
        labels = timeline(*zip(stamps[:-1], stamps[1:], codes, strict=False))
        table = extract(labels)
        cut = clips(table, {0: signal(changes, 120)})
        assert cut.shape == (4, len(TIME_S), len(SIGNALS))
        found = profiles(table, cut)
        assert [(p.from_label, p.to_label, p.n_transitions) for p in found] == [
            (SITTING, STANDING, 2),
            (STANDING, SITTING, 2),
        ]
        down = cut[[0, 2]].astype(float)
        np.testing.assert_allclose(found[1].mean, down.mean(axis=0), rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(found[1].sd, down.std(axis=0, ddof=1), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(
            found[1].quantiles[2], np.median(down, axis=0), rtol=1e-4, atol=1e-5
        )
        tilt = found[1].mean[:, SIGNALS.index("tilt")]
        assert tilt[TIME_S < -1].max() < 2
        assert tilt[TIME_S > 5].min() > 78

    def test_beyond_the_recording_is_unknown_and_counted(self):
        labels = timeline((0, 2, STANDING), (2, 5, STAND_TO_SIT), (5, 20, SITTING))
        stamps_ns, accel, _ = recording([(2, 5)], 20)
        table = extract(labels)
        cut = clips(table, {0: motions(stream(accel, stamps_ns, "accel"))})
        profile = profiles(table, cut)[0]
        tilt, gyro = SIGNALS.index("tilt"), SIGNALS.index("gyro_x")
        np.testing.assert_array_equal(profile.n[:, tilt], (TIME_S >= -2 - 1e-9).astype(int))
        assert np.isnan(profile.mean[:, gyro]).all()
        assert (profile.n[:, gyro] == 0).all()
        assert np.isnan(profile.sd).all()

    def test_quantiles_leave_out_what_is_unknown(self):
        labels = timeline((0, 5, STANDING), (5, 30, SITTING))
        table = joined([extract(labels, session) for session in range(3)])
        cut = np.full((3, len(TIME_S), len(SIGNALS)), np.nan, dtype=np.float32)
        cut[0], cut[1] = 1.0, 3.0
        profile = profiles(table, cut)[0]
        assert (profile.n == 2).all()
        np.testing.assert_allclose(profile.quantiles[:, 0, 0], [1.2, 1.5, 2.0, 2.5, 2.8])

    def test_no_transition_no_profile(self):
        table = extract(timeline((0, 5, STANDING)))
        assert profiles(table, clips(table, {})) == []
