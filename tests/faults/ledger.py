"""A stream's ledger: what was expected, less what was recorded, is what the file counts as lost."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tests.faults.hardware import Instants
from tests.faults.recording import RecordedStream
from wban_dataset.recording.streams import Gap

NEIGHBOURS = 200
"""Steps before a gap that its period is taken from: the chips' clocks drift within minutes."""


@dataclass(frozen=True)
class Account:
    """One stream, from its first recorded sample to its last.

    A chip that was set up anew samples in another phase than before: how many samples are missing
    then is a length of time in periods, rounded. Where that comes within the stamps' own error of a
    half, either of two numbers is right.

    Attributes
    ----------
    n_recorded
        Rows in the file.
    n_missing
        Samples missing between them, by the simulation's truth.
    n_counted
        What the file says is missing between them.
    n_undecided
        Gaps where the truth does not say which of two numbers is right; the file's is taken.
    wrong
        What does not agree, in words; nothing where the ledger balances.
    largest_error_ns
        Of a stamp, against the truth.
    """

    n_recorded: int
    n_missing: int
    n_counted: int
    n_undecided: int
    wrong: tuple[str, ...]
    largest_error_ns: int


def account(stream: RecordedStream) -> Account:
    """Balance a stream, gap by gap."""
    places = nearest(stream.true_ns, stream.stamps_ns)
    errors_ns = np.abs(stream.stamps_ns - stream.true_ns[places])
    wrong: list[str] = []
    n_twice = int(np.sum(np.diff(places) <= 0))
    if n_twice:
        wrong.append(f"{n_twice} rows are none of the chip's samples")
    told = counted_by_row(stream)
    steps, periods_ns = steps_in_periods(stream.counting_ns[places])
    if stream.ticks is not None:
        steps = np.diff(stream.ticks).astype(np.float64)
    n_missing = n_undecided = 0
    for row in sorted({*np.flatnonzero(steps > 1.5).tolist(), *told}):
        if not 0 <= row < len(steps):
            wrong.append(f"{told[row]} are counted beside what was recorded")
            continue
        missing, counted = steps[row] - 1, told.get(row, 0)
        slack = float(errors_ns[row] + errors_ns[row + 1]) / periods_ns[row]
        if abs(missing - counted) > 0.5 + slack:
            wrong.append(f"after row {row} {missing:.2f} are missing, {counted} are counted")
            counted = round(missing)
        n_undecided += counted != round(missing)
        n_missing += counted
    n_counted = sum(told.values())
    if n_counted != stream.n_lost:
        wrong.append(f"n_lost is {stream.n_lost}, the gaps make {n_counted}")
    largest_error_ns = int(errors_ns.max(initial=0))
    n_recorded = len(stream.stamps_ns)
    return Account(n_recorded, n_missing, n_counted, n_undecided, tuple(wrong), largest_error_ns)


def nearest(true_ns: Instants, stamps_ns: Instants) -> NDArray[np.int64]:
    """Find the true instant that each stamp is nearest to, (n,)."""
    after = np.clip(np.searchsorted(true_ns, stamps_ns), 1, len(true_ns) - 1)
    earlier = stamps_ns - true_ns[after - 1] < true_ns[after] - stamps_ns
    return after - earlier


def steps_in_periods(instants_ns: Instants) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Give the steps between instants in periods, and the period at each in ns, (n - 1,) both."""
    steps_ns = np.diff(instants_ns).astype(np.float64)
    periods_ns = np.full(len(steps_ns), np.median(steps_ns))
    for row in np.flatnonzero(steps_ns > 1.5 * periods_ns):
        before_ns = steps_ns[max(0, row - NEIGHBOURS) : row]
        if len(before_ns):
            periods_ns[row] = np.median(before_ns)
    return steps_ns / periods_ns, periods_ns


def counted_by_row(stream: RecordedStream) -> dict[int, int]:
    """Tell how many samples the file says are missing, by the row that they would follow."""
    told: dict[int, int] = {}
    for gap in stream.gaps:
        row = int(np.searchsorted(stream.stamps_ns, gap.start_ns, side="right")) - 1
        told[row] = told.get(row, 0) + max(gap.n_missing, 0)
    return told


def gaps_out_of_bounds(stream: RecordedStream) -> list[Gap]:
    """List the gaps that do not lie between two rows that follow each other."""
    rows = np.searchsorted(stream.stamps_ns, [gap.start_ns for gap in stream.gaps], side="right")
    after = np.append(stream.stamps_ns, np.iinfo(np.int64).max)
    return [
        gap
        for gap, row in zip(stream.gaps, rows, strict=True)
        if not gap.start_ns <= gap.stop_ns <= after[row]
    ]


def recovery_s(stream: RecordedStream, fault_end_ns: int) -> float:
    """Tell how long after the end of a fault the first sample is that was recorded again."""
    later_ns = stream.stamps_ns[stream.stamps_ns >= fault_end_ns]
    return float(later_ns[0] - fault_end_ns) / 1e9 if len(later_ns) else float("inf")
