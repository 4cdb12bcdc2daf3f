"""MPU-6050, 6500, 9250 and their clones over I2C, read through the FIFO."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from wban_collect.clock import Clock
from wban_collect.device import DeviceOutput, Identity, SelfTestResult
from wban_collect.devices import mpu6050_registers as reg
from wban_collect.devices.fifo_streams import FifoStreams, default_watermark
from wban_collect.devices.motion_stream import IDENTITY_MOUNTING, motion_spec
from wban_collect.devices.mpu6050_self_test import Mpu6050SelfTest
from wban_collect.devices.register_chip import RegisterChip
from wban_collect.errors import BusError, DeviceDataError, DeviceError, DeviceNotFoundError
from wban_collect.i2c import I2CBus
from wban_dataset.recording.streams import Read, StreamSpec

log = logging.getLogger(__name__)

CHUNK_BYTES = 100
"""Most of one burst, 2.3 ms at 400 kHz; with the status read that follows about 3 ms."""

N_COUNT_READS = 3
"""A record being written shows as a broken count; if it stays broken, the FIFO is misaligned."""

COUNT_SLACK = 3
"""Records by which a count may differ from the expected one without being read again."""

SPARE_RECORDS = 3
"""The FIFO counts as overflowing when so little room is left, as in the kernel's driver."""


class Mpu6050:
    """An MPU-6050 or a relative with a FIFO; implements `BusDevice` with two streams.

    WHO_AM_I decides the size of the FIFO and the filter registers. The low-pass filter is the
    widest one below half the sampling rate. When the FIFO overflows the oldest bytes go, not the
    oldest records, so that it is emptied and a gap is noted.

    Parameters
    ----------
    accel_stream, gyro_stream
        Names of its streams.
    address
        0x68, or 0x69 with AD0 high.
    sampling_rate_hz
        1000 Hz divided by a whole number up to 256; a true MPU-6050 also makes 400 Hz and other
        parts of 8000 Hz above 350 Hz, unfiltered.
    accel_range_g
        2, 4, 8 or 16.
    gyro_range_dps
        250, 500, 1000 or 2000.
    watermark
        Records per read, 1..20; None: 16, or fewer so that there are 10 reads a second.
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
        address: int = 0x68,
        sampling_rate_hz: float = 100.0,
        accel_range_g: int = 8,
        gyro_range_dps: int = 1000,
        watermark: int | None = None,
        placement: str = "",
        mounting: tuple[float, ...] = IDENTITY_MOUNTING,
    ) -> None:
        watermark = default_watermark(sampling_rate_hz) if watermark is None else watermark
        _check(address, accel_range_g, gyro_range_dps, watermark)
        self._name = name
        self._clock = clock
        self._chip = RegisterChip(bus, address, "MPU-6050")
        self._rate = reg.sample_rate(sampling_rate_hz)
        self._stream_names = (accel_stream, gyro_stream)
        self._accel_range_g = accel_range_g
        self._gyro_range_dps = gyro_range_dps
        self._placement = placement
        self._mounting = mounting
        self._watermark = watermark
        self._take_variant(reg.VARIANTS[0x68])
        self._fifo = FifoStreams(
            self._chip.place,
            self._stream_names,
            1e9 / self._rate.hz,
            watermark=watermark,
            capacity=self._capacity,
            tolerance=reg.CLOCK_TOLERANCE,
        )
        self._due_ns = 0

    @property
    def name(self) -> str:
        """Name in the configuration."""
        return self._name

    @property
    def identity(self) -> Identity:
        """What the chip says it is, known after `start`; it has no serial number."""
        note = "" if self._variant.genuine else "this WHO_AM_I is seen on clones"
        return Identity(self._variant.model, note=note)

    @property
    def streams(self) -> tuple[StreamSpec, ...]:
        """Accelerometer and gyroscope; filter delays are those of the chip found by `start`."""
        return self._specs

    def next_due_ns(self) -> int:
        """When the FIFO should hold a watermark of records, or a wait of the set-up is over."""
        return self._due_ns

    def deadline_ns(self) -> int:
        """When the FIFO is about to be full."""
        return self._fifo.deadline_ns()

    def start(self) -> Iterator[None]:
        """Reset the chip, identify it, set it up, verify, and start the FIFO.

        Raises
        ------
        DeviceNotFoundError
            If nobody answers, or a chip that is none of the family.
        DeviceError
            If the reset does not end or a setting does not hold.
        """
        self._due_ns = self._clock.monotonic_ns()
        self._fifo.interrupt("device restarted")
        self._identify()
        yield from self._wake()
        yield from self._configure()
        yield from self._wait(reg.GYRO_SETTLE_NS)
        self._restart_fifo()
        self._due_ns = self._fifo.poll_due_ns()

    def read(self) -> Iterator[DeviceOutput | None]:
        """Drain the FIFO of the records counted at the first look; yields None after each burst.

        Raises
        ------
        BusError
            If a transfer failed; what was read before it has been delivered.
        DeviceError
            If the chip's data cannot be true, or it stopped sampling.
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
        """Put the chip to sleep."""
        try:
            self._chip.write(reg.PWR_MGMT_1, reg.SLEEP | reg.CLKSEL_PLL)
        except BusError as error:
            log.info("%s: not put to sleep: %s", self._name, error)

    def self_test(self) -> Iterator[SelfTestResult | None]:
        """Run the maker's self-test on a chip at rest; see `SelfTesting`. Takes a second.

        Raises
        ------
        DeviceNotFoundError
            If nobody answers, or a chip that is none of the family.
        DeviceError
            If the reset does not end or a setting does not hold.
        """
        self._identify()
        try:
            yield from self._wake()
            test = Mpu6050SelfTest(self._chip, self._clock, self._variant, self._resume_at)
            yield from test.steps()
        finally:
            self.stop()

    # Set-up

    def _wake(self) -> Iterator[None]:
        """Reset the chip and take it out of the sleep that it is in then."""
        self._chip.write(reg.PWR_MGMT_1, reg.DEVICE_RESET)
        yield from self._wait(reg.RESET_NS)
        self._check_reset()
        self._chip.write(reg.PWR_MGMT_1, reg.CLKSEL_PLL)
        yield from self._wait(reg.WAKE_NS)

    def _resume_at(self, due_ns: int) -> None:
        self._due_ns = due_ns

    def _wait(self, duration_ns: int) -> Iterator[None]:
        """Ask to be resumed after a wait that the data sheet prescribes."""
        self._due_ns = self._clock.monotonic_ns() + duration_ns
        yield None

    def _identify(self) -> None:
        who_am_i = self._chip.identify(reg.WHO_AM_I)
        variant = reg.VARIANTS.get(who_am_i)
        if variant is None:
            known = ", ".join(f"0x{value:02x}" for value in sorted(reg.VARIANTS))
            raise DeviceNotFoundError(
                f"{self._chip.place}: WHO_AM_I is 0x{who_am_i:02x}, expected one of {known}. "
                "Another chip has this address (a DS3231 clock also sits at 0x68: set AD0 high "
                "and use 0x69), or it is a clone not known here."
            )
        if self._rate.fast and not variant.fast_rates:
            raise DeviceError(
                f"{self._chip.place}: it is an {variant.model}, which cannot sample at "
                f"{self._rate.hz:g} Hz. Set sampling_rate_hz to 500 or 333.333."
            )
        if not variant.genuine:
            log.info("%s: WHO_AM_I 0x%02x, %s.", self._name, who_am_i, variant.model)
        self._take_variant(variant)
        self._fifo.capacity = self._capacity

    def _take_variant(self, variant: reg.Variant) -> None:
        """Take over what depends on the kind of chip: filters, their delays, the FIFO's size."""
        self._variant = variant
        dlpf = reg.choose_filter(self._rate, accel_filter=variant.accel_filter)
        self._filter = dlpf
        self._specs = (
            self._spec(0, "accel", dlpf.accel_hz, dlpf.accel_delay_ns),
            self._spec(1, "gyro", dlpf.gyro_hz, dlpf.gyro_delay_ns),
        )

    def _spec(
        self, place: int, kind: Literal["accel", "gyro"], bandwidth_hz: float, group_delay_ns: int
    ) -> StreamSpec:
        accel = kind == "accel"
        full_scale = self._accel_range_g if accel else self._gyro_range_dps
        table = reg.ACCEL_COUNTS_PER_G if accel else reg.GYRO_COUNTS_PER_DPS
        return motion_spec(
            self._stream_names[place],
            kind,
            self._variant.model,
            sampling_rate_hz=self._rate.hz,
            counts_per_unit=table[full_scale],
            full_scale=full_scale,
            placement=self._placement,
            mounting=self._mounting,
            attributes={
                "bandwidth_hz": bandwidth_hz,
                "group_delay_ns": group_delay_ns,
                "watermark": self._watermark,
                "fifo_size": self._variant.fifo_bytes // self._variant.record_bytes,
            },
        )

    @property
    def _capacity(self) -> int:
        return self._variant.fifo_bytes // self._variant.record_bytes - SPARE_RECORDS

    @property
    def _limit_bytes(self) -> int:
        return self._capacity * self._variant.record_bytes

    def _check_reset(self) -> None:
        power = self._chip.read_byte(reg.PWR_MGMT_1)
        if power & reg.DEVICE_RESET:
            raise DeviceError(
                f"{self._chip.place}: still in reset after {reg.RESET_NS // 1_000_000} ms "
                f"(PWR_MGMT_1 is 0x{power:02x}). Cycle the sensor's power."
            )

    def _configure(self) -> Iterator[None]:
        self._chip.configure({reg.USER_CTRL: 0, reg.FIFO_EN: 0})
        settings = reg.settings(
            self._rate.divider, self._filter, self._accel_range_g, self._gyro_range_dps
        )
        self._chip.configure(settings)
        yield None
        self._chip.verify({**settings, reg.PWR_MGMT_1: reg.CLKSEL_PLL})
        if self._variant.accel_filter:
            self._set_accel_filter()

    def _set_accel_filter(self) -> None:
        """Set the accelerometer's own filter; a clone may turn out not to have it."""
        setting = {reg.ACCEL_CONFIG_2: self._filter.code}
        self._chip.configure(setting)
        try:
            self._chip.verify(setting)
        except DeviceError as error:
            if self._variant.genuine:
                raise
            log.warning("%s: taken for an MPU-6050's filters: %s", self._name, error)
            self._take_variant(replace(self._variant, accel_filter=False))
            self._chip.configure({reg.CONFIG: self._filter.code})

    def _restart_fifo(self) -> None:
        """Empty the FIFO and start it aligned; the order is the kernel driver's."""
        self._chip.write(reg.FIFO_EN, 0)
        self._chip.write(reg.USER_CTRL, 0)
        self._chip.write(reg.USER_CTRL, reg.FIFO_RESET)
        self._chip.write(reg.USER_CTRL, reg.FIFO_ENABLE)
        self._chip.write(reg.FIFO_EN, reg.FIFO_ACCEL_GYRO)
        self._chip.read_byte(reg.INT_STATUS)
        self._fifo.restart(self._clock.monotonic_ns())

    # Reading

    def _drain(self) -> Iterator[DeviceOutput | None]:
        start_ns, end_ns, n_bytes = self._count()
        if n_bytes < 0:
            self._begin_anew("fifo misaligned")
            return
        if n_bytes > self._limit_bytes:
            self._begin_anew("fifo overflow")
            return
        n_records = n_bytes // self._variant.record_bytes
        self._fifo.observe(n_records, start_ns, end_ns)
        raw = bytearray()
        cause = ""
        try:
            while len(raw) < n_bytes and not cause:
                if raw:
                    yield None
                burst = self._burst(n_bytes - len(raw))
                cause = self._fault(burst)
                raw += b"" if cause else burst
        except (BusError, DeviceError):
            yield from self._deliver(raw, start_ns, end_ns, n_records)
            raise
        yield from self._deliver(raw, start_ns, end_ns, n_records)
        if cause:
            self._begin_anew(cause)

    def _count(self) -> tuple[int, int, int]:
        """Start and end of the transaction that told the count, and the bytes; -1: misaligned.

        Raises
        ------
        DeviceDataError
            If the count is larger than any FIFO of the family.
        """
        start_ns = end_ns = 0
        doubted = -1
        for _ in range(N_COUNT_READS):
            start_ns = self._clock.monotonic_ns()
            n_bytes = int.from_bytes(self._chip.read(reg.FIFO_COUNTH, 2), "big")
            end_ns = self._clock.monotonic_ns()
            if n_bytes > reg.LARGEST_FIFO_BYTES:
                raise DeviceDataError(
                    f"{self._chip.place}: FIFO_COUNT is {n_bytes}, expected at most "
                    f"{self._variant.fifo_bytes}. The bus drops out: check the wiring and supply."
                )
            if n_bytes <= self._limit_bytes and n_bytes % self._variant.record_bytes:
                continue
            n_grown = n_bytes - doubted
            if self._is_likely(n_bytes, start_ns) or n_grown in (0, self._variant.record_bytes):
                return start_ns, end_ns, n_bytes
            doubted = n_bytes
        return start_ns, end_ns, -1

    def _is_likely(self, n_bytes: int, now_ns: int) -> bool:
        """Whether the count is about what the time lets expect; any other is read once more.

        One that was read wrongly would invent records, or leave some to be stamped too late.
        """
        pace = self._fifo.pace
        expected = (now_ns - pace.latch_ns(self._fifo.next_index)) / pace.period_ns + 1
        return abs(n_bytes / self._variant.record_bytes - expected) <= COUNT_SLACK

    def _burst(self, n_bytes: int) -> bytes:
        """Read whole records in one transaction."""
        record_bytes = self._variant.record_bytes
        most = CHUNK_BYTES // record_bytes * record_bytes
        return self._chip.read(reg.FIFO_R_W, min(n_bytes, most))

    def _fault(self, burst: bytes) -> str:
        """Say what spoils a burst, or "": an overflow before its end shifts the bytes in it."""
        if self._chip.read_byte(reg.INT_STATUS) & reg.FIFO_OFLOW:
            return "fifo overflow"
        if reg.all_ones(burst, self._variant.record_bytes):
            return "fifo misaligned"
        return ""

    def _deliver(
        self, raw: bytearray, start_ns: int, end_ns: int, n_records: int
    ) -> Iterator[DeviceOutput]:
        counts = reg.decode_records(bytes(raw), self._variant.record_bytes)
        read = Read(start_ns, end_ns, fifo_level=n_records - len(counts[0]))
        yield from self._fifo.deliver(counts, read)

    def _begin_anew(self, cause: str) -> None:
        log.warning("%s: %s; the FIFO is emptied.", self._name, cause)
        self._fifo.interrupt(cause)
        self._restart_fifo()


def _check(address: int, accel_range_g: int, gyro_range_dps: int, watermark: int) -> None:
    if address not in (0x68, 0x69):
        raise ValueError(f"MPU-6050: address is 0x{address:02x}; the chip has 0x68 or 0x69")
    if accel_range_g not in reg.ACCEL_COUNTS_PER_G:
        raise ValueError(f"MPU-6050: accel_range_g is {accel_range_g}; allowed are 2, 4, 8 and 16")
    if gyro_range_dps not in reg.GYRO_COUNTS_PER_DPS:
        raise ValueError(
            f"MPU-6050: gyro_range_dps is {gyro_range_dps}; allowed are 250, 500, 1000 and 2000"
        )
    if not 1 <= watermark <= 20:
        raise ValueError(f"MPU-6050: watermark is {watermark}; allowed are 1 to 20 records")
