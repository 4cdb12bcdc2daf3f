"""What is lost is counted, with its cause; the rest is kept, and nothing is invented."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.integration import session_journal as made
from wban_dataset.recording.errors import JournalContentError
from wban_dataset.recording.framing import Record
from wban_dataset.recording.journal_reader import JournalReader
from wban_dataset.recording.records import decode
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.session import Session
from wban_dataset.recording.streams import Gap, SampleBlock, SessionEnd


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made.write_journal(tmp_path / "session", made.whole_session())


def corrupt(folder: Path, is_hit: Callable[[Any], bool]) -> int:
    """Flip a byte in the payload of each record that is hit; return how many there were."""
    hits: list[Record] = []
    for record in JournalReader(folder / "journal"):
        assert isinstance(record, Record)
        if is_hit(decode(record.kind, record.payload)):
            hits.append(record)
    for record in hits:
        path = folder / "journal" / f"{record.segment:06d}.wbj"
        content = bytearray(path.read_bytes())
        content[record.offset + 80] ^= 0x10
        path.write_bytes(bytes(content))
    return len(hits)


def is_accel_block(number: int) -> Callable[[Any], bool]:
    return lambda item: (
        isinstance(item, SampleBlock)
        and item.stream == "accel"
        and item.first_index == number * made.ACCEL_PER_BLOCK
    )


def test_a_damaged_record_costs_its_samples_alone_and_is_counted(folder):
    assert corrupt(folder, is_accel_block(20)) == 1
    report = seal(folder)
    assert report.rows == {"accel": 390, "thermal": 32, "infrared": 20}
    assert report.n_lost == {"accel": 10, "thermal": 0, "infrared": 0}
    assert not report.clean
    assert not report.complete
    assert not report.recovered
    with h5py.File(folder / "session.h5") as file:
        counts = np.delete(made.accel_counts(400), np.s_[200:210], axis=0)
        np.testing.assert_array_equal(file["accel/data"][:], counts)
        np.testing.assert_array_equal(file["accel/segment"][:], np.repeat([0, 1], [200, 190]))
        reads = file["accel/reads"]
        np.testing.assert_array_equal(reads["first_index"][:], np.arange(0, 390, 10))
        gaps = file["gaps"]
        rows = list(
            zip(
                gaps["stream"].asstr()[:],
                gaps["cause"].asstr()[:],
                gaps["n_missing"][:].tolist(),
                strict=True,
            )
        )
        assert sorted(rows) == [("", "journal damaged", -1), ("accel", "journal damaged", 10)]
        (of_stream,) = np.flatnonzero(gaps["n_missing"][:] == 10)
        stamps = file["accel/monotonic_ns"][:]
        assert gaps["start_ns"][of_stream] == stamps[199]
        assert gaps["stop_ns"][of_stream] == stamps[200]
        # rate is known from both sides: 11 periods between the neighbours of the gap
        assert abs(stamps[200] - stamps[199] - 11 * made.ACCEL_PERIOD_NS) < 5_000_000
    with Session.open(folder) as session:
        assert session.verify().problems == ()


def test_nothing_is_invented_inside_a_gap(folder):
    corrupt(folder, is_accel_block(20))
    seal(folder)
    with h5py.File(folder / "session.h5") as file:
        ticks = file["aligned/monotonic_ns"][:]
        stamps = file["accel/monotonic_ns"][:]
        inside = (ticks > stamps[199]) & (ticks < stamps[200])
        assert inside.any()
        assert np.isnan(file["aligned/accel"][:][inside]).all()
        assert not file["aligned/valid"][:][inside].any()


def test_a_session_that_was_cut_off_is_recovered(tmp_path):
    items = [item for item in made.whole_session() if not isinstance(item, SessionEnd)]
    folder = made.write_journal(tmp_path / "s", items)
    report = seal(folder)
    assert report.recovered
    assert not report.complete
    assert not report.clean
    # two commits of 0.5 s, and the slowest fsync that the health rows tell of
    assert report.lost_tail_ns == 1_000_000_000 + 12_000_000
    with Session.open(folder) as session:
        newest_ns = max(session.stream(name).monotonic_ns[-1] for name in session.streams)
        assert session.labels[0].stop_ns == newest_ns + 1


def test_a_torn_tail_costs_the_last_record_alone(tmp_path):
    items = [item for item in made.whole_session() if not isinstance(item, SessionEnd)]
    folder = made.write_journal(tmp_path / "s", [*items, made.accel_block(40)])
    last = sorted((folder / "journal").iterdir())[-1]
    os.truncate(last, last.stat().st_size - 7)
    report = seal(folder)
    assert report.rows["accel"] == 400
    assert report.recovered


def test_an_estimate_gives_way_to_what_the_stamps_tell(tmp_path):
    before = [made.accel_block(i) for i in range(20)]
    # 25 samples never reached the journal; the driver guessed 40
    late_ns = 25 * made.ACCEL_PERIOD_NS
    after = [made.accel_block(i, segment=1, shift_ns=late_ns) for i in range(20, 60)]
    gap = made.gap_of_accel(made.START_NS + 2 * 10**9, made.START_NS + 2 * 10**9 + late_ns, 40)
    end = SessionEnd(made.START_NS + 7 * made.SECOND_NS, "", {"accel": 40})
    items = [made.HEADER, made.accel_spec(), made.anchor(0), *before, gap, *after, end]
    folder = made.write_journal(tmp_path / "s", items)
    report = seal(folder)
    assert report.n_lost == {"accel": 25}
    assert report.complete
    assert not report.clean


def test_blocks_that_did_not_fit_the_queue_are_not_counted_twice(tmp_path):
    blocks = [made.accel_block(i) for i in range(30) if i not in (10, 11)]
    gap = Gap("accel", made.START_NS, made.START_NS + 1, 20, "queue full", exact=True)
    items = [made.HEADER, made.accel_spec(), *blocks[:10], gap, *blocks[10:]]
    folder = made.write_journal(tmp_path / "s", items)
    report = seal(folder)
    assert report.n_lost == {"accel": 20}
    assert report.n_gaps == 1
    with h5py.File(folder / "session.h5") as file:
        np.testing.assert_array_equal(file["accel/segment"][:], np.repeat([0, 1], [100, 180]))


def test_a_declaration_lost_to_damage_is_taken_from_the_next_segment(folder):
    first = True

    def is_first_spec(item: Any) -> bool:
        nonlocal first
        hit = isinstance(item, made.StreamSpec) and item.name == "accel" and first
        first = first and not hit
        return hit

    assert corrupt(folder, is_first_spec) == 1
    assert seal(folder).rows["accel"] == 400


def test_samples_of_another_shape_than_declared_are_left_out_and_counted(tmp_path):
    wrong = dataclasses.replace(made.accel_block(1), data=np.zeros((10, 2), np.int16))
    items = [made.HEADER, made.accel_spec(), made.accel_block(0), wrong, made.accel_block(2)]
    folder = made.write_journal(tmp_path / "s", items)
    report = seal(folder)
    assert report.rows == {"accel": 20}
    assert len(report.warnings) == 1
    assert "10 samples" in report.warnings[0]


def test_a_journal_without_a_header_is_kept_and_named(tmp_path):
    folder = made.write_journal(tmp_path / "s", [made.accel_spec(), made.accel_block(0)])
    with pytest.raises(JournalContentError, match="whose session it is"):
        seal(folder)
    assert list((folder / "journal").iterdir())
    assert not (folder / "session.h5").exists()
