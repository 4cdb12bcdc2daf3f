"""The list of sessions: newest first, whatever state they are in, whatever else lies there."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from tests.unit import small_sessions as small
from wban_collect.keeping.catalogue import Catalogue, id_time_ns, started_ns
from wban_collect.keeping.leftovers import header_of
from wban_dataset.recording.receipts import Receipt, write_own_receipt
from wban_dataset.recording.summary import summarise
from wban_dataset.recording.summary_file import SealedState, write_summary


def with_summary(folder):
    """Keep the summary, so that no child process need be run for it."""
    write_summary(folder, SealedState.of(folder), summarise(folder))
    return folder


def test_sessions_stand_newest_first_with_what_is_known_of_them(tmp_path):
    # All three begin, by their own clocks, on 2026-11-18; the unsealed one only has its id's time.
    old = small.unsealed(tmp_path, "old", 100, subject="S02", continues=small.session_id(99))
    sealed = with_summary(small.sealed(tmp_path, "sealed", 200))
    newest = small.unsealed(tmp_path, "newest", 2_000_000_000)
    entries = Catalogue(tmp_path).entries(10)
    assert [entry.folder for entry in entries] == [str(f) for f in (newest, sealed, old)]
    assert [entry.state for entry in entries] == ["waiting", "sealed", "waiting"]
    waiting, whole, first = entries
    assert (first.subject, first.continues) == ("S02", small.session_id(99))
    assert (waiting.session_id, waiting.activity) == (small.session_id(2_000_000_000), "eating")
    assert waiting.n_bytes == sum(p.stat().st_size for p in (newest / "journal").iterdir())
    assert (waiting.start_utc, waiting.duration_s, waiting.complete) == ("", 0.0, False)
    assert whole.n_bytes == (sealed / "session.h5").stat().st_size
    assert whole.start_utc.startswith("2026-11-18T11:08:20")
    assert whole.duration_s == pytest.approx(0.99, abs=0.001)
    assert (whole.complete, whole.recovered, whole.n_lost) == (True, False, 0)
    assert not whole.verified_elsewhere


def test_no_more_than_asked_for_and_those_are_the_newest(tmp_path):
    for number in range(1, 6):
        small.unsealed(tmp_path, f"s{number}", number)
    found = Catalogue(tmp_path).entries(2)
    assert [entry.session_id for entry in found] == [small.session_id(5), small.session_id(4)]


def test_who_is_at_work_on_a_session_is_told(tmp_path):
    one, two = (small.unsealed(tmp_path, name, n) for n, name in enumerate(("one", "two"), 1))
    busy = {one: "recording", tmp_path / "gone": "sealing"}
    entries = Catalogue(tmp_path).entries(10, busy)
    assert {entry.folder: entry.state for entry in entries} == {
        str(one): "recording",
        str(two): "waiting",
    }


def test_a_sealed_session_without_summary_gets_one(tmp_path):
    folder = small.sealed(tmp_path, "one", 1)
    (entry,) = Catalogue(tmp_path).entries(10)
    assert (entry.state, entry.session_id) == ("sealed", small.session_id(1))
    assert (folder / "summary.json").is_file()


def test_damaged_sessions_are_listed_as_failed_and_nothing_else_is_listed(tmp_path):
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "session.h5").write_bytes(b"text")
    nobody = small.headerless(tmp_path, "nobody")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "monday.txt").write_text("")
    (tmp_path / ".removed-one").mkdir()
    (tmp_path / ".removed-one" / "session.h5").write_bytes(b"")
    before = small.content(tmp_path)
    entries = Catalogue(tmp_path).entries(10)
    assert {(entry.folder, entry.state) for entry in entries} == {
        (str(broken), "failed"),
        (str(nobody), "failed"),
    }
    assert small.content(tmp_path) == before


def test_a_session_that_vanishes_meanwhile_is_left_out(tmp_path, monkeypatch):
    one, two = (small.unsealed(tmp_path, name, n) for n, name in enumerate(("one", "two"), 1))
    catalogue = Catalogue(tmp_path)
    monkeypatch.setattr("wban_collect.keeping.catalogue.session_folders", lambda _: [one, two])
    shutil.rmtree(one)
    assert [entry.folder for entry in catalogue.entries(10)] == [str(two)]
    shutil.rmtree(two)
    assert catalogue.entries(10) == []


def test_a_session_that_is_sealed_between_two_looks_is_told_of_anew(tmp_path):
    folder = small.unsealed(tmp_path, "one", 1)
    catalogue = Catalogue(tmp_path)
    assert [entry.state for entry in catalogue.entries(10)] == ["waiting"]
    small.seal(folder)
    with_summary(folder)
    assert [entry.state for entry in catalogue.entries(10)] == ["sealed"]


def test_header_is_read_once(tmp_path, monkeypatch):
    small.unsealed(tmp_path, "one", 1)
    small.headerless(tmp_path, "two")
    read = []

    def counted(folder):
        read.append(folder)
        return header_of(folder)

    monkeypatch.setattr("wban_collect.keeping.catalogue.header_of", counted)
    catalogue = Catalogue(tmp_path)
    for _ in range(3):
        catalogue.entries(10)
    assert sorted(folder.name for folder in read) == ["one", "two"]
    # The journal that said nothing has grown: it may say something now.
    with (tmp_path / "two" / "journal" / "000000.wbj").open("ab") as file:
        file.write(b"more")
    catalogue.entries(10)
    assert sorted(folder.name for folder in read) == ["one", "two", "two"]


def test_a_copy_that_was_verified_elsewhere_is_told_until_something_changes(tmp_path):
    folder = with_summary(small.sealed(tmp_path, "one", 1))
    digest = summarise(folder).content_sha256
    write_own_receipt(folder, Receipt.now(small.session_id(1), digest, folder))
    catalogue = Catalogue(tmp_path)
    assert [entry.verified_elsewhere for entry in catalogue.entries(10)] == [True]
    (folder / "labels.csv").write_text("start_ns,stop_ns,label\n1,2,eating\n")
    assert [entry.verified_elsewhere for entry in catalogue.entries(10)] == [False]


def test_sealed_sessions_stand_oldest_first(tmp_path):
    # Without a synchronised clock the ids tell the order.
    later = with_summary(small.sealed(tmp_path, "a", 20, synchronised=False))
    earlier = with_summary(small.sealed(tmp_path, "b", 10, synchronised=False))
    small.unsealed(tmp_path, "c", 5)
    assert list(Catalogue(tmp_path).sealed()) == [earlier, later]
    (later / "mark").write_text("")
    assert list(Catalogue(tmp_path).sealed(having="mark")) == [later]


def test_when_a_session_began(tmp_path):
    summary = summarise(small.sealed(tmp_path, "one", 33))
    assert started_ns(summary) == 1_795_000_100 * 10**9
    assert started_ns(dataclasses.replace(summary, start_utc="")) == 33 * 10**9
    assert id_time_ns("not an id, certainly") == 0
    assert id_time_ns("") == 0
