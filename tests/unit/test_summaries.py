"""Summaries from memory, from beside the session, or from a child process."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.unit import small_sessions as small
from wban_collect.keeping import summaries as module
from wban_collect.keeping.summaries import Summaries
from wban_dataset.recording.summary import summarise
from wban_dataset.recording.summary_file import SealedState, write_summary


@pytest.fixture
def children(monkeypatch):
    """Count the children that run, and what they are given."""
    ran = []
    run = subprocess.run

    def counted(command, **options):
        ran.append(command[command.index("--") + 1 :])
        return run(command, **options)

    monkeypatch.setattr(module.subprocess, "run", counted)
    return ran


def test_what_is_missing_is_made_once_for_all_and_kept(tmp_path, children):
    folders = [small.sealed(tmp_path, f"s{number}", number) for number in (1, 2)]
    expected = {folder: summarise(folder) for folder in folders}
    first = Summaries()
    assert first.kept(folders[0]) is None
    assert first.of(folders) == expected
    assert first.of(folders) == expected
    assert children == [[str(folder) for folder in folders]]
    assert all((folder / "summary.json").is_file() for folder in folders)
    again = Summaries()
    assert again.kept(folders[0]) == expected[folders[0]]
    assert again.of(folders) == expected
    assert len(children) == 1


def test_a_session_that_changed_is_summarised_again(tmp_path, children):
    folder = small.sealed(tmp_path, "one", 1, synchronised=False)
    summaries = Summaries()
    assert summaries.of([folder])[folder].start_utc == ""
    (folder / "clock.csv").write_text("monotonic_ns,realtime_ns,source\n0,1795000000000000000,x\n")
    assert summaries.of([folder])[folder].start_utc.startswith("2026-11-18T11:08:20")
    assert len(children) == 2


def test_damaged_and_vanished_sessions_are_left_out_and_not_tried_again(tmp_path, children):
    whole = small.sealed(tmp_path, "whole", 1)
    damaged = small.sealed(tmp_path, "damaged", 2)
    (damaged / "session.h5").write_bytes(b"text")
    summaries = Summaries()
    for _ in range(2):
        assert list(summaries.of([damaged, tmp_path / "none", whole])) == [whole]
    assert len(children) == 1


def test_a_summary_that_cannot_be_kept_is_no_error(tmp_path, monkeypatch, children):
    folder = small.sealed(tmp_path, "one", 1)

    def refuse(*_):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(module, "write_summary", refuse)
    summaries = Summaries()
    for _ in range(2):
        assert summaries.of([folder])[folder].session_id == small.session_id(1)
    assert len(children) == 1


def test_a_child_that_cannot_run_is_tried_again_next_time(tmp_path, monkeypatch):
    folder = small.sealed(tmp_path, "one", 1)
    summaries = Summaries()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/nonexistent/python")
        assert summaries.of([folder]) == {}
    assert list(summaries.of([folder])) == [folder]


def test_what_is_gone_is_forgotten(tmp_path):
    folder = small.sealed(tmp_path, "one", 1)
    write_summary(folder, SealedState.of(folder), summarise(folder))
    summaries = Summaries()
    assert summaries.kept(folder)
    (folder / "summary.json").unlink()
    assert summaries.kept(folder)
    summaries.forget_all_but(set())
    assert summaries.kept(folder) is None
