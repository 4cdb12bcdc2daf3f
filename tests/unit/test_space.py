"""Space on the disk: how long it lasts, and what may go when it does not."""

from __future__ import annotations

import logging
import math
import shutil
from pathlib import Path

import pytest

from tests.unit import small_sessions as small
from wban_collect.cli.repeats import QuietRepeats
from wban_collect.config import parse_config
from wban_collect.keeping.catalogue import Catalogue
from wban_collect.keeping.space import SpacePolicy
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.receipts import Receipt, write_own_receipt
from wban_dataset.recording.summary import summarise
from wban_dataset.recording.summary_file import SealedState, write_summary

GB = 10**9
KEEP = GB // 5


def policy(out, **changes):
    options = {
        "keep_free_bytes": KEEP,
        "warn_hours": 24.0,
        "when_full": "stop",
        "bytes_per_hour": GB,
        **changes,
    }
    return SpacePolicy(out, **options)


# --- how long it lasts ---------------------------------------------------------------------------


def test_each_recorded_byte_counts_for_its_second_copy_too(tmp_path):
    # A journal of 1 GB an hour, and 1.15 GB reserved with it: 2.15 GB an hour.
    assert policy(tmp_path).hours_left(KEEP + 21.5 * GB) == pytest.approx(10)
    # A copy that is not compressed takes 1.25.
    assert policy(tmp_path, gzip_level=0).hours_left(KEEP + 22.5 * GB) == pytest.approx(10)


def test_where_sessions_follow_each_other_only_the_last_two_take_both_copies(tmp_path):
    # Two sessions of an hour take 2.15 GB each, the eight before them 1.15 GB each.
    rotating = policy(tmp_path, session_hours=1.0)
    assert rotating.hours_left(KEEP + 2 * 2.15 * GB + 8 * 1.15 * GB) == pytest.approx(10)
    assert rotating.hours_left(KEEP + 2.15 * GB) == pytest.approx(1)


@pytest.mark.parametrize(
    ("unattended", "hours"),
    [("", 10.0), ('[unattended]\nenabled=true\nsubject="S1"\nactivity="eating"', 16.82609)],
)
def test_all_who_speak_of_room_say_the_same_of_a_configuration(tmp_path, unattended, hours):
    config = parse_config(f"[storage]\nkeep_free_mb = 200\n[[motion]]\n{unattended}", "x")
    space = SpacePolicy.of(config, tmp_path)
    free_bytes = KEEP + 21.5 * 1200 * 3600  # 1200 B/s, and 1.15 of that reserved
    # An hour's session: 2 h take both copies, 17.2 / 1.15 h more one of them.
    assert space.hours_left(free_bytes) == pytest.approx(
        hours if not unattended else 2 + 17.2 / 1.15
    )
    assert "at 4.3 MB an hour, copies made while sealing counted in" in space.room_text(free_bytes)


def test_advice_is_not_to_set_what_is_set(tmp_path):
    free_bytes = KEEP + GB // 10
    stops = policy(tmp_path).shortage(free_bytes, 0)
    removes = policy(tmp_path, when_full="remove verified").shortage(free_bytes, 0)
    assert stops == (
        f"{tmp_path}: room for 2 min 47 s; copy sessions away and remove them, or set "
        'storage.when_full = "remove verified".'
    )
    assert "when_full" not in removes
    assert "wban-collect release" in removes
    assert policy(tmp_path).shortage(100 * GB, 0) == ""


def test_what_is_kept_free_is_not_recorded_into(tmp_path):
    assert policy(tmp_path).hours_left(KEEP) == 0
    assert policy(tmp_path).hours_left(0) == 0
    assert policy(tmp_path, bytes_per_hour=0.0).hours_left(GB) == math.inf


def test_state_is_judged_by_what_is_left_when_all_is_sealed(tmp_path):
    states = policy(tmp_path).state
    # 24 h need 51.6 GB.
    assert states(KEEP + int(51.7 * GB), 0) == "ok"
    assert states(KEEP + int(51.5 * GB), 0) == "warn"
    assert states(KEEP + 1, 0) == "warn"
    assert states(KEEP, 0) == "full"
    # 10 GB that wait to be sealed take 11.5 more.
    assert states(KEEP + int(63.2 * GB), 10 * GB) == "ok"
    assert states(KEEP + int(63.0 * GB), 10 * GB) == "warn"
    assert states(KEEP + int(11.6 * GB), 10 * GB) == "warn"
    assert states(KEEP + int(11.5 * GB), 10 * GB) == "full"


# --- what may go ---------------------------------------------------------------------------------


class Disk:
    """A disk of a size that is told, filled by what lies below a folder."""

    def __init__(self, out, n_bytes):
        self._out, self._n_bytes = out, n_bytes

    def free_bytes(self):
        used = sum(path.stat().st_size for path in self._out.rglob("*") if path.is_file())
        return self._n_bytes - used


@pytest.fixture
def out(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def verified(out: Path, name: str, number: int, **header: object) -> Path:
    """Make a session whose copy elsewhere was verified."""
    folder = small.sealed(out, name, number, synchronised=False, **header)
    summary = summarise(folder)
    write_summary(folder, SealedState.of(folder), summary)
    write_own_receipt(folder, Receipt.now(summary.session_id, summary.content_sha256, folder))
    return folder


def remover(out, **changes):
    """Give a policy that removes what is verified from a disk that is always full."""
    options = {"when_full": "remove verified", "free_bytes": lambda: 0, **changes}
    return policy(out, **options)


def test_nothing_goes_unless_it_was_asked_for(out):
    verified(out, "a", 1)
    assert policy(out, free_bytes=lambda: 0).make_room(GB) == []
    assert (out / "a" / "session.h5").exists()


def test_the_oldest_go_first_and_no_more_than_needed(out):
    old, middle, new = (verified(out, name, n) for name, n in (("c", 10), ("b", 20), ("a", 30)))
    disk = Disk(out, n_bytes=10**8)
    old_bytes = sum(path.stat().st_size for path in old.iterdir())
    free_bytes = disk.free_bytes()
    needed_bytes = free_bytes + old_bytes + 1 - 1000  # one session too little, by a byte
    space = remover(out, keep_free_bytes=1000, free_bytes=disk.free_bytes)
    assert space.make_room(free_bytes - 1000) == []
    assert space.make_room(needed_bytes) == [old, middle]
    assert [path.name for path in out.iterdir()] == [new.name]


def test_room_is_made_for_half_a_minute_and_what_waits_to_be_sealed(out):
    old, new = verified(out, "old", 1), verified(out, "new", 2)
    # 30 s at 2.15 GB an hour, two steps of the reservation, and 1.15 of what waits.
    soon_bytes = int(30 * 2.15 * GB / 3600) + 2 * (16 << 20)
    for unsealed_bytes, waiting_bytes in ((0, 0), (10**6, 1_150_000)):
        free_bytes = KEEP + soon_bytes + waiting_bytes + 2
        space = remover(out, free_bytes=lambda free_bytes=free_bytes: free_bytes)
        assert space.make_room_to_record(unsealed_bytes) == []
    assert space.make_room_to_record(10**6 + 10) == [old, new]


def test_a_session_that_begins_needs_two_steps_beyond_what_waits(out):
    assert policy(out).needed_to_begin(0) == KEEP + 2 * (16 << 20)
    assert policy(out).needed_to_begin(10**6) == KEEP + 2 * (16 << 20) + 1_150_000


def test_only_what_was_verified_goes(out):
    small.sealed(out, "unverified", 1)
    small.unsealed(out, "unsealed", 2)
    gone = verified(out, "verified", 3)
    half = verified(out, "half", 4)
    (half / "journal").mkdir()
    assert remover(out).make_room(GB) == [gone]
    assert sorted(path.name for path in out.iterdir()) == ["half", "unsealed", "unverified"]


def test_a_receipt_for_another_content_is_no_reason(out):
    one, two = verified(out, "one", 1), verified(out, "two", 2)
    shutil.copy(one / "verified.csv", two / "verified.csv")
    changed = verified(out, "changed", 3)
    shutil.copy(two / "session.h5", changed / "session.h5")  # and the summary is the old one
    labelled = verified(out, "labelled", 4)
    (labelled / "labels.csv").write_text("start_ns,stop_ns,label\n1,2,eating\n")
    damaged = verified(out, "damaged", 5)
    (damaged / "verified.csv").write_bytes(b"\0")
    broken = verified(out, "broken", 6)
    (broken / "session.h5").write_bytes(b"text")
    assert remover(out).make_room(GB) == [one]
    assert sorted(path.name for path in out.iterdir()) == [
        "broken", "changed", "damaged", "labelled", "two",
    ]  # fmt: skip


def test_somebodys_file_beside_a_session_keeps_it(out):
    folder = verified(out, "a", 1)
    (folder / "notes.txt").write_text("a person's")
    before = small.content(folder)
    assert remover(out).make_room(GB) == []
    assert small.content(folder) == before


def test_what_somebody_works_on_stays(out):
    folder = verified(out, "a", 1)
    with locked(folder):
        assert remover(out).make_room(GB) == []
    assert remover(out).make_room(GB) == [folder]


def test_each_removal_is_logged_whatever_quietens_repeated_warnings(out, caplog):
    caplog.handler.addFilter(quiet := QuietRepeats())
    folders = [verified(out, f"{number}", number) for number in (1, 2, 3)]
    caplog.set_level(logging.INFO)
    remover(out).make_room(GB)
    assert [record.getMessage() for record in caplog.records] == [
        f"{folder} removed to make room: a copy of it was verified elsewhere." for folder in folders
    ]
    caplog.handler.removeFilter(quiet)


class Cut(BaseException):
    """Stands for the end of the machine: nothing catches it."""


def test_cut_off_at_any_step_no_half_of_a_session_looks_whole_and_it_is_finished_later(
    tmp_path, monkeypatch
):
    """A step is a name that comes, changes or goes."""
    steps = ["mkdir", "rename", "unlink", "rmdir"]
    n_done = 0
    for n_allowed in range(100):
        out = tmp_path / f"{n_allowed}"
        folder = verified(out, "a", 1)
        whole = small.content(folder)
        left = n_allowed

        def taken(step):
            def take(*arguments, **options):
                nonlocal left
                if left == 0:
                    raise Cut
                left -= 1
                return step(*arguments, **options)

            return take

        with monkeypatch.context() as patch:
            for name in steps:
                patch.setattr(Path, name, taken(getattr(Path, name)))
            try:
                remover(out).make_room(GB)
                n_done = n_allowed
            except Cut:
                pass
        if folder.exists() and any(folder.iterdir()):
            assert small.content(folder) == whole
        listed = Catalogue(out).entries(10)
        assert [entry.state for entry in listed] in ([], ["sealed"])
        remover(out).make_room(GB)
        assert list(out.iterdir()) == []
        if n_done:
            break
    assert n_done == 6  # a name claimed, taken; three files; the folder


def test_hidden_folders_that_are_not_verified_sessions_are_left_alone(out):
    folder = small.sealed(out, ".removed-a", 1)
    person = out / ".removed-notes"
    person.mkdir()
    (person / "notes.txt").write_text("a person's")
    before = small.content(out)
    assert remover(out).make_room(GB) == []
    (folder / "summary.json").unlink(missing_ok=True)
    assert small.content(out) == before
