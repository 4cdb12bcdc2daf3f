"""Append-only records on disk that survive a kill, a power cut and a bad block.

`JournalWriter` writes, `JournalReader` takes any bytes and gives the records that verify. How they
lie on the disk stands in `framing`, what they mean in `records`.
"""

from __future__ import annotations

import errno
import os
import secrets
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from wban_dataset.recording.framing import (
    NONCE_BYTES,
    RECORD_HEADER,
    SEGMENT_HEADER,
    Buffer,
    Damage,
    JournalVersionError,
    Record,
    pack_record_header,
    pack_segment_header,
    segment_paths,
)
from wban_dataset.recording.journal_reader import JournalReader

__all__ = [
    "MAX_SEGMENT_BYTES",
    "MAX_SEGMENT_NS",
    "Damage",
    "JournalReader",
    "JournalVersionError",
    "JournalWriteError",
    "JournalWriter",
    "Position",
    "Record",
    "segment_paths",
    "sync_directory",
]

MAX_SEGMENT_BYTES = 64_000_000
MAX_SEGMENT_NS = 60_000_000_000

_MAX_BUFFERS = 1000  # Linux takes 1024 in one pwritev


class JournalWriteError(OSError):
    """A record or a commit did not reach the disk; the writer can be used on."""


class Position(NamedTuple):
    """A place in the journal: everything before it, in segment and sequence, is meant."""

    next_sequence: int
    segment: int
    offset: int


class JournalWriter:
    """Writes a new journal. One thread appends; `commit` may run in another meanwhile.

    Every append goes to the kernel at once, so a killed process loses none; a commit brings it to
    the disk, and `acknowledged` moves only then.

    Parameters
    ----------
    directory
        Created where it is missing; must hold no segment yet.
    nonce
        16 bytes that no other journal has; random ones by default.
    segment_bytes, segment_ns
        A new segment begins before a record that would exceed either.
    sync, write, timer
        The system's calls, for tests that make them fail.

    Raises
    ------
    FileExistsError
        If the directory holds segments: an old journal is never appended to.
    """

    def __init__(
        self,
        directory: Path,
        nonce: bytes | None = None,
        *,
        segment_bytes: int = MAX_SEGMENT_BYTES,
        segment_ns: int = MAX_SEGMENT_NS,
        sync: Callable[[int], None] = os.fdatasync,
        write: Callable[[int, Sequence[Buffer], int], int] = os.pwritev,
        timer: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        nonce = secrets.token_bytes(NONCE_BYTES) if nonce is None else nonce
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"nonce of a journal: {len(nonce)} bytes, expected {NONCE_BYTES}")
        if not SEGMENT_HEADER.size + RECORD_HEADER.size <= segment_bytes < 1 << 32:
            raise ValueError(f"segment_bytes is {segment_bytes}, expected 100 to 4294967295")
        self._directory = Path(directory)
        self._nonce = bytes(nonce)
        self._segment_bytes, self._segment_ns = segment_bytes, segment_ns
        self._sync, self._write, self._timer = sync, write, timer
        self._fd = -1
        self._closed = False
        self._failed = False  # a sync of this segment failed: nothing in it can be promised
        self._segment_start_ns = 0
        self._written = self._acknowledged = Position(0, -1, 0)
        self._unconfirmed: list[range] = []
        self._fd_in_use = threading.Lock()  # held while syncing and while the segment changes
        _claim(self._directory)

    @property
    def acknowledged(self) -> Position:
        """Up to where everything is on the disk, except what `unconfirmed` names."""
        return self._acknowledged

    @property
    def written(self) -> Position:
        """Up to where everything was handed to the kernel."""
        return self._written

    @property
    def unconfirmed(self) -> tuple[range, ...]:
        """Sequence numbers whose sync failed: perhaps on the disk, never acknowledged."""
        return tuple(self._unconfirmed)

    def append(self, kind: int, buffers: Sequence[Buffer], now_ns: int) -> int:
        """Write one record, whose payload is the buffers one after the other.

        Parameters
        ----------
        kind
            0 to 255.
        buffers
            Contiguous; not copied.
        now_ns
            Any steady time; decides when a segment is old enough.

        Returns
        -------
        int
            Sequence number of the record.

        Raises
        ------
        JournalWriteError
            If the disk is full or fails. Nothing of the record stays, its number is used again, and
            a later append may succeed.
        """
        if self._closed:
            raise ValueError("append to a closed journal")
        length = crc = 0
        for buffer in buffers:
            crc = zlib.crc32(buffer, crc)
            length += buffer.nbytes if isinstance(buffer, memoryview) else len(buffer)
        record_bytes = RECORD_HEADER.size + length
        if SEGMENT_HEADER.size + record_bytes > self._segment_bytes:
            raise ValueError(
                f"record of {record_bytes} bytes; a segment of the journal takes at most "
                f"{self._segment_bytes - SEGMENT_HEADER.size}. Write smaller blocks."
            )
        self._make_room(record_bytes, now_ns)
        sequence, segment, offset = self._written
        header = pack_record_header(self._nonce, kind, segment, offset, sequence, length, crc)
        self._write_all(self._fd, [header, *buffers], record_bytes, offset)
        self._written = Position(sequence + 1, segment, offset + record_bytes)
        return sequence

    def commit(self) -> int:
        """Bring all that was appended to the disk, then acknowledge it.

        Returns
        -------
        int
            How long the sync took, ns; 0 where nothing was new.

        Raises
        ------
        JournalWriteError
            If the sync failed. After that the kernel may forget what it could not write, so the
            segment is given up: its unacknowledged records become `unconfirmed`, and the next
            append begins a new segment.
        """
        with self._fd_in_use:
            written = self._written
            if written == self._acknowledged or self._fd < 0 or self._failed:
                return 0
            started_ns = self._timer()
            try:
                self._sync(self._fd)
            except OSError as error:
                self._failed = True
                raise _write_error(error, f"sync of {self._path(written.segment)}") from error
            self._acknowledged = written
            return self._timer() - started_ns

    def close(self) -> None:
        """Commit and close; a second call does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            self.commit()
        finally:
            self._close_segment()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _path(self, segment: int) -> Path:
        return self._directory / f"{segment:06d}.wbj"

    def _make_room(self, record_bytes: int, now_ns: int) -> None:
        """Begin a new segment where there is none, or the present one is full, old or given up."""
        if self._fd >= 0:
            full = self._written.offset + record_bytes > self._segment_bytes
            old = now_ns - self._segment_start_ns >= self._segment_ns
            if not (full or old or self._failed):
                return
            self.commit()  # the old segment is whole on the disk before the new one begins
            self._close_segment()
        self._open_segment(now_ns)

    def _open_segment(self, now_ns: int) -> None:
        segment = self._written.segment + 1
        path = self._path(segment)
        header = pack_segment_header(segment, self._nonce, self._written.next_sequence)
        fd = -1
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            self._write_all(fd, [header], len(header), 0)
            sync_directory(self._directory)
        except OSError as error:
            if fd >= 0:
                os.close(fd)
                # Otherwise the next try would find the file in its way.
                with suppress(OSError):
                    path.unlink()
            raise _write_error(error, f"new segment {path}") from error
        self._segment_start_ns = now_ns
        with self._fd_in_use:
            self._fd = fd
            self._written = Position(self._written.next_sequence, segment, len(header))

    def _close_segment(self) -> None:
        with self._fd_in_use:
            if self._failed:
                lost = range(self._acknowledged.next_sequence, self._written.next_sequence)
                self._unconfirmed.append(lost)
                self._failed = False
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1

    def _write_all(self, fd: int, buffers: list[Buffer], n_bytes: int, offset: int) -> None:
        """Write the buffers, `n_bytes` together, at `offset`, or leave nothing of them there."""
        try:
            n_written = self._write(fd, buffers[:_MAX_BUFFERS], offset)
            if n_written != n_bytes:
                self._write_rest(fd, buffers, n_written, offset)
        except OSError as error:
            # What stays if this fails as well is overwritten by the next record, or does not
            # verify: its payload is not whole.
            with suppress(OSError):
                os.ftruncate(fd, offset)
            raise _write_error(error, f"record in {self._directory}") from error

    def _write_rest(self, fd: int, buffers: list[Buffer], n_written: int, offset: int) -> None:
        """Go on after a short write, or with more buffers than one call takes."""
        views = [memoryview(buffer).cast("B") for buffer in buffers if memoryview(buffer).nbytes]
        while True:
            if n_written <= 0:
                raise OSError(errno.EIO, "nothing was written")
            offset += n_written
            views = _after(views, n_written)
            if not views:
                return
            n_written = self._write(fd, views[:_MAX_BUFFERS], offset)


def _after(buffers: list[memoryview], n_bytes: int) -> list[memoryview]:
    """Give what is left of the buffers after a write that may have been short."""
    for i, buffer in enumerate(buffers):
        if n_bytes < buffer.nbytes:
            return [buffer[n_bytes:], *buffers[i + 1 :]]
        n_bytes -= buffer.nbytes
    return []


def _write_error(error: OSError, what: str) -> JournalWriteError:
    if isinstance(error, JournalWriteError):
        return error
    reason = error.strerror or str(error)
    return JournalWriteError(error.errno or errno.EIO, f"{what} failed: {reason}")


def _claim(directory: Path) -> None:
    if not directory.is_dir():
        directory.mkdir()
        sync_directory(directory.parent)
    elif segment_paths(directory):
        raise FileExistsError(
            errno.EEXIST,
            "journal has segments already, expected an empty directory. Seal or recover it first",
            str(directory),
        )


def sync_directory(directory: Path) -> None:
    """Bring the names in a directory to the disk, as after creating or renaming a file."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
