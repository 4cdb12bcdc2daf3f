"""Recorded motion as a world."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest

from wban_collect.simulation.hapt import read_recording
from wban_collect.simulation.replay import ReplayWorld
from wban_collect.simulation.world import ActivitySpan

ROOT = Path(__file__).parents[2]
SHIPPED = ROOT / "tests" / "data" / "hapt"
WHOLE = ROOT / "../shared/data/hapt"

ACC = "1 0 0\n0.5 0.25 -1\n0 0 1\n"
GYRO = "0 0 0\n0.1 0.2 0.3\n0 0 -0.4\n"
NAMES = "1 WALKING           \n7 STAND_TO_SIT      \n"
START_NS = 9_007_199_254_740_993  # 2**53 + 1: no float64 holds it


@pytest.fixture
def folder(tmp_path):
    """Two recordings of three samples each."""
    raw = tmp_path / "RawData"
    raw.mkdir()
    for name in ("exp01_user01", "exp07_user04"):
        (raw / f"acc_{name}.txt").write_text(ACC)
        (raw / f"gyro_{name}.txt").write_text(GYRO)
    (tmp_path / "labels.txt").write_text("1 1 1 1 3\n7 4 7 1 1\n7 4 1 2 3\n")
    (tmp_path / "activity_labels.txt").write_text(NAMES)
    return tmp_path


def archived(folder: Path, members: list[tuple[str, str]]) -> Path:
    """Replace RawData by an archive with these members."""
    for file in (folder / "RawData").iterdir():
        file.unlink()
    (folder / "RawData").rmdir()
    with tarfile.open(folder / "RawData.tar.xz", "w:xz") as archive:
        for name, text in members:
            info = tarfile.TarInfo(name)
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text.encode()))
    return folder


def line_world(**changes) -> ReplayWorld:
    """Four samples at 10 Hz that rise by 1 on x."""
    accel = np.array([[0.0, 5.0, 0.0], [1.0, 5.0, 0.0], [2.0, 5.0, 0.0], [3.0, 5.0, 8.0]])
    given = {"gyro": accel / 10, "spans": [(0, 2, "eating")], "source": "S01", **changes}
    return ReplayWorld.from_arrays(accel, sampling_rate_hz=10.0, **given)


def test_the_first_recording_in_si_units(folder):
    world = ReplayWorld.open(folder)
    world.begin(START_NS)
    times_ns = START_NS + np.array([0, 20_000_000, 40_000_000], dtype=np.int64)
    g = 9.80665
    expected = [[g, 0, 0], [0.5 * g, 0.25 * g, -g], [0, 0, g]]
    np.testing.assert_array_equal(world.acceleration(times_ns), expected)
    np.testing.assert_array_equal(
        world.angular_rate(times_ns), [[0, 0, 0], [0.1, 0.2, 0.3], [0, 0, -0.4]]
    )
    assert (world.recording, world.subject) == ("exp01", "user01")
    assert world.source == "HAPT exp01 user01"
    assert world.modalities == ("accel", "gyro")
    assert (world.sampling_rate_hz, len(world)) == (50.0, 3)
    assert world.duration_s == pytest.approx(0.06)


def test_labels_are_half_open_spans_on_the_worlds_clock(folder):
    world = ReplayWorld.open(folder, "exp07")
    assert world.spans() == []
    world.begin(1000)
    assert world.spans() == [
        ActivitySpan(1000, 20_001_000, "stand_to_sit"),
        ActivitySpan(20_001_000, 60_001_000, "walking"),
    ]
    assert world.subject == "user04"


def test_archived_and_unpacked_are_the_same(folder):
    unpacked = read_recording(folder, "exp07")
    members = [
        (f"RawData/{kind}_exp{name}.txt", text)
        for kind, text in (("acc", ACC), ("gyro", GYRO))
        for name in ("01_user01", "07_user04")
    ]
    packed = read_recording(archived(folder, members), "exp07")
    np.testing.assert_array_equal(packed.accel, unpacked.accel)
    np.testing.assert_array_equal(packed.gyro, unpacked.gyro)
    assert packed.spans == unpacked.spans
    assert read_recording(folder).recording == "exp01"


def test_members_outside_raw_data_are_never_read(folder):
    evil = "9 9 9\n9 9 9\n"
    members = [
        ("../RawData/acc_exp01_user01.txt", evil),
        ("/RawData/acc_exp01_user01.txt", evil),
        ("RawData/../acc_exp01_user01.txt", evil),
        ("RawData/acc_exp01_user01.txt", ACC),
        ("RawData/gyro_exp01_user01.txt", GYRO),
    ]
    found = read_recording(archived(folder, members))
    assert found.accel[0].tolist() == [9.80665, 0.0, 0.0]
    assert sorted(file.name for file in folder.iterdir()) == [
        "RawData.tar.xz",
        "activity_labels.txt",
        "labels.txt",
    ]


def test_a_link_in_the_archive_is_not_followed(folder):
    archived(folder, [])
    with tarfile.open(folder / "RawData.tar.xz", "w:xz") as archive:
        link = tarfile.TarInfo("RawData/acc_exp01_user01.txt")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(ValueError, match="no recording 'exp01'; it has none"):
        read_recording(folder)


def test_a_link_in_the_folder_is_not_followed(folder):
    file = folder / "RawData" / "acc_exp01_user01.txt"
    file.unlink()
    file.symlink_to(folder / "labels.txt")
    assert read_recording(folder).recording == "exp07"


def test_between_samples_the_value_is_on_the_line():
    world = line_world()
    world.begin(START_NS)
    times_ns = START_NS + np.array([50_000_000, 125_000_000, 290_000_000], dtype=np.int64)
    np.testing.assert_allclose(
        world.acceleration(times_ns), [[0.5, 5, 0], [1.25, 5, 0], [2.9, 5, 7.2]], rtol=1e-12
    )
    np.testing.assert_allclose(world.angular_rate(times_ns)[:, 0], [0.05, 0.125, 0.29])


def test_outside_the_source_the_nearest_value_holds_and_the_end_is_known():
    world = line_world()
    assert world.end_ns is None
    world.begin(2_000_000_000)
    world.begin(7)  # the first caller has decided
    assert world.end_ns == 2_400_000_000
    times_ns = np.array([0, 1_999_999_999, 2_300_000_000, 2_400_000_000, 10**15], dtype=np.int64)
    assert world.acceleration(times_ns)[:, 0].tolist() == [0.0, 0.0, 3.0, 3.0, 3.0]


def test_without_a_gyroscope_the_rate_is_zero():
    world = line_world(gyro=None)
    world.begin(0)
    assert world.modalities == ("accel",)
    assert world.angular_rate(np.array([0, 1], dtype=np.int64)).tolist() == [[0, 0, 0], [0, 0, 0]]


def test_pictures_are_refused_by_name():
    with pytest.raises(ValueError, match="S01 holds accel and gyro but no thermal picture"):
        line_world().temperature(0)
    with pytest.raises(ValueError, match="no infrared picture"):
        line_world().infrared(0, 120, 160)


def test_a_span_without_a_sample_is_left_out():
    world = line_world(spans=[(0, 0, "sitting"), (0, 2, "eating"), (4, 4, "standing")])
    world.begin(0)
    assert world.spans() == [ActivitySpan(0, 200_000_000, "eating")]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gyro": np.zeros((3, 3))}, "4 samples of acceleration and 3 of angular rate"),
        ({"gyro": np.zeros((4, 2))}, r"angular rate has shape \(4, 2\); expected \(n, 3\)"),
        ({"gyro": np.full((4, 3), np.nan)}, "angular rate is not finite at sample 0"),
        ({"spans": [(0, 5, "eating")]}, "'eating' spans samples 0 to 5; expected spans within 0"),
        ({"spans": [(0, 2, "a"), (1, 3, "b")]}, "'b' spans samples 1 to 3"),
    ],
)
def test_unusable_arrays_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        line_world(**changes)


def test_an_unusable_rate_is_refused():
    with pytest.raises(ValueError, match="the sampling rate is 0 Hz; expected more than 0"):
        ReplayWorld.from_arrays(np.zeros((4, 3)), None, 0, [], "S01")


def test_an_unknown_recording_names_those_there_are(folder):
    with pytest.raises(ValueError, match=r"no recording 'exp08'; it has exp01, exp07\."):
        ReplayWorld.open(folder, "exp08")
    with pytest.raises(ValueError, match=r"Recording is '\.\./x'; expected a name like 'exp07'"):
        ReplayWorld.open(folder, "../x")
    with pytest.raises(ValueError, match="nowhere is not a folder"):
        ReplayWorld.open(folder / "nowhere")


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("RawData/acc_exp01_user01.txt", "1 2\n3 4\n", "2 lines of 2 columns"),
        ("RawData/acc_exp01_user01.txt", "1 2 3\n1 2\n", "expected three numbers in each line"),
        ("RawData/acc_exp01_user01.txt", "1 2 3\n1 nan 3\n0 0 0\n", "line 2: not a finite number"),
        ("RawData/acc_exp01_user01.txt", "1 2 3\n1 x 3\n", "expected three numbers"),
        ("RawData/acc_exp01_user01.txt", "", "acc_exp01_user01.txt is empty"),
        ("RawData/gyro_exp01_user01.txt", "1 2 3\n1 2 3\n", "3 samples of acceleration and 2 of"),
        ("labels.txt", "7 4 1 1 3\n", "no labels of exp01"),
        ("labels.txt", "1 1 1 0 3\n", "line 1: activity 1, samples 0 to 3"),
        ("labels.txt", "1 1 1 1 4\n", "samples within 1 to 3"),
        ("labels.txt", "1 1 9 1 3\n", "activity 9"),
        ("labels.txt", "1 1 1 1\n", "line 1 is '1 1 1 1'; expected five whole numbers"),
        ("activity_labels.txt", "WALKING\n", "expected a number and a name"),
    ],
)
def test_broken_files_are_refused_by_name(folder, file, text, message):
    (folder / file).write_text(text)
    with pytest.raises(ValueError, match=message):
        ReplayWorld.open(folder)


@pytest.mark.parametrize(
    "missing", ["labels.txt", "activity_labels.txt", "RawData/gyro_exp01_user01.txt"]
)
def test_missing_files_are_named(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(ValueError, match=f"{missing} is missing"):
        ReplayWorld.open(folder)


def test_a_folder_without_recordings_and_a_torn_archive_are_refused(folder, tmp_path_factory):
    with pytest.raises(ValueError, match=r"neither RawData nor RawData\.tar\.xz"):
        ReplayWorld.open(tmp_path_factory.mktemp("empty"))
    archived(folder, [("RawData/acc_exp01_user01.txt", ACC * 5000)])
    whole = (folder / "RawData.tar.xz").read_bytes()
    (folder / "RawData.tar.xz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="expected a whole tar archive"):
        ReplayWorld.open(folder)


def test_the_shipped_recording_is_real_motion():
    world = ReplayWorld.open(SHIPPED)
    assert (world.recording, world.subject, len(world)) == ("exp10", "user05", 15038)
    world.begin(0)
    spans = world.spans()
    assert len(spans) == 20
    assert {span.activity for span in spans} >= {"walking", "sitting", "laying", "lie_to_stand"}
    sitting = next(span for span in spans if span.activity == "sitting")
    felt = world.acceleration(np.arange(sitting.start_ns, sitting.stop_ns, 20_000_000))
    assert np.linalg.norm(felt, axis=1).mean() == pytest.approx(9.80665, rel=0.05)


@pytest.mark.skipif(not WHOLE.is_dir(), reason="the whole HAPT data set is not beside the project")
def test_the_whole_data_set_opens_and_holds_the_shipped_recording():
    shipped, whole = read_recording(SHIPPED), read_recording(WHOLE, "exp10")
    np.testing.assert_array_equal(shipped.accel, whole.accel)
    np.testing.assert_array_equal(shipped.gyro, whole.gyro)
    assert shipped.spans == whole.spans
    with pytest.raises(ValueError, match=r"no recording 'exp62'; it has exp01, .* \.\.\. exp61"):
        read_recording(WHOLE, "exp62")
