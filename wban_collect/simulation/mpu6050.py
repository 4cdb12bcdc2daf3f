"""A simulated MPU-6050, MPU-6500 or MPU-9250: registers and FIFO, from the register maps.

Sampling is lazy: samples come into being when somebody looks, in batches, at the true instants of
the chip's own clock. The interrupt pin, the I2C master, the DMP and the filters' effect on the
signal are not simulated (the filter setting changes rate and noise).
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wban_collect.simulation.chip import ChipNack
from wban_collect.simulation.chip_clock import ChipClock
from wban_collect.simulation.mpu_sensing import MODELS, MpuSensing, MpuSettings
from wban_collect.simulation.world import World, sampling_until_ns

SMPLRT_DIV, CONFIG, GYRO_CONFIG, ACCEL_CONFIG, FIFO_EN = 0x19, 0x1A, 0x1B, 0x1C, 0x23
INT_PIN_CFG, INT_STATUS, ACCEL_XOUT_H, GYRO_ZOUT_L = 0x37, 0x3A, 0x3B, 0x48
USER_CTRL, PWR_MGMT_1, PWR_MGMT_2 = 0x6A, 0x6B, 0x6C
FIFO_COUNT_H, FIFO_COUNT_L, FIFO_R_W, WHO_AM_I = 0x72, 0x73, 0x74, 0x75

DATA_READY, FIFO_OVERFLOW = 0x01, 0x10
INT_READ_CLEAR = 0x10
USER_FIFO_EN, USER_FIFO_RESET = 0x40, 0x04
DEVICE_RESET, SLEEP, CLKSEL = 0x80, 0x40, 0x07
CONFIG_FIFO_MODE = 0x40

# The register map asks to wait this long; until then nothing that is written sticks.
RESET_NS = 100_000_000
# A record is written to the FIFO byte by byte after its sample was latched; so FIFO_COUNT can show
# part of one. The pace is not documented: within one period even at 8 kHz.
FIFO_BYTE_NS = 2_000
_MEASURING = (SMPLRT_DIV, CONFIG, GYRO_CONFIG, ACCEL_CONFIG, PWR_MGMT_1, PWR_MGMT_2)
_RECORD_BYTES = 14
_N_REGISTERS = 0x80
_PREFETCH = 64


class SimulatedMpu6050:
    """A chip of the MPU-6050 family on a `SimulatedI2CBus`.

    The world begins when the first sample goes into the FIFO (or is read from the data registers),
    not when the chip wakes: only then does a recording start.

    Parameters
    ----------
    who_am_i
        Replaces the model's own, as clones do.
    clock_error, rc_clock_error
        Of the gyroscope's PLL (CLKSEL 1 to 3) and of the internal RC oscillator (CLKSEL 0 and
        else); the latter, if None, is drawn from `seed` within 5 %. Drift as in `ChipClock`.
    accel_offset_g, accel_gain_error, gyro_bias_dps, gyro_gain_error
        Per axis. None: drawn from `seed`, typical of the data sheet.
    ideal
        No noise, no offset, no gain or clock error: counts are exactly round(world / LSB).
    keep_truth
        Remember the true instant of every record read, for `read_instants_ns`.
    power_on_ns
        When it got its power; what is written sticks 100 ms later. None: long ago.
    self_test_works
        False: the excitation moves nothing, as with broken or stuck elements.

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
        model: str = "mpu6050",
        who_am_i: int | None = None,
        address: int = 0x68,
        clock_error: float = 0.0,
        rc_clock_error: float | None = None,
        drift_ppm: float = 0.0,
        drift_period_s: float = 600.0,
        accel_offset_g: Sequence[float] | None = None,
        accel_gain_error: Sequence[float] | None = None,
        gyro_bias_dps: Sequence[float] | None = None,
        gyro_gain_error: Sequence[float] | None = None,
        noise: bool = True,
        temperature_c: float = 31.0,
        ideal: bool = False,
        keep_truth: bool = False,
        power_on_ns: int | None = None,
        self_test_works: bool = True,
    ) -> None:
        if model not in MODELS:
            raise ValueError(f"simulated MPU model {model!r} is not one of {', '.join(MODELS)}")
        self._world = world
        self._model = MODELS[model]
        self._who_am_i = self._model.who_am_i if who_am_i is None else who_am_i
        self._address = address
        random = np.random.default_rng((seed, 0x6050))
        self._sensing = MpuSensing(
            world,
            random,
            self._model,
            accel_offset_g=accel_offset_g,
            accel_gain_error=accel_gain_error,
            gyro_bias_dps=gyro_bias_dps,
            gyro_gain_error=gyro_gain_error,
            temperature_c=temperature_c,
            noise=noise,
            ideal=ideal,
            self_test_works=self_test_works,
        )
        drawn_rc = float(random.uniform(-0.05, 0.05))
        self._drift_phase_rad = float(random.uniform(0, 2 * math.pi))
        self._drift_period_s = drift_period_s
        self._pll_error = 0.0 if ideal else clock_error
        self._rc_error = 0.0 if ideal else drawn_rc if rc_clock_error is None else rc_clock_error
        self._drift_ppm = 0.0 if ideal else drift_ppm
        self._truth_ns = array("q") if keep_truth else None
        self.unplugged = False
        self._ready_ns = 0 if power_on_ns is None else power_on_ns + RESET_NS
        self._reset()

    @property
    def address(self) -> int:
        """7-bit address: 0x68, or 0x69 with AD0 high."""
        return self._address

    @property
    def fifo_first_sample(self) -> int:
        """Number, within the present run of the clock, of the first sample put into the FIFO."""
        return self._fifo_first

    def power_cycle(self, now_ns: int) -> None:
        """Start anew, asleep, with the power-on values."""
        self._reset()
        self._ready_ns = now_ns + RESET_NS

    def slip(self, n_bytes: int = 1) -> None:
        """Lose the next bytes of the FIFO: who reads it then is out of step with the records."""
        self._n_slipping += n_bytes

    def latch_instants_ns(self, first: int, n: int) -> NDArray[np.int64]:
        """Give the true instants of samples since sampling (last) started, int64 (n,)."""
        if self._clock is None:
            raise ValueError("the simulated MPU has not sampled yet; clear the sleep bit first")
        return self._clock.instants_ns(first, n)

    def read_instants_ns(self) -> NDArray[np.int64]:
        """Give the true instant of every record whose last byte was read from the FIFO (n,).

        Not meaningful past an overflow of a FIFO that stops when full.
        """
        if self._truth_ns is None:
            raise ValueError("the simulated MPU keeps no truth; make it with keep_truth=True")
        return np.array(self._truth_ns, dtype=np.int64)

    def forget_truth(self, before_ns: int) -> None:
        """Forget records read before `before_ns`: a long run would remember millions."""
        if self._truth_ns is not None:
            self._truth_ns = array("q", (ns for ns in self._truth_ns if ns >= before_ns))

    def write(self, data: bytes, end_ns: int) -> None:
        """Set the register pointer, then write what follows it."""
        if self.unplugged:
            raise ChipNack
        if not data:
            return
        self._pointer = data[0] % _N_REGISTERS
        for value in data[1:]:
            self._write_register(self._pointer, value, end_ns)
            self._step_pointer()

    def read(self, n_bytes: int, byte_ns: float, start_ns: int) -> bytes:
        """Read on from the register pointer; the sensor registers are taken at one instant."""
        if self.unplugged:
            raise ChipNack
        self._burst = b""
        received = bytearray()
        while len(received) < n_bytes:
            now_ns = start_ns + round((1 + len(received)) * byte_ns)
            self.advance(now_ns)
            rest = n_bytes - len(received)
            if self._pointer == FIFO_R_W:
                received += self._take_fifo(rest, byte_ns, now_ns)
            elif ACCEL_XOUT_H <= self._pointer <= GYRO_ZOUT_L:
                self._burst = self._burst or self._newest_record()
                start = self._pointer - ACCEL_XOUT_H
                part = self._burst[start : start + rest]
                received += part
                self._pointer += len(part)
            else:
                received.append(self._read_register(self._pointer))
                self._step_pointer()
        if self._registers[INT_PIN_CFG] & INT_READ_CLEAR:
            self._status = 0
        return bytes(received)

    def stop_condition(self) -> None:
        """Keep the register pointer, as the chip does."""

    def advance(self, now_ns: int) -> None:
        """Take the samples, and fill the FIFO, as far as it is due until `now_ns`."""
        clock = self._clock
        if clock is None or not self._sampling or self.unplugged:
            return
        n_latched = clock.n_until(sampling_until_ns(self._world, now_ns))
        if n_latched > self._n_latched:
            self._n_latched = n_latched
            self._status |= DATA_READY
        if not self._filling or n_latched <= self._fifo_first:
            return
        # The newest record may still be on its way into the FIFO.
        written = (now_ns - clock.instant_ns(n_latched - 1)) // FIFO_BYTE_NS
        complete = (n_latched - 1 - self._fifo_first) * self._record_bytes
        due = complete + min(written, self._record_bytes)
        if due > self._n_written:
            self._fill(due)

    def _reset(self) -> None:
        self._registers = bytearray(_N_REGISTERS)
        self._registers[WHO_AM_I] = self._who_am_i
        for register, codes in self._sensing.self_test_registers().items():
            self._registers[register : register + len(codes)] = codes
        self._registers[PWR_MGMT_1] = SLEEP
        self._pointer = 0
        self._burst = b""
        self._status = 0
        self._count_latch = 0
        self._clock: ChipClock | None = None
        self._clock_key: tuple[float, float] | None = None
        self._sampling = False
        self._n_latched = 0
        self._fifo = bytearray()
        self._n_slipping = 0
        self._last_byte = 0
        self._record_bytes = 0
        self._filling = False
        self._fifo_first = 0
        self._n_written = 0
        self._chunk_first = 0
        self._chunk = np.empty((0, 7), dtype=np.int16)
        self._columns: list[int] = []

    # Registers

    def _step_pointer(self) -> None:
        # FIFO_R_W does not step, so that one burst drains the FIFO.
        if self._pointer != FIFO_R_W:
            self._pointer = (self._pointer + 1) % _N_REGISTERS

    def _read_register(self, register: int) -> int:
        if register == INT_STATUS:
            status, self._status = self._status, 0
            return status
        if register == FIFO_COUNT_H:  # reading the high byte latches both
            self._count_latch = len(self._fifo)
            return self._count_latch >> 8
        if register == FIFO_COUNT_L:
            return self._count_latch & 0xFF
        return self._registers[register]

    def _write_register(self, register: int, value: int, now_ns: int) -> None:
        read_only = INT_STATUS <= register <= GYRO_ZOUT_L or register in (FIFO_COUNT_H, WHO_AM_I)
        if read_only or register == FIFO_COUNT_L or now_ns < self._ready_ns:
            return
        self.advance(now_ns)
        if register == PWR_MGMT_1 and value & DEVICE_RESET:
            self._reset()
            self._ready_ns = now_ns + RESET_NS
            return
        if register == FIFO_R_W:
            return  # writing into the FIFO serves no sensor
        if register == USER_CTRL:
            if value & USER_FIFO_RESET:
                self._reset_fifo(value)
            value &= ~USER_FIFO_RESET & 0xFF
        self._registers[register] = value
        if register in _MEASURING:
            self._chunk = self._chunk[:0]  # samples to come are rendered anew
            self._run_or_rest(now_ns)
        self._direct_fifo(restart=register in (FIFO_EN, USER_CTRL))

    def _reset_fifo(self, user_ctrl: int) -> None:
        if user_ctrl & USER_FIFO_EN and self._model.first_generation:
            return  # "resets the FIFO buffer when set to 1 while FIFO_EN equals 0"
        self._fifo.clear()
        self._filling = False

    def _rate_hz(self) -> float:
        divider = 1 + self._registers[SMPLRT_DIV]
        if self._registers[CONFIG] & 0x07 not in (0, 7):
            return 1000.0 / divider
        return 8000.0 / divider if self._model.first_generation else 8000.0

    def _run_or_rest(self, now_ns: int) -> None:
        """Start or stop sampling; a new rate or clock source starts the clock anew."""
        power = self._registers[PWR_MGMT_1]
        self._sampling = not power & SLEEP
        if not self._sampling:
            self._clock_key = None
            return
        error = self._pll_error if power & CLKSEL in (1, 2, 3) else self._rc_error
        rate_hz = self._rate_hz()
        if self._clock_key == (rate_hz, error):
            return
        self._clock_key = (rate_hz, error)
        self._clock = ChipClock(
            now_ns + round(1e9 / rate_hz / (1.0 + error)),
            rate_hz,
            error,
            drift_ppm=self._drift_ppm,
            drift_period_s=self._drift_period_s,
            drift_phase_rad=self._drift_phase_rad,
        )
        self._n_latched = 0
        self._filling = False

    # FIFO

    def _direct_fifo(self, *, restart: bool) -> None:
        """Begin, go on or cease to write records; they begin with the next sample."""
        enabled = self._registers[FIFO_EN]
        columns = [0, 1, 2] if enabled & 0x08 else []
        columns += [3] if enabled & 0x80 else []
        columns += [4 + axis for axis in range(3) if enabled & (0x40 >> axis)]
        wanted = bool(self._sampling and columns and self._registers[USER_CTRL] & USER_FIFO_EN)
        if wanted and (not self._filling or (restart and columns != self._columns)):
            self._columns = columns
            self._record_bytes = 2 * len(columns)
            self._fifo_first = self._n_latched
            self._n_written = 0
            if self._clock is not None:
                self._world.begin(self._clock.instant_ns(self._fifo_first))
        self._filling = wanted

    def _fill(self, due: int) -> None:
        """Write the record bytes from `_n_written` up to `due`."""
        n_new, size = due - self._n_written, self._model.fifo_bytes
        room = size - len(self._fifo)
        start, stop = max(self._n_written, due - size), due
        if n_new > room:
            self._status |= FIFO_OVERFLOW
            if self._stops_when_full():
                start, stop = self._n_written, self._n_written + room
        if stop > start:
            self._fifo += self._record_stream(start, stop)
        # The oldest bytes go, not records: 1024 and 512 are no multiples of a record.
        if len(self._fifo) > size:
            del self._fifo[: len(self._fifo) - size]
        if self._n_slipping:
            del self._fifo[: self._n_slipping]
            self._n_slipping = 0
        self._n_written = due

    def _stops_when_full(self) -> bool:
        stops = self._registers[CONFIG] & CONFIG_FIFO_MODE
        return bool(stops) and not self._model.first_generation

    def _record_stream(self, start: int, stop: int) -> bytes:
        """Give bytes start .. stop - 1 of the records as they follow one another."""
        size = self._record_bytes
        first, last = start // size, (stop - 1) // size
        records = self._records(self._fifo_first + first, last - first + 1)
        stream = records[:, self._columns].astype(">i2").tobytes()
        return stream[start - first * size : stop - first * size]

    def _take_fifo(self, n_bytes: int, byte_ns: float, now_ns: int) -> bytes:
        """Take bytes from the FIFO: at once as many as are there and cannot overflow meanwhile."""
        at_once = min(n_bytes, len(self._fifo))
        if self._filling and self._clock_key is not None:
            meanwhile_ns = at_once * byte_ns
            arriving = (meanwhile_ns * self._clock_key[0] * 1.1e-9 + 2) * self._record_bytes
            if len(self._fifo) + arriving > self._model.fifo_bytes:
                at_once = 1
        if at_once == 0:
            return bytes((self._last_byte,))  # an empty FIFO repeats the last byte
        if self._truth_ns is not None:
            self._note_truth(at_once)
        taken = bytes(self._fifo[:at_once])
        del self._fifo[:at_once]
        self._last_byte = taken[-1]
        return taken

    def _note_truth(self, n_bytes: int) -> None:
        if self._clock is None or self._truth_ns is None or not self._record_bytes:
            return
        head = self._n_written - len(self._fifo)
        finished = range(max(0, head // self._record_bytes), (head + n_bytes) // self._record_bytes)
        for record in finished:
            self._truth_ns.append(self._clock.instant_ns(self._fifo_first + record))

    # Samples

    def _newest_record(self) -> bytes:
        """Give the 14 bytes of the sensor registers."""
        if self._clock is None or self._n_latched == 0:
            return bytes(_RECORD_BYTES)
        newest = self._n_latched - 1
        self._world.begin(self._clock.instant_ns(newest))
        return self._records(newest, 1).astype(">i2").tobytes()

    def _records(self, first: int, n: int) -> NDArray[np.int16]:
        """Give samples as accel, temperature, gyro: int16 (n, 7)."""
        start = first - self._chunk_first
        if start < 0 or start + n > len(self._chunk):
            # What was measured once stays: half of its record may be in the FIFO.
            known = self._chunk[start:] if start >= 0 else self._chunk[:0]
            rate_hz = self._clock_key[0] if self._clock_key else 1.0
            ahead = max(1, min(_PREFETCH, int(rate_hz / 2)))
            fresh = self._measure(first + len(known), max(n - len(known), ahead))
            self._chunk = np.concatenate((known, fresh))
            self._chunk_first = first
            start = 0
        return self._chunk[start : start + n]

    def _measure(self, first: int, n: int) -> NDArray[np.int16]:
        registers = self._registers
        instants_ns = self.latch_instants_ns(first, n)
        settings = MpuSettings(
            accel_range=registers[ACCEL_CONFIG] >> 3 & 3,
            gyro_range=registers[GYRO_CONFIG] >> 3 & 3,
            dlpf=registers[CONFIG] & 7,
            accel_self_test=registers[ACCEL_CONFIG] >> 5,
            gyro_self_test=registers[GYRO_CONFIG] >> 5,
            standby=registers[PWR_MGMT_2] & 0x3F,
        )
        held_ns = self._accel_held_ns(first, n)
        return self._sensing.measure(instants_ns - held_ns, instants_ns, settings)

    def _accel_held_ns(self, first: int, n: int) -> NDArray[np.int64]:
        """Age of the accelerometer's value at each sample: it never measures above 1 kHz."""
        if self._clock is None or self._registers[CONFIG] & 7 not in (0, 7):
            return np.zeros(n, dtype=np.int64)
        rate_hz = self._rate_hz()
        ticks = np.arange(first, first + n) * round(8000.0 / rate_hz)
        tick_ns = self._clock.period_ns * rate_hz / 8000.0
        return np.rint(ticks % 8 * tick_ns).astype(np.int64)
