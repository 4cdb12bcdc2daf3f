"""LIS3DH accelerometer over I2C, read through its FIFO."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

import numpy as np

from wban_collect.clock import Clock
from wban_collect.device import DeviceOutput, Identity, SelfTestResult
from wban_collect.devices import lis3dh_registers as reg
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

CHUNK_SAMPLES = 17
"""Most of one burst, 2.4 ms at 400 kHz; with the look before it less than 3 ms."""


@dataclass(frozen=True, slots=True)
class _Look:
    """The FIFO's level, and the transaction that told it."""

    start_ns: int
    end_ns: int
    state: reg.FifoState


@dataclass(slots=True)
class _Drain:
    """Samples taken so far, and the transaction that told how many there were.

    `n_latched` counts from the first of the samples: those known to be latched at that transaction.
    """

    start_ns: int
    end_ns: int
    n_latched: int
    edge_ns: int = 0
    raw: bytearray = field(default_factory=bytearray)

    @property
    def n_left(self) -> int:
        """Samples that are known to be in the FIFO still."""
        return self.n_latched - len(self.raw) // reg.SAMPLE_BYTES

    def read(self) -> Read:
        """Make the evidence of the samples taken."""
        return Read(self.start_ns, self.end_ns, edge_ns=self.edge_ns, fifo_level=self.n_left)


class Lis3dh:
    """A LIS3DH in stream mode; implements `BusDevice`.

    A burst of 6 bytes a sample drains the FIFO: behind the last data register the address rolls
    over to the first. The level is read before each burst, and tells of an overrun.

    The FIFO keeps 10 bits of a sample whatever the mode, so that counts move in steps of 4.

    Parameters
    ----------
    stream
        Name of its stream.
    address
        0x18, or 0x19 with SDO high.
    sampling_rate_hz
        1, 10, 25, 50, 100, 200 or 400.
    range_g
        2, 4, 8 or 16.
    watermark
        Samples per read, 1..31; None: 16, or fewer so that there are 10 reads a second.
    edges
        The line INT1 is wired to; None: the FIFO is polled.
    mounting
        Rotation from the sensor's to the body's axes, row by row.
    high_resolution
        The chip's mode of that name: less noise, a bandwidth of a ninth of the rate; otherwise
        half of the rate.

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
        address: int = 0x18,
        sampling_rate_hz: float = 100.0,
        range_g: int = 8,
        watermark: int | None = None,
        edges: EdgeSource | None = None,
        placement: str = "",
        mounting: tuple[float, ...] = IDENTITY_MOUNTING,
        high_resolution: bool = True,
    ) -> None:
        watermark = default_watermark(sampling_rate_hz) if watermark is None else watermark
        _check(address, range_g, watermark)
        self._name = name
        self._clock = clock
        self._chip = RegisterChip(bus, address, "LIS3DH")
        self._run = reg.rate_code(sampling_rate_hz) << 4 | reg.ALL_AXES
        self._settings = reg.settings(
            range_g, high_resolution=high_resolution, interrupt=edges is not None
        )
        self._stream_mode = reg.stream_mode(watermark)
        self._filtering = reg.filtering(sampling_rate_hz, high_resolution=high_resolution)
        self._spec = motion_spec(
            stream,
            "accel",
            "LIS3DH",
            sampling_rate_hz=sampling_rate_hz,
            counts_per_unit=1000.0 / reg.MG_PER_COUNT[range_g],
            full_scale=range_g,
            placement=placement,
            mounting=mounting,
            attributes={
                "bandwidth_hz": self._filtering.bandwidth_hz,
                "group_delay_ns": self._filtering.group_delay_ns,
                "watermark": watermark,
                "fifo_size": reg.FIFO_SIZE,
                "step_counts": reg.FIFO_STEP_COUNTS,
            },
        )
        self._fifo = FifoStreams(
            self._chip.place,
            (stream,),
            self._spec.period_ns,
            watermark=watermark,
            capacity=reg.FIFO_SIZE,
            tolerance=reg.CLOCK_TOLERANCE,
        )
        self._shortest_ns = self._spec.period_ns * (1 - reg.CLOCK_TOLERANCE)
        self._plan = ReadPlan(name, self._fifo, clock, edges)

    @property
    def name(self) -> str:
        """Name in the configuration."""
        return self._name

    @property
    def identity(self) -> Identity:
        """What the chip is; it has no serial number."""
        return Identity("LIS3DH")

    @property
    def streams(self) -> tuple[StreamSpec, ...]:
        """Its one stream."""
        return (self._spec,)

    def next_due_ns(self) -> int:
        """When the FIFO should hold a watermark of samples, or the filter has settled."""
        return self._plan.due_ns

    def deadline_ns(self) -> int:
        """When the FIFO is about to be full."""
        return self._fifo.deadline_ns()

    def start(self) -> Iterator[None]:
        """Check the chip's identity, set it up, let it settle, and start the FIFO.

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
        self._chip.write(reg.CTRL_REG1, reg.POWER_DOWN)
        self._chip.configure(self._settings)
        yield None
        self._chip.verify(self._settings)
        self._chip.configure({reg.CTRL_REG1: self._run})
        self._chip.verify({reg.CTRL_REG1: self._run})
        self._plan.due_ns = self._clock.monotonic_ns() + self._filtering.settling_ns
        yield None
        # From bypass, in which the FIFO is empty.
        self._chip.write(reg.FIFO_CTRL_REG, self._stream_mode)
        self._fifo.restart(self._clock.monotonic_ns())
        self._chip.verify({reg.FIFO_CTRL_REG: self._stream_mode})
        self._plan.plan(0)

    def read(self) -> Iterator[DeviceOutput | None]:
        """Drain the FIFO of what it held at the first look; yields None after each burst.

        Raises
        ------
        BusError
            If a transfer failed; what was read before it has been delivered.
        DeviceError
            If the chip's data cannot be true, it lost its settings or stopped sampling.
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
        """Put the chip into power-down, where it draws 0.5 uA."""
        try:
            self._chip.write(reg.CTRL_REG1, reg.POWER_DOWN)
        except BusError as error:
            log.info("%s: not put to rest: %s", self._name, error)

    def self_test(self) -> Iterator[SelfTestResult | None]:
        """Run the maker's self-test on a chip at rest; see `SelfTesting`. Takes half a second.

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
        yield from results(
            np.abs(excited_mg - resting_mg).tolist(), [reg.SELF_TEST_LIMITS_MG] * 3, "mg"
        )

    def _mean_mg(self, *, excited: bool) -> Generator[None, None, Readings]:
        settings = reg.self_test_settings(excited=excited)
        self._chip.write(reg.CTRL_REG1, reg.POWER_DOWN)
        self._chip.configure(settings)
        self._chip.verify(settings)
        self._chip.write(reg.CTRL_REG1, reg.rate_code(reg.SELF_TEST_RATE_HZ) << 4 | reg.ALL_AXES)
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
        """Read the newest sample at 2 g."""
        return reg.decode_samples(self._burst(1))[0] * reg.MG_PER_COUNT[2]

    def _check_identity(self) -> None:
        device_id = self._chip.identify(reg.WHO_AM_I)
        if device_id != reg.DEVICE_ID:
            raise DeviceNotFoundError(
                f"{self._chip.place}: WHO_AM_I is 0x{device_id:02x}, expected "
                f"0x{reg.DEVICE_ID:02x}. Another chip has this address, or the bus drops out: "
                "check the wiring and the address pin (SDO), and the driver in the configuration."
            )

    def _drain(self, edge_ns: int) -> Iterator[DeviceOutput | None]:
        look = self._look()
        drain = self._begin(look, edge_ns)
        in_time = True
        try:
            while drain.n_left > 0 and in_time:
                if drain.raw:
                    yield None
                    look = self._look()
                start_ns = self._clock.monotonic_ns()
                burst = self._burst(drain.n_left)
                end_ns = self._clock.monotonic_ns()
                if look.state.overrun:
                    yield from self._deliver(drain)
                    drain = self._after_overrun(start_ns, end_ns)
                in_time = look.state.overrun or not self._may_have_overrun(look, end_ns)
                drain.raw += burst if in_time else b""
        except (BusError, DeviceError):
            yield from self._deliver(drain)
            raise
        yield from self._deliver(drain)
        if in_time:
            # Only the line's next edge depends on what has come meanwhile.
            self._plan.plan(self._look().state.level if self._plan.has_line else 0)
        else:
            self._give_up_burst()

    def _look(self) -> _Look:
        """Read the FIFO's level; its setting comes with it."""
        start_ns = self._clock.monotonic_ns()
        raw = self._chip.read(reg.FIFO_CTRL_REG | reg.AUTO_INCREMENT, 2)
        look = _Look(start_ns, self._clock.monotonic_ns(), reg.parse_fifo_state(raw))
        self._check_state(look.state)
        return look

    def _begin(self, look: _Look, edge_ns: int) -> _Drain:
        """Begin a drain of as many samples as the FIFO holds, and learn from their number."""
        level = look.state.level
        above = level >= self._fifo.watermark
        edge_ns = edge_ns if above else 0
        if not look.state.overrun:  # a full one does not tell how many samples there were
            self._fifo.observe(level, look.start_ns, look.end_ns, edge_ns=edge_ns)
        self._plan.judge(edge_ns, above_watermark=above)
        return _Drain(look.start_ns, look.end_ns, level, edge_ns)

    def _burst(self, n_samples: int) -> bytes:
        """Take the oldest samples in one transaction."""
        n_bytes = min(n_samples, CHUNK_SAMPLES) * reg.SAMPLE_BYTES
        burst = self._chip.read(reg.OUT_X_L | reg.AUTO_INCREMENT, n_bytes)
        if reg.garbled(burst):
            raise DeviceDataError(
                f"{self._chip.place}: a sample has bits below its 12, which the chip always "
                "clears; the bus garbles or drops out. It is set up again; if this returns, "
                "check the cable's length and the pull-ups."
            )
        return burst

    def _may_have_overrun(self, look: _Look, end_ns: int) -> bool:
        """Whether so much time passed since the look that the FIFO may have filled up in it."""
        room_ns = (reg.FIFO_SIZE - look.state.level) * self._shortest_ns
        return end_ns - look.start_ns > room_ns

    def _after_overrun(self, start_ns: int, end_ns: int) -> _Drain:
        """Begin a new stretch with the burst just taken: its first sample is the oldest left.

        What was known of the level before is void. But the FIFO stays full until that sample is
        taken, which bounds the newest one.
        """
        self._fifo.interrupt("fifo overflow")
        newest = self._fifo.next_index + reg.FIFO_SIZE - 1
        self._fifo.pace.restart(newest, end_ns - self._fifo.pace.period_ns / 2)
        log.warning("%s: FIFO overflow, %d samples left.", self._name, reg.FIFO_SIZE)
        return _Drain(start_ns, end_ns, reg.FIFO_SIZE)

    def _give_up_burst(self) -> None:
        """Leave the burst just taken to the gap: nobody knows how much was lost before it."""
        log.warning("%s: the FIFO was not read in time.", self._name)
        self._fifo.interrupt("fifo overflow")
        now_ns = self._clock.monotonic_ns()
        self._fifo.restart(now_ns)
        self._plan.plan(self._fifo.watermark)
        self._plan.due_ns = now_ns

    def _deliver(self, drain: _Drain) -> Iterator[DeviceOutput]:
        counts = reg.decode_samples(bytes(drain.raw))
        yield from self._fifo.deliver((counts,), drain.read())

    def _check_state(self, state: reg.FifoState) -> None:
        if state.fifo_ctrl != self._stream_mode:
            raise DeviceDataError(
                f"{self._chip.place}: FIFO_CTRL_REG reads 0x{state.fifo_ctrl:02x}, expected "
                f"0x{self._stream_mode:02x}; the chip lost its settings or the bus garbles. It is "
                "set up again; if this returns, check its supply."
            )
        if not state.possible:
            raise DeviceDataError(
                f"{self._chip.place}: the flags of FIFO_SRC_REG contradict each other; the bus "
                "garbles. It is set up again; if this returns, check the cable and the pull-ups."
            )


def _check(address: int, range_g: int, watermark: int) -> None:
    if address not in (0x18, 0x19):
        raise ValueError(f"LIS3DH: address is 0x{address:02x}; the chip has 0x18 or 0x19")
    if range_g not in reg.RANGE_CODES:
        raise ValueError(f"LIS3DH: range_g is {range_g}; allowed are 2, 4, 8 and 16")
    if not 1 <= watermark <= reg.FIFO_SIZE - 1:
        raise ValueError(f"LIS3DH: watermark is {watermark}; allowed are 1 to 31")
