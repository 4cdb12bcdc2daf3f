"""Small journals for tests, and what must hold of anything read from them."""

from wban_dataset.recording.framing import (
    RECORD_HEADER,
    RECORD_MAGIC,
)
from wban_dataset.recording.journal import (
    Damage,
    JournalReader,
    JournalWriter,
    Record,
)

NONCE = b"0123456789abcdef"
OTHER_NONCE = b"fedcba9876543210"
PAYLOADS = [b"first", b"", b"x" * 70, b"\0" * 9, RECORD_MAGIC + NONCE + b"not a record", b"last"]


def write_journal(directory, payloads, nonce=NONCE, **limits):
    """Write payloads as records of kind 1, 2, ...; give the offset of each record."""
    offsets = []
    with JournalWriter(directory, nonce, **limits) as writer:
        for i, payload in enumerate(payloads):
            writer.append(i % 256, [payload], now_ns=i)
            offsets.append(writer.written.offset - RECORD_HEADER.size - len(payload))
    return offsets


def records_of(directory):
    return [found for found in JournalReader(directory) if isinstance(found, Record)]


def damage_of(directory):
    return [found for found in JournalReader(directory) if isinstance(found, Damage)]


def payloads_of(directory):
    return [record.payload for record in records_of(directory)]


def with_segment(directory, content):
    """Make a journal of one segment with just these bytes."""
    directory.mkdir(exist_ok=True)
    (directory / "000000.wbj").write_bytes(content)
    return directory


def only_right_records(found):
    """Check that each record is one of PAYLOADS, in its place in the order; give their numbers."""
    sequences = [item.sequence for item in found if isinstance(item, Record)]
    assert sequences == sorted(set(sequences))
    for item in found:
        if isinstance(item, Record):
            assert item.payload == PAYLOADS[item.sequence]
            assert item.kind == item.sequence
    return sequences


def everything_is_accounted_for(found, n_records):
    """Check that records and damage follow each other without a hole up to the end."""
    expected = 0
    for item in found:
        if isinstance(item, Record):
            assert item.sequence == expected
            expected += 1
        elif not item.is_tail:
            assert item.first_missing_sequence == expected
            expected += item.n_missing_records
    assert expected <= n_records
    return expected
