"""Recordings that are copies of others, in whole or for some seconds, changed or not.

Two searches, each over sketches alone (`candidates`); what they propose is read again and confirmed
on the samples.

1. The same raw counts over 5 s, at any offset and in any stream (`fingerprints`): nothing of that
   length is overlooked.
2. A correlation above 0.995 over 20 s of acceleration whose standard deviation is above 0.5 m s-2,
   at any lag (`landmarks`, `correlation`): found with noise, gain, a turned sensor, another rate.

Less similarity is a warning.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wban_dataset.splits.candidates import CandidatePair, Candidates
from wban_dataset.splits.correlation import LAG_ROWS, OVER_S, likeness
from wban_dataset.splits.fingerprints import RunLength, counts_of, equal_runs
from wban_dataset.splits.landmarks import METRES_PER_S2, WINDOW_S
from wban_dataset.splits.recording import Recording, Signal
from wban_dataset.splits.sketch import Sketch, sketched

N_OFFSETS = 16
"""Offsets between two streams that are read again, those with most in common first."""

LAG_BIN_S = 0.25
PIECE_S = 600.0

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Rows [first_row, last_row) of a stream, numbered as the table of windows numbers them."""

    session: int
    stream: str
    first_row: int
    last_row: int


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Two stretches of two recordings that are one.

    Attributes
    ----------
    same_counts
        The raw counts are equal; otherwise the accelerations correlate.
    correlation
        1 where counts are equal.
    is_warning
        Similar, but short of a copy.
    """

    first: Stretch
    second: Stretch
    duration_s: float
    same_counts: bool
    correlation: float
    is_warning: bool = False


def near_duplicates(
    recordings: Sequence[Recording], sketches: Iterable[Sketch] | None = None
) -> list[Duplicate]:
    """Find the stretches that two recordings have in common.

    Parameters
    ----------
    sketches
        Of the recordings, where they were made before; each is asked for once and not kept.

    Returns
    -------
    list
        By session, then by row; the first stretch is of the session with the smaller number.
    """
    signals = {
        (recording.session, name): signal
        for recording in recordings
        for name, signal in recording.streams.items()
    }
    found: list[Duplicate] = []
    with tempfile.TemporaryDirectory() as folder:
        candidates = Candidates(Path(folder))
        for sketch in map(sketched, recordings) if sketches is None else sketches:
            candidates.add(sketch)
        for pair in candidates.same_hashes():
            found += _same_counts(pair, signals[pair.first], signals[pair.second])
        for pair in candidates.same_shapes():
            found += _correlated(pair, signals[pair.first], signals[pair.second])
    return sorted(found, key=_order)


def _order(found: Duplicate) -> tuple[int | str | bool, ...]:
    first, second = found.first, found.second
    return (
        *(first.session, second.session, first.stream, first.first_row),
        *(second.stream, second.first_row, first.last_row, found.same_counts),
    )


def _same_counts(pair: CandidatePair, signal: Signal, other: Signal) -> Iterator[Duplicate]:
    """Read again what has the same hashes, and give the stretches that are equal for 5 s."""
    length = max(RunLength.of(signal).same, RunLength.of(other).same)
    offsets, n_common = np.unique(pair.other_rows - pair.rows, return_counts=True)
    most = offsets[np.argsort(-n_common, kind="stable")[:N_OFFSETS]]
    for offset in most.tolist():
        rows = np.sort(pair.rows[pair.other_rows - pair.rows == offset])
        for begin, end in _clusters(rows, length, round(PIECE_S * signal.sampling_rate_hz)):
            start = max(begin - length, 0, -offset)
            stop = min(end + 2 * length, signal.n_rows, other.n_rows - offset)
            words = counts_of(signal, signal.read(start, stop))
            other_words = counts_of(other, other.read(start + offset, stop + offset))
            if words.shape != other_words.shape:
                continue
            for first, last in equal_runs(words, other_words, length):
                yield Duplicate(
                    _stretch(pair.first, signal, start + first, start + last),
                    _stretch(pair.second, other, start + first + offset, start + last + offset),
                    (last - first) / signal.sampling_rate_hz,
                    same_counts=True,
                    correlation=1.0,
                )


def _correlated(pair: CandidatePair, signal: Signal, other: Signal) -> Iterator[Duplicate]:
    """Read again what looks alike, and give what correlates over 20 s."""
    rate_hz, other_rate_hz = signal.sampling_rate_hz, other.sampling_rate_hz
    lag_s = pair.other_rows / other_rate_hz - pair.rows / rate_hz
    bins = np.rint(lag_s / LAG_BIN_S).astype(np.int64)
    for bin_ in np.unique(bins):
        inside = np.flatnonzero(bins == bin_)
        inside = inside[np.argsort(pair.rows[inside], kind="stable")]
        gap, piece = round(2 * OVER_S * rate_hz), round(PIECE_S * rate_hz)
        for begin, end in _clusters(pair.rows[inside], gap, piece):
            of_cluster = inside[(pair.rows[inside] >= begin) & (pair.rows[inside] <= end)]
            lag = float(np.median(lag_s[of_cluster]))
            yield from _correlated_cluster(pair, signal, other, begin, end, lag)


def _correlated_cluster(
    pair: CandidatePair, signal: Signal, other: Signal, begin: int, end: int, lag_s: float
) -> Iterator[Duplicate]:
    """Compare around rows [begin, end] of the first, at the lower of both rates."""
    rate_hz = min(signal.sampling_rate_hz, other.sampling_rate_hz)
    duration_s = signal.n_rows / signal.sampling_rate_hz
    other_s = other.n_rows / other.sampling_rate_hz
    core_s = (begin / signal.sampling_rate_hz, end / signal.sampling_rate_hz)
    start_s = max(core_s[0] - OVER_S, 0.0, -lag_s)
    stop_s = min(core_s[1] + OVER_S, duration_s, other_s - lag_s)
    n = round((stop_s - start_s) * rate_hz)
    if n < OVER_S * rate_hz:
        return
    rows = _resampled(signal, start_s, rate_hz, n)
    other_start_s = start_s + lag_s - LAG_ROWS / rate_hz
    other_rows = _resampled(other, other_start_s, rate_hz, n + 2 * LAG_ROWS)
    half_s = WINDOW_S / 2
    first = max(0, int((core_s[0] - half_s - start_s) * rate_hz))
    core = slice(first, max(first + 2, min(n, int((core_s[1] + half_s - start_s) * rate_hz))))
    found = likeness(rows, other_rows, core, rate_hz)
    if found is None:
        return
    spans = [
        (start_s + (row + shift) / rate_hz + lag)
        for lag, shift in ((0.0, 0), (lag_s, found.lag_rows))
        for row in (found.first, found.last)
    ]
    yield Duplicate(
        _stretch(pair.first, signal, *_rows_at(signal, spans[0], spans[1])),
        _stretch(pair.second, other, *_rows_at(other, spans[2], spans[3])),
        (found.last - found.first) / rate_hz,
        same_counts=False,
        correlation=found.correlation,
        is_warning=not found.is_copy,
    )


def _rows_at(signal: Signal, start_s: float, stop_s: float) -> tuple[int, int]:
    first = max(0, round(start_s * signal.sampling_rate_hz))
    return first, min(signal.n_rows, round(stop_s * signal.sampling_rate_hz))


def _resampled(signal: Signal, start_s: float, rate_hz: float, n: int) -> NDArray[np.float64]:
    """Rows from a time on, at a rate, in m s-2, (n, channels); the ends go on beyond the ends.

    As they are where the rate is theirs, otherwise between neighbours.
    """
    ratio = signal.sampling_rate_hz / rate_hz
    places = start_s * signal.sampling_rate_hz + np.arange(n) * ratio
    if ratio == 1.0:
        places = np.rint(places)
    first = min(max(int(places[0]), 0), signal.n_rows - 1)
    last = min(int(places[-1]) + 2, signal.n_rows)
    rows: NDArray[np.float64] = signal.read(first, last).astype(np.float64)
    rows = np.where(np.isfinite(rows), rows, 0.0) * METRES_PER_S2[signal.units]
    at = np.arange(first, first + len(rows))
    columns = [np.interp(places, at, rows[:, i]) for i in range(rows.shape[1])]
    return np.stack(columns, axis=1)


def _clusters(rows: Ints, gap: int, longest: int) -> Iterator[tuple[int, int]]:
    """First and last of rows that follow each other within a gap, none longer than `longest`."""
    after_gap = np.concatenate([[False], np.diff(rows) > gap])
    numbers = np.cumsum(after_gap)
    for _, places in groupby(range(len(rows)), key=lambda i: int(numbers[i])):
        cluster = rows[list(places)]
        pieces = (cluster - cluster[0]) // longest
        for piece in np.unique(pieces):
            inside = cluster[pieces == piece]
            yield int(inside[0]), int(inside[-1])


def _stretch(key: tuple[int, str], signal: Signal, first: int, last: int) -> Stretch:
    return Stretch(key[0], key[1], signal.first_row + first, signal.first_row + last)
