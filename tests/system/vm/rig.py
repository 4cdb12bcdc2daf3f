"""The machine's disk, with wban installed on it by its own installer, offline.

``python -m tests.system.vm.rig`` brings it up to date; the tests and power cuts do so themselves.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.system.vm.machine import Machine

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
RIG = Path(os.environ.get("WBAN_VM_RIG") or REPOSITORY / ".rig" / "vm")

RECORDINGS = "/var/lib/wban/recordings"
ACKNOWLEDGED = "acknowledged.jsonl"
"""In the folder that is shared with the machine: one line for every fsync."""

PACKAGED = ("wban_collect", "wban_dataset", "systemd", "firmware_config")
PACKAGED_FILES = ("pyproject.toml", "README.md", "LICENSE")
OURS = ("config.toml", "drop_in.conf", "rig.py")
TOOLS = ("qemu-system-x86_64", "debugfs", "e2fsck", "nbdkit")

BOOT_S, INSTALL_S = 180.0, 900.0
"""Generous: an emulated processor on a machine that does other things as well."""

INSTALLER = (
    "import sys; sys.path.insert(0, '/host/installer'); "
    "from wban_collect.cli.main import main; main()"
)
"""wban runs from a folder, as from a user's own environment; PYTHONPATH would mislead its pip."""


def cannot_run() -> str:
    """Say why the machine cannot be used here, or nothing."""
    if not (RIG / "stamp").is_file():
        return f"no emulated machine in {RIG}: make it with 'make vm-rig' (root, about a minute)"
    missing = [tool for tool in TOOLS if shutil.which(tool, path=_path()) is None]
    if missing:
        return f"{missing[0]} is missing: apt-get install qemu-system-x86 e2fsprogs nbdkit"
    return ""


def installed_disk(log: IO[str]) -> Path:
    """Give the image with this tree's wban on it, made anew when the tree or the rig changed."""
    disk, stamp = RIG / "installed.img", RIG / "installed.stamp"
    wanted = _fingerprint()
    if not disk.exists() or not stamp.exists() or stamp.read_text() != wanted:
        stamp.unlink(missing_ok=True)
        part = disk.with_suffix(".part")
        copy_disk(RIG / "disk.img", part)
        with shared_folder() as share:
            _fill(share)
            _install(part, share, log)
        part.replace(disk)
        stamp.write_text(wanted)
    return disk


def copy_disk(source: Path, target: Path) -> None:
    """Copy an image; its holes stay holes."""
    subprocess.run(["cp", "--sparse=always", str(source), str(target)], check=True)


@contextmanager
def shared_folder() -> Generator[Path]:
    """Give a folder that the machine sees as /host, and any account there may write into."""
    with tempfile.TemporaryDirectory(prefix="wban-vm-share-") as folder:
        path = Path(folder)
        path.chmod(0o777)
        yield path


def _install(disk: Path, share: Path, log: IO[str]) -> None:
    """Boot a bare Debian, have wban install itself, configure it, shut down."""
    with Machine(RIG, disk, share, log=log) as machine:
        machine.wait_for("RIG-BOOTED", BOOT_S)
        begun_s = time.monotonic()
        command = f'python3 -c "{INSTALLER}" install --wheels /host/wheels --yes'
        log.write(machine.check(command, INSTALL_S))
        log.write(f"installed in {time.monotonic() - begun_s:.0f} s\n")
        again = machine.check(command, INSTALL_S)
        if "Nothing to do" not in again:
            raise AssertionError(f"a second installation found something to do: {again}")
        drop_ins = "/etc/systemd/system/wban-collect.service.d"
        machine.check(
            f"mkdir -p {drop_ins} && cp /host/drop_in.conf {drop_ins}/ && "
            "cp /host/config.toml /etc/wban/config.toml && "
            "wban-collect config check --config /etc/wban/config.toml"
        )
        machine.power_off()


def _fill(share: Path) -> None:
    """Put the wheels there, wban unpacked for its installer, and the configuration."""
    wheels, installer = share / "wheels", share / "installer"
    shutil.copytree(RIG / "wheels", wheels)
    with tempfile.TemporaryDirectory() as folder:
        # Built from a copy: setuptools leaves its scratch folder beside the sources.
        source = Path(folder)
        for name in PACKAGED:
            shutil.copytree(
                REPOSITORY / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
            )
        for name in PACKAGED_FILES:
            shutil.copy(REPOSITORY / name, source / name)
        _pip("wheel", "--no-deps", "--wheel-dir", str(wheels), str(source))
    into = ("--target", str(installer), "--no-index", "--find-links", str(wheels))
    for_machine = ("--only-binary=:all:", "--implementation=cp", "--python-version=3.11")
    manylinux = [f"--platform=manylinux_2_{number}_x86_64" for number in (17, 28)]
    _pip("install", *into, *for_machine, *manylinux, "--platform=manylinux2014_x86_64", "wban")
    for name in ("config.toml", "drop_in.conf"):
        shutil.copy(HERE / name, share / name)


def _pip(*arguments: str) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"{' '.join(command)}: {done.stderr}")


def _fingerprint() -> str:
    """Name what the image is made from."""
    digest = hashlib.sha256((RIG / "stamp").read_bytes())
    files = [REPOSITORY / name for name in PACKAGED_FILES] + [HERE / name for name in OURS]
    for name in PACKAGED:
        files += [path for path in (REPOSITORY / name).rglob("*") if path.is_file()]
    for path in sorted(files):
        if "__pycache__" not in path.parts:
            digest.update(f"{path.relative_to(REPOSITORY)}\0".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _path() -> str:
    """Where commands are: Debian keeps those of e2fsprogs from ordinary users' paths."""
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


if __name__ == "__main__":
    print(installed_disk(sys.stdout))
