"""ADXL345 accelerometer over I2C, read through its FIFO."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

from wban_collect.clock import Clock
from wban_collect.device import DeviceOutput, Identity, SelfTestResult
from wban_collect.devices import adxl345_registers as reg
from wban_collect.devices.fifo_streams import FifoStreams, default_watermark
from wban_collect.devices.motion_stream import IDENTITY_MOUNTING, motion_spec
from wban_collect.devices.read_plan import ReadPlan
from wban_collect.devices.register_chip import RegisterChip
from wban_collect.devices.self_test import Readings, mean_reading, results
from wban_collect.errors import BusError, DeviceDataError, DeviceError, DeviceNotFoundError
from wban_collect.gpio import EdgeSource
from wban_collect.i2c import I2CBus
from wban_dataset.recording.streams import Read, StreamSpec

log = logging.getLogger(__name__)

CHUNK_NS = 2_500_000
"""Bus time after which others may go first: with the transfer under way about 3 ms."""

LEVEL_SLACK = 2
"""Entries by which two readings of the FIFO's level may differ beyond what was latched between."""


@dataclass(slots=True)
class _Drain:
    """Entries taken so far, and the transaction that told how many there were.

    `n_latched` counts from the first of `entries`: those known to be latched at that transaction.
    """

    start_ns: int
    end_ns: int
    n_latched: int
    edge_ns: int = 0
    entries: list[bytes] = field(default_factory=list[bytes])

    def read(self) -> Read:
        """Make the evidence of the entries taken."""
        n_left = self.n_latched - len(self.entries)
        return Read(self.start_ns, self.end_ns, edge_ns=self.edge_ns, fifo_level=n_left)


class Adxl345:
    """An ADXL345 in stream mode; implements `BusDevice`.

    Each FIFO entry is one read of 8 bytes from 0x32, which brings the level of the FIFO as well;
    the first after each pause is one of 10 bytes from 0x30, which also tells of an overrun.

    Parameters
    ----------
    stream
        Name of its stream.
    address
        0x53, or 0x1D with SDO high.
    sampling_rate_hz
        800 Hz or a half, a quarter, ... of it.
    range_g
        2, 4, 8 or 16; the resolution is 1/256 g in all of them.
    watermark
        Entries per read, 1..31; None: 16, or fewer so that there are 10 reads a second.
    edges
        The line INT1 is wired to; None: the FIFO is polled.
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
        stream: str = "accel",
        address: int = 0x53,
        sampling_rate_hz: float = 100.0,
        range_g: int = 16,
        watermark: int | None = None,
        edges: EdgeSource | None = None,
        placement: str = "",
        mounting: tuple[float, ...] = IDENTITY_MOUNTING,
    ) -> None:
        watermark = default_watermark(sampling_rate_hz) if watermark is None else watermark
        _check(address, range_g, watermark)
        self._name = name
        self._clock = clock
        self._chip = RegisterChip(bus, address, "ADXL345")
        rate = reg.rate_code(sampling_rate_hz)
        self._in_standby, self._to_run = reg.settings(
            rate, range_g, watermark, interrupt=edges is not None
        )
        spec = _spec(stream, sampling_rate_hz, range_g, watermark, placement, mounting)
        self._streams = (spec,)
        self._fifo = FifoStreams(
            self._chip.place,
            (stream,),
            spec.period_ns,
            watermark=watermark,
            capacity=reg.FIFO_SIZE,
            tolerance=reg.CLOCK_TOLERANCE,
        )
        self._plan = ReadPlan(name, self._fifo, clock, edges)

    @property
    def name(self) -> str:
        """Name in the configuration."""
        return self._name

    @property
    def identity(self) -> Identity:
        """What the chip is; it has no serial number."""
        return Identity("ADXL345")

    @property
    def streams(self) -> tuple[StreamSpec, ...]:
        """Its one stream."""
        return self._streams

    def next_due_ns(self) -> int:
        """When the FIFO should hold a watermark of entries."""
        return self._plan.due_ns

    def deadline_ns(self) -> int:
        """When the FIFO is about to be full."""
        return self._fifo.deadline_ns()

    def start(self) -> Iterator[None]:
        """Check the chip's identity, set it up in standby, verify, and let it measure.

        Raises
        ------
        DeviceNotFoundError
            If nobody answers, or another chip does.
        DeviceError
            If a setting does not hold.
        """
        self._plan.due_ns = self._clock.monotonic_ns()
        self._fifo.interrupt("device restarted")
        self._check_identity()
        self._chip.write(reg.POWER_CTL, reg.STANDBY)
        self._chip.write(reg.FIFO_CTL, reg.FIFO_BYPASS)
        self._chip.configure(self._in_standby)
        yield None
        self._chip.verify(self._in_standby)
        self._chip.configure(self._to_run)
        measuring_ns = self._clock.monotonic_ns()
        self._chip.verify(self._to_run)
        self._fifo.restart(measuring_ns, first_latch_after_ns=reg.TURN_ON_NS)
        self._plan.plan(0)

    def read(self) -> Iterator[DeviceOutput | None]:
        """Drain the FIFO of what it held at the first look; yields None every 3 ms of bus time.

        Raises
        ------
        BusError
            If a transfer failed; what was read before it has been delivered.
        DeviceError
            If the chip lost its settings or stopped sampling.
        """
        edge_ns = self._plan.edge_ns()
        if edge_ns is None:
            return
        try:
            yield from self._drain(edge_ns)
        except BusError:
            self._fifo.interrupt("bus error")
            raise
        except DeviceError:
            self._fifo.interrupt("device restarted")
            raise

    def stop(self) -> None:
        """Put the chip into standby, where it draws 0.1 uA."""
        try:
            self._chip.write(reg.POWER_CTL, reg.STANDBY)
        except BusError as error:
            log.info("%s: not put to rest: %s", self._name, error)

    def self_test(self) -> Iterator[SelfTestResult | None]:
        """Run the data sheet's self-test on a chip at rest; see `SelfTesting`. Takes half a second.

        Raises
        ------
        DeviceNotFoundError
            If nobody answers, or another chip does.
        DeviceError
            If a setting does not hold.
        """
        self._check_identity()
        try:
            resting_mg = yield from self._mean_mg(excited=False)
            excited_mg = yield from self._mean_mg(excited=True)
        finally:
            self.stop()
        yield from results((excited_mg - resting_mg).tolist(), reg.SELF_TEST_LIMITS_MG, "mg")

    def _mean_mg(self, *, excited: bool) -> Generator[None, None, Readings]:
        settings = reg.self_test_settings(excited=excited)
        self._chip.write(reg.POWER_CTL, reg.STANDBY)
        self._chip.configure(settings)
        self._chip.verify(settings)
        self._chip.write(reg.POWER_CTL, reg.MEASURE)
        return (
            yield from mean_reading(
                self._clock,
                self._plan.wait_until,
                self._read_mg,
                settling_ns=reg.SELF_TEST_SETTLING_NS,
                n_readings=reg.SELF_TEST_READINGS,
                pause_ns=reg.SELF_TEST_PAUSE_NS,
            )
        )

    def _read_mg(self) -> Readings:
        """Read the newest sample."""
        raw = self._chip.read(reg.DATAX0, reg.ENTRY_BYTES)
        return reg.decode_entries(raw)[0] * reg.MG_PER_COUNT

    def _check_identity(self) -> None:
        device_id = self._chip.identify(reg.DEVID)
        if device_id != reg.DEVICE_ID:
            raise DeviceNotFoundError(
                f"{self._chip.place}: device id is 0x{device_id:02x}, expected "
                f"0x{reg.DEVICE_ID:02x}. Another chip has this address, or the bus drops out: "
                "check the wiring and the address pin (SDO), and the driver in the configuration."
            )

    def _drain(self, edge_ns: int) -> Iterator[DeviceOutput | None]:
        level, drain = self._look(edge_ns)
        chunk_ns, paused = drain.start_ns, True
        try:
            while len(drain.entries) < drain.n_latched:
                start_ns = self._clock.monotonic_ns()
                if start_ns - chunk_ns > CHUNK_NS:
                    yield None
                    start_ns = chunk_ns = self._clock.monotonic_ns()
                    paused = True
                entry = self._take(with_overrun=paused)
                end_ns = self._clock.monotonic_ns()
                paused, level = False, entry.level
                if entry.overrun:
                    yield from self._deliver(drain)
                    drain = self._after_overrun(start_ns, end_ns, level)
                self._check_level(drain, level, end_ns)
                drain.entries.append(entry.counts)
        except (BusError, DeviceError):
            yield from self._deliver(drain)
            raise
        yield from self._deliver(drain)
        self._plan.plan(level)

    def _look(self, edge_ns: int) -> tuple[int, _Drain]:
        """Read the FIFO's level and begin a drain of that many entries."""
        start_ns = self._clock.monotonic_ns()
        fifo_ctl, fifo_status = self._chip.read(reg.FIFO_CTL, 2)
        end_ns = self._clock.monotonic_ns()
        self._check_settings(fifo_ctl)
        level = fifo_status & reg.ENTRIES_MASK
        above = level >= self._fifo.watermark
        edge_ns = edge_ns if above else 0
        if level < reg.FIFO_SIZE:  # a full one does not tell how many samples there were
            self._fifo.observe(level, start_ns, end_ns, edge_ns=edge_ns)
        self._plan.judge(edge_ns, above_watermark=above)
        return level, _Drain(start_ns, end_ns, level, edge_ns)

    def _take(self, *, with_overrun: bool) -> reg.Entry:
        """Take the FIFO's oldest entry."""
        register = reg.INT_SOURCE if with_overrun else reg.DATAX0
        entry = reg.parse_entry(self._chip.read(register, reg.FIFO_STATUS + 1 - register))
        self._check_settings(entry.fifo_ctl)
        return entry

    def _after_overrun(self, start_ns: int, end_ns: int, level: int) -> _Drain:
        """Begin a new stretch with the entry just taken: it is the oldest that survived.

        What was known of the level before is void; that one transaction tells it anew.
        """
        self._fifo.interrupt("fifo overflow")
        newest = self._fifo.next_index + level
        self._fifo.pace.restart(newest, end_ns - self._fifo.pace.period_ns / 2)
        log.warning("%s: FIFO overflow, %d entries left.", self._name, level + 1)
        return _Drain(start_ns, end_ns, 1 + level)

    def _deliver(self, drain: _Drain) -> Iterator[DeviceOutput]:
        counts = reg.decode_entries(b"".join(drain.entries))
        yield from self._fifo.deliver((counts,), drain.read())

    def _check_level(self, drain: _Drain, level: int, now_ns: int) -> None:
        """Refuse a level that contradicts the one before: nobody knows then what was read."""
        least = drain.n_latched - len(drain.entries) - 1
        most = least + int((now_ns - drain.start_ns) / self._fifo.pace.period_ns)
        if not least - LEVEL_SLACK <= level <= most + LEVEL_SLACK:
            drain.entries.clear()
            raise DeviceDataError(
                f"{self._chip.place}: the FIFO holds {level} entries, expected {least} to {most} "
                "by what was read before; the bus garbles. It is set up again; if this returns, "
                "check the cable's length and the pull-ups."
            )

    def _check_settings(self, fifo_ctl: int) -> None:
        expected = self._in_standby[reg.FIFO_CTL]
        if fifo_ctl != expected:
            raise DeviceDataError(
                f"{self._chip.place}: FIFO_CTL reads 0x{fifo_ctl:02x}, expected 0x{expected:02x}; "
                "the chip lost its settings or the bus garbles. It is set up again; if this "
                "returns, check its supply."
            )


def _check(address: int, range_g: int, watermark: int) -> None:
    if address not in (0x53, 0x1D):
        raise ValueError(f"ADXL345: address is 0x{address:02x}; the chip has 0x53 or 0x1d")
    if range_g not in reg.RANGE_CODES:
        raise ValueError(f"ADXL345: range_g is {range_g}; allowed are 2, 4, 8 and 16")
    if not 1 <= watermark <= reg.FIFO_SIZE - 1:
        raise ValueError(f"ADXL345: watermark is {watermark}; allowed are 1 to 31")


def _spec(
    stream: str,
    sampling_rate_hz: float,
    range_g: int,
    watermark: int,
    placement: str,
    mounting: tuple[float, ...],
) -> StreamSpec:
    return motion_spec(
        stream,
        "accel",
        "ADXL345",
        sampling_rate_hz=sampling_rate_hz,
        counts_per_unit=reg.COUNTS_PER_G,
        full_scale=range_g,
        placement=placement,
        mounting=mounting,
        attributes={
            "group_delay_ns": reg.group_delay_ns(sampling_rate_hz),
            "watermark": watermark,
            "fifo_size": reg.FIFO_SIZE,
        },
    )
