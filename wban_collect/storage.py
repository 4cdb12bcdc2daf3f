"""The way to disk: a bounded queue, a writer, a group commit. What does not fit is counted."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from wban_collect.clock import Clock
from wban_collect.errors import StorageError
from wban_collect.reservation import SpaceReservation
from wban_dataset.recording.journal import JournalWriter
from wban_dataset.recording.records import JournalItem, encode
from wban_dataset.recording.streams import Gap, SampleBlock, SessionHeader, StreamSpec

log = logging.getLogger(__name__)


ONCE_ONLY = -1
"""No segment: what describes the session stands in the journal once, and not far apart twice."""


@dataclass
class StreamCount:
    """What has happened to one stream since the recording began."""

    n_rows: int = 0
    n_bytes: int = 0
    n_lost: int = 0
    n_gaps: int = 0
    newest_ns: int = 0
    n_acknowledged: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    """What one fsync has made safe."""

    monotonic_ns: int
    duration_ns: int
    sequence: int
    n_rows: dict[str, int]


class Storage:
    """Takes items from every thread, writes them from one.

    `put` never blocks and never fails: when the queue is full the block is dropped, counted, and a
    `Gap` with the exact number goes into the journal as soon as there is room. Items wait in the
    queue until `open` gives the journal, so that nothing is on disk before the recording counts as
    started.

    Parameters
    ----------
    commit_interval_ns
        Longest time between two fsyncs while there is something to fsync.
    queue_bytes
        Bytes that may wait for the disk.
    on_commit
        Told of every fsync.

    Attributes
    ----------
    on_write
        Told of every block that was written, in the writer's thread, and of when it was put and
        written; for measurements.
    """

    name = "storage"

    def __init__(
        self,
        clock: Clock,
        *,
        commit_interval_ns: int,
        queue_bytes: int,
        on_commit: Callable[[Commit], None] | None = None,
    ) -> None:
        self.clock = clock
        self.counts: dict[str, StreamCount] = {}
        self.fsync_ns: deque[int] = deque(maxlen=1200)
        self.on_write: Callable[[SampleBlock, int, int], None] | None = None
        self.n_bytes = 0
        self._interval_ns = commit_interval_ns
        self._limit_bytes = queue_bytes
        self._on_commit = on_commit
        self._journal: JournalWriter | None = None
        self._reservation: SpaceReservation | None = None
        self._queue: deque[tuple[JournalItem, int, int]] = deque()
        self._queued_bytes = 0
        self._overflow: dict[str, Gap] = {}
        self._lock = threading.Lock()
        self._next_commit_ns = clock.monotonic_ns() + commit_interval_ns
        self._dirty = False
        self._sync_failed = False
        self._described: list[SessionHeader | StreamSpec] = []
        self._described_in = ONCE_ONLY

    def put(self, item: JournalItem) -> None:
        """Hand over an item; from any thread, at once."""
        now_ns = self.clock.monotonic_ns()
        n_bytes = item.data.nbytes if isinstance(item, SampleBlock) else 256
        with self._lock:
            if isinstance(item, SampleBlock):
                if self._queued_bytes + n_bytes > self._limit_bytes:
                    self._drop(item)
                    return
                gap = self._overflow.pop(item.stream, None)
                if gap is not None:
                    self._enqueue(gap, 256, now_ns)
            self._enqueue(item, n_bytes, now_ns)
        self.clock.wake()

    def open(
        self, journal: JournalWriter, header: SessionHeader, reservation: SpaceReservation | None
    ) -> None:
        """Give the journal; what has waited is written at the next step.

        The header is on the disk when this returns: from here on the session can be recovered.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        self._append(journal, header)
        self._described.append(header)
        try:
            journal.commit()
        except OSError as error:
            raise _refused(error) from error
        self._reservation = reservation
        self._journal = journal

    def next_due_ns(self) -> int:
        """When the next fsync is due; a block that comes wakes the writer earlier."""
        return self._next_commit_ns

    def step(self) -> None:
        """Write what has come, and fsync when it is time."""
        if self._journal is None:
            self._next_commit_ns = self.clock.monotonic_ns() + self._interval_ns
            return
        self._write_queue(self._journal)
        if self.clock.monotonic_ns() >= self._next_commit_ns:
            self.commit()

    def commit(self) -> None:
        """Fsync what is written; afterwards it is acknowledged.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        self._next_commit_ns = self.clock.monotonic_ns() + self._interval_ns
        if self._journal is None or not self._dirty:
            return
        try:
            duration_ns = self._journal.commit()
        except OSError as error:
            self._sync_failed = True
            raise _refused(error) from error
        self._dirty = False
        self.fsync_ns.append(duration_ns)
        if not self._sync_failed:  # what an fsync has lost can never be acknowledged
            self._acknowledge(self._journal, duration_ns)
        if self._described_in == ONCE_ONLY:
            self._describe(self._journal)
        try:
            if self._reservation is not None:
                self._reservation.grow(self.n_bytes)
        except OSError as error:
            raise _refused(error) from error

    def _acknowledge(self, journal: JournalWriter, duration_ns: int) -> None:
        for count in self.counts.values():
            count.n_acknowledged = count.n_rows
        if self._on_commit is not None:
            rows = {name: count.n_rows for name, count in self.counts.items()}
            sequence = journal.acknowledged.next_sequence
            self._on_commit(Commit(self.clock.monotonic_ns(), duration_ns, sequence, rows))

    def close(self, last: Iterable[JournalItem]) -> None:
        """Write what still waits and the `last` items, fsync, and close the journal."""
        if self._journal is None:
            return
        for gap in self._overflow.values():
            self.put(gap)
        self._overflow.clear()
        self._reservation = None  # it grows no more: what is left of the disk is for the end
        self._write_queue(self._journal)
        self._describe(self._journal)
        for item in last:
            self.put(item)
        self._write_queue(self._journal)
        self.commit()
        self._journal.close()
        self._journal = None

    def _enqueue(self, item: JournalItem, n_bytes: int, now_ns: int) -> None:
        self._queue.append((item, n_bytes, now_ns))
        self._queued_bytes += n_bytes

    def _drop(self, block: SampleBlock) -> None:
        """Count a block that does not fit, as one growing gap per stream."""
        before = self._overflow.get(block.stream)
        start_ns = before.start_ns if before else block.read.read_start_ns
        n_missing = block.n_samples + (before.n_missing if before else 0)
        self._overflow[block.stream] = Gap(
            block.stream, start_ns, block.read.read_end_ns, n_missing, "queue full", exact=True
        )

    def _write_queue(self, journal: JournalWriter) -> None:
        while self._queue:
            item, n_bytes, put_ns = self._queue[0]
            self._append(journal, item)
            with self._lock:
                self._queue.popleft()
                self._queued_bytes -= n_bytes
            self._dirty = True
            self._count(item, put_ns)
            if isinstance(item, (SessionHeader, StreamSpec)):
                self._described.append(item)
            if self._described_in not in (ONCE_ONLY, journal.written.segment):
                self._describe(journal)

    def _append(self, journal: JournalWriter, item: JournalItem) -> None:
        kind, buffers = encode(item)
        try:
            journal.append(kind, buffers, self.clock.monotonic_ns())
        except OSError as error:
            raise _refused(error) from error
        self.n_bytes += sum(memoryview(buffer).nbytes for buffer in buffers)

    def _describe(self, journal: JournalWriter) -> None:
        """Repeat what the samples cannot be understood without: a damaged record costs itself."""
        self._described_in = journal.written.segment
        for item in self._described:
            self._append(journal, item)

    def _count(self, item: JournalItem, put_ns: int) -> None:
        if isinstance(item, SampleBlock):
            count = self.counts.setdefault(item.stream, StreamCount())
            count.n_rows += item.n_samples
            count.n_bytes += item.data.nbytes
            count.newest_ns = item.read.read_end_ns
            if self.on_write is not None:
                self.on_write(item, put_ns, self.clock.monotonic_ns())
        elif isinstance(item, Gap):
            count = self.counts.setdefault(item.stream, StreamCount())
            count.n_gaps += 1
            count.n_lost += max(item.n_missing, 0)


def _refused(error: OSError) -> StorageError:
    return StorageError(
        f"the session cannot be written: {error.strerror or error}; what was written before is "
        "safe and will be sealed. Free some space or check the disk, then start again."
    )
