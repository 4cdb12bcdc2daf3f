"""How records lie on the disk, so that each can be told from whatever else lies there.

A journal is a directory of segments ``000000.wbj``, ``000001.wbj``, ... All little endian.

::

    segment = segment header, record, record, ...
    segment header = magic 8s, version u16, header size u16, segment u32, nonce 16s,
                     first sequence u64, CRC32 of these
    record  = magic 4s, nonce 16s, kind u8, 3 zero bytes, segment u32, offset u32, sequence u64,
              length u64, CRC32 of the payload, CRC32 of all fields before; payload

The header of a record has a checksum of its own, so that a damaged length never sends the reader
astray, and carries whose journal it belongs to (nonce) and where it stands (segment, offset), so
that a stale or copied block never passes for a record. This module knows framing only; what a
record means stands in `records`; `journal` writes and reads.
"""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

FORMAT_VERSION = 1
NONCE_BYTES = 16

SEGMENT_MAGIC = b"\x89WBJ\r\n\x1a\n"
RECORD_MAGIC = b"\xb5WJ\xe7"
_SEGMENT_FIELDS = struct.Struct("<8sHHI16sQ")
_RECORD_FIELDS = struct.Struct("<4s16sB3xIIQQI")
_CRC = struct.Struct("<I")
SEGMENT_HEADER = struct.Struct(_SEGMENT_FIELDS.format + "I")
RECORD_HEADER = struct.Struct(_RECORD_FIELDS.format + "I")

SEGMENT_NAME = re.compile(r"(\d{6,9})\.wbj")
Buffer = bytes | bytearray | memoryview


class JournalVersionError(ValueError):
    """The journal was written by a newer program."""


@dataclass(frozen=True, slots=True)
class Record:
    """A record that verified."""

    kind: int
    sequence: int
    payload: bytes
    segment: int
    offset: int


@dataclass(frozen=True, slots=True)
class Damage:
    """A stretch of the journal in which nothing verifies, or records that are missing.

    Attributes
    ----------
    n_bytes
        Length of the stretch without zeros at the end of the journal; 0 where the bytes themselves
        are absent, as when a segment was deleted.
    n_missing_records
        Known from the sequence number of the next record; -1 at the end of the journal. Of
        stretches with no record between them the first carries the number, the others 0.
    is_tail
        No record follows. A recording that was cut off usually ends so.
    """

    segment: int
    start_offset: int
    n_bytes: int
    first_missing_sequence: int
    n_missing_records: int
    is_tail: bool = False


def segment_paths(directory: Path) -> list[tuple[int, Path]]:
    """Find the segments of a journal in order: (number, path) of each."""
    named = ((SEGMENT_NAME.fullmatch(path.name), path) for path in Path(directory).iterdir())
    return sorted((int(match[1]), path) for match, path in named if match)


class RecordHeader(NamedTuple):
    """The header of a record after its checksum was found right."""

    nonce: bytes
    kind: int
    segment: int
    offset: int
    sequence: int
    length: int
    payload_crc: int

    @property
    def record_bytes(self) -> int:
        """Length on the disk, payload included."""
        return RECORD_HEADER.size + self.length


def pack_record_header(
    nonce: bytes, kind: int, segment: int, offset: int, sequence: int, length: int, payload_crc: int
) -> bytes:
    """Make the 56 bytes before a payload."""
    fields = _RECORD_FIELDS.pack(
        RECORD_MAGIC, nonce, kind, segment, offset, sequence, length, payload_crc
    )
    return fields + _CRC.pack(zlib.crc32(fields))


def parse_record_header(raw: Buffer) -> RecordHeader | None:
    """Read the header at the start of `raw`; None where none verifies."""
    if len(raw) < RECORD_HEADER.size:
        return None
    magic, *fields, header_crc = RECORD_HEADER.unpack_from(raw)
    if magic != RECORD_MAGIC or zlib.crc32(raw[: RECORD_HEADER.size - 4]) != header_crc:
        return None
    return RecordHeader(*fields)


class SegmentHeader(NamedTuple):
    """The header of a segment after its checksum was found right."""

    version: int
    size: int
    segment: int
    nonce: bytes
    first_sequence: int


def pack_segment_header(segment: int, nonce: bytes, first_sequence: int) -> bytes:
    """Make the first 44 bytes of a segment."""
    fields = _SEGMENT_FIELDS.pack(
        SEGMENT_MAGIC, FORMAT_VERSION, SEGMENT_HEADER.size, segment, nonce, first_sequence
    )
    return fields + _CRC.pack(zlib.crc32(fields))


def parse_segment_header(raw: Buffer) -> SegmentHeader | None:
    """Read the header of a segment; None where it does not verify."""
    if len(raw) < SEGMENT_HEADER.size:
        return None
    magic, *fields, crc = SEGMENT_HEADER.unpack_from(raw)
    if magic != SEGMENT_MAGIC or zlib.crc32(raw[: SEGMENT_HEADER.size - 4]) != crc:
        return None
    return SegmentHeader(*fields)
