"""The common axis: what is on it, what is not, and what the low-pass lets through."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from wban_dataset.recording.alignment import (
    Axis,
    Frames,
    Signal,
    SignalSpan,
    align,
    aligned_chunks,
    frame_max_age_ns,
    span_of,
)
from wban_dataset.recording.anti_alias import LowPass

MS = 1_000_000
S = 1_000_000_000


def signal(times_ns, values, segment=None, rate_hz=None, name="accel", reads=None):
    times_ns = np.asarray(times_ns, dtype=np.int64)
    values = np.asarray(values, dtype=float)
    values = values[:, None] if values.ndim == 1 else values
    segment = np.zeros(len(times_ns), dtype=np.uint16) if segment is None else np.asarray(segment)
    rate_hz = 1e9 / np.median(np.diff(times_ns)) if rate_hz is None else rate_hz

    def read(start, stop):
        if reads is not None:
            reads.append((start, stop))
        return SignalSpan(times_ns[start:stop], segment[start:stop], values[start:stop])

    return Signal(name, len(times_ns), values.shape[1], rate_hz, read)


def sine(frequency_hz, rate_hz, duration_s=20.0, start_ns=12_345_678):
    times_ns = start_ns + (np.arange(int(duration_s * rate_hz)) * 1e9 / rate_hz).astype(np.int64)
    return signal(times_ns, np.sin(2e-9 * np.pi * frequency_hz * times_ns), rate_hz=rate_hz)


def test_ticks_are_the_multiples_of_the_period_within_the_span():
    axis = Axis.covering(25.0, 90 * MS, 200 * MS)
    assert axis.times_ns(0, axis.n_ticks).tolist() == [120 * MS, 160 * MS, 200 * MS]
    assert Axis.covering(25.0, 121 * MS, 159 * MS).n_ticks == 0


def test_ticks_of_a_period_that_is_no_whole_number_do_not_drift():
    axis = Axis.covering(30.0, 10**15, 10**15 + S)
    ticks_ns = axis.times_ns(0, axis.n_ticks)
    assert ticks_ns[[0, 1, 3]].tolist() == [10**15, 10**15 + 33_333_334, 10**15 + 100 * MS]
    assert np.array_equal(axis.times_ns(7, 12), ticks_ns[7:12])
    hour = Axis.covering(30.0, 10**15, 10**15 + 3600 * S)
    assert hour.times_ns(108_000, 108_001).tolist() == [10**15 + 3600 * S]


def test_a_rate_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="must be positive, got 0"):
        Axis.covering(0.0, 0, S)


def test_values_between_samples_are_linear():
    source = signal([0, 40 * MS, 80 * MS], [[0.0, 8.0], [4.0, 0.0], [4.0, 2.0]])
    chunk = align(Axis.covering(100.0, 0, 80 * MS), [source], [])
    assert chunk.times_ns.tolist() == [k * 10 * MS for k in range(9)]
    assert chunk.signals["accel"][:, 0].tolist() == [0, 1, 2, 3, 4, 4, 4, 4, 4]
    assert chunk.signals["accel"][:, 1].tolist() == [8, 6, 4, 2, 0, 0.5, 1, 1.5, 2]
    assert chunk.signals["accel"].dtype == np.float32
    assert chunk.valid.all()


def test_nothing_is_invented_in_a_gap_or_outside():
    times_ns = np.array([20, 30, 40, 100, 110]) * MS
    source = signal(times_ns, [1, 2, 3, 9, 8], segment=[0, 0, 0, 1, 1])
    chunk = align(Axis.covering(100.0, 0, 130 * MS), [source], [])
    expected = [np.nan, np.nan, 1, 2, 3, *[np.nan] * 5, 9, 8, np.nan, np.nan]
    assert np.array_equal(chunk.signals["accel"][:, 0], expected, equal_nan=True)
    assert np.array_equal(chunk.valid, ~np.isnan(expected))


def test_a_segment_of_one_sample_is_real_at_its_instant_only():
    source = signal([0, 10 * MS, 25 * MS, 40 * MS], [1, 2, 7, 4], segment=[0, 0, 1, 2], rate_hz=100)
    values = align(Axis.covering(200.0, 0, 40 * MS), [source], []).signals["accel"][:, 0]
    assert np.array_equal(values, [1, 1.5, 2, np.nan, np.nan, 7, np.nan, np.nan, 4], equal_nan=True)


@pytest.mark.parametrize(("rate_hz", "to_hz"), [(100, 25), (400, 25), (100, 50), (400, 100)])
def test_a_sine_below_the_cut_passes_within_one_percent(rate_hz, to_hz):
    source = sine(0.35 * to_hz, rate_hz)
    chunk = align(Axis.covering(to_hz, 3 * S, 17 * S), [source], [])
    expected = np.sin(2e-9 * np.pi * 0.35 * to_hz * chunk.times_ns)
    assert np.abs(chunk.signals["accel"][:, 0] - expected).max() < 0.01


@pytest.mark.parametrize("frequency", [0.55, 0.75, 1.0, 1.3, 1.9])
@pytest.mark.parametrize(("rate_hz", "to_hz"), [(100, 25), (400, 25), (400, 100)])
def test_a_sine_above_the_cut_is_attenuated_by_more_than_40_db(rate_hz, to_hz, frequency):
    source = sine(frequency * to_hz, rate_hz)
    chunk = align(Axis.covering(to_hz, 3 * S, 17 * S), [source], [])
    assert np.abs(chunk.signals["accel"]).max() < 0.01


def test_a_signal_is_not_filtered_where_the_rate_does_not_go_down():
    values = np.where(np.arange(100) % 2, 1.0, -1.0)  # at half the rate: a filter would kill it
    source = signal(np.arange(100) * 10 * MS, values)
    chunk = align(Axis.covering(100.0, 0, 990 * MS), [source], [])
    assert np.array_equal(chunk.signals["accel"][:, 0], values)


def test_a_trend_stays_a_trend_up_to_the_ends_of_a_segment():
    times_ns = 3 * MS + np.arange(1000) * 10 * MS
    source = signal(times_ns, times_ns / 1e9)
    chunk = align(Axis.covering(25.0, 0, 10 * S), [source], [])
    real = chunk.valid
    assert np.flatnonzero(real)[[0, -1]].tolist() == [1, 249]  # 40 ms is after 3 ms; 9.96 s
    errors_s = chunk.signals["accel"][real, 0] - chunk.times_ns[real] / 1e9
    assert np.abs(errors_s).max() < 1e-4  # a hundredth of a sample


def test_the_low_pass_does_not_reach_over_a_gap():
    times_ns = np.concatenate((np.arange(500), np.arange(520, 1000))) * 10 * MS
    values = np.where(np.arange(980) < 500, 1.0, 1000.0)
    source = signal(times_ns, values, segment=np.where(np.arange(980) < 500, 3, 4))
    chunk = align(Axis.covering(25.0, 0, 10 * S), [source], [])
    before = chunk.times_ns <= 4990 * MS
    after = chunk.times_ns >= 5200 * MS
    real = chunk.signals["accel"][:, 0]
    assert np.allclose(real[before], 1.0, rtol=1e-6)
    assert np.allclose(real[after][:-1], 1000.0, rtol=1e-6)
    assert np.isnan(real[~before & ~after]).all()


def test_segment_numbers_may_wrap_around():
    source = signal(np.arange(6) * 10 * MS, [0, 1, 2, 3, 4, 5], segment=[65535] * 3 + [0] * 3)
    values = align(Axis.covering(200.0, 0, 50 * MS), [source], []).signals["accel"][:, 0]
    assert np.isnan(values[5])
    assert values[[4, 6]].tolist() == [2, 3]


def test_the_frame_at_a_tick_is_the_last_one_not_after_it():
    frames = Frames("infrared", np.array([20, 40, 59]) * MS)
    axis = Axis.covering(100.0, 0, 70 * MS)
    chunk = align(axis, [], [frames])
    assert chunk.frame_index["infrared"].tolist() == [-1, -1, 0, 0, 1, 1, 2, 2]
    assert chunk.frame_index["infrared"].dtype == np.int32
    assert chunk.valid.tolist() == [False, False, True, True, True, True, True, True]


def test_a_stale_frame_is_named_but_not_valid():
    max_age_ns = frame_max_age_ns(50.0)  # 2.5 periods of 20 ms
    assert max_age_ns == 50 * MS
    chunk = align(
        Axis.covering(100.0, 0, 80 * MS), [], [Frames("thermal", np.array([0]), max_age_ns)]
    )
    assert chunk.frame_index["thermal"].tolist() == [0] * 9
    assert chunk.valid.tolist() == [True] * 6 + [False] * 3


def test_valid_needs_every_stream_that_has_samples():
    accel = signal([0, 10 * MS, 20 * MS], [1, 2, 3])
    gyro = signal([10 * MS, 20 * MS, 30 * MS], [1, 2, 3], name="gyro")
    dead = signal(np.empty(0), np.empty((0, 3)), rate_hz=100.0, name="dead")
    silent = Frames("infrared", np.empty(0, dtype=np.int64))
    assert span_of([accel, gyro, dead], [silent]) == (0, 30 * MS)
    chunk = align(Axis.covering(100.0, 0, 30 * MS), [accel, gyro, dead], [silent])
    assert chunk.valid.tolist() == [False, True, True, False]
    assert np.isnan(chunk.signals["dead"]).all()
    assert chunk.frame_index["infrared"].tolist() == [-1] * 4


def test_a_session_without_samples_has_no_span_and_an_empty_axis_no_ticks():
    assert span_of([], []) is None
    source = signal([0, 10 * MS], [1, 2])
    chunk = align(Axis.covering(100.0, 1, 2), [source], [])
    assert chunk.signals["accel"].shape == (0, 1)
    assert len(chunk.valid) == 0


@pytest.mark.parametrize("to_hz", [25.0, 400.0])
def test_values_do_not_depend_on_the_chunks(to_hz):
    rng = np.random.default_rng(7)
    times_ns = np.cumsum(rng.integers(9_990_000, 10_010_000, 20_000))
    segment = np.searchsorted([3000, 3050, 12_000], np.arange(20_000), side="right")
    times_ns += segment * 500 * MS
    source = signal(times_ns, rng.normal(size=(20_000, 2)), segment=segment, rate_hz=100)
    axis = Axis.covering(to_hz, int(times_ns[0]), int(times_ns[-1]))
    whole = align(axis, [source], [])
    parts = list(aligned_chunks(axis, [source], [], chunk_ticks=777))
    joined = np.concatenate([part.signals["accel"] for part in parts])
    assert np.array_equal(joined, whole.signals["accel"], equal_nan=True)
    assert np.array_equal(np.concatenate([part.times_ns for part in parts]), whole.times_ns)


def test_a_span_gives_what_the_whole_session_gives_there():
    source = sine(3.0, 100)
    whole = align(Axis.covering(25.0, 0, 20 * S), [source], [])
    span = align(Axis.covering(25.0, 8 * S, 9 * S), [source], [])
    inside = (whole.times_ns >= 8 * S) & (whole.times_ns <= 9 * S)
    assert np.array_equal(span.times_ns, whole.times_ns[inside])
    assert np.array_equal(span.signals["accel"], whole.signals["accel"][inside])


def test_a_session_is_read_once_forwards_in_pieces():
    reads = []
    n = 100_000
    source = signal(np.arange(n) * 10 * MS, np.zeros(n), rate_hz=100.0, reads=reads)
    axis = Axis.covering(25.0, 0, (n - 1) * 10 * MS)
    for _ in aligned_chunks(axis, [source], [], chunk_ticks=1000):
        pass
    long = [(start, stop) for start, stop in reads if stop - start > 1]
    assert long[0][0] == 0
    assert long[-1][1] == n
    assert all(a[1] == b[0] for a, b in itertools.pairwise(long))
    assert max(stop - start for start, stop in long) <= 8192


def test_a_low_pass_for_a_higher_rate_is_refused():
    with pytest.raises(ValueError, match=r"at least 1, got 0\.5"):
        LowPass(0.5)
