"""UTC from anchors: where it comes from, and that it never runs backwards."""

from __future__ import annotations

import numpy as np
import pytest

from wban_dataset.recording.clock_anchors import ClockStep, utc_from_anchors
from wban_dataset.recording.streams import ClockAnchor

S = 1_000_000_000
UTC_0 = 1_795_000_000 * S  # UTC at monotonic 0, once the clock is right


def anchor(second, offset_ns, *, synchronised=True):
    monotonic_ns = round(second * S)
    return ClockAnchor(monotonic_ns, monotonic_ns, monotonic_ns + offset_ns, synchronised, 1000)


def test_a_synchronised_clock_maps_the_whole_boot():
    utc = utc_from_anchors([anchor(100, UTC_0), anchor(110, UTC_0)])
    assert utc.synchronised
    assert utc.steps == ()
    times_ns = np.array([0, 100 * S, 105 * S + 7, 110 * S, 5000 * S])
    assert np.array_equal(utc.to_utc(times_ns), times_ns + UTC_0)


def test_what_came_before_a_step_is_mapped_by_what_came_after():
    stale = UTC_0 - 86_400 * S
    utc = utc_from_anchors(
        [anchor(10, stale, synchronised=False), anchor(20, stale), anchor(30, UTC_0)]
    )
    assert utc.steps == (ClockStep(20 * S, 30 * S, 86_400 * S),)
    assert utc.to_utc(np.array([10 * S])).tolist() == [10 * S + UTC_0]


def test_a_step_after_the_last_synchronised_anchor_is_not_believed():
    utc = utc_from_anchors([anchor(10, UTC_0), anchor(20, UTC_0 + 3600 * S, synchronised=False)])
    assert utc.synchronised
    assert len(utc.steps) == 1
    assert utc.to_utc(30 * S) == 30 * S + UTC_0


def test_unsynchronised_anchors_are_left_out_beside_synchronised_ones():
    utc = utc_from_anchors(
        [anchor(10, UTC_0 + 1_000_000, synchronised=False), anchor(20, UTC_0), anchor(30, UTC_0)]
    )
    assert utc.to_utc(10 * S) == 10 * S + UTC_0


def test_a_clock_that_was_never_synchronised_says_so():
    utc = utc_from_anchors([anchor(10, UTC_0, synchronised=False)])
    assert not utc.synchronised
    assert utc.to_utc(0) == UTC_0


def test_without_anchors_utc_is_the_time_since_boot():
    utc = utc_from_anchors([])
    assert not utc.synchronised
    assert utc.to_utc(42) == 42


def test_small_corrections_are_interpolated():
    utc = utc_from_anchors([anchor(10, UTC_0), anchor(20, UTC_0 + 100_000_000)])
    assert utc.to_utc(15 * S) == 15 * S + UTC_0 + 50_000_000
    assert utc.to_utc(25 * S) == 25 * S + UTC_0 + 100_000_000
    assert utc.to_utc(5 * S) == 5 * S + UTC_0


def test_time_never_runs_backwards():
    # Set back by 0.4 s between two anchors that are 0.2 s apart: below what counts as a step.
    anchors = [
        anchor(10, UTC_0),
        anchor(10.2, UTC_0 - 400_000_000),
        anchor(20, UTC_0 - 400_000_000),
    ]
    utc = utc_from_anchors(anchors)
    times_ns = np.arange(9 * S, 21 * S, 3_333_333)
    assert np.all(np.diff(utc.to_utc(times_ns)) >= 0)


def test_the_order_of_anchors_and_repeated_ones_do_not_matter():
    anchors = [anchor(20, UTC_0), anchor(10, UTC_0), anchor(20, UTC_0 + 5)]
    utc = utc_from_anchors(anchors)
    assert utc.monotonic_ns.tolist() == [10 * S, 20 * S]
    assert utc.to_utc(20 * S) == 20 * S + UTC_0 + 5


@pytest.mark.parametrize("second", [0, 9.5, 10, 13.7, 20, 99])
def test_the_way_back_leads_to_the_same_instant(second):
    utc = utc_from_anchors([anchor(10, UTC_0), anchor(20, UTC_0 + 3_000_000)])
    time_ns = round(second * S)
    assert abs(int(utc.to_monotonic(utc.to_utc(time_ns))) - time_ns) <= 1
