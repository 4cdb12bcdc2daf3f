"""A simulated LSM6DSOX or LSM6DSO: registers, tagged FIFO and chip time, from the data sheets.

Sampling is lazy: samples come into being when somebody looks, in batches, at the true instants of
the chip's own clock. Not simulated: the interrupt pins, temperature in the FIFO, compression, the
FIFO's triggered modes, the embedded functions, the sensor hub, and the filters' effect on the
signal. If the two sensors have different rates, both are measured at the faster one.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wban_collect.simulation.chip import ChipNack
from wban_collect.simulation.lsm6dsox_fifo import (
    ACCEL,
    DEPTH_WORDS,
    EMPTY_WORD,
    GYRO,
    TIMESTAMP,
    WORD_BYTES,
    TaggedFifo,
)
from wban_collect.simulation.lsm6dsox_oscillator import TICK_NS, Oscillator
from wban_collect.simulation.lsm6dsox_sensing import LsmSensing, LsmSettings
from wban_collect.simulation.world import World, sampling_until_ns

FIFO_CTRL1, FIFO_CTRL2, FIFO_CTRL3, FIFO_CTRL4 = 0x07, 0x08, 0x09, 0x0A
WHO_AM_I, CTRL1_XL, CTRL2_G, CTRL3_C, CTRL4_C, CTRL5_C = 0x0F, 0x10, 0x11, 0x12, 0x13, 0x14
CTRL9_XL, CTRL10_C, STATUS_REG = 0x18, 0x19, 0x1E
OUT_TEMP_L, OUTX_L_G, OUTX_L_A, OUTZ_H_A = 0x20, 0x22, 0x28, 0x2D
FIFO_STATUS1, FIFO_STATUS2 = 0x3A, 0x3B
TIMESTAMP0, TIMESTAMP2, TIMESTAMP3 = 0x40, 0x42, 0x43
INTERNAL_FREQ_FINE, FIFO_DATA_OUT_TAG, FIFO_DATA_OUT_Z_H = 0x63, 0x78, 0x7E

IF_INC, SW_RESET, DRDY_MASK, TIMESTAMP_EN, STOP_ON_WTM = 0x04, 0x01, 0x08, 0x20, 0x80
WTM_IA, OVR_IA, FULL_IA, OVR_LATCHED = 0x80, 0x40, 0x20, 0x08
XLDA, GDA, TDA = 0x01, 0x02, 0x04
BYPASS, FIFO_MODE = 0, 1
TIMESTAMP_RESET = 0xAA

# From power to the first answer; from SW_RESET until the defaults are there.
BOOT_NS = 10_000_000
RESET_NS = 50_000
# From power-down until the values are good: the gyroscope's from the data sheet (table 2).
ACCEL_SETTLE_NS = 20_000_000
GYRO_SETTLE_NS = 70_000_000

# Steps of the timestamp from sample to sample, by rate code (application note: ODR_coeff).
TICKS = (0, 3072, 1536, 768, 384, 192, 96, 48, 24, 12, 6, 24576)
TIMESTAMP_EVERY = (0, 1, 8, 32)

_DEVICE_ID = 0x6C
_DEFAULTS = {0x02: 0x3F, WHO_AM_I: _DEVICE_ID, CTRL3_C: IF_INC, CTRL9_XL: 0xE0}
_READ_ONLY = frozenset(
    (
        WHO_AM_I,
        *range(0x1A, OUTZ_H_A + 1),
        *range(0x35, TIMESTAMP3 + 1),
        INTERNAL_FREQ_FINE,
        *range(FIFO_DATA_OUT_TAG, FIFO_DATA_OUT_Z_H + 1),
    )
)
_MEASURING = (CTRL1_XL, CTRL2_G, CTRL4_C, CTRL5_C)
_BATCHING = (FIFO_CTRL1, FIFO_CTRL2, FIFO_CTRL3, FIFO_CTRL4, CTRL1_XL, CTRL2_G, CTRL10_C)
_N_REGISTERS = 0x80
_PREFETCH = 64


class SimulatedLsm6dsox:
    """An LSM6DSOX on a `SimulatedI2CBus`.

    The world begins when the first sample goes into the FIFO (or is read from the data registers),
    not when the sensors are switched on: only then does a recording start.

    Parameters
    ----------
    clock_error, drift_ppm, drift_period_s
        Of the oscillator that makes the rates and the timestamp, see `ChipClock`.
        INTERNAL_FREQ_FINE tells the error, to 0.15 %.
    accel_offset_g, accel_gain_error, gyro_bias_dps, gyro_gain_error
        Per axis. None: drawn from `seed`, typical of the data sheet.
    ideal
        No noise, no offset, no gain or clock error: counts are exactly round(world / LSB).
    self_test_works
        False: its self-test moves nothing.
    keep_truth
        Remember the true instant of every slot read, for `read_instants_ns`.
    power_on_ns
        When it got its power; it answers 10 ms later. None: long ago.

    Attributes
    ----------
    unplugged
        While true the chip does not acknowledge.
    """

    def __init__(
        self,
        world: World,
        seed: int,
        *,
        address: int = 0x6A,
        clock_error: float = 0.0,
        drift_ppm: float = 0.0,
        drift_period_s: float = 600.0,
        accel_offset_g: Sequence[float] | None = None,
        accel_gain_error: Sequence[float] | None = None,
        gyro_bias_dps: Sequence[float] | None = None,
        gyro_gain_error: Sequence[float] | None = None,
        noise: bool = True,
        temperature_c: float = 31.0,
        ideal: bool = False,
        self_test_works: bool = True,
        keep_truth: bool = False,
        power_on_ns: int | None = None,
    ) -> None:
        self._world = world
        self._address = address
        random = np.random.default_rng((seed, 0x6D50))
        self._sensing = LsmSensing(
            world,
            random,
            accel_offset_g=accel_offset_g,
            accel_gain_error=accel_gain_error,
            gyro_bias_dps=gyro_bias_dps,
            gyro_gain_error=gyro_gain_error,
            temperature_c=temperature_c,
            noise=noise,
            ideal=ideal,
            self_test_works=self_test_works,
        )
        self._oscillator = Oscillator(
            0.0 if ideal else clock_error,
            0.0 if ideal else drift_ppm,
            drift_period_s,
            drift_phase_rad=float(random.uniform(0, 2 * math.pi)),
        )
        self._truth_ns = array("q") if keep_truth else None
        self.unplugged = False
        self._boots_until_ns = 0 if power_on_ns is None else power_on_ns + BOOT_NS
        self._resets_until_ns = 0
        self._reset()

    @property
    def address(self) -> int:
        """7-bit address: 0x6A, or 0x6B with SDO high."""
        return self._address

    @property
    def fifo_first_sample(self) -> int:
        """Number, within the present run of the clock, of the first sample put into the FIFO."""
        return self._fifo_first

    def power_cycle(self, now_ns: int) -> None:
        """Start anew, powered down, with the power-on values."""
        self._reset()
        self._boots_until_ns = now_ns + BOOT_NS

    def latch_instants_ns(self, first: int, n: int) -> NDArray[np.int64]:
        """Give the true instants of samples since sampling (last) started, int64 (n,)."""
        if self._oscillator.clock is None:
            raise ValueError("the simulated LSM6DSOX has not sampled yet; set a data rate first")
        return self._oscillator.clock.instants_ns(first, n)

    def read_instants_ns(self) -> NDArray[np.int64]:
        """Give the true instant of every slot that was wholly read from the FIFO (n,)."""
        if self._truth_ns is None:
            raise ValueError("the simulated LSM6DSOX keeps no truth; make it with keep_truth=True")
        return np.array(self._truth_ns, dtype=np.int64)

    def write(self, data: bytes, end_ns: int) -> None:
        """Set the register pointer, then write what follows it."""
        if self.unplugged or end_ns < self._boots_until_ns:
            raise ChipNack
        if not data:
            return
        self._pointer = data[0] % _N_REGISTERS
        for value in data[1:]:
            self._write_register(self._pointer, value, end_ns)
            self._step_pointer()

    def read(self, n_bytes: int, byte_ns: float, start_ns: int) -> bytes:
        """Read on from the register pointer; the sensors' registers are taken at one instant."""
        if self.unplugged or start_ns < self._boots_until_ns:
            raise ChipNack
        self._sample = b""
        received = bytearray()
        while len(received) < n_bytes:
            now_ns = start_ns + round((1 + len(received)) * byte_ns)
            self.advance(now_ns)
            rest = n_bytes - len(received)
            if self._pointer == FIFO_DATA_OUT_TAG and rest >= WORD_BYTES and self._steps:
                received += self._fifo.peek()  # rolls over, so that one burst drains the FIFO
                self._take_word()
            else:
                received.append(self._read_register(self._pointer, now_ns))
                self._step_pointer()
        return bytes(received)

    def stop_condition(self) -> None:
        """Keep the register pointer, as the chip does."""

    def advance(self, now_ns: int) -> None:
        """Take the samples, and fill the FIFO, as far as it is due until `now_ns`."""
        clock = self._oscillator.clock
        if clock is None or not self._oscillator.ticks_per_sample or self.unplugged:
            return
        n_latched = clock.n_until(sampling_until_ns(self._world, now_ns))
        if n_latched > self._n_latched:
            self._n_latched = n_latched
            self._new_data = TDA | self._sensors_on
        if self._batching:
            n_slots = max(0, n_latched - self._fifo_first + self._stride - 1) // self._stride
            if n_slots > self._n_slots:
                self._batch(self._n_slots, n_slots)
                self._n_slots = n_slots
            self._fifo.advance(now_ns)

    def _reset(self) -> None:
        self._registers = bytearray(_N_REGISTERS)
        for register, value in _DEFAULTS.items():
            self._registers[register] = value
        self._pointer = 0
        self._sample = b""
        self._word = EMPTY_WORD
        self._status = bytes(2)
        self._new_data = 0
        self._fifo = TaggedFifo()
        self._batching = False
        self._fifo_first: int = 0
        self._n_slots: int = 0
        self._stride: int = 1
        self._slot_rates = (0, 0)
        self._oscillator.reset()
        self._n_latched = 0
        self._settled_ns = [0, 0]
        self._forget_chunk()

    # Registers

    @property
    def _steps(self) -> bool:
        return bool(self._registers[CTRL3_C] & IF_INC)

    def _step_pointer(self) -> None:
        if not self._steps:
            return
        if self._pointer == FIFO_DATA_OUT_Z_H:
            self._pointer = FIFO_DATA_OUT_TAG
        else:
            self._pointer = (self._pointer + 1) % _N_REGISTERS

    def _read_register(self, register: int, now_ns: int) -> int:
        if OUT_TEMP_L <= register <= OUTZ_H_A:
            return self._read_sample(register)
        if TIMESTAMP0 <= register <= TIMESTAMP3:
            shown = self._oscillator.timestamp(now_ns) if self._timestamps else 0
            return shown >> 8 * (register - TIMESTAMP0) & 0xFF
        if FIFO_DATA_OUT_TAG <= register <= FIFO_DATA_OUT_Z_H:
            return self._read_word(register - FIFO_DATA_OUT_TAG)
        if register in (FIFO_STATUS1, FIFO_STATUS2):
            return self._read_fifo_status(register)
        if register == STATUS_REG:
            return self._new_data
        if register == INTERNAL_FREQ_FINE:
            return self._oscillator.freq_fine
        resetting = register == CTRL3_C and now_ns < self._resets_until_ns
        return self._registers[register] | (SW_RESET if resetting else 0)

    def _write_register(self, register: int, value: int, now_ns: int) -> None:
        if now_ns < self._resets_until_ns:
            return
        self.advance(now_ns)
        if register == TIMESTAMP2 and value == TIMESTAMP_RESET:
            self._oscillator.zero_timestamp(now_ns)
        if register in _READ_ONLY:
            return
        if register == CTRL3_C and value & SW_RESET:
            self._reset()
            self._resets_until_ns = now_ns + RESET_NS
            return
        switched_on = value & ~self._registers[register]
        self._registers[register] = value
        if register == CTRL10_C and switched_on & TIMESTAMP_EN:
            self._oscillator.zero_timestamp(now_ns)
        if register in _MEASURING:
            self._forget_chunk()  # samples to come are rendered anew
        if register in (CTRL1_XL, CTRL2_G):
            self._run_or_rest(now_ns)
        if register in _BATCHING:
            self._direct_fifo()

    def _read_sample(self, register: int) -> int:
        """Read one byte of temperature, gyroscope or accelerometer; of one instant in a burst."""
        self._sample = self._sample or self._newest_sample()
        if register >= OUTX_L_A:
            self._new_data &= ~XLDA
        else:
            self._new_data &= ~(GDA if register >= OUTX_L_G else TDA)
        return self._sample[register - OUT_TEMP_L]

    def _read_word(self, place: int) -> int:
        if place == 0:
            self._word = self._fifo.peek()
        byte = self._word[place]
        if place == WORD_BYTES - 1:
            self._take_word()
        return byte

    def _take_word(self) -> None:
        instant_ns = self._fifo.take()
        if self._truth_ns is not None and instant_ns is not None:
            self._truth_ns.append(instant_ns)

    def _read_fifo_status(self, register: int) -> int:
        if register == FIFO_STATUS1:  # holds the high byte as well
            self._status = self._fifo_status()
            return self._status[0]
        flags = self._fifo_status()[1] & ~0x03
        self._fifo.overrun_latched = False
        return flags | self._status[1] & 0x03

    def _fifo_status(self) -> bytes:
        n_words, watermark = len(self._fifo), self._watermark
        flags = WTM_IA if watermark and n_words >= watermark else 0
        flags |= OVR_IA if self._fifo.overrun else 0
        flags |= OVR_LATCHED if self._fifo.overrun_latched else 0
        flags |= FULL_IA if n_words + 3 > self._fifo.depth else 0  # full at the next slot
        return bytes((n_words & 0xFF, flags | n_words >> 8))

    # Sensors

    @property
    def _timestamps(self) -> bool:
        return bool(self._registers[CTRL10_C] & TIMESTAMP_EN)

    @property
    def _sensors_on(self) -> int:
        """Flags of the sensors that run, as in STATUS_REG."""
        accel = XLDA if self._registers[CTRL1_XL] >> 4 else 0
        return accel | (GDA if self._registers[CTRL2_G] >> 4 else 0)

    def _run_or_rest(self, now_ns: int) -> None:
        """Switch the sensors on and off; another rate starts the sampling anew."""
        ticks = [TICKS[min(self._registers[r] >> 4, 11)] for r in (CTRL1_XL, CTRL2_G)]
        for sensor, settle_ns in enumerate((ACCEL_SETTLE_NS, GYRO_SETTLE_NS)):
            if not ticks[sensor]:
                self._settled_ns[sensor] = 0
            elif not self._settled_ns[sensor]:
                self._settled_ns[sensor] = now_ns + settle_ns
        fastest = min((t for t in ticks if t), default=0)
        if self._oscillator.run(now_ns, fastest):
            self._n_latched = 0
            self._batching = False

    # FIFO

    @property
    def _watermark(self) -> int:
        return (self._registers[FIFO_CTRL2] & 1) << 8 | self._registers[FIFO_CTRL1]

    def _direct_fifo(self) -> None:
        """Begin, go on or cease to batch; it begins with the next sample."""
        mode = self._registers[FIFO_CTRL4] & 7
        stops = self._registers[FIFO_CTRL2] & STOP_ON_WTM and self._watermark
        self._fifo.depth = self._watermark if stops else DEPTH_WORDS
        self._fifo.overwrites = mode != FIFO_MODE
        if mode == BYPASS:
            self._fifo.clear()
        rates = self._batch_ticks(CTRL1_XL, 0), self._batch_ticks(CTRL2_G, 4)
        slot = min((ticks for ticks in rates if ticks), default=0)
        wanted = mode != BYPASS and slot > 0
        if wanted and (not self._batching or rates != self._slot_rates):
            self._slot_rates = rates
            self._stride = slot // self._oscillator.ticks_per_sample
            self._fifo_first = self._n_latched
            self._n_slots = 0
            self._world.begin(int(self.latch_instants_ns(self._fifo_first, 1)[0]))
        self._batching = wanted

    def _batch_ticks(self, control: int, shift: int) -> int:
        """Count the steps between batched values of a sensor, which are not more than measured."""
        batched = TICKS[min(self._registers[FIFO_CTRL3] >> shift & 0x0F, 11)]
        measured = TICKS[min(self._registers[control] >> 4, 11)]
        return max(batched, measured) if batched and measured else 0

    def _batch(self, first: int, stop: int) -> None:
        """Put slots first .. stop - 1 on their way into the FIFO."""
        if self._fifo.overwrites and stop - first > DEPTH_WORDS:
            self._fifo.skip()
            first = stop - DEPTH_WORDS
        stop = min(stop, first + DEPTH_WORDS)
        sample = self._fifo_first + first * self._stride
        n_samples = (stop - first - 1) * self._stride + 1
        instants_ns = self.latch_instants_ns(sample, n_samples)[:: self._stride]
        records = self._records(sample, n_samples)[:: self._stride].astype("<i2")
        for slot, instant_ns, record in zip(
            range(first, stop), instants_ns.tolist(), records, strict=True
        ):
            self._fifo.expect(slot, instant_ns, self._slot(slot, record.tobytes()))

    def _slot(self, slot: int, record: bytes) -> list[tuple[int, bytes]]:
        """Give what a slot brings: sensors and their six bytes."""
        accel_ticks, gyro_ticks = self._slot_rates
        sample = self._fifo_first + slot * self._stride
        ticks = slot * self._stride * self._oscillator.ticks_per_sample
        words: list[tuple[int, bytes]] = []
        every = TIMESTAMP_EVERY[self._registers[FIFO_CTRL4] >> 6]
        if every and slot % every == 0 and self._timestamps:
            shown = self._oscillator.timestamp_of(sample)
            words.append((TIMESTAMP, shown.to_bytes(4, "little") + bytes(2)))
        if gyro_ticks and ticks % gyro_ticks == 0:
            words.append((GYRO, record[2:8]))
        if accel_ticks and ticks % accel_ticks == 0:
            words.append((ACCEL, record[8:14]))
        return words

    # Samples

    def _newest_sample(self) -> bytes:
        """Give the 14 bytes of the sensors' registers."""
        if self._n_latched == 0:
            return bytes(14)
        newest = self._n_latched - 1
        self._world.begin(int(self.latch_instants_ns(newest, 1)[0]))
        return self._records(newest, 1).astype("<i2").tobytes()

    def _forget_chunk(self) -> None:
        self._chunk_first = 0
        self._chunk = np.empty((0, 7), dtype=np.int16)

    def _records(self, first: int, n: int) -> NDArray[np.int16]:
        """Give samples as temperature, gyro, accel: int16 (n, 7)."""
        start = first - self._chunk_first
        if start < 0 or start + n > len(self._chunk):
            # What was measured once stays: it may have been read from the registers.
            known = self._chunk[start:] if start >= 0 else self._chunk[:0]
            half_second = int(0.5e9 / (self._oscillator.ticks_per_sample * TICK_NS))
            ahead = max(1, min(_PREFETCH, half_second))
            fresh = self._measure(first + len(known), max(n - len(known), ahead))
            self._chunk = np.concatenate((known, fresh))
            self._chunk_first = first
            start = 0
        return self._chunk[start : start + n]

    def _measure(self, first: int, n: int) -> NDArray[np.int16]:
        registers = self._registers
        settings = LsmSettings(
            accel_rate=registers[CTRL1_XL] >> 4,
            gyro_rate=registers[CTRL2_G] >> 4,
            accel_range=registers[CTRL1_XL] >> 2 & 3,
            gyro_range=registers[CTRL2_G] >> 1 & 7,
            accel_sign=(0, 1, -1, 0)[registers[CTRL5_C] & 3],
            gyro_sign=(0, 1, 0, -1)[registers[CTRL5_C] >> 2 & 3],
            accel_settled_ns=self._settled_ns[0],
            gyro_settled_ns=self._settled_ns[1],
            mask_unsettled=bool(registers[CTRL4_C] & DRDY_MASK),
        )
        return self._sensing.measure(self.latch_instants_ns(first, n), settings)
