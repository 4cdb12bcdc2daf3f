"""Figures of a stream, from numbers that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from wban_dataset.recording.quality import (
    LogHistogram,
    QualityAccumulator,
    StreamQuality,
    clip_limits,
)
from wban_dataset.recording.streams import Gap, StreamSpec


def spec(kind="accel", dtype="<i2", shape=(3,), **attributes):
    return StreamSpec("s", kind, "chip", dtype, shape, "1", 100.0, "fifo", attributes=attributes)


def test_the_rate_is_that_within_segments():
    quality = QualityAccumulator()
    # Two segments of 10 ms steps, a gap of one second between them.
    times_ns = np.array([0, 10, 20, 1020, 1030]) * 1_000_000
    quality.add_stamps(times_ns, np.full(5, 1000), np.array([0, 0, 0, 1, 1]))
    assert quality.result().effective_rate_hz == pytest.approx(100.0)


@pytest.mark.parametrize("cut", [1, 2, 3, 4])
def test_figures_do_not_depend_on_the_parts(cut):
    times_ns = np.array([0, 10, 20, 1020, 1031]) * 1_000_000
    unc_ns, segment = np.array([10, 20, 30, 40, 50]), np.array([0, 0, 0, 1, 1])
    counts = np.array([[1, 2, 3], [5, 0, 0], [0, 0, -5], [4, 4, 4], [9, 0, 0]], dtype=np.int16)
    results = []
    for parts in ([slice(0, 5)], [slice(0, cut), slice(cut, 5)]):
        quality = QualityAccumulator((-5, 5))
        for part in parts:
            quality.add_stamps(times_ns[part], unc_ns[part], segment[part])
            quality.add_counts(counts[part])
            quality.add_arrivals(unc_ns[part])
        results.append(quality.result())
    assert results[0] == results[1]
    assert results[0].clipped_fraction == pytest.approx(3 / 5)
    assert results[0].effective_rate_hz == pytest.approx(3 / 0.031)


def test_clipped_pixels_are_counted_one_by_one():
    quality = QualityAccumulator(clip_limits(spec("infrared", "|u1", (2, 2))))
    quality.add_counts(np.array([[[0, 1], [2, 255]], [[9, 9], [9, 9]]], dtype=np.uint8))
    assert quality.result().clipped_fraction == pytest.approx(2 / 8)


def test_gaps_and_losses_are_added_up_and_unknown_numbers_left_out():
    quality = QualityAccumulator()
    for n_missing in (3, -1, 4):
        quality.add_gap(Gap("s", 0, 1, n_missing, "fifo overflow"))
    result = quality.result()
    assert (result.n_gaps, result.n_lost) == (3, 7)


def test_percentiles_of_jitter_and_uncertainty():
    quality = QualityAccumulator()
    quality.add_arrivals(np.arange(1, 1001) * 1000)
    quality.add_stamps(np.arange(100) * 10, np.full(100, 2048), np.zeros(100, dtype=np.int64))
    result = quality.result()
    assert result.jitter_p50_ns == pytest.approx(500_000, rel=0.005)
    assert result.jitter_p99_ns == pytest.approx(990_000, rel=0.005)
    assert result.unc_p99_ns == 2048  # a power of two is the exact edge of a bin


def test_a_stream_without_samples_has_zeros():
    assert QualityAccumulator((-1, 1)).result() == StreamQuality(0.0, 0, 0, 0, 0, 0.0, 0)


def test_histogram_takes_any_size_and_counts_negative_values_as_zero():
    histogram = LogHistogram()
    histogram.add(np.array([-5, 0, 1, 2**62]))
    assert histogram.n_values == 4
    assert [histogram.percentile(p) for p in (25, 50, 75, 100)] == [0, 0, 1, 2**62]


def test_clip_limits_follow_the_chip_before_the_type():
    assert clip_limits(spec()) == (-32768, 32767)
    assert clip_limits(spec(clip_counts=4095)) == (-4095, 4095)
    assert clip_limits(spec("infrared", "|u1", (4, 4))) == (0, 255)
    assert clip_limits(spec("thermal", "<u2", (834,))) is None
