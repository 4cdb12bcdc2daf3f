"""Mean and spread of training rows, taken piece by piece."""

from __future__ import annotations

import numpy as np
import pytest

from wban_dataset.dataset.normalisation import Normalisation


def test_pieces_give_what_the_whole_gives():
    rows = np.random.default_rng(1).normal(1000, 0.1, (1001, 3)).astype(np.float32)
    whole = Normalisation.fit([rows])
    pieces = Normalisation.fit([rows[:1], rows[1:400], rows[400:]])
    np.testing.assert_allclose(whole.mean, rows.mean(axis=0, dtype=np.float64), rtol=1e-12)
    np.testing.assert_allclose(pieces.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(pieces.standard_deviation, whole.standard_deviation, rtol=1e-9)
    np.testing.assert_allclose(whole.standard_deviation, rows.std(axis=0, dtype=np.float64))
    assert pieces.n_rows == 1001


def test_all_pixels_of_pictures_are_one_channel_and_unknown_ones_are_left_out():
    pictures = np.array([[[20.0, np.nan], [22.0, 24.0]]], dtype=np.float32)
    found = Normalisation.fit([pictures])
    assert found.mean.tolist() == [22.0]
    assert found.standard_deviation[0] == pytest.approx(np.sqrt(8 / 3))


def test_a_channel_that_never_changes_becomes_0():
    found = Normalisation.fit([np.full((5, 2), [3.0, 4.0])])
    assert found.apply(np.array([[[3.0, 5.0]]])).tolist() == [[[0.0, 1.0]]]


def test_no_rows_give_nothing_to_subtract():
    found = Normalisation.fit([])
    assert (found.mean.tolist(), found.standard_deviation.tolist(), found.n_rows) == ([0], [1], 0)
