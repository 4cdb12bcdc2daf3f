"""Ready windows as a dataset: kept as they are, audited, with the split that they came with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.unit.small_sessions import content
from wban_dataset import load_dataset
from wban_dataset.dataset.ready import write_ready_dataset
from wban_dataset.errors import DatasetError
from wban_dataset.sources.ready_windows import ReadyWindows

N_POINTS = 16
SUBJECTS = ["P2", "P1", "P2", "P1", "P3", "P3"]


def ready(
    subject: list[str] = SUBJECTS, role: tuple[int, ...] = (1, 1, 1, 1, 3, 3)
) -> ReadyWindows:
    """Give six windows, each of its own noise, in the order of the files."""
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (6, N_POINTS, 3)).astype(np.float32)
    return ReadyWindows(
        streams={"accel": values},
        kinds={"accel": "accel"},
        units={"accel": "m s-2"},
        sampling_rate_hz=50.0,
        classes=("sitting", "walking"),
        label=np.array([0, 1, 1, 0, 0, 1], dtype=np.int16),
        subject=subject,
        role=np.array(role, dtype=np.uint8),
        source="made",
    )


def test_windows_stay_as_they_were_sorted_by_subject(tmp_path: Path):
    given = ready()
    report = write_ready_dataset(given, tmp_path / "d")
    assert (report.n_windows, report.n_subjects, report.leaky) == (6, 3, False)
    with load_dataset(tmp_path / "d") as dataset:
        assert dataset.timebase == "none"
        assert dataset.subject.tolist() == ["P1", "P1", "P2", "P2", "P3", "P3"]
        found = dataset.arrays()
        order = [1, 3, 0, 2, 4, 5]
        np.testing.assert_array_equal(found.data["accel"], given.streams["accel"][order])
        assert found.label.tolist() == given.label[order].tolist()
        assert dataset.fold("given").role.tolist() == [1, 1, 1, 1, 3, 3]
        assert not dataset.stream("accel").monotonic_ns(0, 6 * N_POINTS).any()
        test = dataset.arrays("given", "test", normalise="train")
        mean = given.streams["accel"][:4].reshape(-1, 3).mean(axis=0)
        np.testing.assert_allclose(test.normalisation["accel"].mean, mean, atol=1e-6)


def test_a_split_that_shares_a_person_is_kept_and_marked_leaky(tmp_path: Path):
    report = write_ready_dataset(ready(role=(1, 1, 3, 1, 3, 3)), tmp_path / "d")
    assert report.leaky
    splits = json.loads((tmp_path / "d" / "splits.json").read_text(encoding="utf-8"))
    assert splits["leaky"] is True
    assert splits["independent"] is False
    with load_dataset(tmp_path / "d") as dataset:
        assert dataset.leaky


def test_the_same_windows_give_the_same_bytes(tmp_path: Path):
    write_ready_dataset(ready(), tmp_path / "one")
    write_ready_dataset(ready(), tmp_path / "two")
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_a_place_that_holds_something_else_is_not_touched(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DatasetError, match=r"it holds notes\.txt"):
        write_ready_dataset(ready(), tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_copy_of_a_ready_window_under_another_name_is_found_when_it_is_written(tmp_path: Path):
    given = ready()
    values = np.random.default_rng(1).normal(0, 1, (6, 64, 3)).astype(np.float32)
    values[4] = values[0]  # P3, who tests, and P2, who trains
    report = write_ready_dataset(replace(given, streams={"accel": values}), tmp_path / "d")
    assert report.leaks == {"near-duplicate recording": 1}
