"""Simple features of windows, for the leak meter: nothing is tuned, nothing is learned.

Of each channel, and of the length of the vector: mean, standard deviation, smallest, largest, and
mean absolute step from sample to sample. A picture is four channels: its mean, standard deviation,
smallest and largest value. Where a stream does not cover a window, its features are NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.errors import DatasetError
from wban_dataset.splits.recording import Recording, Signal
from wban_dataset.windows.window_table import WindowTable

STATISTICS = ("mean", "standard deviation", "minimum", "maximum", "mean absolute step")
BYTES_AT_ONCE = 1 << 24

Floats = NDArray[np.float64]


def window_features(
    windows: WindowTable, recordings: Sequence[Recording], rows: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Describe windows; one recording is read at a time.

    Parameters
    ----------
    rows
        Numbers of the windows, (n,).

    Returns
    -------
    NDArray
        (n, features), NaN where a stream is missing.

    Raises
    ------
    DatasetError
        If no window has a sample.
    """
    by_stream: dict[str, NDArray[np.float32]] = {}
    session = windows.session[rows]
    for recording in recordings:
        own = np.flatnonzero(session == recording.session)
        for name, signal in recording.streams.items() if len(own) else ():
            chosen = rows[own]
            present = windows.present[name][chosen] if name in windows.present else True
            first = windows.first_row[name][chosen] - signal.first_row
            last = windows.last_row[name][chosen] - signal.first_row
            there = (last > first) & present
            if not there.any():
                continue
            found = _described(_channels(signal), first[there], last[there])
            columns = by_stream.setdefault(
                name, np.full((len(rows), found.shape[1]), np.nan, dtype=np.float32)
            )
            columns[own[there]] = found
    if not by_stream:
        raise DatasetError(
            f"none of the {len(rows)} chosen windows has a sample, expected streams to describe "
            "them by. Check the sessions with 'wban-dataset inspect'."
        )
    return np.concatenate([by_stream[name] for name in sorted(by_stream)], axis=1)


def _described(channels: Floats, first: NDArray[np.int64], last: NDArray[np.int64]) -> Floats:
    """Statistics of spans of rows, (spans, channels * len(STATISTICS))."""
    n_samples = (last - first)[:, None]
    centre = np.nan_to_num(channels).mean(axis=0)
    centred = np.nan_to_num(channels - centre)
    step = np.abs(np.diff(centred, axis=0, prepend=centred[:1]))
    mean = _over(np.add, centred, first, last) / n_samples
    square = _over(np.add, centred**2, first, last) / n_samples
    # The step into a window's first sample comes from outside and is left out.
    steps = _over(np.add, step, first, last) - step[first]
    return np.concatenate(
        [
            mean + centre,
            np.sqrt(np.maximum(square - mean**2, 0.0)),
            _over(np.minimum, centred, first, last) + centre,
            _over(np.maximum, centred, first, last) + centre,
            steps / np.maximum(n_samples - 1, 1),
        ],
        axis=1,
    )


def _over(
    function: np.ufunc, values: Floats, first: NDArray[np.int64], last: NDArray[np.int64]
) -> Floats:
    """Reduce spans of rows, which may overlap, none of them empty."""
    closed = np.concatenate([values, values[-1:]])  # so that a span may end with the last row
    edges = np.stack([first, last], axis=1).ravel()
    return function.reduceat(closed, edges, axis=0)[::2]


def _channels(signal: Signal) -> Floats:
    """All rows of a recording's stream as channels, (n, channels)."""
    one = signal.read(0, 1)
    size = max(1, BYTES_AT_ONCE // max(one.nbytes, 1))
    pieces = [
        _as_channels(signal.read(start, min(start + size, signal.n_rows)))
        for start in range(0, signal.n_rows, size)
    ]
    return np.concatenate(pieces)


def _as_channels(rows: NDArray[Any]) -> Floats:
    if rows.ndim == 2:
        values = rows.astype(np.float64)
        return np.column_stack([values, np.linalg.norm(values, axis=1)])
    pixels = np.nan_to_num(rows.reshape(len(rows), -1).astype(np.float32))
    summaries = [pixels.mean(axis=1), pixels.std(axis=1), pixels.min(axis=1), pixels.max(axis=1)]
    return np.column_stack(summaries).astype(np.float64)
