"""The camera device on the real picamera2 and libcamera, in a Debian root made for it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
RIG = Path(os.environ.get("WBAN_CAMERA_RIG") or REPOSITORY / ".rig" / "camera")

pytestmark = pytest.mark.system


def in_rig(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [HERE / "in_rig.sh", RIG, REPOSITORY, *command],
        check=False,
        capture_output=True,
        text=True,
    )


def cannot_run() -> str:
    """Say why the rig cannot be used here, or nothing."""
    if not (RIG / "opt" / "rig" / "picamera2").is_dir():
        return f"no camera rig in {RIG}: make it with 'make camera-rig' (root, about 2 minutes)"
    if os.geteuid() != 0:
        return "the camera rig is entered with chroot: run as root"
    entered = in_rig("true")
    if entered.returncode != 0:
        return f"the camera rig cannot be entered: {entered.stderr.strip()}"
    return ""


def test_the_camera_device_on_the_real_picamera2():
    reason = cannot_run()
    if reason and os.environ.get("WBAN_CI") == "1":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    cases = "tests/system/camera/picamera2_cases"
    run = in_rig("python3", "-m", "pytest", "-c", f"{cases}.ini", f"{cases}.py")
    assert run.returncode == 0, f"{run.stdout}\n{run.stderr}"
    passed = re.search(r"(\d+) passed", run.stdout)
    assert passed, run.stdout
    assert int(passed[1]) == 8, run.stdout
