"""The label of each window, by rule, in whole nanoseconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wban_dataset.labels.timeline import Timeline
from wban_dataset.windows.window_rule import LabelRule
from wban_dataset.windows.window_table import UNLABELLED

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class WindowLabels:
    """Labels of windows and where they come from, (w,) each; as in `WindowTable`.

    Attributes
    ----------
    is_mixed
        Whether the window is partly one thing and partly another, unlabelled time being a thing.
    """

    label: NDArray[np.int16]
    label_fraction: NDArray[np.float32]
    previous_label: NDArray[np.int16]
    next_label: NDArray[np.int16]
    is_mixed: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class _Overlaps:
    """One row for each window and span that share time, sorted by window, then by span."""

    window: Ints
    span: Ints
    overlap_ns: Ints


def label_windows(
    start_ns: Ints, stop_ns: Ints, timeline: Timeline, rule: LabelRule
) -> WindowLabels:
    """Label windows [start, stop), (w,) each, by a rule of `WindowRule`."""
    n_windows = len(start_ns)
    overlaps = _overlaps(start_ns, stop_ns, timeline)
    length_ns = stop_ns - start_ns
    shares = _time_by_class(overlaps, timeline, length_ns)
    most = np.argmax(shares, axis=1)  # the first of equals: the lower code, unlabelled last
    rows = np.arange(n_windows)
    is_mixed = shares[rows, most] < length_ns
    if rule in ("last", "centre"):
        instant = stop_ns - 1 if rule == "last" else start_ns + length_ns // 2
        span = _span_at(instant, timeline)
        label = np.where(span >= 0, timeline.code[span], UNLABELLED) if len(timeline.code) else span
    else:
        label = np.where(most == shares.shape[1] - 1, UNLABELLED, most)
        if rule != "majority":
            label = np.where(is_mixed, UNLABELLED, label)
        span = _longest_span(overlaps, timeline, label)
    covered_ns = np.where(label >= 0, shares[rows, label], 0)
    neighbours = np.concatenate(([UNLABELLED], timeline.code, [UNLABELLED])).astype(np.int16)
    has_span = span >= 0
    return WindowLabels(
        label.astype(np.int16),
        (covered_ns / length_ns).astype(np.float32),
        np.where(has_span, neighbours[span], UNLABELLED).astype(np.int16),
        np.where(has_span, neighbours[span + 2], UNLABELLED).astype(np.int16),
        is_mixed,
    )


def _overlaps(start_ns: Ints, stop_ns: Ints, timeline: Timeline) -> _Overlaps:
    first = np.searchsorted(timeline.stop_ns, start_ns, side="right")
    last = np.searchsorted(timeline.start_ns, stop_ns, side="left")
    n_spans = np.maximum(last - first, 0)
    window = np.repeat(np.arange(len(start_ns)), n_spans)
    before = np.cumsum(n_spans) - n_spans
    span = np.arange(len(window)) - np.repeat(before - first, n_spans)
    shared = np.minimum(stop_ns[window], timeline.stop_ns[span])
    shared -= np.maximum(start_ns[window], timeline.start_ns[span])
    return _Overlaps(window, span, shared)


def _time_by_class(overlaps: _Overlaps, timeline: Timeline, length_ns: Ints) -> NDArray[np.float64]:
    """Time of each window by code, unlabelled time in the last column, (w, codes + 1).

    Floating point holds them exactly: a window is shorter than 2**53 ns, 104 days.
    """
    n_codes = int(timeline.code.max(initial=-1)) + 1
    cell = overlaps.window * (n_codes + 1) + timeline.code[overlaps.span]
    n_cells = len(length_ns) * (n_codes + 1)
    weights = overlaps.overlap_ns.astype(np.float64)
    time_ns = np.bincount(cell, weights, n_cells).astype(np.float64).reshape(-1, n_codes + 1)
    time_ns[:, -1] = length_ns - time_ns.sum(axis=1)
    return time_ns


def _span_at(instant_ns: Ints, timeline: Timeline) -> Ints:
    """Span that each instant lies in, -1 where none, (w,)."""
    place = np.searchsorted(timeline.start_ns, instant_ns, side="right") - 1
    if not len(timeline.code):
        return place
    return np.where((place >= 0) & (instant_ns < timeline.stop_ns[place]), place, -1)


def _longest_span(overlaps: _Overlaps, timeline: Timeline, label: Ints) -> Ints:
    """Span of its label that shares most time with each window, the first of equals, (w,)."""
    of_label = timeline.code[overlaps.span] == label[overlaps.window]
    window, span = overlaps.window[of_label], overlaps.span[of_label]
    found = np.full(len(label), -1, dtype=np.int64)
    found[window] = span
    if len(window) > 1 and np.any(window[1:] == window[:-1]):
        # Written from the least to the greatest overlap, of equals the first span last.
        order = np.lexsort((-span, overlaps.overlap_ns[of_label]))
        found[window[order]] = span[order]
    return found
