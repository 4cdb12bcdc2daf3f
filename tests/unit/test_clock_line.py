"""Lines under bounds, against figures drawn by hand."""

from __future__ import annotations

import math

import pytest

from wban_dataset.recording.clock_line import (
    central_line,
    feasible_region,
    lower_hull,
    supporting_line,
    upper_hull,
    with_slopes,
)


def test_hulls_keep_the_corners_only():
    points = [(0.0, 1.0), (1.0, 0.0), (2.0, 2.5), (3.0, 0.5), (4.0, 3.0)]
    assert lower_hull(points) == [(0.0, 1.0), (1.0, 0.0), (3.0, 0.5), (4.0, 3.0)]
    assert upper_hull(points) == [(0.0, 1.0), (2.0, 2.5), (4.0, 3.0)]


def test_of_two_points_at_one_place_the_lower_one_counts():
    assert lower_hull([(0.0, 2.0), (0.0, 1.0), (1.0, 5.0), (1.0, 7.0)]) == [(0.0, 1.0), (1.0, 5.0)]


def test_supporting_line_is_the_edge_of_the_hull_over_the_mean():
    hull = [(-1.0, 3.0), (0.0, 1.0), (1.0, 2.0)]
    assert supporting_line(hull, 0.5, -9.0, 9.0) == (1.0, 1.0)
    assert supporting_line(hull, -0.5, -9.0, 9.0) == (1.0, -2.0)


def test_supporting_line_turns_only_as_far_as_permitted():
    hull = [(-1.0, 3.0), (0.0, 1.0), (1.0, 2.0)]
    assert supporting_line(hull, -0.5, -0.5, 0.5) == (1.0, -0.5)


def test_centre_of_a_rectangle_of_lines():
    # Bounds at x = 0 alone: heights 2 to 4, slopes free within -3 to 1.
    region, slack = feasible_region([(0.0, 4.0)], [(0.0, 2.0)], -3.0, 1.0, margin=1.0)
    line = central_line(region)
    assert slack == 0.0
    assert (line.height, line.slope) == pytest.approx((3.0, -1.0))
    assert line.var_height == pytest.approx(2.0**2 / 12)  # uniform over a width of 2
    assert line.var_slope == pytest.approx(4.0**2 / 12)
    assert line.cov == pytest.approx(0.0)
    assert line.variance_at(2.0) == pytest.approx(4 / 12 + 4 * 16 / 12)


def test_bounds_at_two_places_determine_both_numbers():
    # At x = -1 the line is within 0 +- 0.1, at x = 1 within 4 +- 0.1.
    upper, lower = [(-1.0, 0.1), (1.0, 4.1)], [(-1.0, -0.1), (1.0, 3.9)]
    line = central_line(feasible_region(upper, lower, -9.0, 9.0, margin=1.0)[0])
    assert (line.height, line.slope) == pytest.approx((2.0, 2.0))
    assert math.sqrt(line.variance_at(1.0)) == pytest.approx(0.2 / math.sqrt(12))
    assert math.sqrt(line.variance_at(-1.0)) == pytest.approx(0.2 / math.sqrt(12))


def test_bounds_that_contradict_are_relaxed_by_about_the_least_that_helps():
    # Above 10,000 and below 0 at the same place: each has to give 5,000.
    region, slack = feasible_region([(0.0, 0.0)], [(0.0, 10_000.0)], -1.0, 1.0, margin=1.0)
    assert 5_000 <= slack < 5_200
    assert central_line(region).height == pytest.approx(5_000, abs=200)


def test_one_sided_bounds_leave_the_margin():
    region, _ = feasible_region([(0.0, 100.0)], [], -1.0, 1.0, margin=50.0)
    assert 49.0 <= min(height for height, _ in region) <= 50.0
    assert max(height for height, _ in region) == 100.0


def test_slopes_are_confined_unless_nothing_would_remain():
    region, _ = feasible_region([(0.0, 1.0)], [(0.0, 0.0)], -1.0, 1.0, margin=1.0)
    assert central_line(with_slopes(region, 0.2, 0.4)).slope == pytest.approx(0.3)
    assert with_slopes(region, 5.0, 6.0) == region
