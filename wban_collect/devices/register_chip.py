"""A chip with 8-bit registers: the conversation that all such drivers share."""

from __future__ import annotations

import errno
from collections.abc import Mapping

from wban_collect.errors import BusError, DeviceError, DeviceNotFoundError
from wban_collect.i2c import I2CBus

NOBODY_THERE = (errno.EREMOTEIO, errno.ENXIO)
"""Errors of a transfer that no chip acknowledged; which one depends on the controller."""


class RegisterChip:
    """One chip at one address whose register pointer moves on by itself.

    Parameters
    ----------
    title
        How errors name the chip, e.g. ``ADXL345``.
    """

    def __init__(self, bus: I2CBus, address: int, title: str) -> None:
        self._bus = bus
        self._address = address
        self.place = f"{title} at I2C address 0x{address:02x}"

    def read(self, register: int, n_bytes: int) -> bytes:
        """Read the registers from `register` on, in one transaction.

        Raises
        ------
        BusError
            If the transfer failed, or brought fewer bytes than asked.
        """
        answer = self._bus.write_read(self._address, bytes((register,)), n_bytes)
        if len(answer) != n_bytes:
            raise BusError(
                f"{self.place}: read {len(answer)} bytes from register 0x{register:02x}, "
                f"expected {n_bytes}.",
                errno.EIO,
            )
        return answer

    def read_byte(self, register: int) -> int:
        """Read one register."""
        return self.read(register, 1)[0]

    def write(self, register: int, value: int) -> None:
        """Set one register."""
        self._bus.write(self._address, bytes((register, value)))

    def identify(self, register: int) -> int:
        """Read the register that says what the chip is.

        Raises
        ------
        DeviceNotFoundError
            If nobody answers at the address.
        """
        try:
            return self.read_byte(register)
        except BusError as error:
            if error.errno not in NOBODY_THERE:
                raise
            raise DeviceNotFoundError(
                f"{self.place}: nobody answers. Check the power, the wiring and the address; "
                "'i2cdetect -y 1' lists the addresses that answer on bus 1."
            ) from error

    def configure(self, settings: Mapping[int, int]) -> None:
        """Write registers, in the order given."""
        for register, value in settings.items():
            self.write(register, value)

    def verify(self, settings: Mapping[int, int]) -> None:
        """Read registers back.

        Raises
        ------
        DeviceError
            If one does not hold what was written.
        """
        for register, expected in settings.items():
            found = self.read_byte(register)
            if found != expected:
                raise DeviceError(
                    f"{self.place}: register 0x{register:02x} reads 0x{found:02x} after set-up, "
                    f"expected 0x{expected:02x}. The chip is a clone, or the bus garbles: check "
                    "the supply, the cable's length and the pull-ups."
                )
