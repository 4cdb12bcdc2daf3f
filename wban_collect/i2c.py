"""I2C: the border to the kernel, and the one place that knows its rules.

bcm2835 (the Pi's controller) takes one read message per transaction, and it must be the last;
"register, then read" is one transaction with a repeated start.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, Protocol

from wban_collect.errors import (
    AddressHeldError,
    BusError,
    BusOpenError,
    BusPermissionError,
)

if TYPE_CHECKING:
    from smbus2 import SMBus, i2c_msg

log = logging.getLogger(__name__)

SYSFS = Path("/sys")

OPEN_HINTS = {
    errno.EACCES: "permission denied. Add the user to the group i2c "
    "('sudo usermod -aG i2c $USER'), log in again, and check the mode with 'ls -l {device}'.",
    errno.EPERM: "not permitted. Allow the device for the service (systemd: DeviceAllow={device} "
    "rw), or add the user to the group i2c.",
    errno.ENOENT: "there is no such bus. Enable I2C (dtparam=i2c_arm=on in "
    "/boot/firmware/config.txt, 'sudo modprobe i2c-dev', reboot); 'i2cdetect -l' lists the buses.",
    errno.ENOTTY: "this is not an I2C bus. Expected a number such as 1, or a device such as "
    "/dev/i2c-1.",
    errno.ENXIO: "the bus's adapter is gone. Check the overlay in /boot/firmware/config.txt; "
    "'i2cdetect -l' lists the buses.",
}
OPEN_HINTS[errno.ENODEV] = OPEN_HINTS[errno.ENXIO]

TRANSFER_HINTS = {
    errno.EREMOTEIO: "not acknowledged. Check the power, the wiring and the address "
    "('i2cdetect -y N').",
    errno.ENXIO: "nobody answers, or the bus is gone. Check the power, the wiring and the address "
    "('i2cdetect -y N').",
    errno.ENODEV: "the bus is gone. Check the overlay or the USB adapter; 'i2cdetect -l' lists "
    "the buses.",
    errno.ETIMEDOUT: "the bus did not finish in time. A line is held low, or the chip stretches "
    "the clock: check the pull-ups, then cycle the sensor's power.",
    errno.EIO: "bus fault (a clock time-out or a broken transfer). Check the cable's length and "
    "the pull-ups, or lower i2c_arm_baudrate.",
    errno.EOPNOTSUPP: "the controller cannot do this in one transaction. The Pi's takes one read "
    "message, and it must be the last.",
}


class I2CBus(Protocol):
    """One I2C bus. Every method is one transaction; failures raise `BusError` with the errno."""

    def write(self, address: int, data: bytes) -> None:
        """Send `data` to the chip at 7-bit `address`."""
        ...

    def write_read(self, address: int, data: bytes, n_bytes: int) -> bytes:
        """Send `data`, repeat the start, read `n_bytes`; nothing else gets in between."""
        ...

    def reopen(self) -> None:
        """Close and open the bus again, for recovery after errors."""
        ...

    def close(self) -> None:
        """Give the bus back."""
        ...


class LinuxI2CBus:
    """A bus of the kernel's i2c-dev interface, opened for this recorder alone.

    It is opened by the first transfer, so that one that is missing fails like a chip that is: the
    other buses go on, and it is tried again.

    The lock is advisory (flock on the opened device): it keeps a second recorder away from the
    same chips, since two readers of one FIFO would each get half of the samples.

    Parameters
    ----------
    bus
        Number of the bus (1 is ``/dev/i2c-1``) or path of its device.
    sysfs
        Where sysfs is mounted.
    """

    def __init__(self, bus: int | str | Path, *, sysfs: Path = SYSFS) -> None:
        self.device = Path(f"/dev/i2c-{bus}") if isinstance(bus, int) else Path(bus)
        self._sysfs = sysfs
        self._smbus: SMBus | None = None
        self._lock_file: int | None = None
        self._free: set[int] = set()
        self._closed = False

    def write(self, address: int, data: bytes) -> None:
        """Send `data` to the chip at 7-bit `address`."""
        from smbus2 import i2c_msg

        self._transfer(address, i2c_msg.write(address, data))

    def write_read(self, address: int, data: bytes, n_bytes: int) -> bytes:
        """Send `data`, repeat the start, read `n_bytes`, in one transaction."""
        from smbus2 import i2c_msg

        answer = i2c_msg.read(address, n_bytes)
        self._transfer(address, i2c_msg.write(address, data), answer)
        return bytes(answer)

    def reopen(self) -> None:
        """Close the bus if it is open, and open and lock it (anew).

        Raises
        ------
        BusOpenError
            If it is absent, no I2C bus, may not be opened, or is in use (errno EBUSY).
        """
        self._release()
        self._closed = False
        self._smbus = self._opened()

    def _opened(self) -> SMBus:
        from smbus2 import SMBus

        smbus = SMBus()
        try:
            smbus.open(str(self.device))
            if smbus.fd is not None:
                self._lock(smbus.fd)
        except OSError as error:
            smbus.close()
            self._refuse(error)
        except BusError:
            smbus.close()
            raise
        return smbus

    def close(self) -> None:
        """Give the bus and its lock back until `reopen`; may be called twice."""
        self._closed = True
        self._release()

    def _release(self) -> None:
        if self._smbus is not None:
            # A device that is gone may answer even close() with an error; the descriptor is free.
            with contextlib.suppress(OSError):
                self._smbus.close()
            self._smbus = None
        if self._lock_file is not None:
            os.close(self._lock_file)
            self._lock_file = None

    def nominal_hz(self) -> int | None:
        """Clock frequency that the device tree asks for, or None where there is none.

        The true one is at most this: on a Pi 4 whose core clock idles it is 0.4 of it.
        """
        node = self._sysfs / "class/i2c-adapter" / self.device.name / "of_node/clock-frequency"
        try:
            value = node.read_bytes()
        except OSError:
            return None
        return int.from_bytes(value, "big") if len(value) == 4 else None

    def kernel_driver(self, address: int) -> str | None:
        """Name of the kernel driver that is bound to the chip at `address`, or None.

        Such a driver reads the same FIFO behind our back.
        """
        number = self.device.name.removeprefix("i2c-")
        link = self._sysfs / f"bus/i2c/devices/{number}-{address:04x}/driver"
        try:
            return link.resolve(strict=True).name
        except OSError:
            return None

    def _transfer(self, address: int, *messages: i2c_msg) -> None:
        if address not in self._free:
            self._refuse_held(address)
        if self._closed:
            raise BusError(f"{self.device} is closed; open it with reopen().", errno.EBADF)
        if self._smbus is None:
            self._smbus = self._opened()
        try:
            self._smbus.i2c_rdwr(*messages)
        except OSError as error:
            code = error.errno or 0
            hint = TRANSFER_HINTS.get(code, f"{error.strerror}.")
            hint = hint.replace("-y N", f"-y {self.device.name.removeprefix('i2c-')}")
            raise BusError(
                f"{self.device}, address 0x{address:02x}: error {code}, {hint}", code
            ) from error

    def _refuse_held(self, address: int) -> None:
        """Leave a chip alone that belongs to a driver of the kernel; asked once an address."""
        driver = self.kernel_driver(address)
        if driver is not None:
            raise AddressHeldError(
                f"{self.device}, address 0x{address:02x}: the kernel's driver {driver} holds it, "
                "expected it free. Remove its dtoverlay line from config.txt and reboot.",
                errno.EBUSY,
            )
        self._free.add(address)

    def _lock(self, descriptor: int) -> None:
        """Take the bus for this recorder."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._refuse_second(error)
        except OSError:
            # Some device nodes cannot be locked themselves; then a file stands for them.
            self._lock_beside()

    def _lock_beside(self) -> None:
        name = f"wban-{str(self.device).strip('/').replace('/', '-')}.lock"
        path = Path(tempfile.gettempdir()) / name
        # No O_TRUNC, O_NOFOLLOW: the folder is everybody's.
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._lock_file = os.open(path, flags, 0o666)
        except OSError as error:
            log.warning("%s cannot be locked (%s): make sure no other recorder runs.", path, error)
            return
        try:
            fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._lock_file)
            self._lock_file = None
            self._refuse_second(error)

    def _refuse_second(self, error: OSError) -> NoReturn:
        raise BusOpenError(
            f"{self.device} is in use by another recorder; two would take each other's samples. "
            "Stop the other one first ('systemctl status wban-collect', 'pgrep -af wban-collect').",
            errno.EBUSY,
        ) from error

    def _refuse(self, error: OSError) -> NoReturn:
        code = error.errno or 0
        hint = OPEN_HINTS.get(code, f"{error.strerror}.").format(device=self.device)
        kind = BusPermissionError if code in (errno.EACCES, errno.EPERM) else BusOpenError
        raise kind(f"{self.device} cannot be opened: {hint}", code) from error
