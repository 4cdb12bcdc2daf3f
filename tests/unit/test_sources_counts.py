"""Values as 16 bit counts."""

from __future__ import annotations

import numpy as np
import pytest

from wban_dataset.sources.counts import quantised

STEP = 9.80665 / 720


def walk(n: int = 20_000, greatest: int = 1400) -> np.ndarray:
    """Give counts that go up and down, (n, 3)."""
    rng = np.random.default_rng(7)
    return np.clip(np.cumsum(rng.integers(-9, 10, size=(n, 3)), axis=0), -greatest, greatest)


def test_values_of_a_sensor_keep_its_counts_though_nobody_names_its_resolution():
    counts = walk()
    noise = np.random.default_rng(1).uniform(-1e-6, 1e-6, counts.shape)
    found = quantised(counts * STEP + noise)
    assert found.is_exact
    assert found.counts.dtype == np.int16
    assert found.scale_factor == pytest.approx(STEP, rel=1e-6)
    np.testing.assert_array_equal(found.counts, counts)
    assert found.largest_error < 3e-6


def test_a_known_resolution_is_kept_to_the_last_bit():
    counts = walk()
    found = quantised(counts * STEP, STEP)
    assert found.scale_factor == STEP
    np.testing.assert_array_equal(found.counts, counts)
    assert found.largest_error == 0.0


def test_a_stated_resolution_that_values_do_not_have_is_not_believed():
    counts = walk()
    found = quantised(counts * STEP, STEP * 2)
    assert found.is_exact
    np.testing.assert_array_equal(found.counts, counts)


def test_the_least_count_of_16_bits_is_used():
    found = quantised(np.array([[-32768.0, 32767.0, 1.0]]) * 0.25, 0.25)
    assert found.counts.tolist() == [[-32768, 32767, 1]]


def test_values_on_no_grid_are_rounded_to_a_share_of_the_greatest():
    values = np.random.default_rng(2).normal(size=(5000, 3))
    found = quantised(values)
    assert not found.is_exact
    assert np.abs(found.counts).max() == 32767
    assert found.largest_error <= np.abs(values).max() / 32767 / 2 * 1.0001
    np.testing.assert_allclose(found.counts * found.scale_factor, values, atol=found.scale_factor)


def test_more_multiples_than_16_bits_hold_are_rounded():
    counts = np.random.default_rng(3).integers(-100_000, 100_000, size=(20_000, 3))
    found = quantised(counts * 0.001)
    assert not found.is_exact


def test_only_zeros_stay_zeros():
    found = quantised(np.zeros((10, 3)))
    assert found.is_exact
    assert not found.counts.any()
