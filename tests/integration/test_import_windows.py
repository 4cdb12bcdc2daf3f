"""wban-dataset import windows: folders like UCI-HAR's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.integration.command_line import dataset
from wban_dataset.errors import DatasetError
from wban_dataset.sources.ready_windows import read_windows

N_SAMPLES = 16
SUBJECTS = {"train": [1, 1, 3, 3, 3], "test": [2, 2, 4]}
CODES = {"train": [1, 2, 1, 5, 2], "test": [5, 1, 2]}


def values(part: str, signal: str, axis: str) -> np.ndarray:
    seed = sum(f"{part}{signal}{axis}".encode())
    return np.random.default_rng(seed).normal(size=(len(CODES[part]), N_SAMPLES)).round(6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write a small folder with one around it, as an archive has."""
    root = tmp_path / "in" / "Made up data"
    for part in CODES:
        signals = root / part / "Inertial Signals"
        signals.mkdir(parents=True)
        for signal in ("total_acc", "body_gyro"):
            for axis in "xyz":
                rows = [
                    " ".join(f"{v:.7e}" for v in row) for row in values(part, signal, axis).tolist()
                ]
                (signals / f"{signal}_{axis}_{part}.txt").write_text("\n".join(rows) + "\n")
        for stem, column in (("y", CODES), ("subject", SUBJECTS)):
            text = "".join(f"{value}\n" for value in column[part])
            (root / part / f"{stem}_{part}.txt").write_text(text)
    (root / "activity_labels.txt").write_text("1 WALKING\n2 SITTING\n5 LAYING\n")
    return tmp_path / "in"


def test_windows_keep_their_values_labels_people_and_split(folder: Path):
    ready = read_windows(folder, sampling_rate_hz=50.0)
    assert len(ready) == 8
    assert ready.classes == ("walking", "sitting", "laying")
    assert ready.label.tolist() == [0, 1, 0, 2, 1, 2, 0, 1]
    assert ready.subject == ["01", "01", "03", "03", "03", "02", "02", "04"]
    assert ready.role.tolist() == [1] * 5 + [3] * 3
    assert ready.kinds == {"body_gyro": "gyro", "total_acc": "accel"}
    assert ready.units == {"body_gyro": "rad s-1", "total_acc": "m s-2"}
    accel = ready.streams["total_acc"]
    assert (accel.dtype, accel.shape) == (np.float32, (8, N_SAMPLES, 3))
    wanted = np.stack([values("test", "total_acc", axis) for axis in "xyz"], axis=-1)
    np.testing.assert_allclose(accel[5:], wanted * 9.80665, rtol=1e-6)
    wanted = np.stack([values("train", "body_gyro", axis) for axis in "xyz"], axis=-1)
    np.testing.assert_allclose(ready.streams["body_gyro"][:5], wanted, rtol=1e-6)


def test_the_command_makes_a_dataset(folder: Path, tmp_path: Path):
    outcome = dataset("import", "windows", folder, "--out", tmp_path / "out")
    assert outcome.code == 0, outcome.err
    assert "8 windows of 4 people, 3 classes" in outcome.out
    assert (tmp_path / "out" / "dataset.h5").is_file()


def spoil(folder: Path, file: str, text: str | None) -> None:
    path = folder / "Made up data" / file
    if text is None:
        path.unlink()
    else:
        path.write_text(text)


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("train/y_train.txt", None, "it holds no train/y_train.txt"),
        ("test/y_test.txt", None, "it has the parts train"),
        ("test/subject_test.txt", "2\n2\n", "8 of labels, 7 of subjects"),
        ("test/y_test.txt", "5\n1\n9\n", "window 8 has the label 9"),
        ("test/y_test.txt", "5\n1.5\n2\n", "row 2: it says 1.5, expected a whole number"),
        ("test/Inertial Signals/total_acc_y_test.txt", None, "total_acc_y_test.txt is missing"),
        ("test/Inertial Signals/total_acc_y_test.txt", "1 2\n3 x\n", "row 2: it says 'x'"),
        ("test/Inertial Signals/total_acc_y_test.txt", "1 2\n3 4\n5 6\n", "as many of each"),
        ("activity_labels.txt", "1\n", "row 1: it says '1', expected a number and a name"),
    ],
)
def test_what_is_wrong_is_told(folder: Path, file: str, text: str | None, says: str):
    spoil(folder, file, text)
    with pytest.raises(DatasetError) as caught:
        read_windows(folder, sampling_rate_hz=50.0)
    assert says in str(caught.value)
