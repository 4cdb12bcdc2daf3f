"""The table of windows: one row a window, plain columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNLABELLED = -1
NO_FRAME = -1

PLAIN_COLUMNS = (
    *("session", "start_ns", "stop_ns"),
    *("label", "label_fraction", "previous_label", "next_label"),
)
BY_STREAM = ("first_row", "last_row", "frame", "present")


@dataclass(frozen=True, slots=True)
class WindowTable:
    """Windows sorted by session, then by their start; see docs/dataset-file.md.

    Attributes
    ----------
    session
        Number of the session, int32 (w,).
    start_ns, stop_ns
        Half-open, on the session's own clock, int64 (w,).
    label, previous_label, next_label
        Codes of classes, int16 (w,); `UNLABELLED` where there is none.
    label_fraction
        Share of the window that its label covers, float32 (w,).
    first_row, last_row
        By stream, int64 (w,): its rows within the window are [first_row, last_row).
    frame
        By stream of pictures, int64 (w,): the row nearest to the window's centre, or `NO_FRAME`.
    present
        By stream, bool (w,): whether it covers the window.
    """

    session: NDArray[np.int32]
    start_ns: NDArray[np.int64]
    stop_ns: NDArray[np.int64]
    label: NDArray[np.int16]
    label_fraction: NDArray[np.float32]
    previous_label: NDArray[np.int16]
    next_label: NDArray[np.int16]
    first_row: Mapping[str, NDArray[np.int64]] = field(default_factory=dict[str, NDArray[np.int64]])
    last_row: Mapping[str, NDArray[np.int64]] = field(default_factory=dict[str, NDArray[np.int64]])
    frame: Mapping[str, NDArray[np.int64]] = field(default_factory=dict[str, NDArray[np.int64]])
    present: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict[str, NDArray[np.bool_]])

    def __len__(self) -> int:
        """Count the windows."""
        return len(self.session)

    @property
    def is_labelled(self) -> NDArray[np.bool_]:
        """Windows that have a label, (w,)."""
        return self.label != UNLABELLED

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_] | slice) -> WindowTable:
        """Give the table of these rows only, in their order."""
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in PLAIN_COLUMNS}
        for name in BY_STREAM:
            columns[name] = {stream: v[rows] for stream, v in getattr(self, name).items()}
        return WindowTable(**columns)


def joined(tables: Iterable[WindowTable]) -> WindowTable:
    """Put tables of the same streams one behind the other; at least one."""
    parts = list(tables)
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in PLAIN_COLUMNS
    }
    for name in BY_STREAM:
        values = [getattr(part, name) for part in parts]
        columns[name] = {
            stream: np.concatenate([v[stream] for v in values]) for stream in values[0]
        }
    return WindowTable(**columns)
