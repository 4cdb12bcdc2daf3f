"""Sessions cut into windows: on the true stamps of one stream, over all streams.

Windows start at the first sample of each stretch without a gap of the reference stream and follow
each other by the stride as long as they fit; the one that just fits counts. The other streams keep
their rates. Where one ends earlier, has a gap or no sample, its windows are masked, not left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wban_dataset.errors import DatasetError
from wban_dataset.labels.timeline import Timeline
from wban_dataset.windows.stretches import Stretches
from wban_dataset.windows.window_labels import label_windows
from wban_dataset.windows.window_rule import WindowRule
from wban_dataset.windows.window_table import NO_FRAME, WindowTable

PICTURES = ("thermal", "infrared")

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class StreamTimes:
    """When a stream of one session was sampled.

    Attributes
    ----------
    kind
        ``accel``, ``gyro``, ``thermal`` or ``infrared``.
    stamps_ns
        Strictly increasing, int64 (n,).
    segment
        A new number after each gap, (n,).
    period_ns
        From one sample to the next; what the last sample of a stretch stands for.
    """

    kind: str
    stamps_ns: Ints
    segment: NDArray[np.integer]
    period_ns: int

    @property
    def stretches(self) -> Stretches:
        """Stretches without a gap."""
        return Stretches.of(self.stamps_ns, self.segment, self.period_ns)


def cut(
    streams: Mapping[str, StreamTimes], timeline: Timeline, rule: WindowRule, session: int = 0
) -> WindowTable:
    """Cut one session into labelled windows.

    Parameters
    ----------
    streams
        By name; rows in the table are relative to these.
    session
        The session's number, for the table.

    Returns
    -------
    WindowTable
        Sorted by start; empty where the reference stream has no stretch as long as a window.

    Raises
    ------
    DatasetError
        If the reference stream is not there, or stamps do not increase.
    """
    name = reference_stream(streams, rule)
    _check_order(name, streams[name])
    return windows_at(_starts(streams[name].stretches, rule), streams, timeline, rule, session)


def windows_at(
    start_ns: Ints,
    streams: Mapping[str, StreamTimes],
    timeline: Timeline,
    rule: WindowRule,
    session: int = 0,
) -> WindowTable:
    """Label windows that begin at given instants, and find their rows; as `cut` does.

    Parameters
    ----------
    start_ns
        Increasing, int64 (w,).

    Raises
    ------
    DatasetError
        If stamps do not increase.
    """
    for name, times in streams.items():
        _check_order(name, times)
    stretches = {name: times.stretches for name, times in streams.items()}
    stop_ns, centre_ns = start_ns + rule.length_ns, start_ns + rule.length_ns // 2
    labels = label_windows(start_ns, stop_ns, timeline, rule.label_rule)
    first_row = {name: np.searchsorted(t.stamps_ns, start_ns) for name, t in streams.items()}
    last_row = {name: np.searchsorted(t.stamps_ns, stop_ns) for name, t in streams.items()}
    required_ns = rule.required_ns
    table = WindowTable(
        session=np.full(len(start_ns), session, dtype=np.int32),
        start_ns=start_ns,
        stop_ns=stop_ns,
        label=labels.label,
        label_fraction=labels.label_fraction,
        previous_label=labels.previous_label,
        next_label=labels.next_label,
        first_row=first_row,
        last_row=last_row,
        frame={
            name: _nearest(t.stamps_ns, centre_ns, first_row[name], last_row[name])
            for name, t in streams.items()
            if t.kind in PICTURES
        },
        present={
            name: (covering.covered_ns(start_ns, stop_ns) >= required_ns)
            & (last_row[name] > first_row[name])
            for name, covering in stretches.items()
        },
    )
    return table.take(~labels.is_mixed) if rule.label_rule == "drop-mixed" else table


def reference_stream(streams: Mapping[str, StreamTimes], rule: WindowRule) -> str:
    """Name of the stream whose stretches are cut: the rule's, or by name the first accelerometer.

    Raises
    ------
    DatasetError
        If there is none.
    """
    found = ", ".join(sorted(streams)) or "none"
    if rule.reference is not None:
        if rule.reference not in streams:
            raise DatasetError(
                f"reference stream {rule.reference!r}: the session's streams are {found}, expected "
                "it among them; name another, or leave the session out."
            )
        return rule.reference
    accelerometers = sorted(name for name, times in streams.items() if times.kind == "accel")
    if not accelerometers:
        raise DatasetError(
            f"windows: the session's streams are {found}, expected an accelerometer to cut by; "
            "name the reference stream."
        )
    return accelerometers[0]


def _starts(stretches: Stretches, rule: WindowRule) -> Ints:
    """Start of every window that fits into a stretch, (w,)."""
    room_ns = stretches.stop_ns - stretches.start_ns - rule.length_ns
    n_windows: Ints = np.where(room_ns < 0, 0, room_ns // rule.stride_ns + 1)
    before = np.cumsum(n_windows) - n_windows
    number = np.arange(int(n_windows.sum())) - np.repeat(before, n_windows)
    return np.repeat(stretches.start_ns, n_windows) + number * rule.stride_ns


def _nearest(stamps_ns: Ints, centre_ns: Ints, first_row: Ints, last_row: Ints) -> Ints:
    """Row within [first, last) whose stamp is nearest to the centre, the earlier of two, (w,)."""
    if not len(stamps_ns):
        return np.full(len(centre_ns), NO_FRAME, dtype=np.int64)
    after = np.searchsorted(stamps_ns, centre_ns)
    after_row = np.minimum(after, len(stamps_ns) - 1)
    before_row = np.maximum(after - 1, 0)
    is_before = centre_ns - stamps_ns[before_row] <= stamps_ns[after_row] - centre_ns
    nearest = np.where((is_before & (after > 0)) | (after == len(stamps_ns)), before_row, after_row)
    return np.where((first_row <= nearest) & (nearest < last_row), nearest, NO_FRAME)


def _check_order(name: str, times: StreamTimes) -> None:
    follows = times.stamps_ns[1:] > times.stamps_ns[:-1]
    if not follows.all():
        row = int(np.argmin(follows)) + 1
        raise DatasetError(
            f"stream {name!r}, row {row}: its stamp {times.stamps_ns[row]} ns does not follow "
            f"{times.stamps_ns[row - 1]} ns, expected increasing stamps; verify the session."
        )
