"""MMA8451Q accelerometer for wban, read whenever its status shows a new sample."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from wban_collect.clock import Clock
from wban_collect.device import DeviceOutput, StreamCursor
from wban_collect.devices.register_chip import RegisterChip
from wban_collect.errors import BusError, DeviceError, DeviceNotFoundError
from wban_collect.i2c import I2CBus
from wban_dataset.recording.streams import Read, StreamSpec

STATUS, WHO_AM_I, F_SETUP, XYZ_DATA_CFG = 0x00, 0x0D, 0x09, 0x0E
CTRL_REG1, CTRL_REG2, CTRL_REG4 = 0x2A, 0x2B, 0x2D

DEVICE_ID = 0x1A
STANDBY, ACTIVE = 0x00, 0x01
HIGH_RESOLUTION = 0x02
NEW_DATA, OVERWRITTEN = 0x08, 0x80  # of all three axes

STANDARD_GRAVITY = 9.80665
RATE_CODES = {100.0: 3, 50.0: 4, 12.5: 5, 6.25: 6}
RANGE_CODES = {2: 0, 4: 1, 8: 2}
COUNTS_PER_G = {2: 4096.0, 4: 2048.0, 8: 1024.0}

FIRST_POLL, NEXT_POLL = 0.8, 0.1
"""Periods after a sample until it is worth asking for the next one, and between questions."""

STALL_NS = 500_000_000


class Mma8451:
    """An MMA8451Q; implements `wban_collect.device.BusDevice`.

    The status is asked for a few times a sample: the question that did not show it yet and the one
    that did bound its time. Both in one transaction would do with half the questions, but a sample
    that comes between the status and the data would be lost without a trace. The chip's FIFO is
    left alone: 100 Hz are polled easily, and the driver stays short.

    Parameters
    ----------
    name, bus, clock, stream, address, placement
        Given by wban.
    sampling_rate_hz, range_g
        From `options` in the configuration: 100, 50, 12.5 or 6.25 Hz; 2, 4 or 8 g.

    Raises
    ------
    ValueError
        If the chip has no such setting. wban shows the text to the user.
    """

    def __init__(
        self,
        name: str,
        bus: I2CBus,
        clock: Clock,
        *,
        stream: str,
        address: int,
        placement: str,
        sampling_rate_hz: float = 50.0,
        range_g: int = 4,
    ) -> None:
        _check(address, sampling_rate_hz, range_g)
        self.name = name
        self.streams: tuple[StreamSpec, ...] = (
            StreamSpec(
                name=stream,
                kind="accel",
                device="MMA8451Q",
                dtype="<i2",
                sample_shape=(3,),
                units="m s-2",
                sampling_rate_hz=sampling_rate_hz,
                evidence="ready",
                scale_factor=STANDARD_GRAVITY / COUNTS_PER_G[range_g],
                channels=("x", "y", "z"),
                placement=placement,
                attributes={"range": range_g * STANDARD_GRAVITY, "clip_counts": 8191},
            ),
        )
        self._clock = clock
        self._chip = RegisterChip(bus, address, "MMA8451Q")
        self._settings = {
            F_SETUP: 0,
            XYZ_DATA_CFG: RANGE_CODES[range_g],
            CTRL_REG2: HIGH_RESOLUTION,
            CTRL_REG4: 0,
        }
        self._active = {CTRL_REG1: RATE_CODES[sampling_rate_hz] << 3 | ACTIVE}
        self._period_ns = int(1e9 / sampling_rate_hz)
        self._cursor = StreamCursor(stream)
        self._due_ns = 0
        self._polled_ns = 0  # when the last poll began: it did not show the next sample
        self._alive_ns = 0  # when a sample was seen last, or sampling began
        self._delivered_ns = 0
        self._gap_cause = ""

    def next_due_ns(self) -> int:
        """When to ask for the next sample."""
        return self._due_ns

    def deadline_ns(self) -> int:
        """When the next sample is overwritten by the one after it, at the earliest."""
        return self._alive_ns + int(1.8 * self._period_ns)

    def start(self) -> Iterator[None]:
        """Check that it is this chip, set it up in standby, and let it sample."""
        self._due_ns = self._clock.monotonic_ns()
        self._interrupt("device restarted")
        device_id = self._chip.identify(WHO_AM_I)
        if device_id != DEVICE_ID:
            raise DeviceNotFoundError(
                f"{self._chip.place}: WHO_AM_I is 0x{device_id:02x}, expected 0x{DEVICE_ID:02x}. "
                "Check the address (SA0) and the driver in the configuration."
            )
        self._chip.write(CTRL_REG1, STANDBY)
        self._chip.configure(self._settings)
        yield None
        self._chip.verify(self._settings)
        self._chip.configure(self._active)
        self._chip.verify(self._active)
        now_ns = self._clock.monotonic_ns()
        self._polled_ns, self._alive_ns = 0, now_ns
        self._due_ns = now_ns + self._period_ns // 2

    def read(self) -> Iterator[DeviceOutput | None]:
        """Ask for a sample; deliver it with the instants before and after which it was not there.

        Raises
        ------
        BusError
            If a transfer failed.
        DeviceError
            If the chip stopped sampling, as it does when it lost its settings.
        """
        try:
            start_ns = self._clock.monotonic_ns()
            is_new = self._chip.read_byte(STATUS) & NEW_DATA
            end_ns = self._clock.monotonic_ns()
            answer = self._chip.read(STATUS, 7) if is_new else b""
        except BusError:
            self._interrupt("bus error")
            raise
        not_yet_ns, self._polled_ns = self._polled_ns, start_ns
        if not answer:
            self._due_ns = end_ns + int(NEXT_POLL * self._period_ns)
            self._check_alive(end_ns)
            return
        if answer[0] & OVERWRITTEN:
            self._interrupt("missed")
            end_ns = self._clock.monotonic_ns()  # it may be newer than the one that was shown
        if self._gap_cause:
            yield self._gap(end_ns)
        self._alive_ns = self._delivered_ns = end_ns
        self._due_ns = end_ns + int(FIRST_POLL * self._period_ns)
        yield self._cursor.block(decode(answer[1:]), Read(not_yet_ns, end_ns))

    def stop(self) -> None:
        """Put the chip into standby; it may be gone."""
        try:
            self._chip.write(CTRL_REG1, STANDBY)
        except BusError:
            return

    def _interrupt(self, cause: str) -> None:
        """Note that the next sample does not follow on the last one."""
        self._cursor.new_segment()
        if self._cursor.next_index and not self._gap_cause:
            self._gap_cause = cause

    def _gap(self, now_ns: int) -> DeviceOutput:
        """Tell what is missing since the last sample; sealing counts it from all stamps."""
        n_missing = max(round((now_ns - self._delivered_ns) / self._period_ns) - 1, 0)
        cause, self._gap_cause = self._gap_cause, ""
        return self._cursor.gap(self._delivered_ns, now_ns, n_missing, cause)

    def _check_alive(self, now_ns: int) -> None:
        silence_ns = now_ns - self._alive_ns
        if silence_ns > STALL_NS + 10 * self._period_ns:
            self._interrupt("stalled")
            raise DeviceError(
                f"{self._chip.place}: no new sample for {silence_ns / 1e9:.1f} s, expected one "
                f"every {self._period_ns / 1e6:.0f} ms. It is set up again; check its supply."
            )


def decode(raw: bytes) -> NDArray[np.int16]:
    """Decode one sample (x, y, z, big-endian, 14 bits left-justified) to counts, shape (1, 3)."""
    words = np.frombuffer(raw, dtype=">i2").reshape(1, 3)
    return (words >> 2).astype("<i2")


def _check(address: int, sampling_rate_hz: float, range_g: int) -> None:
    if address not in (0x1C, 0x1D):
        raise ValueError(f"MMA8451Q: address is 0x{address:02x}; the chip has 0x1c or 0x1d")
    if sampling_rate_hz not in RATE_CODES:
        allowed = ", ".join(f"{rate_hz:g}" for rate_hz in RATE_CODES)
        raise ValueError(
            f"MMA8451Q: sampling_rate_hz is {sampling_rate_hz:g}; allowed are {allowed}"
        )
    if range_g not in RANGE_CODES:
        raise ValueError(f"MMA8451Q: range_g is {range_g}; allowed are 2, 4 and 8")
