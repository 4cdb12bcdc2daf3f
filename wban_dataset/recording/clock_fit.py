"""The fit of a chip's clock to CLOCK_MONOTONIC, piecewise linear per segment.

Every read bounds its samples from one side or both (`streams.Read`). The fit goes through windows
that overlap by half. In a window the chip's rate is taken as constant, and its line is

- where interrupts were stamped: the line under the stamps. Latency is one-sided, so the lower hull
  beats least squares by far. What remains is the least latency, 20 to 60 us: it cannot be seen from
  the stamps alone and is not taken off, but counted into the uncertainty;
- where the chip was polled: the centre of all lines that keep every bound, the upper ("it was there
  when the read ended") as well as the lower ("the next was not yet there when it began").

A chip's rate goes on over gaps, so that short segments take theirs from their neighbours: the rates of
all windows are smoothed as a random walk, and each window's slope is confined to what that allows.
Between the centres of windows the clock is interpolated linearly, on integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording.clock_line import (
    Line,
    Point,
    Region,
    central_line,
    feasible_region,
    lowest_at,
    supporting_line,
    with_slopes,
)
from wban_dataset.recording.evidence import Evidence, Ints

Floats = NDArray[np.float64]

# An hour at 100 ppm per 10 min bends a line by 2 us over 10 s, by 33 us over 40 s: edges are dense and
# tight enough for the short window, polls need the long one.
EDGE_WINDOW_S = 12.0
POLL_WINDOW_S = 40.0
MIN_WINDOW_PERIODS = 32  # for slow streams
MIN_EDGES = 3
MIN_EDGES_FOR_LATENCY = 8
DEFAULT_LATENCY_NS = 40_000.0  # median of an interrupt's latency above the least, until it is seen

RATE_LIMIT = 0.2  # an MPU-6050's own oscillator is off by 15 % at worst
RATE_SIGMA = 0.07
RATE_WALK_PER_SQRT_S = 5e-6  # covers hundreds of ppm in a few minutes of warming up
RATE_FLOOR = 1e-6
N_SIGMA = 4.0  # how far a window's slope may lie from the smoothed rate

MIN_UNCERTAINTY_NS = 1_000.0
LEAST_LATENCY_PART = 0.7  # of the median latency: what the unseen least latency may be


@dataclass(frozen=True, slots=True)
class ClockFit:
    """Time of every sample of a stream, from knots; see `fit_clock`.

    Between two knots of a segment the time is linear in the index, after the last it goes on with the
    same period. Times increase strictly. All arrays of knots are (k,), those of reads (r,).
    """

    knot_index: Ints
    knot_ns: Ints
    knot_period_ns: Floats
    knot_unc_ns: Floats
    segment_last_knot: Ints  # (s,)
    read_segment: Ints  # 0, 1, ... in order of appearance
    read_first_index: Ints
    read_first_row: Ints

    @property
    def n_samples(self) -> int:
        """Number of samples recorded."""
        return int(self.read_first_row[-1])

    def stamps(self, start: int = 0, stop: int | None = None) -> tuple[Ints, NDArray[np.int32]]:
        """Times and 1-sigma uncertainties of the recorded samples [start, stop), in ns, (n,) each."""
        index, read = self._places(start, stop)
        knot = self._knots(index, read)
        return self._times(index, knot), self._uncertainties(index, knot)

    def periods_ns(self, start: int = 0, stop: int | None = None) -> Floats:
        """Fitted sampling period at the recorded samples [start, stop), in ns, (n,)."""
        index, read = self._places(start, stop)
        return self.knot_period_ns[self._knots(index, read)]

    def instants(self, index: Ints, read: Ints) -> Ints:
        """Times in ns of samples of given index, as counted in the segments of given reads, (n,)."""
        return self._times(index, self._knots(index, read))

    def _places(self, start: int, stop: int | None) -> tuple[Ints, Ints]:
        """Index in the chip's count, and read, of recorded samples."""
        rows = np.arange(start, self.n_samples if stop is None else stop, dtype=np.int64)
        read = np.searchsorted(self.read_first_row, rows, side="right") - 1
        return self.read_first_index[read] + (rows - self.read_first_row[read]), read

    def _knots(self, index: Ints, read: Ints) -> Ints:
        """Knot at or before each index, in the segment of its read."""
        segment = self.read_segment[read]
        last = self.segment_last_knot[segment]
        first = np.where(segment > 0, self.segment_last_knot[segment - 1] + 1, 0)
        knot = np.searchsorted(self.knot_index, index, side="right") - 1
        return np.clip(knot, first, last)

    def _times(self, index: Ints, knot: Ints) -> Ints:
        steps = (index - self.knot_index[knot]) * self.knot_period_ns[knot]
        return self.knot_ns[knot] + np.rint(steps).astype(np.int64)

    def _uncertainties(self, index: Ints, knot: Ints) -> NDArray[np.int32]:
        following = np.minimum(knot + 1, len(self.knot_index) - 1)
        run = np.maximum(self.knot_index[following] - self.knot_index[knot], 1)
        part = np.minimum((index - self.knot_index[knot]) / run, 1.0)
        here, there = self.knot_unc_ns[knot], self.knot_unc_ns[following]
        unc_ns = np.ceil(here + part * (there - here))
        return np.minimum(unc_ns, np.iinfo(np.int32).max).astype(np.int32)


def fit_clock(evidence: Evidence) -> ClockFit:
    """Fit the clock of a stream with evidence of kind "fifo" or "ready".

    The result depends on the reads alone: the same columns give the same bits again.

    Raises
    ------
    ValueError
        For evidence of kind "sensor", whose stamps need no fit.
    """
    if evidence.kind == "sensor":
        raise ValueError("evidence of kind 'sensor' holds stamps; expected 'fifo' or 'ready'")
    bounds = evidence.segment_bounds().tolist()
    segments = [_Bounds.of(evidence, *ends) for ends in zip(bounds, bounds[1:], strict=False)]
    windows = [_windows(segment) for segment in segments]
    lines = iter(_lines([w for own in windows for w in own], evidence.period_ns))
    track = _Track(evidence.period_ns)
    for segment, own in zip(segments, windows, strict=True):
        track.add_segment(segment, own, [next(lines) for _ in own])
    return ClockFit(
        knot_index=np.array(track.index, dtype=np.int64),
        knot_ns=np.array(track.time_ns, dtype=np.int64),
        knot_period_ns=np.array(track.following_period_ns, dtype=np.float64),
        knot_unc_ns=np.array(track.unc_ns, dtype=np.float64),
        segment_last_knot=np.array(track.segment_last_knot, dtype=np.int64),
        read_segment=np.repeat(np.arange(len(segments)), np.diff(bounds)),
        read_first_index=evidence.first_index,
        read_first_row=np.concatenate(([0], np.cumsum(evidence.n))).astype(np.int64),
    )


@dataclass(frozen=True, slots=True)
class _Bounds:
    """What the reads of one segment say: (index, ns) pairs sorted by index."""

    period_ns: float
    first: int
    last: int
    reach: int  # highest index that any bound is about
    upper: tuple[Ints, Ints]
    lower: tuple[Ints, Ints]
    edges: tuple[Ints, Ints]
    by_edges: bool

    @classmethod
    def of(cls, evidence: Evidence, start: int, stop: int) -> _Bounds:
        """Bounds from the reads [start, stop)."""
        reads = slice(start, stop)
        newest = evidence.newest_index[reads]
        start_ns, has_edge = evidence.read_start_ns[reads], evidence.has_edge[reads]
        absent = newest + 1 if evidence.kind == "fifo" else newest
        known = start_ns > 0
        n_edges = int(has_edge.sum())
        return cls(
            period_ns=evidence.period_ns,
            first=int(evidence.first_index[start]),
            last=int(evidence.first_index[stop - 1] + evidence.n[stop - 1] - 1),
            reach=int(newest.max()) + 1,
            upper=_by_index(newest, evidence.read_end_ns[reads]),
            lower=_by_index(absent[known], start_ns[known]),
            edges=_by_index(
                evidence.edge_index[reads][has_edge], evidence.edge_ns[reads][has_edge]
            ),
            by_edges=n_edges >= MIN_EDGES and 2 * n_edges >= stop - start,
        )


@dataclass(frozen=True, slots=True)
class _Window:
    """A stretch of a segment over which the rate is taken as constant.

    Its lines are over x = (index - centre) / half_width; y is the time in ns from `reference_ns`,
    less the nominal period for each index from the centre.
    """

    centre: int
    half_width: float
    reference_ns: int
    slope_unit: float  # slope of a line whose clock is slow by 100 %, ns
    region: Region
    slack_ns: float
    edges: list[Point]

    @property
    def uses_edges(self) -> bool:
        """Whether enough interrupts were stamped, over enough of the window."""
        return len(self.edges) >= MIN_EDGES and self.edges[-1][0] - self.edges[0][0] >= 1.0

    def x(self, index: int) -> float:
        """Place of a sample on the window's own axis."""
        return (index - self.centre) / self.half_width


@dataclass(frozen=True, slots=True)
class _Rate:
    """Relative deviation of a chip's period from the nominal one, and its variance."""

    mean: float
    var: float


@dataclass(slots=True)
class _Track:
    """Knots of all segments, joined so that time never runs backwards."""

    period_ns: float
    index: list[int] = field(default_factory=list[int])
    time_ns: list[int] = field(default_factory=list[int])
    unc_ns: list[float] = field(default_factory=list[float])
    following_period_ns: list[float] = field(default_factory=list[float])
    segment_last_knot: list[int] = field(default_factory=list[int])

    def add_segment(
        self, segment: _Bounds, windows: Sequence[_Window], lines: Sequence[Line]
    ) -> None:
        """Knots at the centres of the windows and at the two ends of the segment."""
        places = [(segment.first, 0)]
        places += [
            (w.centre, i) for i, w in enumerate(windows) if segment.first < w.centre < segment.last
        ]
        if segment.last > segment.first:
            places.append((segment.last, len(windows) - 1))
        knots = [(k, *_value(windows[i], lines[i], k, self.period_ns)) for k, i in places]
        self._append(knots)
        tail_ns = self.period_ns + lines[-1].slope / windows[-1].half_width
        for (k0, t0, _), (k1, t1, _) in zip(knots, knots[1:], strict=False):
            self.following_period_ns.append((t1 - t0) / (k1 - k0))
        self.following_period_ns.append(tail_ns)
        self.segment_last_knot.append(len(self.index) - 1)

    def _append(self, knots: list[tuple[int, int, float]]) -> None:
        """Move knots that would come before the segment before them, or before one another."""
        first = knots[0][0]
        earliest = self.time_ns[-1] + max(int(self.period_ns) // 2, 1) if self.time_ns else 0
        for i, (k, t, unc) in enumerate(knots):
            allowed = max(t, earliest + (k - first))
            if i:
                allowed = max(allowed, knots[i - 1][1] + (k - knots[i - 1][0]))
            knots[i] = (k, allowed, unc + (allowed - t))
        self.index += [k for k, _, _ in knots]
        self.time_ns += [t for _, t, _ in knots]
        self.unc_ns += [unc for _, _, unc in knots]


def _by_index(index: Ints, time_ns: Ints) -> tuple[Ints, Ints]:
    order = np.argsort(index, kind="stable")
    return index[order], time_ns[order]


def _windows(segment: _Bounds) -> list[_Window]:
    """Windows over a segment that overlap by half; one if it is short."""
    seconds = EDGE_WINDOW_S if segment.by_edges else POLL_WINDOW_S
    width = max(int(seconds * 1e9 / segment.period_ns), MIN_WINDOW_PERIODS)
    span = segment.reach - segment.first
    if span <= width:
        return [_window(segment, (segment.first + segment.reach) // 2, max((span + 1) // 2, 1))]
    n_steps = -(-2 * (span - width) // width)
    centres = [segment.first + width // 2 + i * (span - width) // n_steps for i in range(n_steps)]
    centres.append(segment.reach - width // 2)
    return [_window(segment, c, width // 2) for c in centres if _is_covered(segment, c, width // 2)]


def _is_covered(segment: _Bounds, centre: int, half: int) -> bool:
    """Whether the window holds any read: a damaged journal can leave holes."""
    index = segment.upper[0]
    return bool(np.any((index >= centre - half) & (index <= centre + half)))


def _window(segment: _Bounds, centre: int, half: int) -> _Window:
    """Express the bounds about [centre - half, centre + half] on the window's own axes."""
    nearest = np.searchsorted(segment.upper[0], centre)
    reference_ns = int(segment.upper[1][min(int(nearest), len(segment.upper[1]) - 1)])

    def points(bounds: tuple[Ints, Ints]) -> list[Point]:
        index, time_ns = bounds
        inside = slice(*np.searchsorted(index, [centre - half, centre + half + 1]))
        steps = index[inside] - centre
        y = (time_ns[inside] - reference_ns) - steps * segment.period_ns
        return list(zip((steps / half).tolist(), y.tolist(), strict=True))

    slope_unit = half * segment.period_ns
    limit = RATE_LIMIT * slope_unit
    region, slack_ns = feasible_region(
        points(segment.upper), points(segment.lower), -limit, limit, margin=2 * segment.period_ns
    )
    # An edge before the first instant at which its sample can have been latched belongs to another.
    edges = [(x, y) for x, y in points(segment.edges) if y >= lowest_at(region, x) - slack_ns]
    return _Window(centre, half, reference_ns, slope_unit, region, slack_ns, edges)


def _lines(windows: Sequence[_Window], period_ns: float) -> list[Line]:
    """Line of each window, its slope confined to what the windows around say of the rate."""
    latency_ns = _latency(windows)
    rates = _smoothed([_rate(w, latency_ns) for w in windows], [w.reference_ns for w in windows])
    return [_line(w, rate, latency_ns) for w, rate in zip(windows, rates, strict=True)]


def _latency(windows: Sequence[_Window]) -> float:
    """Median over the stream of how much later than the least an interrupt is stamped, ns."""
    medians = [
        _median([y - height - slope * x for x, y in w.edges])
        for w in windows
        if w.uses_edges and len(w.edges) >= MIN_EDGES_FOR_LATENCY
        for height, slope in [_under_edges(w, -RATE_LIMIT, RATE_LIMIT)]
    ]
    return _median(medians) if medians else DEFAULT_LATENCY_NS


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _under_edges(window: _Window, rate_min: float, rate_max: float) -> Point:
    unit = window.slope_unit
    return supporting_line(window.edges, rate_min * unit, rate_max * unit)


def _rate(window: _Window, latency_ns: float) -> _Rate:
    """What one window by itself says of the chip's rate."""
    if window.uses_edges and len(window.edges) >= MIN_EDGES_FOR_LATENCY:
        slope = _under_edges(window, -RATE_LIMIT, RATE_LIMIT)[1]
        var = (3.0 * latency_ns / len(window.edges)) ** 2
    else:
        line = central_line(window.region)
        slope, var = line.slope, line.var_slope + window.slack_ns**2
    return _Rate(slope / window.slope_unit, var / window.slope_unit**2 + RATE_FLOOR**2)


def _smoothed(rates: Sequence[_Rate], times_ns: Sequence[int]) -> list[_Rate]:
    """Rates smoothed as a random walk (Kalman filter forwards, Rauch-Tung-Striebel backwards)."""
    filtered: list[_Rate] = []
    walks: list[float] = []
    state = _Rate(0.0, RATE_SIGMA**2)
    for i, rate in enumerate(rates):
        elapsed_s = max(times_ns[i] - times_ns[i - 1], 0) * 1e-9 if i else 0.0
        walks.append(RATE_WALK_PER_SQRT_S**2 * elapsed_s)
        var = state.var + walks[-1]
        gain = var / (var + rate.var)
        state = _Rate(state.mean + gain * (rate.mean - state.mean), var * (1.0 - gain))
        filtered.append(state)
    smoothed = filtered[-1:]
    for i in range(len(rates) - 2, -1, -1):
        here, following = filtered[i], smoothed[-1]
        predicted = here.var + walks[i + 1]
        gain = here.var / predicted
        mean = here.mean + gain * (following.mean - here.mean)
        smoothed.append(_Rate(mean, here.var + gain * gain * (following.var - predicted)))
    return smoothed[::-1]


def _line(window: _Window, rate: _Rate, latency_ns: float) -> Line:
    """Line of a window given the rate that it shares with its neighbours."""
    sigma = math.sqrt(max(rate.var, RATE_FLOOR**2))
    low, high = rate.mean - N_SIGMA * sigma, rate.mean + N_SIGMA * sigma
    unit = window.slope_unit
    if window.uses_edges:
        n = len(window.edges)
        height, slope = _under_edges(window, low, high)
        rate_sigma_ns = sigma * unit if n < MIN_EDGES_FOR_LATENCY else 3.0 * latency_ns / n
        var_height = (LEAST_LATENCY_PART * latency_ns) ** 2 + (2.0 * latency_ns / n) ** 2
        return Line(height, slope, var_height=var_height, var_slope=rate_sigma_ns**2)
    line = central_line(with_slopes(window.region, low * unit, high * unit))
    return replace(line, var_height=line.var_height + window.slack_ns**2)


def _value(window: _Window, line: Line, index: int, period_ns: float) -> tuple[int, float]:
    """Time of a sample and its 1-sigma uncertainty by a window's line, in ns."""
    x = window.x(index)
    offset_ns = (index - window.centre) * period_ns + line.at(x)
    unc_ns = math.sqrt(line.variance_at(x) + MIN_UNCERTAINTY_NS**2)
    return window.reference_ns + round(offset_ns), unc_ns
