"""What a sealed session says of itself, and when what is kept of that is out of date."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest

from tests.integration import session_journal as made
from tests.unit import small_sessions as small
from wban_dataset.recording.errors import SessionError
from wban_dataset.recording.session import Session
from wban_dataset.recording.streams import SessionEnd
from wban_dataset.recording.summary import main, summarise
from wban_dataset.recording.summary_file import SealedState, read_summary, write_summary


@pytest.fixture
def folder(tmp_path):
    return small.sealed(tmp_path, "one", 7, continues=small.session_id(6))


def test_a_sealed_session_is_summarised(folder):
    found = summarise(folder)
    assert found.session_id == small.session_id(7)
    assert found.continues == small.session_id(6)
    assert (found.boot_id, found.subject, found.activity) == (small.BOOT, "S01", "eating")
    assert found.started_monotonic_ns == made.START_NS
    # 1795000000 s after 1970 is 2026-11-18 11:06:40 UTC; the session begins 100 s later.
    assert found.start_utc == "2026-11-18T11:08:20.000000000Z"
    assert found.clock_synchronised
    # The accelerometer is first and last: 99 periods of 10 ms; stamps are good to a part of one.
    assert found.duration_s == pytest.approx(0.99, abs=0.001)
    assert found.rows == {"accel": 100, "thermal": 8, "infrared": 5}
    assert (found.n_lost, found.complete, found.recovered, found.clean) == (0, True, False, True)
    assert found.n_bytes == (folder / "session.h5").stat().st_size
    assert len(found.content_sha256) == 64


def test_digest_tells_sessions_apart_by_their_content(folder, tmp_path):
    again = small.sealed(tmp_path, "again", 7, continues=small.session_id(6))
    other = small.sealed(tmp_path, "other", 8)
    digests = [summarise(path).content_sha256 for path in (folder, again, other)]
    assert digests[0] == digests[1] != digests[2]


def test_an_empty_session_lasts_no_time(tmp_path):
    items = [made.HEADER, made.accel_spec(), SessionEnd(made.START_NS, "asked to stop", {})]
    folder = made.write_journal(tmp_path / "empty", items)
    made_of = small.seal(folder)
    assert made_of.clean
    found = summarise(folder)
    assert (found.duration_s, found.rows, found.start_utc) == (0.0, {"accel": 0}, "")


def test_what_is_not_sealed_is_refused(tmp_path):
    folder = small.unsealed(tmp_path, "one")
    with pytest.raises(SessionError, match="not sealed yet"):
        summarise(folder)
    with pytest.raises(SessionError, match="neither"):
        summarise(tmp_path)


def test_command_prints_a_line_for_each_and_the_worst_exit_code(folder, tmp_path, capsys):
    items = [item for item in made.whole_session(1) if not isinstance(item, SessionEnd)]
    cut = made.write_journal(tmp_path / "cut", items)
    small.seal(cut)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "session.h5").write_bytes(b"text")
    assert main([str(folder)]) == 0
    assert main([str(folder), str(cut)]) == 3
    capsys.readouterr()
    assert main([str(cut), str(broken), str(folder)]) == 1
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert [line["folder"] for line in lines] == [str(cut), str(folder)]
    assert [line["recovered"] for line in lines] == [True, False]
    assert str(broken) in said.err


# --- kept beside the session ---------------------------------------------------------------------


def test_what_is_kept_is_what_was_made(folder):
    state, summary = SealedState.of(folder), summarise(folder)
    assert read_summary(folder, state) is None
    write_summary(folder, state, summary)
    assert read_summary(folder, state) == summary


def test_a_summary_of_another_file_or_clock_is_ignored(folder):
    write_summary(folder, SealedState.of(folder), summarise(folder))
    (folder / "clock.csv").write_text("monotonic_ns,realtime_ns\n1,2\n")
    with_clock = SealedState.of(folder)
    assert read_summary(folder, with_clock) is None
    (folder / "clock.csv").unlink()
    assert read_summary(folder, SealedState.of(folder)) is not None
    os.utime(folder / "session.h5", ns=(0, 0))
    assert read_summary(folder, SealedState.of(folder)) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b'{"version": 1}', b"\xff", b"[" * 100_000, b'{"version": "1"}'],
)
def test_a_damaged_summary_is_as_good_as_none(folder, content):
    state = SealedState.of(folder)
    (folder / "summary.json").write_bytes(content)
    assert read_summary(folder, state) is None


def test_a_summary_with_a_value_of_another_kind_is_as_good_as_none(folder):
    state, summary = SealedState.of(folder), summarise(folder)
    write_summary(folder, state, dataclasses.replace(summary, n_lost="none"))
    assert read_summary(folder, state) is None


def test_what_stands_beside_a_session_changes_nothing_for_its_reader(folder):
    before = (folder / "session.h5").read_bytes()
    write_summary(folder, SealedState.of(folder), summarise(folder))
    (folder / "verified.csv").write_text("session_id\n")
    (folder / "notes.txt").write_text("a person's")
    with Session.open(folder) as session:
        assert session.verify().ok
        assert session.subject == "S01"
    assert small.seal(folder).was_sealed
    assert (folder / "session.h5").read_bytes() == before
    assert (folder / "notes.txt").exists()
