"""wban-dataset import hapt: real recordings as sessions."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from tests.integration.command_line import dataset
from tests.unit.small_sessions import content
from wban_dataset.recording import timebase
from wban_dataset.recording.session import Session

HAPT = Path(__file__).parents[1] / "data" / "hapt"
NAME = "hapt_exp10_user05"
MS = 1_000_000


@pytest.fixture(scope="module")
def rows() -> dict[str, np.ndarray]:
    """Give acceleration in g and angular rate in rad/s as the files have them, (n, 3) each."""
    with tarfile.open(HAPT / "RawData.tar.xz") as archive:
        return {
            kind: np.loadtxt(archive.extractfile(f"RawData/{kind}_exp10_user05.txt"))
            for kind in ("acc", "gyro")
        }


@pytest.fixture
def unpacked(tmp_path: Path) -> Path:
    """Give a copy with RawData as a folder, to be spoilt."""
    shutil.copytree(HAPT, tmp_path / "hapt")
    with tarfile.open(HAPT / "RawData.tar.xz") as archive:
        archive.extractall(tmp_path / "hapt", filter="data")
    return tmp_path / "hapt"


def test_a_recording_keeps_every_count_and_label(tmp_path: Path, rows: dict[str, np.ndarray]):
    outcome = dataset("import", "hapt", HAPT, "--out", tmp_path)
    assert outcome.code == 0, outcome.err
    assert "1 session of 1 person; 0.08 h, 30,076 samples, 20 labels" in outcome.out
    assert outcome.err == ""
    with Session.open(tmp_path / NAME) as session:
        assert (session.subject, session.start_utc) == ("user05", "")
        assert session.attributes["source"] == "hapt"
        assert session.attributes["recording"] == "exp10"
        accel, gyro = session.stream("accel"), session.stream("gyro")
        np.testing.assert_allclose(accel.read() / 9.80665, rows["acc"], atol=2e-7)
        np.testing.assert_allclose(gyro.read(), rows["gyro"], atol=1e-6)
        np.testing.assert_array_equal(accel.read_counts(), np.rint(rows["acc"] * 720))
        assert accel.monotonic_ns.tolist() == (np.arange(15038) * 20_000_000).tolist()
        assert (accel.effective_rate_hz, accel.placement) == (50.0, "waist")
        assert timebase.refit(session)["accel"].tolist() == accel.monotonic_ns.tolist()
        first, second = session.labels[:2]
        assert (first.label, first.start_ns, first.stop_ns) == ("standing", 3_040 * MS, 23_040 * MS)
        assert (second.label, second.start_ns) == ("stand_to_sit", first.stop_ns)
        assert {label.source for label in session.labels} == {"import"}
        assert session.complete
        assert session.verify().ok
        assert session.quality["accel"]["n_gaps"] == 0


def test_folder_and_archive_give_the_same_bytes(tmp_path: Path, unpacked: Path):
    assert dataset("import", "hapt", HAPT, "--out", tmp_path / "one").code == 0
    (unpacked / "RawData.tar.xz").unlink()
    assert dataset("import", "hapt", unpacked, "--out", tmp_path / "two").code == 0
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_the_session_is_inspected_and_verified_like_any_other(tmp_path: Path):
    dataset("import", "hapt", HAPT, "--out", tmp_path)
    assert "date unknown" in dataset("inspect", tmp_path / NAME).out
    outcome = dataset("verify", tmp_path / NAME)
    assert (outcome.code, "intact" in outcome.out) == (0, True)


def spoil(path: Path, row: int, text: str) -> None:
    lines = path.read_text("utf-8").splitlines()
    lines[row - 1] = text
    path.write_text("\n".join(lines) + "\n", "utf-8")


@pytest.mark.parametrize(
    ("file", "row", "text", "says"),
    [
        ("RawData/acc_exp10_user05.txt", 7, "1 2", "row 7: it has 2 columns, expected 3"),
        ("RawData/gyro_exp10_user05.txt", 9, "1 nan 2", "row 9: it says 'nan'"),
        ("labels.txt", 3, "10 5 4 1388", "row 3: it says '10 5 4 1388', expected five"),
        ("labels.txt", 3, "10 5 44 1388 2182", "row 3: it gives activity 44"),
        ("labels.txt", 20, "10 5 2 13593 15039", "row 20: it ends at sample 15039"),
        ("labels.txt", 3, "10 5 4 1300 2182", "begins before 'stand_to_sit' ends"),
        ("labels.txt", 3, "11 5 4 1388 2182", "row 3: it labels experiment 11"),
        ("activity_labels.txt", 2, "two WALKING", "row 2: it says 'two WALKING'"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_file_and_row(
    tmp_path: Path, unpacked: Path, file: str, row: int, text: str, says: str
):
    spoil(unpacked / file, row, text)
    outcome = dataset("import", "hapt", unpacked, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert says in outcome.error
    assert content(tmp_path / "out") == {}


@pytest.mark.parametrize(
    "file", ["labels.txt", "activity_labels.txt", "RawData/gyro_exp10_user05.txt"]
)
def test_a_missing_file_is_told(tmp_path: Path, unpacked: Path, file: str):
    (unpacked / file).unlink()
    outcome = dataset("import", "hapt", unpacked, "--out", tmp_path / "out")
    assert outcome.code == 1
    assert Path(file).name in outcome.error
    assert "missing" in outcome.error


def test_an_import_that_was_killed_is_begun_again(tmp_path: Path):
    left = tmp_path / f".{NAME}.part" / "journal"
    left.mkdir(parents=True)
    (left / "000000.wbj").write_bytes(b"half a segment")
    assert dataset("import", "hapt", HAPT, "--out", tmp_path).code == 0
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.slow
def test_the_whole_set(shared_data: Path, tmp_path: Path):
    outcome = dataset("import", "hapt", shared_data / "hapt", "--out", tmp_path, "--workers", "2")
    assert outcome.code == 0, outcome.err
    assert "61 sessions of 30 people; 6.24 h, 2,245,544 samples, 1214 labels" in outcome.out
    assert outcome.err == ""
    assert (tmp_path / "hapt_exp01_user01" / "session.h5").is_file()
