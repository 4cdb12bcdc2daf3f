"""MLX90640 through Adafruit's library (adafruit-circuitpython-mlx90640), over this project's bus.

The library finds the chip, reads its EEPROM, writes its registers and fetches each subpage. Around
it stands what it lacks: it is only asked for a subpage once one is ready, its endless status loop
is bounded, what it reads again because the chip was faster is counted, and its errors are
converted. Its state that all cameras of a process share is kept apart.

Against `Mlx90640` three things are weaker: the library fetches the whole RAM in one transfer (38 ms
at 400 kHz), in which nobody else can use the bus; it sleeps 1 ms of real time after each write;
and it refuses sensors with more than four or touching bad pixels.
"""

from __future__ import annotations

import importlib
import sys
import threading
import types
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from wban_collect.clock import Clock
from wban_collect.devices import mlx90640_registers as reg
from wban_collect.devices.mlx90640 import Frame, Mlx90640
from wban_collect.devices.mlx90640_eeprom import Words
from wban_collect.errors import BusError, DeviceDataError, DeviceError, DeviceNotFoundError
from wban_collect.i2c import I2CBus
from wban_dataset.recording.streams import Read
from wban_dataset.recording.thermal import Calibration
from wban_dataset.recording.thermal_subpage import N_WORDS

LIBRARY = "adafruit_mlx90640"

MOST_STATUS_READS = 20
"""Status polls in a row without a new subpage after which the library is stopped. It is called
when one is there, so that only a chip that has just restarted makes it wait."""

OPERATION_NOT_SUPPORTED = 95

# The library keeps EEPROM words in its module while it extracts parameters, and stand-ins for an
# import must not be seen by another.
_construction = threading.Lock()


def load_library() -> types.ModuleType:
    """Import ``adafruit_mlx90640`` without Blinka.

    The library and Adafruit's bus device take two modules of Blinka's for annotations alone; on
    a machine that Blinka does not support they cannot be imported, and the annotations then fail.
    Empty modules stand in for them while the import runs.

    Raises
    ------
    ImportError
        If the library is not installed.
    """
    stand_ins = {
        "busio": {"I2C": object},
        "circuitpython_typing": {"ReadableBuffer": object, "WriteableBuffer": object},
    }
    added = [name for name in stand_ins if name not in sys.modules]
    try:
        for name in added:
            module = types.ModuleType(name)
            vars(module).update(stand_ins[name])
            sys.modules[name] = module
        return importlib.import_module(LIBRARY)
    finally:
        for name in added:
            del sys.modules[name]


@dataclass(slots=True)
class FetchNotes:
    """What went over the bus while the library fetched a subpage.

    Attributes
    ----------
    status_reads
        Begin, end and value of each.
    n_idle_polls
        Status reads without a new subpage since the last other one.
    """

    status_reads: list[tuple[int, int, int]] = field(default_factory=list[tuple[int, int, int]])
    status_writes_ns: list[int] = field(default_factory=list[int])
    n_ram_reads: int = 0
    n_idle_polls: int = 0

    def evidence_of_last_reading(self) -> Read:
        """Bounds of the subpage that the last of several readings brought.

        It ended after the clearing before that, and by the poll that made the library read again.
        That is the third from the end: after it come the read-back of the clearing and the last
        poll.
        """
        return Read(self.status_writes_ns[-2], self.status_reads[-3][1])


class BusioI2C:
    """The part of ``busio.I2C`` that Adafruit's bus device calls, on one of this project's buses.

    While a subpage is fetched it notes when the status register was read and how often the RAM,
    which the library does not tell, and it ends the library's waiting.
    """

    def __init__(self, bus: I2CBus, clock: Clock, place: str) -> None:
        self._bus = bus
        self._clock = clock
        self._place = place
        self._notes: FetchNotes | None = None

    @contextmanager
    def fetching(self) -> Generator[FetchNotes]:
        """Take notes for as long as this lasts."""
        self._notes = notes = FetchNotes()
        try:
            yield notes
        finally:
            self._notes = None

    def try_lock(self) -> bool:
        """Lock the bus: the bus's thread owns it anyway."""
        return True

    def unlock(self) -> None:
        """Unlock the bus."""

    def writeto(
        self, address: int, buffer: bytes, *, start: int = 0, end: int | None = None
    ) -> None:
        """Send `buffer`; an empty one asks whether the chip is there.

        bcm2835 cannot send an empty message: a register is read instead.
        """
        data = bytes(buffer[start:end])
        if not data:
            self._bus.write_read(address, reg.CONTROL.to_bytes(2, "big"), 2)
            return
        register = int.from_bytes(data[:2], "big")
        reg.check_writable(register)
        if register == reg.STATUS and self._notes is not None:
            self._notes.status_writes_ns.append(self._clock.monotonic_ns())
            self._notes.n_idle_polls = 0
        self._bus.write(address, data)

    def readfrom_into(
        self, address: int, buffer: bytearray, *, start: int = 0, end: int | None = None
    ) -> None:
        """Refuse: without a register address an MLX90640 answers with the start of its memory."""
        raise BusError(
            f"{self._place}: a read of {len(buffer[start:end])} bytes without a register was asked "
            "for, expected a write first.",
            OPERATION_NOT_SUPPORTED,
        )

    def writeto_then_readfrom(
        self,
        address: int,
        out_buffer: bytes,
        in_buffer: bytearray,
        *,
        out_start: int = 0,
        out_end: int | None = None,
        in_start: int = 0,
        in_end: int | None = None,
    ) -> None:
        """Send, repeat the start, read into ``in_buffer[in_start:in_end]``.

        Raises
        ------
        DeviceError
            If the status was polled too often without a new subpage.
        """
        command = bytes(out_buffer[out_start:out_end])
        n_bytes = len(in_buffer[in_start:in_end])
        start_ns = self._clock.monotonic_ns()
        answer = self._bus.write_read(address, command, n_bytes)
        if len(answer) != n_bytes:
            raise BusError(f"{self._place}: read {len(answer)} bytes, expected {n_bytes}.", 5)
        in_buffer[in_start : in_start + n_bytes] = answer
        if self._notes is not None:
            self._note(self._notes, int.from_bytes(command, "big"), start_ns, answer)

    def _note(self, notes: FetchNotes, register: int, start_ns: int, answer: bytes) -> None:
        notes.n_ram_reads += register == reg.RAM
        if register != reg.STATUS:
            return
        status = int.from_bytes(answer, "big")
        notes.status_reads.append((start_ns, self._clock.monotonic_ns(), status))
        notes.n_idle_polls = 0 if status & reg.NEW_DATA else notes.n_idle_polls + 1
        if notes.n_idle_polls > MOST_STATUS_READS:
            raise DeviceError(
                f"{self._place}: no new subpage in {notes.n_idle_polls} status polls, expected the "
                "one that was announced; the chip restarted. It is set up again."
            )


class AdafruitMlx90640(Mlx90640):
    """An MLX90640 driven through Adafruit's library; implements `BusDevice`.

    Parameters are those of `Mlx90640`.
    """

    _library: Any = None
    _module: Any = None
    _busio: BusioI2C

    def start(self) -> Iterator[None]:
        """Construct the library's camera anew, then go on as `Mlx90640` does.

        Raises
        ------
        DeviceNotFoundError
            If the library is not installed, nobody answers, or an MLX90641 does.
        DeviceDataError
            If the EEPROM cannot be true, differs from the copy, or the library refuses it.
        """
        self._library = None
        self._busio = BusioI2C(self._bus, self._clock, self._place)
        try:
            with _construction:
                self._module = load_library()
        except ImportError as error:
            raise DeviceNotFoundError(
                f"{self._place}: the library {LIBRARY} is not installed ({error}). Install it with "
                "'pip install adafruit-circuitpython-mlx90640', or set driver = \"mlx90640\"."
            ) from error
        yield from super().start()

    def _trusted_eeprom(self) -> Generator[None, None, Words]:
        """Read and compare the EEPROM, and only then let the library read it.

        From some words (all zeros among them) the library extracts parameters for ever.
        """
        eeprom = yield from super()._trusted_eeprom()
        self._check_extractable(eeprom)
        words = self._construct()
        yield None
        n_different = int(np.sum(words != eeprom))
        if n_different:
            raise DeviceDataError(
                f"{self._place}: the Adafruit library read {n_different} of 832 EEPROM words "
                "differently, expected none. Lower the bus's rate or shorten the cable."
            )
        return eeprom

    def _check_extractable(self, eeprom: Words) -> None:
        """Refuse parameters that the library doubles until they are large: zeros never are."""
        calibration = Calibration.from_eeprom(eeprom)
        sound = calibration.k_ta.any() and calibration.k_v.any() and (calibration.alpha > 0).all()
        if not sound:
            raise DeviceDataError(
                f"{self._place}: the EEPROM has a pixel without sensitivity or no temperature or "
                "supply coefficients, expected some; the Adafruit library would never return. Set "
                'driver = "mlx90640", or replace the sensor.'
            )

    def _construct(self) -> Words:
        """Make the library's camera; returns the EEPROM words that it read.

        The library keeps parameters in lists of its class. Those of bad pixels only ever grow, so
        that the second camera of a process may be refused, and the others are overwritten by the
        camera made last: each gets a class, and lists, of its own.
        """
        library_class = cast(type[Any], self._module.MLX90640)
        shared: dict[str, Any] = dict(vars(library_class))
        own = {name: copy(shared[name]) for name in shared if isinstance(shared[name], list)}
        own |= {"brokenPixels": [], "outlierPixels": []}
        own_class = type("Camera", (library_class,), own)
        with _construction, self._converted_errors():
            self._library = own_class(self._busio, self._address)
            return np.array(self._module.eeData, dtype=np.uint16)

    def _read_words(self, address: int, n_words: int) -> Words:
        if self._library is None:
            return super()._read_words(address, n_words)
        words = [0] * n_words
        with self._converted_errors():
            self._library._I2CReadWords(address, words)
        return np.array(words, dtype=np.uint16)

    def _write_word(self, address: int, value: int) -> None:
        reg.check_writable(address)
        with self._converted_errors():
            self._library._I2CWriteWord(address, value)

    def _read_frame(self, read: Read) -> Generator[None, None, Frame]:
        """Let the library fetch the subpage; it reads again, five times at most, if overtaken."""
        yield None
        words = [0] * N_WORDS
        with self._busio.fetching() as notes, self._converted_errors():
            self._library._GetFrameData(words)
        check_ns, _, status = notes.status_reads[-1]
        n_torn = notes.n_ram_reads - 1
        if n_torn:
            read = notes.evidence_of_last_reading()
        frame = np.array(words, dtype=np.uint16)
        return Frame(frame, notes.status_writes_ns[-1], check_ns, status, read, n_torn)

    @contextmanager
    def _converted_errors(self) -> Generator[None]:
        """Turn the library's errors into this project's.

        `BusError` goes through it untouched. "Too many retries" and refused EEPROMs are
        RuntimeError; "math domain error" and "No I2C device" are ValueError.
        """
        try:
            yield
        except (RuntimeError, ValueError, ArithmeticError) as error:
            raise DeviceDataError(
                f"{self._place}: the Adafruit library says '{error}', expected usable data. "
                "'Too many retries': raise the bus's rate or lower refresh_hz; bad pixels: set "
                'driver = "mlx90640", which masks them.'
            ) from error
