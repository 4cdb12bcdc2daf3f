"""What must hold of any bytes that a journal's reader, and all behind it, is given."""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from wban_dataset.recording.errors import SessionError
from wban_dataset.recording.framing import Damage, JournalVersionError, Record
from wban_dataset.recording.journal_reader import JournalReader
from wban_dataset.recording.layout import JOURNAL_NAME
from wban_dataset.recording.records import RecordError, decode
from wban_dataset.recording.session import Session

# Written down once more, from the description in `framing`: an oracle of its own.
MAGIC = b"\xb5WJ\xe7"
HEADER = struct.Struct("<4s16sB3xIIQQII")
SEGMENT_BYTES = 44


def check_segment(folder: Path, content: bytes) -> None:
    """Read a journal of one segment with this content; raises for whatever may not be."""
    directory = folder / JOURNAL_NAME
    directory.mkdir(exist_ok=True)
    (directory / "000000.wbj").write_bytes(content)
    try:
        found = list(JournalReader(directory))
    except JournalVersionError:
        return
    check_records(content, [item for item in found if isinstance(item, Record)])
    check_account(found)
    with suppress(SessionError), Session.open(folder) as session:
        read_all(session)


def check_records(content: bytes, records: list[Record]) -> None:
    """Each record stands in the bytes with right checksums, in a growing order, and is decoded."""
    for before, after in itertools.pairwise(records):
        assert before.sequence < after.sequence, "records out of order"
    for record in records:
        raw = content[record.offset : record.offset + HEADER.size]
        magic, _, kind, _, _, sequence, length, payload_crc, crc = HEADER.unpack(raw)
        start = record.offset + HEADER.size
        payload = content[start : start + length]
        assert magic == MAGIC, "no record begins there"
        assert (kind, sequence) == (record.kind, record.sequence), "another record stands there"
        assert zlib.crc32(raw[:-4]) == crc, "its header does not verify"
        assert zlib.crc32(payload) == payload_crc, "its payload does not verify"
        assert payload == record.payload, "its payload is another"
        with suppress(RecordError):
            decode(record.kind, record.payload)


def read_all(session: Session) -> None:
    """Ask a session for everything that it can tell."""
    for stream in map(session.stream, session.streams):
        assert len(stream.monotonic_ns) == len(stream.read_counts()) == len(stream.read())
        assert len(stream.time) == len(stream.time_unc_ns) == len(stream.segment)
    for table in (session.gaps, session.marks, session.clock, session.health, session.quality):
        len(table)
    len(session.labels)
    session.attributes.keys()


def check_account(found: list[Record | Damage]) -> None:
    """Records and damage follow each other without a hole."""
    expected = 0
    for item in found:
        if isinstance(item, Record):
            assert item.sequence == expected, "records are missing and nobody says so"
            expected += 1
        elif not item.is_tail:
            assert item.first_missing_sequence == expected, "damage is counted twice, or not"
            expected += item.n_missing_records


def with_right_checksums(content: bytes) -> bytes:
    """Mend the checksums of all that looks like a record, so that what is in it is looked at."""
    mended = bytearray(content)
    if len(mended) >= SEGMENT_BYTES:
        mended[40:44] = zlib.crc32(mended[:40]).to_bytes(4, "little")
    place = mended.find(MAGIC)
    while 0 <= place <= len(mended) - HEADER.size:
        length = int.from_bytes(mended[place + 40 : place + 48], "little")
        start = place + HEADER.size
        payload_crc = zlib.crc32(mended[start : start + length]) if length < len(mended) else 0
        mended[place + 48 : place + 52] = payload_crc.to_bytes(4, "little")
        crc = zlib.crc32(mended[place : place + 52])
        mended[place + 52 : place + 56] = crc.to_bytes(4, "little")
        place = mended.find(MAGIC, place + 4)
    return bytes(mended)


Mutate = Callable[[bytes, int], bytes]


def mutated(content: bytes, longest: int, seed: int, mutate: Mutate) -> bytes:
    """Mutate a segment; three times of four its checksums are right afterwards."""
    changed = mutate(content, longest)
    return with_right_checksums(changed) if seed % 4 else changed
