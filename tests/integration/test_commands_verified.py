"""From a recorder's disk to a copy elsewhere and back: verify a folder, its receipt, release."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import h5py
import pytest

from tests.integration import session_journal as made
from tests.integration.command_line import collect, dataset
from tests.unit import small_sessions as small
from wban_collect.keeping.space import SpacePolicy
from wban_dataset.cli.session import opened
from wban_dataset.recording.errors import SessionError
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.journal_index import JournalIndex
from wban_dataset.recording.receipts import COLUMNS
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.session import Session
from wban_dataset.recording.streams import Label, Mark, SessionEnd


@pytest.fixture
def disk(tmp_path) -> Path:
    """Give a recorder's disk with two sealed sessions and one that waits."""
    out = tmp_path / "recordings"
    small.sealed(out, "one", 1)
    small.sealed(out, "two", 2)
    small.unsealed(out, "three", 3)
    return out


@pytest.fixture
def copies(disk, tmp_path) -> Path:
    """Give copies of the sealed ones."""
    for name in ("one", "two"):
        shutil.copytree(disk / name, tmp_path / "copies" / name)
    return tmp_path / "copies"


def lossy(folder: Path) -> Path:
    """Seal a session of which the accelerometer's chip told that it had lost 7 samples."""
    items = made.whole_session(1)
    items[-1] = SessionEnd(items[-1].monotonic_ns, "asked to stop", {"accel": 7})
    made.write_journal(folder, items)
    seal(folder)
    return folder


def change_a_sample(folder: Path) -> None:
    with h5py.File(folder / "session.h5", "r+") as file:
        file["accel/data"][3, 1] += 1


# --- verify --------------------------------------------------------------------------------------


def test_all_sessions_below_a_folder_are_verified(copies):
    done = dataset("verify", copies)
    assert (done.code, done.err) == (0, "")
    first, second = done.out.splitlines()
    assert first.startswith(f"{copies / 'one' / 'session.h5'}: intact")
    assert second.startswith(f"{copies / 'two' / 'session.h5'}: intact")


def test_losses_are_listed_and_make_the_exit_code_3(copies):
    lossy(copies / "lossy")
    cut = [item for item in made.whole_session(1) if not isinstance(item, SessionEnd)]
    seal(made.write_journal(copies / "cut", cut))
    done = dataset("verify", copies)
    assert (done.code, done.err) == (3, "")
    lines = {Path(line.partition(": ")[0]).parent.name: line for line in done.out.splitlines()}
    assert "7 samples were lost while recording (accel 7)" in lines["lossy"]
    assert "cut off: up to 1.0 s may be missing at its end" in lines["cut"]
    assert "lost" not in lines["one"]


def test_one_damaged_session_does_not_hide_the_others(copies):
    lossy(copies / "lossy")
    change_a_sample(copies / "one")
    (copies / "two" / "session.h5").write_bytes(b"text")
    done = dataset("verify", copies, "--json")
    assert done.code == 1
    found = {Path(o["session"]).parent.name: o for o in map(json.loads, done.out.splitlines())}
    assert found["lossy"]["ok"] is True
    assert found["lossy"]["n_lost_by_stream"]["accel"] == 7
    assert found["one"]["ok"] is False
    assert "accel/data" in found["one"]["problems"][0]
    assert str(copies / "two") in done.err


def test_sessions_and_folders_of_sessions_may_be_mixed(copies, disk):
    done = dataset("verify", copies / "one" / "session.h5", disk, "--json")
    assert done.code == 4  # one is not sealed yet
    paths = [json.loads(line)["session"] for line in done.out.splitlines()]
    assert paths == [
        str(copies / "one" / "session.h5"),
        str(disk / "one" / "session.h5"),
        str(disk / "three"),
        str(disk / "two" / "session.h5"),
    ]


def test_what_waits_to_be_sealed_is_told_from_what_is_sealed(disk):
    done = dataset("verify", disk / "three")
    assert (done.code, done.err) == (4, "")
    assert done.out.startswith(f"{disk / 'three'}: not sealed yet; what its journal holds so far")
    assert "counts and stamps of 3 streams" in done.out
    assert "datasets" not in done.out


def test_a_session_that_is_being_recorded_is_not_cut_off(tmp_path):
    items = [item for item in made.whole_session(1) if not isinstance(item, SessionEnd)]
    folder = made.write_journal(tmp_path / "now", items)
    (journal,) = (folder / "journal").iterdir()
    with journal.open("ab") as file:
        file.write(b"\xb5WJ\xe7 half a record")
    with locked(folder):
        done = dataset("verify", folder)
        shown = dataset("inspect", folder).out
    assert (done.code, done.err) == (4, "")
    assert f"{folder}: being recorded or sealed now; " in done.out
    assert "cut off" not in done.out + shown
    assert "lost" not in done.out
    assert "being recorded now" in shown
    later = dataset("verify", folder)
    assert (later.code, later.err) == (3, "")
    assert "cut off: up to 1.0 s may be missing at its end" in later.out


def damaged(folder: Path) -> Path:
    """Write a journal of which some records in the middle do not verify."""
    made.write_journal(folder, made.whole_session(1))
    (journal,) = (folder / "journal").iterdir()
    content = bytearray(journal.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 2500] = b"x" * 2500
    journal.write_bytes(content)
    return folder


def test_what_a_damaged_journal_cost_is_not_said_to_be_all(tmp_path):
    folder = damaged(tmp_path / "damaged")
    assert "an unknown number missing" in dataset("inspect", folder).out
    before = dataset("verify", folder)
    assert before.code == 1
    assert "journal segment 0 is damaged" in before.err
    seal(folder)
    done = dataset("verify", folder)
    assert done.code == 3
    assert "; at least " in done.out
    assert "an unknown number of samples was lost in 1 gap" in done.out
    assert json.loads(dataset("verify", folder, "--json").out)["n_gaps_of_unknown_size"] == 1
    shown = dataset("inspect", folder).out
    assert "gap: journal damaged, an unknown number missing over" in shown
    assert "journal journal" not in shown
    assert "-1" not in shown.partition("gap:")[2]


# --- inspect -------------------------------------------------------------------------------------


def marked(folder: Path, *texts: str) -> Path:
    items = made.whole_session(1)
    marks = [
        Mark(made.START_NS + (i + 1) * made.SECOND_NS // 10, text) for i, text in enumerate(texts)
    ]
    items = [item for item in items if not isinstance(item, Mark)]
    return made.write_journal(folder, [*items[:-1], *marks, items[-1]])


def test_marks_are_shown_with_their_time_and_command_no_terminal(tmp_path):
    folder = marked(tmp_path / "marked", "cup", "a\x1b[31mb\nc [bold]d", *["more"] * 20)
    shown = dataset("inspect", folder).out
    assert "\nmark: at 0.1 s, cup\n" in shown
    assert "\nmark: at 0.2 s, a\\x1b[31mb\\nc [bold]d\n" in shown
    assert "\x1b" not in shown
    assert shown.count("mark: at") == 20
    assert "and 2 marks more" in shown
    told = json.loads(dataset("inspect", folder, "--json").out)["marks"]
    assert len(told) == 22
    assert told[1]["from_start_s"] == 0.2
    assert told[1]["time_ns"] == made.START_NS + made.SECOND_NS // 5
    assert told[1]["text"] == "a\x1b[31mb\nc [bold]d"


def test_one_span_is_no_spans(tmp_path):
    items = made.whole_session(1)
    labels = [item for item in items if isinstance(item, Label)][:1]
    items = [item for item in items if not isinstance(item, Label)]
    folder = made.write_journal(tmp_path / "one", [*items[:-1], *labels, items[-1]])
    assert "labels: 1 span (" in dataset("inspect", folder).out


def test_a_session_that_is_sealed_while_it_is_opened_is_shown(disk, monkeypatch):
    scan = JournalIndex.scan

    def sealed_meanwhile(directory: Path) -> JournalIndex:
        monkeypatch.undo()
        seal(disk / "three")
        return scan(directory)

    monkeypatch.setattr(JournalIndex, "scan", sealed_meanwhile)
    done = dataset("inspect", disk / "three")
    assert (done.code, done.err) == (0, "")
    assert "; sealed, complete;" in done.out


def test_a_session_that_is_sealed_while_it_is_read_is_to_be_opened_again(disk):
    def read_late() -> None:
        with opened(disk / "three") as session:
            seal(disk / "three")
            assert session.quality

    with pytest.raises(SessionError, match=r"it was sealed while .* Run the command again"):
        read_late()


def test_a_folder_without_any_session_is_named(tmp_path):
    (tmp_path / "empty" / "below").mkdir(parents=True)
    done = dataset("verify", tmp_path / "empty")
    assert done.code == 1
    assert str(tmp_path / "empty") in done.error


# --- receipt and release -------------------------------------------------------------------------


def receipt_of(copies: Path) -> Path:
    path = copies.parent / "receipt.csv"
    assert dataset("verify", copies, "--receipt", path).code == 0
    return path


def test_what_was_verified_elsewhere_is_released_and_may_be_removed(disk, copies):
    receipt = receipt_of(copies)
    assert len(receipt.read_text().splitlines()) == 3
    done = collect("release", receipt, "--out", disk)
    assert (done.code, done.err) == (0, "")
    assert [line.partition(": ")[0] for line in done.out.splitlines()] == [
        str(disk / "one"),
        str(disk / "two"),
    ]
    with Session.open(disk / "one") as session:
        assert session.verify().ok
    policy = SpacePolicy(disk, 0, 1.0, "remove verified", 1e9, free_bytes=lambda: 0)
    assert policy.make_room(1) == [disk / "one", disk / "two"]
    assert [path.name for path in disk.iterdir()] == ["three"]
    again = collect("release", receipt, "--out", disk)
    assert again.code == 0
    assert "2 sessions of" in again.out


def test_only_intact_sealed_copies_get_a_row(copies, tmp_path):
    lossy(copies / "lossy")
    small.unsealed(copies, "unsealed", 8)
    change_a_sample(copies / "one")
    receipt = tmp_path / "receipt.csv"
    assert dataset("verify", copies, "--receipt", receipt).code == 1
    ids = [line.partition(",")[0] for line in receipt.read_text().splitlines()[1:]]
    # What the recording lost, its copy lacks as well: it is intact.
    assert ids == [made.HEADER.session_id, small.session_id(2)]


def test_where_nothing_was_intact_there_is_no_receipt(copies, tmp_path):
    receipt = tmp_path / "receipt.csv"
    change_a_sample(copies / "one")
    assert dataset("verify", copies / "one", "--receipt", receipt).code == 1
    assert not receipt.exists()
    nowhere = dataset("verify", copies, "--receipt", tmp_path / "none" / "receipt.csv")
    assert nowhere.code == 1
    assert nowhere.out == ""  # before anything was read
    assert "no such file or directory" in nowhere.error.lower()


def test_an_empty_receipt_releases_nothing_and_says_so(disk, tmp_path):
    receipt = tmp_path / "receipt.csv"
    receipt.write_text(",".join(COLUMNS) + "\n")
    done = collect("release", receipt, "--out", disk)
    assert (done.code, done.out) == (2, "")
    assert f"{receipt}: there is no row in it" in done.error


def test_one_session_elsewhere_is_no_sessions(disk, copies, tmp_path):
    receipt = receipt_of(copies)
    shutil.rmtree(disk / "two")
    done = collect("release", receipt, "--out", disk)
    assert done.code == 0
    assert f"1 session of {receipt} is not in {disk}." in done.out


def test_a_copy_that_lacks_what_is_here_is_not_released(disk, copies):
    receipt = receipt_of(copies)
    (disk / "one" / "labels.csv").write_text("start_ns,stop_ns,label\n1,2,eating\n")
    done = collect("release", receipt, "--out", disk)
    assert done.code == 1
    assert f"{disk / 'one'}: it is not released: the copy had no labels.csv" in done.error
    assert not (disk / "one" / "verified.csv").exists()
    assert (disk / "two" / "verified.csv").exists()


def test_a_session_with_the_same_id_and_another_content_is_not_released(disk, copies):
    receipt = receipt_of(copies)
    shutil.rmtree(disk / "one")
    small.sealed(disk, "one", 1, host="another")
    done = collect("release", receipt, "--out", disk)
    assert done.code == 1
    assert "the content of the copy is another" in done.error


def test_what_is_no_receipt_is_an_unusable_value(disk, tmp_path):
    (tmp_path / "study.csv").write_text("subject,age\n")
    done = collect("release", tmp_path / "study.csv", "--out", disk)
    assert done.code == 2
    assert "its first line is 'subject,age'" in done.error
    refused = dataset("verify", disk, "--receipt", tmp_path / "study.csv")
    assert refused.code == 1
    assert refused.out == ""  # before anything was read
    assert (tmp_path / "study.csv").read_text() == "subject,age\n"


def test_release_looks_where_the_configuration_says(disk, copies, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(f'[storage]\nout = "{disk}"\n')
    done = collect("release", receipt_of(copies), "--config", config)
    assert done.code == 0
    assert str(disk / "one") in done.out


# --- why it ended --------------------------------------------------------------------------------


def test_inspect_and_the_picture_say_the_same_of_the_end(tmp_path):
    items = made.whole_session(1)
    items[-1] = SessionEnd(items[-1].monotonic_ns, "disk full", {})
    folder = made.write_journal(tmp_path / "full", items)
    seal(folder)
    with Session.open(folder) as session:
        assert session.ending == "ended before its time: disk full"
    assert "ended before its time: disk full" in dataset("inspect", folder).out
    assert dataset("plot", folder, "-o", tmp_path / "full.svg").code == 0
    assert dataset("plot", lossy(tmp_path / "lossy"), "-o", tmp_path / "lossy.svg").code == 0
