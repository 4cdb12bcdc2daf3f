"""The way to disk: a bounded queue, a writer, a group commit. What does not fit is counted."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from wban_collect.clock import Clock
from wban_collect.errors import StorageError
from wban_collect.reservation import SpaceReservation
from wban_dataset.recording.journal import JournalWriter
from wban_dataset.recording.records import JournalItem, encode
from wban_dataset.recording.streams import (
    Gap,
    SampleBlock,
    SessionEnd,
    SessionHeader,
    StreamSpec,
)

log = logging.getLogger(__name__)


ONCE_ONLY = -1
"""No segment: what describes the session stands in the journal once, and not far apart twice."""


@dataclass
class StreamCount:
    """What has happened to one stream since the session began."""

    n_rows: int = 0
    n_bytes: int = 0
    n_lost: int = 0
    n_gaps: int = 0
    newest_ns: int = 0
    n_acknowledged: int = 0


@dataclass(frozen=True, slots=True)
class Commit:
    """What one fsync has made safe: so many rows of each stream of the session."""

    session_id: str
    monotonic_ns: int
    duration_ns: int
    sequence: int
    n_rows: dict[str, int]


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the records of one session go."""

    header: SessionHeader
    journal: JournalWriter
    reservation: SpaceReservation | None = None


@dataclass(frozen=True, slots=True)
class _Change:
    """A place in the queue: what is before it belongs to one session, what is after to the next."""

    to: Destination
    last: Sequence[JournalItem]
    first: Sequence[JournalItem]
    done: Callable[[StorageError | None], None]


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
        self._to: Destination | None = None
        self._closed = False
        self._queue: deque[tuple[JournalItem | _Change, int, int]] = deque()
        self._queued_bytes = 0
        self._overflow: dict[str, Gap] = {}
        self._next_index: dict[str, int] = {}
        self._lock = threading.Lock()
        self._next_commit_ns = clock.monotonic_ns() + commit_interval_ns
        self._dirty = False
        self._sync_failed = False
        self._specs: list[StreamSpec] = []
        self._described_in = ONCE_ONLY

    def put(self, item: JournalItem) -> None:
        """Hand over an item; from any thread, at once. After `close` it is left out."""
        now_ns = self.clock.monotonic_ns()
        n_bytes = item.data.nbytes if isinstance(item, SampleBlock) else 256
        with self._lock:
            if self._closed:
                return
            if isinstance(item, SampleBlock):
                self._next_index[item.stream] = item.first_index + item.n_samples
                if self._queued_bytes + n_bytes > self._limit_bytes:
                    self._drop(item)
                    return
                gap = self._overflow.pop(item.stream, None)
                if gap is not None:
                    self._enqueue(gap, 256, now_ns)
            self._enqueue(item, n_bytes, now_ns)
        self.clock.wake()

    def open(self, to: Destination) -> None:
        """Say where to write; what has waited is written at the next step.

        The header is on the disk when this returns: from here on the session can be recovered.

        Raises
        ------
        StorageError
            If the disk refuses.
        """
        self._begin(to)
        self._to = to

    def change(
        self,
        to: Destination,
        last: Iterable[JournalItem],
        first: Iterable[JournalItem],
        done: Callable[[StorageError | None], None],
    ) -> None:
        """Go on in another session, without a gap: what is put from now on belongs to it.

        The writer calls `done` when the other session has begun and this one is closed, or with the
        error that kept it in this one. `last` ends this session, `first` begins the other.
        """
        now_ns = self.clock.monotonic_ns()
        with self._lock:
            self._enqueue_overflow(now_ns)
            header = replace(to.header, first_index=dict(self._next_index))
            to = replace(to, header=header)
            self._enqueue(_Change(to, tuple(last), tuple(first), done), 256, now_ns)
        self._next_commit_ns = now_ns
        self.clock.wake()

    def next_due_ns(self) -> int:
        """When the next fsync is due; a block that comes wakes the writer earlier."""
        return self._next_commit_ns

    def step(self) -> None:
        """Write what has come, and fsync when it is time."""
        if self._to is None:
            self._next_commit_ns = self.clock.monotonic_ns() + self._interval_ns
            return
        self._write_queue()
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
        if self._to is None or not self._dirty:
            return
        try:
            duration_ns = self._to.journal.commit()
        except OSError as error:
            self._sync_failed = True
            raise _refused(error) from error
        self._dirty = False
        self.fsync_ns.append(duration_ns)
        if not self._sync_failed:  # what an fsync has lost can never be acknowledged
            self._acknowledge(self._to, duration_ns)
        if self._described_in == ONCE_ONLY:
            self._describe(self._to)
        try:
            if self._to.reservation is not None:
                self._to.reservation.grow(self.n_bytes)
        except OSError as error:
            raise _refused(error) from error

    def close(self, last: Iterable[JournalItem]) -> None:
        """Write what still waits and the `last` items, fsync, and close the journal."""
        with self._lock:
            self._enqueue_overflow(self.clock.monotonic_ns())
            self._closed = True
        if self._to is None:
            return
        self._write_queue()
        self._finish(self._to, last)
        self._to.journal.close()
        self._to = None

    def _acknowledge(self, to: Destination, duration_ns: int) -> None:
        for count in self.counts.values():
            count.n_acknowledged = count.n_rows
        if self._on_commit is not None:
            rows = {name: count.n_rows for name, count in self.counts.items()}
            sequence = to.journal.acknowledged.next_sequence
            now_ns = self.clock.monotonic_ns()
            self._on_commit(Commit(to.header.session_id, now_ns, duration_ns, sequence, rows))

    def _begin(self, to: Destination, first: Iterable[JournalItem] = ()) -> None:
        """Bring a session's header, and what describes it, to the disk."""
        for item in (to.header, *self._specs, *first):
            self._append(to.journal, item)
        try:
            to.journal.commit()
        except OSError as error:
            raise _refused(error) from error

    def _finish(self, to: Destination, last: Iterable[JournalItem]) -> None:
        """Write the `last` items of a session, fsync, and close its journal."""
        self._to = replace(to, reservation=None)  # what is left of the disk is for the end
        self._describe(to)
        for item in last:
            if isinstance(item, SessionEnd):
                n_lost = {name: count.n_lost for name, count in self.counts.items()}
                item = replace(item, n_lost=n_lost)
            self._write(to, item, self.clock.monotonic_ns())
        self.commit()

    def _finish_or_leave(self, to: Destination, last: Sequence[JournalItem]) -> None:
        """End a session, on a full disk with the margin that is kept for it.

        Where the disk refuses all the same, it is sealed as one that was cut off.
        """
        try:
            self._finish(to, last)
        except StorageError as error:
            log.warning("%s", error)
            if to.reservation is not None:
                to.reservation.give_margin()
            with suppress(StorageError):
                self._finish(to, last)
        with suppress(OSError):
            to.journal.close()

    def _change(self, change: _Change) -> None:
        """Begin the next session, then end this one: at no instant is there none on the disk."""
        try:
            self._begin(change.to, change.first)
        except StorageError as error:
            with suppress(OSError):
                change.to.journal.close()
            change.done(error)
            return
        if self._to is not None:
            self._finish_or_leave(self._to, change.last)
        self._to, self.counts, self.n_bytes = change.to, {}, 0
        self._dirty, self._sync_failed, self._described_in = False, False, ONCE_ONLY
        change.done(None)

    def _enqueue(self, item: JournalItem | _Change, n_bytes: int, now_ns: int) -> None:
        self._queue.append((item, n_bytes, now_ns))
        self._queued_bytes += n_bytes

    def _enqueue_overflow(self, now_ns: int) -> None:
        for gap in self._overflow.values():
            self._enqueue(gap, 256, now_ns)
        self._overflow.clear()

    def _drop(self, block: SampleBlock) -> None:
        """Count a block that does not fit, as one growing gap per stream."""
        before = self._overflow.get(block.stream)
        start_ns = before.start_ns if before else block.read.read_start_ns
        n_missing = block.n_samples + (before.n_missing if before else 0)
        self._overflow[block.stream] = Gap(
            block.stream, start_ns, block.read.read_end_ns, n_missing, "queue full", exact=True
        )

    def _write_queue(self) -> None:
        while self._queue and self._to is not None:
            item, n_bytes, put_ns = self._queue[0]
            if isinstance(item, _Change):
                self._change(item)
            else:
                self._write(self._to, item, put_ns)
            with self._lock:
                self._queue.popleft()
                self._queued_bytes -= n_bytes

    def _write(self, to: Destination, item: JournalItem, put_ns: int) -> None:
        self._append(to.journal, item)
        self._dirty = True
        self._count(item, put_ns)
        if isinstance(item, StreamSpec):
            self._specs.append(item)
        if self._described_in not in (ONCE_ONLY, to.journal.written.segment):
            self._describe(to)

    def _append(self, journal: JournalWriter, item: JournalItem) -> None:
        kind, buffers = encode(item)
        try:
            journal.append(kind, buffers, self.clock.monotonic_ns())
        except OSError as error:
            raise _refused(error) from error
        self.n_bytes += sum(memoryview(buffer).nbytes for buffer in buffers)

    def _describe(self, to: Destination) -> None:
        """Repeat what the samples cannot be understood without: a damaged record costs itself."""
        self._described_in = to.journal.written.segment
        for item in (to.header, *self._specs):
            self._append(to.journal, item)

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
