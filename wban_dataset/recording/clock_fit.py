"""The fit of a chip's clock to CLOCK_MONOTONIC, piecewise linear per segment.

Every read bounds its samples from one side or both (`streams.Read`). The fit goes through windows
that overlap by half. In a window the chip's rate is taken as constant, and its line is

- where interrupts were stamped: the line under the stamps. Latency is one-sided, so the lower hull
  beats least squares by far. What remains is the least latency, 20 to 60 us: it cannot be seen from
  the stamps alone and is not taken off, but counted into the uncertainty;
- where the chip was polled: the centre of all lines that keep every bound, the upper ("it was there
  when the read ended") as well as the lower ("the next was not yet there when it began").

In a warming chip the rate drifts within a window: how fast is taken from the windows around, and
the bend this gives is taken off before the lines are fitted. A chip's rate goes on over gaps, so
that short segments take theirs from their neighbours: the rates of all windows are smoothed as a
random walk, and each window's slope is confined to what that allows. Between the centres of windows
their curves are blended, at knots dense enough to be joined by straight lines on integers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from wban_dataset.recording.clock_line import (
    Line,
    Point,
    Region,
    central_line,
    feasible_region,
    lower_hull,
    lowest_at,
    supporting_line,
    with_slopes,
)
from wban_dataset.recording.evidence import Evidence, Ints
from wban_dataset.recording.fitted_clock import ClockFit

Knot = tuple[int, int, float]  # index, time in ns, its 1-sigma uncertainty in ns

# Edges are dense and tight enough for the short window; polls bound a clock to 0.1 ms only over
# the long one.
EDGE_WINDOW_S = 12.0
POLL_WINDOW_S = 40.0
MIN_WINDOW_PERIODS = 32  # for slow streams
MIN_EDGES = 3
MIN_EDGES_FOR_LATENCY = 8
DEFAULT_LATENCY_NS = 40_000.0  # median latency above the least, until it is seen

RATE_LIMIT = 0.2  # an MPU-6050's own oscillator is off by 15 % at worst
RATE_SIGMA = 0.07
RATE_WALK_PER_SQRT_S = 5e-6  # covers hundreds of ppm in a few minutes of warming up
RATE_FLOOR = 1e-6
DRIFT_SIGMA_PER_S = 5e-7  # expected of the rate: 300 ppm in 10 min
N_SIGMA = 4.0  # how far a window's slope may lie from the smoothed rate

KNOTS_PER_STEP = 4
MIN_UNCERTAINTY_NS = 1_000.0
LEAST_LATENCY_PART = 0.7  # of the median latency: what the unseen least latency may be


def fit_clock(evidence: Evidence) -> ClockFit:
    """Fit the clock of a stream with evidence of kind "fifo" or "ready".

    The result depends on the reads alone: the same columns give the same bits again.

    Raises
    ------
    ValueError
        For evidence of kind "sensor" or "given", whose stamps need no fit.
    """
    if evidence.kind in ("sensor", "given"):
        raise ValueError(
            f"evidence of kind {evidence.kind!r} holds stamps; expected 'fifo' or 'ready'"
        )
    bounds = evidence.segment_bounds().tolist()
    segments = [_Bounds.of(evidence, *ends) for ends in itertools.pairwise(bounds)]
    windows = [_unbent(segment, _windows(segment)) for segment in segments]
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
        last = int(evidence.first_index[stop - 1] + evidence.n[stop - 1] - 1)
        # That a sample was not there yet says little if it never came: perhaps the chip had
        # stopped. A lone read has nothing better.
        known = (start_ns > 0) & ((absent <= last) | (stop - start == 1))
        n_edges = int(has_edge.sum())
        return cls(
            period_ns=evidence.period_ns,
            first=int(evidence.first_index[start]),
            last=last,
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
    less the nominal period for each index from the centre, less bend_ns * x * x.
    """

    centre: int
    half_width: float
    reference_ns: int
    slope_unit: float  # slope of a line whose clock is slow by 100 %, ns
    bend_ns: float
    bend_sigma_ns: float
    region: Region
    slack_ns: float
    edges: list[Point]
    edge_hull: list[Point]
    edge_mean_x: float

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
        """Add knots from the first to the last sample of a segment."""
        knots: list[Knot] = []
        nodes = [segment.first, *(w.centre for w in windows), segment.last]
        for i, (left, right) in enumerate(itertools.pairwise(nodes)):
            before, after = max(i - 1, 0), min(i, len(windows) - 1)
            for step in range(KNOTS_PER_STEP):
                index = left + (right - left) * step // KNOTS_PER_STEP
                if segment.first <= index < segment.last and (not knots or index > knots[-1][0]):
                    here = _knot(windows[before], lines[before], index, self.period_ns)
                    there = _knot(windows[after], lines[after], index, self.period_ns)
                    knots.append(_blended(here, there, step))
        knots.append(_knot(windows[-1], lines[-1], segment.last, self.period_ns))
        self._append(knots)
        for (k0, t0, _), (k1, t1, _) in itertools.pairwise(knots):
            self.following_period_ns.append((t1 - t0) / (k1 - k0))
        last_slope = lines[-1].slope + 2.0 * windows[-1].bend_ns * windows[-1].x(segment.last)
        self.following_period_ns.append(self.period_ns + last_slope / windows[-1].half_width)
        self.segment_last_knot.append(len(self.index) - 1)

    def _append(self, knots: list[Knot]) -> None:
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


def _unbent(segment: _Bounds, windows: Sequence[_Window]) -> list[_Window]:
    """Fit windows again with the bend that the drift of the rate between them gives taken off."""
    rates = [_rate(w, DEFAULT_LATENCY_NS) for w in windows]
    unbent: list[_Window] = []
    for i, window in enumerate(windows):
        before, after = max(i - 1, 0), min(i + 1, len(windows) - 1)
        drift, sigma = 0.0, DRIFT_SIGMA_PER_S
        elapsed_s = (windows[after].reference_ns - windows[before].reference_ns) * 1e-9
        if elapsed_s > 0.0:
            var = (rates[before].var + rates[after].var) / _square(elapsed_s)
            trust = _square(DRIFT_SIGMA_PER_S) / (_square(DRIFT_SIGMA_PER_S) + var)
            drift = trust * (rates[after].mean - rates[before].mean) / elapsed_s
            sigma = math.sqrt(trust * var)
        # Time = integral of the period, which grows by the drift for every second from the centre.
        unit_ns = 0.5e-9 * _square(window.slope_unit)
        half = int(window.half_width)
        unbent.append(_window(segment, window.centre, half, drift * unit_ns, sigma * unit_ns))
    return unbent


def _window(
    segment: _Bounds, centre: int, half: int, bend_ns: float = 0.0, bend_sigma_ns: float = 0.0
) -> _Window:
    """Express the bounds about [centre - half, centre + half] on the window's own axes."""
    nearest = np.searchsorted(segment.upper[0], centre)
    reference_ns = int(segment.upper[1][min(int(nearest), len(segment.upper[1]) - 1)])

    def points(bounds: tuple[Ints, Ints]) -> list[Point]:
        index, time_ns = bounds
        inside = slice(*np.searchsorted(index, [centre - half, centre + half + 1]))
        steps = index[inside] - centre
        x = steps / half
        y = (time_ns[inside] - reference_ns) - steps * segment.period_ns - bend_ns * x * x
        return list(zip(x.tolist(), y.tolist(), strict=True))

    slope_unit = half * segment.period_ns
    limit = RATE_LIMIT * slope_unit
    region, slack_ns = feasible_region(
        points(segment.upper), points(segment.lower), -limit, limit, margin=segment.period_ns
    )
    # An edge before the first instant at which its sample can have been latched belongs to another.
    edges = [(x, y) for x, y in points(segment.edges) if y >= lowest_at(region, x) - slack_ns]
    return _Window(
        centre=centre,
        half_width=half,
        reference_ns=reference_ns,
        slope_unit=slope_unit,
        bend_ns=bend_ns,
        bend_sigma_ns=bend_sigma_ns,
        region=region,
        slack_ns=slack_ns,
        edges=edges,
        edge_hull=lower_hull(edges),
        edge_mean_x=math.fsum(x for x, _ in edges) / max(len(edges), 1),
    )


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
    return supporting_line(window.edge_hull, window.edge_mean_x, rate_min * unit, rate_max * unit)


def _rate(window: _Window, latency_ns: float) -> _Rate:
    """Read the chip's rate from one window by itself."""
    if window.uses_edges and len(window.edges) >= MIN_EDGES_FOR_LATENCY:
        slope = _under_edges(window, -RATE_LIMIT, RATE_LIMIT)[1]
        var = _square(3.0 * latency_ns / len(window.edges))
    else:
        line = central_line(window.region)
        slope, var = line.slope, line.var_slope + _square(window.slack_ns)
    return _Rate(slope / window.slope_unit, var / _square(window.slope_unit) + _square(RATE_FLOOR))


def _square(x: float) -> float:
    """Return x * x, the same bits everywhere; a power is left to each machine's own library."""
    return x * x


def _smoothed(rates: Sequence[_Rate], times_ns: Sequence[int]) -> list[_Rate]:
    """Rates smoothed as a random walk (Kalman filter forwards, Rauch-Tung-Striebel backwards)."""
    filtered: list[_Rate] = []
    walks: list[float] = []
    state = _Rate(0.0, _square(RATE_SIGMA))
    for i, rate in enumerate(rates):
        elapsed_s = max(times_ns[i] - times_ns[i - 1], 0) * 1e-9 if i else 0.0
        walks.append(_square(RATE_WALK_PER_SQRT_S) * elapsed_s)
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
    sigma = math.sqrt(max(rate.var, _square(RATE_FLOOR)))
    low, high = rate.mean - N_SIGMA * sigma, rate.mean + N_SIGMA * sigma
    unit = window.slope_unit
    if window.uses_edges:
        n = len(window.edges)
        height, slope = _under_edges(window, low, high)
        rate_sigma_ns = sigma * unit if n < MIN_EDGES_FOR_LATENCY else 3.0 * latency_ns / n
        var_height = _square(LEAST_LATENCY_PART * latency_ns) + _square(2.0 * latency_ns / n)
        return Line(height, slope, var_height=var_height, var_slope=_square(rate_sigma_ns))
    line = central_line(with_slopes(window.region, low * unit, high * unit))
    return replace(line, var_height=line.var_height + _square(window.slack_ns))


def _knot(window: _Window, line: Line, index: int, period_ns: float) -> Knot:
    """Time of a sample and its 1-sigma uncertainty by a window's curve, in ns."""
    x = window.x(index)
    offset_ns = (index - window.centre) * period_ns + line.at(x) + window.bend_ns * x * x
    # A bend that was not taken off lifts or sinks a line by half of it over most of the window.
    bend_ns = window.bend_sigma_ns * max(x * x, 0.5)
    variance = line.variance_at(x) + _square(bend_ns) + _square(MIN_UNCERTAINTY_NS)
    return index, window.reference_ns + round(offset_ns), math.sqrt(variance)


def _blended(here: Knot, there: Knot, step: int) -> Knot:
    """Go from one window's curve to the next's in `KNOTS_PER_STEP` steps."""
    part = step / KNOTS_PER_STEP
    time_ns = here[1] + round((there[1] - here[1]) * part)
    return here[0], time_ns, here[2] + (there[2] - here[2]) * part
