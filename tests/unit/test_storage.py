"""The way to disk: order, group commit, and what is counted when it cannot keep up."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from wban_collect.clock import VirtualClock
from wban_collect.errors import StorageError
from wban_collect.reservation import STEP_BYTES, SpaceReservation
from wban_collect.storage import Destination, Storage
from wban_dataset.recording.journal import JournalWriter
from wban_dataset.recording.records import read_items
from wban_dataset.recording.streams import (
    Gap,
    Read,
    SampleBlock,
    SessionEnd,
    SessionHeader,
    StreamSpec,
)

SPEC = StreamSpec("accel", "accel", "chip", "<i2", (3,), "m s-2", 100.0, "fifo")
HEADER = SessionHeader("0" * 26, "boot", "S01", "eating", "pi", "0.1", 0, "")


def block(index, n=10):
    return SampleBlock("accel", index, 0, np.full((n, 3), index, "<i2"), Read(index, index + 1))


def make_storage(clock, **settings):
    return Storage(
        clock, **({"commit_interval_ns": 500_000_000, "queue_bytes": 1 << 20} | settings)
    )


def test_header_comes_first_whatever_waited_before_the_journal(tmp_path):
    storage = make_storage(VirtualClock(0))
    storage.put(SPEC)
    storage.put(block(0))
    storage.open(Destination(HEADER, JournalWriter(tmp_path / "journal")))
    storage.close([SessionEnd(5, "done", {})])
    kinds = [type(item) for item in read_items(tmp_path / "journal")]
    described_again = [SessionHeader, StreamSpec]  # so that no single record is irreplaceable
    assert kinds == [SessionHeader, StreamSpec, SampleBlock, *described_again, SessionEnd]


def test_rows_are_acknowledged_by_the_commit_and_not_before(tmp_path):
    clock = VirtualClock(0)
    commits = []
    storage = make_storage(clock, on_commit=commits.append)
    storage.open(Destination(HEADER, JournalWriter(tmp_path / "journal")))
    storage.put(block(0))
    storage.step()
    assert (storage.counts["accel"].n_rows, storage.counts["accel"].n_acknowledged) == (10, 0)
    clock.sleep_until_ns(500_000_000)
    storage.step()
    assert storage.counts["accel"].n_acknowledged == 10
    assert commits[0].n_rows == {"accel": 10}
    storage.close([])


def test_full_queue_counts_exactly_what_it_drops(tmp_path):
    storage = make_storage(VirtualClock(0), queue_bytes=130)
    for index in range(0, 50, 10):
        storage.put(block(index))  # 60 bytes each: two fit
    storage.open(Destination(HEADER, JournalWriter(tmp_path / "journal")))
    storage.step()
    storage.put(block(50))
    storage.close([])
    items = list(read_items(tmp_path / "journal"))
    gaps = [item for item in items if isinstance(item, Gap)]
    rows = [item.first_index for item in items if isinstance(item, SampleBlock)]
    assert rows == [0, 10, 50]
    assert [(gap.n_missing, gap.cause, gap.exact) for gap in gaps] == [(30, "queue full", True)]
    assert (gaps[0].start_ns, gaps[0].stop_ns) == (20, 41)
    assert storage.counts["accel"].n_lost == 30


def test_gap_of_a_full_queue_is_written_at_the_end_if_no_block_followed(tmp_path):
    storage = make_storage(VirtualClock(0), queue_bytes=70)
    storage.put(block(0))
    storage.put(block(10))
    storage.open(Destination(HEADER, JournalWriter(tmp_path / "journal")))
    storage.close([])
    assert [i.n_missing for i in read_items(tmp_path / "journal") if isinstance(i, Gap)] == [10]


def test_full_disk_is_an_error_and_nothing_written_is_lost(tmp_path):
    room = [10_000]

    def write(fd, buffers, offset):
        n_bytes = sum(memoryview(buffer).nbytes for buffer in buffers)
        if n_bytes > room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        room[0] -= n_bytes
        return os.pwritev(fd, buffers, offset)

    storage = make_storage(VirtualClock(0))
    storage.open(Destination(HEADER, JournalWriter(tmp_path / "journal", write=write)))
    storage.put(block(0))
    storage.put(block(10, n=5000))
    with pytest.raises(StorageError, match="No space left"):
        storage.step()
    room[0] = 1 << 20  # the reservation's margin
    storage.close([SessionEnd(9, "disk full", {})])
    rows = [i.first_index for i in read_items(tmp_path / "journal") if isinstance(i, SampleBlock)]
    assert rows == [0, 10]


def test_reservation_takes_real_blocks_and_gives_them_back(tmp_path):
    reservation = SpaceReservation(tmp_path / ".reserved", factor=1.0)
    reservation.grow(2 * STEP_BYTES)
    assert (tmp_path / ".reserved").stat().st_blocks * 512 >= 3 * STEP_BYTES
    reservation.give_margin()
    assert (tmp_path / ".reserved").stat().st_size == 2 * STEP_BYTES
    reservation.release()
    assert not (tmp_path / ".reserved").exists()
