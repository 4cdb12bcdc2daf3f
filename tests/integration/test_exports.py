"""Exports: what is read back from each format is what the session says."""

from __future__ import annotations

import base64
import csv
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

from tests.integration.command_line import ROOT, dataset
from tests.integration.motion_sessions import study
from tests.integration.simulated_recording import record_unsealed
from tests.unit import small_sessions as small
from wban_dataset import build, load_dataset
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.session import Session

NS = 1_000_000_000
VALIDATOR = Path(sysconfig.get_path("scripts")) / "bids-validator-deno"


@pytest.fixture(scope="module")
def recordings(tmp_path_factory) -> Path:
    """Give a folder with one simulated session of ten seconds, and one made by hand."""
    out = tmp_path_factory.mktemp("recordings")
    seal(record_unsealed(out, "simulated", 10.0))
    small.sealed(out, "by hand", 7)
    (out / "subjects.csv").write_text(
        "subject,licence,consent,age\nS01,CC-BY-4.0,all,34\nS02,CC-BY-4.0,motion,\n"
    )
    return out


@pytest.fixture(scope="module")
def exported(recordings, tmp_path_factory):
    """Give the folder of each format."""
    out = tmp_path_factory.mktemp("exported")

    def export(to: str) -> Path:
        if not (out / to).exists():
            done = dataset("export", recordings, "--to", to, "-o", out / to)
            assert done.code == 0, done.err
        return out / to

    return export


def sessions_of(recordings: Path) -> list[str]:
    return [path.name for path in recordings.iterdir() if path.is_dir()]


def table(path: Path, delimiter: str = ",") -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def labels_as_text(session: Session) -> list[tuple[str, ...]]:
    columns = ("start_ns", "stop_ns", "label", "annotator", "source", "confidence")
    return [tuple(str(getattr(label, name)) for name in columns) for label in session.labels]


# --- CSV -----------------------------------------------------------------------------------------


def test_csv_gives_stamps_exactly_and_values_within_their_resolution(recordings, exported):
    for name in sessions_of(recordings):
        folder = exported("csv") / name
        with Session.open(recordings / name) as session:
            described = json.loads((folder / "session.json").read_text())
            for stream in map(session.stream, session.streams):
                facts = described["streams"][stream.name]
                assert facts["units"] == stream.units
                rows = np.genfromtxt(
                    folder / f"{stream.name}.csv", delimiter=",", names=True, dtype=None, ndmin=1
                )
                assert np.array_equal(rows["monotonic_ns"], stream.monotonic_ns)
                assert np.array_equal(rows["time_ns"], stream.time)
                assert np.array_equal(rows["segment"], stream.segment)
                if stream.kind == "infrared":
                    assert np.array_equal(np.load(folder / "infrared.npy"), stream.read())
                    continue
                values = np.stack([rows[column] for column in rows.dtype.names[4:]], axis=1)
                known = stream.read().reshape(stream.n, -1)
                assert np.allclose(values, known, atol=facts["resolution"] / 100, equal_nan=True)
            found = [tuple(row.values())[:6] for row in table(folder / "labels.csv")]
            assert found == labels_as_text(session)
            assert len(table(folder / "gaps.csv")) == len(session.gaps["start_ns"])
            assert [row["text"] for row in table(folder / "marks.csv")] == session.marks["text"]


# --- Parquet -------------------------------------------------------------------------------------


def test_parquet_gives_everything_exactly_with_units(recordings, exported):
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    for name in sessions_of(recordings):
        folder = exported("parquet") / name
        with Session.open(recordings / name) as session:
            for stream in map(session.stream, session.streams):
                found = parquet.read_table(folder / f"{stream.name}.parquet")
                assert np.array_equal(found["monotonic_ns"].to_numpy(), stream.monotonic_ns)
                assert np.array_equal(found["time"].to_numpy().astype(np.int64), stream.time)
                value = stream.channels[0] if stream.channels else "data"
                metadata = found.schema.field(value).metadata
                assert metadata[b"units"].decode() == stream.units
                if stream.channels:
                    columns = [found[channel].to_numpy() for channel in stream.channels]
                    values = np.stack(columns, axis=1)
                else:
                    flat = found["data"].combine_chunks().flatten().to_numpy()
                    values = flat.reshape(-1, *json.loads(metadata[b"shape"]))
                assert values.dtype == stream.read().dtype
                assert np.array_equal(values, stream.read(), equal_nan=stream.kind == "thermal")
                assert found.schema.metadata[b"session_id"].decode() == session.session_id
            labels = parquet.read_table(folder / "labels.parquet").to_pylist()
            assert [(row["start_ns"], row["label"]) for row in labels] == [
                (label.start_ns, label.label) for label in session.labels
            ]


# --- MCAP ----------------------------------------------------------------------------------------


def ns_of(instant: dict[str, int]) -> int:
    return instant["sec"] * NS + instant["nsec"]


def test_mcap_is_read_back_by_its_own_reader(recordings, exported):
    reader = pytest.importorskip("mcap.reader", reason="mcap is not installed")
    for name in sessions_of(recordings):
        path = exported("mcap") / name / "session.mcap"
        messages: dict[str, list[dict]] = {}
        units: dict[str, str] = {}
        with path.open("rb") as file:
            log_times: list[int] = []
            for schema, channel, message in reader.make_reader(
                file, validate_crcs=True
            ).iter_messages(log_time_order=False):
                content = json.loads(message.data)
                assert set(content) <= set(json.loads(schema.data)["properties"])
                assert ns_of(content["timestamp"]) == message.log_time
                log_times.append(message.log_time)
                messages.setdefault(channel.topic, []).append(content)
                units[channel.topic] = channel.metadata.get("units", "")
        assert log_times == sorted(log_times)
        with Session.open(recordings / name) as session:
            for stream in map(session.stream, session.streams):
                found = messages[f"/{stream.name}"]
                assert [ns_of(m["monotonic"]) for m in found] == stream.monotonic_ns.tolist()
                assert [ns_of(m["timestamp"]) for m in found] == stream.time.tolist()
                assert units[f"/{stream.name}"] == stream.units
                if stream.channels:
                    values = np.array([[m[c] for c in stream.channels] for m in found])
                else:
                    dtype = {"32FC1": "<f4", "mono8": "|u1"}[found[0]["encoding"]]
                    values = np.stack(
                        [
                            np.frombuffer(base64.b64decode(m["data"]), dtype).reshape(
                                m["height"], m["width"]
                            )
                            for m in found
                        ]
                    )
                assert np.array_equal(values, stream.read(), equal_nan=stream.kind == "thermal")
            assert [m["label"] for m in messages["/labels"]] == [x.label for x in session.labels]


# --- Motion-BIDS ---------------------------------------------------------------------------------


def test_bids_gives_stamps_exactly_and_values_within_their_resolution(recordings, exported):
    bids = exported("motion-bids")
    participants = table(bids / "participants.tsv", "\t")
    assert [row["participant_id"] for row in participants] == ["sub-S01", "sub-S02"]
    assert [row["age"] for row in participants] == ["34", "n/a"]
    n_streams = 0
    for name in sessions_of(recordings):
        with Session.open(recordings / name) as session:
            folder = bids / f"sub-{session.subject}" / "ses-01"
            origin = min(int(session.stream(s).monotonic_ns[0]) for s in ("accel",))
            for stream in map(session.stream, session.streams):
                stem = (
                    f"sub-{session.subject}_ses-01_task-{session.activity}_tracksys-{stream.name}"
                )
                motion = folder / "motion" / f"{stem}_motion.tsv"
                if not stream.channels:
                    assert not motion.exists()
                    continue
                n_streams += 1
                channels = table(folder / "motion" / f"{stem}_channels.tsv", "\t")
                assert channels[0]["units"] == {"accel": "m/s^2", "gyro": "rad/s"}[stream.kind]
                assert channels[-1]["type"] == "LATENCY"
                rows = [line.split("\t") for line in motion.read_text().splitlines()]
                stamps = [origin + int(row[-1].replace(".", "")) for row in rows]
                assert stamps == stream.monotonic_ns.tolist()
                values = np.array([[float(value) for value in row[:-1]] for row in rows])
                assert np.allclose(values, stream.read(), atol=stream.scale_factor / 100)
                sidecar = json.loads((folder / "motion" / f"{stem}_motion.json").read_text())
                assert sidecar["SamplingFrequency"] == stream.sampling_rate_hz
                assert sidecar["MotionChannelCount"] == len(channels)
            events = table(
                folder
                / "motion"
                / f"sub-{session.subject}_ses-01_task-{session.activity}_events.tsv",
                "\t",
            )
            assert [row["trial_type"] for row in events] == [x.label for x in session.labels]
            onsets = [origin + int(row["onset"].replace(".", "")) for row in events]
            assert onsets == [label.start_ns for label in session.labels]
            (scan, *_) = table(folder / f"sub-{session.subject}_ses-01_scans.tsv", "\t")
            assert (
                scan["acq_time"][:19]
                == str(session.to_utc(np.array([origin])).astype("datetime64[ns]")[0])[:19]
            )
    assert n_streams == 3


def validated(folder: Path) -> list[str]:
    """Give the codes of the validator's errors."""
    done = subprocess.run(
        [str(VALIDATOR), str(folder), "--format", "json"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )
    issues = json.loads(done.stdout)["issues"]["issues"]
    return [issue["code"] for issue in issues if issue["severity"] == "error"]


@pytest.mark.skipif(not VALIDATOR.exists(), reason="bids-validator-deno is not installed")
def test_the_published_validator_finds_no_error(exported, tmp_path):
    assert validated(exported("motion-bids")) == []
    broken = shutil.copytree(exported("motion-bids"), tmp_path / "broken")
    (broken / "dataset_description.json").write_text("{}")
    (next(broken.glob("sub-S01/ses-01/motion/*_motion.json"))).unlink()
    assert validated(broken)


# --- sealed sessions without a stream ------------------------------------------------------------


def test_a_session_without_infrared_is_sealed_and_says_what_is_missing(recordings, tmp_path):
    done = dataset(
        *("export", recordings, "--to", "session", "--without", "infrared"),
        *("-o", tmp_path / "out"),
    )
    assert done.code == 0, done.err
    assert dataset("verify", tmp_path / "out").code == 0
    for name in sessions_of(recordings):
        with (
            Session.open(recordings / name) as session,
            Session.open(tmp_path / "out" / name) as copy,
        ):
            assert set(copy.streams) == set(session.streams) - {"infrared"}
            for stream in copy.streams:
                assert np.array_equal(
                    copy.stream(stream).read_counts(), session.stream(stream).read_counts()
                )
                stamps = session.stream(stream).monotonic_ns
                assert np.array_equal(copy.stream(stream).monotonic_ns, stamps)
            assert copy.labels == session.labels
            assert copy.start_utc == session.start_utc
            assert "infrared" not in copy.gaps["stream"]
            assert "infrared" not in copy.quality
            provenance = copy.store.file["provenance"].attrs
            if "infrared" in session.streams:
                assert provenance["left_out"] == "infrared"
                assert provenance["derived_from_sha256"] == session.store.content_sha256()
            copy.aligned()
        frame = session_pictures(recordings / name)
        if frame is not None:
            assert frame not in (tmp_path / "out" / name / "session.h5").read_bytes()


def session_pictures(folder: Path) -> bytes | None:
    """Give the first stored chunk of infrared pictures, as it stands in the file."""
    with Session.open(folder) as session:
        if "infrared" not in session.streams:
            return None
        return session.store.file["infrared/data"].id.read_direct_chunk((0, 0, 0))[1]


def test_a_session_with_nothing_left_out_keeps_its_content_digest(recordings, tmp_path):
    assert dataset("export", recordings, "--to", "session", "-o", tmp_path / "a").code == 0
    assert dataset("export", recordings, "--to", "session", "-o", tmp_path / "b").code == 0
    for name in sessions_of(recordings):
        with (
            Session.open(recordings / name) as session,
            Session.open(tmp_path / "a" / name) as copy,
        ):
            assert copy.store.content_sha256() == session.store.content_sha256()
        first = (tmp_path / "a" / name / "session.h5").read_bytes()
        assert first == (tmp_path / "b" / name / "session.h5").read_bytes()


@pytest.mark.parametrize("to", ["csv", "mcap", "parquet", "motion-bids"])
def test_what_is_left_out_is_nowhere_and_bytes_are_the_same_twice(recordings, tmp_path, to):
    for out in ("a", "b"):
        done = dataset(
            *("export", recordings, "--to", to, "-o", tmp_path / out),
            *("--without", "infrared", "--without", "thermal", "--json"),
        )
        assert done.code == 0, done.err
        assert json.loads(done.out)["n_sessions"] == 2
    assert small.content(tmp_path / "a") == small.content(tmp_path / "b")
    for name, content in small.content(tmp_path / "a").items():
        assert "thermal" not in name
        assert "infrared" not in name
        if name.endswith("session.json"):
            assert sorted(json.loads(content)["streams"]) in (["accel"], ["accel", "gyro"])


# --- bad input -----------------------------------------------------------------------------------


def refused(*arguments: object) -> str:
    done = dataset("export", *arguments)
    assert done.code != 0
    return done.error


def test_what_cannot_be_exported_is_one_sentence_and_leaves_nothing(recordings, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    out = tmp_path / "out"
    assert "there is no session in it" in refused(empty, "--to", "csv", "-o", out)
    said = refused(recordings, "--to", "csv", "-o", out, "--without", "infrered")
    assert "no session has such a stream, expected one of accel, gyro, thermal, infrared" in said
    said = refused(recordings, "--to", "arrays", "-o", out)
    assert "expected the folder that 'wban-dataset build' made" in said
    assert "there is something already" in refused(recordings, "--to", "csv", "-o", recordings)
    small.unsealed(tmp_path / "waiting", "one")
    said = refused(tmp_path / "waiting", "--to", "session", "-o", out)
    assert "it is not sealed yet" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "waiting"]


def test_a_truncated_session_is_one_sentence_and_leaves_nothing(recordings, tmp_path):
    shutil.copytree(recordings / "by hand", tmp_path / "cut")
    file = tmp_path / "cut" / "session.h5"
    file.write_bytes(file.read_bytes()[:5000])
    said = refused(recordings, tmp_path / "cut", "--to", "csv", "-o", tmp_path / "out")
    assert "truncated or damaged" in said
    assert [path.name for path in tmp_path.iterdir()] == ["cut"]


def test_two_sessions_of_one_name_are_refused(recordings, tmp_path):
    shutil.copytree(recordings / "by hand", tmp_path / "by hand")
    said = refused(recordings, tmp_path, "--to", "csv", "-o", tmp_path / "out")
    assert "its folder has the same name as" in said


# --- windows as arrays ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def studied(tmp_path_factory) -> Path:
    return study(tmp_path_factory.mktemp("sessions"), 3, frames=True)


@pytest.fixture(scope="module")
def built(studied, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("built") / "dataset"
    build(studied, out)
    return out


def test_arrays_are_what_the_dataset_gives(built, tmp_path):
    done = dataset("export", built, "--to", "arrays", "-o", tmp_path / "arrays")
    assert done.code == 0, done.err
    assert "leaky" not in done.out
    folder = tmp_path / "arrays"
    described = json.loads((folder / "dataset.json").read_text())
    rows = table(folder / "windows.csv")
    with load_dataset(built) as opened:
        arrays = opened.arrays()
        assert sorted(described["streams"]) == sorted(opened.streams)
        for name in opened.streams:
            found = np.load(folder / f"{name}.npy", allow_pickle=False)
            assert found.dtype == arrays.data[name].dtype
            equal_nan = found.dtype.kind == "f"
            assert np.array_equal(found, arrays.data[name], equal_nan=equal_nan)
            assert described["streams"][name]["units"] == opened.stream(name).units
            assert [row[f"{name}_present"] == "1" for row in rows] == arrays.mask[name].tolist()
        names = [*opened.classes, ""]
        assert [row["label"] for row in rows] == [names[code] for code in arrays.label]
        assert [int(row["start_ns"]) for row in rows] == opened.windows.start_ns.tolist()
        assert [row["subject"] for row in rows] == opened.subject.tolist()
        folds = np.load(folder / "folds.npy", allow_pickle=False)
        assert described["folds"] == [fold.name for fold in opened.folds]
        assert np.array_equal(folds, np.stack([fold.role for fold in opened.folds]))
    assert (folder / "splits.json").read_bytes() == (built / "splits.json").read_bytes()


def test_arrays_without_pictures_and_of_splits_that_leak(studied, tmp_path):
    build(studied, tmp_path / "d", protocol="random")
    out = tmp_path / "arrays"
    done = dataset("export", tmp_path / "d", "--to", "arrays", "-o", out, "--without", "infrared")
    assert done.code == 0, done.err
    assert "leaky" in done.out
    assert json.loads((out / "dataset.json").read_text())["leaky"] is True
    assert not (out / "infrared.npy").exists()
    said = refused(tmp_path / "d", "--to", "arrays", "-o", tmp_path / "x", "--without", "heat")
    assert "has no such stream" in said
    assert not (tmp_path / "x").exists()


# --- a full disk ---------------------------------------------------------------------------------

PROGRAM = """
import sys
from wban_dataset.cli.exports import export
from wban_dataset.cli.main import cli, main
cli.add_command(export)
sys.argv = ["wban-dataset", "export", sys.argv[1], "--to", sys.argv[3], "-o", sys.argv[2]]
main()
"""


@pytest.mark.parametrize("to", ["session", "csv", "parquet", "mcap", "motion-bids"])
def test_a_full_disk_is_one_sentence_and_leaves_nothing(recordings, tmp_path, to):
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here: that needs root and unshare")
    script = (
        'mount -t tmpfs -o size=40k tmpfs "$1" && '
        '{ "$2" -c "$3" "$4" "$1/out" "$5"; echo "code $?"; ls -A "$1"; }'
    )
    words = [str(tmp_path), sys.executable, PROGRAM, str(recordings), to]
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", script, "-", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert done.stdout.splitlines() == ["code 1"], done.stderr
    assert "the disk is full, expected room for the whole export" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_chunk_is_said_of_the_session_not_of_the_disk(recordings, tmp_path):
    shutil.copytree(recordings / "by hand", tmp_path / "damaged")
    file = tmp_path / "damaged" / "session.h5"
    with Session.open(tmp_path / "damaged") as session:
        chunk = session.store.file["accel/data"].id.get_chunk_info(0)
    content = bytearray(file.read_bytes())
    content[chunk.byte_offset + chunk.size // 2] ^= 255
    file.write_bytes(content)
    for to in ("session", "csv"):
        said = refused(tmp_path / "damaged", "--to", to, "-o", tmp_path / "out")
        assert f"session {file}: it cannot be read" in said
    assert [path.name for path in tmp_path.iterdir()] == ["damaged"]
