"""wban-dataset import delimited: other people's recordings, in their own ways."""

from __future__ import annotations

import io
import json
import tarfile
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.integration.command_line import Outcome, dataset
from tests.unit.small_sessions import content
from wban_dataset.recording import timebase
from wban_dataset.recording.session import Session

G = 9.80665
N = 200
MS = 1_000_000
PERIOD_MS = 20

COUNTS = np.stack([np.arange(N) % 50, -(np.arange(N) % 30), np.full(N, 256)], axis=1)
"""Of an accelerometer with 256 counts per g, (n, 3)."""


def text(
    counts: np.ndarray = COUNTS,
    stamps: np.ndarray | None = None,
    labels: list[str] | None = None,
    start: int = 0,
) -> str:
    """Give a table t,ax,ay,az,gx,gy,gz,activity in ms, g and deg/s."""
    stamps = start + np.arange(len(counts)) * PERIOD_MS if stamps is None else stamps
    labels = labels or ["walking"] * 120 + [""] * 30 + ["Sit down"] * (len(counts) - 150)
    rows = ["t,ax,ay,az,gx,gy,gz,activity"]
    for stamp, sample, label in zip(stamps, counts, labels, strict=True):
        accel = ",".join(repr(value / 256) for value in sample.tolist())
        gyro = ",".join(repr(value * 0.5) for value in sample.tolist())
        rows.append(f"{stamp},{accel},{gyro},{label}")
    return "\n".join(rows) + "\n"


ACCEL, GYRO = "accel=ax,ay,az:g", "gyro=gx,gy,gz:deg/s"
OPTIONS = (
    *("--path", "{subject}/{recording}.csv", "--time", "t", "--time-unit", "ms"),
    *("--stream", ACCEL, "--stream", GYRO, "--label", "activity"),
)


def write(folder: Path, **files: str) -> Path:
    """Write files, ``S1__a`` as ``S1/a.csv``."""
    for name, content_ in files.items():
        path = folder / (name.replace("__", "/") + ".csv")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content_, "utf-8")
    return folder


def imported(source: Path, out: Path, *options: object) -> Outcome:
    return dataset("import", "delimited", source, "--out", out, *options)


def only(out: Path) -> Session:
    """Open the only session that was made."""
    (folder,) = (path for path in out.iterdir() if path.is_dir())
    return Session.open(folder)


def test_a_recording_becomes_a_session_like_any_other(tmp_path: Path):
    source = write(tmp_path / "in", S1__walk=text(start=7_000))
    outcome = imported(source, tmp_path / "out", *OPTIONS, "--source", "mine")
    assert outcome.code == 0, outcome.err
    assert "1 session of 1 person" in outcome.out
    assert "400 samples, 2 labels" in outcome.out
    with Session.open(tmp_path / "out" / "mine_walk_S1") as session:
        assert (session.subject, session.start_utc, session.activity) == ("S1", "", "mixed")
        assert session.attributes["source"] == "mine"
        assert session.streams == ("accel", "gyro")
        accel = session.stream("accel")
        assert accel.monotonic_ns.tolist() == (np.arange(N) * PERIOD_MS * MS).tolist()
        np.testing.assert_allclose(accel.read(), COUNTS / 256 * G, atol=1e-9)
        np.testing.assert_array_equal(accel.read_counts(), COUNTS)
        gyro = session.stream("gyro")
        np.testing.assert_allclose(gyro.read(), np.deg2rad(COUNTS * 0.5), atol=1e-9)
        assert (gyro.units, gyro.sampling_rate_hz) == ("rad s-1", 50.0)
        assert [(s.start_ns, s.stop_ns, s.label, s.source) for s in session.labels] == [
            (0, 2400 * MS, "walking", "import"),
            (3000 * MS, 4000 * MS, "sit_down", "import"),
        ]
        assert session.verify().ok
        again = timebase.refit(session)
        assert again["accel"].tolist() == accel.monotonic_ns.tolist()
        assert tomllib.loads(session.configuration)["time_unit"] == "ms"


def test_importing_twice_gives_the_same_bytes_on_any_number_of_workers(tmp_path: Path):
    source = write(tmp_path / "in", S1__a=text(), S1__b=text(start=40), S2__a=text(-COUNTS))
    assert imported(source, tmp_path / "one", *OPTIONS).code == 0
    assert imported(source, tmp_path / "two", *OPTIONS, "--workers", "2").code == 0
    assert len(content(tmp_path / "one")) == 4
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_what_is_there_already_is_left_as_it_is(tmp_path: Path):
    source = write(tmp_path / "in", S1__a=text())
    imported(source, tmp_path / "out", *OPTIONS)
    before = content(tmp_path / "out")
    outcome = imported(source, tmp_path / "out", *OPTIONS)
    assert "1 of them there already" in outcome.out
    assert content(tmp_path / "out") == before
    write(tmp_path / "in", S1__a=text(-COUNTS))
    outcome = imported(source, tmp_path / "out", *OPTIONS)
    assert outcome.code == 1
    assert "it holds something else already" in outcome.error
    assert content(tmp_path / "out") == before


def test_a_format_file_says_what_options_say(tmp_path: Path):
    source = write(tmp_path / "in", S1__a=text())
    classes = ("--class", "walking=Walk", "--unlabelled", "Sit down")
    assert imported(source, tmp_path / "one", *OPTIONS, *classes).code == 0
    with only(tmp_path / "one") as session:
        assert [label.label for label in session.labels] == ["walk"]
    outcome = imported(source, tmp_path / "two", "--format", tmp_path / "one" / "import.toml")
    assert outcome.code == 0, outcome.err
    assert content(tmp_path / "one") == content(tmp_path / "two")
    changed = ("--format", tmp_path / "one" / "import.toml", "--source", "other")
    assert imported(source, tmp_path / "three", *changed).code == 0
    assert (tmp_path / "three" / "other_a_S1").is_dir()


def test_devices_worn_at_once_are_streams_of_one_session(tmp_path: Path):
    source = write(
        tmp_path / "in", S1__wrist_a=text(start=1000), S1__ankle_a=text(-COUNTS, start=1010)
    )
    options = ("--path", "{subject}/{placement}_{recording}.csv", *OPTIONS[2:])
    outcome = imported(source, tmp_path / "out", *options)
    assert outcome.code == 0, outcome.err
    assert "its labels are the session's" in outcome.err
    with only(tmp_path / "out") as session:
        assert session.streams == ("ankle_accel", "ankle_gyro", "wrist_accel", "wrist_gyro")
        assert session.stream("wrist_accel").placement == "wrist"
        assert session.stream("wrist_accel").monotonic_ns[0] == 0
        assert session.stream("ankle_accel").monotonic_ns[0] == 10 * MS
        assert session.verify().ok


def test_sensors_in_files_of_their_own(tmp_path: Path):
    rows = "\n".join(" ".join(str(value) for value in sample) for sample in COUNTS.tolist())
    source = write(tmp_path / "in", S1__accel_r1=rows, S1__gyro_r1=rows)
    outcome = imported(
        source, tmp_path / "out", "--path", "{subject}/{stream}_{recording}.csv", "--no-header",
        "--rate", 100, "--stream", "accel=1,2,3:mg", "--stream", "gyro=1,2,3:rad/s",
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    with only(tmp_path / "out") as session:
        assert session.streams == ("accel", "gyro")
        assert session.activity == "unlabelled"
        accel = session.stream("accel")
        assert accel.monotonic_ns[-1] == (N - 1) * 10 * MS
        np.testing.assert_allclose(accel.read(), COUNTS * G / 1000, atol=1e-9)


@pytest.mark.parametrize("kind", ["zip", "tar.xz", "csv.gz"])
def test_archives_and_compressed_files_give_the_same_sessions(tmp_path: Path, kind: str):
    import gzip

    source = write(tmp_path / "in", S1__a=text())
    assert imported(source, tmp_path / "one", *OPTIONS).code == 0
    packed = tmp_path / f"packed.{kind}"
    raw = (source / "S1" / "a.csv").read_bytes()
    if kind == "zip":
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("S1/a.csv", raw)
    elif kind == "tar.xz":
        with tarfile.open(packed, "w:xz") as archive:
            member = tarfile.TarInfo("S1/a.csv")
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    else:
        packed = tmp_path / "packed"
        (packed / "S1").mkdir(parents=True)
        (packed / "S1" / "a.csv.gz").write_bytes(gzip.compress(raw))
    assert imported(packed, tmp_path / "two", *OPTIONS).code == 0
    assert content(tmp_path / "one") == content(tmp_path / "two")


def test_stamps_that_count_from_1970_tell_the_date(tmp_path: Path):
    source = write(tmp_path / "in", S1__a=text(start=1_600_000_000_123))
    outcome = imported(source, tmp_path / "out", *OPTIONS, "--epoch", "unix")
    assert outcome.code == 0, outcome.err
    with only(tmp_path / "out") as session:
        assert session.path.parent.name == "20200913T122640Z_S1_mixed_a"
        assert session.start_utc == "2020-09-13T12:26:40.123000000Z"
        assert session.stream("accel").time[0] == 1_600_000_000_123 * MS
        assert session.stream("accel").monotonic_ns[0] == 0


def test_disorder_is_refused_and_told_where(tmp_path: Path):
    stamps = np.arange(N) * PERIOD_MS
    stamps[50], stamps[100] = stamps[49], stamps[98] - 5
    source = write(tmp_path / "in", S1__a=text(stamps=stamps))
    outcome = imported(source, tmp_path / "out", *OPTIONS)
    assert outcome.code == 1
    assert "S1/a.csv, row 52: its stamp is not later" in outcome.error
    assert "(1 stamps repeat, 1 run backwards)" in outcome.error
    assert content(tmp_path / "out") == {}


def test_disorder_is_sorted_where_that_is_asked_for_and_counted(tmp_path: Path):
    order = np.arange(N)
    order[[60, 61]] = order[[61, 60]]
    stamps = np.arange(N) * PERIOD_MS
    stamps[100] = stamps[99]
    labels = ["walking"] * N
    source = write(tmp_path / "in", S1__a=text(COUNTS[order], stamps[order], labels))
    outcome = imported(source, tmp_path / "out", *OPTIONS, "--stamps", "sort")
    assert outcome.code == 0, outcome.err
    assert "1 repeated stamps dropped" in outcome.err
    assert "1 backward steps sorted; the first at row 63" in outcome.err
    with only(tmp_path / "out") as session:
        accel = session.stream("accel")
        assert accel.n == N - 1
        np.testing.assert_array_equal(accel.read_counts(), np.delete(COUNTS, 100, axis=0))
        assert session.gaps["n_missing"].tolist() == [1, 1]  # of accel and gyro


def test_a_jump_of_the_stamps_is_a_gap_and_a_new_segment(tmp_path: Path):
    stamps = np.arange(N) * PERIOD_MS
    stamps[100:] += 200
    source = write(tmp_path / "in", S1__a=text(stamps=stamps, labels=["walking"] * N))
    outcome = imported(source, tmp_path / "out", *OPTIONS)
    assert outcome.code == 0, outcome.err
    assert "20 samples are missing in the source" in outcome.out
    with only(tmp_path / "out") as session:
        assert np.unique(session.stream("accel").segment, return_counts=True)[1].tolist() == [
            100,
            100,
        ]
        gaps = session.gaps
        assert gaps["stream"] == ["accel", "gyro"]
        assert gaps["start_ns"].tolist() == [100 * PERIOD_MS * MS] * 2
        assert gaps["stop_ns"].tolist() == [(100 * PERIOD_MS + 200) * MS] * 2
        assert gaps["n_missing"].tolist() == [10, 10]
        assert [(s.start_ns, s.stop_ns) for s in session.labels] == [
            (0, 2000 * MS),
            (2200 * MS, 4200 * MS),
        ]
        assert (
            timebase.refit(session)["gyro"].tolist() == session.stream("gyro").monotonic_ns.tolist()
        )


def test_jitter_is_kept_and_told(tmp_path: Path):
    stamps = np.arange(N) * PERIOD_MS + np.random.default_rng(5).integers(-4, 5, N)
    stamps -= stamps[0]
    source = write(tmp_path / "in", S1__a=text(stamps=stamps))
    outcome = imported(source, tmp_path / "out", *OPTIONS, "--rate", "50")
    assert outcome.code == 0, outcome.err
    assert "are more than 10 % off the period of 20.000 ms; the stamps are kept" in outcome.err
    with only(tmp_path / "out") as session:
        assert session.stream("accel").monotonic_ns.tolist() == (stamps * MS).tolist()


@pytest.mark.parametrize("value", ["nan", "inf", ""])
def test_values_that_are_not_there_are_refused_with_file_and_row(tmp_path: Path, value: str):
    lines = text().splitlines()
    fields = lines[41].split(",")
    fields[2] = value
    lines[41] = ",".join(fields)
    source = write(tmp_path / "in", S1__a="\n".join(lines))
    outcome = imported(source, tmp_path / "out", *OPTIONS)
    assert outcome.code == 1
    assert "S1/a.csv, row 42: stream accel has no finite number" in outcome.error
    assert content(tmp_path / "out") == {}
    outcome = imported(source, tmp_path / "out", *OPTIONS, "--missing", "gap")
    assert outcome.code == 0, outcome.err
    assert "1 rows of accel without finite numbers became gaps; the first is row 42" in outcome.err
    with only(tmp_path / "out") as session:
        assert (session.stream("accel").n, session.stream("gyro").n) == (N - 1, N)
        assert session.gaps["stream"] == ["accel"]


SPANS = "exp,who,from,to,act\n1,1,1,50,3\n1,1,51,100,4\n2,1,1,200,3\n"


@pytest.mark.parametrize(
    ("options", "spans"),
    [
        (("--label-first", 1, "--label-stop", "included"), [(0, 1000), (1000, 2000)]),
        (("--label-first", 0, "--label-stop", "excluded"), [(20, 1000), (1020, 2000)]),
        (("--label-counts", "ms", "--label-stop", "excluded"), [(1, 50), (51, 100)]),
    ],
)
def test_a_file_of_spans_counts_as_it_is_said_to(
    tmp_path: Path, options: tuple[object, ...], spans: list[tuple[int, int]]
):
    source = write(tmp_path / "in", s01__01=text(), s01__02=text())
    (source / "spans.csv").write_text(SPANS, "utf-8")
    outcome = imported(
        source, tmp_path / "out", "--path", "s{subject}/{recording}.csv", *OPTIONS[2:-2],
        "--labels", "spans.csv", "--label-columns", "from,to,act,who,exp",
        "--class", "3=walking", "--class", "4=sitting", *options,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    with Session.open(tmp_path / "out" / "imported_01_01") as session:
        assert [(s.start_ns, s.stop_ns) for s in session.labels] == [
            (start * MS, stop * MS) for start, stop in spans
        ]
        assert [s.label for s in session.labels] == ["walking", "sitting"]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("1,1,100,300,3", "row 2: it goes from sample 100 to 300, expected samples of the 200"),
        ("1,1,50,20,3", "row 2: it goes from sample 50 to 20"),
        ("1,1,1,20,9", "row 2: the label '9' is none of the classes, expected one of 3, 4"),
        ("7,1,1,20,3", "row 2: it is about recording 7 of 1, expected one that the paths name"),
        ("1,1,x,20,3", "row 2: column from says 'x', expected a number"),
        ("1,1,1,20,3\n1,1,10,30,4", "begins before 'walking' ends at 0.400 s"),
    ],
)
def test_spans_that_cannot_be_are_told(tmp_path: Path, row: str, says: str):
    source = write(tmp_path / "in", s01__01=text())
    (source / "spans.csv").write_text(f"exp,who,from,to,act\n{row}\n", "utf-8")
    outcome = imported(
        source, tmp_path / "out", "--path", "s{subject}/{recording}.csv", *OPTIONS[2:-2],
        "--labels", "spans.csv", "--label-columns", "from,to,act,who,exp",
        "--class", "3=walking", "--class", "4=sitting",
    )  # fmt: skip
    assert outcome.code == 1
    assert says in outcome.error
    assert content(tmp_path / "out") == {}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "it has no streams"),
        (("--stream", ACCEL), "it has neither a time column nor a rate"),
        (("--stream", "accel=ax,ay:g", "--rate", 50), "has 2 signals, expected x, y and z"),
        (("--stream", "accel=ax,ay,az:lsb", "--rate", 50), "unit 'lsb': it is not known"),
        (("--stream", "clock=ax,ay,az:g", "--rate", 50), "a stream is named 'clock'"),
        (("--stream", ACCEL, "--rate", -1), "the rate is -1.0 Hz"),
        (("--stream", ACCEL, "--time", "time", *OPTIONS[:2]), "there is no column 'time'"),
        (("--stream", ACCEL, "--time", "t", "--time-unit", "h"), "unit of time 'h'"),
        (("--stream", ACCEL, "--rate", 50, "--path", "{x}.csv"), "the field {x} is unknown"),
        (("--stream", ACCEL, "--rate", 50, "--path", "{subject}.txt"), "no path in it fits"),
        (("--stream", ACCEL, "--rate", 50, "--path", "*/{recording}.csv"), "subject ''"),
        (("--stream", ACCEL, "--rate", 50, "--path", "{subject}/*.csv", "--recording", "r"),
         "makes the same streams"),
        (("--stream", ACCEL, "--time", "t", "--stamps", "guess"), "Invalid enum value 'guess'"),
    ],
)  # fmt: skip
def test_formats_that_make_no_sense_are_told(
    tmp_path: Path, options: tuple[object, ...], says: str
):
    source = write(tmp_path / "in", S1__a=text(), S1__b=text())
    outcome = imported(source, tmp_path / "out", *options)
    assert outcome.code == 1
    assert says in outcome.error
    assert not (tmp_path / "out").exists() or content(tmp_path / "out") == {}


def test_an_unknown_key_of_a_format_file_is_told(tmp_path: Path):
    (tmp_path / "f.toml").write_text("rate = 5\nstreams = []\n", "utf-8")
    outcome = imported(tmp_path, tmp_path / "out", "--format", tmp_path / "f.toml")
    assert "unknown field `rate`" in outcome.error


def test_json_tells_each_session_and_its_notes(tmp_path: Path):
    source = write(tmp_path / "in", S1__a=text(), S2__a=text())
    outcome = imported(source, tmp_path / "out", *OPTIONS, "--json")
    told = [json.loads(line) for line in outcome.out.splitlines()]
    assert [each["subject"] for each in told] == ["S1", "S2"]
    assert [each["n_samples"] for each in told] == [2 * N, 2 * N]
    assert told[0]["rounding"] == {}


def test_the_example_of_the_help_is_understood():
    outcome = dataset("import", "delimited", "--help")
    assert outcome.code == 0
    assert "--path '{subject}/{placement}_{recording}.csv' --time t --time-unit ms" in outcome.out
