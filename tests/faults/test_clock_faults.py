"""A wall clock that is set while recording."""

from __future__ import annotations

import pytest

from tests.faults.clock_scenarios import DAY_S, set_by, synchronised_after_an_hour


@pytest.mark.parametrize("step_s", [DAY_S, -DAY_S])
def test_a_clock_that_is_set_by_a_day_moves_no_sample(step_s):
    outcome = set_by(step_s)
    assert (outcome.n_moved, outcome.n_lost) == (0, 0)
    assert outcome.synchronised
    assert outcome.start_utc == "2026-01-01T00:00:00.000000000Z"
    assert outcome.largest_utc_error_ns == 0
    assert outcome.problems == ()


def test_a_clock_that_is_synchronised_an_hour_after_boot_tells_the_time_of_all_before():
    outcome = synchronised_after_an_hour(begins_s=3000.0)
    assert outcome.n_samples > 660 * 10
    assert outcome.n_lost == 0
    assert outcome.synchronised
    assert outcome.start_utc == "2026-01-01T00:00:00.000000000Z"
    assert outcome.largest_utc_error_ns == 0
