"""Reading a journal: any bytes can be read, and damage costs the records that it hits."""

import errno
import os
import random
import shutil
import struct
import zlib

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.journal_files import (
    NONCE,
    OTHER_NONCE,
    PAYLOADS,
    damage_of,
    everything_is_accounted_for,
    only_right_records,
    payloads_of,
    records_of,
    with_segment,
    write_journal,
)
from wban_dataset.recording import journal_reader
from wban_dataset.recording.framing import (
    RECORD_MAGIC,
    SEGMENT_HEADER,
    pack_record_header,
    pack_segment_header,
)
from wban_dataset.recording.journal import (
    Damage,
    JournalReader,
    JournalVersionError,
    Record,
)


@pytest.fixture
def small(tmp_path):
    """Bytes of a journal with one segment that holds PAYLOADS, and the records' offsets."""
    offsets = write_journal(tmp_path / "small", PAYLOADS)
    return (tmp_path / "small" / "000000.wbj").read_bytes(), offsets


# Any bytes


def test_a_journal_cut_at_any_byte_gives_the_records_before_the_cut(tmp_path, small):
    content, offsets = small
    ends = [*offsets[1:], len(content)]
    for cut in range(len(content) + 1):
        found = list(JournalReader(with_segment(tmp_path / "cut", content[:cut])))
        whole = [i for i, end in enumerate(ends) if end <= cut]
        assert only_right_records(found) == whole
        damage = [item for item in found if isinstance(item, Damage)]
        if cut in (0, 44, *ends):
            assert damage == []
        else:
            assert [item.is_tail for item in damage] == [True]
            assert damage[0].first_missing_sequence == len(whole)


def test_a_flipped_bit_costs_the_record_it_hits_and_nothing_else(tmp_path, small):
    content, offsets = small
    ends = [*offsets[1:], len(content)]
    for byte in range(len(content)):
        hit = next((i for i in range(len(offsets)) if offsets[i] <= byte < ends[i]), None)
        for bit in range(8):
            flipped = bytearray(content)
            flipped[byte] ^= 1 << bit
            found = list(JournalReader(with_segment(tmp_path / "flip", flipped)))
            sequences = only_right_records(found)
            assert sequences == [i for i in range(len(PAYLOADS)) if i != hit]
            (damage,) = [item for item in found if isinstance(item, Damage)]
            if hit is None:
                assert damage == Damage(0, 0, SEGMENT_HEADER.size, 0, 0)
            elif hit < len(PAYLOADS) - 1:
                # Without the zeros that a payload may end with, where a record follows.
                assert (damage.segment, damage.start_offset) == (0, offsets[hit])
                assert (damage.first_missing_sequence, damage.n_missing_records) == (hit, 1)
            else:
                n_bytes = len(content) - offsets[hit]
                assert damage == Damage(0, offsets[hit], n_bytes, hit, -1, is_tail=True)


def test_zeros_at_the_end_are_not_damage(tmp_path, small):
    content, _ = small
    directory = with_segment(tmp_path / "j", content + bytes(3_000_000))
    assert payloads_of(directory) == PAYLOADS
    assert damage_of(directory) == []


def test_garbage_at_the_end_is_reported_as_the_tail(tmp_path, small):
    content, _ = small
    directory = with_segment(tmp_path / "j", content + b"garbage" + bytes(5000))
    assert payloads_of(directory) == PAYLOADS
    assert damage_of(directory) == [Damage(0, len(content), 7, 6, -1, is_tail=True)]


def test_stale_blocks_of_another_journal_do_not_verify(tmp_path):
    (_, *offsets) = write_journal(tmp_path / "old", [b"old %d" % i for i in range(20)], OTHER_NONCE)
    write_journal(tmp_path / "new", [b"new %d" % i for i in range(9)])
    old = (tmp_path / "old" / "000000.wbj").read_bytes()
    new = (tmp_path / "new" / "000000.wbj").read_bytes()
    assert len(new) == offsets[8]  # the old records stand where new ones would have followed
    directory = with_segment(tmp_path / "j", new + old[len(new) :])
    assert payloads_of(directory) == [b"new %d" % i for i in range(9)]
    (damage,) = damage_of(directory)
    assert damage == Damage(0, len(new), len(old) - len(new), 9, -1, is_tail=True)


def test_a_copy_of_an_earlier_block_at_the_end_gives_no_record_twice(tmp_path, small):
    content, offsets = small
    earlier = content[offsets[0] : offsets[3]]
    directory = with_segment(tmp_path / "j", content + earlier)
    assert payloads_of(directory) == PAYLOADS
    assert damage_of(directory) == [Damage(0, len(content), len(earlier), 6, -1, is_tail=True)]


def test_a_copy_of_a_later_block_costs_only_the_records_that_it_lies_upon(tmp_path):
    payloads = [b"%d" % i * 30 for i in range(10)]  # 86 bytes each
    offsets = write_journal(tmp_path / "j", payloads)
    path = tmp_path / "j" / "000000.wbj"
    content = bytearray(path.read_bytes())
    # Taken for the record itself, record 7 in the place of record 2 would make 3 to 6 look old.
    content[offsets[2] : offsets[3]] = content[offsets[7] : offsets[8]]
    path.write_bytes(content)
    assert payloads_of(tmp_path / "j") == payloads[:2] + payloads[3:]
    assert damage_of(tmp_path / "j") == [Damage(0, offsets[2], 86, 2, 1)]


@pytest.mark.parametrize("n_taken_out", [1, 56, 60, 200])
def test_bytes_taken_out_cost_only_the_records_they_belonged_to(tmp_path, n_taken_out):
    payloads = [b"%d" % i * 30 for i in range(10)]  # 86 bytes each
    offsets = write_journal(tmp_path / "j", payloads)
    path = tmp_path / "j" / "000000.wbj"
    content = path.read_bytes()
    start = offsets[4] + 5
    path.write_bytes(content[:start] + content[start + n_taken_out :])
    last_hit = next(i for i in range(10) if start + n_taken_out <= offsets[i] + 86)
    found = list(JournalReader(tmp_path / "j"))
    sequences = [item.sequence for item in found if isinstance(item, Record)]
    assert sequences == [i for i in range(10) if not 4 <= i <= last_hit]
    (damage,) = damage_of(tmp_path / "j")
    assert (damage.first_missing_sequence, damage.n_missing_records) == (4, last_hit - 3)


@pytest.mark.parametrize("length", [1 << 63, (1 << 64) - 1, 10_000, 1, 0])
@pytest.mark.parametrize("checksum_right", [False, True])
def test_a_wrong_length_costs_its_record_only(tmp_path, small, length, checksum_right):
    content, offsets = small
    damaged = bytearray(content)
    struct.pack_into("<Q", damaged, offsets[2] + 40, length)
    if checksum_right:  # no flipped bit does this
        header_crc = zlib.crc32(damaged[offsets[2] : offsets[2] + 52])
        struct.pack_into("<I", damaged, offsets[2] + 52, header_crc)
    found = list(JournalReader(with_segment(tmp_path / "j", damaged)))
    assert only_right_records(found) == [0, 1, 3, 4, 5]


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_deleted_segment_is_reported_with_the_number_of_its_records(tmp_path, missing):
    write_journal(tmp_path / "j", [b"0123456789"] * 12, segment_bytes=44 + 3 * 66)
    (tmp_path / "j" / f"{missing:06d}.wbj").unlink()
    sequences = [record.sequence for record in records_of(tmp_path / "j")]
    assert sequences == [i for i in range(12) if i // 3 != missing]
    assert damage_of(tmp_path / "j") == [Damage(missing, 0, 0, 3 * missing, 3)]


def test_empty_segments_cost_what_was_in_them(tmp_path):
    write_journal(tmp_path / "j", [b"0123456789"] * 9, segment_bytes=44 + 3 * 66)
    (tmp_path / "j" / "000001.wbj").write_bytes(b"")
    (tmp_path / "j" / "000003.wbj").write_bytes(b"")
    assert [record.sequence for record in records_of(tmp_path / "j")] == [0, 1, 2, 6, 7, 8]
    (damage,) = damage_of(tmp_path / "j")
    assert (damage.first_missing_sequence, damage.n_missing_records) == (3, 3)


def test_a_segment_of_zeros_between_others_is_reported(tmp_path):
    write_journal(tmp_path / "j", [b"0123456789"] * 9, segment_bytes=44 + 3 * 66)
    (tmp_path / "j" / "000001.wbj").write_bytes(bytes(44 + 3 * 66))
    assert [record.sequence for record in records_of(tmp_path / "j")] == [0, 1, 2, 6, 7, 8]
    assert damage_of(tmp_path / "j") == [Damage(1, 0, 0, 3, 3)]


def test_records_are_found_though_every_segment_header_is_garbage(tmp_path):
    write_journal(tmp_path / "j", [b"0123456789"] * 9, segment_bytes=44 + 3 * 66)
    for path in (tmp_path / "j").iterdir():
        path.write_bytes(b"\xff" * 50 + path.read_bytes()[50:])  # the first record's header too
    assert [record.sequence for record in records_of(tmp_path / "j")] == [1, 2, 4, 5, 7, 8]
    assert [damage.n_missing_records for damage in damage_of(tmp_path / "j")] == [1, 1, 1]


def test_a_segment_of_another_journal_among_the_own_gives_nothing(tmp_path):
    for name, nonce in (("own", NONCE), ("other", OTHER_NONCE)):
        write_journal(tmp_path / name, [name.encode() * 3] * 9, nonce, segment_bytes=250)
    shutil.copy(tmp_path / "other" / "000001.wbj", tmp_path / "own" / "000001.wbj")
    assert set(payloads_of(tmp_path / "own")) == {b"own" * 3}
    (damage,) = damage_of(tmp_path / "own")
    assert (damage.segment, damage.n_missing_records) == (1, 3)


def test_a_directory_without_segments_is_an_empty_journal(tmp_path):
    (tmp_path / "notes.txt").write_text("not a segment")
    assert list(JournalReader(tmp_path)) == []


def test_a_newer_format_is_refused_rather_than_taken_for_damage(tmp_path, monkeypatch):
    monkeypatch.setattr("wban_dataset.recording.framing.FORMAT_VERSION", 2)
    header = pack_segment_header(0, NONCE, 0)
    monkeypatch.undo()
    with pytest.raises(JournalVersionError, match="format version is 2, expected 1"):
        list(JournalReader(with_segment(tmp_path / "j", header)))


def test_a_page_that_the_disk_cannot_give_costs_its_records_only(tmp_path, monkeypatch):
    payloads = [b"%04d" % i * 250 for i in range(3000)]  # 1056 bytes each, over three windows
    offsets = write_journal(tmp_path / "j", payloads)
    real_preadv = os.preadv
    bad = range(409 * 4096, 410 * 4096)

    def preadv(fd, buffers, offset):
        stop = offset + sum(len(buffer) for buffer in buffers)
        if offset in bad:
            raise OSError(errno.EIO, "Input/output error")
        if offset < bad.start < stop:  # the kernel gives what it could read first
            return real_preadv(fd, [buffers[0][: bad.start - offset]], offset)
        return real_preadv(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    hit = [i for i in range(3000) if offsets[i] < bad.stop and offsets[i] + 1056 > bad.start]
    sequences = [record.sequence for record in records_of(tmp_path / "j")]
    assert sequences == [i for i in range(3000) if i not in hit]


def test_records_larger_than_the_window_and_across_its_end_are_whole(tmp_path):
    sizes = [3_000_000, 10, 700_000, 700_000, 1 << 20, 5]
    payloads = [random.Random(i).randbytes(size) for i, size in enumerate(sizes)]
    write_journal(tmp_path / "j", payloads)
    assert payloads_of(tmp_path / "j") == payloads
    content = bytearray((tmp_path / "j" / "000000.wbj").read_bytes())
    content[1_000_000] ^= 4
    (tmp_path / "j" / "000000.wbj").write_bytes(content)
    assert payloads_of(tmp_path / "j") == payloads[1:]


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_mixture_of_damage_gives_right_records_only(tmp_path, data):
    directory = tmp_path / "fuzz"
    shutil.rmtree(directory, ignore_errors=True)
    write_journal(directory, PAYLOADS, segment_bytes=44 + 190)
    for path in sorted(directory.iterdir()):
        content = bytearray(path.read_bytes())
        for _ in range(data.draw(st.integers(0, 3))):
            damage(content, data)
        path.write_bytes(content)
    if data.draw(st.booleans()):
        data.draw(st.sampled_from(sorted(directory.iterdir()))).unlink()
    found = list(JournalReader(directory))
    only_right_records(found)
    everything_is_accounted_for(found, len(PAYLOADS))


def damage(content, data):
    """Overwrite, put in, take out or repeat a stretch."""
    start = data.draw(st.integers(0, len(content)))
    stop = data.draw(st.integers(start, len(content)))
    match data.draw(st.sampled_from(["zeros", "garbage", "insert", "delete", "copy", "cut"])):
        case "zeros":
            content[start:stop] = bytes(stop - start)
        case "garbage":
            content[start:stop] = data.draw(st.binary(max_size=64))
        case "insert":
            content[start:start] = data.draw(st.binary(max_size=64)) + RECORD_MAGIC
        case "delete":
            del content[start:stop]
        case "copy":
            content[start:start] = content[stop : stop + 150]
        case "cut":
            del content[start:]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=st.lists(st.binary(max_size=200) | st.sampled_from([RECORD_MAGIC, NONCE])))
def test_bytes_that_never_were_a_journal_give_no_record(tmp_path, content):
    directory = with_segment(tmp_path / "j", b"".join(content))
    found = list(JournalReader(directory))
    assert all(isinstance(item, Damage) for item in found)
    assert bool(found) == bool(b"".join(content).strip(b"\0"))


# Bounded work


class Work:
    """Counts the bytes that the reader fetches and sums."""

    def __init__(self, monkeypatch):
        self.n_read = self.n_summed = 0
        real_preadv, real_crc32 = os.preadv, zlib.crc32

        def preadv(fd, buffers, offset):
            n_read = real_preadv(fd, buffers, offset)
            self.n_read += n_read
            return n_read

        def crc32(content, value=0):
            self.n_summed += len(content)
            return real_crc32(content, value)

        monkeypatch.setattr(os, "preadv", preadv)
        monkeypatch.setattr(journal_reader.zlib, "crc32", crc32)


def forged_header(offset, length, sequence=0):
    return pack_record_header(NONCE, 1, 0, offset, sequence, length, 12345)


def test_reading_an_intact_journal_looks_at_each_byte_about_once(tmp_path, monkeypatch):
    write_journal(tmp_path / "j", [bytes(50_000)] * 100)
    size = (tmp_path / "j" / "000000.wbj").stat().st_size
    work = Work(monkeypatch)
    assert len(records_of(tmp_path / "j")) == 100
    assert work.n_read < 1.1 * size
    assert work.n_summed < 1.01 * size


@pytest.mark.parametrize("length", [1 << 63, 1_900_000, 100_000, 900, 0])
@pytest.mark.parametrize("forged", [False, True])
def test_headers_that_lie_do_not_make_the_work_quadratic(tmp_path, monkeypatch, length, forged):
    size = 2_000_000
    content = bytearray(pack_segment_header(0, NONCE, 0))
    while len(content) < size:
        header = forged_header(len(content), length)
        content += header if forged else header[:-1] + bytes([header[-1] ^ 1])
    work = Work(monkeypatch)
    found = list(JournalReader(with_segment(tmp_path / "j", content)))
    assert [type(item) for item in found] == [Damage]
    assert work.n_summed < 6 * size
    assert work.n_read < 60 * size


def test_copies_of_a_later_record_do_not_make_the_work_quadratic(tmp_path, monkeypatch):
    offsets = write_journal(tmp_path / "j", [bytes(1_500_000), b"later"])
    path = tmp_path / "j" / "000000.wbj"
    content = bytearray(path.read_bytes())
    later = content[offsets[1] :]
    n_copies = 1_500_000 // len(later)
    content[offsets[0] : offsets[0] + n_copies * len(later)] = later * n_copies
    path.write_bytes(content)
    work = Work(monkeypatch)
    assert payloads_of(tmp_path / "j") == [b"later"]
    assert work.n_summed < 4 * len(content)
    assert work.n_read < 6 * len(content)
