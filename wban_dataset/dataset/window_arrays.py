"""Windows of a dataset as arrays of equal length, one per stream."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.dataset.layout import TIMEBASE_NONE
from wban_dataset.dataset.normalisation import Normalisation
from wban_dataset.dataset.stream import DatasetStream
from wban_dataset.windows.materialised import StreamRows, materialise
from wban_dataset.windows.window_table import NO_FRAME, WindowTable

ROWS_AT_ONCE_BYTES = 16 << 20
"""Most of a stream that is read at once for statistics."""


@dataclass(frozen=True, slots=True)
class WindowArrays:
    """What a model takes; w windows, all arrays in the same order.

    Attributes
    ----------
    data
        By stream. Motion: float32 (w, n, channels). Pictures, the one nearest to the window's
        centre: float32 (w, height, width) degC of a thermal stream, uint8 of infrared, float32 of
        both where normalised. What is not known is NaN, 0 in infrared, and 0, the mean, where
        normalised.
    label
        Codes, int16 (w,); -1: unlabelled.
    mask
        By stream, bool (w,): whether it covers the window.
    rows
        Numbers of the windows in the dataset, int64 (w,).
    classes
        Names of the codes.
    normalisation
        By stream, what was subtracted and divided by; empty where nothing was.
    """

    data: Mapping[str, NDArray[Any]]
    label: NDArray[np.int16]
    mask: Mapping[str, NDArray[np.bool_]]
    rows: NDArray[np.int64]
    classes: tuple[str, ...]
    normalisation: Mapping[str, Normalisation]

    def __len__(self) -> int:
        """Count the windows."""
        return len(self.label)


def windows_of_stream(
    stream: DatasetStream, windows: WindowTable, normalisation: Normalisation | None, timebase: str
) -> NDArray[Any]:
    """Copy one stream's part of windows; `WindowArrays.data` says what it is like."""
    if stream.is_pictures:
        return _pictures(stream, windows.frame[stream.name], normalisation)
    values = materialise(_stream_rows(stream, timebase), windows, stream.name)
    return values if normalisation is None else _normalised(values, normalisation)


def training_parts(stream: DatasetStream, windows: WindowTable) -> Iterator[NDArray[Any]]:
    """Give the rows that windows are made of, each once, some MB at a time."""
    if stream.is_pictures:
        frames = windows.frame[stream.name]
        yield from _pictures_by_row(stream, np.unique(frames[frames != NO_FRAME]))
        return
    for first, last in covered_rows(windows.first_row[stream.name], windows.last_row[stream.name]):
        step = _rows_at_once(stream)
        for start in range(first, last, step):
            yield stream.rows(start, min(start + step, last))


def _stream_rows(stream: DatasetStream, timebase: str) -> StreamRows:
    timed = timebase != TIMEBASE_NONE
    return StreamRows(
        read=stream.rows,
        stamps_ns=stream.monotonic_ns(0, stream.n_rows) if timed else None,
        segment=stream.segment(0, stream.n_rows) if timed else None,
        offset=stream.offset,
        n_channels=stream.sample_shape[0],
        sampling_rate_hz=stream.sampling_rate_hz,
    )


def _pictures(
    stream: DatasetStream, frames: NDArray[np.int64], normalisation: Normalisation | None
) -> NDArray[Any]:
    """Give the picture of each window, (w, height, width)."""
    known = np.flatnonzero(frames != NO_FRAME)
    is_float = normalisation is not None or stream.kind == "thermal"
    dtype = np.dtype(np.float32 if is_float else np.uint8)
    nothing = np.nan if is_float and normalisation is None else 0
    pictures = np.full((len(frames), *stream.sample_shape), nothing, dtype=dtype)
    distinct, place = np.unique(frames[known], return_inverse=True)
    done = 0
    for part in _pictures_by_row(stream, distinct):
        own = (place >= done) & (place < done + len(part))
        values = part if normalisation is None else _normalised(part, normalisation)
        pictures[known[own]] = values[place[own] - done]
        done += len(part)
    return pictures


def _pictures_by_row(stream: DatasetStream, rows: NDArray[np.int64]) -> Iterator[NDArray[Any]]:
    """Give pictures of increasing rows, some MB at a time."""
    step = _rows_at_once(stream)
    start = 0
    while start < len(rows):
        first = int(rows[start])
        stop = int(np.searchsorted(rows, first + step))
        yield stream.rows(first, int(rows[stop - 1]) + 1)[rows[start:stop] - first]
        start = stop


def _normalised(values: NDArray[Any], normalisation: Normalisation) -> NDArray[np.float32]:
    normalised = normalisation.apply(values)
    normalised[np.isnan(normalised)] = 0.0
    return normalised


def covered_rows(
    first_row: NDArray[np.int64], last_row: NDArray[np.int64]
) -> list[tuple[int, int]]:
    """Join spans of rows that overlap or touch; windows are sorted by their start."""
    filled = last_row > first_row
    first, last = first_row[filled], last_row[filled]
    if not len(first):
        return []
    reached = np.maximum.accumulate(last)
    begins = np.flatnonzero(np.append(True, first[1:] > reached[:-1]))
    ends = np.append(begins[1:], len(first)) - 1
    return list(zip(first[begins].tolist(), reached[ends].tolist(), strict=True))


def _rows_at_once(stream: DatasetStream) -> int:
    return max(1, ROWS_AT_ONCE_BYTES // (4 * math.prod(stream.sample_shape)))
