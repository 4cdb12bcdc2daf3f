"""The leak meter's features by hand, its choice of windows, and what it cannot measure."""

from __future__ import annotations

import importlib
from dataclasses import replace

import numpy as np
import pytest

from tests.unit.split_studies import people, recordings, signal, windows_of
from wban_dataset.errors import DatasetError
from wban_dataset.splits.fold import Fold, Role
from wban_dataset.splits.leak_meter import chosen_windows, measured
from wban_dataset.splits.recording import Recording
from wban_dataset.splits.window_features import STATISTICS, window_features

CHANNELS = 4


def test_features_of_overlapping_windows_are_those_of_each_alone():
    persons = people(2, seconds=12)
    windows = windows_of(persons)
    rows = np.array([0, 1, 2, len(windows) - 1])
    found = window_features(windows, recordings(persons), rows)
    assert found.shape == (4, CHANNELS * len(STATISTICS))
    values = np.concatenate([p.accel for p in persons]).astype(float)
    for row, features in zip(rows, found, strict=True):
        first, last = windows.first_row["accel"][row], windows.last_row["accel"][row]
        samples = values[first:last]
        samples = np.column_stack([samples, np.linalg.norm(samples, axis=1)])
        expected = [
            samples.mean(axis=0),
            samples.std(axis=0),
            samples.min(axis=0),
            samples.max(axis=0),
            np.abs(np.diff(samples, axis=0)).mean(axis=0),
        ]
        np.testing.assert_allclose(features, np.concatenate(expected), rtol=1e-5, atol=1e-5)


def test_features_of_a_missing_stream_are_nan():
    persons = people(2, seconds=12)
    windows = windows_of(persons)
    present = windows.present["accel"].copy()
    present[1] = False
    last = windows.last_row["accel"].copy()
    last[2] = windows.first_row["accel"][2]
    masked = replace(windows, present={"accel": present}, last_row={"accel": last})
    found = window_features(masked, recordings(persons), np.arange(4))
    assert np.isnan(found[1:3]).all()
    assert np.isfinite(found[[0, 3]]).all()
    assert np.isfinite(window_features(masked, recordings(persons)[:1], np.arange(4))[[0, 3]]).all()


def test_a_picture_counts_as_four_channels_and_unknown_pixels_as_zero():
    persons = people(1, seconds=12)
    windows = windows_of(persons)
    pictures = np.zeros((600, 2, 3), np.float32)
    pictures[:, 0, 0] = 6.0
    pictures[:, 1, 1] = np.nan
    made = [Recording(0, {"accel": signal(pictures, kind="thermal", units="degC")})]
    found = window_features(windows, made, np.array([3]))
    mean, deviation, smallest, largest = found[0, :CHANNELS]
    assert (mean, smallest, largest) == (1.0, 0.0, 6.0)
    assert deviation == pytest.approx(np.sqrt(5.0))


def test_no_sample_at_all_is_refused():
    persons = people(1, seconds=12)
    with pytest.raises(DatasetError, match="none of the 2 chosen windows has a sample"):
        window_features(windows_of(persons), [Recording(0, {})], np.arange(2))


def test_windows_are_chosen_in_stretches_of_labelled_neighbours():
    windows = windows_of(people(4, seconds=60))
    label = windows.label.copy()
    label[:10] = -1
    windows = replace(windows, label=label)
    rows = chosen_windows(windows, 100, seed=3)
    assert len(rows) == 100
    assert rows.min() >= 10
    assert (np.diff(rows) == 1).sum() >= 96
    assert rows.tolist() == chosen_windows(windows, 100, seed=3).tolist()
    assert rows.tolist() != chosen_windows(windows, 100, seed=4).tolist()
    everything = chosen_windows(windows, 10**6, seed=3)
    assert everything.tolist() == list(range(10, len(windows)))


def halves(windows):
    role = np.where(windows.session == 0, Role.TRAIN, Role.TEST).astype(np.uint8)
    return [Fold("1", role), Fold("2", (4 - role).astype(np.uint8))]


def test_windows_that_tell_their_label_score_the_same_either_way():
    windows = windows_of(people(2, seconds=60))
    telling = np.column_stack([windows.label, -windows.label]).astype(np.float32)
    told = []
    found = measured(
        telling,
        windows,
        halves(windows),
        "loso",
        0,
        lambda done, total: told.append((done, total)),
    )
    assert found.own.accuracy.tolist() == [1.0, 1.0]
    assert found.random.macro_f1.tolist() == [1.0, 1.0]
    assert found.inflation("accuracy") == (0.0, 0.0)
    assert told == [(i, 4) for i in (1, 2, 3, 4)]


def test_folds_without_windows_to_test_are_refused():
    windows = windows_of(people(2, seconds=12))
    nothing = [Fold("1", np.full(len(windows), Role.TRAIN, np.uint8))]
    with pytest.raises(DatasetError, match="none of the 1 folds has chosen windows"):
        measured(np.zeros((len(windows), 1), np.float32), windows, nothing, "loso", 0)


def test_without_scikit_learn_it_says_how_to_install_it(monkeypatch):
    windows = windows_of(people(2, seconds=12))

    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(DatasetError, match=r"pip install 'wban\[analysis\]'"):
        measured(np.zeros((len(windows), 1), np.float32), windows, halves(windows), "loso", 0)
