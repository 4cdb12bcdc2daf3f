"""A simulated ADXL345: registers, FIFO and interrupts, from the data sheet (rev. G).

Sampling is lazy: samples come into being when somebody looks, in batches, at the true instants of
the chip's own clock. Motion detection (tap, activity, inactivity, free fall) is not simulated;
trigger mode therefore never triggers and behaves as stream mode.
"""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wban_collect.simulation.chip import ChipNack
from wban_collect.simulation.chip_clock import ChipClock
from wban_collect.simulation.edges import SimulatedEdges
from wban_collect.simulation.world import World, sampling_until_ns

STANDARD_GRAVITY = 9.80665
LSB_PER_G = 256  # full resolution, every range

DEVID, OFSX, OFSZ = 0x00, 0x1E, 0x20
BW_RATE, POWER_CTL = 0x2C, 0x2D
INT_ENABLE, INT_MAP, INT_SOURCE = 0x2E, 0x2F, 0x30
DATA_FORMAT, DATAX0, DATAZ1 = 0x31, 0x32, 0x37
FIFO_CTL, FIFO_STATUS = 0x38, 0x39

DATA_READY, WATERMARK, OVERRUN = 0x80, 0x02, 0x01
MEASURE, SLEEP, LOW_POWER = 0x08, 0x04, 0x10
SELF_TEST, INT_INVERT, FULL_RES, JUSTIFY = 0x80, 0x20, 0x08, 0x04
BYPASS, FIFO_MODE, STREAM, TRIGGER = 0, 1, 2, 3

FIFO_DEPTH = 32
# One more sample waits at the output filter while the FIFO is full (FIFO_STATUS, entries bits).
READABLE_DEPTH = FIFO_DEPTH + 1
# From Measure to the first sample: this plus one period (data sheet, turn-on time); and from power
# to the first answer.
TURN_ON_NS = 1_100_000
# Within the limits for 2.5 V and for 3.3 V, in LSB of 1/256 g (tables 14 and 15).
SELF_TEST_LSB = (420, -420, 600)

_READ_ONLY = frozenset((DEVID, 0x2B, INT_SOURCE, *range(DATAX0, DATAZ1 + 1), FIFO_STATUS))
_DEVICE_ID = 0xE5
_N_REGISTERS = 0x40
_PREFETCH = 64


class SimulatedAdxl345:
    """An ADXL345 on a `SimulatedI2CBus`.

    Parameters
    ----------
    zero_g_offset_g, gain_error
        Per axis, in g and as a fraction. None: drawn from `seed`, typical of the data sheet
        (35 and 40 mg, 2 %).
    clock_error, drift_ppm, drift_period_s
        Of the chip's oscillator, see `ChipClock`.
    ideal
        No noise, no offset, no gain or clock error: counts are exactly round(world / LSB).
    keep_truth
        Remember the true instant of every sample read, for `read_instants_ns`.
    power_on_ns
        When it got its power; it answers 1.1 ms later. None: long ago.
    self_test_works
        False: the excitation moves nothing, as with a broken or stuck element.

    Attributes
    ----------
    int1, int2
        What is wired to the pins, or None.
    unplugged
        While true the chip does not acknowledge and its pins are still.
    """

    def __init__(
        self,
        world: World,
        seed: int,
        *,
        address: int = 0x53,
        clock_error: float = 0.0,
        drift_ppm: float = 0.0,
        drift_period_s: float = 600.0,
        zero_g_offset_g: Sequence[float] | None = None,
        gain_error: Sequence[float] | None = None,
        noise: bool = True,
        ideal: bool = False,
        keep_truth: bool = False,
        power_on_ns: int | None = None,
        self_test_works: bool = True,
    ) -> None:
        self._world = world
        self._address = address
        self._random = np.random.default_rng((seed, 0x345))
        # Drawn in any case, so that one given value does not change the others.
        drawn_offset_g = np.clip(self._random.normal(0, (0.035, 0.035, 0.04)), -0.15, 0.15)
        drawn_gain = np.clip(self._random.normal(0, 0.02, 3), -0.1, 0.1)
        offset_g = drawn_offset_g if zero_g_offset_g is None else np.asarray(zero_g_offset_g)
        self._offset_lsb = offset_g * LSB_PER_G
        self._gain = 1.0 + (drawn_gain if gain_error is None else np.asarray(gain_error))
        self._drift_phase_rad = float(self._random.uniform(0, 2 * math.pi))
        self._drift_period_s = drift_period_s
        self._clock_error = 0.0 if ideal else clock_error
        self._drift_ppm = 0.0 if ideal else drift_ppm
        self._noise = noise and not ideal
        self._ideal = ideal
        self._self_test_works = self_test_works
        self._truth_ns = array("q") if keep_truth else None
        self.int1: SimulatedEdges | None = None
        self.int2: SimulatedEdges | None = None
        self.unplugged = False
        self._ready_ns = 0 if power_on_ns is None else power_on_ns + TURN_ON_NS
        self._reset()

    @property
    def address(self) -> int:
        """7-bit address: 0x53, or 0x1D with SDO high."""
        return self._address

    def power_cycle(self, now_ns: int) -> None:
        """Start anew in standby with the power-on values."""
        self._reset()
        self._ready_ns = now_ns + TURN_ON_NS

    def latch_instants_ns(self, first: int, n: int) -> NDArray[np.int64]:
        """Give the true instants of samples since measuring (last) started, int64 (n,)."""
        if self._clock is None:
            raise ValueError("the simulated ADXL345 has not measured yet; set Measure first")
        return self._clock.instants_ns(first, n)

    def read_instants_ns(self) -> NDArray[np.int64]:
        """Give the true instant of every sample taken from the FIFO, in order of reading (n,)."""
        if self._truth_ns is None:
            raise ValueError("the simulated ADXL345 keeps no truth; make it with keep_truth=True")
        return np.array(self._truth_ns, dtype=np.int64)

    def write(self, data: bytes, end_ns: int) -> None:
        """Set the register pointer, then write what follows it."""
        if self.unplugged or end_ns < self._ready_ns:
            raise ChipNack
        if not data:
            return
        self._pointer = data[0] % _N_REGISTERS
        for value in data[1:]:
            self._write_register(self._pointer, value, end_ns)
            self._pointer = (self._pointer + 1) % _N_REGISTERS

    def read(self, n_bytes: int, byte_ns: float, start_ns: int) -> bytes:
        """Read on from the register pointer; the data registers are taken as one sample."""
        if self.unplugged or start_ns < self._ready_ns:
            raise ChipNack
        received = bytearray()
        while len(received) < n_bytes:
            register = self._pointer
            now_ns = start_ns + round((1 + len(received)) * byte_ns)
            self.advance(now_ns)
            if DATAX0 <= register <= DATAZ1:
                sample = self._take_sample(now_ns)
                rest = n_bytes - len(received)
                part = sample[register - DATAX0 : register - DATAX0 + rest]
            else:
                part = bytes((self._read_register(register),))
            received += part
            self._pointer = (register + len(part)) % _N_REGISTERS
        return bytes(received)

    def stop_condition(self) -> None:
        """Keep the register pointer, as the chip does."""

    def advance(self, now_ns: int) -> None:
        """Take the samples that are due until `now_ns`."""
        if self._clock is None or self.unplugged or not self._sampling:
            return
        n_latched = self._clock.n_until(sampling_until_ns(self._world, now_ns))
        if n_latched > self._n_latched:
            self._latch(self._n_latched, n_latched)

    def _reset(self) -> None:
        self._registers = bytearray(_N_REGISTERS)
        self._registers[DEVID] = _DEVICE_ID
        self._registers[BW_RATE] = 0x0A
        self._pointer = 0
        self._clock: ChipClock | None = None
        self._sampling = False
        self._n_latched = 0
        self._fifo: deque[tuple[int, bytes]] = deque(maxlen=READABLE_DEPTH)
        self._sample = bytes(6)
        self._unread = False
        self._overrun = False
        self._asserted = (False, False)
        self._apply_settings()

    # Registers

    def _read_register(self, register: int) -> int:
        if register == INT_SOURCE:
            return self._sources()
        if register == FIFO_STATUS:
            return min(len(self._fifo), FIFO_DEPTH)
        return self._registers[register]

    def _write_register(self, register: int, value: int, now_ns: int) -> None:
        if register in _READ_ONLY:
            return
        self.advance(now_ns)
        changed = self._registers[register] ^ value
        self._registers[register] = value
        if register in (POWER_CTL, BW_RATE) or OFSX <= register <= OFSZ or register == DATA_FORMAT:
            self._apply_settings()
        if register == POWER_CTL or (register == BW_RATE and changed & 0x0F):
            self._run_or_rest(now_ns, restart=register == BW_RATE)
        if register == FIFO_CTL and self._mode == BYPASS:
            self._fifo.clear()
        if register == FIFO_CTL and changed >> 6:
            self._unread = self._overrun = False
        self._drive_pins(self._sources(), now_ns)

    def _apply_settings(self) -> None:
        """Take over rate, format and offsets; samples not yet latched are rendered anew."""
        self._rate_hz = 0.09765625 * (1 << (self._registers[BW_RATE] & 0x0F))
        self._chunk_first = 0
        self._chunk_instants: list[int] = []
        self._chunk_data = b""

    def _run_or_rest(self, now_ns: int, *, restart: bool) -> None:
        run = self._registers[POWER_CTL] & (MEASURE | SLEEP) == MEASURE
        if run and (restart or not self._sampling):
            period_ns = 1e9 / self._rate_hz / (1.0 + self._clock_error)
            first_ns = now_ns + round(TURN_ON_NS + period_ns)
            self._clock = ChipClock(
                first_ns,
                self._rate_hz,
                self._clock_error,
                drift_ppm=self._drift_ppm,
                drift_period_s=self._drift_period_s,
                drift_phase_rad=self._drift_phase_rad,
            )
            self._n_latched = 0
            self._world.begin(first_ns)
        self._sampling = run

    # FIFO and data registers

    @property
    def _mode(self) -> int:
        return self._registers[FIFO_CTL] >> 6

    def _latch(self, first: int, stop: int) -> None:
        """Put samples first .. stop - 1 where the mode says."""
        before = self._sources()
        held = len(self._fifo)
        self._n_latched = stop
        if self._mode == BYPASS:
            self._overrun = self._overrun or self._unread or stop - first > 1
            self._unread = True
            self._sample = self._render(stop - 1, stop)[0][1]
        else:
            if self._mode == FIFO_MODE:
                kept = range(first, min(stop, first + READABLE_DEPTH - held))
            else:
                kept = range(max(first, stop - READABLE_DEPTH), stop)
            if kept:
                self._fifo.extend(self._render(kept.start, kept.stop))
            self._overrun = self._overrun or len(self._fifo) >= FIFO_DEPTH
        if self.int1 or self.int2:
            self._raise_pins(before, first, held)

    def _take_sample(self, now_ns: int) -> bytes:
        """Give what the data registers hold for one read; the FIFO moves on by one entry."""
        if self._mode == BYPASS:
            if self._unread and self._truth_ns is not None and self._clock is not None:
                self._truth_ns.append(self._clock.instant_ns(self._n_latched - 1))
            self._unread = self._overrun = False
        elif self._fifo:
            instant_ns, self._sample = self._fifo.popleft()
            if self._truth_ns is not None:
                self._truth_ns.append(instant_ns)
            self._overrun = self._overrun and len(self._fifo) >= FIFO_DEPTH
        if self.int1 or self.int2:
            self._drive_pins(self._sources(), now_ns)
        return self._sample

    def _render(self, first: int, stop: int) -> list[tuple[int, bytes]]:
        """Give samples first .. stop - 1 as (instant, data registers)."""
        start = first - self._chunk_first
        if start < 0 or stop - self._chunk_first > len(self._chunk_instants):
            ahead = max(1, min(_PREFETCH, int(self._rate_hz / 2)))
            self._render_chunk(first, max(stop - first, ahead))
            start = 0
        data = self._chunk_data
        return [
            (self._chunk_instants[place], data[6 * place : 6 * place + 6])
            for place in range(start, start + stop - first)
        ]

    def _render_chunk(self, first: int, n: int) -> None:
        instants_ns = self.latch_instants_ns(first, n)
        self._chunk_first = first
        self._chunk_instants = instants_ns.tolist()
        self._chunk_data = self._counts(self._world.acceleration(instants_ns)).tobytes()

    def _counts(self, acceleration: NDArray[np.float64]) -> NDArray[np.int16]:
        """Convert m/s^2 (n, 3) to what the data registers show, little-endian int16 (n, 3)."""
        data_format = self._registers[DATA_FORMAT]
        widening = data_format & 0x03  # +-2, 4, 8, 16 g
        full_resolution = bool(data_format & FULL_RES)
        counts = acceleration / (STANDARD_GRAVITY / LSB_PER_G)
        if not self._ideal:
            counts = counts * self._gain + self._offset_lsb
        if self._noise:
            counts = counts + self._random.standard_normal(counts.shape) * self._noise_lsb()
        # OFSx counts 15.6 mg, which is 4 LSB.
        offsets = np.frombuffer(bytes(self._registers[OFSX : OFSZ + 1]), np.int8)
        counts = counts + 4.0 * offsets
        if data_format & SELF_TEST and self._self_test_works:
            counts = counts + np.array(SELF_TEST_LSB)
        bits = 10 + widening if full_resolution else 10
        if not full_resolution:
            counts = counts / (1 << widening)
        limit = 1 << (bits - 1)
        words = np.clip(np.rint(counts), -limit, limit - 1).astype(np.int16)
        if self._rate_hz >= 1600 and (full_resolution or widening == 0):
            words &= ~1  # data sheet, "Data formatting of upper data rates"
        if data_format & JUSTIFY:
            words <<= 16 - bits
        return words.astype("<i2", copy=False)

    def _noise_lsb(self) -> NDArray[np.float64]:
        """Noise per axis in LSB rms: the 100 Hz figure, 1.41 times more per doubling above it."""
        low_power = self._registers[BW_RATE] & LOW_POWER
        at_100_hz = (1.8, 1.8, 2.6) if low_power else (0.75, 0.75, 1.1)
        return np.array(at_100_hz) * math.sqrt(max(self._rate_hz, 100.0) / 100.0)

    # Interrupts

    def _sources(self) -> int:
        """INT_SOURCE: also shows functions that are not enabled."""
        n_held = len(self._fifo)
        sources = DATA_READY if n_held or self._unread else 0
        if min(n_held, FIFO_DEPTH) >= self._registers[FIFO_CTL] & 0x1F:
            sources |= WATERMARK
        return sources | OVERRUN if self._overrun else sources

    def _raise_pins(self, before: int, first: int, held: int) -> None:
        """Raise the pins at the instant of the sample that made a function true."""
        if self._clock is None:
            return
        rose = self._sources() & ~before & self._registers[INT_ENABLE]
        filling = self._mode != BYPASS
        samples = {
            DATA_READY: first,
            WATERMARK: first + (self._registers[FIFO_CTL] & 0x1F) - held - 1,
            OVERRUN: first + (FIFO_DEPTH - held - 1 if filling else not before & DATA_READY),
        }
        due = sorted((samples[bit], bit) for bit in samples if rose & bit)
        shown = before
        for sample, bit in due:
            shown |= bit
            self._drive_pins(shown, self._clock.instant_ns(max(first, sample)))

    def _drive_pins(self, sources: int, now_ns: int) -> None:
        """Set both pins from the sources; a connected pin that goes high tells its edge."""
        enabled = sources & self._registers[INT_ENABLE]
        inverted = bool(self._registers[DATA_FORMAT] & INT_INVERT)
        to_int2 = self._registers[INT_MAP]
        asserted = (bool(enabled & ~to_int2), bool(enabled & to_int2))
        for edges, now, before in zip(
            (self.int1, self.int2), asserted, self._asserted, strict=True
        ):
            if edges is not None and now != before and now != inverted:
                edges.rise(now_ns)
        self._asserted = asserted
