"""What wban-collect and wban-dataset refuse: the words, the exit code, and nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import h5py
import pytest

from tests.integration.command_line import SCRIPTS, collect, dataset, process
from tests.integration.simulated_recording import record_unsealed
from wban_collect import assembly
from wban_collect.clock import SystemClock
from wban_collect.simulation.adxl345 import SimulatedAdxl345
from wban_collect.simulation.bus import SimulatedI2CBus
from wban_collect.simulation.mpu6050 import SimulatedMpu6050
from wban_collect.simulation.people import one_activity
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.session import Session

WHO = ("--subject", "S01", "--activity", "eating")
FAST = ("--simulate", "--fast", "--duration", "2s")


def only_session(out: Path) -> Path:
    (folder,) = out.iterdir()
    return folder


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    """Give the folder of a whole session."""
    folder = record_unsealed(tmp_path_factory.mktemp("recordings"), "session", 5.0)
    seal(folder)
    return folder


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
    assert study.err.startswith("Error: ")  # no empty line before it
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
    config = motion_config(tmp_path)  # the camera that is missing as well may be named first
    done = process("start", *WHO, "--out", out, "--config", config)
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
    first.reopen()
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
