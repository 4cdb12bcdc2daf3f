"""Reading a session: sealed or not, whole or damaged, with what stands beside it."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.integration import session_journal as made
from wban_dataset.recording import timebase
from wban_dataset.recording.errors import SessionError
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.session import Session
from wban_dataset.recording.streams import Label, SessionEnd

S = made.SECOND_NS


@pytest.fixture
def unsealed(tmp_path: Path) -> Path:
    """Give a session with a gap, a damaged record, and several segments of each stream."""
    items = [
        dataclasses.replace(item, segment=1)
        if isinstance(item, made.SampleBlock) and item.read.read_end_ns > made.START_NS + 2 * S
        else item
        for item in made.whole_session()
    ]
    gap = made.gap_of_accel(made.START_NS + 2 * S, made.START_NS + 2 * S + 10**7, 1)
    place = next(
        i for i, item in enumerate(items) if isinstance(item, made.SampleBlock) and item.segment
    )
    folder = made.write_journal(tmp_path / "session", [*items[:place], gap, *items[place:]])
    path = sorted((folder / "journal").iterdir())[0]
    content = bytearray(path.read_bytes())
    content[30_000] ^= 0x01
    path.write_bytes(bytes(content))
    return folder


@pytest.fixture
def sealed(unsealed: Path, tmp_path: Path) -> Path:
    folder = Path(shutil.copytree(unsealed, tmp_path / "sealed"))
    seal(folder)
    return folder


@pytest.fixture
def session(sealed: Path) -> Iterator[Session]:
    with Session.open(sealed) as opened:
        yield opened


# --- sealed and not sealed are one ---------------------------------------------------------------


def test_an_unsealed_session_reads_as_the_sealed_one_will(unsealed, sealed):
    with Session.open(unsealed) as before, Session.open(sealed / "session.h5") as after:
        assert not before.is_sealed
        assert after.is_sealed
        assert before.streams == after.streams == ("accel", "infrared", "thermal")
        ours = before.attributes.keys()
        assert {name: after.attributes[name] for name in ours} == before.attributes
        for name in before.streams:
            one, other = before.stream(name), after.stream(name)
            assert one.n == other.n > 0
            assert dict(one.attributes).keys() == dict(other.attributes).keys()
            for key, value in one.attributes.items():
                np.testing.assert_array_equal(value, other.attributes[key], err_msg=key)
            for column in ("monotonic_ns", "time", "time_unc_ns", "segment"):
                np.testing.assert_array_equal(getattr(one, column), getattr(other, column))
            np.testing.assert_array_equal(one.read(), other.read())
            np.testing.assert_array_equal(one.read_counts(), other.read_counts())
            assert (one.units, one.channels) == (other.units, other.channels)
        assert before.labels == after.labels
        assert before.quality == after.quality
        assert before.configuration == after.configuration
        for table in ("marks", "gaps", "clock", "health"):
            one, other = getattr(before, table), getattr(after, table)
            for column in one:
                np.testing.assert_array_equal(one[column], other[column])


@pytest.mark.parametrize("where", ["unsealed", "sealed"])
def test_a_span_is_half_open_and_in_physical_units(where, request):
    with Session.open(request.getfixturevalue(where)) as opened:
        accel = opened.stream("accel")
        stamps = accel.monotonic_ns
        found = accel.read(int(stamps[10]), int(stamps[13]))
        np.testing.assert_allclose(found, made.accel_counts(13)[10:] * 0.04)
        assert accel.units == "m s-2"
        assert len(accel.read(int(stamps[-1]) + 1)) == 0
        assert len(accel.read(stop_ns=int(stamps[0]))) == 0
        assert len(accel.read(int(stamps[5]), int(stamps[2]))) == 0
        infrared = opened.stream("infrared")
        one = infrared.read(int(infrared.monotonic_ns[3]), int(infrared.monotonic_ns[4]))
        np.testing.assert_array_equal(one, made.picture(3)[None])


def test_a_span_of_temperatures_does_not_depend_on_where_it_starts(unsealed):
    with Session.open(unsealed) as opened:
        thermal = opened.stream("thermal")
        whole, stamps = thermal.read(), thermal.monotonic_ns
        segment_start = int(np.flatnonzero(thermal.segment)[0])
        for first in (0, 1, 5, segment_start - 1, segment_start, segment_start + 1):
            part = thermal.read(int(stamps[first]), int(stamps[first + 2]))
            np.testing.assert_array_equal(part, whole[first : first + 2])
        assert np.isnan(whole[segment_start]).sum() == 384  # nothing is carried over a gap


def test_aligned_is_what_the_file_holds(sealed, session):
    chunk = session.aligned()
    with h5py.File(sealed / "session.h5") as file:
        group = file["aligned"]
        np.testing.assert_array_equal(chunk.times_ns, group["monotonic_ns"][:])
        np.testing.assert_array_equal(chunk.signals["accel"], group["accel"][:])
        np.testing.assert_array_equal(chunk.frame_index["thermal"], group["thermal_index"][:])
        np.testing.assert_array_equal(chunk.frame_index["infrared"], group["infrared_index"][:])
        np.testing.assert_array_equal(chunk.valid, group["valid"][:])
        assert group.attrs["rate_hz"] == 25.0


def test_any_span_can_be_aligned_at_any_rate(session):
    chunk = session.aligned(50.0, made.START_NS + S, made.START_NS + 2 * S)
    assert len(chunk.times_ns) == 51
    np.testing.assert_array_equal(np.diff(chunk.times_ns), 20_000_000)


def test_stamps_are_made_from_their_evidence_again_exactly(sealed, unsealed):
    for folder in (sealed, unsealed):
        with Session.open(folder) as opened:
            again = timebase.refit(opened)
            assert sorted(again) == ["accel", "infrared", "thermal"]
            for name, stamps in again.items():
                np.testing.assert_array_equal(stamps, opened.stream(name).monotonic_ns)


def test_an_unknown_stream_is_named_with_those_there_are(session):
    with pytest.raises(SessionError, match=r"'gyro'.*accel, infrared, thermal"):
        session.stream("gyro")


def test_xarray_gets_physical_units_and_utc(session):
    pytest.importorskip("xarray")
    found = session.to_xarray()
    accel = found["accel"]
    assert accel["data"].dims == ("time", "channel")
    np.testing.assert_allclose(accel["data"].values[2], [0.08, -0.08, 4.0])
    times = accel["time"].values.astype(np.int64)
    np.testing.assert_array_equal(times, session.stream("accel").time)


# --- beside the file -----------------------------------------------------------------------------


def test_later_labels_take_priority_over_the_files_own(sealed):
    start = made.START_NS
    (sealed / "labels.csv").write_text(
        "start_ns,stop_ns,label,annotator\n"
        f"{start + S},{start + 2 * S},drinking,Ada\n"
        f"{start + 3 * S},{start + 3 * S + 5},,Ada\n"
    )
    with Session.open(sealed) as opened:
        spans = [
            (label.start_ns - start, label.stop_ns - start, label.label) for label in opened.labels
        ]
        assert spans == [
            (0, S, "eating"),
            (S, 2 * S, "drinking"),
            (2 * S, 3 * S, "eating"),
            (3 * S + 5, 4 * S, "eating"),
        ]
        assert opened.labels[1] == Label(start + S, start + 2 * S, "drinking", "Ada", "page")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("start_ns,label\n1,eating\n", "column stop_ns is missing"),
        ("start_ns,stop_ns,label\n1,x,eating\n", r"line 2: invalid literal"),
        ("start_ns,stop_ns,label\n5,1,eating\n", "line 2: stop_ns is before start_ns"),
    ],
)
def test_a_labels_file_that_cannot_be_used_is_named_by_line(sealed, text, says):
    (sealed / "labels.csv").write_text(text)
    with Session.open(sealed) as opened, pytest.raises(SessionError, match=says):
        _ = opened.labels


@pytest.mark.parametrize("where", ["unsealed", "sealed"])
def test_the_true_time_learnt_later_replaces_utc(where, request, tmp_path):
    folder = request.getfixturevalue(where)
    with Session.open(folder) as opened:
        before = opened.stream("accel").time
    later_ns = made.START_NS + 3600 * S
    realtime_ns = later_ns + made.UTC_NS + 42 * S  # the clock was stepped by 42 s
    (folder / "clock.csv").write_text(
        f"monotonic_ns,realtime_ns,source\n{later_ns},{realtime_ns},ntp\n"
    )
    with Session.open(folder) as opened:
        np.testing.assert_array_equal(opened.stream("accel").time, before + 42 * S)
        # 2026-11-18T11:08:20 and 42 s
        assert opened.start_utc == "2026-11-18T11:09:02.000000000Z"
        assert opened.clock_synchronised


# --- damaged, foreign, missing -------------------------------------------------------------------


def test_a_truncated_file_is_named_wherever_it_was_cut(sealed):
    path = sealed / "session.h5"
    whole = path.read_bytes()
    cuts = np.random.default_rng(50).integers(0, len(whole), 50)
    for cut in cuts.tolist():
        path.write_bytes(whole[:cut])
        with pytest.raises(SessionError, match=r"session\.h5: it is .* expected"):
            Session.open(sealed)


def test_a_flipped_bit_is_found_or_harmless_but_never_a_traceback(sealed):
    path = sealed / "session.h5"
    whole = path.read_bytes()
    rng = np.random.default_rng(40)
    for place in rng.integers(0, len(whole), 40).tolist():
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(bytes(damaged))
        with contextlib.suppress(SessionError), Session.open(sealed) as opened:
            opened.verify()


def test_a_flipped_bit_in_any_chunk_is_found(sealed):
    path = sealed / "session.h5"
    whole = path.read_bytes()
    with h5py.File(path) as file:
        names = ("accel/data", "thermal/raw", "infrared/data", "aligned/accel", "labels/stop_ns")
        places = {name: file[name].id.get_chunk_info(0) for name in names}
    for name, chunk in places.items():
        damaged = bytearray(whole)
        damaged[chunk.byte_offset + chunk.size // 2] ^= 4
        path.write_bytes(bytes(damaged))
        with Session.open(sealed) as opened:
            report = opened.verify()
        assert not report.ok
        assert any(name in problem for problem in report.problems)


@pytest.mark.parametrize("where", ["unsealed", "sealed"])
def test_a_whole_session_verifies(where, tmp_path):
    folder = made.write_journal(tmp_path / "whole", made.whole_session(1))
    if where == "sealed":
        seal(folder)
    with Session.open(folder) as opened:
        assert opened.verify().problems == ()


def test_what_was_changed_by_hand_does_not_verify(sealed):
    changes = {
        "attributes": lambda file: file.attrs.__setitem__("subject", "S02"),
        "accel/data has other values": lambda file: file["accel/data"].__setitem__((3, 1), 7),
        "not those that its evidence gives": lambda file: file["accel/monotonic_ns"].__setitem__(
            3, file["accel/monotonic_ns"][3] + 1
        ),
        "marks is missing": lambda file: file.__delitem__("marks"),
        "extra is unexpected": lambda file: file.create_dataset("extra", data=1),
    }
    for number, (says, change) in enumerate(changes.items()):
        folder = Path(shutil.copytree(sealed, sealed.parent / f"changed-{number}"))
        with h5py.File(folder / "session.h5", "r+") as file:
            change(file)
        with Session.open(folder) as opened:
            report = opened.verify()
        assert any(says in problem for problem in report.problems), report.problems


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not at all", b"\x89HDF\r\n\x1a\n"])
def test_a_file_that_is_no_session_is_named(tmp_path, content):
    path = tmp_path / "session.h5"
    path.write_bytes(content)
    with pytest.raises(SessionError, match="expected a sealed session"):
        Session.open(path)


def test_a_foreign_hdf5_file_is_named(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1, 2]
    with pytest.raises(SessionError, match="its format is None, expected 'wban-session'"):
        Session.open(tmp_path / "other.h5")


def test_a_newer_format_is_named(sealed):
    with h5py.File(sealed / "session.h5", "r+") as file:
        file.attrs["format_version"] = 2
    with pytest.raises(SessionError, match="version is 2, expected 1"):
        Session.open(sealed)


def test_a_file_without_a_part_that_is_asked_for_is_named(sealed):
    with h5py.File(sealed / "session.h5", "r+") as file:
        del file["labels"]
    with Session.open(sealed) as opened, pytest.raises(SessionError, match="cannot be read"):
        _ = opened.labels


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(SessionError, match="there is no such file"):
        Session.open(tmp_path / "nowhere")
    with pytest.raises(SessionError, match=r"neither session\.h5 nor a journal"):
        Session.open(tmp_path)


def test_a_journal_that_says_nothing_of_its_session_is_named(tmp_path):
    folder = made.write_journal(tmp_path / "s", [made.accel_spec(), SessionEnd(1, "", {})])
    with pytest.raises(SessionError, match="whose session it is"):
        Session.open(folder)


def test_reading_after_the_journal_was_sealed_asks_to_open_anew(unsealed):
    with Session.open(unsealed) as opened:
        accel = opened.stream("accel")
        assert accel.n
        seal(unsealed)
        with pytest.raises(SessionError, match="open the session anew"):
            accel.read()
