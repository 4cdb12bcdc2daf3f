"""Windows as arrays: rows of a stream gathered, or interpolated onto each window's own grid.

A window's grid starts at its start and goes in steps of the stream's nominal period; every window
of one length has the same number of points. Where the samples lie on the grid they are copied,
otherwise the values are interpolated linearly between the true stamps, never across a gap, and from
the window's own rows alone: two windows that share no row share nothing. The first and the last row
of a stretch stand for one period around them, those of a window for one and a half, within which
the next sample comes where there is no gap. Points further out are NaN, and so is a window that the
stream does not cover.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from wban_dataset.windows.window_table import WindowTable

STEP_TOLERANCE_NS = 2
"""What rounding to whole nanoseconds makes of equal steps."""

EDGE_PERIODS = 1.5
"""How far a window's first and last row stand for the time around them: stamps jitter."""

GRID_TOLERANCE_NS = 1_000
"""How far a sample may lie from the grid to be copied: 1/10,000 of a period at 100 Hz."""

CHUNK_WINDOWS = 4096

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class StreamRows:
    """A stream of many sessions, its rows one session behind the other.

    Attributes
    ----------
    read
        Gives rows [start, stop) in physical units, (rows, channels); from memory or from a file.
    stamps_ns
        Of every row, on its session's own clock, int64 (n,); None where there is no time: windows
        are then copied, and have to be of one number of rows.
    segment
        A new number after each gap, (n,); None without time.
    offset
        Rows of session i are [offset[i], offset[i + 1]), int64 (s + 1,).
    n_channels
        Of each row.
    sampling_rate_hz
        Nominal; of the grid.
    """

    read: Callable[[int, int], NDArray[np.floating]]
    stamps_ns: Ints | None
    segment: NDArray[np.integer] | None
    offset: Ints
    n_channels: int
    sampling_rate_hz: float


@dataclass(frozen=True, slots=True)
class _OwnRows:
    """Where windows start, and their rows [first, last) of what was read, int64 (w,)."""

    start_ns: Ints
    first: Ints
    last: Ints

    def of(self, windows: NDArray[np.bool_]) -> _OwnRows:
        return _OwnRows(self.start_ns[windows], self.first[windows], self.last[windows])


def points_per_window(length_ns: int, sampling_rate_hz: float) -> int:
    """Count the points of a window's grid; at least one."""
    return max(1, round(length_ns * sampling_rate_hz / 1e9))


def materialise(
    stream: StreamRows,
    table: WindowTable,
    name: str,
    *,
    out: NDArray[np.floating] | None = None,
) -> NDArray[np.floating]:
    """Make one array of all windows of a table.

    Parameters
    ----------
    name
        Of the stream in the table.
    out
        Is filled and returned, (w, points, channels) of any float; None: a new float32 one.

    Raises
    ------
    ValueError
        If the windows are of several lengths, `out` has another shape, or windows without time are
        of several numbers of rows.
    """
    n_points = _points(stream, table, name)
    shape = (len(table), n_points, stream.n_channels)
    windows = np.empty(shape, dtype=np.float32) if out is None else out
    if windows.shape != shape:
        raise ValueError(f"out: found shape {windows.shape}, expected {shape}")
    on_grid = _begin_and_end_on_grid(stream, table, name, n_points)
    for rows in _by_session(table.session):
        _fill(stream, table, name, rows, windows, may_copy=bool(on_grid[rows].all()))
    return windows


def materialised_chunks(
    stream: StreamRows, table: WindowTable, name: str, chunk_windows: int = CHUNK_WINDOWS
) -> Iterator[tuple[slice, NDArray[np.floating]]]:
    """Go through the windows of a table in its order, a bounded number of them in memory.

    Yields
    ------
    tuple[slice, NDArray]
        Rows of the table, and their windows, float32 (rows, points, channels). The array is used
        again for the next chunk.
    """
    shape = (min(chunk_windows, len(table)), _points(stream, table, name), stream.n_channels)
    buffer = np.empty(shape, dtype=np.float32)
    for start in range(0, len(table), chunk_windows):
        rows = slice(start, min(start + chunk_windows, len(table)))
        part = buffer[: rows.stop - rows.start]
        yield rows, materialise(stream, table.take(rows), name, out=part)


def _points(stream: StreamRows, table: WindowTable, name: str) -> int:
    """Count the points of every window of a table."""
    timed = stream.stamps_ns is not None
    if not len(table):
        return 0
    first, last = table.start_ns, table.stop_ns
    if not timed:
        first, last = table.first_row[name], table.last_row[name]
    sizes = last - first
    least, most = int(sizes.min()), int(sizes.max())
    if least != most:
        unit = "ns" if timed else "rows"
        raise ValueError(f"windows of {least} and {most} {unit}, expected one length")
    return points_per_window(least, stream.sampling_rate_hz) if timed else least


def _by_session(session: NDArray[np.int32]) -> Iterator[NDArray[np.int64] | slice]:
    """Rows of each session; slices where the table is sorted."""
    if np.all(session[1:] >= session[:-1]):
        edges = np.concatenate(([0], np.flatnonzero(np.diff(session)) + 1, [len(session)]))
        for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
            if last > first:
                yield slice(first, last)
    else:
        for number in np.unique(session).tolist():
            yield np.flatnonzero(session == number)


def _fill(
    stream: StreamRows,
    table: WindowTable,
    name: str,
    rows: NDArray[np.int64] | slice,
    windows: NDArray[np.floating],
    *,
    may_copy: bool,
) -> None:
    """Fill the windows of one session, which are rows of the table."""
    n_points = windows.shape[1]
    first_row, last_row = table.first_row[name][rows], table.last_row[name][rows]
    present = table.present[name][rows]
    if not present.any():
        windows[rows] = np.nan
        return
    within = slice(None) if may_copy else present
    first, last = int(first_row[within].min()), int(last_row[within].max())
    values = stream.read(first, last)
    own = _OwnRows(table.start_ns[rows], first_row - first, last_row - first)
    if stream.stamps_ns is None:
        windows[rows] = _copied(values, own.first, n_points)
        return
    stamps_ns = stream.stamps_ns[first:last]
    if may_copy and _steps_are_even(stamps_ns, own, stream.sampling_rate_hz):
        windows[rows] = _copied(values, own.first, n_points)
        return
    if stream.segment is None:
        raise ValueError(f"stream {name!r}: it has stamps and no segments, expected both")
    segment = stream.segment[first:last]
    made = np.full((len(present), *windows.shape[1:]), np.nan, dtype=np.float32)
    made[present] = _interpolated(
        values, stamps_ns, segment, own.of(present), n_points, stream.sampling_rate_hz
    )
    windows[rows] = made


def _begin_and_end_on_grid(
    stream: StreamRows, table: WindowTable, name: str, n_points: int
) -> NDArray[np.bool_]:
    """Whether each window has as many rows as its grid points, the first and last on it, (w,)."""
    first_row, last_row = table.first_row[name], table.last_row[name]
    fits = table.present[name] & (last_row - first_row == n_points)
    if stream.stamps_ns is None or not fits.any():
        return fits
    own = slice(None) if fits.all() else fits
    start_ns = table.start_ns[own]
    end_ns = start_ns + round((n_points - 1) * 1e9 / stream.sampling_rate_hz)
    early_ns = np.abs(stream.stamps_ns[first_row[own]] - start_ns)
    late_ns = np.abs(stream.stamps_ns[last_row[own] - 1] - end_ns)
    fits[own] = (early_ns <= GRID_TOLERANCE_NS) & (late_ns <= GRID_TOLERANCE_NS)
    return fits


def _steps_are_even(stamps_ns: Ints, own: _OwnRows, sampling_rate_hz: float) -> bool:
    """Whether the rows of every window follow each other by one period."""
    steps_ns = stamps_ns[1:] - stamps_ns[:-1]
    if not len(steps_ns):
        return True
    period_ns = 1e9 / sampling_rate_hz
    shortest_ns, longest_ns = period_ns - STEP_TOLERANCE_NS, period_ns + STEP_TOLERANCE_NS
    if shortest_ns <= steps_ns[0] <= longest_ns and (steps_ns == steps_ns[0]).all():
        return True
    is_uneven = (steps_ns < shortest_ns) | (steps_ns > longest_ns)
    n_uneven = np.concatenate(([0], np.cumsum(is_uneven)))
    return not np.any(n_uneven[own.last - 1] > n_uneven[own.first])


def _copied(values: NDArray[np.floating], first_row: Ints, n_points: int) -> NDArray[np.floating]:
    """View or gather windows of `n_points` rows from (n, channels): (w, points, channels).

    Rows of a window lie one behind the other in memory, so that each window is copied as one run;
    `sliding_window_view` puts the window's axis last, which costs a step per channel.
    """
    values = np.ascontiguousarray(values)
    n_channels = values.shape[1]
    row_bytes = values.strides[0]
    runs = as_strided(
        values,
        (len(values) - n_points + 1, n_points * n_channels),
        (row_bytes, values.itemsize),
        writeable=False,
    )
    strides = np.diff(first_row)
    if len(strides) and strides[0] > 0 and np.all(strides == strides[0]):
        gathered = runs[int(first_row[0]) : int(first_row[-1]) + 1 : int(strides[0])]
    else:
        gathered = runs[first_row]
    return gathered.reshape(len(first_row), n_points, n_channels)


def _interpolated(
    values: NDArray[np.floating],
    stamps_ns: Ints,
    segment: NDArray[np.integer],
    own: _OwnRows,
    n_points: int,
    sampling_rate_hz: float,
) -> NDArray[np.float32]:
    """Interpolate (n, channels) onto the grid of each window, (w, points, channels)."""
    period_ns = 1e9 / sampling_rate_hz
    grid_ns = np.rint(np.arange(n_points) * period_ns).astype(np.int64)
    instant_ns = own.start_ns[:, None] + grid_ns
    after = np.searchsorted(stamps_ns, instant_ns)
    later = np.minimum(after, own.last[:, None] - 1)
    earlier = np.maximum(after - 1, own.first[:, None])
    since_ns = instant_ns - stamps_ns[earlier]
    until_ns = stamps_ns[later] - instant_ns
    is_between = (segment[earlier] == segment[later]) & (since_ns >= 0) & (until_ns >= 0)
    is_at_edge = (since_ns < 0) | (until_ns < 0)
    held_ns = np.where(is_at_edge, EDGE_PERIODS * period_ns, period_ns)
    is_held = np.minimum(np.abs(since_ns), np.abs(until_ns)) <= held_ns
    nearest = np.where(np.abs(until_ns) < np.abs(since_ns), later, earlier)
    below = values[np.where(is_between, earlier, nearest)]
    above = values[np.where(is_between, later, nearest)]
    share = (since_ns / np.maximum(since_ns + until_ns, 1))[..., None]
    made = below + (above - below) * share.astype(np.float32)
    made[~(is_between | is_held)] = np.nan
    return made.astype(np.float32, copy=False)
