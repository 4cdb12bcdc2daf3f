"""The streams that one FIFO feeds: their order, their gaps, and when the FIFO is read next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from numpy.typing import NDArray

from wban_collect.device import DeviceOutput, StreamCursor
from wban_collect.devices.sample_pace import SamplePace
from wban_collect.errors import DeviceError
from wban_dataset.recording.streams import Read

GOLDEN_FRACTION = 0.6180339887498949
"""Step of the polling dither: its multiples fill a period evenly, however many there are."""

DEADLINE_SHARE = 0.95
"""The FIFO is to be read when it is this full at the latest: the chip's clock may be fast."""

EDGE_LATENCY_NS = 200_000
"""Usual bound of an interrupt's latency, for planning."""

STALL_NS = 500_000_000
"""Silence that the chip may keep beyond the time of a full watermark."""

READS_PER_SECOND = 10
LARGEST_WATERMARK = 16


def default_watermark(sampling_rate_hz: float) -> int:
    """Choose the samples per read: 10 reads a second or more, 16 samples at a time or fewer."""
    return min(max(round(sampling_rate_hz / READS_PER_SECOND), 1), LARGEST_WATERMARK)


class FifoStreams:
    """What was delivered from a FIFO, what is missing, and what is expected.

    Parameters
    ----------
    place
        How errors name the chip.
    streams
        Names of the streams; each FIFO entry holds one sample of each.
    watermark
        Entries at which the FIFO is read.
    capacity
        Entries it holds without loss.
    tolerance
        How wrong the chip's clock may be, as a fraction.
    """

    def __init__(
        self,
        place: str,
        streams: Sequence[str],
        nominal_period_ns: float,
        *,
        watermark: int,
        capacity: int,
        tolerance: float,
    ) -> None:
        self._place = place
        self.pace = SamplePace(nominal_period_ns, tolerance)
        self.watermark = watermark
        self.capacity = capacity
        self._cursors = tuple(StreamCursor(name) for name in streams)
        self._last_sample_ns: float | None = None
        self._gap_cause = ""
        self._dither = 0.0
        self._last_entry_ns = 0

    @property
    def next_index(self) -> int:
        """Index of the FIFO's oldest entry, which is read next."""
        return self._cursors[0].next_index

    def interrupt(self, cause: str) -> None:
        """Note that what comes next does not follow on what was delivered.

        The gap is told with the next block, when both of its ends are known. Of several causes in
        a row the first counts.
        """
        for cursor in self._cursors:
            cursor.new_segment()
        if self._last_sample_ns is not None and not self._gap_cause:
            self._gap_cause = cause

    def restart(self, now_ns: int, *, first_latch_after_ns: int = 0) -> None:
        """Expect the first sample of a new stretch one period and the given time from now."""
        self._last_entry_ns = now_ns
        self.pace.restart(self.next_index, now_ns + first_latch_after_ns + self.pace.period_ns)

    def observe(self, level: int, start_ns: int, end_ns: int, *, edge_ns: int = 0) -> None:
        """Learn that the FIFO held `level` entries at some instant between the two.

        `edge_ns`, if not 0, is when the watermark's line rose; it tells more.

        Raises
        ------
        DeviceError
            If the FIFO has been empty for far too long.
        """
        self.pace.observe(self.next_index + level - 1, start_ns, end_ns)
        if edge_ns:
            index = self.next_index + self.watermark - 1
            self.pace.observe_edge(index, edge_ns, EDGE_LATENCY_NS)
        if level:
            self._last_entry_ns = end_ns
        silence_ns = end_ns - self._last_entry_ns
        if silence_ns > STALL_NS + (self.watermark + 4) * self.pace.period_ns:
            self.interrupt("stalled")
            raise DeviceError(
                f"{self._place}: no new sample for {silence_ns / 1e9:.1f} s, expected one every "
                f"{self.pace.period_ns / 1e6:.1f} ms. It is set up again; if this returns, check "
                "its supply."
            )

    def deliver(self, counts: Sequence[NDArray[Any]], read: Read) -> Iterator[DeviceOutput]:
        """Deliver the FIFO's oldest entries: (n, 3) counts for each stream, after a gap if any."""
        first, n_samples = self.next_index, len(counts[0])
        if n_samples == 0:
            return
        if self._gap_cause:
            yield from self._gaps(self.pace.latch_ns(first))
        self._last_sample_ns = self.pace.latch_ns(first + n_samples - 1)
        for cursor, stream_counts in zip(self._cursors, counts, strict=True):
            yield cursor.block(stream_counts, read)

    def poll_due_ns(self) -> int:
        """When to look next, with about a watermark of entries.

        Dithered over one period: looks at one phase of the chip's clock would all bound its
        instants equally badly, while these find some just after a sample was latched.
        """
        self._dither = (self._dither + GOLDEN_FRACTION) % 1.0
        return int(self.pace.latch_ns(self.next_index + self.watermark - 1 + self._dither))

    def edge_due_ns(self) -> int:
        """When the watermark's line should have risen."""
        return int(self.pace.latch_ns(self.next_index + self.watermark - 1)) + EDGE_LATENCY_NS

    def deadline_ns(self) -> int:
        """By when the FIFO must be read so that nothing is lost."""
        return int(self.pace.latch_ns(self.next_index + self.capacity * DEADLINE_SHARE - 1))

    def _gaps(self, stop_ns: float) -> Iterator[DeviceOutput]:
        start_ns = self._last_sample_ns or stop_ns
        stop_ns = max(stop_ns, start_ns)
        n_missing = max(round((stop_ns - start_ns) / self.pace.period_ns) - 1, 0)
        for cursor in self._cursors:
            yield cursor.gap(int(start_ns), int(stop_ns), n_missing, self._gap_cause)
        self._gap_cause = ""
