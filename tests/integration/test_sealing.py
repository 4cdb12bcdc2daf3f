"""Journal to session.h5: nothing lost, nothing invented, the same bytes whenever it is killed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from tests.integration import session_journal as made
from wban_dataset.recording import container, content, sealing
from wban_dataset.recording.errors import SealingError, SessionError
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.sealing import seal, space_needed
from wban_dataset.recording.session import Session
from wban_dataset.recording.streams import Label, SessionEnd
from wban_dataset.recording.thermal import Calibration


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sealed_bytes(folder: Path) -> str:
    seal(folder)
    return digest(folder / "session.h5")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return made.write_journal(tmp_path / "session", made.whole_session())


# --- what goes in comes out --------------------------------------------------------------------


def test_every_sample_of_the_journal_is_in_the_file(folder):
    report = seal(folder)
    assert report.rows == {"accel": 400, "thermal": 32, "infrared": 20}
    assert report.clean
    assert not (folder / "journal").exists()
    with h5py.File(folder / "session.h5") as file:
        np.testing.assert_array_equal(file["accel/data"][:], made.accel_counts(400))
        np.testing.assert_array_equal(file["infrared/data"][7], made.picture(7))
        raw = np.stack([made.thermal_words(i) for i in range(32)])
        np.testing.assert_array_equal(file["thermal/raw"][:], raw)
        np.testing.assert_array_equal(file["thermal/subpage"][:4], [0, 1, 0, 1])
        np.testing.assert_array_equal(file["thermal/eeprom"][:], made.example()["eeprom"])
        assert file["accel/data"].attrs["scale_factor"] == 0.04
        assert file["accel"].attrs["placement"] == "wrist"
        np.testing.assert_array_equal(file["accel"].attrs["mounting"], np.eye(3))
        assert file["infrared"].attrs["thermal_to_infrared"].shape == (2, 3)
        assert file["configuration"].asstr()[()] == '[study]\nannotator = "Zoë"\n'
        assert file["clock"].attrs["boottime_offset_ns"] == 17
        assert file["marks/text"].asstr()[0] == "dropped the fork — twice"
        assert file["health/cpu_temp_c"][0] == 48.5


def test_temperatures_are_those_of_the_words_to_half_a_hundredth(folder):
    seal(folder)
    raw = np.stack([made.thermal_words(i) for i in range(32)])
    expected = Calibration.from_eeprom(made.example()["eeprom"]).temperatures(raw)
    with Session.open(folder) as session:
        found = session.stream("thermal").read()
    np.testing.assert_allclose(found, expected, atol=0.0051)
    np.testing.assert_array_equal(np.isnan(found[0]), np.isnan(expected[0]))
    assert np.isnan(found[0]).sum() == 384  # the other half was not seen yet


def test_the_sensor_is_warm_four_minutes_after_power_up(folder):
    seal(folder)  # it was powered 239 s before the session
    with h5py.File(folder / "session.h5") as file:
        warm = file["thermal/warmed_up"][:]
        stamps = file["thermal/monotonic_ns"][:]
    np.testing.assert_array_equal(warm, stamps >= made.START_NS + made.SECOND_NS)
    assert 0 < warm.sum() < 32


def test_stamps_are_the_instants_of_the_hand_made_chip(folder):
    seal(folder)
    with h5py.File(folder / "session.h5") as file:
        truth = made.START_NS + np.arange(400) * made.ACCEL_PERIOD_NS
        error = np.abs(file["accel/monotonic_ns"][:] - truth)
        assert np.all(error <= 3 * file["accel/time_unc_ns"][:])
        # middle row: 480 rows of 20 us over 2; middle of 8 ms of exposure, which ends at the stamp
        frames = made.START_NS + np.arange(20) * made.FRAME_PERIOD_NS + 4_800_000 - 4_000_000
        np.testing.assert_array_equal(file["infrared/monotonic_ns"][:], frames)
        utc = file["infrared/time"][:] - file["infrared/monotonic_ns"][:]
        np.testing.assert_array_equal(utc, made.UTC_NS)


def test_the_running_label_ends_with_the_session(folder):
    seal(folder)
    with Session.open(folder) as session:
        (label,) = session.labels
    assert label == Label(
        made.START_NS,
        made.START_NS + 4 * made.SECOND_NS,
        "eating",
        "Zoë",
        uncertainty_ns=made.SECOND_NS,
    )


def test_start_utc_is_empty_without_a_synchronised_clock(tmp_path):
    items = made.whole_session()
    items = [
        dataclasses.replace(item, synchronised=False)
        if isinstance(item, made.ClockAnchor)
        else item
        for item in items
    ]
    folder = made.write_journal(tmp_path / "s", items)
    seal(folder)
    with h5py.File(folder / "session.h5") as file:
        assert file.attrs["start_utc"] == ""
        assert not file.attrs["clock_synchronised"]


def test_a_session_without_a_sample_seals(tmp_path):
    folder = made.write_journal(tmp_path / "s", [made.HEADER, SessionEnd(made.START_NS, "", {})])
    report = seal(folder)
    assert report.rows == {}
    assert report.clean
    with h5py.File(folder / "session.h5") as file:
        for name in ("accel", "thermal", "infrared", "aligned", "labels", "gaps", "health"):
            assert name in file
        assert "gyro" not in file
        assert file["accel/data"].shape == (0, 3)
    with Session.open(folder) as session:
        assert session.streams == ()
        assert session.verify().ok
        assert len(session.aligned().times_ns) == 0


def test_declared_streams_without_a_sample_have_empty_groups(tmp_path):
    items = [made.HEADER, made.accel_spec("ankle_accel"), made.thermal_spec()]
    folder = made.write_journal(tmp_path / "s", items)
    seal(folder)
    with Session.open(folder) as session:
        assert session.streams == ("ankle_accel", "thermal")
        assert session.stream("ankle_accel").read().shape == (0, 3)
        assert session.stream("thermal").read().shape == (0, 24, 32)
        assert session.verify().problems == ()


# --- again, beside others, and in trouble --------------------------------------------------------


def test_sealing_a_sealed_session_says_so_and_changes_nothing(folder):
    before = sealed_bytes(folder)
    report = seal(folder)
    assert report.was_sealed
    assert report.rows == {"accel": 400, "thermal": 32, "infrared": 20}
    assert digest(folder / "session.h5") == before


def test_a_journal_left_beside_its_file_is_removed_once_the_file_is_verified(tmp_path, folder):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    seal(folder)
    shutil.move(copy / "journal", folder / "journal")
    (sorted((folder / "journal").iterdir())[0]).unlink()  # removal had begun
    assert seal(folder).was_sealed
    assert not (folder / "journal").exists()


def test_the_journal_of_another_session_is_not_removed(tmp_path, folder):
    seal(folder)
    other = made.write_journal(tmp_path / "other", made.whole_session(seconds=1))
    shutil.move(other / "journal", folder / "journal")
    with pytest.raises(SealingError, match="was not made from it"):
        seal(folder)
    assert list((folder / "journal").iterdir())


def test_the_journal_stays_if_the_file_beside_it_is_damaged(tmp_path, folder):
    copy = Path(shutil.copytree(folder, tmp_path / "copy"))
    seal(folder)
    shutil.move(copy / "journal", folder / "journal")
    os.truncate(folder / "session.h5", 5000)
    with pytest.raises(SessionError, match="truncated"):
        seal(folder)
    assert list((folder / "journal").iterdir())


def test_what_is_read_back_is_compared_with_the_journal(folder, monkeypatch):
    def flip_a_bit(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            file["accel/data"][17, 1] += 1

    monkeypatch.setattr(sealing, "_sync_and_forget", flip_a_bit)
    with pytest.raises(SealingError, match=r"accel/data has other values"):
        seal(folder)
    assert list((folder / "journal").iterdir())
    assert not (folder / "session.h5").exists()


def test_a_full_disk_is_named_and_the_journal_kept(folder, monkeypatch):
    def full(*_args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(container.RowWriter, "_write", full)
    with pytest.raises(SealingError, match="No space left on device"):
        seal(folder)
    monkeypatch.undo()
    assert not (folder / "session.h5.part").exists()
    assert seal(folder).clean


def test_a_folder_that_someone_works_on_is_refused(folder):
    with locked(folder), pytest.raises(SealingError, match="another process"):
        seal(folder)


def test_a_journal_that_still_grows_is_refused(folder, monkeypatch):
    (last,) = sorted((folder / "journal").iterdir())[-1:]

    def and_grow(*args: Any) -> None:
        with last.open("ab") as file:
            file.write(b"more")

    monkeypatch.setattr(sealing.SessionWriter, "_write_tables", and_grow)
    with pytest.raises(SealingError, match="grew while it was sealed"):
        seal(folder)
    assert not (folder / "session.h5").exists()


def test_a_folder_without_anything_is_named(tmp_path):
    with pytest.raises(SealingError, match="neither a journal nor session"):
        seal(tmp_path)
    with pytest.raises(SealingError, match="no such file"):
        seal(tmp_path / "nowhere")


def test_space_set_aside_is_given_back_first(folder):
    (folder / ".reserved").write_bytes(bytes(1000))
    seal(folder)
    assert not (folder / ".reserved").exists()


def test_space_needed_is_an_upper_bound(folder):
    needed = space_needed(folder)
    seal(folder)
    assert (folder / "session.h5").stat().st_size <= needed


def test_progress_ends_at_the_total(folder):
    seen: list[tuple[int, int]] = []
    seal(folder, progress=lambda done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1][0] == seen[-1][1]


def test_the_command_tells_clean_from_lossy_from_failed(tmp_path, folder, capsys):
    assert sealing.main([str(folder)]) == 0
    assert json.loads(capsys.readouterr().out)["clean"]
    items = [item for item in made.whole_session(1) if not isinstance(item, SessionEnd)]
    assert sealing.main([str(made.write_journal(tmp_path / "cut", items))]) == 3
    capsys.readouterr()
    assert sealing.main([str(tmp_path / "nothing")]) == 1
    assert capsys.readouterr().err.count("\n") == 1


# --- other tools ---------------------------------------------------------------------------------


def every_group(path: Path) -> list[str]:
    groups = ["/"]
    with h5py.File(path) as file:
        file.visititems(lambda n, i: groups.append(n) if isinstance(i, h5py.Group) else None)
    return groups


def test_every_axis_of_every_dataset_has_a_dimension_scale(folder):
    seal(folder)
    with h5py.File(folder / "session.h5") as file:
        for path in content.dataset_paths(file):
            dataset = file[path]
            if not dataset.is_scale:
                assert all(len(dataset.dims[axis]) == 1 for axis in range(dataset.ndim)), path


def test_every_group_opens_in_xarray_with_named_dimensions_and_exact_times(folder):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    seal(folder)
    path = folder / "session.h5"
    groups = every_group(path)
    assert {"accel", "accel/reads", "thermal", "infrared/reads", "aligned", "labels"} <= {*groups}
    for group in groups:
        with xarray.open_dataset(path, group=group, engine="h5netcdf") as dataset:
            dataset.load()
            assert not any(str(name).startswith("phony") for name in dataset.dims), group
    with xarray.open_dataset(path, group="accel", engine="h5netcdf") as accel:
        assert accel["data"].dims == ("time", "channel")
        assert accel["time"].dtype == np.dtype("datetime64[ns]")
        with h5py.File(path) as file:
            stored = file["accel/time"][:]
        np.testing.assert_array_equal(accel["time"].values.astype(np.int64), stored)
        np.testing.assert_allclose(accel["data"].values[5], [0.2, -0.2, 4.0])
        assert accel["monotonic_ns"].dtype == np.int64
    with xarray.open_dataset(path, group="thermal", engine="h5netcdf") as thermal:
        assert thermal["data"].dims == ("time", "row", "column")
        assert np.isnan(thermal["data"].values[0]).sum() == 384
        assert thermal["warmed_up"].dtype == bool


def test_the_empty_groups_open_in_xarray_too(tmp_path):
    xarray = pytest.importorskip("xarray")
    pytest.importorskip("h5netcdf")
    folder = made.write_journal(tmp_path / "s", [made.HEADER])
    seal(folder)
    for group in every_group(folder / "session.h5"):
        with xarray.open_dataset(folder / "session.h5", group=group, engine="h5netcdf") as dataset:
            dataset.load()


def test_filters_and_the_oldest_format_are_used(folder):
    seal(folder)
    assert (folder / "session.h5").read_bytes()[8] == 0  # superblock of HDF5 1.0
    with h5py.File(folder / "session.h5") as file:
        data = file["accel/data"]
        assert (data.compression, data.compression_opts) == ("gzip", 1)
        assert data.shuffle
        assert data.fletcher32
        assert file["accel"].attrs["NX_class"] == "NXdata"
        assert list(file["accel"].attrs["axes"]) == ["time", "channel"]
        assert file.attrs["default"] == "accel"
