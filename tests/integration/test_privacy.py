"""Sessions under other names, and everything there is of a person, found and removed."""

from __future__ import annotations

import json
import shutil
import stat
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.integration.command_line import dataset
from tests.integration.motion_sessions import study
from tests.integration.simulated_recording import record_unsealed
from tests.unit import small_sessions as small
from wban_dataset import build
from wban_dataset.privacy.forgetting import remove
from wban_dataset.privacy.traces import find_traces
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.folder_tree import session_folders
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.session import Session

DAY_NS = 86_400 * 10**9


@pytest.fixture
def recordings(tmp_path) -> Path:
    """Give two sessions of Anna, in one boot, and one of Berta; the first with sidecars."""
    out = tmp_path / "recordings"
    one = small.sealed(out, "S01-one", 1, subject="anna-01", host="zoes-pi")
    small.sealed(out, "S01-two", 2, subject="anna-01", continues=small.session_id(1))
    small.sealed(out, "S02-three", 3, subject="berta-02", replay_source="video of berta-02")
    (one / "labels.csv").write_text(
        "start_ns,stop_ns,label,annotator,note\n"
        "100000000000,100500000000,eating,Maximilian,she was sad\n"
    )
    (one / "clock.csv").write_text(
        "monotonic_ns,realtime_ns,source\n100000000000,1795000100000000000,phone of Maximilian\n"
    )
    (out / "subjects.csv").write_text(
        "subject,licence,consent,born\nanna-01,CC0,all,1990-02-03\nberta-02,CC0,motion,1991-01-01\n"
    )
    return out


def pseudonymise(recordings: Path, out: Path, key: Path, *options: object) -> dict[str, Path]:
    """Give the folders of the copies by the new names of people, one of each."""
    done = dataset("pseudonymise", recordings, "--key", key, "-o", out, *options)
    assert done.code == 0, done.err
    return {path.name.split("_")[0]: path for path in sorted(out.iterdir()) if path.is_dir()}


def copy_of(folder: Path, out: Path, key: Path) -> Path:
    with Session.open(folder) as session:
        new = json.loads(key.read_text())["sessions"][session.session_id]
    (found,) = out.glob(f"*{new}")
    return found


# --- pseudonymise --------------------------------------------------------------------------------


def test_copies_verify_and_name_nobody(recordings, tmp_path):
    key, out = tmp_path / "key.json", tmp_path / "out"
    assert sorted(pseudonymise(recordings, out, key)) == ["P001", "P002"]
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert dataset("verify", out).code in (0, 3)
    names = (b"anna-01", b"berta-02", "Zoë".encode(), b"Maximilian", b"zoes-pi", b"video of")
    names += (b"she was sad", b"1990-02-03", b"phone of")
    ids = [small.session_id(n).encode() for n in (1, 2, 3)]
    for name, content in small.content(out).items():
        for secret in (*names, *ids, small.BOOT.encode()):
            assert secret not in content, (name, secret)
            assert secret.decode() not in name
    for folder in (path for path in out.iterdir() if path.is_dir()):
        with h5py.File(folder / "session.h5") as file:
            texts: list[str] = [str(file["configuration"][()])]
            file.visititems(lambda name, item, texts=texts: texts.extend(all_texts(item)))
            texts += [str(value) for value in file.attrs.values()]
        whole = "\n".join(texts)
        for secret in (*names, small.BOOT.encode()):
            assert secret.decode() not in whole
    subjects = (out / "subjects.csv").read_text()
    assert subjects == "subject,licence,consent\nP001,CC0,{}\nP002,CC0,{}\n".format(
        *(consent for _, consent in sorted(consents(key).items()))
    )


def consents(key: Path) -> dict[str, str]:
    people = json.loads(key.read_text())["subjects"]
    return {people["anna-01"]["name"]: "all", people["berta-02"]["name"]: "motion"}


def all_texts(item: h5py.Group | h5py.Dataset) -> list[str]:
    texts = [str(value) for value in item.attrs.values()]
    if isinstance(item, h5py.Dataset) and item.dtype.hasobject:
        texts += [str(value) for value in np.ravel(item.asstr()[()])]
    return texts


def test_samples_stamps_and_labels_stay_and_dates_move_by_whole_days(recordings, tmp_path):
    key, out = tmp_path / "key.json", tmp_path / "out"
    pseudonymise(recordings, out, key)
    people = json.loads(key.read_text())["subjects"]
    new_ids = json.loads(key.read_text())["sessions"]
    boots: set[str] = set()
    for folder in (path for path in recordings.iterdir() if path.is_dir()):
        with Session.open(folder) as session, Session.open(copy_of(folder, out, key)) as copy:
            person = people[session.subject]
            assert copy.subject == person["name"]
            assert copy.continues == new_ids.get(session.continues, "")
            for name in session.streams:
                counts = session.stream(name).read_counts()
                assert np.array_equal(copy.stream(name).read_counts(), counts)
                values = session.stream(name).read()
                assert np.array_equal(copy.stream(name).read(), values, equal_nan=True)
                stamps = session.stream(name).monotonic_ns
                assert np.array_equal(copy.stream(name).monotonic_ns, stamps)
                moved = session.stream(name).time - copy.stream(name).time
                assert set(moved.tolist()) == {person["shift_days"] * DAY_NS}
            assert copy.start_utc[11:] == session.start_utc[11:]
            assert copy.start_utc != session.start_utc
            spans = [(x.start_ns, x.stop_ns, x.label) for x in session.labels]
            assert [(x.start_ns, x.stop_ns, x.label) for x in copy.labels] == spans
            assert copy.host == ""
            assert set(copy.marks["text"]) <= {""}
            assert copy.store.file["provenance"].attrs["pseudonymised"]
            boots.add(copy.boot_id)
    assert len(boots) == 1


def test_dates_may_be_removed_or_kept(recordings, tmp_path):
    key = tmp_path / "key.json"
    pseudonymise(recordings, tmp_path / "without", key, "--dates", "remove")
    pseudonymise(recordings, tmp_path / "with", key, "--dates", "keep")
    for folder in (path for path in recordings.iterdir() if path.is_dir()):
        with Session.open(copy_of(folder, tmp_path / "without", key)) as copy:
            assert copy.start_utc == ""
            assert not copy.clock_synchronised
            assert len(copy.clock["realtime_ns"]) == 0
            assert np.array_equal(copy.stream("accel").time, copy.stream("accel").monotonic_ns)
        with (
            Session.open(folder) as session,
            Session.open(copy_of(folder, tmp_path / "with", key)) as copy,
        ):
            assert copy.start_utc == session.start_utc


def test_the_same_key_gives_the_same_names_and_bytes(recordings, tmp_path):
    key = tmp_path / "key.json"
    pseudonymise(recordings, tmp_path / "a", key)
    pseudonymise(recordings, tmp_path / "b", key)
    assert small.content(tmp_path / "a") == small.content(tmp_path / "b")
    pseudonymise(recordings / "S02-three", tmp_path / "c", key)
    (again,) = (path for path in (tmp_path / "c").iterdir() if path.is_dir())
    assert small.content(again) == small.content(tmp_path / "a" / again.name)
    pseudonymise(recordings, tmp_path / "d", tmp_path / "other.json")
    assert not set(small.content(tmp_path / "d")) & set(small.content(tmp_path / "a")) - {
        "subjects.csv"
    }


def test_serial_numbers_of_chips_go(tmp_path):
    folder = record_unsealed(tmp_path / "recordings", "simulated", 3.0)
    seal(folder)
    key, out = tmp_path / "key.json", tmp_path / "out"
    pseudonymise(tmp_path / "recordings", out, key)
    with Session.open(folder) as session, Session.open(copy_of(folder, out, key)) as copy:
        assert session.stream("thermal").attributes["serial"]
        assert copy.stream("thermal").attributes["serial"] == ""
        own, kept = (
            session.stream("thermal").column("eeprom"),
            copy.stream("thermal").column("eeprom"),
        )
        assert np.flatnonzero(own != kept).tolist() == [7, 8, 9]
        assert copy.verify().ok


def test_what_cannot_be_pseudonymised_is_one_sentence_and_leaves_nothing(recordings, tmp_path):
    out = tmp_path / "out"

    def refused(path: Path, key: Path) -> str:
        done = dataset("pseudonymise", path, "--key", key, "-o", out)
        assert done.code == 1
        assert not out.exists()
        return done.error

    assert "it would lie among what it is to protect" in refused(recordings, out / "key.json")
    assert not (tmp_path / "key.json").exists()
    small.unsealed(tmp_path / "waiting", "one")
    assert "it is not sealed yet" in refused(tmp_path / "waiting", tmp_path / "key.json")
    (tmp_path / "key.json").write_text("{}")
    assert "others may read it" in refused(recordings, tmp_path / "key.json")


# --- forget --------------------------------------------------------------------------------------


@pytest.fixture
def places(tmp_path) -> Path:
    """Give a place with sessions, a dataset, a cache, exports, receipts and links."""
    place = tmp_path / "place"
    sessions = study(place / "sessions", 2)
    small.unsealed(place / "sessions", "waiting", 9, subject="S01")
    small.sealed(tmp_path / "elsewhere", "linked", 8, subject="S01")
    (place / "link").symlink_to(tmp_path / "elsewhere")
    (place / "sessions" / "subjects.csv").write_text(
        "subject,licence,consent\nS01,CC0,all\nS02,CC0,all\n"
    )
    sealed = [path for path in session_folders(sessions) if (path / "session.h5").exists()]
    build(sealed, place / "dataset", protocol="random")
    build([sealed[1]], place / "of S02", protocol="random")
    (place / ".dataset.building").mkdir()
    for to in ("csv", "motion-bids", "session"):
        assert dataset("export", *sealed, "--to", to, "-o", place / to).code == 0
    assert dataset("export", place / "dataset", "--to", "arrays", "-o", place / "arrays").code == 0
    assert dataset("verify", *sealed, "--receipt", place / "receipts.csv").code in (0, 3)
    return place


def forget(*arguments: object) -> tuple[int, dict]:
    done = dataset("forget", *arguments, "--json")
    assert done.out, done.err
    return done.code, json.loads(done.out)


def relative(found: dict, place: Path) -> set[str]:
    return {str(Path(item["path"]).relative_to(place)) for item in found["found"]}


def test_everything_of_a_person_is_listed_and_nothing_removed(places):
    before = small.content(places)
    code, found = forget("S01", places)
    assert code == 3
    listed = relative(found, places)
    of_s01 = {name for name in listed if name.startswith(("sessions/", "csv/", "session/"))}
    assert "sessions/waiting" in of_s01
    assert listed - of_s01 == {
        *("dataset", ".dataset.building", "arrays", "receipts.csv"),
        *("motion-bids/sub-S01", "motion-bids/participants.tsv"),
    }
    assert len(of_s01) == 2 + 1 + 1 + 1  # two sessions, subjects.csv, two exports
    assert found["rebuild"] == [str(places / "dataset")]
    assert [item["kind"] for item in found["found"]][:2] == ["session", "session"]
    assert small.content(places) == before
    shown = dataset("forget", "S01", places)
    assert shown.code == 3
    assert "nothing was removed. To remove them, add --yes" in shown.out


def test_everything_of_a_person_is_removed_and_of_others_nothing(places, tmp_path):
    code, removed = forget("S01", places, "--yes")
    assert (code, removed["problems"]) == (0, [])
    for item in removed["found"]:
        assert item["kind"] == "row" or not Path(item["path"]).exists()
    assert forget("S01", places) == (
        0,
        {"subject": "S01", "removed": False, "found": [], "rebuild": [], "problems": []},
    )
    for name, content in small.content(places).items():
        if name.endswith((".csv", ".tsv", ".json")):
            assert b"S01" not in content, name
    assert (places / "of S02" / "dataset.h5").exists()
    assert (places / "link").is_symlink()
    assert (tmp_path / "elsewhere" / "linked" / "session.h5").exists()
    assert "S02" in (places / "sessions" / "subjects.csv").read_text()
    assert "sub-S02" in (places / "motion-bids" / "participants.tsv").read_text()
    assert len((places / "receipts.csv").read_text().splitlines()) == 2
    code, found = forget("S02", places)
    assert code == 3
    assert any(item["kind"] == "session" for item in found["found"])


def test_with_the_key_a_person_is_found_under_the_other_name_as_well(recordings, tmp_path):
    key, out = tmp_path / "key.json", tmp_path / "out"
    pseudonymise(recordings, out, key)
    assert len(forget("anna-01", out)[1]["found"]) == 0
    code, _ = forget("anna-01", out, recordings, "--key", key, "--yes")
    assert code == 0
    assert len([path for path in out.iterdir() if path.is_dir()]) == 1
    assert list(json.loads(key.read_text())["subjects"]) == ["berta-02"]


def test_what_cannot_be_read_or_removed_is_told_and_the_rest_is_removed(recordings):
    damaged = recordings / "S02-three" / "session.h5"
    damaged.write_bytes(damaged.read_bytes()[:4000])
    with locked(recordings / "S01-one"):
        done = dataset("forget", "anna-01", recordings, "--yes")
    assert done.code == 1
    assert "truncated or damaged" in done.err
    assert "S01-one: another process" in done.err
    assert "Traceback" not in done.err
    assert not (recordings / "S01-two").exists()
    assert (recordings / "S01-one" / "session.h5").exists()


def test_a_removal_that_was_interrupted_is_found_again(recordings, monkeypatch):
    shutil.rmtree(recordings / "S01-two")
    (recordings / "S01-one" / "further").mkdir()

    def interrupted(path: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(shutil, "rmtree", interrupted)
    with pytest.raises(KeyboardInterrupt):
        remove(find_traces(["anna-01"], [recordings]).traces)
    monkeypatch.undo()
    assert forget("anna-01", recordings, "--yes")[0] == 0
    assert not (recordings / "S01-one").exists()


def test_nothing_found_is_said(recordings):
    done = dataset("forget", "S77", recordings)
    assert (done.code, done.out) == (0, "nothing of S77 was found\n")
