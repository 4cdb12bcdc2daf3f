"""A damaged journal of a real session: what was not hit is given, and sealed as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.corpus import journal_seeds
from tests.fuzz.damage import damaged, damages, untouched
from tests.fuzz.effort import effort
from tests.fuzz.journal_target import HEADER, check_segment, with_right_checksums
from tests.integration import session_journal as made
from wban_dataset.recording.errors import RecordingError
from wban_dataset.recording.journal import JournalReader, Record
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.session import Session


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> dict[str, bytes]:
    """Bytes of the segments of a journal of one second."""
    folder = tmp_path_factory.mktemp("whole") / "session"
    made.write_journal(folder, made.whole_session(1), segment_bytes=12_000)
    return {path.name: path.read_bytes() for path in sorted((folder / "journal").iterdir())}


def write(folder: Path, segments: dict[str, bytes]) -> Path:
    """Write a session's folder with these segments."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "journal").mkdir(parents=True)
    for name, content in segments.items():
        (folder / "journal" / name).write_bytes(content)
    return folder


def records_in(folder: Path) -> list[Record]:
    return [found for found in JournalReader(folder / "journal") if isinstance(found, Record)]


def hit(
    whole: dict[str, bytes], data: st.DataObject, *, misplaced: bool = True
) -> dict[str, bytes]:
    """Damage one or two segments."""
    names = data.draw(st.lists(st.sampled_from(sorted(whole)), min_size=1, max_size=2, unique=True))
    changed = dict(whole)
    for name in names:
        happened = data.draw(damages(whole[name], misplaced=misplaced))
        changed[name] = damaged(whole[name], happened)
    return changed


def what_it_says(record: Record) -> tuple[int, int, bytes]:
    return record.kind, record.sequence, record.payload


@effort(300)
@given(data=st.data())
def test_every_record_that_was_not_hit_is_given(tmp_path, whole, data):
    expected = records_in(write(tmp_path / "whole", whole))
    changed = hit(whole, data, misplaced=False)
    found = records_in(write(tmp_path / "hit", changed))
    for record in expected:
        name = f"{record.segment:06d}.wbj"
        stop = record.offset + HEADER.size + len(record.payload)
        if untouched(whole[name], changed[name], record.offset, stop):
            assert record in found


@effort(300)
@given(data=st.data())
def test_no_record_is_given_that_was_not_written(tmp_path, whole, data):
    expected = records_in(write(tmp_path / "whole", whole))
    found = records_in(write(tmp_path / "hit", hit(whole, data)))
    assert set(map(what_it_says, found)) <= set(map(what_it_says, expected))
    assert [record.sequence for record in found] == sorted({r.sequence for r in found})


@effort(25)
@given(data=st.data())
def test_it_is_sealed_or_refused_and_no_value_is_wrong(tmp_path, whole, data):
    folder = write(tmp_path / "hit", hit(whole, data))
    report, refusal = None, ""
    try:
        report = seal(folder)
    except RecordingError as error:
        refusal = str(error)
    if report is None:
        assert str(folder) in refusal
        return
    with Session.open(folder) as session:
        assert session.verify().ok
        if "accel" in session.streams:
            counts = session.stream("accel").read_counts()
            rows = np.flatnonzero(np.isin(made.accel_counts(100)[:, 0], counts[:, 0]))
            np.testing.assert_array_equal(counts, made.accel_counts(100)[rows])
            assert report.rows["accel"] + report.n_lost["accel"] <= 100
        if "infrared" in session.streams:
            pictures = {made.picture(i).tobytes() for i in range(5)}
            found = session.stream("infrared").read_counts()
            assert {picture.tobytes() for picture in found} <= pictures


@pytest.fixture(scope="module")
def seeds() -> list[bytes]:
    return [seed for seed in journal_seeds() if seed]


@effort(200)
@given(data=st.data())
def test_records_that_say_anything_under_right_checksums(tmp_path, seeds, data):
    segment = data.draw(st.sampled_from(seeds))
    changed = with_right_checksums(damaged(segment, data.draw(damages(segment))))
    check_segment(tmp_path, changed)
