"""The unit and what else is put into /etc, looked at by systemd's own tools."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNIT = ROOT / "systemd" / "wban-collect.service"
HIGHEST_EXPOSURE = 2.0

NEEDED_CALLS = {
    "sched_setscheduler",  # SCHED_RR for the sensors' threads
    "ioprio_set",  # sealing gives way
    "setpriority",
    "clock_adjtime",  # is the clock synchronised: glibc's adjtimex
    "fallocate",  # the sealed copy's space
    "fdatasync",
    "flock",
    "ioctl",
    "execve",  # the sealing child
    "clone3",
    "sendto",  # systemd's notice
    "memfd_create",  # libcamera
}
FORBIDDEN_CALLS = {
    "mount",
    "ptrace",
    "init_module",
    "settimeofday",
    "clock_settime",
    "bpf",
    "setuid",
}


def tool(*command: object) -> subprocess.CompletedProcess[str]:
    """Run one of systemd's tools."""
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"{command[0]} is missing: apt-get install systemd")
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, check=False)


@pytest.fixture
def unit(tmp_path) -> Path:
    """Give the unit, with a program that is there on this machine."""
    text = UNIT.read_text()
    assert "ExecStart=/opt/wban/bin/wban-collect daemon " in text
    copy = tmp_path / UNIT.name
    copy.write_text(text.replace("/opt/wban/bin/wban-collect", "/bin/true"))
    return copy


def directives(path: Path) -> list[tuple[str, str]]:
    lines = [line.partition("=") for line in path.read_text().splitlines()]
    return [(key, value) for key, sign, value in lines if sign and not key.startswith("#")]


def test_systemd_finds_nothing_wrong_with_the_unit(unit):
    verified = tool("systemd-analyze", "verify", "--man=no", unit)
    assert verified.stderr == ""
    assert verified.returncode == 0


def test_the_unit_is_shut_as_far_as_sensors_allow(unit):
    report = tool("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    exposure = re.search(r"Overall exposure level for \S+: ([0-9.]+)", report.stdout)
    assert exposure, report.stdout + report.stderr
    assert float(exposure[1]) <= HIGHEST_EXPOSURE


def test_cameras_and_sensors_stay_allowed():
    settings = directives(UNIT)
    allowed = [value for key, value in settings if key == "DeviceAllow"]
    assert allowed == [
        "char-i2c rw",
        "char-gpiochip rw",
        "char-video4linux rw",
        "char-media rw",
        "char-dma_heap rw",
        "/dev/vcio rw",
    ]
    keys = {key for key, _value in settings}
    # They would forbid SCHED_RR, and the question whether the clock is synchronised.
    assert not keys & {"RestrictRealtime", "ProtectClock", "PrivateDevices"}
    assert ("LimitRTPRIO", "10") in settings


@pytest.mark.parametrize("path", [UNIT, ROOT / "firmware_config" / "99-wban.rules"], ids=str)
def test_every_line_has_its_reason_above_it(path):
    lines = path.read_text().splitlines()
    obvious = ("Description=", "ExecStart=", "WantedBy=", "After=")
    for above, line in pairwise(lines):
        if line.startswith(("#", "[", *obvious)) or not line:
            continue
        neighbour = above.startswith("SUBSYSTEM") and line.startswith("SUBSYSTEM")
        assert above.startswith("# ") or neighbour, f"{line} says not why"


def test_the_system_calls_that_the_recorder_makes_are_allowed():
    allowed = allowed_calls()
    assert allowed >= NEEDED_CALLS
    assert not allowed & FORBIDDEN_CALLS


@pytest.mark.skipif(os.geteuid() != 0, reason="files of several owners: run as root")
def test_accounts_and_folders_are_made_as_the_unit_wants_them(tmp_path):
    (tmp_path / "etc/wban").mkdir(parents=True)
    (tmp_path / "etc/group").write_text("root:x:0:\nvideo:x:44:\n")
    (tmp_path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tmp_path / "etc/wban/config.toml").write_text("")
    root = f"--root={tmp_path}"
    made = tool("systemd-sysusers", root, ROOT / "systemd" / "wban.sysusers.conf")
    assert made.returncode == 0, made.stderr
    lines = (tmp_path / "etc/group").read_text().splitlines()
    group = {line.split(":")[0]: line.split(":") for line in lines}
    assert group["video"] == ["video", "x", "44", "wban"]  # the one that was there
    assert {name for name, entry in group.items() if entry[3] == "wban"} == {"i2c", "gpio", "video"}
    passwd = (tmp_path / "etc/passwd").read_text().splitlines()[-1].split(":")
    assert passwd[0] == "wban"
    assert passwd[5:] == ["/var/lib/wban", "/usr/sbin/nologin"]
    made = tool("systemd-tmpfiles", root, "--create", ROOT / "systemd" / "wban.tmpfiles.conf")
    assert made.returncode == 0, made.stderr
    modes = {
        name: oct((tmp_path / name).stat().st_mode & 0o7777)
        for name in ("etc/wban", "etc/wban/config.toml", "var/lib/wban/recordings")
    }
    assert modes == {
        "etc/wban": "0o750",
        "etc/wban/config.toml": "0o640",
        "var/lib/wban/recordings": "0o750",
    }
    assert (tmp_path / "var/lib/wban/keys").stat().st_mode & 0o7777 == 0o700
    assert (tmp_path / "var/lib/wban/recordings").stat().st_uid == int(passwd[2])
    assert (tmp_path / "etc/wban").stat().st_gid == int(group["wban"][2])


def test_the_hardware_watchdog_is_within_what_the_pis_timer_can():
    settings = dict(directives(ROOT / "systemd" / "wban-watchdog.conf"))
    assert 0 < int(settings["RuntimeWatchdogSec"]) <= 15
    service = dict(directives(UNIT))
    # The grace that sensors get, and the time to stop, are within what systemd waits.
    assert int(service["TimeoutStartSec"]) > 30
    assert int(service["WatchdogSec"]) == 30
    assert service["StartLimitIntervalSec"] == "0"


def test_a_wheel_holds_every_file_of_the_packages(tmp_path):
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy2(ROOT / name, tree)
    for name in ("wban_collect", "wban_dataset", "systemd", "firmware_config"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tree / name, symlinks=True, ignore=ignored)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--disable-pip-version-check", "--no-deps"]
    command = [*pip, "--wheel-dir", str(tmp_path), str(tree)]
    built = subprocess.run(command, capture_output=True, text=True, check=False)
    if "Could not find a version" in built.stderr and "from versions: none" in built.stderr:
        pytest.skip(f"pip reaches no package index: {built.stderr.splitlines()[-1]}")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("wban-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        found = {name: archive.read(name) for name in archive.namelist()}
    for package in ("wban_collect", "wban_dataset"):
        for path in (tree / package).rglob("*"):
            if path.is_file():  # a link to a file is one: the wheel has what it leads to
                name = str(path.relative_to(tree))
                assert found.get(name) == path.read_bytes(), name
    unit = found["wban_collect/installation/files/wban-collect.service"]
    assert unit == UNIT.read_bytes()


def allowed_calls() -> set[str]:
    """Return the system calls that the unit's filters let through, in their order."""
    sets: dict[str, list[str]] = {}
    listing = tool("systemd-analyze", "syscall-filter", "--no-pager").stdout
    for line in listing.splitlines():
        if line.startswith("@"):
            members = sets.setdefault(line.strip(), [])
        elif line.startswith("    ") and not line.strip().startswith("#"):
            members.append(line.strip())

    def expanded(names: list[str]) -> set[str]:
        calls: set[str] = set()
        for name in names:
            calls |= expanded(sets[name]) if name.startswith("@") else {name}
        return calls

    allowed = expanded(["@default"])  # systemd.exec(5): always there
    for key, value in directives(UNIT):
        if key == "SystemCallFilter":
            calls = expanded(value.lstrip("~").split())
            allowed = allowed - calls if value.startswith("~") else allowed | calls
    return allowed
