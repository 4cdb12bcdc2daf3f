"""Importing a package loads nothing; acquisition loads no HDF5, in a fresh interpreter."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

import wban_collect
import wban_dataset

COLLECT = Path(sysconfig.get_path("scripts")) / "wban-collect"

HEAVY = {
    "adafruit_mlx90640",
    "board",
    "busio",
    "dask",
    "gpiod",
    "h5py",
    "matplotlib",
    "pandas",
    "picamera2",
    "scipy",
    "sklearn",
    "smbus2",
    "torch",
    "xarray",
    "zmq",
}


def packages(root) -> list[str]:
    found = pkgutil.walk_packages(root.__path__, f"{root.__name__}.")
    return [root.__name__, *(module.name for module in found if module.ispkg)]


ACQUISITION = [
    "wban_collect.recorder",
    "wban_collect.storage",
    "wban_collect.bus",
    "wban_collect.frames",
    "wban_collect.worker",
    "wban_collect.housekeeping",
    "wban_collect.keeping.sealing",
    "wban_collect.assembly",
    "wban_collect.plan",
    "wban_collect.i2c",
    "wban_collect.gpio",
    "wban_collect.cli.main",
    "wban_collect.cli.start",
]


def loaded_by(code: str) -> set[str]:
    """Names of the top-level modules that a fresh interpreter has loaded after `code`."""
    report = "import sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{code}\n{report}"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(done.stdout.split())


def test_the_check_sees_what_is_loaded():
    assert "h5py" in loaded_by("import wban_dataset.recording.sealing")


def test_importing_a_package_loads_nothing_that_is_not_in_the_standard_library():
    names = [*packages(wban_collect), *packages(wban_dataset)]
    assert "wban_collect.devices" in names
    assert "wban_dataset.recording" in names
    before = loaded_by("")
    loaded = loaded_by("; ".join(f"import {name}" for name in names))
    foreign = loaded - before - sys.stdlib_module_names - {"wban_collect", "wban_dataset"}
    assert not foreign


@pytest.mark.parametrize("group", [ACQUISITION[:6], ACQUISITION[6:]], ids=["recorder", "commands"])
def test_acquisition_loads_neither_hdf5_nor_hardware_nor_analysis(group):
    loaded = loaded_by("; ".join(f"import {name}" for name in group))
    assert not loaded & HEAVY


def test_the_session_reader_needs_no_collector_and_no_analysis():
    loaded = loaded_by("import wban_dataset.recording.session, wban_dataset.cli.main")
    assert not loaded & ((HEAVY - {"h5py"}) | {"wban_collect"})


def test_help_of_the_recorder_loads_neither_hdf5_nor_drawing():
    done = subprocess.run(
        [sys.executable, "-X", "importtime", COLLECT, "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = {
        line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()
    }
    assert "click" in loaded
    assert not loaded & HEAVY


def test_a_recording_in_real_time_never_loads_hdf5(tmp_path):
    """Simulated chips on the machine's clock: the recorder's own process, sealing included."""
    words = ["wban-collect", "start", "--simulate", "--subject", "S01", "--activity", "eating"]
    words += ["--duration", "1s", "--out", str(tmp_path)]
    loaded = loaded_by(
        f"import contextlib, io, sys\nsys.argv = {words!r}\n"
        "from wban_collect.cli.main import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    main()\n"
    )
    assert list(tmp_path.glob("*/session.h5"))
    assert not loaded & HEAVY
