"""Writing a journal: what is acknowledged is on the disk, and a full disk costs one record."""

import errno
import os
from pathlib import Path

import pytest

from tests.unit.journal_files import (
    NONCE,
    PAYLOADS,
    damage_of,
    payloads_of,
    records_of,
    write_journal,
)
from wban_dataset.recording.journal import (
    JournalReader,
    JournalWriteError,
    JournalWriter,
    Position,
    Record,
)

# Writing


def test_records_come_back_in_order_with_kind_and_place(tmp_path):
    offsets = write_journal(tmp_path / "j", PAYLOADS)
    expected = [Record(i, i, PAYLOADS[i], 0, offsets[i]) for i in range(len(PAYLOADS))]
    assert list(JournalReader(tmp_path / "j")) == expected


def test_the_buffers_of_a_record_are_joined(tmp_path):
    with JournalWriter(tmp_path / "j") as writer:
        writer.append(7, [b"ab", memoryview(b"cdef")[1:3], bytearray(b""), b"g"], now_ns=0)
    assert payloads_of(tmp_path / "j") == [b"abdeg"]


def test_a_record_of_more_buffers_than_one_call_takes_is_whole(tmp_path):
    with JournalWriter(tmp_path / "j") as writer:
        writer.append(7, [b"%04d" % i for i in range(2500)], now_ns=0)
    assert payloads_of(tmp_path / "j") == [b"".join(b"%04d" % i for i in range(2500))]


def test_a_new_segment_begins_before_the_size_limit_is_exceeded(tmp_path):
    # 44 + 3 * (56 + 10) = 242 bytes; a fourth record would make 308.
    write_journal(tmp_path / "j", [b"0123456789"] * 7, segment_bytes=300)
    sizes = [path.stat().st_size for path in sorted((tmp_path / "j").iterdir())]
    assert sizes == [242, 242, 44 + 66]
    assert [record.sequence for record in records_of(tmp_path / "j")] == list(range(7))


def test_a_segment_is_filled_to_the_very_limit(tmp_path):
    write_journal(tmp_path / "j", [b"0123456789"] * 3, segment_bytes=44 + 3 * 66)
    assert len(list((tmp_path / "j").iterdir())) == 1


def test_a_new_segment_begins_when_the_old_one_is_old_enough(tmp_path):
    with JournalWriter(tmp_path / "j", segment_ns=10) as writer:
        segments = []
        for now_ns in (100, 109, 110, 119, 125):
            writer.append(1, [b"x"], now_ns)
            segments.append(writer.written.segment)
    assert segments == [0, 0, 1, 1, 2]


def test_a_record_that_no_segment_takes_is_refused(tmp_path):
    with JournalWriter(tmp_path / "j", segment_bytes=200) as writer:
        writer.append(1, [bytes(100)], 0)
        with pytest.raises(ValueError, match=r"record of 157 bytes; a segment .* at most 156"):
            writer.append(1, [bytes(101)], 0)
        assert writer.append(1, [b"fits"], 0) == 1


def test_an_old_journal_is_never_appended_to(tmp_path):
    write_journal(tmp_path / "j", PAYLOADS)
    with pytest.raises(FileExistsError, match="Seal or recover it first"):
        JournalWriter(tmp_path / "j")


def test_a_closed_journal_takes_no_record(tmp_path):
    writer = JournalWriter(tmp_path / "j")
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="closed journal"):
        writer.append(1, [b"late"], 0)


def test_a_nonce_of_another_length_is_refused(tmp_path):
    with pytest.raises(ValueError, match="nonce of a journal: 3 bytes, expected 16"):
        JournalWriter(tmp_path / "j", b"abc")


# Acknowledging


def test_acknowledged_moves_only_when_the_sync_has_returned(tmp_path):
    seen_during_sync = []

    def sync(fd):
        seen_during_sync.append(writer.acknowledged.next_sequence)
        os.fdatasync(fd)

    with JournalWriter(tmp_path / "j", sync=sync) as writer:
        assert writer.acknowledged == Position(0, -1, 0)
        writer.append(1, [b"abcd"], 0)
        assert writer.acknowledged == Position(0, -1, 0)
        writer.commit()
        assert writer.acknowledged == Position(1, 0, 44 + 60)
        writer.append(1, [b""], 0)
        assert writer.acknowledged.next_sequence == 1
    assert seen_during_sync == [0, 1]
    assert writer.acknowledged == Position(2, 0, 44 + 60 + 56)


def test_commit_gives_the_time_of_the_sync_and_skips_it_where_nothing_is_new(tmp_path):
    ticks = iter([1000, 1750])
    with JournalWriter(tmp_path / "j", timer=lambda: next(ticks)) as writer:
        assert writer.commit() == 0
        writer.append(1, [b"x"], 0)
        assert writer.commit() == 750
        assert writer.commit() == 0


def test_the_old_segment_is_synced_before_the_new_one_begins(tmp_path, monkeypatch):
    events = []
    real_open, real_fsync = os.open, os.fsync

    def spy_open(path, flags, *mode):
        if flags & os.O_CREAT:
            events.append(f"create {Path(path).name}")
        return real_open(path, flags, *mode)

    def spy_fsync(fd):
        events.append("sync directory")
        real_fsync(fd)

    def sync(fd):
        events.append("sync segment")
        os.fdatasync(fd)

    (tmp_path / "j").mkdir()
    monkeypatch.setattr(os, "open", spy_open)
    monkeypatch.setattr(os, "fsync", spy_fsync)
    with JournalWriter(tmp_path / "j", segment_ns=1, sync=sync) as writer:
        writer.append(1, [b"a"], 0)
        writer.append(1, [b"b"], 1)
        assert writer.acknowledged.next_sequence == 1
        # Nothing is acknowledged in a segment whose name is not on the disk.
        assert events == [
            "create 000000.wbj",
            "sync directory",
            "sync segment",
            "create 000001.wbj",
            "sync directory",
        ]


def test_what_is_appended_while_a_sync_runs_is_not_acknowledged_by_it(tmp_path):
    def sync(fd):
        if writer.written.next_sequence == 1:
            writer.append(1, [b"meanwhile"], 0)
        os.fdatasync(fd)

    with JournalWriter(tmp_path / "j", sync=sync) as writer:
        writer.append(1, [b"before"], 0)
        writer.commit()
        assert writer.acknowledged.next_sequence == 1
        assert writer.written.next_sequence == 2
    assert writer.acknowledged.next_sequence == 2


def test_records_of_a_failed_sync_are_never_acknowledged(tmp_path):
    outcomes = iter([None, OSError(errno.EIO, "Input/output error"), None, None])

    def sync(fd):
        outcome = next(outcomes)
        if outcome:
            raise outcome

    writer = JournalWriter(tmp_path / "j", sync=sync)
    writer.append(1, [b"safe"], 0)
    writer.commit()
    writer.append(1, [b"doubtful"], 0)
    writer.append(1, [b"doubtful too"], 0)
    with pytest.raises(JournalWriteError, match=r"sync of .*000000\.wbj failed: Input/output"):
        writer.commit()
    # The kernel reports a failure once and then forgets it: asking again proves nothing.
    assert writer.commit() == 0
    assert writer.acknowledged.next_sequence == 1
    writer.append(1, [b"in a new segment"], 0)
    assert writer.written.segment == 1
    writer.close()
    assert writer.acknowledged.next_sequence == 4
    assert writer.unconfirmed == (range(1, 3),)
    assert len(payloads_of(tmp_path / "j")) == 4


# A full disk


class FullDisk:
    """A pwritev that stops after so many bytes, in the middle of a record where it must."""

    def __init__(self, room):
        self.room = room

    def __call__(self, fd, buffers, offset):
        content = b"".join(bytes(buffer) for buffer in buffers)[: self.room]
        if not content:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(content)
        return os.pwrite(fd, content, offset)


def test_a_disk_full_at_any_byte_costs_the_refused_record_only(tmp_path):
    for room in range(44 + sum(56 + len(payload) for payload in PAYLOADS)):
        directory = tmp_path / f"{room}"
        disk = FullDisk(room)
        written, errors = [], []
        with JournalWriter(directory, NONCE, write=disk) as writer:
            for payload in PAYLOADS:
                try:
                    sequence = writer.append(1, [payload[:3], payload[3:]], 0)
                except JournalWriteError as error:
                    errors.append(error.errno)
                    disk.room = 10**6  # somebody made room
                else:
                    assert sequence == len(written)
                    written.append(payload)
        assert errors == [errno.ENOSPC]
        assert len(written) == len(PAYLOADS) - 1
        assert list(JournalReader(directory)) == records_of(directory)
        assert payloads_of(directory) == written


def test_what_a_refused_record_left_behind_does_not_verify(tmp_path, monkeypatch):
    def refuse(fd, length):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "ftruncate", refuse)
    disk = FullDisk(10**6)
    with JournalWriter(tmp_path / "j", NONCE, write=disk) as writer:
        writer.append(1, [b"kept"], 0)
        disk.room = 80
        with pytest.raises(JournalWriteError):
            writer.append(2, [b"cut off" * 10], 0)
        assert payloads_of(tmp_path / "j") == [b"kept"]
        disk.room = 10**6
        writer.append(3, [b"short"], 0)
    assert payloads_of(tmp_path / "j") == [b"kept", b"short"]
    assert [damage.is_tail for damage in damage_of(tmp_path / "j")] == [True]


def test_short_writes_are_continued(tmp_path):
    def write_three_bytes(fd, buffers, offset):
        content = b"".join(bytes(buffer) for buffer in buffers)
        return os.pwrite(fd, content[:3], offset)

    with JournalWriter(tmp_path / "j", write=write_three_bytes) as writer:
        for payload in PAYLOADS:
            writer.append(1, [payload, payload], 0)
    assert payloads_of(tmp_path / "j") == [payload * 2 for payload in PAYLOADS]
