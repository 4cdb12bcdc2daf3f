"""One session after another without a gap: what goes on, what is named, what a full disk does."""

from __future__ import annotations

import errno
import functools
import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from wban_collect import open_session as session_module
from wban_collect.assembly import Simulation, simulated_parts
from wban_collect.audience import Audience, Observed
from wban_collect.config import DEFAULT_LOAD
from wban_collect.errors import WbanError
from wban_collect.parts import Parts
from wban_collect.plan import Request, make_plan
from wban_collect.recorder import Plan, Recorder
from wban_collect.simulation.people import one_activity
from wban_dataset.recording.journal import JournalWriter
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.session import Session
from wban_dataset.recording.streams import Label

SECOND_NS = 10**9
START_NS = 1000 * SECOND_NS
UTC_NS = 1_767_225_600 * SECOND_NS


def prepare(out: Path, duration_s: float, session_s: float | None) -> tuple[Parts, Plan]:
    simulation = Simulation(one_activity("eating", 3), 3, start_ns=START_NS, realtime_ns=UTC_NS)
    parts = simulated_parts(DEFAULT_LOAD, simulation)
    request = Request(
        "S01",
        "eating",
        out,
        int(duration_s * 1e9),
        session_ns=None if session_s is None else int(session_s * 1e9),
        simulated=True,
        virtual=True,
        folder="session",
    )
    return parts, make_plan(request, DEFAULT_LOAD, parts.clock)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> tuple[list[Session], Session]:
    """The same 10 s as sessions of 3 s, and as one."""
    out = tmp_path_factory.mktemp("recordings")
    closed: list[Path] = []
    Recorder(*prepare(out / "many", 10.0, 3.0), Audience(closed=closed.append)).run()
    whole = Recorder(*prepare(out / "one", 10.0, None)).run()
    for folder in closed:
        assert seal(folder).clean
    return [Session.open(folder) for folder in closed], Session.open(whole)


def test_no_sample_is_lost_between_two_sessions(recorded):
    parts, whole = recorded
    assert len(parts) == 4
    for name in whole.streams:
        first = [int(s.stream(name).attributes["first_index"]) for s in parts]
        n = [s.stream(name).n for s in parts]
        assert first == [0, *itertools.accumulate(n[:-1])]  # indices run on
        assert sum(n) == whole.stream(name).n
        assert all(int(s.quality[name]["n_lost"]) == 0 for s in parts)
        assert not any(len(s.gaps["stream"]) for s in parts)
    together = np.concatenate([s.stream("accel").read_counts() for s in parts])
    np.testing.assert_array_equal(together, whole.stream("accel").read_counts())


def test_stamps_run_on_in_order_and_agree_with_one_session(recorded):
    parts, whole = recorded
    for name in whole.streams:
        stamps = np.concatenate([s.stream(name).monotonic_ns for s in parts])
        assert (np.diff(stamps) > 0).all()
        error_ns = stamps - whole.stream(name).monotonic_ns
        assert (
            np.abs(error_ns).max() < 5_000_000
        )  # the clocks of 3 s are less well known than those of 10


def test_a_segment_goes_on_where_nothing_interrupted_it(recorded):
    parts, _ = recorded
    assert {int(s.stream("accel").segment[-1]) for s in parts} == {
        int(parts[0].stream("accel").segment[0])
    }


def test_each_session_names_the_one_before(recorded):
    parts, _ = recorded
    ids = [s.session_id for s in parts]
    assert len(set(ids)) == 4
    assert [s.continues for s in parts] == ["", *ids[:-1]]
    assert [s.attributes["end_reason"] for s in parts] == [
        *["next session began"] * 3,
        "duration reached",
    ]
    assert all(s.complete for s in parts)


def test_the_running_label_covers_every_sample_of_the_next_session(recorded):
    for session in recorded[0]:
        (label,) = session.labels
        assert label.label == "eating"
        stamps = np.concatenate([session.stream(n).monotonic_ns for n in session.streams])
        assert label.start_ns <= stamps.min()
        assert stamps.max() < label.stop_ns + SECOND_NS


def test_a_thermal_camera_stays_warm_from_one_session_to_the_next(recorded):
    parts, _ = recorded
    began = {int(s.attributes.get("run_started_monotonic_ns", 0)) for s in parts[1:]}
    assert began == {int(parts[0].attributes["started_monotonic_ns"])}


def test_a_label_given_while_recording_begins_a_new_span_and_carries_over(tmp_path):
    closed: list[Path] = []
    parts, plan = prepare(tmp_path, 5.0, 3.0)
    said = []
    watched: list[Label] = []

    def watch(item: Observed) -> None:
        if isinstance(item, Label):
            watched.append(item)

    def say_once(progress):
        if progress.folder is not None and progress.now_ns > START_NS + 2 * SECOND_NS and not said:
            said.append(progress.now_ns)
            recorder.label("walking")
            recorder.mark("stood up")
            with pytest.raises(WbanError, match="control character"):
                recorder.mark("a\x1b[31mb\nc")

    audience = Audience(progress=say_once, output=watch, closed=closed.append)
    recorder = Recorder(parts, plan, audience)
    recorder.run()
    first, second = (Session.open(folder) for folder in closed)
    assert [(label.label, label.stop_ns) for label in watched] == [
        ("eating", 0),
        ("eating", said[0]),
        ("walking", 0),
        ("walking", parts.clock.monotonic_ns()),
    ]
    assert first.labels[0].stop_ns == said[0]
    assert [s.label for s in first.labels] == ["eating", "walking"]
    assert [s.label for s in second.labels] == ["walking"]
    assert second.activity == "walking"
    assert list(first.marks["text"]) == ["stood up"]


def test_a_disk_that_refuses_the_next_session_keeps_the_present_one(tmp_path, monkeypatch):
    calls = []

    def refuse_second(fd, buffers, offset):
        calls.append(fd)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    made = []

    def journal(*args, **settings):
        made.append(args)
        if len(made) == 2:
            settings["write"] = refuse_second
        return JournalWriter(*args, **settings)

    monkeypatch.setattr(session_module, "JournalWriter", functools.partial(journal))
    closed: list[Path] = []
    recorder = Recorder(*prepare(tmp_path, 5.0, 2.0), Audience(closed=closed.append))
    recorder.run()
    assert calls
    (folder,) = closed
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    report = seal(folder)
    assert report.clean
    assert report.rows["accel"] > 450


def test_the_session_goes_on_while_the_next_may_not_begin(tmp_path):
    closed: list[Path] = []
    audience = Audience(closed=closed.append, may_change=lambda: False)
    Recorder(*prepare(tmp_path, 4.0, 1.0), audience).run()
    assert len(closed) == 1
