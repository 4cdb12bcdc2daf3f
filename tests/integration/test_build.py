"""From sessions to a dataset: what stands in it, and that nothing but the sessions matters."""

from __future__ import annotations

import csv
import json
import warnings
from pathlib import Path

import h5py
import numpy as np
import pytest

from tests.integration.motion_sessions import START_NS, motion_session, picture, study, walk
from tests.unit.small_sessions import content, session_id
from wban_dataset import build, load_dataset
from wban_dataset.dataset.building import BuildReport
from wban_dataset.errors import DatasetError, LeakError
from wban_dataset.transitions.file import read_transitions


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study(tmp_path_factory.mktemp("sessions"), 3, frames=True)


@pytest.fixture(scope="module")
def built(sessions: Path, tmp_path_factory: pytest.TempPathFactory) -> BuildReport:
    return build(sessions, tmp_path_factory.mktemp("built") / "dataset")


def test_each_sample_stands_in_the_dataset_once_in_physical_units(built):
    with load_dataset(built.out) as dataset:
        accel = dataset.stream("accel")
        assert accel.n_rows == 3 * 1200
        assert accel.offset.tolist() == [0, 1200, 2400, 3600]
        for number in range(3):
            rows = accel.rows(*accel.offset[number : number + 2])
            assert rows.dtype == np.float32
            np.testing.assert_allclose(rows, walk(number + 1, 12) * 0.04, rtol=1e-6)
        stamps = accel.monotonic_ns(0, 1200)
        late_ns = stamps - START_NS + 5_000_000  # the chip's delay
        np.testing.assert_allclose(late_ns, np.arange(1200) * 10_000_000, atol=400_000)


def test_windows_are_cut_labelled_and_numbered_through(built):
    with load_dataset(built.out) as dataset:
        windows = dataset.windows
        # 12 s in windows of 1 s every 0.4 s: the 28th begins at 10.8 s and just fits
        assert np.bincount(windows.session).tolist() == [28, 28, 28]
        assert set((windows.stop_ns - windows.start_ns).tolist()) == {10**9}
        assert dataset.classes == ("sitting", "walking")
        assert windows.label[:28].tolist() == [0] * 14 + [1] * 14
        assert windows.next_label[0] == 1
        assert windows.previous_label[27] == 0
        assert set(windows.last_row["accel"] - windows.first_row["accel"]) <= {100, 101}
        assert windows.first_row["accel"][28] == 1200
        starts = dataset.stream("accel").monotonic_ns(0, 3600)[windows.first_row["accel"]]
        assert (np.abs(starts - windows.start_ns) <= 10_000_000).all()


def test_sessions_are_in_the_order_of_subject_time_and_id(built):
    with load_dataset(built.out) as dataset:
        assert [info.subject for info in dataset.sessions] == ["S01", "S02", "S03"]
        assert dataset.sessions[1].session_id == session_id(2)
        assert dataset.sessions[0].source == "simulated"
        assert len(dataset.sessions[0].content_sha256) == 64


def test_pictures_have_the_size_that_is_asked_for_and_equal_ones_share_a_row(sessions, tmp_path):
    report = build(sessions, tmp_path / "dataset", infrared_size=(3, 4))
    with load_dataset(report.out) as dataset:
        infrared = dataset.stream("infrared")
        assert infrared.offset.tolist() == [0, 30, 60, 90]  # of 60 pictures, each taken twice
        for row, picture_number in ((0, 0), (7, 14), (29, 58)):
            blocks = picture(1, picture_number).astype(int).reshape(3, 2, 4, 2)
            expected = (blocks.sum(axis=(1, 3)) + 2) // 4
            np.testing.assert_array_equal(infrared.rows(row, row + 1)[0], expected)
        frame = dataset.windows.frame["infrared"]
        assert (frame >= 0).all()
        # The picture nearest to the window's centre; a row's stamp is that of the first of two.
        stamps = infrared.monotonic_ns(0, infrared.n_rows)[frame]
        late_ns = dataset.windows.start_ns + 500_000_000 - stamps
        assert ((late_ns >= -110_000_000) & (late_ns <= 310_000_000)).all()


def test_folds_leave_one_subject_out_and_validate_on_another(built):
    with load_dataset(built.out) as dataset:
        assert [fold.name for fold in dataset.folds] == ["S01", "S02", "S03"]
        splits = json.loads((built.out / "splits.json").read_text(encoding="utf-8"))
        assert splits["leaky"] is False
        for fold, described in zip(dataset.folds, splits["folds"], strict=True):
            assert described["test"] == {"subjects": [fold.name]}
            assert set(dataset.subject[fold.role == 3]) == {fold.name}
            assert not set(dataset.subject[fold.role == 1]) & set(dataset.subject[fold.role != 1])


def test_bytes_depend_on_sessions_and_options_alone(sessions, built, tmp_path):
    again = build(sessions, tmp_path / "again", workers=2)
    singly = build([sessions / "S03_3", sessions / "S01_1", sessions / "S02_2"], tmp_path / "one")
    assert content(again.out) == content(built.out) == content(singly.out)
    assert not list(tmp_path.glob(".*"))


def test_nothing_in_the_dataset_tells_where_it_was_made(built, sessions):
    for name, text in content(built.out).items():
        assert str(sessions.parent).encode() not in text, name
        assert str(built.out.parent).encode() not in text, name


def test_manifest_names_inputs_and_outputs(built):
    manifest = json.loads((built.out / "manifest.json").read_text(encoding="utf-8"))
    assert [row["session_id"] for row in manifest["sessions"]] == [session_id(i) for i in (1, 2, 3)]
    assert manifest["configuration"]["window"] == "1s"
    assert manifest["configuration"]["seed"] == 0
    assert set(manifest["outputs_sha256"]) >= {"dataset.h5", "splits.json", "README.md"}
    assert manifest["versions"]["h5py_version"] == h5py.version.version


def test_adding_a_session_computes_that_one_only(sessions, tmp_path):
    for name in ("S01_1", "S02_2", "S03_3"):
        (tmp_path / "sessions" / name).mkdir(parents=True)
        (tmp_path / "sessions" / name / "session.h5").symlink_to(sessions / name / "session.h5")
    first = build(tmp_path / "sessions", tmp_path / "dataset")
    motion_session(tmp_path / "sessions", "S00", 9)
    more = build(tmp_path / "sessions", tmp_path / "dataset")
    whole = build(tmp_path / "sessions", tmp_path / "whole")
    assert (first.n_reused, more.n_reused, whole.n_reused) == (0, 3, 0)
    assert content(more.out) == content(whole.out)


def test_other_windows_take_the_rows_that_are_there(sessions, tmp_path):
    out = tmp_path / "dataset"
    build(sessions, out)
    longer = build(sessions, out, window="2s", overlap=0.5)
    assert longer.n_reused == 3
    assert content(out) == content(
        build(sessions, tmp_path / "fresh", window="2s", overlap=0.5).out
    )


def test_a_damaged_dataset_is_not_taken_from(sessions, tmp_path):
    out = tmp_path / "dataset"
    before = content(build(sessions, out).out)
    data = bytearray((out / "dataset.h5").read_bytes())
    data[len(data) // 2] ^= 1
    (out / "dataset.h5").write_bytes(data)
    assert build(sessions, out).n_reused == 0
    assert content(out) == before


def test_windows_without_a_label_are_kept_where_asked_for_and_used_by_no_fold(tmp_path):
    study(tmp_path / "s", 3, labels=[("sitting", 0.0, 0.25), ("walking", 0.5, 1.0)])
    bare = build(tmp_path / "s", tmp_path / "bare")
    whole = build(tmp_path / "s", tmp_path / "whole", unlabelled=True)
    with load_dataset(bare.out) as dataset:
        assert dataset.windows.is_labelled.all()
    with load_dataset(whole.out) as dataset:
        assert len(dataset.windows) == 3 * 28
        unlabelled = ~dataset.windows.is_labelled
        assert unlabelled.sum() > 0
        assert all((fold.role[unlabelled] == 0).all() for fold in dataset.folds)


def test_random_windows_are_built_and_marked_leaky_everywhere(sessions, tmp_path):
    report = build(sessions, tmp_path / "dataset", protocol="random", folds=3)
    assert report.leaky
    assert report.leaks["shared subject"] > 0
    with load_dataset(report.out) as dataset:
        assert dataset.leaky
        assert not dataset.attributes["independent"]
    for name in ("splits.json", "manifest.json"):
        assert json.loads((report.out / name).read_text(encoding="utf-8"))["leaky"] is True
    assert "Leaky" in (report.out / "README.md").read_text(encoding="utf-8")
    assert "LEAKY" in (report.out / "croissant.json").read_text(encoding="utf-8")


def test_a_copied_recording_fails_the_build_and_leaves_nothing(tmp_path):
    study(tmp_path / "s", 3)
    motion_session(tmp_path / "s", "S04", 4, seed=2)  # what S02 did
    with pytest.raises(LeakError) as caught:
        build(tmp_path / "s", tmp_path / "dataset")
    assert "near-duplicate" in str(caught.value)
    assert session_id(2) in str(caught.value) or session_id(4) in str(caught.value)
    assert {path.name for path in tmp_path.iterdir()} == {"s"}


def test_a_failed_build_leaves_the_dataset_before_as_it_was(sessions, tmp_path):
    before = content(build(sessions, tmp_path / "dataset").out)
    motion_session(tmp_path / "copy", "S04", 4, seed=2)
    with pytest.raises(LeakError):
        build([sessions, tmp_path / "copy"], tmp_path / "dataset")
    assert content(tmp_path / "dataset") == before
    assert {path.name for path in tmp_path.iterdir()} == {"dataset", "copy"}


def test_motion_of_other_rates_is_resampled_where_asked_for(tmp_path):
    study(tmp_path / "s", 2)
    motion_session(tmp_path / "s", "S03", 3, sampling_rate_hz=50.0)
    with pytest.raises(DatasetError) as caught:
        build(tmp_path / "s", tmp_path / "dataset")
    assert "S03_3: stream accel was recorded at 50 Hz, expected 100 Hz" in str(caught.value)
    assert "--rate" in str(caught.value)
    report = build(tmp_path / "s", tmp_path / "dataset", rate=50.0)
    with load_dataset(report.out) as dataset:
        accel = dataset.stream("accel")
        assert accel.sampling_rate_hz == 50.0
        assert np.diff(accel.offset).tolist() == pytest.approx([600, 600, 600], abs=2)
        assert dataset.arrays().data["accel"].shape[1:] == (50, 3)


def test_chips_of_other_ranges_go_together_since_values_are_physical(tmp_path):
    study(tmp_path / "s", 2)
    motion_session(tmp_path / "s", "S03", 3, scale_factor=0.08)
    with load_dataset(build(tmp_path / "s", tmp_path / "dataset").out) as dataset:
        accel = dataset.stream("accel")
        rows = accel.rows(*accel.offset[2:4])
        np.testing.assert_allclose(rows, walk(3, 12) * 0.08, rtol=1e-6)


def test_a_stream_that_a_session_has_not_is_masked(sessions, tmp_path):
    motion_session(tmp_path / "s", "S09", 9)
    with load_dataset(build([sessions, tmp_path / "s"], tmp_path / "dataset").out) as dataset:
        own = dataset.windows.session == 3
        assert not dataset.windows.present["infrared"][own].any()
        assert (dataset.windows.frame["infrared"][own] == -1).all()
        assert dataset.windows.present["infrared"][~own].all()
        assert dataset.stream("infrared").devices[3] == ""


def test_the_card_counts_by_class_subject_and_fold_and_says_what_may_be_done(sessions, tmp_path):
    place = tmp_path / "study"
    place.mkdir()
    (place / "s").symlink_to(sessions)
    with (place / "subjects.csv").open("w", newline="") as file:
        csv.writer(file).writerows(
            [("subject", "licence", "consent"), ("S01", "CC-BY-4.0", "research"), ("S02", "", "")]
        )
    folders = [place / "s" / name for name in ("S01_1", "S02_2", "S03_3")]
    copied = [place / folder.name for folder in folders]
    for folder, copy in zip(folders, copied, strict=True):
        copy.mkdir()
        (copy / "session.h5").write_bytes((folder / "session.h5").read_bytes())
    (place / "s").unlink()
    report = build(place, tmp_path / "dataset", name="My study", citation="Me, 2026")
    card = (report.out / "README.md").read_text(encoding="utf-8")
    assert card.startswith("# My study\n")
    assert "| 0 | sitting | 42 | 50.0 |" in card
    assert "| S01 | 1 | 0.2 | 14 | 14 | CC-BY-4.0 | research |" in card
    assert "| S03 | 28 | 28 | 28 | 0 |" in card or "| S03 | 28 | 0 | 28 |" in card
    assert "Me, 2026" in card
    with load_dataset(report.out) as dataset:
        assert [info.licence for info in dataset.sessions] == ["CC-BY-4.0", "", ""]


def test_mlcroissant_validates_the_description(built):
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of a package that it uses
        described = mlcroissant.Dataset(jsonld=built.out / "croissant.json")
    assert not described.metadata.ctx.issues.errors
    assert {file.name for file in described.metadata.file_objects} >= {"dataset.h5", "splits.json"}
    records = list(described.records("classes"))
    assert [record["classes/name"] for record in records] == ["sitting", "walking"]


def test_changes_of_activity_stand_in_a_table_with_their_profiles(built):
    found = read_transitions(built.out / "transitions.h5")
    assert found.classes == ("sitting", "walking")
    assert found.table.session.tolist() == [0, 1, 2]
    assert found.subject == ("S01", "S02", "S03")
    assert set(found.table.from_label.tolist()) == {0}
    assert set(found.table.to_label.tolist()) == {1}
    assert (found.table.boundary_ns == START_NS + 6 * 10**9).all()
    (profile,) = found.profiles
    assert profile.n_transitions == 3
    assert profile.n.max() == 3
