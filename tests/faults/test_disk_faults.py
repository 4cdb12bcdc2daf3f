"""A disk that fills, becomes read-only, or takes 2 s for every fsync."""

from __future__ import annotations

import os

from tests.faults import disk_scenarios
from tests.faults.disk_scenarios import DISK_FULL, READ_ONLY, fail_at

N_PLACES = int(os.environ.get("WBAN_DISK_PLACES", "20"))
"""200 for docs/reliability.md."""

CHANGE_OF_SESSION = range(255, 280, 4)
"""Calls around the change from the first session to the second."""


def places(code: int, n: int) -> list[int]:
    """What a recording needs to begin, the change of session, and calls all over it."""
    return sorted({*range(10), *CHANGE_OF_SESSION, *disk_scenarios.places(n, code)})


def test_a_disk_that_is_full_at_any_call_ends_the_recording_in_order():
    for place in places(DISK_FULL, N_PLACES):
        outcome = fail_at(place, DISK_FULL)
        assert outcome.call, outcome
        assert outcome.n_lost == 0, outcome
        if outcome.ending == "refused":
            assert outcome.left_over == (), outcome
            assert "no space left" in outcome.message.lower()
        else:
            assert outcome.ending in ("disk full", "duration reached"), outcome
            assert outcome.n_in_order == outcome.n_sessions > 0, outcome


def test_a_disk_that_becomes_read_only_keeps_all_that_was_acknowledged():
    for place in places(READ_ONLY, N_PLACES // 2)[::3]:
        outcome = fail_at(place, READ_ONLY)
        assert outcome.call, outcome
        assert outcome.n_lost == 0, outcome
        if outcome.ending == "refused":
            assert "read-only file system" in outcome.message.lower()
        else:
            assert outcome.n_sealed >= outcome.n_acknowledged, outcome


def test_a_slow_disk_delays_the_commits_and_costs_no_sample():
    outcome = disk_scenarios.record_on_a_slow_disk()
    assert set(outcome.n_changed.values()) == {0}
    # Each fsync takes 2 s, and the next begins as soon as there is something new.
    assert outcome.n_syncs >= 60 / 2.5 - 1
    assert outcome.longest_unsafe_s <= 2.0 + 0.5
