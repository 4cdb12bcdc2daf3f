"""Transitions in a file, and those of real people."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from wban_dataset.errors import DatasetError
from wban_dataset.session_info import SessionInfo
from wban_dataset.transitions.file import read_transitions, write_transitions
from wban_dataset.transitions.profiles import SIGNALS, TIME_S, Profile
from wban_dataset.transitions.transition_table import COLUMN_TYPES, table_of

CLASSES = ("sitting", "standing", "stehen_ü")
SESSIONS = [
    SessionInfo(f"S{number}", f"user{number:02}", "", "", "hapt", "", 0) for number in range(3)
]


def table():
    rows = [
        {name: 100 * row + place for place, name in enumerate(COLUMN_TYPES)}
        | {"session": row, "source": 1}
        for row in range(3)
    ]
    return table_of(rows)


def profile():
    points = (len(TIME_S), len(SIGNALS))
    values = np.random.default_rng(0).normal(size=(7, *points)).astype(np.float32)
    values[0, 0, 0] = np.nan
    return Profile(0, 1, 3, np.full(points, 3, np.int32), values[0], values[1], values[2:])


def test_what_was_written_is_read_back(tmp_path):
    path = tmp_path / "transitions.h5"
    write_transitions(path, table(), [profile()], CLASSES, SESSIONS)
    found = read_transitions(path)
    assert found.classes == CLASSES
    assert found.subject == ("user00", "user01", "user02")
    assert found.session_id == ("S0", "S1", "S2")
    for name, kind in COLUMN_TYPES.items():
        column = getattr(found.table, name)
        assert column.dtype == kind
        np.testing.assert_array_equal(column, getattr(table(), name))
    assert len(found.profiles) == 1
    np.testing.assert_array_equal(found.profiles[0].quantiles, profile().quantiles)
    np.testing.assert_array_equal(found.profiles[0].mean, profile().mean)
    assert [path.name for path in tmp_path.iterdir()] == ["transitions.h5"]


def test_the_same_transitions_give_the_same_bytes(tmp_path):
    for name in ("one.h5", "other.h5"):
        write_transitions(tmp_path / name, table(), [profile()], CLASSES, SESSIONS)
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "other.h5").read_bytes()


def test_none_at_all_is_a_file_too(tmp_path):
    write_transitions(tmp_path / "t.h5", table_of([]), [], (), [])
    found = read_transitions(tmp_path / "t.h5")
    assert (len(found.table), found.profiles, found.classes) == (0, [], ())


def test_what_is_no_such_file_is_refused_in_a_sentence(tmp_path):
    text = tmp_path / "text.h5"
    text.write_text("no HDF5")
    with pytest.raises(DatasetError, match=r"text\.h5: it cannot be read"):
        read_transitions(text)
    with pytest.raises(DatasetError, match=r"missing\.h5: it cannot be read"):
        read_transitions(tmp_path / "missing.h5")
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file.attrs["format"] = "something"
    with pytest.raises(DatasetError, match="found format 'something' version None"):
        read_transitions(other)


def test_a_folder_that_is_not_there_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        write_transitions(tmp_path / "no" / "t.h5", table(), [], CLASSES, SESSIONS)
    assert list(tmp_path.iterdir()) == []


def test_postural_transitions_of_real_people_are_found_within_half_a_second(
    shared_data, monkeypatch
):
    """The benchmark's question, of six people, their settings fitted on eighteen others."""
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parents[2] / "benchmarks"), *sys.path])
    from hapt_archive import read_recordings
    from transitions import changes, training_example

    from wban_dataset.transitions.motion import Motion
    from wban_dataset.transitions.refinement import fit, refine

    recordings = [r for r in read_recordings(shared_data / "hapt") if r.user <= 24]
    known = changes(recordings)
    signal = {r.number: Motion.of(r.stamps_ns, r.accel, r.stamps_ns, r.gyro) for r in recordings}
    settings = fit([training_example(change, signal) for change in known if change.user > 6])
    errors_s = []
    for change in (change for change in known if change.user <= 6):
        found = refine(signal[change.recording], change.pair, int(change.boundary_ns[0]), settings)
        errors_s.append(change.errors_s(found.onset_ns, found.offset_ns))
    assert len(errors_s) > 60
    assert np.median(np.abs(errors_s), axis=0).max() < 0.5
