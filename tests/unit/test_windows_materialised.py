"""Windows as arrays: copied from rows on the grid, else interpolated from own rows alone."""

from __future__ import annotations

import numpy as np
import pytest

from wban_dataset.labels.timeline import Timeline
from wban_dataset.windows.cutting import StreamTimes, cut
from wban_dataset.windows.materialised import (
    StreamRows,
    materialise,
    materialised_chunks,
    points_per_window,
)
from wban_dataset.windows.window_rule import WindowRule
from wban_dataset.windows.window_table import joined

MS = 1_000_000
NOTHING = Timeline(*(np.empty(0, np.int64),) * 2, np.empty(0, np.int16), np.empty(0, int), ())
RULE = WindowRule(1000 * MS, 400 * MS)


def made(*stamps_of_sessions, rate_hz=50.0, segments=None, values=None, rule=RULE):
    """Make a stream of several sessions, and the table of its windows."""
    period_ns = round(1e9 / rate_hz)
    stamps = [np.asarray(stamps, dtype=np.int64) for stamps in stamps_of_sessions]
    segments = segments or [np.zeros(len(own), dtype=np.int32) for own in stamps]
    offset = np.concatenate(([0], np.cumsum([len(own) for own in stamps])))
    tables = []
    for number, (own, segment) in enumerate(zip(stamps, segments, strict=True)):
        times = StreamTimes("accel", own, segment, period_ns)
        table = cut({"accel": times}, NOTHING, rule, number)
        table.first_row["accel"][:] += offset[number]
        table.last_row["accel"][:] += offset[number]
        tables.append(table)
    stamps_ns, segment = np.concatenate(stamps), np.concatenate(segments)
    if values is None:
        values = np.random.default_rng(0).normal(size=(len(stamps_ns), 3)).astype(np.float32)
    stream = StreamRows(
        lambda start, stop: values[start:stop], stamps_ns, segment, offset, values.shape[1], rate_hz
    )
    return stream, joined(tables), values


def line(stamps_ns):
    """Values that are their time in s, and twice that."""
    seconds = np.asarray(stamps_ns) / 1e9
    return np.column_stack((seconds, 2 * seconds))


def test_equidistant_samples_are_copied_bit_by_bit():
    stream, table, values = made(np.arange(200) * 20 * MS, 7 + np.arange(90) * 20 * MS)
    windows = materialise(stream, table, "accel")
    assert windows.shape == (len(table), 50, 3)
    assert windows.dtype == np.float32
    for row in range(len(table)):
        first, last = table.first_row["accel"][row], table.last_row["accel"][row]
        np.testing.assert_array_equal(windows[row], values[first:last])


def test_stamps_rounded_to_nanoseconds_count_as_equidistant():
    stamps_ns = np.rint(np.arange(300) * 1e9 / 30).astype(np.int64)
    rule = WindowRule(1000 * MS, 1000 * MS)
    stream, table, values = made(stamps_ns, rate_hz=30.0, rule=rule)
    np.testing.assert_array_equal(materialise(stream, table, "accel")[3], values[90:120])


def test_rows_in_any_order_give_windows_in_that_order():
    stream, table, _ = made(np.arange(200) * 20 * MS, np.arange(150) * 20 * MS)
    order = np.random.default_rng(1).permutation(len(table))
    windows = materialise(stream, table, "accel")
    np.testing.assert_array_equal(materialise(stream, table.take(order), "accel"), windows[order])


def test_another_rate_is_interpolated_between_true_stamps():
    stamps_ns = np.cumsum(np.random.default_rng(2).integers(17 * MS, 23 * MS, size=300))
    stream, table, _ = made(stamps_ns, values=line(stamps_ns))
    windows = materialise(stream, table, "accel", out=np.empty((len(table), 50, 2)))
    grid_s = (table.start_ns[:, None] + np.arange(50) * 20 * MS) / 1e9
    inside = (grid_s[:, 1:-2] - windows[:, 1:-2, 0]).ravel()
    np.testing.assert_allclose(inside, 0, atol=1e-6)
    # at its ends a window holds its first and its last own sample, at most a period away
    assert np.abs(grid_s - windows[..., 0]).max() < 0.0231
    np.testing.assert_allclose(windows[..., 1], 2 * windows[..., 0], rtol=1e-5)


def test_a_window_depends_on_its_own_rows_alone():
    stamps_ns = np.cumsum(np.random.default_rng(3).integers(17 * MS, 23 * MS, size=300))
    values = np.random.default_rng(4).normal(size=(300, 3)).astype(np.float32)
    stream, table, _ = made(stamps_ns, values=values)
    before = materialise(stream, table, "accel")
    first, last = int(table.first_row["accel"][4]), int(table.last_row["accel"][4])
    values[:first] = 1e9
    values[last:] = 1e9
    np.testing.assert_array_equal(materialise(stream, table, "accel")[4], before[4])


def test_nothing_is_interpolated_across_a_gap():
    accel_ns = np.arange(50) * 20 * MS
    gapped_ns = accel_ns.copy()
    gapped_ns[25:] += 200 * MS
    segment = np.repeat([0, 1], 25)
    streams = {
        "accel": StreamTimes("accel", accel_ns, np.zeros(50, int), 20 * MS),
        "gyro": StreamTimes("gyro", gapped_ns, segment, 20 * MS),
    }
    table = cut(streams, NOTHING, WindowRule(1000 * MS, 400 * MS, min_coverage=0.5))
    values = line(gapped_ns)
    stream = StreamRows(
        lambda start, stop: values[start:stop], gapped_ns, segment, np.array([0, 50]), 2, 50.0
    )
    window = materialise(stream, table, "gyro")[0, :, 0]
    # samples at 0 to 0.48 s, and from 0.70 s on; each end is held for 20 ms
    np.testing.assert_array_equal(np.isnan(window), (np.arange(50) >= 26) & (np.arange(50) < 34))
    np.testing.assert_allclose(window[:25], np.arange(25) * 0.02, atol=1e-6)
    np.testing.assert_allclose(window[35:], np.arange(35, 50) * 0.02, atol=1e-6)
    np.testing.assert_allclose(window[[25, 34]], [0.48, 0.70], atol=1e-6)


def test_stamps_that_jitter_leave_no_hole_at_the_edge_of_a_window():
    jitter_ns = np.random.default_rng(1).integers(-2 * MS, 2 * MS, 2000)
    stream, table, _ = made(np.sort(np.arange(2000) * 20 * MS + jitter_ns))
    windows = materialise(stream, table, "accel")
    assert len(windows) > 90
    assert np.isfinite(windows).all()


def test_a_window_that_the_stream_does_not_cover_is_nan():
    stream, table, _ = made(np.arange(200) * 20 * MS)
    table.present["accel"][[0, 3]] = False
    windows = materialise(stream, table, "accel")
    assert np.isnan(windows[[0, 3]]).all()
    assert np.isfinite(windows[[1, 2, 4]]).all()
    table.present["accel"][:] = False
    assert np.isnan(materialise(stream, table, "accel")).all()


def test_chunks_are_the_whole_in_pieces_and_read_only_what_they_need():
    stream, table, values = made(np.arange(3000) * 20 * MS, np.arange(500) * 20 * MS)
    whole = materialise(stream, table, "accel")
    reads = []

    def read(start, stop):
        reads.append(stop - start)
        return values[start:stop]

    counted = StreamRows(read, stream.stamps_ns, stream.segment, stream.offset, 3, 50.0)
    taken = 0
    for rows, part in materialised_chunks(counted, table, "accel", chunk_windows=16):
        assert rows.start == taken
        np.testing.assert_array_equal(part, whole[rows])
        taken = rows.stop
    assert taken == len(table)
    assert max(reads) <= 15 * 20 + 50


def test_ready_windows_without_time_are_copied():
    values = np.arange(24.0).reshape(12, 2)
    _, table, _ = made(np.arange(130) * 20 * MS)
    table = table.take(slice(0, 3))
    table.start_ns[:] = table.stop_ns[:] = 0
    table.first_row["accel"][:] = [0, 4, 8]
    table.last_row["accel"][:] = [4, 8, 12]
    stream = StreamRows(lambda a, b: values[a:b], None, None, np.array([0, 12]), 2, 0.0)
    np.testing.assert_array_equal(materialise(stream, table, "accel"), values.reshape(3, 4, 2))
    table.last_row["accel"][2] = 11
    with pytest.raises(ValueError, match="windows of 3 and 4 rows, expected one length"):
        materialise(stream, table, "accel")


def test_no_window_gives_an_empty_array():
    stream, table, _ = made(np.arange(10) * 20 * MS)
    assert len(materialise(stream, table, "accel")) == 0
    assert list(materialised_chunks(stream, table, "accel")) == []


def test_out_of_another_shape_and_mixed_lengths_are_refused():
    stream, table, _ = made(np.arange(200) * 20 * MS)
    with pytest.raises(ValueError, match=r"out: found shape \(1, 50, 3\), expected"):
        materialise(stream, table, "accel", out=np.empty((1, 50, 3)))
    table.stop_ns[0] += 1
    with pytest.raises(ValueError, match="windows of 1000000000 and 1000000001 ns"):
        materialise(stream, table, "accel")


@pytest.mark.parametrize(
    ("length_ns", "rate_hz", "expected"), [(10**9, 50.0, 50), (10**9, 99.6, 100), (1, 50.0, 1)]
)
def test_points_of_a_window(length_ns, rate_hz, expected):
    assert points_per_window(length_ns, rate_hz) == expected
