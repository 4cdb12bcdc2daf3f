"""`LinuxI2CBus` and the drivers above it, through real ioctls on a fake /dev/i2c-1 (umockdev)."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[2]
SYSTEM_PYTHON = "/usr/bin/python3"
PACKAGES = "apt install umockdev python3-gi gir1.2-umockdev-1.0"

pytestmark = pytest.mark.system


def missing() -> str:
    """Why the fake bus cannot be had here, or ""."""
    if shutil.which("umockdev-wrapper") is None:
        return f"umockdev-wrapper is not installed ({PACKAGES})"
    probe = "import gi; gi.require_version('UMockdev', '1.0'); from gi.repository import UMockdev"
    found = subprocess.run([SYSTEM_PYTHON, "-c", probe], capture_output=True, check=False)
    return f"{SYSTEM_PYTHON} has no bindings of umockdev ({PACKAGES})" if found.returncode else ""


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """What each function of client.py found."""
    reason = missing()
    if reason:
        pytest.skip(reason)
    command = [
        *("umockdev-wrapper", SYSTEM_PYTHON, HERE / "fake_adapter.py"),
        *(sys.executable, HERE / "chip_server.py", "--"),
        *(sys.executable, HERE / "client.py"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_nothing_lost_unnoticed(stream: dict[str, Any]) -> None:
    """Blocks follow one another; the world's count along x grows by one per 10 ms sample."""
    for first, n, following in zip(
        stream["first_index"], stream["n"], stream["first_index"][1:], strict=False
    ):
        assert first + n == following
    steps = [
        (later[0] - earlier[0]) % 500
        for earlier, later in zip(stream["data"], stream["data"][1:], strict=False)
    ]
    assert sum(step != 1 for step in steps) == len(stream["segments"]) - 1


def test_write_and_write_read_are_one_transaction_each(results: dict[str, Any]) -> None:
    transfers = results["transfers"]
    assert transfers["registers"] == "010203"
    assert transfers["device_id"] == "e5"
    assert transfers["after_reopen"] == "010203"
    assert transfers["closed"][0] == "BusError"


@pytest.mark.parametrize(
    ("what", "errno", "advice"),
    [
        ("0x70", 121, "i2cdetect -y 1"),
        ("0x71", 110, "held low"),
        ("0x72", 5, "pull-ups"),
        ("0x73", 6, "nobody answers"),
        ("0x74", 19, "the bus is gone"),
        ("two reads", 95, "one read message"),
    ],
)
def test_a_failed_transfer_keeps_its_errno_and_says_what_to_do(
    results: dict[str, Any], what: str, errno: int, advice: str
) -> None:
    kind, found, text = results["errors"][what]
    assert (kind, found) == ("BusError", errno)
    assert "/dev/i2c-1" in text
    assert advice in text


def test_a_second_recorder_on_the_bus_is_refused_until_the_first_closes(
    results: dict[str, Any],
) -> None:
    kind, errno, text = results["opening"]["second"]
    assert (kind, errno) == ("BusOpenError", 16)
    assert "in use by another recorder" in text
    assert results["opening"]["after close"] == []


def test_what_cannot_be_opened_is_explained(results: dict[str, Any]) -> None:
    absent, no_bus = results["opening"]["absent"], results["opening"]["no bus"]
    assert absent[:2] == ["BusOpenError", 2]
    assert "dtparam=i2c_arm=on" in absent[2]
    assert no_bus[:2] == ["BusOpenError", 25]
    assert "not an I2C bus" in no_bus[2]


def test_the_adxl345_driver_records_every_sample(results: dict[str, Any]) -> None:
    stream = results["accelerometer"]["before"]
    assert len(stream["data"]) > 30
    assert {tuple(sample[1:]) for sample in stream["data"]} == {(0, 256)}
    assert_nothing_lost_unnoticed(stream)


def test_the_adxl345_driver_comes_back_after_it_was_unplugged(results: dict[str, Any]) -> None:
    accelerometer = results["accelerometer"]
    assert accelerometer["unplugged"][:2] == ["BusError", 121]
    assert accelerometer["absent"][0] == "DeviceNotFoundError"
    before, after = accelerometer["before"], accelerometer["after"]
    assert after["first_index"][0] == before["first_index"][-1] + before["n"][-1]
    assert after["gaps"][0] == "bus error"
    assert after["segments"][0] == before["segments"][-1] + 1
    assert_nothing_lost_unnoticed(after)


def test_the_mpu6050_driver_reads_a_6500_in_bursts(results: dict[str, Any]) -> None:
    gyroscope = results["gyroscope"]
    assert gyroscope["model"] == "MPU-6500"
    # 1 rad/s is 57.2958 degrees per second, at 32.8 counts each.
    assert {tuple(sample) for sample in gyroscope["gyro"]["data"]} == {(1879, 1879, 1879)}
    assert {tuple(sample[1:]) for sample in gyroscope["accel"]["data"]} == {(0, 4096)}
    assert gyroscope["accel"]["first_index"] == gyroscope["gyro"]["first_index"]
