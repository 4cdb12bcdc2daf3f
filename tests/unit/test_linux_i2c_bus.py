"""`LinuxI2CBus` without a bus: what sysfs says, what is locked, what is refused."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from pathlib import Path

import pytest
from smbus2 import SMBus

from wban_collect.errors import AddressHeldError, BusError, BusOpenError, BusPermissionError
from wban_collect.i2c import LinuxI2CBus


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that opens as a bus."""
    monkeypatch.setattr(SMBus, "_get_funcs", lambda _: 0)
    path = tmp_path / "i2c-3"
    path.touch()
    return path


def opened(device: int | str | Path) -> LinuxI2CBus:
    """A bus that is open already."""
    bus = LinuxI2CBus(device)
    bus.reopen()
    return bus


def test_the_nominal_rate_is_the_device_trees_big_endian_word(device: Path, tmp_path: Path) -> None:
    node = tmp_path / "sys/class/i2c-adapter/i2c-3/of_node"
    node.mkdir(parents=True)
    bus = LinuxI2CBus(device, sysfs=tmp_path / "sys")
    assert bus.nominal_hz() is None
    (node / "clock-frequency").write_bytes(bytes((0x00, 0x06, 0x1A, 0x80)))
    assert bus.nominal_hz() == 400_000
    bus.close()


def test_a_bound_kernel_driver_is_named(device: Path, tmp_path: Path) -> None:
    chip = tmp_path / "sys/bus/i2c/devices/3-0053"
    driver = tmp_path / "sys/bus/i2c/drivers/adxl345_i2c"
    chip.mkdir(parents=True)
    driver.mkdir(parents=True)
    bus = LinuxI2CBus(device, sysfs=tmp_path / "sys")
    assert bus.kernel_driver(0x53) is None
    (chip / "driver").symlink_to(driver)
    assert bus.kernel_driver(0x53) == "adxl345_i2c"
    assert bus.kernel_driver(0x68) is None
    with pytest.raises(AddressHeldError, match="driver adxl345_i2c holds it"):
        bus.write(0x53, b"\0")
    bus.close()


def test_a_second_recorder_is_refused_and_may_open_once_the_first_has_closed(device: Path) -> None:
    first = opened(device)
    with pytest.raises(BusError, match="in use by another recorder") as refusal:
        opened(device)
    assert refusal.value.errno == errno.EBUSY
    first.close()
    opened(device).close()


def test_reopening_keeps_the_bus_for_this_recorder(device: Path) -> None:
    first = opened(device)
    first.reopen()
    with pytest.raises(BusError, match="in use by another recorder"):
        opened(device)
    first.close()


def test_where_the_device_cannot_be_locked_a_file_stands_for_it(
    device: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_flock, device_number = fcntl.flock, device.stat().st_ino

    def refuse_device(descriptor: int, operation: int) -> None:
        if os.fstat(descriptor).st_ino == device_number:
            raise OSError(errno.EOPNOTSUPP, "no locks here")
        real_flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", refuse_device)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    first = opened(device)
    with pytest.raises(BusError, match="in use by another recorder"):
        opened(device)
    first.close()
    opened(device).close()


@pytest.mark.parametrize(
    ("code", "kind", "advice"),
    [
        (errno.EACCES, BusPermissionError, "usermod -aG i2c"),
        (errno.EPERM, BusPermissionError, "DeviceAllow="),
        (errno.ENOENT, BusOpenError, "dtparam=i2c_arm=on"),
        (errno.ENXIO, BusOpenError, "i2cdetect -l"),
        (errno.EMFILE, BusOpenError, "Too many open files"),
    ],
)
def test_what_cannot_be_opened_is_explained(
    monkeypatch: pytest.MonkeyPatch, code: int, kind: type[BusError], advice: str
) -> None:
    def refuse(_: SMBus, bus: str) -> None:
        raise OSError(code, os.strerror(code), bus)

    monkeypatch.setattr(SMBus, "open", refuse)
    with pytest.raises(BusError, match=r"/dev/i2c-1 cannot be opened") as refusal:
        opened(1)
    assert type(refusal.value) is kind
    assert refusal.value.errno == code
    assert advice in str(refusal.value)


def test_an_unusual_errno_keeps_the_kernels_words(
    device: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    bus = opened(device)
    monkeypatch.setattr(SMBus, "i2c_rdwr", fail)
    with pytest.raises(BusError, match=r"address 0x53: error 11, Resource temporarily") as failure:
        bus.write(0x53, b"\x00")
    assert failure.value.errno == errno.EAGAIN
    bus.close()
