"""Which rows training windows have."""

from __future__ import annotations

import numpy as np

from wban_dataset.dataset.window_arrays import covered_rows


def covered(*spans: tuple[int, int]) -> list[tuple[int, int]]:
    first, last = np.array(spans, dtype=np.int64).reshape(-1, 2).T
    return covered_rows(first, last)


def test_rows_of_overlapping_windows_count_once():
    assert covered((0, 10), (4, 14), (8, 18), (30, 40)) == [(0, 18), (30, 40)]


def test_windows_that_touch_are_one_stretch_and_empty_ones_none():
    assert covered((0, 10), (10, 20), (25, 25), (30, 31)) == [(0, 20), (30, 31)]
    assert covered((5, 5)) == []
    assert covered() == []


def test_a_window_within_another_ends_nothing():
    assert covered((0, 100), (10, 20), (50, 60)) == [(0, 100)]
