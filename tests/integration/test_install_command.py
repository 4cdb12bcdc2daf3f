"""The service's environment, made offline from a folder of wheels by the system's Python."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from wban_collect.installation.environment import (
    PACKAGES,
    Environment,
    Source,
    running_package,
    wheel_source,
)
from wban_collect.installation.step import InstallationError

PYTHON = getattr(sys, "_base_executable", sys.executable)
INFO = f"wban-{version('wban')}.dist-info"
ENTRY_POINTS = """[console_scripts]
wban-collect = wban_collect.cli.main:main
wban-dataset = wban_dataset.cli.main:main
"""


def make_wheel(folder: Path, *, extra: str = "") -> Path:
    """Pack the running packages as a wheel that needs nothing else."""
    wheel = folder / f"wban-{version('wban')}-py3-none-any.whl"
    files = {
        f"{INFO}/METADATA": f"Metadata-Version: 2.1\nName: wban\nVersion: {version('wban')}\n",
        f"{INFO}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{INFO}/entry_points.txt": ENTRY_POINTS,
    }
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in PACKAGES:
            package = running_package(name)
            for path in package.rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts:
                    archive.write(path, path.relative_to(package.parent))
                    files[str(path.relative_to(package.parent))] = ""
        if extra:
            archive.writestr(extra, "")
            files[extra] = ""
        for name, text in files.items():
            if name.startswith(INFO):
                archive.writestr(name, text)
        record = "".join(f"{name},,\n" for name in [*files, f"{INFO}/RECORD"])
        archive.writestr(f"{INFO}/RECORD", record)
    return wheel


def said_by(folder: Path, code: str) -> str:
    command = [folder / "bin" / "python", "-I", "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_environment_is_made_once_sees_the_system_and_is_mended(tmp_path):
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    wheel = make_wheel(wheels)
    folder = tmp_path / "opt" / "wban"
    made = Environment(folder, wheel_source(wheels), PYTHON)

    change = made.change()
    assert change is not None
    assert change.summary.startswith(f"make the environment {folder} ")
    assert str(wheel) in change.summary
    made.apply()
    assert made.change() is None
    assert "include-system-site-packages = true" in (folder / "pyvenv.cfg").read_text()
    place = said_by(folder, "import wban_collect; print(wban_collect.__file__)")
    assert place.startswith(str(folder))

    # Another content under the same version, as after an update while wban is developed.
    (Path(place).parent / "clock.py").write_text("# of last week\n")
    change = made.change()
    assert change is not None
    assert change.summary.startswith("install wban ")
    made.apply()
    assert made.change() is None

    # The system was upgraded: the Python that the environment was made for is gone.
    (folder / "bin" / "python").unlink()
    change = made.change()
    assert change is not None
    assert change.summary.startswith("make the environment ")


def test_a_wheel_of_the_same_version_and_other_content_is_refused(tmp_path):
    make_wheel(tmp_path, extra="wban_collect/of_another_day.py")
    environment = Environment(tmp_path / "wban", wheel_source(tmp_path), PYTHON)
    with pytest.raises(InstallationError, match="expected the same files"):
        environment.apply()


def test_pip_that_finds_nothing_is_one_sentence(tmp_path):
    source = Source("wban==99.0", ("--no-index", "--find-links", str(tmp_path)))
    with pytest.raises(InstallationError, match="No matching distribution found") as caught:
        Environment(tmp_path / "wban", source, PYTHON).apply()
    assert "\n" not in str(caught.value)
