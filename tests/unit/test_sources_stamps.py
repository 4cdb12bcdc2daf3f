"""Stamps as other people's recordings have them."""

from __future__ import annotations

import numpy as np

from wban_dataset.sources import given_stamps

MS = 1_000_000


def test_whole_nanoseconds_since_1970_stay_exact():
    column = np.array([1_600_000_000_000_000_001, 1_600_000_000_020_000_004], dtype=np.int64)
    stamps = given_stamps.from_column(column, 1)
    assert stamps.origin_ns == 1_600_000_000_000_000_001
    assert stamps.since_first_ns.tolist() == [0, 20_000_003]


def test_seconds_with_digits_after_the_point_are_rounded_to_the_nanosecond():
    stamps = given_stamps.from_column(np.array([0.5, 0.52, 0.54]), 1_000_000_000)
    assert stamps.origin_ns == 500_000_000
    assert stamps.since_first_ns.tolist() == [0, 20_000_000, 40_000_000]


def test_disorder_is_counted_and_put_in_order():
    stamps = given_stamps.from_column(np.array([0, 20, 40, 30, 40, 60], dtype=np.int64), MS)
    assert (stamps.n_repeated, stamps.n_backward, stamps.first_disorder) == (1, 1, 3)
    assert stamps.in_order().tolist() == [0, 1, 3, 2, 5]


def test_a_fixed_rate_does_not_drift():
    stamps = given_stamps.from_rate(3_000_001, 30.0)
    assert stamps.since_first_ns[30] == 1_000_000_000
    assert stamps.since_first_ns[3_000_000] == 100_000 * 1_000_000_000
    assert stamps.since_first_ns[1] == 33_333_333


def test_a_step_beyond_one_and_a_half_periods_is_a_gap():
    stamps_ns = np.array([0, 20, 50, 70, 101, 121], dtype=np.int64) * MS
    rows = np.arange(6)
    assert given_stamps.stretch_rows(stamps_ns, rows, 50.0, 1.5, "refuse") == [4]


def test_rows_left_out_are_a_gap_however_short():
    stamps_ns = np.array([0, 20, 60, 80], dtype=np.int64) * MS
    rows = np.array([0, 1, 3, 4])
    assert given_stamps.stretch_rows(stamps_ns, rows, 50.0, 10.0, "gap") == [2]
    assert given_stamps.stretch_rows(stamps_ns, rows, 50.0, 10.0, "refuse") == []


def test_jitter_is_what_is_neither_period_nor_gap():
    stamps_ns = np.array([0, 20, 45, 65, 205], dtype=np.int64) * MS
    assert given_stamps.n_jittering(stamps_ns, 50.0, 1.5) == 1
    assert given_stamps.nominal_rate_hz(stamps_ns[:2]) == 50.0
