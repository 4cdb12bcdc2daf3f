"""LSM6DSOX and LSM6DSO accelerometer and gyroscope over I2C, read through the tagged FIFO."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from wban_collect.clock import Clock
from wban_collect.device import DeviceOutput, Identity, SelfTestResult
from wban_collect.devices import lsm6dsox_registers as reg
from wban_collect.devices.fifo_streams import FifoStreams, default_watermark
from wban_collect.devices.lsm6dsox_drain import Drain, Look
from wban_collect.devices.lsm6dsox_self_test import Lsm6dsoxSelfTest
from wban_collect.devices.lsm6dsox_slots import SlotReader
from wban_collect.devices.motion_stream import IDENTITY_MOUNTING, motion_spec
from wban_collect.devices.register_chip import RegisterChip
from wban_collect.errors import BusError, DeviceDataError, DeviceError, DeviceNotFoundError
from wban_collect.i2c import I2CBus
from wban_dataset.recording.streams import Gap, StreamSpec

log = logging.getLogger(__name__)

MOST_UNSETTLED = 64
"""Samples that the chip may mark as not settled, besides those that its start waits for."""


class Lsm6dsox:
    """An LSM6DSOX or LSM6DSO; implements `BusDevice` and `SelfTesting` with two streams.

    Both sensors run at one rate, and each of their samples lies in the FIFO with the chip's own
    time. When the FIFO overflows the oldest words go; what is left is read on, and the chip's time
    tells exactly how many samples are missing. Its last reading goes into each read's evidence.

    Parameters
    ----------
    accel_stream, gyro_stream
        Names of its streams.
    address
        0x6A, or 0x6B with SDO high.
    sampling_rate_hz
        12.5, 26, 52, 104, 208, 416 or 833, or what is within 5 % of them (100 gets 104).
    accel_range_g
        2, 4, 8 or 16.
    gyro_range_dps
        250, 500, 1000 or 2000.
    watermark
        Samples per read, 1..31; None: 16, or fewer so that there are 10 reads a second.
    mounting
        Rotation from the sensor's to the body's axes, row by row.

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
        accel_stream: str = "accel",
        gyro_stream: str = "gyro",
        address: int = 0x6A,
        sampling_rate_hz: float = 104.0,
        accel_range_g: int = 8,
        gyro_range_dps: int = 1000,
        watermark: int | None = None,
        placement: str = "",
        mounting: tuple[float, ...] = IDENTITY_MOUNTING,
    ) -> None:
        self._rate = reg.output_rate(sampling_rate_hz)
        watermark = default_watermark(self._rate.hz) if watermark is None else watermark
        _check(address, accel_range_g, gyro_range_dps, watermark)
        self._name = name
        self._clock = clock
        self._chip = RegisterChip(bus, address, "LSM6DSOX")
        self._stream_names = (accel_stream, gyro_stream)
        self._accel_range_g = accel_range_g
        self._gyro_range_dps = gyro_range_dps
        self._watermark = watermark
        self._placement = placement
        self._mounting = mounting
        self._settings = reg.settings(self._rate, accel_range_g, gyro_range_dps)
        self._specs = self._describe(0)
        self._slots = SlotReader(self._rate.ticks)
        self._fifo = FifoStreams(
            self._chip.place,
            self._stream_names,
            1e9 / self._rate.hz,
            watermark=watermark,
            capacity=reg.FIFO_SLOTS,
            tolerance=reg.CLOCK_TOLERANCE,
        )
        self._n_unsettled = 0
        self._due_ns = 0

    @property
    def name(self) -> str:
        """Name in the configuration."""
        return self._name

    @property
    def identity(self) -> Identity:
        """What the chip is; it has no serial number."""
        return Identity("LSM6DSOX", note="or an LSM6DSO: both give the same identity")

    @property
    def streams(self) -> tuple[StreamSpec, ...]:
        """Accelerometer and gyroscope; after `start` with the rate that the chip says it has."""
        return self._specs

    def next_due_ns(self) -> int:
        """When the FIFO should hold a watermark of samples, or a wait of the set-up is over."""
        return self._due_ns

    def deadline_ns(self) -> int:
        """When the FIFO is about to be full."""
        return self._fifo.deadline_ns()

    def start(self) -> Iterator[None]:
        """Reset the chip, set it up, verify, let the sensors settle, and start the FIFO.

        Raises
        ------
        DeviceNotFoundError
            If nobody answers, or another chip does.
        DeviceError
            If the reset does not end or a setting does not hold.
        """
        self._due_ns = self._clock.monotonic_ns()
        self._fifo.interrupt("device restarted")
        self._slots.begin_run()
        self._n_unsettled = 0
        self._identify()
        yield from self._reset()
        self._chip.configure(self._settings)
        yield None
        self._chip.verify(self._settings)
        settle_ns = reg.GYRO_TURN_ON_NS + round(reg.N_SETTLING_SAMPLES * 1e9 / self._rate.hz)
        yield from self._wait(settle_ns)
        # Told only while the sensors run: it reads differently when they are off.
        self._take_frequency(reg.freq_fine(self._chip.read_byte(reg.INTERNAL_FREQ_FINE)))
        self._restart_fifo()
        self._due_ns = self._fifo.poll_due_ns()

    def read(self) -> Iterator[DeviceOutput | None]:
        """Drain the FIFO of the words counted at the first look; yields None after each burst.

        Raises
        ------
        BusError
            If a transfer failed; what was read before it has been delivered.
        DeviceError
            If the chip lost its settings, stopped sampling, or its data cannot be true.
        """
        try:
            yield from self._drain()
        except BusError:
            self._fifo.interrupt("bus error")
            raise
        except DeviceError:
            self._fifo.interrupt("device restarted")
            raise
        self._due_ns = self._fifo.poll_due_ns()

    def stop(self) -> None:
        """Power both sensors down."""
        try:
            self._chip.configure({reg.CTRL1_XL: reg.POWER_DOWN, reg.CTRL2_G: reg.POWER_DOWN})
        except BusError as error:
            log.info("%s: not powered down: %s", self._name, error)

    def self_test(self) -> Iterator[SelfTestResult | None]:
        """Run the maker's self-test on a chip at rest; see `SelfTesting`. Takes a second.

        Raises
        ------
        DeviceNotFoundError
            If nobody answers, or another chip does.
        DeviceError
            If the reset does not end or a setting does not hold.
        """
        self._identify()
        try:
            yield from self._reset()
            yield from Lsm6dsoxSelfTest(self._chip, self._clock, self._resume_at).steps()
            self._chip.write(reg.CTRL5_C, 0)
        finally:
            self.stop()

    # Set-up

    def _wait(self, duration_ns: int) -> Iterator[None]:
        """Ask to be resumed after a wait that the data sheet prescribes."""
        self._resume_at(self._clock.monotonic_ns() + duration_ns)
        yield None

    def _resume_at(self, due_ns: int) -> None:
        self._due_ns = due_ns

    def _reset(self) -> Iterator[None]:
        """Give all registers their power-on values."""
        self._chip.configure({reg.CTRL1_XL: reg.POWER_DOWN, reg.CTRL2_G: reg.POWER_DOWN})
        self._chip.write(reg.CTRL3_C, reg.IF_INC | reg.SW_RESET)
        yield from self._wait(reg.RESET_NS)
        control = self._chip.read_byte(reg.CTRL3_C)
        if control & reg.SW_RESET:
            raise DeviceError(
                f"{self._chip.place}: still in reset after {reg.RESET_NS // 1_000_000} ms "
                f"(CTRL3_C is 0x{control:02x}). Cycle the sensor's power."
            )

    def _identify(self) -> None:
        who_am_i = self._chip.identify(reg.WHO_AM_I)
        if who_am_i == reg.DEVICE_ID:
            return
        relative = reg.RELATIVES.get(who_am_i)
        known = f"that is an {relative}, whose FIFO is another" if relative else "another chip"
        raise DeviceNotFoundError(
            f"{self._chip.place}: WHO_AM_I is 0x{who_am_i:02x}, expected 0x{reg.DEVICE_ID:02x}: "
            f"{known}, or the bus drops out. Check the wiring and the address pin (SDO), and the "
            "driver in the configuration."
        )

    def _take_frequency(self, fine: int) -> None:
        """Take over how fast the chip's oscillator runs, and with it the sampling rate."""
        self._specs = self._describe(fine)
        self._fifo.pace.period_ns = self._specs[0].period_ns

    def _describe(self, fine: int) -> tuple[StreamSpec, ...]:
        return (
            self._spec(
                "accel",
                fine,
                full_scale=self._accel_range_g,
                counts_per_unit=reg.ACCEL_COUNTS_PER_G[self._accel_range_g],
                bandwidth_hz=self._rate.accel_hz,
                group_delay_ns=self._rate.accel_delay_ns,
            ),
            self._spec(
                "gyro",
                fine,
                full_scale=self._gyro_range_dps,
                counts_per_unit=1.0 / reg.GYRO_DPS_PER_COUNT[self._gyro_range_dps],
                bandwidth_hz=self._rate.gyro_hz,
                group_delay_ns=self._rate.gyro_delay_ns,
            ),
        )

    def _spec(
        self,
        kind: Literal["accel", "gyro"],
        fine: int,
        *,
        full_scale: int,
        counts_per_unit: float,
        bandwidth_hz: float,
        group_delay_ns: int,
    ) -> StreamSpec:
        return motion_spec(
            self._stream_names[0 if kind == "accel" else 1],
            kind,
            "LSM6DSOX",
            sampling_rate_hz=self._rate.hz * reg.clock_factor(fine),
            counts_per_unit=counts_per_unit,
            full_scale=full_scale,
            placement=self._placement,
            mounting=self._mounting,
            attributes={
                "clip_counts": reg.LARGEST_COUNT,
                "bandwidth_hz": bandwidth_hz,
                "group_delay_ns": group_delay_ns,
                "watermark": self._watermark,
                "fifo_size": reg.FIFO_SLOTS,
                "internal_freq_fine": fine,
                "chip_tick_ns": reg.TICK_NS / reg.clock_factor(fine),
            },
        )

    def _restart_fifo(self) -> None:
        """Empty the FIFO, forget that it overflowed, and let it fill."""
        self._chip.write(reg.FIFO_CTRL4, reg.BATCH_EVERY_TIMESTAMP | reg.FIFO_BYPASS)
        self._chip.read(reg.FIFO_STATUS1, 2)
        self._chip.write(reg.FIFO_CTRL4, reg.BATCH_EVERY_TIMESTAMP | reg.FIFO_CONTINUOUS)
        self._fifo.restart(self._clock.monotonic_ns())

    # Reading

    def _drain(self) -> Iterator[DeviceOutput | None]:
        look = self._look()
        if look.n_words == 0:
            self._check_fifo_settings()
        if look.uncertain:
            self._slots.realign()
        drain = Drain(look, self._slots)
        if not look.uncertain:
            self._fifo.observe(drain.n_latched, look.start_ns, look.end_ns)
        try:
            yield from self._empty(drain)
        except (BusError, DeviceError):
            yield from self._deliver(drain)
            raise
        yield from self._deliver(drain)
        if drain.spoiled:
            yield None
            self._begin_anew()

    def _empty(self, drain: Drain) -> Iterator[DeviceOutput | None]:
        """Take what the FIFO promised; delivers what is taken where the next does not follow."""
        while drain.n_bytes and not drain.spoiled:
            if drain.begun:
                yield None
                yield from self._notice_overflow(drain)
            if drain.n_bytes:
                drain.add(self._chip.read(reg.FIFO_DATA_OUT_TAG, drain.n_bytes))
            if drain.look.uncertain:
                # Not full any more: only now its level says which samples it holds.
                drain.look_again(self._look())

    def _notice_overflow(self, drain: Drain) -> Iterator[DeviceOutput]:
        """Begin anew behind what was overwritten, if the pause was so long that it may have been.

        The words before and after it must not be put together.
        """
        if self._clock.monotonic_ns() < self._fifo.deadline_ns():
            return
        look = self._look()
        if look.uncertain:
            yield from self._deliver(drain)
            self._slots.realign()
            drain.begin(look)

    def _look(self) -> Look:
        """Read the FIFO's level.

        Raises
        ------
        DeviceDataError
            If the level is more than the FIFO holds.
        """
        start_ns = self._clock.monotonic_ns()
        n_words, overrun = reg.parse_status(self._chip.read(reg.FIFO_STATUS1, 2))
        end_ns = self._clock.monotonic_ns()
        if n_words > reg.FIFO_WORDS:
            raise DeviceDataError(
                f"{self._chip.place}: the FIFO's level is {n_words}, expected at most "
                f"{reg.FIFO_WORDS}. The bus drops out: check the wiring and supply."
            )
        return Look(start_ns, end_ns, n_words, overrun)

    def _check_fifo_settings(self) -> None:
        """Find out whether an empty FIFO is one that was switched off by a loss of power."""
        expected = bytes(
            (
                self._settings[reg.FIFO_CTRL3],
                reg.BATCH_EVERY_TIMESTAMP | reg.FIFO_CONTINUOUS,
            )
        )
        found = self._chip.read(reg.FIFO_CTRL3, 2)
        if found != expected:
            raise DeviceDataError(
                f"{self._chip.place}: FIFO_CTRL3 and 4 read {found.hex(' ')}, expected "
                f"{expected.hex(' ')}; the chip lost its settings or the bus garbles. It is set "
                "up again; if this returns, check its supply."
            )

    def _deliver(self, drain: Drain) -> Iterator[DeviceOutput]:
        """Deliver what a drain has taken.

        Raises
        ------
        DeviceDataError
            If the sensors do not settle.
        """
        self._count_unsettled(drain.n_unsettled)
        if drain.n_skipped > 0:
            self._fifo.interrupt("fifo overflow")
            log.warning("%s: %d samples were lost.", self._name, drain.n_skipped)
        if drain.unplanned or drain.n_unsettled:
            self._plan_from(drain.n_latched, drain.look.end_ns)
        if not drain.n_samples:
            return
        for output in self._fifo.deliver(drain.counts(), drain.read()):
            counted = isinstance(output, Gap) and drain.n_skipped >= 0
            yield replace(output, n_missing=drain.n_skipped, exact=True) if counted else output

    def _plan_from(self, n_latched: int, end_ns: int) -> None:
        """Expect the samples that follow on those that had been latched at a look."""
        self._fifo.restart(end_ns)
        newest = self._fifo.next_index + n_latched - 1
        self._fifo.pace.restart(newest, end_ns - self._fifo.pace.period_ns / 2)

    def _count_unsettled(self, n_samples: int) -> None:
        self._n_unsettled += n_samples
        if self._n_unsettled > MOST_UNSETTLED:
            raise DeviceDataError(
                f"{self._chip.place}: {self._n_unsettled} samples after its start still read "
                f"0x{reg.FIRST_INVALID_COUNT:x} or more, expected settled sensors. It is set up "
                "again; if this returns, hold it still, then replace it."
            )

    def _begin_anew(self) -> None:
        """Empty a FIFO whose words cannot be true; it may have overflowed while it was read."""
        _, overrun = reg.parse_status(self._chip.read(reg.FIFO_STATUS1, 2))
        cause = "fifo overflow" if overrun else "fifo misaligned"
        log.warning("%s: %s; the FIFO is emptied.", self._name, cause)
        self._fifo.interrupt(cause)
        self._slots.realign()
        self._restart_fifo()


def _check(address: int, accel_range_g: int, gyro_range_dps: int, watermark: int) -> None:
    if address not in (0x6A, 0x6B):
        raise ValueError(f"LSM6DSOX: address is 0x{address:02x}; the chip has 0x6a or 0x6b")
    if accel_range_g not in reg.ACCEL_RANGE_CODES:
        raise ValueError(f"LSM6DSOX: accel_range_g is {accel_range_g}; allowed are 2, 4, 8 and 16")
    if gyro_range_dps not in reg.GYRO_RANGE_CODES:
        raise ValueError(
            f"LSM6DSOX: gyro_range_dps is {gyro_range_dps}; allowed are 250, 500, 1000 and 2000"
        )
    if not 1 <= watermark <= reg.LARGEST_WATERMARK:
        raise ValueError(
            f"LSM6DSOX: watermark is {watermark}; allowed are 1 to {reg.LARGEST_WATERMARK} samples"
        )
