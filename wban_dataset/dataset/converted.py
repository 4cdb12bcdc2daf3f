"""A session's streams as the dataset keeps them, read in blocks, never held whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.dataset.configuration import StudyConfiguration
from wban_dataset.dataset.layout import PICTURE_KINDS
from wban_dataset.dataset.pictures import Size, infrared_at, thermal_at
from wban_dataset.hygiene.calibration import Calibration, apply_calibration
from wban_dataset.recording.alignment import Axis, Signal, SignalSpan, aligned_chunks
from wban_dataset.recording.session import Session, Stream
from wban_dataset.windows.cutting import StreamTimes

Rows = NDArray[Any]

BLOCK_BYTES = 4 << 20


def stored_dtype(kind: str) -> np.dtype[Any]:
    """Give the type of ``data`` in the dataset."""
    return np.dtype({"thermal": "<i2", "infrared": "|u1"}.get(kind, "<f4"))


def stored_shape(
    kind: str, sample_shape: tuple[int, ...], study: StudyConfiguration
) -> tuple[int, ...]:
    """Give the shape of one row of ``data`` in the dataset."""
    if kind == "thermal":
        return study.thermal_size
    return study.infrared_size if kind == "infrared" else sample_shape


def converted(
    session: Session, name: str, study: StudyConfiguration, calibration: Calibration | None
) -> tuple[StreamTimes, Iterator[Rows]]:
    """Give a stream's times, and its rows in blocks.

    Parameters
    ----------
    calibration
        What corrects the values of a motion stream; None: nothing.
    """
    stream = session.stream(name)
    times = times_of(stream)
    if stream.kind in PICTURE_KINDS:
        height, width = stored_shape(stream.kind, (), study)
        return times, (_resized(stream.kind, b, (height, width)) for b in _blocks(session, stream))
    values = _Motion(session, stream, calibration)
    if study.rate is not None and study.rate != stream.sampling_rate_hz:
        return _resampled(values, times, study.rate)
    return times, values.blocks()


def distinct(blocks: Iterator[Rows], segment: NDArray[np.integer]) -> Iterator[tuple[Rows, Rows]]:
    """Leave out each picture that equals the one before it in its segment.

    Yields
    ------
    tuple
        The pictures that stay, (k, h, w), and which of the block's stay, bool (n,).
    """
    done = 0
    last: Rows | None = None
    last_segment = -1
    for block in blocks:
        number = segment[done : done + len(block)]
        keep = np.diff(number, prepend=np.int32(last_segment)) != 0
        keep[1:] |= (block[1:] != block[:-1]).any(axis=(1, 2))
        if last is not None:
            keep[0] |= bool((block[0] != last).any())
        last, last_segment = block[-1].copy(), int(number[-1])
        done += len(block)
        yield (block if keep.all() else block[keep]), keep


def times_of(stream: Stream) -> StreamTimes:
    """Give the times of a recorded stream, segments numbered from 0."""
    segment = np.asarray(stream.segment).astype(np.int32)
    # The file's numbers are 16 bits wide and may come round.
    number = np.cumsum(np.diff(segment, prepend=segment[:1]) != 0, dtype=np.int32)
    return StreamTimes(
        stream.kind, stream.monotonic_ns, number, round(1e9 / stream.sampling_rate_hz)
    )


def _blocks(session: Session, stream: Stream) -> Iterator[Rows]:
    row_bytes = int(np.prod(stream.sample_shape)) * (1 if stream.kind == "infrared" else 2)
    step = max(1, BLOCK_BYTES // max(row_bytes, 1))
    for start in range(0, stream.n, step):
        yield session.store.rows(stream.name, "data", start, min(start + step, stream.n))


def _resized(kind: str, block: Rows, size: Size) -> Rows:
    return thermal_at(block, size) if kind == "thermal" else infrared_at(block, size)


@dataclass(frozen=True, slots=True)
class _Motion:
    """A motion stream in physical units, corrected where that was asked for."""

    session: Session
    stream: Stream
    calibration: Calibration | None

    def blocks(self) -> Iterator[Rows]:
        for counts in _blocks(self.session, self.stream):
            yield self._values(counts).astype("<f4")

    def rows(self, start: int, stop: int) -> NDArray[np.float64]:
        return self._values(self.session.store.rows(self.stream.name, "data", start, stop))

    def _values(self, counts: Rows) -> NDArray[np.float64]:
        values = counts * self.stream.scale_factor + self.stream.add_offset
        return values if self.calibration is None else apply_calibration(values, self.calibration)


def _resampled(
    motion: _Motion, times: StreamTimes, rate_hz: float
) -> tuple[StreamTimes, Iterator[Rows]]:
    """Resample a motion stream; ticks that lie in no segment are left out."""
    stream = motion.stream
    if not stream.n:
        return times, iter(())

    def read(start: int, stop: int) -> SignalSpan:
        rows = motion.rows(start, stop)
        return SignalSpan(times.stamps_ns[start:stop], times.segment[start:stop], rows)

    n_channels = stream.sample_shape[0]
    signal = Signal(stream.name, stream.n, n_channels, stream.sampling_rate_hz, read)
    axis = Axis.covering(rate_hz, int(times.stamps_ns[0]), int(times.stamps_ns[-1]))
    ticks_ns = axis.times_ns(0, axis.n_ticks)
    left = np.searchsorted(times.stamps_ns, ticks_ns, side="right") - 1
    right = np.minimum(left + 1, stream.n - 1)
    on_sample = times.stamps_ns[left] == ticks_ns
    real = on_sample | (times.segment[left] == times.segment[right])

    def blocks() -> Iterator[Rows]:
        done = 0
        for chunk in aligned_chunks(axis, [signal], []):
            values = chunk.signals[stream.name]
            yield values[real[done : done + len(values)]].astype("<f4")
            done += len(values)

    kept = StreamTimes(stream.kind, ticks_ns[real], times.segment[left[real]], round(1e9 / rate_hz))
    return kept, blocks()
