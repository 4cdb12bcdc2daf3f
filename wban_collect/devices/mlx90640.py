"""MLX90640 thermal array (24 x 32 pixels) over I2C: raw subpages as they are completed."""

from __future__ import annotations

import errno
import logging
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wban_collect.clock import Clock
from wban_collect.device import DeviceOutput, Identity, StreamCursor
from wban_collect.devices import mlx90640_registers as reg
from wban_collect.devices.mlx90640_eeprom import EepromFolder, Words, check_eeprom, device_id
from wban_collect.devices.mlx90640_pace import SubpagePace
from wban_collect.errors import BusError, DeviceDataError, DeviceError, DeviceNotFoundError
from wban_collect.i2c import I2CBus
from wban_dataset.recording.streams import AttributeValue, Read, StreamSpec
from wban_dataset.recording.thermal import DEFAULT_REFLECTED_OFFSET_C, Calibration
from wban_dataset.recording.thermal_subpage import N_WORDS, valid_rows

log = logging.getLogger(__name__)

CHUNK_WORDS = 64
"""One transfer: 2.9 ms at 400 kHz."""

SUBPAGES_DROPPED = 2
"""After power-up or a change of settings: measured in part with the old ones (Melexis)."""

STALL_PERIODS, STALL_NS = 3, 1_000_000_000

NOBODY_THERE = (errno.EREMOTEIO, errno.ENXIO)


@dataclass(slots=True)
class Frame:
    """One RAM as it was read, and what the reading told besides.

    Attributes
    ----------
    words
        (834,) RAM, control register, subpage.
    clear_ns
        Just before "new data" was cleared.
    check_ns, status
        The status poll after the RAM was read: when it began and what it said.
    n_torn
        Subpages that were overwritten while they were read, and read again.
    read
        The evidence of the subpage's time.
    """

    words: Words
    clear_ns: int
    check_ns: int
    status: int
    read: Read
    n_torn: int = 0

    @property
    def control(self) -> int:
        """Control register 1 after the reading."""
        return int(self.words[-2])

    @property
    def subpage(self) -> int:
        """The subpage measured last when the reading had ended."""
        return self.status & reg.SUBPAGE_MASK

    @property
    def overtaken(self) -> bool:
        """The next subpage was finished before the reading had ended."""
        return bool(self.status & reg.NEW_DATA)


class Mlx90640:
    """An MLX90640 in continuous mode; implements `BusDevice`.

    The status is polled only when a subpage is due, the RAM read in chunks between which others may
    use the bus. What is delivered is a whole subpage of the settings asked for; everything else
    becomes a gap, which is told with the next subpage, when both of its ends are known.

    Parameters
    ----------
    stream
        Name of its stream.
    refresh_hz
        Subpages per second; a whole image takes two.
    eeprom_folder
        Where the copy of each device's EEPROM is kept; None: no copy, no comparison.

    Raises
    ------
    ValueError
        If the chip has no such setting.
    """

    def __init__(
        self,
        name: str,
        bus: I2CBus,
        clock: Clock,
        *,
        stream: str = "thermal",
        address: int = 0x33,
        refresh_hz: float = 8.0,
        adc_bits: int = 18,
        pattern: reg.Pattern = "chess",
        emissivity: float = 0.95,
        placement: str = "",
        eeprom_folder: Path | None = None,
    ) -> None:
        if address not in reg.ADDRESSES:
            raise ValueError(f"MLX90640: address is 0x{address:02x}; allowed are 0x08 to 0x77")
        if not 0 < emissivity <= 1:
            raise ValueError(f"MLX90640: emissivity is {emissivity:g}; allowed is above 0 up to 1")
        self._name = name
        self._bus = bus
        self._clock = clock
        self._address = address
        self._place = f"MLX90640 at I2C address 0x{address:02x}"
        self._settings = reg.Settings(refresh_hz, adc_bits, pattern)
        self._emissivity = emissivity
        self._placement = placement
        self._folder = EepromFolder(eeprom_folder) if eeprom_folder is not None else None
        self._cursor = StreamCursor(stream)
        self._pace = SubpagePace(self._settings.period_ns)
        self._eeprom: Words | None = None
        self._power_up_ns = 0
        self._due_ns = 0
        self._not_ready_ns = 0
        self._stalled_ns = 0
        self._n_to_drop = 0
        self._reading = False
        self._gap_cause = ""
        self._delivered_ns = 0.0
        self._delivered_subpage: int | None = None

    @property
    def name(self) -> str:
        """Name in the configuration."""
        return self._name

    @property
    def identity(self) -> Identity:
        """What the chip is; the serial number is known after `start`."""
        return Identity("MLX90640", "" if self._eeprom is None else device_id(self._eeprom))

    @property
    def streams(self) -> tuple[StreamSpec, ...]:
        """Its one stream; serial number and EEPROM are in it after `start`."""
        attributes: dict[str, AttributeValue] = {
            "emissivity": self._emissivity,
            "reflected_offset_c": DEFAULT_REFLECTED_OFFSET_C,
            "refresh_hz": self._settings.refresh_hz,
            "pattern": self._settings.pattern,
            "adc_bits": self._settings.adc_bits,
            "serial": self.identity.serial,
            "power_up_ns": self._power_up_ns,
        }
        spec = StreamSpec(
            name=self._cursor.name,
            kind="thermal",
            device="MLX90640",
            dtype="<u2",
            sample_shape=(N_WORDS,),
            units="degC",
            sampling_rate_hz=self._settings.refresh_hz,
            evidence="ready",
            placement=self._placement,
            attributes=attributes,
            calibration={} if self._eeprom is None else {"eeprom": self._eeprom},
        )
        return (spec,)

    def next_due_ns(self) -> int:
        """When to look for the next subpage; while one is read, when it was ready."""
        return int(self._pace.ready_ns) if self._reading else self._due_ns

    def deadline_ns(self) -> int:
        """When the subpage that is waited for, or read, is overwritten by the next."""
        n_periods = 1 if self._reading else 2
        return int(self._pace.ready_ns + n_periods * self._pace.period_ns)

    def start(self) -> Iterator[None]:
        """Find the chip, read and compare its EEPROM, write all settings, and begin anew.

        Raises
        ------
        DeviceNotFoundError
            If nobody answers, or an MLX90641 does.
        DeviceDataError
            If the EEPROM cannot be true, or differs from the copy twice.
        DeviceError
            If the settings do not hold.
        """
        self._reading = False
        self._due_ns = self._clock.monotonic_ns()
        self._interrupt("device restarted")
        control = self._connect()
        yield None
        eeprom = yield from self._trusted_eeprom()
        if self._eeprom is None:
            self._report_bad_pixels(eeprom)
        self._eeprom = eeprom
        if self._gap_cause and self._lost_power(control):
            self._gap_cause = "device missing"  # it has to warm up anew
        self._set_up(control)

    def read(self) -> Iterator[DeviceOutput | None]:
        """Poll the status once; if a subpage is new, read and deliver it.

        Raises
        ------
        BusError
            If a transfer failed.
        DeviceError
            If no subpage came for three periods and a second, or the settings cannot be kept.
        """
        try:
            yield from self._poll()
        except BusError:
            self._interrupt("bus error")
            raise
        except DeviceError:
            self._interrupt("device restarted")
            raise
        finally:
            self._reading = False

    def stop(self) -> None:
        """Leave the chip as it is: it has no sleep, and warm it measures best."""

    def _connect(self) -> int:
        """Read control register 1: the first question to the chip."""
        try:
            return self._read_word(reg.CONTROL)
        except BusError as error:
            if error.errno not in NOBODY_THERE:
                raise
            raise DeviceNotFoundError(
                f"{self._place}: nobody answers. Check the power (3.3 V), the wiring and the "
                "address; 'i2cdetect -y 1' lists the addresses that answer on bus 1."
            ) from error

    def _trusted_eeprom(self) -> Generator[None, None, Words]:
        """Read the EEPROM; it must agree with the copy, or with a second reading."""
        eeprom = yield from self._read_eeprom()
        check_eeprom(eeprom, self._place)
        if self._folder is None:
            return eeprom
        serial = device_id(eeprom)
        expected = self._folder.load(serial)
        if expected is not None and np.array_equal(eeprom, expected):
            return eeprom
        again = yield from self._read_eeprom()
        if expected is None and np.array_equal(again, eeprom):
            self._folder.save(eeprom)
            return eeprom
        if expected is not None and np.array_equal(again, expected):
            log.warning("%s: the EEPROM was read wrongly once, then rightly.", self._place)
            return again
        n_words = int(np.sum(again != (eeprom if expected is None else expected)))
        other = (
            "between two readings; lower the bus's rate or shorten the cable"
            if expected is None
            else f"from the copy {self._folder.path(serial)}; lower the bus's rate, or, if the "
            "chip's EEPROM was changed on purpose, remove that file"
        )
        raise DeviceDataError(f"{self._place}: {n_words} of 832 EEPROM words differ {other}.")

    def _read_eeprom(self) -> Generator[None, None, Words]:
        chunks: list[Words] = []
        for offset in range(0, reg.N_EEPROM_WORDS, CHUNK_WORDS):
            chunks.append(self._read_words(reg.EEPROM + offset, CHUNK_WORDS))
            yield None
        return np.concatenate(chunks)

    def _report_bad_pixels(self, eeprom: Words) -> None:
        calibration = Calibration.from_eeprom(eeprom)
        if not calibration.within_specification:
            log.warning(
                "%s: %d bad pixels, %s touching one another; the data sheet allows four apart. "
                "They are masked.",
                self._place,
                int(calibration.bad_pixels.sum()),
                "some" if calibration.bad_pixel_neighbours else "none",
            )

    def _set_up(self, control: int) -> None:
        """Write the settings, `control` being what the chip has, and wait for a new subpage."""
        wanted = self._settings.control
        if self._lost_power(control):
            self._power_up_ns = self._clock.monotonic_ns()
        if control != wanted:
            self._n_to_drop = SUBPAGES_DROPPED
        self._write_word(reg.CONTROL, wanted)
        found = self._read_word(reg.CONTROL)
        if found != wanted:
            raise DeviceError(
                f"{self._place}: control register 0x800d reads 0x{found:04x} after set-up, "
                f"expected 0x{wanted:04x}. The bus garbles or another program drives the chip: "
                "check the supply, the pull-ups and what else runs."
            )
        now_ns = self._clock.monotonic_ns()
        self._write_word(reg.STATUS, reg.CLEAR_NEW_DATA)
        self._not_ready_ns = now_ns
        # A change of rate acts only after the running subpage.
        longest_ns = max(self._settings.period_ns, reg.period_of_control_ns(control))
        self._stalled_ns = now_ns + STALL_NS + int(STALL_PERIODS * longest_ns)
        self._pace.restart(now_ns)
        self._due_ns = self._pace.first_poll_ns()

    def _lost_power(self, control: int) -> bool:
        """Whether the control word is the power-on one: settings are written right after start.

        Where those are the power-on ones (2 Hz, chess, 18 bit), only the first start can tell.
        """
        if self._eeprom is None or control != int(self._eeprom[reg.POWER_ON_CONTROL_WORD]):
            return False
        return control != self._settings.control or not self._power_up_ns

    def _poll(self) -> Iterator[DeviceOutput | None]:
        start_ns = self._clock.monotonic_ns()
        status = self._read_word(reg.STATUS)
        end_ns = self._clock.monotonic_ns()
        if not status & reg.NEW_DATA:
            self._not_ready_ns = start_ns
            self._due_ns = end_ns + self._pace.step_ns
            self._watch_for_stall(end_ns)
            return
        self._reading = True
        self._pace.observe(self._not_ready_ns, end_ns)
        self._due_ns = self._pace.first_poll_ns()
        self._stalled_ns = end_ns + STALL_NS + int(STALL_PERIODS * self._pace.period_ns)
        frame = yield from self._read_frame(Read(self._not_ready_ns, end_ns))
        polled_subpage = status & reg.SUBPAGE_MASK
        if not frame.overtaken:
            self._not_ready_ns = frame.check_ns
        elif frame.subpage != polled_subpage:
            self._not_ready_ns = frame.clear_ns
        # Otherwise the clearing was not taken: the same subpage once more, and as old as it was.
        yield from self._judge(frame, polled_subpage)

    def _read_frame(self, read: Read) -> Generator[None, None, Frame]:
        """Read the RAM, whose new subpage `read` has found; others go first between chunks."""
        clear_ns = self._clock.monotonic_ns()
        self._write_word(reg.STATUS, reg.CLEAR_NEW_DATA)
        words = np.empty(N_WORDS, dtype=np.uint16)
        for offset in range(0, reg.N_RAM_WORDS, CHUNK_WORDS):
            # None after the last: a wait there would make a good reading look overtaken.
            yield None
            words[offset : offset + CHUNK_WORDS] = self._read_words(reg.RAM + offset, CHUNK_WORDS)
        check_ns = self._clock.monotonic_ns()
        status = self._read_word(reg.STATUS)
        words[-2] = self._read_word(reg.CONTROL)
        words[-1] = status & reg.SUBPAGE_MASK
        return Frame(words, clear_ns, check_ns, status, read)

    def _judge(self, frame: Frame, polled_subpage: int) -> Iterator[DeviceOutput]:
        """Deliver the frame, after the gap before it if any, or say why not."""
        if frame.control != self._settings.control:
            self._recover_settings(frame.control)
            return
        if frame.n_torn:
            self._interrupt("torn")
            self._pace.observe(frame.read.read_start_ns, frame.read.read_end_ns)
            self._due_ns = self._pace.first_poll_ns()
        if frame.overtaken:
            self._interrupt("torn")
            self._due_ns = self._clock.monotonic_ns()
        elif not frame.n_torn and frame.subpage != polled_subpage:
            # One more came between the poll and the clearing: the evidence is of another subpage.
            self._interrupt("missed")
        elif self._n_to_drop:
            self._n_to_drop -= 1
        elif not valid_rows(frame.words[None])[0]:
            self._interrupt("invalid data")
        else:
            yield from self._deliver(frame)

    def _recover_settings(self, control: int) -> None:
        log.warning(
            "%s: control register reads 0x%04x, expected 0x%04x: the chip restarted. "
            "Its settings are written again.",
            self._place,
            control,
            self._settings.control,
        )
        self._interrupt("device restarted")
        self._set_up(control)

    def _deliver(self, frame: Frame) -> Iterator[DeviceOutput]:
        n_periods = self._periods_since_delivery(frame.subpage)
        if n_periods > 1 and not self._gap_cause:
            self._interrupt("missed")
        if self._gap_cause:
            yield self._cursor.gap(
                int(self._delivered_ns), int(self._pace.ready_ns), n_periods - 1, self._gap_cause
            )
            self._gap_cause = ""
        self._delivered_ns = self._pace.ready_ns
        self._delivered_subpage = frame.subpage
        subpage = np.array([frame.subpage], dtype=np.uint8)
        yield self._cursor.block(frame.words[None].astype("<u2"), frame.read, {"subpage": subpage})

    def _periods_since_delivery(self, subpage: int) -> int:
        """Periods since the subpage delivered last; 1 for the very first.

        Subpages alternate as long as the chip runs on, so that their number tells the parity.
        """
        if self._delivered_subpage is None:
            return 1
        runs_on = self._gap_cause in ("", "missed", "torn", "invalid data")
        odd = subpage != self._delivered_subpage if runs_on else None
        return self._pace.n_periods(self._delivered_ns, odd=odd)

    def _interrupt(self, cause: str) -> None:
        """Note that what comes next does not follow on what was delivered.

        Of several causes in a row the first counts.
        """
        self._cursor.new_segment()
        if self._delivered_subpage is not None and not self._gap_cause:
            self._gap_cause = cause

    def _watch_for_stall(self, now_ns: int) -> None:
        if now_ns < self._stalled_ns:
            return
        self._interrupt("stalled")
        waited_s = STALL_NS / 1e9 + STALL_PERIODS * self._pace.period_ns / 1e9
        raise DeviceError(
            f"{self._place}: stalled, no new subpage for {waited_s:.1f} s or longer, expected one "
            f"every {self._pace.period_ns / 1e6:.0f} ms. It is set up again; if this returns, "
            "check its supply."
        )

    def _read_word(self, address: int) -> int:
        return int(self._read_words(address, 1)[0])

    def _read_words(self, address: int, n_words: int) -> NDArray[np.uint16]:
        """Read from `address` on; with a STOP instead of the repeated start it would be 0x0000."""
        answer = self._bus.write_read(self._address, address.to_bytes(2, "big"), 2 * n_words)
        if len(answer) != 2 * n_words:
            raise BusError(
                f"{self._place}: read {len(answer)} bytes from 0x{address:04x}, "
                f"expected {2 * n_words}.",
                errno.EIO,
            )
        return np.frombuffer(answer, dtype=">u2").astype(np.uint16)

    def _write_word(self, address: int, value: int) -> None:
        reg.check_writable(address)
        self._bus.write(self._address, address.to_bytes(2, "big") + value.to_bytes(2, "big"))
