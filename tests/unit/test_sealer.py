"""Sealing in the background: order, trouble, room on the disk, and a quick end."""

from __future__ import annotations

import itertools
import logging
import queue
import sys
import time

import pytest

from tests.unit import small_sessions as small
from wban_collect.keeping import sealing
from wban_collect.keeping.sealer import Sealer
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.session import Session
from wban_dataset.recording.summary import summarise
from wban_dataset.recording.summary_file import SealedState, read_summary

MINUTE_S, HOUR_S = 60.0, 3600.0


class Bench:
    """A sealer whose time and disk are the test's, and that works when it is told to."""

    def __init__(self, out, limit=12):
        self.now_s = 1000.0
        self.free_bytes = 10**12
        self.sealed = []
        self.sealer = Sealer(
            out,
            limit=limit,
            on_sealed=self.sealed.append,
            monotonic=lambda: self.now_s,
            free_bytes=lambda _: self.free_bytes,
        )

    def work(self):
        """Do all that is due; count the steps."""
        n_steps = 0
        while self.sealer.step():
            n_steps += 1
        return n_steps

    @property
    def names(self):
        return [outcome.folder.name for outcome in self.sealed]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def test_sessions_are_sealed_in_the_order_in_which_they_came(tmp_path, bench):
    for number, name in enumerate(("b", "a"), 1):
        bench.sealer.add(small.unsealed(tmp_path, name, number))
    assert bench.sealer.backlog.n_waiting == 2
    assert bench.work() == 2
    assert bench.names == ["b", "a"]
    assert [outcome.exit_code for outcome in bench.sealed] == [0, 0]
    backlog = bench.sealer.backlog
    assert (backlog.n_waiting, backlog.sealing, backlog.failed) == (0, "", [])
    with Session.open(tmp_path / "a") as session:
        assert session.is_sealed
        assert session.verify().ok


def test_a_sealed_session_has_its_summary_beside_it(tmp_path, bench):
    folder = small.unsealed(tmp_path, "a", 1)
    bench.sealer.add(folder)
    bench.work()
    assert read_summary(folder, SealedState.of(folder)) == summarise(folder)


def test_a_session_added_twice_is_sealed_once(tmp_path, bench):
    folder = small.unsealed(tmp_path, "a", 1)
    bench.sealer.add(folder)
    bench.sealer.add(folder)
    assert bench.work() == 1
    assert bench.names == ["a"]


def test_what_earlier_runs_left_is_sealed_in_the_order_of_recording(tmp_path, bench):
    small.unsealed(tmp_path, "c", 3)
    small.unsealed(tmp_path / "below", "a", 2)
    small.unsealed(tmp_path, "b", 1)
    small.sealed(tmp_path, "d", 4)
    found = bench.sealer.find_left_over()
    assert [folder.name for folder in found] == ["b", "a", "c"]
    bench.work()
    assert bench.names == ["b", "a", "c"]


def test_while_at_work_it_tells_on_what_and_how_far(tmp_path, bench, monkeypatch):
    one, two = (small.unsealed(tmp_path, name, n) for n, name in enumerate(("a", "b"), 1))
    seen = []
    follow = sealing._follow

    def watched(child, on_progress):
        line = follow(child, on_progress)
        seen.append((bench.sealer.backlog, bench.sealer.states, bench.sealer.is_full))
        return line

    monkeypatch.setattr(sealing, "_follow", watched)
    bench.sealer.add(one)
    bench.sealer.add(two)
    assert bench.sealer.states == {one: "waiting", two: "waiting"}
    bench.work()
    first, states, _ = seen[0]
    assert (first.n_waiting, first.sealing, first.fraction) == (1, str(one), 1.0)
    assert states == {one: "sealing", two: "waiting"}
    assert bench.sealer.states == {}


def test_the_backlog_is_full_at_its_limit(tmp_path):
    bench = Bench(tmp_path, limit=2)
    bench.sealer.add(small.unsealed(tmp_path, "a", 1))
    assert not bench.sealer.is_full
    bench.sealer.add(small.unsealed(tmp_path, "b", 2))
    assert bench.sealer.is_full
    assert bench.sealer.backlog.limit == 2
    bench.sealer.step()
    assert not bench.sealer.is_full


# --- trouble -------------------------------------------------------------------------------------


def test_a_session_that_cannot_be_sealed_holds_up_nobody_and_is_told_once(tmp_path, caplog):
    bench = Bench(tmp_path, limit=1)
    bad = small.unsealable(tmp_path, "bad", 1)
    before = small.content(bad)
    bench.sealer.add(bad)
    bench.sealer.add(small.unsealed(tmp_path, "good", 2))
    with caplog.at_level(logging.INFO, logger="wban_collect.keeping.sealer"):
        assert bench.work() == 2
        bench.now_s += MINUTE_S
        assert bench.work() == 1
    assert bench.names == ["good"]
    assert small.content(bad) == before
    levels = [record.levelname for record in caplog.records if "bad" in record.getMessage()]
    assert levels == ["WARNING", "INFO"]
    backlog = bench.sealer.backlog
    assert (backlog.n_waiting, backlog.failed, bench.sealer.is_full) == (0, [str(bad)], False)
    assert bench.sealer.states == {bad: "failed"}
    (warning,) = bench.sealer.warnings
    assert str(bad) in warning


def test_attempts_become_rarer_up_to_one_an_hour(tmp_path, bench):
    bench.sealer.add(small.unsealable(tmp_path, "bad", 1))
    began_s = bench.now_s
    attempts_s = []
    while len(attempts_s) < 9:
        if bench.work():
            attempts_s.append(bench.now_s - began_s)
        bench.now_s += MINUTE_S
    pauses = [b - a for a, b in itertools.pairwise(attempts_s)]
    # 1, 2, 4, ... minutes; an hour at the most.
    assert pauses == [60, 120, 240, 480, 960, 1920, HOUR_S, HOUR_S]


def test_what_was_mended_meanwhile_is_sealed_at_the_next_attempt(tmp_path, bench):
    bad = small.unsealable(tmp_path, "bad", 1)
    bench.sealer.add(bad)
    bench.work()
    (bad / "session.h5").unlink()
    assert bench.work() == 0
    bench.now_s += MINUTE_S
    bench.work()
    assert bench.names == ["bad"]
    assert bench.sealer.warnings == []


def test_a_full_disk_is_waited_for(tmp_path, bench):
    folder = small.unsealable(tmp_path, "a", 1)
    journal_bytes = sum(path.stat().st_size for path in (folder / "journal").iterdir())
    bench.free_bytes = journal_bytes  # the copy may take 15 % more
    bench.sealer.add(folder)
    assert bench.work() == 1
    (folder / "session.h5").unlink()
    assert (bench.sealer.backlog.n_waiting, bench.sealer.backlog.failed) == (1, [])
    for _ in range(100):
        bench.now_s += MINUTE_S
        assert bench.work() == 0
    bench.free_bytes = 2 * journal_bytes
    bench.now_s += MINUTE_S
    assert bench.work() == 1
    assert bench.names == ["a"]


def test_what_a_killed_child_half_wrote_counts_as_room(tmp_path, bench, monkeypatch):
    folder = small.unsealed(tmp_path, "a", 1)
    child = tmp_path / "child"
    # Its arguments: -m, the module, the folder.
    child.write_text('#!/bin/sh\nyes | head -c 300000 > "$3/session.h5.part"\nkill -9 $$\n')
    child.chmod(0o700)
    bench.free_bytes = 0
    bench.sealer.add(folder)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(child))
        bench.work()
    assert bench.sealer.backlog.failed == [str(folder)]  # and not for want of room
    assert "signal 9" in bench.sealer.warnings[0]
    bench.now_s += MINUTE_S
    bench.work()
    assert bench.names == ["a"]


def test_journals_whose_room_is_reserved_need_none(tmp_path, bench):
    folder = small.unsealed(tmp_path, "a", 1)
    (folder / ".reserved").write_bytes(b"x" * 300_000)
    bench.sealer.add(folder)
    assert bench.sealer.unsealed_bytes == 0


def test_journals_that_wait_are_counted_for_the_space_policy(tmp_path, bench):
    folders = [small.unsealed(tmp_path, name, n) for n, name in enumerate("ab", 1)]
    for folder in folders:
        bench.sealer.add(folder)
    sizes = [p.stat().st_size for folder in folders for p in (folder / "journal").iterdir()]
    assert bench.sealer.unsealed_bytes == sum(sizes)
    bench.work()
    assert bench.sealer.unsealed_bytes == 0


def test_what_another_process_holds_is_sealed_when_it_lets_go(tmp_path, bench):
    folder = small.unsealed(tmp_path, "a", 1)
    with locked(folder):
        assert bench.sealer.find_left_over() == [folder]
        assert bench.work() == 1
        assert bench.work() == 0
        assert (bench.sealer.backlog.n_waiting, bench.sealer.is_full) == (0, False)
        assert bench.sealer.states == {folder: "recording"}
        assert bench.sealer.warnings == []
    bench.now_s += MINUTE_S
    bench.work()
    assert bench.names == ["a"]


def test_a_recording_of_the_daemon_itself_is_sealed_as_soon_as_it_ends(tmp_path, bench):
    folder = small.unsealed(tmp_path, "a", 1)
    with locked(folder):
        bench.sealer.find_left_over()
        bench.work()
    bench.sealer.add(folder)
    bench.work()
    assert bench.names == ["a"]


def test_a_session_that_somebody_sealed_or_removed_is_dropped(tmp_path, bench):
    one, two = (small.unsealed(tmp_path, name, n) for n, name in enumerate(("a", "b"), 1))
    bench.sealer.add(one)
    bench.sealer.add(two)
    small.seal(one)
    two.rename(tmp_path.parent / f"{tmp_path.name}-elsewhere")
    bench.work()
    assert (bench.names, bench.sealer.warnings, bench.sealer.states) == ([], [], {})


def test_remains_are_cleared_away_once_and_told(tmp_path, bench):
    (tmp_path / "cut" / "journal").mkdir(parents=True)
    small.headerless(tmp_path, "nobody")
    bench.sealer.find_left_over()
    bench.work()
    assert [path.name for path in tmp_path.iterdir()] == ["nobody.unreadable"]
    assert bench.sealed == []
    assert sorted("removed" in warning for warning in bench.sealer.warnings) == [False, True]
    assert bench.sealer.find_left_over() == []


# --- its thread ----------------------------------------------------------------------------------


def test_its_thread_seals_what_comes_and_ends(tmp_path):
    done = queue.Queue()
    sealer = Sealer(tmp_path, limit=12, on_sealed=done.put)
    small.unsealed(tmp_path, "a", 1)
    sealer.find_left_over()
    sealer.start()
    assert done.get().folder.name == "a"
    sealer.add(small.unsealed(tmp_path, "b", 2))
    assert done.get().folder.name == "b"
    sealer.close()


def test_closing_in_the_middle_ends_the_child_and_the_next_run_seals_it(tmp_path, monkeypatch):
    folder = small.unsealed(tmp_path, "a", 1)
    children = queue.Queue()
    follow = sealing._follow

    def watched(child, on_progress):
        children.put(child)
        return follow(child, on_progress)

    monkeypatch.setattr(sealing, "_follow", watched)
    # A child that never ends by itself, in place of the one that seals.
    endless = tmp_path / "endless"
    endless.write_text("#!/bin/sh\nexec sleep 100000\n")
    endless.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(endless))
    sealer = Sealer(tmp_path, limit=12, on_sealed=lambda _: pytest.fail("nothing was sealed"))
    sealer.add(folder)
    sealer.start()
    child = children.get()
    began_s = time.monotonic()
    sealer.close()
    assert time.monotonic() - began_s < 0.5
    assert child.wait() != 0
    assert sealer.warnings == []
    monkeypatch.undo()
    bench = Bench(tmp_path)
    bench.sealer.find_left_over()
    bench.work()
    assert bench.names == ["a"]


def test_closing_what_never_began_is_no_error(tmp_path):
    Sealer(tmp_path, limit=1, on_sealed=print).close()
