"""What can go wrong while recording.

::

    WbanError
    ├── ConfigError          the configuration or a command's value is unusable
    ├── DeviceError          a device does not do what its data sheet says
    │   ├── DeviceNotFoundError   nothing answers, or another chip does
    │   └── DeviceDataError       it answered, with data that cannot be true
    ├── BusError             a transfer failed
    │   ├── AddressHeldError      a driver of the kernel holds the address
    │   └── BusOpenError          the bus cannot be opened
    │       └── BusPermissionError    it exists and may not be opened
    ├── CameraStackError     the camera software is missing or unusable
    ├── DaemonUnreachableError    no daemon answers
    └── StorageError         the session cannot be written

Every text names the thing, what was found, what was expected and the next step.
A caller's wrong argument stays `ValueError`.
"""

from __future__ import annotations


class WbanError(Exception):
    """Base of everything that the recorder raises on purpose."""


class ConfigError(WbanError):
    """The configuration or a command's value is unusable."""


class DeviceError(WbanError):
    """A device does not do what its data sheet says."""


class DeviceNotFoundError(DeviceError):
    """Nothing answers at the address, or another chip does."""


class DeviceDataError(DeviceError):
    """A device answered with data that cannot be true."""


class BusError(WbanError):
    """A transfer on a bus failed.

    `errno` is the kernel's: 121 not acknowledged, 110 timed out, 5 bus fault, 95 not possible.
    """

    def __init__(self, message: str, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


class AddressHeldError(BusError):
    """A driver of the kernel holds the address: two masters of one chip disturb each other."""


class BusOpenError(BusError):
    """The bus cannot be opened: it is absent, no I2C bus, or in use by another recorder."""


class BusPermissionError(BusOpenError):
    """The bus exists and may not be opened."""


class CameraStackError(WbanError):
    """The camera software is missing or unusable."""


class DaemonUnreachableError(WbanError):
    """No daemon answers."""


class StorageError(WbanError):
    """The session cannot be written."""


def unexpected(error: Exception) -> DeviceError:
    """Wrap what a driver should never raise, so that it is treated as the device's failure."""
    return DeviceError(
        f"unexpected {type(error).__name__} ({error}), expected none: a defect of wban. Run "
        "'wban-collect -v start ...' for the place, and report it."
    )
