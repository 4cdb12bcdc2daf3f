"""Sessions and options that cannot become a dataset: a sentence each, and nothing is left."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import h5py
import pytest

from tests.integration.motion_sessions import SECOND_NS, START_NS, motion_session, study
from tests.unit.small_sessions import content, sealed, unsealed
from wban_dataset import build
from wban_dataset.errors import DatasetError
from wban_dataset.recording.errors import SessionError

BUILD = """
import sys
from wban_dataset import build
from wban_dataset.errors import DatasetError
try:
    build(sys.argv[1], sys.argv[2])
except DatasetError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def sessions(tmp_path: Path) -> Path:
    return study(tmp_path / "s", 2)


def refused(sessions: Path, error: type[Exception] = DatasetError, **options: object) -> str:
    """Build, which must fail and leave nothing; give the sentence."""
    before = {path.name for path in sessions.parent.iterdir()}
    with pytest.raises(error) as caught:
        build(sessions, sessions.parent / "dataset", **options)
    assert {path.name for path in sessions.parent.iterdir()} == before
    return str(caught.value)


def write_labels(folder: Path, *rows: str) -> None:
    (folder / "labels.csv").write_text("\n".join(("start_ns,stop_ns,label,annotator", *rows)))


def test_overlapping_labels_of_one_annotator(sessions):
    start = START_NS
    write_labels(
        sessions / "S02_2",
        f"{start},{start + 4 * SECOND_NS},sitting,Bea",
        f"{start + 3 * SECOND_NS},{start + 8 * SECOND_NS},walking,Bea",
    )
    said = refused(sessions)
    assert "labels.csv, line 3" in said
    assert "overlaps 'sitting'" in said


def test_a_label_outside_the_session(sessions):
    write_labels(sessions / "S02_2", f"{START_NS},{START_NS + 60 * SECOND_NS},sitting,Bea")
    said = refused(sessions)
    assert "labels.csv, line 2" in said
    assert "outside the session" in said


def test_a_label_of_an_unknown_class(sessions):
    write_labels(sessions / "S02_2", f"{START_NS},{START_NS + 9 * SECOND_NS},siting,Bea")
    said = refused(sessions, classes=["sitting", "walking"])
    assert "labels.csv, line 2" in said
    assert "'siting'" in said
    assert "nearest: 'sitting'" in said


def test_fewer_subjects_than_folds(sessions):
    said = refused(sessions, protocol="group-kfold", folds=4)
    assert "4 folds were asked for, but there are 2 subjects" in said
    assert "--folds 2" in said


def test_one_subject_cannot_be_left_out(tmp_path):
    study(tmp_path / "s", 1)
    assert "only S01 has labelled windows" in refused(tmp_path / "s")


def test_subjects_with_one_class_only_are_told(tmp_path):
    study(tmp_path / "s", 2)
    motion_session(tmp_path / "s", "S03", 3, labels=[("sitting", 0.0, 1.0)])
    report = build(tmp_path / "s", tmp_path / "dataset")
    assert any("one class only" in warning and "S03" in warning for warning in report.warnings)
    assert "one class only" in (report.out / "README.md").read_text(encoding="utf-8")


def test_sessions_without_any_label(tmp_path):
    study(tmp_path / "s", 2, labels=[])
    said = refused(tmp_path / "s")
    assert "none of the 2 sessions has a labelled window" in said


def test_a_truncated_session(sessions):
    file = sessions / "S02_2" / "session.h5"
    file.write_bytes(file.read_bytes()[:20_000])
    said = refused(sessions, SessionError)
    assert "S02_2" in said
    assert "truncated" in said


def test_a_session_that_is_damaged_inside(sessions):
    file = sessions / "S02_2" / "session.h5"
    data = bytearray(file.read_bytes())
    with h5py.File(file, "r") as opened:
        place = opened["accel/data"].id.get_chunk_info(0).byte_offset
    data[place + 10 : place + 30] = b"\xff" * 20
    file.write_bytes(data)
    assert "S02_2" in refused(sessions, SessionError)


def test_a_scale_that_is_no_number(sessions):
    with h5py.File(sessions / "S02_2" / "session.h5", "r+") as file:
        file["accel/data"].attrs["scale_factor"] = float("nan")
    said = refused(sessions)
    assert "S02_2: stream accel has the scale factor nan" in said


def test_a_session_that_is_not_sealed(sessions):
    unsealed(sessions, "open")
    assert "not sealed yet" in refused(sessions, SessionError)


def test_an_empty_folder(tmp_path):
    (tmp_path / "s").mkdir()
    said = refused(tmp_path / "s")
    assert f"{tmp_path / 's'}: there is no session in it" in said


def test_the_same_session_twice(sessions):
    (sessions / "again").mkdir()
    (sessions / "again" / "session.h5").write_bytes(
        (sessions / "S01_1" / "session.h5").read_bytes()
    )
    said = refused(sessions)
    assert "is there twice" in said
    assert "again" in said


def test_other_units_under_one_name(sessions):
    with h5py.File(sessions / "S02_2" / "session.h5", "r+") as file:
        file["accel/data"].attrs["units"] = "g"
    assert "in g, expected accel in m s-2" in refused(sessions)


def test_a_stream_that_ends_early_is_masked_from_there(tmp_path):
    study(tmp_path / "s", 2, frames=True)
    sealed(tmp_path / "s", "short", 9, subject="S03")  # its streams end at different times
    report = build(tmp_path / "s", tmp_path / "dataset", window="500ms")
    assert report.n_sessions == 3


def test_a_window_longer_than_every_session(sessions):
    assert "shorter --window" in refused(sessions, window="1h")


def test_an_unknown_option_names_the_nearest(sessions):
    said = refused(sessions, overlapp=0.5)
    assert "the key overlapp is unknown (did you mean overlap?)" in said


def test_a_place_that_holds_something_else_is_not_touched(sessions, tmp_path):
    place = tmp_path / "notes"
    place.mkdir()
    (place / "diary.txt").write_text("dear diary")
    with pytest.raises(DatasetError, match=r"it holds diary\.txt"):
        build(sessions, place)
    assert content(place) == {"diary.txt": b"dear diary"}


def test_a_place_in_a_folder_that_is_not_there(sessions, tmp_path):
    with pytest.raises(DatasetError, match="there is no such folder"):
        build(sessions, tmp_path / "no" / "dataset")


def test_a_full_disk_leaves_nothing(sessions, tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(place)]
    if subprocess.run(probe, capture_output=True, check=False).returncode:
        pytest.skip("no rights to mount a small disk")
    script = (
        'mount -t tmpfs -o size=40k tmpfs "$1" && { '
        '"$2" -c "$3" "$4" "$1/dataset"; echo "rc=$?"; ls -A "$1"; }'
    )
    words = [str(place), sys.executable, BUILD, str(sessions)]
    command = ["unshare", "-m", "bash", "-c", script, "-", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "rc=1" in done.stdout
    assert done.stdout.strip().endswith("rc=1"), "something is left on the disk"
    assert "no space left" in done.stderr.lower()
    assert "Traceback" not in done.stderr
