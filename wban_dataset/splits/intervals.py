"""Which half-open spans touch others; of whole sessions at once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wban_dataset.windows.window_table import WindowTable

Ints = NDArray[np.int64]


def touched(start: Ints, stop: Ints, others_start: Ints, others_stop: Ints) -> NDArray[np.bool_]:
    """Tell which spans overlap one of the others.

    Parameters
    ----------
    start, stop
        Half-open spans in any order, (n,).
    others_start, others_stop
        Half-open spans in any order, (m,). An empty span overlaps nothing.

    Returns
    -------
    NDArray
        (n,).
    """
    there = others_stop > others_start
    others_start, others_stop = others_start[there], others_stop[there]
    if not len(others_start):
        return np.zeros(len(start), dtype=np.bool_)
    order = np.argsort(others_start, kind="stable")
    starts = others_start[order]
    # The latest end among all that begin early enough decides.
    latest_stop = np.maximum.accumulate(others_stop[order])
    n_before = np.searchsorted(starts, stop, side="left")
    reaches = latest_stop[np.maximum(n_before - 1, 0)] > start
    return (n_before > 0) & reaches & (stop > start)


def spans_on_one_axis(windows: WindowTable, apart_ns: int) -> tuple[Ints, Ints]:
    """Put the spans of all windows on one axis, session behind session, at least `apart_ns` apart.

    So that one call of `touched` does for all sessions.
    """
    if not len(windows):
        return windows.start_ns, windows.stop_ns
    session = windows.session.astype(np.int64)
    n_sessions = int(session.max()) + 1
    first = np.full(n_sessions, np.iinfo(np.int64).max)
    last = np.full(n_sessions, np.iinfo(np.int64).min)
    np.minimum.at(first, session, windows.start_ns)
    np.maximum.at(last, session, windows.stop_ns)
    length = np.where(last >= first, last - first, 0) + apart_ns + 1
    base = np.cumsum(length) - length
    shift = (base - np.where(last >= first, first, 0))[session]
    return windows.start_ns + shift, windows.stop_ns + shift
