"""The core install: light, and from wheels on a Pi."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CORE = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
LIMIT_BYTES = 35_000_000


def pip_download(folder: Path, python: str) -> subprocess.CompletedProcess[str]:
    platforms = [
        argument
        for tag in ("manylinux_2_28", "manylinux_2_27", "manylinux_2_26", "manylinux_2_17")
        for argument in ("--platform", f"{tag}_aarch64")
    ]
    return subprocess.run(
        [
            sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check",
            "--only-binary=:all:", "--implementation", "cp", "--python-version", python,
            *platforms, "--platform", "manylinux2014_aarch64", "--dest", str(folder), *CORE,
        ],
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip


@pytest.mark.parametrize("python", ["3.11", "3.13"])
def test_every_core_dependency_has_a_wheel_for_the_pi(python, tmp_path):
    result = pip_download(tmp_path, python)
    if "Could not find a version" in result.stderr and "from versions: none" in result.stderr:
        pytest.skip(f"pip reaches no package index: {result.stderr.splitlines()[-1]}")
    assert result.returncode == 0, result.stderr
    sizes = {wheel.name: wheel.stat().st_size for wheel in tmp_path.glob("*.whl")}
    assert len(sizes) >= len(CORE)
    assert sum(sizes.values()) < LIMIT_BYTES, json.dumps(sizes, indent=1)
