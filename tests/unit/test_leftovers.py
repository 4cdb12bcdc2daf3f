"""What recordings left: found, and cleared away only where it is nothing."""

from __future__ import annotations

import zlib

import pytest

from tests.unit import small_sessions as small
from wban_collect.keeping.leftovers import clear_remains, first_header, header_of, unsealed_sessions
from wban_dataset.recording.errors import SealingError
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.framing import (
    RECORD_HEADER,
    SEGMENT_HEADER,
    JournalVersionError,
    pack_segment_header,
)
from wban_dataset.recording.sealing import seal

SEGMENT_HEAD = pack_segment_header(0, b"n" * 16, 0)


def with_segments(folder, *contents: bytes):
    (folder / "journal").mkdir(parents=True)
    for number, content in enumerate(contents):
        (folder / "journal" / f"{number:06}.wbj").write_bytes(content)
    return folder


def test_unsealed_sessions_are_those_with_a_journal(tmp_path):
    small.sealed(tmp_path, "sealed", 1)
    waiting = [small.unsealed(tmp_path / "b", "waiting", 2), small.unsealed(tmp_path, "a", 3)]
    assert unsealed_sessions(tmp_path) == sorted(waiting)
    assert unsealed_sessions(waiting[0]) == [waiting[0]]


def test_a_journal_says_whose_it_is(tmp_path):
    folder = small.unsealed(tmp_path, "one", 5)
    assert header_of(folder).session_id == small.session_id(5)
    assert first_header(folder).session_id == small.session_id(5)


def test_a_header_that_was_damaged_is_found_again_in_the_next_segment(tmp_path):
    folder = small.unsealed(tmp_path, "one", 5)
    segment = folder / "journal" / "000000.wbj"
    damaged = bytearray(segment.read_bytes())
    damaged[SEGMENT_HEADER.size + RECORD_HEADER.size + 5] ^= 0xFF
    segment.write_bytes(damaged)
    assert (folder / "journal" / "000001.wbj").exists()
    assert first_header(folder) is None
    assert header_of(folder).session_id == small.session_id(5)
    assert clear_remains(folder) is None


# --- nothing at all: removed ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "segments",
    [(), (b"",), (SEGMENT_HEAD[:5],), (SEGMENT_HEAD,), (SEGMENT_HEAD + bytes(9000),), (bytes(99),)],
    ids=["none", "empty", "half a header", "a header", "room set aside", "zeros"],
)
def test_a_journal_without_a_byte_of_a_record_is_removed(tmp_path, segments):
    folder = with_segments(tmp_path / "20261123T140512Z_S01_eating", *segments)
    (folder / ".reserved").write_bytes(bytes(100))
    found = clear_remains(folder)
    assert (found.folder, found.moved_to) == (folder, None)
    assert str(folder) in found.text
    assert list(tmp_path.iterdir()) == []


# --- what could be data: put aside ---------------------------------------------------------------


@pytest.mark.parametrize(
    "segments",
    [
        (b"no journal at all",),
        (SEGMENT_HEAD + b"\0" * 20_000_000 + b"\1",),
        (SEGMENT_HEAD, b"x"),
        (b"\x89WBX" + bytes(60),),
    ],
    ids=["text", "a byte far behind", "in the second segment", "nearly a header"],
)
def test_a_journal_with_anything_in_it_is_put_aside_whole(tmp_path, segments):
    folder = with_segments(tmp_path / "one", *segments)
    before = small.content(folder)
    (folder / ".reserved").write_bytes(bytes(100))
    (folder / "session.h5.part").write_bytes(bytes(100))
    found = clear_remains(folder)
    assert found.moved_to == tmp_path / "one.unreadable"
    assert str(found.moved_to) in found.text
    assert small.content(found.moved_to) == before
    assert unsealed_sessions(tmp_path) == []


def test_samples_without_a_header_are_put_aside_and_never_over_others(tmp_path):
    (tmp_path / "one.unreadable").mkdir()
    folder = small.headerless(tmp_path, "one")
    before = small.content(folder)
    moved_to = clear_remains(folder).moved_to
    assert moved_to == tmp_path / "one.unreadable-2"
    assert small.content(moved_to) == before
    assert unsealed_sessions(tmp_path) == []


def test_a_folder_with_somebodys_file_is_not_removed(tmp_path):
    folder = with_segments(tmp_path / "one", SEGMENT_HEAD)
    (folder / "notes.txt").write_text("a person's")
    moved_to = clear_remains(folder).moved_to
    assert (moved_to / "notes.txt").read_text() == "a person's"


# --- left alone ----------------------------------------------------------------------------------


def test_a_session_that_can_be_sealed_is_left_alone(tmp_path):
    folder = small.unsealed(tmp_path, "one")
    before = small.content(folder)
    assert clear_remains(folder) is None
    assert small.content(folder) == before


def test_a_sealed_session_whose_journal_is_half_removed_is_left_to_sealing(tmp_path):
    folder = small.sealed(tmp_path, "one")
    (folder / "journal").mkdir()
    assert clear_remains(folder) is None
    assert seal(folder).was_sealed
    assert [path.name for path in folder.iterdir()] == ["session.h5"]


def test_what_somebody_records_into_is_left_alone(tmp_path):
    folder = with_segments(tmp_path / "one")
    with locked(folder), pytest.raises(SealingError, match="another process"):
        clear_remains(folder)
    assert (folder / "journal").is_dir()


def test_a_journal_of_a_newer_version_is_left_alone(tmp_path):
    folder = small.unsealed(tmp_path, "one")
    segment = folder / "journal" / "000000.wbj"
    newer = bytearray(segment.read_bytes())
    newer[8] = 2  # the version, behind the magic
    newer[: SEGMENT_HEADER.size] = with_checksum(bytes(newer[: SEGMENT_HEADER.size - 4]))
    segment.write_bytes(newer)
    before = small.content(folder)
    with pytest.raises(JournalVersionError):
        clear_remains(folder)
    assert small.content(folder) == before


def with_checksum(fields: bytes) -> bytes:
    return fields + zlib.crc32(fields).to_bytes(4, "little")
