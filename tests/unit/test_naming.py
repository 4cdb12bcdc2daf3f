"""Sessions that were named by boot, once the boot has learnt the true time."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.integration import session_journal as made
from tests.unit import small_sessions as small
from wban_collect.keeping import summaries
from wban_collect.keeping.catalogue import Catalogue
from wban_collect.keeping.naming import true_time_learnt
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.session import Session
from wban_dataset.recording.streams import ClockAnchor

S = made.SECOND_NS
NAME = "boot-197821f3_100_S01_eating"

# An hour after the session began, at 100 s after boot, it is 2026-11-23 15:05:12.5 UTC
# (1795446312.5 s after 1970). So it began at 14:05:12.5.
LEARNT = ClockAnchor(made.START_NS + 3600 * S, 0, 1_795_446_312_500_000_000, True, 1000)
TRUE_NAME = "20261123T140512Z_S01_eating"


def learn(out):
    return true_time_learnt(out, small.BOOT, LEARNT)


def test_a_session_without_a_clock_gets_its_time_and_its_name(tmp_path):
    folder = small.sealed(tmp_path, NAME, synchronised=False)
    with Session.open(folder) as session:
        assert (session.start_utc, session.clock_synchronised) == ("", False)
    sealed = (folder / "session.h5").read_bytes()
    assert learn(tmp_path) == [(folder, tmp_path / TRUE_NAME)]
    with Session.open(tmp_path / TRUE_NAME) as session:
        assert session.start_utc == "2026-11-23T14:05:12.500000000Z"
        assert session.clock_synchronised
        accel = session.stream("accel")
        begun_ns = LEARNT.realtime_ns - 3600 * S
        assert accel.time[0] == begun_ns + accel.monotonic_ns[0] - made.START_NS
        assert session.verify().ok
    assert (tmp_path / TRUE_NAME / "session.h5").read_bytes() == sealed
    assert (tmp_path / TRUE_NAME / "clock.csv").read_text().splitlines() == [
        "monotonic_ns,realtime_ns,source",
        f"{LEARNT.monotonic_ns},{LEARNT.realtime_ns},same boot",
    ]


def test_the_catalogue_tells_the_new_time(tmp_path):
    small.sealed(tmp_path, NAME, synchronised=False)
    catalogue = Catalogue(tmp_path)
    assert [entry.start_utc for entry in catalogue.entries(1)] == [""]
    true_time_learnt(tmp_path, small.BOOT, LEARNT, catalogue)
    assert [entry.start_utc for entry in catalogue.entries(1)] == ["2026-11-23T14:05:12.500000000Z"]


def test_a_session_that_learnt_the_time_itself_is_only_renamed(tmp_path):
    folder = small.sealed(tmp_path, NAME)
    # By its own clock it began at 1795000100 s after 1970: 2026-11-18 11:08:20 UTC.
    assert learn(tmp_path) == [(folder, tmp_path / "20261118T110820Z_S01_eating")]
    assert not list(tmp_path.rglob("clock.csv"))


def test_sessions_of_one_second_get_numbers_and_none_takes_anothers_name(tmp_path):
    (tmp_path / TRUE_NAME).mkdir()
    for name in (NAME, f"{NAME}-2"):
        small.sealed(tmp_path, name, synchronised=False)
    assert [after.name for _, after in learn(tmp_path)] == [f"{TRUE_NAME}-2", f"{TRUE_NAME}-3"]
    assert list((tmp_path / TRUE_NAME).iterdir()) == []


def test_again_it_does_nothing_and_runs_no_child(tmp_path, monkeypatch):
    small.sealed(tmp_path, NAME, synchronised=False)
    learn(tmp_path)
    before = small.content(tmp_path)
    monkeypatch.setattr(summaries.subprocess, "run", lambda *_, **__: pytest.fail("a child ran"))
    assert learn(tmp_path) == []
    assert small.content(tmp_path) == before


def test_cut_off_between_its_two_steps_it_goes_on(tmp_path):
    folder = small.sealed(tmp_path, NAME, synchronised=False)
    (folder / "clock.csv").write_text(
        f"monotonic_ns,realtime_ns,source\n{LEARNT.monotonic_ns},{LEARNT.realtime_ns},earlier\n"
    )
    assert learn(tmp_path) == [(folder, tmp_path / TRUE_NAME)]
    assert "earlier" in (tmp_path / TRUE_NAME / "clock.csv").read_text()


# --- left alone ----------------------------------------------------------------------------------


def test_other_boots_unsealed_and_other_names_are_left_alone(tmp_path):
    other = small.sealed(tmp_path, NAME, synchronised=False)
    small.unsealed(tmp_path, "boot-197821f3_200_S01_eating", synchronised=False)
    half = small.sealed(tmp_path, "boot-197821f3_300_S01_eating", synchronised=False)
    (half / "journal").mkdir()
    small.sealed(tmp_path, "20250101T000000Z_S01_eating", synchronised=False)
    (tmp_path / "boot-197821f3_400_S01_eating").mkdir()
    (tmp_path / "boot-197821f3_notes").write_text("a person's")
    before = small.content(tmp_path)
    # Another boot whose id begins alike.
    assert true_time_learnt(tmp_path, small.OTHER_BOOT, LEARNT) == []
    (other / "summary.json").unlink()
    assert small.content(tmp_path) == before
    assert true_time_learnt(tmp_path, "", LEARNT) == []
    assert [before.name for before, _ in learn(tmp_path)] == [NAME]


def test_what_somebody_works_on_is_left_for_the_next_time(tmp_path):
    folder = small.sealed(tmp_path, NAME, synchronised=False)
    with locked(folder):
        assert learn(tmp_path) == []
    assert folder.is_dir()
    assert not (folder / "clock.csv").exists()
    assert len(learn(tmp_path)) == 1


def test_a_disk_that_refuses_leaves_the_name(tmp_path, monkeypatch, caplog):
    folder = small.sealed(tmp_path, NAME, synchronised=False)

    def refuse(_fd):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        assert learn(tmp_path) == []
    assert "keeps its name" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == [NAME]
    assert [before for before, _ in learn(tmp_path)] == [folder]


def test_a_clock_that_is_not_right_tells_no_time(tmp_path):
    unsure = ClockAnchor(1, 1, 1, synchronised=False, est_error_ns=0)
    with pytest.raises(ValueError, match="not synchronised"):
        true_time_learnt(tmp_path, small.BOOT, unsure)


def test_the_child_is_the_only_process_it_needs(tmp_path, monkeypatch):
    for number in range(3):
        small.sealed(tmp_path, f"boot-197821f3_{number}_S01_eating", synchronised=False)
    ran = []
    run = subprocess.run

    def counted(command, **options):
        ran.append(command)
        return run(command, **options)

    monkeypatch.setattr(summaries.subprocess, "run", counted)
    assert len(learn(tmp_path)) == 3
    assert len(ran) == 2  # one for all of them before, one after
