"""All streams on one axis of time: resampled signals, and the picture that holds at each tick.

Ticks are the whole multiples of the period on CLOCK_MONOTONIC, so that two spans of one session,
aligned by themselves, share their ticks. A signal is interpolated linearly; where the new rate is
lower than its own, it is band-limited in the same step (`anti_alias`). Nothing is invented: between
two segments and outside a stream the signal is NaN.

It goes through a session in chunks of ticks and keeps no more than one of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording.anti_alias import LowPass, linear

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

CHUNK_TICKS = 8192
READ_SAMPLES = 8192
FRAME_PERIODS_VALID = 2.5  # one frame may be missed before the last one counts as stale
METHOD = (
    "linear interpolation within segments; Blackman-windowed sinc, zero phase, half amplitude at "
    "0.45 of the rate, where the rate goes down"
)


@dataclass(frozen=True, slots=True)
class SignalSpan:
    """Consecutive samples of a signal: times in ns (n,), segments (n,), values (n, channels)."""

    times_ns: Ints
    segment: NDArray[np.integer]
    values: NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Signal:
    """A stream that is resampled.

    Attributes
    ----------
    sampling_rate_hz
        The stream's own, as fitted or as nominal.
    read
        Gives the samples [start, stop).
    """

    name: str
    n_samples: int
    n_channels: int
    sampling_rate_hz: float
    read: Callable[[int, int], SignalSpan]


@dataclass(frozen=True, slots=True)
class Frames:
    """A stream of pictures: the index of the last one is given at each tick.

    Attributes
    ----------
    times_ns
        Of all pictures, increasing, (n,).
    max_age_ns
        Age up to which a picture counts as valid (`frame_max_age_ns`); None: any, for a camera that
        keeps a picture only when it changes.
    """

    name: str
    times_ns: Ints
    max_age_ns: int | None = None


@dataclass(frozen=True, slots=True)
class AlignedChunk:
    """Ticks of the common axis.

    Attributes
    ----------
    times_ns
        (m,), CLOCK_MONOTONIC.
    signals
        Per name float32 (m, channels), NaN inside a gap and outside the stream.
    frame_index
        Per name int32 (m,): the last picture at or before the tick, -1 where none.
    valid
        (m,): every signal is real, and every picture there and not stale. Streams without a single
        sample are not counted.
    """

    times_ns: Ints
    signals: Mapping[str, NDArray[np.float32]]
    frame_index: Mapping[str, NDArray[np.int32]]
    valid: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Axis:
    """Ticks `first` .. `first + n_ticks - 1`, tick i at i / rate since the clock's zero."""

    rate: Fraction
    first: int
    n_ticks: int

    @classmethod
    def covering(cls, rate_hz: float, start_ns: int, stop_ns: int) -> Axis:
        """Return all ticks within [start_ns, stop_ns].

        Raises
        ------
        ValueError
            If the rate is not positive.
        """
        if not rate_hz > 0:
            raise ValueError(f"the rate of the aligned axis must be positive, got {rate_hz} Hz")
        rate = Fraction(rate_hz).limit_denominator(1000)
        first = -(-start_ns * rate.numerator // (rate.denominator * 10**9))
        last = stop_ns * rate.numerator // (rate.denominator * 10**9)
        return cls(rate, first, max(last - first + 1, 0))

    def times_ns(self, start: int, stop: int) -> Ints:
        """Return times of the ticks [start, stop) of this axis, rounded up to ns, (n,)."""
        period = Fraction(10**9) / self.rate
        whole_ns, rest = divmod((self.first + start) * period.numerator, period.denominator)
        steps = np.arange(stop - start, dtype=np.int64) * period.numerator + rest
        return whole_ns - (-steps // period.denominator)


def frame_max_age_ns(frame_rate_hz: float) -> int:
    """Return the age up to which a picture of a regular stream counts as valid."""
    return round(FRAME_PERIODS_VALID * 1e9 / frame_rate_hz)


def span_of(signals: Sequence[Signal], frames: Sequence[Frames]) -> tuple[int, int] | None:
    """From the earliest first stamp to the last one, over all streams; None without samples."""
    bounds = [_ends(signal) for signal in signals if signal.n_samples]
    bounds += [(int(f.times_ns[0]), int(f.times_ns[-1])) for f in frames if len(f.times_ns)]
    if not bounds:
        return None
    return min(start for start, _ in bounds), max(stop for _, stop in bounds)


def align(axis: Axis, signals: Sequence[Signal], frames: Sequence[Frames]) -> AlignedChunk:
    """Align everything at once; for spans that fit into memory."""
    n_ticks = max(axis.n_ticks, 1)
    for chunk in aligned_chunks(axis, signals, frames, chunk_ticks=n_ticks):
        return chunk
    return _chunk(axis.times_ns(0, 0), [_Resampler(s, axis) for s in signals], frames)


def aligned_chunks(
    axis: Axis,
    signals: Sequence[Signal],
    frames: Sequence[Frames],
    *,
    chunk_ticks: int = CHUNK_TICKS,
) -> Iterator[AlignedChunk]:
    """Align in chunks of ticks, in order; the values do not depend on the chunks' size."""
    resamplers = [_Resampler(signal, axis) for signal in signals]
    for start in range(0, axis.n_ticks, chunk_ticks):
        ticks_ns = axis.times_ns(start, min(start + chunk_ticks, axis.n_ticks))
        yield _chunk(ticks_ns, resamplers, frames)


class _Resampler:
    """A signal read forwards, of which it keeps what the present ticks need."""

    def __init__(self, signal: Signal, axis: Axis) -> None:
        self.signal = signal
        ratio = signal.sampling_rate_hz / float(axis.rate)
        self._filter = LowPass(ratio) if ratio > 1.0 else None
        self._margin = int(self._filter.half_width) + 2 if self._filter else 2
        self._next: int | None = None
        self._times_ns = np.empty(0, dtype=np.int64)
        self._segment = np.empty(0, dtype=np.int64)
        self._values = np.empty((0, signal.n_channels), dtype=np.float64)

    def at(self, ticks_ns: Ints) -> NDArray[np.float32]:
        """Values at ticks that are not before those asked for earlier, (m, channels)."""
        values = np.full((len(ticks_ns), self.signal.n_channels), np.nan, dtype=np.float32)
        if not self.signal.n_samples or not len(ticks_ns):
            return values
        self._load(int(ticks_ns[0]), int(ticks_ns[-1]))
        left = np.searchsorted(self._times_ns, ticks_ns, side="right") - 1
        right = np.minimum(left + 1, len(self._times_ns) - 1)
        on_sample = self._times_ns[left] == ticks_ns
        inside = (right > left) & (self._segment[left] == self._segment[right])
        real = np.flatnonzero((left >= 0) & (on_sample | inside))
        values[real] = self._interpolated(ticks_ns[real], left[real], right[real])
        return values

    def _interpolated(self, ticks_ns: Ints, left: Ints, right: Ints) -> Floats:
        since_ns = ticks_ns - self._times_ns[left]
        part = since_ns / np.maximum(self._times_ns[right] - self._times_ns[left], 1)
        starts = np.flatnonzero(np.diff(self._segment)) + 1
        bounds = np.concatenate(([0], starts, [len(self._segment)]))
        run = np.searchsorted(bounds, left, side="right") - 1
        last = bounds[run + 1] - 1
        if self._filter is None:
            return linear(self._values, left, part, last)
        return self._filter(self._values, left, part, bounds[run], last)

    def _load(self, start_ns: int, stop_ns: int) -> None:
        """Hold the samples from `start_ns` to `stop_ns`, and the filter's margin on both sides."""
        if self._next is None:
            self._next = max(_first_after(self.signal, start_ns) - 1 - self._margin, 0)
        before = int(np.searchsorted(self._times_ns, start_ns, side="right"))
        self._keep(slice(max(before - 1 - self._margin, 0), None))
        while self._next < self.signal.n_samples and self._n_after(stop_ns) <= self._margin:
            stop = min(self._next + READ_SAMPLES, self.signal.n_samples)
            self._append(self.signal.read(self._next, stop))
            self._next = stop

    def _n_after(self, stop_ns: int) -> int:
        return len(self._times_ns) - int(np.searchsorted(self._times_ns, stop_ns, side="right"))

    def _keep(self, part: slice) -> None:
        self._times_ns = self._times_ns[part]
        self._segment = self._segment[part]
        self._values = self._values[part]

    def _append(self, span: SignalSpan) -> None:
        self._times_ns = np.concatenate((self._times_ns, span.times_ns.astype(np.int64)))
        self._segment = np.concatenate((self._segment, span.segment.astype(np.int64)))
        self._values = np.concatenate((self._values, span.values.astype(np.float64)))


def _chunk(
    ticks_ns: Ints, resamplers: Sequence[_Resampler], frames: Sequence[Frames]
) -> AlignedChunk:
    valid = np.ones(len(ticks_ns), dtype=bool)
    signals: dict[str, NDArray[np.float32]] = {}
    for resampler in resamplers:
        values = signals[resampler.signal.name] = resampler.at(ticks_ns)
        if resampler.signal.n_samples:
            valid &= ~np.isnan(values).any(axis=1)
    frame_index: dict[str, NDArray[np.int32]] = {}
    for stream in frames:
        index = np.searchsorted(stream.times_ns, ticks_ns, side="right") - 1
        frame_index[stream.name] = index.astype(np.int32)
        if len(stream.times_ns):
            valid &= _is_fresh(stream, index, ticks_ns)
    return AlignedChunk(ticks_ns, signals, frame_index, valid)


def _is_fresh(stream: Frames, index: Ints, ticks_ns: Ints) -> NDArray[np.bool_]:
    if stream.max_age_ns is None:
        return index >= 0
    age_ns = ticks_ns - stream.times_ns[np.maximum(index, 0)]
    return (index >= 0) & (age_ns <= stream.max_age_ns)


def _ends(signal: Signal) -> tuple[int, int]:
    first, last = signal.read(0, 1), signal.read(signal.n_samples - 1, signal.n_samples)
    return int(first.times_ns[0]), int(last.times_ns[0])


def _first_after(signal: Signal, time_ns: int) -> int:
    """Index of the first sample after `time_ns`, which often is among the first, by halving."""
    low, high = 0, min(1, signal.n_samples)
    while high < signal.n_samples and int(signal.read(high, high + 1).times_ns[0]) <= time_ns:
        low, high = high + 1, min(2 * high, signal.n_samples)
    while low < high:
        middle = (low + high) // 2
        if int(signal.read(middle, middle + 1).times_ns[0]) > time_ns:
            high = middle
        else:
            low = middle + 1
    return low
