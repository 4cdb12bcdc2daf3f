"""wban-collect as its user meets it: what works, and what is refused and how."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tomllib
from pathlib import Path

import click
import h5py
import pytest

from tests.integration.command_line import ROOT, SCRIPTS, collect, dataset, process
from tests.integration.simulated_recording import record_unsealed
from wban_collect import assembly
from wban_collect.cli.main import cli
from wban_collect.clock import SystemClock
from wban_collect.simulation.adxl345 import SimulatedAdxl345
from wban_collect.simulation.bus import SimulatedI2CBus
from wban_collect.simulation.mpu6050 import SimulatedMpu6050
from wban_collect.simulation.people import one_activity
from wban_dataset.cli.main import cli as dataset_cli
from wban_dataset.recording.session import Session

WHO = ("--subject", "S01", "--activity", "eating")
FAST = ("--simulate", "--fast", "--duration", "2s")
STREAMS = {"accel", "gyro", "infrared", "thermal"}


def only_session(out: Path) -> Path:
    (folder,) = out.iterdir()
    return folder


# --- recording -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    """Give the folder of a session of five simulated seconds."""
    out = tmp_path_factory.mktemp("recordings")
    done = collect("start", *WHO, "--simulate", "--fast", "--duration", "5s", "--out", out)
    assert (done.code, done.err) == (0, "")
    assert "0 lost" in done.out
    folder = only_session(out)
    assert f"Next: wban-dataset inspect {folder}" in done.out
    return folder


def test_a_simulated_recording_is_sealed_whole_and_says_who_did_what(simulated):
    assert [path.name for path in simulated.iterdir()] == ["session.h5"]
    assert simulated.name.endswith("_S01_eating")
    with Session.open(simulated) as session:
        assert (session.subject, session.activity, session.simulated) == ("S01", "eating", True)
        assert (session.complete, session.recovered) == (True, False)
        assert set(session.streams) == STREAMS
        assert [label.label for label in session.labels] == ["eating"]
        assert session.verify().ok


def test_a_recording_in_virtual_time_is_as_long_as_was_asked_for(simulated):
    with Session.open(simulated) as session:
        (label,) = session.labels
        assert 5.0 <= (label.stop_ns - label.start_ns) / 1e9 < 5.2
        accel = session.stream("accel").monotonic_ns
        # The chips need their start-up times first, and a FIFO is emptied now and then.
        assert 4.5 < (accel[-1] - accel[0]) / 1e9 < 5.2


def test_json_lines_name_the_folder_the_fsyncs_and_the_result(tmp_path):
    done = collect("start", *WHO, *FAST, "--json", "--out", tmp_path)
    assert done.code == 0
    first, *commits, last = [json.loads(line) for line in done.out.splitlines()]
    assert first == {"recording": str(only_session(tmp_path))}
    assert commits
    assert all(set(commit["rows"]) <= STREAMS for commit in commits)
    assert commits[-1]["rows"] == last["rows"]
    assert (last["exit"], last["ended"], last["complete"]) == (0, "duration reached", True)


def test_the_next_recording_does_not_touch_the_one_before(tmp_path, monkeypatch):
    monkeypatch.setattr("wban_collect.plan.folder_name", lambda *_, **__: "same-second")
    for _ in range(2):
        assert collect("start", *WHO, *FAST, "--out", tmp_path).code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["same-second", "same-second-2"]


def test_spaced_activity_and_one_of_the_users_own_are_accepted(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('[study]\nactivities = ["paper", "brushing teeth"]\n[[infrared]]\n')
    out = tmp_path / "out"
    for given, slug in (
        ("Speak and Walk", "speak_and_walk"),
        ("brushing  teeth", "brushing_teeth"),
    ):
        where = out / slug
        done = collect(
            "start", "--subject", "S01", "--activity", given, *FAST, "--out", where, "--config", own
        )
        assert done.code == 0, done.err
        with Session.open(only_session(where)) as session:
            assert session.activity == slug


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_and_seals_a_recording_in_order(tmp_path, number):
    command = [SCRIPTS / "wban-collect", "start", *WHO, "--simulate", "--json", "--out", tmp_path]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as recorder:
        assert recorder.stdout is not None
        lines = [recorder.stdout.readline() for _ in range(3)]  # the folder, then two fsyncs
        recorder.send_signal(number)
        recorder.send_signal(number)  # the impatient press twice
        rest, complaint = recorder.communicate()
    assert (recorder.returncode, complaint) == (0, "")
    last = json.loads(rest.splitlines()[-1])
    assert (last["ended"], last["complete"]) == ("asked to stop", True)
    acknowledged = json.loads(lines[-1])["rows"]
    assert all(last["rows"][name] >= n_rows for name, n_rows in acknowledged.items())
    assert [path.name for path in only_session(tmp_path).iterdir()] == ["session.h5"]


def test_whoever_reads_the_lines_may_go_away(tmp_path):
    command = [SCRIPTS / "wban-collect", "start", *WHO, "--simulate", "--json"]
    with subprocess.Popen(
        [*command, "--duration", "2s", "--out", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as recorder:
        assert recorder.stdout is not None
        assert recorder.stderr is not None
        recorder.stdout.readline()
        recorder.stdout.close()
        complaint = recorder.stderr.read()
    assert "Traceback" not in complaint
    with Session.open(only_session(tmp_path)) as session:
        assert session.complete
        assert session.attributes["end_reason"] == "duration reached"


# --- studies -------------------------------------------------------------------------------------


def study_files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.h5"))}


def test_a_study_is_the_same_to_the_byte_and_goes_on_where_it_was_interrupted(tmp_path):
    def simulate(out: Path) -> dict[str, bytes]:
        plan = ("--subjects", 2, "--minutes", 0.2, "--workers", 1)
        done = collect("simulate-study", *plan, "--out", out, "--json")
        assert done.code == 0, done.err
        kept.append(sum("kept" in json.loads(line) for line in done.out.splitlines()))
        return study_files(out)

    kept: list[int] = []
    first = simulate(tmp_path / "a")
    assert len(first) == 2
    for path in (tmp_path / "a").glob("*_S02_*/session.h5"):
        path.unlink()  # interrupted while the second was being recorded
        (path.parent / "journal").mkdir()
        (path.parent / "journal" / "000000.wbj").write_bytes(b"half a record")
    assert simulate(tmp_path / "a") == first
    assert kept == [0, 1]
    with Session.open(next((tmp_path / "a").glob("*_S01_*"))) as session:
        assert session.simulated
        assert {label.label for label in session.labels} <= {
            "eating", "sleeping", "staying", "standing", "sitting",
        }  # fmt: skip


# --- seal and recover ----------------------------------------------------------------------------


def test_sealing_twice_changes_nothing(simulated):
    before = (simulated / "session.h5").read_bytes()
    done = collect("seal", simulated)
    assert (done.code, done.err) == (0, "")
    assert (simulated / "session.h5").read_bytes() == before


def test_recover_seals_what_waits_and_only_that(tmp_path, simulated):
    for seed, name in ((1, "one"), (2, "below/two")):
        record_unsealed(tmp_path / Path(name).parent, Path(name).name, 2.0, seed)
    shutil.copytree(simulated, tmp_path / "sealed")
    (tmp_path / "notes").mkdir()
    done = collect("recover", tmp_path, "--json")
    assert done.code == 0, done.err
    sealed = {json.loads(line)["session"] for line in done.out.splitlines()}
    assert sealed == {str(tmp_path / "one"), str(tmp_path / "below" / "two")}
    assert not list(tmp_path.rglob("journal"))
    again = collect("recover", tmp_path)
    assert again.code == 0
    assert "no session waits" in again.out


def test_recover_goes_on_after_a_session_that_cannot_be_sealed(tmp_path):
    record_unsealed(tmp_path, "whole", 2.0)
    broken = tmp_path / "broken" / "journal"
    broken.mkdir(parents=True)
    (broken / "000000.wbj").write_bytes(b"no journal at all")
    done = collect("recover", tmp_path)
    assert done.code == 1
    assert str(tmp_path / "broken") in done.error
    assert (tmp_path / "whole" / "session.h5").exists()
    assert (broken / "000000.wbj").read_bytes() == b"no journal at all"


def test_a_recording_under_way_is_neither_sealed_nor_touched(tmp_path):
    command = [SCRIPTS / "wban-collect", "start", *WHO, "--simulate", "--json", "--out", tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as recorder:
        assert recorder.stdout is not None
        recorder.stdout.readline()
        recorder.stdout.readline()
        refused = collect("recover", tmp_path)
        recorder.terminate()
        last = json.loads(recorder.communicate()[0].splitlines()[-1])
    assert refused.code == 1
    assert "another process is recording into it" in refused.error
    assert (recorder.returncode, last["complete"], sum(last["n_lost"].values())) == (0, True, 0)


def test_sealing_a_folder_that_is_no_session_says_so(tmp_path):
    done = collect("seal", tmp_path)
    assert done.code == 1
    assert str(tmp_path) in done.error
    assert "was recorded" not in done.error
    assert not list(tmp_path.iterdir())


# --- configuration -------------------------------------------------------------------------------


def test_the_example_configuration_checks_and_shows_what_it_says(tmp_path):
    path = tmp_path / "mine.toml"
    assert collect("config", "init", path).code == 0
    checked = collect("config", "check", "--config", path)
    assert checked.code == 0
    assert "MB an hour" in checked.out
    shown = collect("config", "show", "--config", path)
    assert shown.code == 0
    again = tmp_path / "again.toml"
    again.write_text(shown.out)
    assert collect("config", "show", "--config", again).out == shown.out
    assert tomllib.loads(shown.out)["storage"]["commit_interval_s"] == 0.5


def test_init_never_writes_over_a_file_unless_told(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("precious")
    done = collect("config", "init", path)
    assert done.code == 2
    assert "--force" in done.error
    assert path.read_text() == "precious"
    assert collect("config", "init", path, "--force").code == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[storage]\ngzip_levle = 1\n", "did you mean gzip_level"),
        ("[storage]\ngzip_level = 99\n", "storage.gzip_level is 99"),
        ("[[motion]]\naccel_range_g = 3\n", "expected one of 2, 4, 8, 16"),
        ("[[motion]]\n[[motion]]\n", "two devices make the stream 'accel'"),
        ("[storage\n", "not valid TOML"),
        ("\x00\n", "not valid TOML"),
        ('[study]\nactivities = "papre"\n', "study.activities is 'papre'"),
    ],
)
def test_a_bad_configuration_is_refused_by_its_key(tmp_path, text, expected):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    out = tmp_path / "out"
    for command in (
        ("config", "check", "--config", path),
        ("start", *WHO, *FAST, "--out", out, "--config", path),
    ):
        done = collect(*command)
        assert done.code == 2
        assert str(path) in done.error
        assert expected in done.error
    assert not out.exists()


def test_a_configuration_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.toml", tmp_path, tmp_path / "binary", tmp_path / ("n" * 300)):
        done = collect("config", "check", "--config", path)
        assert done.code == 2
        assert str(path)[:200] in done.error


# --- unusable values -----------------------------------------------------------------------------

UNUSABLE = {
    "unknown activity": (
        ("--subject", "S01", "--activity", "eatign", *FAST),
        "did you mean 'eating'",
    ),
    "empty activity": (("--subject", "S01", "--activity", "", *FAST), "not a usable name"),
    "activity like a path": (
        ("--subject", "S01", "--activity", "../x", *FAST),
        "not a usable name",
    ),
    "subject like a path": (("--subject", "../x", "--activity", "eating", *FAST), "'../x'"),
    "empty subject": (("--subject", "", "--activity", "eating", *FAST), "not a usable id"),
    "long subject": (("--subject", "S" * 300, "--activity", "eating", *FAST), "(300 characters)"),
    "subject of two lines": (("--subject", "S01\n", "--activity", "eating", *FAST), "usable id"),
    "missing subject": (("--activity", "eating", *FAST), "--subject is missing"),
    "missing activity": (("--subject", "S01", *FAST), "--activity is missing"),
    "negative duration": ((*WHO, "--simulate", "--fast", "--duration", "-5s"), "'-5s'"),
    "zero duration": ((*WHO, "--simulate", "--fast", "--duration", "0s"), "'0s'"),
    "duration below a nanosecond": ((*WHO, *FAST[:2], "--duration", "0.0000000001s"), "positive"),
    "duration without a number": ((*WHO, "--simulate", "--fast", "--duration", "long"), "'long'"),
    "endless digits": ((*WHO, *FAST[:2], "--duration", "9" * 5000), "is not a duration"),
    "duration of a century": ((*WHO, *FAST[:2], "--duration", "36500d"), "is not a duration"),
    "virtual time of real chips": ((*WHO, "--fast", "--duration", "5s"), "--simulate or --replay"),
    "virtual time without end": ((*WHO, "--simulate", "--fast"), "--duration"),
    "two sources": ((*WHO, *FAST, "--replay", "."), "exclude each other"),
    "recording of no replay": ((*WHO, *FAST, "--recording", "exp07"), "belong to --replay"),
    "replay of nothing": (("--replay", "/nonexistent/hapt", "--fast"), "/nonexistent/hapt"),
    "negative seed": ((*WHO, *FAST, "--seed", "-1"), "--seed"),
    "unknown option": ((*WHO, *FAST, "--quick"), "--quick"),
    "missing configuration": ((*WHO, *FAST, "--config", "/nonexistent.toml"), "config init"),
}


@pytest.mark.parametrize("case", UNUSABLE)
def test_an_unusable_value_is_named_with_exit_code_2_and_leaves_nothing(tmp_path, case):
    arguments, expected = UNUSABLE[case]
    out = tmp_path / "a" / "b"
    done = collect("start", *arguments, "--out", out)
    assert done.code == 2, done.err
    assert expected in done.error
    assert len(done.error) < 500
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--subjects", 0, "--minutes", 1), "--subjects"),
        (("--subjects", 1, "--minutes", -1), "--minutes"),
        (("--subjects", 1, "--minutes", 1, "--activities", "papre"), "paper-abstract"),
    ],
)
def test_an_unusable_study_is_refused(tmp_path, arguments, expected):
    done = collect("simulate-study", *arguments, "--out", tmp_path / "study")
    assert done.code == 2
    assert expected in done.error
    assert not list(tmp_path.iterdir())


# --- places that cannot be written ---------------------------------------------------------------


def test_an_output_folder_that_is_a_file_is_refused_and_kept(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("precious")
    for out in (taken, taken / "below"):
        done = collect("start", *WHO, *FAST, "--out", out)
        assert done.code == 1
        assert f"output folder {out}" in done.error
        assert "--out" in done.error
    study = collect("simulate-study", "--subjects", 1, "--minutes", 0.2, "--out", taken)
    assert study.code == 1
    assert f"output folder {taken}" in study.error
    assert taken.read_text() == "precious"


def test_an_output_folder_whose_name_is_too_long_is_refused(tmp_path):
    done = collect("start", *WHO, *FAST, "--out", tmp_path / "made" / ("n" * 300))
    assert done.code == 1
    assert "file name too long" in done.error
    assert not list(tmp_path.iterdir())


@pytest.fixture
def mounted(tmp_path):
    """Run a command beside a small file system of its own that only it sees."""
    place = tmp_path / "small"
    place.mkdir()
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(place)]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here: that needs root and unshare")

    def run(options: str, command: list[object], then: str = "") -> tuple[Path, object]:
        words = " ".join(f"'{word}'" for word in [SCRIPTS / "wban-collect", *command])
        mount = f"mount -t tmpfs -o {options} tmpfs '{place}' || exit 99"
        script = "; ".join([mount, words, "code=$?", then or "true", "exit $code"])
        return place, process("/usr/bin/env", "unshare", "-m", "sh", "-c", script)

    run.place = place
    return run


def test_a_read_only_output_folder_is_refused(mounted):
    place, done = mounted("ro", ["start", *WHO, *FAST, "--out", mounted.place / "out"])
    assert done.code == 1
    assert f"output folder {place / 'out'}: read-only file system" in done.error


def test_an_output_folder_without_room_is_refused_before_anything_is_recorded(mounted):
    place, done = mounted(
        "size=8m",
        ["start", *WHO, *FAST, "--out", mounted.place / "out"],
        f"ls -A '{mounted.place}'",
    )
    assert done.code == 1
    assert "8 MB are free, expected at least 200 MB" in done.error
    assert done.out == ""  # nor is a folder left there
    assert not list(place.iterdir())


def test_room_for_no_reservation_is_a_clear_refusal(mounted, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text("[storage]\nkeep_free_mb = 0\n")
    _, done = mounted(
        "size=8m",
        ["start", *WHO, *FAST, "--out", mounted.place / "out", "--config", config],
        f"ls -A '{mounted.place}'",
    )
    assert done.code == 1
    assert "no space left on device" in done.error
    assert done.out == ""


def test_a_disk_that_fills_while_recording_ends_it_in_order_and_seals(mounted, tmp_path):
    config = tmp_path / "config.toml"
    config.write_text(
        "[storage]\nkeep_free_mb = 0\n[[infrared]]\nsize = [640, 480]\nframe_rate_hz = 15\n"
    )
    command = ["start", *WHO, "--simulate", "--fast", "--duration", "1h", "--json"]
    copy = tmp_path / "copy"
    place = mounted.place
    _, done = mounted(
        "size=90m",
        [*command, "--out", place / "out", "--config", config],
        f"ls -A '{place}/out/'* >&2; cp -r '{place}/out' '{copy}'",
    )
    assert done.code == 3, done.err
    assert "Traceback" not in done.err
    last = json.loads(done.out.splitlines()[-1])
    assert last["ended"] == "disk full"
    acknowledged = json.loads(done.out.splitlines()[-2])["rows"]
    assert last["rows"] == acknowledged
    assert acknowledged["infrared"] > 20
    folder = only_session(copy)
    assert [path.name for path in folder.iterdir()] == ["session.h5"]
    assert dataset("verify", folder).code in (0, 3)


# --- devices that are not there ------------------------------------------------------------------


class KernelBus(SimulatedI2CBus):
    """Stands for the kernel's bus: simulated chips in real time, none with a kernel driver."""

    def kernel_driver(self, address):
        return None


def bus_with(*chips):
    return lambda number: KernelBus(SystemClock(), chips)


def motion_config(tmp_path: Path) -> Path:
    path = tmp_path / "motion.toml"
    path.write_text("[[motion]]\n")
    return path


def assert_refused(done, out: Path, *expected: str) -> None:
    assert done.code == 1
    for words in expected:
        assert words in done.error
    assert not out.exists()


@pytest.mark.skipif(Path("/dev/i2c-1").exists(), reason="this machine has an I2C bus")
def test_a_machine_without_a_bus_says_how_to_get_one(tmp_path):
    out = tmp_path / "out"
    done = process("start", *WHO, "--out", out)
    assert_refused(done, out, "/dev/i2c-1", "no such bus", "dtparam=i2c_arm=on")


def test_an_absent_chip_is_named_with_its_address(tmp_path, monkeypatch):
    monkeypatch.setattr(assembly, "LinuxI2CBus", bus_with())
    out = tmp_path / "out"
    done = collect("start", *WHO, "--out", out, "--config", motion_config(tmp_path))
    assert_refused(done, out, "0x68", "i2cdetect")


def test_another_chip_at_the_address_is_named(tmp_path, monkeypatch):
    stranger = SimulatedAdxl345(one_activity("eating", 1), 1, address=0x68)
    monkeypatch.setattr(assembly, "LinuxI2CBus", bus_with(stranger))
    out = tmp_path / "out"
    done = collect("start", *WHO, "--out", out, "--config", motion_config(tmp_path))
    assert_refused(done, out, "0x68", "expected")


def test_a_bus_that_may_not_be_opened_names_the_group(tmp_path, monkeypatch):
    device = tmp_path / "i2c-1"
    device.write_text("")

    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("smbus2.SMBus.open", refuse)
    out = tmp_path / "out"
    done = collect("start", *WHO, "--out", out, "--config", motion_config(tmp_path))
    assert_refused(done, out, "/dev/i2c-1", "permission denied", "usermod -aG i2c")


def test_a_bus_in_use_by_another_recorder_is_refused(tmp_path, monkeypatch):
    node = tmp_path / "i2c-1"
    node.write_text("")
    real_bus = assembly.LinuxI2CBus
    monkeypatch.setattr(assembly, "LinuxI2CBus", lambda number: real_bus(node))
    monkeypatch.setattr("smbus2.SMBus.open", open_plain_file)
    first = real_bus(node)
    out = tmp_path / "out"
    done = collect("start", *WHO, "--out", out, "--config", motion_config(tmp_path))
    first.close()
    assert_refused(done, out, str(node), "in use by another recorder")


def open_plain_file(smbus, path):
    """Stand for smbus2's open where the node is no device."""
    smbus.fd = os.open(path, os.O_RDWR)


def test_a_missing_camera_stack_names_the_package(tmp_path):
    config = tmp_path / "camera.toml"
    config.write_text("[[infrared]]\n")
    out = tmp_path / "out"
    done = collect("start", *WHO, "--out", out, "--config", config)
    assert_refused(done, out, "picamera2", "apt install python3-picamera2", "system-site-packages")


def test_an_optional_device_that_is_absent_does_not_stop_the_others(tmp_path, monkeypatch):
    chip = SimulatedMpu6050(one_activity("eating", 1), 1)
    monkeypatch.setattr(assembly, "LinuxI2CBus", bus_with(chip))
    config = tmp_path / "optional.toml"
    config.write_text("[[motion]]\n[[thermal]]\nrequired = false\n[[infrared]]\nrequired = false\n")
    out = tmp_path / "out"
    done = collect("start", *WHO, "--duration", "2s", "--out", out, "--config", config)
    assert done.code == 0, done.err
    with Session.open(only_session(out)) as session:
        assert set(session.streams) == {"accel", "gyro"}


# --- sessions that are none ----------------------------------------------------------------------


@pytest.fixture
def no_session(tmp_path, simulated, request) -> Path:
    path = tmp_path / "session.h5"
    whole = (simulated / "session.h5").read_bytes()
    match request.param:
        case "truncated":
            path.write_bytes(whole[: len(whole) // 2])
        case "cut to its head":
            path.write_bytes(whole[:100])
        case "empty":
            path.write_bytes(b"")
        case "text":
            path.write_text("time,x,y,z\n")
        case "foreign":
            with h5py.File(path, "w") as file:
                file["accel/data"] = [[1, 2, 3]]
        case "zeroed inside":
            path.write_bytes(whole[:2048] + bytes(len(whole) - 2048))
        case "empty folder":
            path = tmp_path / "folder"
            path.mkdir()
    return path


NO_SESSIONS = ["truncated", "cut to its head", "empty", "text", "foreign", "zeroed inside"]


@pytest.mark.parametrize("no_session", [*NO_SESSIONS, "empty folder"], indirect=True)
def test_what_is_no_session_is_named_and_left_alone(tmp_path, no_session):
    picture = tmp_path / "picture.png"
    before = no_session.read_bytes() if no_session.is_file() else None
    for command in (
        ("inspect", no_session),
        ("inspect", no_session, "--json"),
        ("verify", no_session),
        ("plot", no_session, "-o", picture),
    ):
        done = dataset(*command)
        assert done.code == 1, (command, done)
        assert str(no_session) in done.error
    assert not picture.exists()
    if before is not None:
        assert no_session.read_bytes() == before


def test_a_path_that_does_not_exist_is_an_unusable_value(tmp_path):
    for command in (("inspect",), ("verify",), ("plot", "-o", tmp_path / "picture.png")):
        done = dataset(command[0], tmp_path / "none", *command[1:])
        assert done.code == 2
        assert "does not exist" in done.error
    for command in ("seal", "recover"):
        assert collect(command, tmp_path / "none").code == 2
    assert not list(tmp_path.iterdir())


def test_a_changed_byte_is_found(tmp_path, simulated):
    damaged = bytearray((simulated / "session.h5").read_bytes())
    damaged[len(damaged) // 2] ^= 0x10
    path = tmp_path / "session.h5"
    path.write_bytes(damaged)
    done = dataset("verify", path)
    assert done.code == 1
    assert "Traceback" not in done.err
    assert str(path) in done.err


def test_a_picture_needs_a_known_ending_and_a_place(tmp_path, simulated):
    for name in ("picture.bmp", "picture"):
        assert dataset("plot", simulated, "-o", tmp_path / name).code == 2
    done = dataset("plot", simulated, "-o", tmp_path / "none" / "picture.png")
    assert done.code == 1
    assert str(tmp_path / "none" / "picture.png") in done.error
    assert not list(tmp_path.iterdir())


def test_inspect_says_as_json_what_it_shows(simulated):
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    done = dataset("inspect", simulated, "--json")
    assert done.code == 0
    told = json.loads(done.out, parse_constant=refuse)
    assert set(told["streams"]) == STREAMS
    assert told["sealed"] is True
    shown = dataset("inspect", simulated)
    assert shown.code == 0
    assert all(name in shown.out for name in STREAMS)


def test_an_unsealed_session_is_shown_from_its_journal(tmp_path):
    folder = record_unsealed(tmp_path, "session", 2.0)
    assert "not sealed yet" in dataset("inspect", folder).out
    before = {path.name: path.read_bytes() for path in (folder / "journal").iterdir()}
    assert dataset("verify", folder).code == 0
    assert {path.name: path.read_bytes() for path in (folder / "journal").iterdir()} == before


# --- help ----------------------------------------------------------------------------------------


def commands(group: click.Group, *path: str) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        found.append((*path, name))
        if isinstance(command, click.Group):
            found += commands(command, *path, name)
    return found


@pytest.mark.parametrize("command", commands(cli), ids=" ".join)
def test_help_of_wban_collect_explains_every_option(command):
    done = collect(*command, "--help")
    assert done.code == 0
    check_help(done.out)


@pytest.mark.parametrize("command", commands(dataset_cli), ids=" ".join)
def test_help_of_wban_dataset_explains_every_option(command):
    done = dataset(*command, "--help")
    assert done.code == 0
    check_help(done.out)


def check_help(text: str) -> None:
    assert len(text.splitlines()[2].strip()) > 20  # a sentence on what it does
    bare = [line for line in text.splitlines() if re.fullmatch(r"  -\S+(, --\S+)?( [A-Z]+)?", line)]
    assert not bare, f"options that are not explained: {bare}"


@pytest.mark.parametrize("command", ["start", "seal", "recover", "simulate-study"])
def test_help_tells_the_exit_codes(command):
    text = collect(command, "--help").out
    assert "Exit codes: 0" in text
    assert "3" in text.split("Exit codes:")[1]
