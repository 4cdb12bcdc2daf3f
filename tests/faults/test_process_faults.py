"""The recorder is killed, ended, started twice, watched by a reader who does not read."""

from __future__ import annotations

import os
import signal

import pytest

from tests.faults import oom, process_scenarios
from tests.faults.victims import Fate, kill_many

N_KILLS = int(os.environ.get("WBAN_FORKED_KILLS", "10"))
N_OOM_KILLS = int(os.environ.get("WBAN_OOM_KILLS", "4"))
N_SIGTERMS = int(os.environ.get("WBAN_SIGTERMS", "2"))


def check(fates: list[Fate]) -> None:
    """Nothing acknowledged is lost; besides it a second, an fsync and what chips still held."""
    assert {fate.signal for fate in fates} == {signal.SIGKILL}
    assert len({fate.n_commits for fate in fates}) > 1
    for fate in fates:
        assert fate.n_lost == 0, fate
        assert fate.problems == (), fate
        assert fate.beyond_limit() == [], fate


def test_killed_at_any_moment_it_has_lost_nothing_that_was_acknowledged():
    fates = list(kill_many(N_KILLS, seed=2))
    assert len(fates) == N_KILLS
    assert sum(fate.n_acknowledged for fate in fates) > 0
    check(fates)


def test_nor_when_the_kernel_kills_it_for_want_of_memory():
    reason = oom.unavailable()
    if reason:
        pytest.skip(reason)
    fates = list(kill_many(N_OOM_KILLS, seed=3, killer=oom.oom_killer))
    assert len(fates) == N_OOM_KILLS
    check(fates)


def test_sigterm_ends_the_daemon_in_order_within_two_seconds():
    for ended in process_scenarios.sigterms(N_SIGTERMS):
        assert ended.exit_code == 0, ended
        assert ended.took_s < 2.0, ended
        assert ended.n_in_order == ended.n_sessions > 0, ended
        assert ended.n_lost == 0, ended


def test_a_second_daemon_is_refused_and_the_first_goes_on():
    outcome = process_scenarios.second_daemon()
    assert len(outcome.refusals) == 3
    for code, sentence in outcome.refusals:
        assert code == 1
        assert "expected no other daemon" in sentence
    assert outcome.first.exit_code == 0
    assert outcome.first.n_in_order == outcome.first.n_sessions
    # What a busy machine misses in real time, whoever else is started, is counted and no loss here.
    assert outcome.first.n_acknowledged > 0
    assert outcome.first.n_lost == 0


def test_a_reader_who_does_not_read_changes_nothing_that_is_recorded():
    outcome = process_scenarios.deaf_reader()
    assert set(outcome.n_changed.values()) == {0}
    assert outcome.n_sent > 0
