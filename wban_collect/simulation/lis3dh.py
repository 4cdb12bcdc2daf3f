"""A simulated LIS3DH: registers, FIFO and interrupt, from the data sheet (DocID17530 rev. 2).

Sampling is lazy: samples come into being when somebody looks, in batches, at the true instants of
the chip's own clock. Motion detection is not simulated: stream-to-FIFO mode never switches over.
The filters' effect on the signal is not simulated, but for the settling of high resolution.
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
from wban_collect.simulation.lis3dh_sensing import Lis3dhSensing, Lis3dhSettings
from wban_collect.simulation.world import World, sampling_until_ns

WHO_AM_I, CTRL_REG0 = 0x0F, 0x1E
CTRL_REG1, CTRL_REG3, CTRL_REG4, CTRL_REG5, CTRL_REG6 = 0x20, 0x22, 0x23, 0x24, 0x25
STATUS_REG, OUT_X_L, OUT_Z_H, FIFO_CTRL_REG, FIFO_SRC_REG = 0x27, 0x28, 0x2D, 0x2E, 0x2F

MULTIPLE = 0x80  # in the register address
LOW_POWER, AXES = 0x08, 0x07
BIG_ENDIAN, HIGH_RESOLUTION = 0x40, 0x08
BOOT, FIFO_EN = 0x80, 0x40
I1_ZYXDA, I1_WTM, I1_OVERRUN = 0x10, 0x04, 0x02
INT_POLARITY = 0x02
WTM, OVRN, EMPTY = 0x80, 0x40, 0x20
BYPASS, FIFO_MODE = 0, 1

FIFO_DEPTH = 32
# The boot procedure loads the trimming; the chip does not answer before.
BOOT_NS = 5_000_000
RATES_HZ = (0.0, 1.0, 10.0, 25.0, 50.0, 100.0, 200.0, 400.0, 1620.0, 1344.0)
FASTEST_LOW_POWER_HZ = 5376.0

_WRITABLE = frozenset(
    (
        *(CTRL_REG0, 0x1F, *range(CTRL_REG1, 0x27), FIFO_CTRL_REG),
        *(0x30, *range(0x32, 0x35), *range(0x36, 0x39), *range(0x3A, 0x40)),
    )
)
_N_REGISTERS = 0x80
_PREFETCH = 64


class SimulatedLis3dh:
    """A LIS3DH on a `SimulatedI2CBus`.

    The world begins when the first sample goes into the FIFO (or is read from the data registers),
    not when the chip leaves power-down: only then does a recording start.

    Parameters
    ----------
    zero_g_offset_g, gain_error
        Per axis, in g and as a fraction. None: drawn from `seed`, typical of the data sheet (40 mg)
        and of its sensitivity (2 %).
    clock_error, drift_ppm, drift_period_s
        Of the chip's oscillator, see `ChipClock`; real ones are up to 10 % off.
    ideal
        No noise, no offset, no gain or clock error, no settling: counts are round(world / digit),
        in the FIFO to its 10 bits.
    keep_truth
        Remember the true instant of every sample read, for `read_instants_ns`.
    power_on_ns
        When it got its power; it answers 5 ms later. None: long ago.
    self_test_works
        False: the excitation moves nothing, as with a broken or stuck element.

    Attributes
    ----------
    int1
        What is wired to the pin, or None.
    unplugged
        While true the chip does not acknowledge and its pin is still.
    """

    def __init__(
        self,
        world: World,
        seed: int,
        *,
        address: int = 0x18,
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
        random = np.random.default_rng((seed, 0x3D))
        self._sensing = Lis3dhSensing(
            random,
            zero_g_offset_g=zero_g_offset_g,
            gain_error=gain_error,
            noise=noise,
            ideal=ideal,
            self_test_works=self_test_works,
        )
        self._drift_phase_rad = float(random.uniform(0, 2 * math.pi))
        self._drift_period_s = drift_period_s
        self._clock_error = 0.0 if ideal else clock_error
        self._drift_ppm = 0.0 if ideal else drift_ppm
        self._truth_ns = array("q") if keep_truth else None
        self.int1: SimulatedEdges | None = None
        self.unplugged = False
        self._ready_ns = 0 if power_on_ns is None else power_on_ns + BOOT_NS
        self._reset()

    @property
    def address(self) -> int:
        """7-bit address: 0x18, or 0x19 with SDO high."""
        return self._address

    @property
    def fifo_first_sample(self) -> int:
        """Number, within the present run of the clock, of the first sample put into the FIFO."""
        return self._fifo_first

    def power_cycle(self, now_ns: int) -> None:
        """Start anew in power-down with the power-on values."""
        self._reset()
        self._ready_ns = now_ns + BOOT_NS

    def latch_instants_ns(self, first: int, n: int) -> NDArray[np.int64]:
        """Give the true instants of samples since sampling (last) started, int64 (n,)."""
        if self._clock is None:
            raise ValueError("the simulated LIS3DH has not sampled yet; set a data rate first")
        return self._clock.instants_ns(first, n)

    def read_instants_ns(self) -> NDArray[np.int64]:
        """Give the true instant of every sample taken from the FIFO, in order of reading (n,)."""
        if self._truth_ns is None:
            raise ValueError("the simulated LIS3DH keeps no truth; make it with keep_truth=True")
        return np.array(self._truth_ns, dtype=np.int64)

    def write(self, data: bytes, end_ns: int) -> None:
        """Set the register pointer, then write what follows it."""
        if self.unplugged or end_ns < self._ready_ns:
            raise ChipNack
        if not data:
            return
        self._pointer = data[0] & ~MULTIPLE
        self._steps = bool(data[0] & MULTIPLE)
        for value in data[1:]:
            self._write_register(self._pointer, value, end_ns)
            self._step()

    def read(self, n_bytes: int, byte_ns: float, start_ns: int) -> bytes:
        """Read on from the register pointer; a sample's bytes are taken at one instant."""
        if self.unplugged or start_ns < self._ready_ns:
            raise ChipNack
        received = bytearray()
        while len(received) < n_bytes:
            self.advance(start_ns + round((1 + len(received)) * byte_ns))
            rest = n_bytes - len(received)
            if self._steps and OUT_X_L <= self._pointer <= OUT_Z_H:
                start = self._pointer - OUT_X_L
                part = self._shown()[start : start + rest]
                received += part
                self._pointer += len(part) - 1
            else:
                received.append(self._read_register(self._pointer))
            if self._pointer == OUT_Z_H:
                self._next_sample(start_ns + round(len(received) * byte_ns))
            self._step()
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
        self._registers[WHO_AM_I] = 0x33
        self._registers[CTRL_REG0] = 0x10
        self._registers[CTRL_REG1] = AXES
        self._pointer = 0
        self._steps = False
        self._clock: ChipClock | None = None
        self._sampling = False
        self._rate_hz = 0.0
        self._n_latched = 0
        self._fifo: deque[tuple[int, bytes]] = deque(maxlen=FIFO_DEPTH)
        self._fifo_first = 0
        self._sample = bytes(6)
        self._unread = False
        self._overwritten = False
        self._asserted = False
        self._forget_rendered()

    # Registers

    def _step(self) -> None:
        """Move the pointer on; behind the data it goes back to their beginning for the FIFO."""
        if not self._steps:
            return
        if self._pointer == OUT_Z_H and self._registers[CTRL_REG5] & FIFO_EN:
            self._pointer = OUT_X_L
        else:
            self._pointer = (self._pointer + 1) % _N_REGISTERS

    def _read_register(self, register: int) -> int:
        if OUT_X_L <= register <= OUT_Z_H:
            return self._shown()[register - OUT_X_L]
        if register == FIFO_SRC_REG:
            return self._fifo_source()
        if register == STATUS_REG:
            fresh = self._unread or bool(self._fifo)
            return 0x0F * fresh | 0xF0 * self._overwritten
        return self._registers[register]

    def _write_register(self, register: int, value: int, now_ns: int) -> None:
        if register not in _WRITABLE:
            return
        self.advance(now_ns)
        if register == CTRL_REG5:
            value &= ~BOOT  # clears itself
        changed = self._registers[register] ^ value
        collecting = self._collecting
        self._registers[register] = value
        if register in (CTRL_REG1, CTRL_REG4, CTRL_REG5, FIFO_CTRL_REG):
            self._forget_rendered()
        if register == CTRL_REG1 and changed & 0xF8:
            self._run_or_rest(now_ns)
        if self._mode == BYPASS or not self._registers[CTRL_REG5] & FIFO_EN:
            self._fifo.clear()
        if register == FIFO_CTRL_REG and changed >> 6:
            self._unread = self._overwritten = False
        if self._collecting and not collecting:
            self._begin_collecting()
        self._drive_pin(now_ns)

    def _fifo_source(self) -> int:
        level = len(self._fifo)
        source = min(level, 0x1F)
        if level > self._registers[FIFO_CTRL_REG] & 0x1F:
            source |= WTM
        if level == FIFO_DEPTH:
            source |= OVRN
        return source | EMPTY if level == 0 else source

    def _run_or_rest(self, now_ns: int) -> None:
        """Start or stop sampling at a new rate."""
        code = self._registers[CTRL_REG1] >> 4
        low_power = bool(self._registers[CTRL_REG1] & LOW_POWER)
        rate_hz = RATES_HZ[code] if code < len(RATES_HZ) else 0.0
        if code == 9 and low_power:
            rate_hz = FASTEST_LOW_POWER_HZ
        if code == 8 and not low_power:
            rate_hz = 0.0
        self._sampling = rate_hz > 0
        self._rate_hz = rate_hz
        if not self._sampling:
            return
        self._clock = ChipClock(
            now_ns + round(1e9 / rate_hz / (1.0 + self._clock_error)),
            rate_hz,
            self._clock_error,
            drift_ppm=self._drift_ppm,
            drift_period_s=self._drift_period_s,
            drift_phase_rad=self._drift_phase_rad,
        )
        self._n_latched = 0
        if self._collecting:
            self._begin_collecting()

    # FIFO and data registers

    @property
    def _mode(self) -> int:
        return self._registers[FIFO_CTRL_REG] >> 6

    @property
    def _collecting(self) -> bool:
        """Whether samples go into the FIFO."""
        enabled = self._registers[CTRL_REG5] & FIFO_EN
        return bool(self._sampling and enabled and self._mode != BYPASS)

    def _begin_collecting(self) -> None:
        self._fifo_first = self._n_latched
        if self._clock is not None:
            self._world.begin(self._clock.instant_ns(self._fifo_first))

    def _latch(self, first: int, stop: int) -> None:
        """Put samples first .. stop - 1 where the mode says."""
        held = len(self._fifo)
        self._n_latched = stop
        if self._mode == BYPASS:
            self._overwritten = self._overwritten or self._unread or stop - first > 1
            self._unread = True
        elif self._collecting:
            if self._mode == FIFO_MODE:
                kept = range(first, min(stop, first + FIFO_DEPTH - held))
            else:
                kept = range(max(first, stop - FIFO_DEPTH), stop)
            if kept:
                self._fifo.extend(self._render(kept.start, kept.stop))
        # With a mode set and FIFO_EN clear the output registers freeze.
        if self.int1 is not None:
            self._raise_pin(first, held)

    def _shown(self) -> bytes:
        """Give what the data registers hold now."""
        if self._fifo:
            return self._fifo[0][1]
        if self._unread and self._clock is not None:
            newest = self._n_latched - 1
            self._world.begin(self._clock.instant_ns(newest))
            self._sample = self._render(newest, newest + 1)[0][1]
        return self._sample

    def _next_sample(self, now_ns: int) -> None:
        """Take note that the last data register was read: the FIFO moves on by one sample."""
        if self._fifo:
            instant_ns, self._sample = self._fifo.popleft()
            if self._truth_ns is not None:
                self._truth_ns.append(instant_ns)
        self._unread = self._overwritten = False
        self._drive_pin(now_ns)

    # Samples

    def _forget_rendered(self) -> None:
        """Have the samples not yet latched rendered anew."""
        self._chunk_first = 0
        self._chunk_instants: list[int] = []
        self._chunk_data = b""

    def _render(self, first: int, stop: int) -> list[tuple[int, bytes]]:
        """Give samples first .. stop - 1 as (instant, data registers)."""
        start = first - self._chunk_first
        if start < 0 or stop - self._chunk_first > len(self._chunk_instants):
            ahead = max(1, min(_PREFETCH, int(self._rate_hz / 2)))
            n_samples = max(stop - first, ahead)
            instants_ns = self.latch_instants_ns(first, n_samples)
            acceleration = self._world.acceleration(instants_ns)
            self._chunk_first = first
            self._chunk_instants = instants_ns.tolist()
            self._chunk_data = self._sensing.measure(
                acceleration, first, self._settings()
            ).tobytes()
            start = 0
        data = self._chunk_data
        return [
            (self._chunk_instants[place], data[6 * place : 6 * place + 6])
            for place in range(start, start + stop - first)
        ]

    def _settings(self) -> Lis3dhSettings:
        control_1, control_4 = self._registers[CTRL_REG1], self._registers[CTRL_REG4]
        normal_bits = 12 if control_4 & HIGH_RESOLUTION else 10
        return Lis3dhSettings(
            rate_hz=self._rate_hz,
            bits=8 if control_1 & LOW_POWER else normal_bits,
            range_code=control_4 >> 4 & 3,
            axes=control_1 & AXES,
            self_test=control_4 >> 1 & 3,
            big_endian=bool(control_4 & BIG_ENDIAN),
            into_fifo=self._collecting,
        )

    # Interrupt

    def _functions(self) -> int:
        """Functions that are true now, as bits of CTRL_REG3."""
        source = self._fifo_source()
        functions = I1_WTM if source & WTM else 0
        functions |= I1_OVERRUN if source & OVRN else 0
        return functions | (I1_ZYXDA if self._unread or self._fifo else 0)

    def _raise_pin(self, first: int, held: int) -> None:
        """Raise the pin at the instant of the sample that made an enabled function true."""
        true = self._functions() & self._registers[CTRL_REG3]
        if self._clock is None or self._asserted or not true:
            return
        threshold = self._registers[FIFO_CTRL_REG] & 0x1F
        samples = {
            I1_ZYXDA: first,
            I1_WTM: first + threshold - held,
            I1_OVERRUN: first + FIFO_DEPTH - held - 1,
        }
        sample = min(samples[bit] for bit in samples if true & bit)
        self._drive_pin(self._clock.instant_ns(max(first, sample)))

    def _drive_pin(self, now_ns: int) -> None:
        """Set the pin from the functions; a connected pin that goes high tells its edge."""
        asserted = bool(self._functions() & self._registers[CTRL_REG3])
        active_low = bool(self._registers[CTRL_REG6] & INT_POLARITY)
        if self.int1 is not None and asserted != self._asserted and asserted != active_low:
            self.int1.rise(now_ns)
        self._asserted = asserted
