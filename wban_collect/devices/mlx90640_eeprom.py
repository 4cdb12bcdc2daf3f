"""The copy of each MLX90640's EEPROM that every start is compared with.

Bits read wrongly (a fast or long bus) or lost in the chip change temperatures without a trace; the
copy, one file of 1664 bytes per device id, finds both.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wban_collect.devices.mlx90640_registers import (
    DEVICE_ID_WORDS,
    DEVICE_SELECT_MLX90641,
    DEVICE_SELECT_WORD,
    N_EEPROM_WORDS,
)
from wban_collect.errors import DeviceDataError, DeviceNotFoundError

log = logging.getLogger(__name__)

Words = NDArray[np.uint16]


def device_id(eeprom: Words) -> str:
    """48 bit serial number, 12 hexadecimal digits."""
    return "".join(f"{int(word):04x}" for word in eeprom[DEVICE_ID_WORDS])


def check_eeprom(eeprom: Words, place: str) -> None:
    """Refuse what cannot be an MLX90640's EEPROM; bad pixels are no reason.

    Raises
    ------
    DeviceDataError
        If all words are alike or the device id is all zeros or ones.
    DeviceNotFoundError
        If it is the EEPROM of an MLX90641, which has the same address.
    """
    first = int(eeprom[0])
    if bool(np.all(eeprom == first)):
        raise DeviceDataError(
            f"{place}: all 832 EEPROM words read 0x{first:04x}, expected calibration data. "
            "Check the wiring, the pull-ups and the supply (3.3 V), and lower the bus's rate."
        )
    if device_id(eeprom) in ("0" * 12, "f" * 12):
        raise DeviceDataError(
            f"{place}: the device id in the EEPROM is {device_id(eeprom)}, expected a serial "
            "number. The EEPROM is damaged or was read wrongly: lower the bus's rate and try again."
        )
    if int(eeprom[DEVICE_SELECT_WORD]) & DEVICE_SELECT_MLX90641:
        raise DeviceNotFoundError(
            f"{place}: the EEPROM is that of an MLX90641 (16 x 12 pixels), expected an MLX90640. "
            "This sensor is not supported; connect an MLX90640."
        )


class EepromFolder:
    """The copies, ``<device id>.bin`` each: 832 words, little endian."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, serial: str) -> Path:
        """Where the copy of the device with this id is."""
        return self._folder / f"{serial}.bin"

    def load(self, serial: str) -> Words | None:
        """Read the copy; None where there is none, and for a file of another size."""
        path = self.path(serial)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            log.warning("EEPROM copy %s cannot be read and is not compared: %s", path, error)
            return None
        if len(data) != 2 * N_EEPROM_WORDS:
            log.warning("EEPROM copy %s has %d bytes, expected 1664; replaced.", path, len(data))
            return None
        return np.frombuffer(data, dtype="<u2").astype(np.uint16)

    def save(self, eeprom: Words) -> None:
        """Keep a copy, whole or not at all.

        A folder that cannot be written costs the comparison, not the recording: it is logged.
        """
        path = self.path(device_id(eeprom))
        part = path.with_suffix(".part")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                file.write(eeprom.astype("<u2").tobytes())
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        except OSError as error:
            log.warning("EEPROM copy %s cannot be written: %s", path, error)
