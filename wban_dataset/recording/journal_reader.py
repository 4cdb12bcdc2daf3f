"""Reading a journal, whatever state its bytes are in.

Work and memory are bounded for any bytes: a segment is read through a window of 1 MB (and never
mapped, since a bad block under a mapping kills the process), each byte is looked at a fixed number
of times.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from wban_dataset.recording.framing import (
    FORMAT_VERSION,
    RECORD_HEADER,
    RECORD_MAGIC,
    SEGMENT_HEADER,
    Damage,
    JournalVersionError,
    Record,
    RecordHeader,
    SegmentHeader,
    parse_record_header,
    parse_segment_header,
    segment_paths,
)

_WINDOW_BYTES = 1 << 20
_PAGE_BYTES = 4096
# Payloads behind headers that verify may be summed in vain for this many times a segment's size
# before the reader stops looking for records inside of them. Forged bytes alone get there.
_MAX_WASTE = 2


class JournalReader:
    """All records of a journal that verify, in order, and what is missing between them.

    Iterating may be repeated, also while the journal is being written: each pass takes what is
    there when it comes to a segment. No bytes make it raise; only a whole journal of a newer format
    does.

    Raises
    ------
    JournalVersionError
        While iterating, if a segment says, with a right checksum, that it is of another format.
    OSError
        If the directory or a segment cannot be opened. Blocks that cannot be read count as damage.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = Path(directory)

    def __iter__(self) -> Iterator[Record | Damage]:
        segments = segment_paths(self._directory)
        nonce = _find_nonce([path for _, path in segments])
        if not segments:
            return
        account = _Account()
        next_number = 0
        for number, path in segments:
            if number > next_number:
                account.segments_missing(next_number)
            next_number = number + 1
            with _SegmentBytes(path) as file:
                yield from _read_segment(file, number, nonce, account)
        yield from account.end()


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Bytes in which nothing verifies; `n_bytes` without the zeros at their end."""

    segment: int
    start: int
    n_bytes: int


class _Account:
    """What sequence number comes next, and the damage whose cost is not known yet."""

    def __init__(self) -> None:
        self.expected = 0
        self._pending: list[_Stretch] = []
        self._missing_segment: int | None = None

    def segments_missing(self, first: int) -> None:
        """Note that segments from number `first` are not there."""
        if self._missing_segment is None:
            self._missing_segment = first

    def add(self, stretch: _Stretch) -> None:
        """Note damage, to be settled by the next record."""
        self._pending.append(stretch)

    def settle(self, sequence: int, segment: int, offset: int) -> Iterator[Damage]:
        """Say what was lost before `sequence`, which stands, or would stand, at the place given."""
        n_missing = max(0, sequence - self.expected)
        if n_missing and not self._pending:
            if self._missing_segment is not None:
                segment, offset = self._missing_segment, 0
            self._pending.append(_Stretch(segment, offset, 0))
        for stretch in self._pending:
            # Zeros that cost nothing were room set aside, or a hole after a crash.
            if stretch.n_bytes or n_missing:
                yield Damage(
                    stretch.segment, stretch.start, stretch.n_bytes, self.expected, n_missing
                )
            self.expected += n_missing
            n_missing = 0
        self._pending.clear()
        self._missing_segment = None

    def end(self) -> Iterator[Damage]:
        """Say what was lost after the last record."""
        for stretch in self._pending:
            if stretch.n_bytes:
                yield Damage(
                    stretch.segment, stretch.start, stretch.n_bytes, self.expected, -1, is_tail=True
                )


def _read_segment(
    file: _SegmentBytes, number: int, nonce: bytes | None, account: _Account
) -> Iterator[Record | Damage]:
    header = _own_header(file, number, nonce)
    if header:
        yield from account.settle(header.first_sequence, number, header.size)
    if nonce is None:
        account.add(_Stretch(number, 0, file.end_of_data(0, file.size)))
        return
    scan = _Scan(file, number, nonce)
    position = damaged_from = header.size if header else 0
    while position < file.size:
        record = scan.record_at(position, account.expected)
        if record is None:
            position = scan.next_candidate(position)
            continue
        if position > damaged_from:
            end = file.end_of_data(damaged_from, position)
            account.add(_Stretch(number, damaged_from, end - damaged_from))
        yield from account.settle(record.sequence, number, position)
        yield record
        account.expected = record.sequence + 1
        position = damaged_from = position + RECORD_HEADER.size + len(record.payload)
    if damaged_from < file.size:
        end = file.end_of_data(damaged_from, file.size)
        account.add(_Stretch(number, damaged_from, end - damaged_from))


def _own_header(file: _SegmentBytes, number: int, nonce: bytes | None) -> SegmentHeader | None:
    """Give the segment's header if it verifies and is this segment's of this journal."""
    header = parse_segment_header(file.view(0, SEGMENT_HEADER.size))
    if header is None or header.nonce != nonce or header.segment != number:
        return None
    if header.version != FORMAT_VERSION:
        raise JournalVersionError(
            f"journal segment {file.path}: format version is {header.version}, expected "
            f"{FORMAT_VERSION}. Read it with the newer program that wrote it."
        )
    return header


class _Scan:
    """The search for records in one segment."""

    def __init__(self, file: _SegmentBytes, number: int, nonce: bytes) -> None:
        self._file = file
        self._number = number
        self._nonce = nonce
        self._marker = RECORD_MAGIC + nonce
        self._skip_to = 0  # where the record that record_at refused last ends, if its end is known
        self._n_wasted = 0

    def record_at(self, position: int, first_sequence: int) -> Record | None:
        """Give the record at `position` if it verifies and is not older than `first_sequence`."""
        self._skip_to = 0
        header = self._own(self._file.view(position, RECORD_HEADER.size))
        if header is None or position + header.record_bytes > self._file.size:
            return None
        payload = self._file.view(position + RECORD_HEADER.size, header.length)
        end = position + header.record_bytes
        if zlib.crc32(payload) != header.payload_crc:
            self._refuse_payload(header, end)
            return None
        if header.sequence < first_sequence or self._is_copy(header, position):
            self._skip_to = end
            return None
        return Record(header.kind, header.sequence, bytes(payload), self._number, position)

    def next_candidate(self, position: int) -> int:
        """Give the next place after `position` where a record may begin, or the file's size."""
        return self._skip_to or self._file.find(self._marker, position + 1)

    def _own(self, raw: memoryview | bytes) -> RecordHeader | None:
        header = parse_record_header(raw)
        if header is None or header.nonce != self._nonce or header.segment != self._number:
            return None
        return header

    def _peek(self, position: int) -> RecordHeader | None:
        return self._own(self._file.peek(position, RECORD_HEADER.size))

    def _refuse_payload(self, header: RecordHeader, end: int) -> None:
        """Leave out the whole record if its length can be trusted, else look inside of it too."""
        self._n_wasted += header.length
        enough = self._n_wasted > _MAX_WASTE * self._file.size
        if enough or end == self._file.size or self._peek(end):
            self._skip_to = end

    def _is_copy(self, header: RecordHeader, position: int) -> bool:
        """Whether a record away from its own place still stands there: then this is a copy.

        Where it does not, bytes were taken out or put in before it, and it is the record itself.
        """
        return header.offset != position and self._peek(header.offset) == header


class _SegmentBytes:
    """A segment file seen through a window; what cannot be read looks like zeros."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.fstat(self._fd).st_size
        self._buffer = bytearray(min(_WINDOW_BYTES, self.size))
        self._start = 0
        self._stop = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._fd)

    def view(self, offset: int, n_bytes: int) -> memoryview:
        """Give `n_bytes` from `offset`, fewer at the end; good until the next call."""
        n_bytes = max(0, min(n_bytes, self.size - offset))
        if n_bytes > len(self._buffer):
            whole = bytearray(n_bytes)
            self._fill(memoryview(whole), offset)
            return memoryview(whole)
        if not (self._start <= offset and offset + n_bytes <= self._stop):
            self._load(offset)
        begin = offset - self._start
        return memoryview(self._buffer)[begin : begin + n_bytes]

    def peek(self, offset: int, n_bytes: int) -> bytes:
        """Give `n_bytes` from `offset` without moving the window; zeros beyond the end."""
        target = bytearray(n_bytes)
        self._fill(memoryview(target), offset)
        return bytes(target)

    def find(self, marker: bytes, offset: int) -> int:
        """Give the first place of `marker` at or after `offset`, or the file's size."""
        while offset + len(marker) <= self.size:
            if not self._start <= offset <= self._stop - len(marker):
                self._load(offset)
            begin, end = offset - self._start, self._stop - self._start
            found = self._buffer.find(marker, begin, end)
            if found >= 0:
                return self._start + found
            # The marker may lie across the end of the window.
            offset = self._stop - len(marker) + 1
        return self.size

    def end_of_data(self, start: int, stop: int) -> int:
        """Give the end of [start, stop) without the zeros at its end."""
        while stop > start:
            begin = max(start, stop - len(self._buffer))
            n_left = len(bytes(self.view(begin, stop - begin)).rstrip(b"\0"))
            if n_left:
                return begin + n_left
            stop = begin
        return start

    def _load(self, offset: int) -> None:
        n_bytes = min(len(self._buffer), self.size - offset)
        self._fill(memoryview(self._buffer)[:n_bytes], offset)
        self._start, self._stop = offset, offset + n_bytes

    def _fill(self, target: memoryview, offset: int) -> None:
        n_done = 0
        while n_done < len(target):
            n_read = self._read(target[n_done:], offset + n_done)
            n_done += n_read

    def _read(self, target: memoryview, offset: int) -> int:
        """Read some bytes; a page that the disk cannot give, or that is gone, becomes zeros."""
        try:
            n_read = os.preadv(self._fd, [target], offset)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            n_read = self._read_to_bad_page(target, offset)
        if n_read == 0:
            n_read = min(len(target), _PAGE_BYTES - offset % _PAGE_BYTES)
            target[:n_read] = bytes(n_read)
        return n_read

    def _read_to_bad_page(self, target: memoryview, offset: int) -> int:
        n_bytes = min(len(target), _PAGE_BYTES - offset % _PAGE_BYTES)
        try:
            return os.preadv(self._fd, [target[:n_bytes]], offset)
        except OSError:
            return 0


def _find_nonce(paths: list[Path]) -> bytes | None:
    """Find whose journal this is: what most segments and their first records say.

    Only where none of these verifies are records searched for anywhere.
    """
    votes: Counter[bytes] = Counter()
    for path in paths:
        with _SegmentBytes(path) as file:
            header = parse_segment_header(file.peek(0, SEGMENT_HEADER.size))
            record = parse_record_header(file.peek(SEGMENT_HEADER.size, RECORD_HEADER.size))
            votes.update(found.nonce for found in (header, record) if found)
    for path in paths:
        if not votes:
            with _SegmentBytes(path) as file:
                votes.update(_nonces_anywhere(file))
    return votes.most_common(1)[0][0] if votes else None


def _nonces_anywhere(file: _SegmentBytes) -> Iterator[bytes]:
    """Give the nonces of records that verify and stand in their own place."""
    position = file.find(RECORD_MAGIC, 0)
    while position < file.size:
        header = parse_record_header(file.view(position, RECORD_HEADER.size))
        if header and header.offset == position:
            yield header.nonce
        position = file.find(RECORD_MAGIC, position + 1)
