"""A built dataset in a notebook: windows as arrays, tables, normalised by training rows alone."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

import wban_dataset
from tests.integration.motion_sessions import motion_session, picture, study, walk
from wban_dataset import build, load_dataset
from wban_dataset.errors import DatasetError
from wban_dataset.splits.fold import Role


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("opened")
    study(folder / "s", 3, frames=True)
    motion_session(folder / "s", "S04", 4)  # without pictures
    return build(folder / "s", folder / "dataset", infrared_size=(6, 8)).out


@pytest.fixture
def dataset(place: Path):
    with load_dataset(place) as opened:
        yield opened


def test_arrays_are_the_samples_of_each_window(dataset):
    found = dataset.arrays(streams=["accel"])
    assert found.data["accel"].shape == (4 * 28, 100, 3)
    assert found.data["accel"].dtype == np.float32
    assert found.rows.tolist() == list(range(4 * 28))
    assert found.mask["accel"].all()
    second = found.data["accel"][28]
    # Sample by sample but for the chip's clock, which is 2 ppm off in the fit.
    np.testing.assert_allclose(second, walk(2, 12)[:100] * 0.04, atol=0.05)


def test_a_fold_gives_windows_by_their_role(dataset):
    test = dataset.arrays("S02", "test", streams=["accel"])
    assert set(dataset.subject[test.rows]) == {"S02"}
    assert dataset.arrays("S02", Role.TEST, streams=["accel"]).rows.tolist() == test.rows.tolist()
    train, validation = (dataset.rows("S02", role) for role in ("train", "validation"))
    assert len(train) + len(validation) + len(test) == 4 * 28
    assert len(dataset.rows("S02")) == 4 * 28


def test_normalisation_is_fitted_to_the_samples_of_training_windows_alone(dataset):
    train = dataset.arrays("S01", "train", streams=["accel"], normalise="train")
    test = dataset.arrays("S01", "test", streams=["accel"], normalise="train")
    statistics = test.normalisation["accel"]
    people = sorted(set(dataset.subject[dataset.rows("S01", "train")]))
    # The last window ends at 11.8 s: 1180 samples of each, or one less at the edge.
    samples = np.concatenate([walk(int(name[1:]), 12)[:1180] * 0.04 for name in people])
    np.testing.assert_allclose(statistics.mean, samples.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(statistics.standard_deviation, samples.std(axis=0), atol=0.02)
    assert statistics.n_rows == pytest.approx(len(samples), abs=2 * len(people))
    assert train.normalisation["accel"] is statistics
    np.testing.assert_allclose(train.data["accel"].mean(axis=(0, 1)), 0.0, atol=0.02)
    plain = dataset.arrays("S01", "test", streams=["accel"]).data["accel"]
    expected = (plain - statistics.mean) / statistics.standard_deviation
    np.testing.assert_allclose(test.data["accel"], expected, atol=1e-4)


def test_pictures_are_the_nearest_to_the_centre_and_masked_where_there_are_none(dataset):
    found = dataset.arrays(streams=["infrared"])
    pictures = found.data["infrared"]
    assert pictures.shape == (4 * 28, 6, 8)
    assert pictures.dtype == np.uint8
    np.testing.assert_array_equal(pictures[0], picture(1, 2))  # taken 0.4 s after the start
    np.testing.assert_array_equal(pictures[29], picture(2, 4))
    assert found.mask["infrared"].tolist() == [True] * 84 + [False] * 28
    assert not pictures[84:].any()
    normal = dataset.arrays("S04", "train", streams=["infrared"], normalise="train")
    assert normal.data["infrared"].dtype == np.float32
    assert normal.data["infrared"].mean() == pytest.approx(0, abs=0.05)


def test_the_table_names_labels_subjects_and_roles(dataset):
    pytest.importorskip("pandas", reason="the extra analysis is not installed")
    table = dataset.to_pandas("S03")
    assert len(table) == 4 * 28
    assert table["label"].value_counts().to_dict() == {"sitting": 56, "walking": 56}
    assert table["next_label"][0] == "walking"
    assert table["previous_label"][0] == ""
    assert set(table.loc[table["role"] == "test", "subject"]) == {"S03"}
    assert "role" not in dataset.to_pandas()


def test_xarray_has_names_and_units(dataset):
    pytest.importorskip("xarray", reason="the extra analysis is not installed")
    found = dataset.to_xarray("S01", "test", streams=["accel", "infrared"])
    assert found["accel"].dims == ("window", "accel_sample", "accel_channel")
    assert found["accel"].attrs["units"] == "m s-2"
    assert found["infrared"].sizes["infrared_row"] == 6
    assert set(found["subject"].values) == {"S01"}
    assert found.attrs == {"fold": "S01", "role": "test"}


def test_it_says_in_a_line_what_it_is(dataset):
    assert repr(dataset) == (
        "<Dataset dataset: 4 sessions, 112 windows, 2 classes, loso with 4 folds>"
    )


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda d: d.stream("gyro"), "it has no stream 'gyro', expected one of accel, infrared"),
        (lambda d: d.fold("S09"), "it has no fold 'S09', expected one of S01, S02, S03, S04"),
        (lambda d: d.arrays(role="test"), "without a fold"),
        (lambda d: d.arrays(normalise="train"), "normalising was asked for without a fold"),
        (lambda d: d.arrays(d.folds[0].name, normalise="test"), "normalise is 'test'"),
        (lambda d: d.arrays(d.folds[0].name, normalise=False), "normalise is False"),
    ],
)
def test_what_is_not_there_is_a_sentence(dataset, ask, said):
    with pytest.raises(DatasetError, match=said):
        ask(dataset)


def test_an_unknown_role_is_the_callers_mistake(dataset):
    with pytest.raises(ValueError, match="expected one of unused, train, validation, test"):
        dataset.rows("S01", "training")


def test_what_is_no_dataset_is_a_sentence(place, tmp_path):
    with pytest.raises(DatasetError, match=r"there is no dataset\.h5 in it"):
        load_dataset(tmp_path)
    (tmp_path / "dataset.h5").write_bytes(b"something else")
    with pytest.raises(DatasetError, match="it cannot be read"):
        load_dataset(tmp_path)
    (tmp_path / "dataset.h5").write_bytes((place / "dataset.h5").read_bytes())
    with h5py.File(tmp_path / "dataset.h5", "r+") as file:
        file.attrs["format_version"] = 99
    with pytest.raises(DatasetError, match="its format version is 99, expected 1"):
        load_dataset(tmp_path)
    with h5py.File(tmp_path / "dataset.h5", "r+") as file:
        file.attrs["format"] = "wban-session"
    with pytest.raises(DatasetError, match="its format is 'wban-session'"):
        load_dataset(tmp_path)


def test_public_names_come_when_they_are_asked_for():
    assert wban_dataset.load_dataset is load_dataset
    with pytest.raises(AttributeError, match="has no attribute 'laod_dataset'"):
        _ = wban_dataset.laod_dataset
