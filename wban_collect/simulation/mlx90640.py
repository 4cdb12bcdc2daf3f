"""A simulated MLX90640: registers, RAM and free-running subpages, from the data sheet (3901090640).

Measuring is lazy: what happened since the last call is worked out when somebody looks, at the true
instants of the chip's own clock. Step mode and the general-call reset are not simulated.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wban_collect.simulation.chip import ChipNack
from wban_collect.simulation.mlx90640_eeprom import (
    N_COLUMNS,
    N_WORDS,
    Words,
    read_parameters,
    synthesise,
)
from wban_collect.simulation.mlx90640_sensing import (
    HALVES,
    INVALID,
    N_PIXELS,
    N_RAM_WORDS,
    Mlx90640Sensing,
    subpage_pixels,
)
from wban_collect.simulation.world import World

ROM, RAM, EEPROM = 0x0000, 0x0400, 0x2400
STATUS, CONTROL, I2C_CONFIG = 0x8000, 0x800D, 0x800F

NEW_DATA, ENABLE_OVERWRITE, SUBPAGE_FIELD = 0x0008, 0x0010, 0x0007
SUBPAGE_MODE, DATA_HOLD, REPEAT_SUBPAGE, CHESS = 0x0001, 0x0004, 0x0008, 0x1000
CONTROL_WRITABLE = 0x1FFF
I2C_CONFIG_WRITABLE = 0x000F

START_UP_NS = 40_000_000  # from power to the start of the first subpage (section 12.2.1)
EEPROM_SCL_LIMIT_HZ = 400_000
# The die ends up this much warmer than its surroundings (section 11.2.2.9, Tr = Ta - 8).
SELF_HEATING_C = 8.0

_EEPROM_CONTROL = 12  # word that the control register is loaded from
_WARM_UP_NS = 50e9  # time constant; accurate after four minutes
_WARM_UP_ERROR_C = -1.8  # what objects seem off by when a cold sensor starts
_SCL_TOLERANCE = 1.02
_BITS_PER_BYTE = 9


class Subpage(NamedTuple):
    """A subpage that the chip measured, whether or not anybody read it."""

    start_ns: int
    end_ns: int
    number: int
    rate_hz: float

    @property
    def middle_ns(self) -> int:
        """Middle of the integration: what the sample's stamp should be."""
        return (self.start_ns + self.end_ns) // 2


class _Ended(NamedTuple):
    """A subpage that went to RAM: its number in the truth, and the control it ran under."""

    k: int
    subpage: Subpage
    control: int


class SimulatedMlx90640:
    """An MLX90640 on a simulated bus.

    Parameters
    ----------
    world
        Its `temperature` at the middle of a subpage's integration is what that subpage measures:
        objects of the stated emissivity that reflect surroundings of `ambient_c`.
    eeprom
        (832,) words from address 0x2400; None: those of a sensor made up from `seed`.
    clock_error, drift_ppm, drift_period_s
        The chip's oscillator runs this fraction too fast (data sheet: none stated; up to 0.02),
        and its rate swings sinusoidally by the drift.
    power_on_ns
        When it got power; the first subpage begins 40 ms later.
    noise
        Noise of the pixels and the last bits of the auxiliary words.
    warm_up
        Starts cold after every power-up, and with the error that this brings; otherwise it is
        always at its final temperature.
    eeprom_writable
        Take writes to the EEPROM, as a real chip does. They are counted in any case.
    eeprom_bit_error_rate
        Share of wrong bits when the EEPROM is read faster than 400 kHz.

    Attributes
    ----------
    unplugged
        While true the chip does not acknowledge.
    n_eeprom_writes
        Words that somebody tried to write to the EEPROM.
    subpages
        The truth: every subpage up to the last time that somebody looked, over power cycles.
    """

    def __init__(
        self,
        world: World,
        seed: int,
        *,
        address: int = 0x33,
        eeprom: NDArray[np.uint16] | None = None,
        clock_error: float = 0.0,
        drift_ppm: float = 0.0,
        drift_period_s: float = 600.0,
        power_on_ns: int = 0,
        ambient_c: float = 24.0,
        emissivity: float = 0.95,
        noise: bool = True,
        warm_up: bool = True,
        eeprom_writable: bool = False,
        eeprom_bit_error_rate: float = 5e-4,
    ) -> None:
        if not -0.5 < clock_error < 1 or abs(drift_ppm) >= 100_000 or drift_period_s <= 0:
            raise ValueError(
                f"an MLX90640 clock with error {clock_error} and drift {drift_ppm} ppm over "
                f"{drift_period_s} s does not run; expected an error above -0.5 and below 1, a "
                "drift below 100000 ppm, a period above 0"
            )
        self._address = address
        self.unplugged = False
        self.n_eeprom_writes = 0
        self.subpages: list[Subpage] = []
        self._world, self._seed = world, seed
        self._clock_error, self._drift = clock_error, drift_ppm * 1e-6
        self._drift_per_ns = 2 * math.pi / (drift_period_s * 1e9)
        self._ambient_c, self._warm_up = ambient_c, warm_up
        self._eeprom_writable = eeprom_writable
        self._bit_error_rate = eeprom_bit_error_rate
        random = np.random.default_rng([seed, 0x90640])
        self._drift_phase = random.uniform(0, 2 * math.pi)
        self._supply_v = 3.3 + random.uniform(-0.03, 0.03)
        self._bit_errors = np.random.default_rng([seed, 0xEE])
        # Words as they go over the wire, the whole address space: unused places read as 0.
        self._memory = np.zeros(1 << 16, dtype=">u2")
        self._memory[ROM:RAM] = random.integers(0, 1 << 16, RAM - ROM)
        words = synthesise(seed) if eeprom is None else np.asarray(eeprom, np.uint16)
        if words.shape != (N_WORDS,):
            raise ValueError(f"EEPROM of an MLX90640 has shape {words.shape}, expected (832,)")
        self._memory[EEPROM : EEPROM + N_WORDS] = words
        self._sensing = Mlx90640Sensing(read_parameters(words), emissivity=emissivity, noise=noise)
        self._n_to_invalidate = self._n_deaf = 0
        self.power_cycle(power_on_ns)

    @property
    def address(self) -> int:
        """7-bit address."""
        return self._address

    @property
    def eeprom(self) -> Words:
        """Words of the EEPROM now, (832,)."""
        return self._memory[EEPROM : EEPROM + N_WORDS].astype(np.uint16)

    @property
    def subpage_ends_ns(self) -> NDArray[np.int64]:
        """When each subpage of `subpages` was ready, (n,)."""
        return np.array([subpage.end_ns for subpage in self.subpages], np.int64)

    @property
    def subpage_middles_ns(self) -> NDArray[np.int64]:
        """Middle of the integration of each subpage of `subpages`, (n,): the true stamps."""
        return np.array([subpage.middle_ns for subpage in self.subpages], np.int64)

    def subpage_end_ns(self, k: int) -> int:
        """When subpage `k`, counted from the first power-up, was ready."""
        return self.subpages[k].end_ns

    def power_cycle(self, now_ns: int) -> None:
        """Lose everything but the EEPROM and start anew, cold, at `now_ns`."""
        self._power_on_ns = now_ns
        self._pointer = 0
        self._memory[RAM : RAM + N_RAM_WORDS] = 0
        self._memory[STATUS:] = 0
        self._memory[CONTROL] = self._memory[EEPROM + _EEPROM_CONTROL]
        self._memory[I2C_CONFIG + 1] = self._address
        self._memory[STATUS] = ENABLE_OVERWRITE
        self._halves_measured: set[int] = set()
        self._running_number = 1  # so that subpage 0 comes first
        self._begin_subpage(float(now_ns + START_UP_NS))

    def invalidate(self, n_subpages: int = 1) -> None:
        """Have the next subpages come with 0x7FFF in the first word of their pixel rows."""
        self._n_to_invalidate += n_subpages

    def ignore_clears(self, n_clears: int = 1) -> None:
        """Keep "new data" set although it is cleared, so that an old subpage passes for a new one.

        I2C has no checksum: it takes one wrong bit in what the host writes.
        """
        self._n_deaf += n_clears

    def write(self, data: bytes, end_ns: int) -> None:
        """Take an address, and words for it where any follow."""
        self._require_plugged()
        self._advance(end_ns)
        if len(data) < 2:
            return
        self._pointer = int.from_bytes(data[:2], "big")
        for place in range(2, len(data) - 1, 2):
            self._write_word(self._pointer, int.from_bytes(data[place : place + 2], "big"))
            self._pointer = (self._pointer + 1) & 0xFFFF

    def read(self, n_bytes: int, byte_ns: float, start_ns: int) -> bytes:
        """Give words from the pointer on, each as it is when its turn comes."""
        self._require_plugged()
        content = bytearray()
        n_words = (n_bytes + 1) // 2
        while n_words:
            now_ns = start_ns + (len(content) + 1) * byte_ns
            self._advance(math.floor(now_ns))
            # Up to the end of the running subpage nothing in memory can change.
            n_stable = max(1, math.ceil((self._end_ns - now_ns) / (2 * byte_ns)))
            n = min(n_words, n_stable)
            content += self._fetch(n, byte_ns)
            n_words -= n
        return bytes(content[:n_bytes])

    def stop_condition(self) -> None:
        """Forget the address: a read after a STOP begins at the start of memory."""
        self._pointer = 0

    def _require_plugged(self) -> None:
        if self.unplugged:
            raise ChipNack(f"MLX90640 at 0x{self._address:02x} is unplugged")

    def _write_word(self, address: int, word: int) -> None:
        memory = self._memory
        if address == STATUS:
            # New data can only be cleared; the subpage field is the chip's; the start bit (step
            # mode) has no effect while it runs freely.
            if self._n_deaf and not word & NEW_DATA:
                self._n_deaf -= 1
                word |= NEW_DATA
            kept = int(memory[STATUS]) & (SUBPAGE_FIELD | (word & NEW_DATA))
            memory[STATUS] = kept | (word & ENABLE_OVERWRITE)
        elif address == CONTROL:
            memory[CONTROL] = word & CONTROL_WRITABLE
        elif address == I2C_CONFIG:
            memory[I2C_CONFIG] = word & I2C_CONFIG_WRITABLE
        elif EEPROM <= address < EEPROM + N_WORDS:
            self.n_eeprom_writes += 1
            if self._eeprom_writable:
                memory[address] = word

    def _fetch(self, n_words: int, byte_ns: float) -> bytes:
        """Give words from the pointer on, and move it."""
        first, stop = self._pointer, self._pointer + n_words
        self._pointer = stop & 0xFFFF
        words = self._memory[first:stop]
        if stop > len(self._memory):
            words = np.concatenate((words, self._memory[: stop - len(self._memory)]))
        too_fast = byte_ns * EEPROM_SCL_LIMIT_HZ * _SCL_TOLERANCE < _BITS_PER_BYTE * 1e9
        if too_fast and self._bit_error_rate:
            flips = self._bit_errors.random((n_words, 16)) < self._bit_error_rate
            wrong = (flips * (1 << np.arange(16))).sum(axis=1).astype(np.uint16)
            places = np.arange(first, stop) & 0xFFFF
            wrong[(places < EEPROM) | (places >= EEPROM + N_WORDS)] = 0
            words = (words ^ wrong).astype(words.dtype)
        return words.tobytes()

    def _begin_subpage(self, start_ns: float) -> None:
        """Take over the control register: changes act from here."""
        self._running_control = control = int(self._memory[CONTROL])
        if not control & SUBPAGE_MODE:
            self._running_number = 0
        elif control & REPEAT_SUBPAGE:
            self._running_number = (control >> 4) & 1
        else:
            self._running_number ^= 1
        self._rate_hz = 0.5 * 2 ** ((control >> 7) & 7)
        swing = self._drift * math.sin(self._drift_phase + self._drift_per_ns * start_ns)
        self._start_ns = start_ns
        # Kept as a fraction of a ns, so that the chip's clock does not gain by rounding.
        self._end_ns = start_ns + 1e9 / self._rate_hz / (1 + self._clock_error) / (1 + swing)

    def _advance(self, now_ns: int) -> None:
        """Finish every subpage that ended until `now_ns`, that instant included."""
        if self._end_ns > now_ns:
            return
        visible: list[_Ended] = []
        while self._end_ns <= now_ns:
            number, control = self._running_number, self._running_control
            ended = Subpage(round(self._start_ns), math.ceil(self._end_ns), number, self._rate_hz)
            self.subpages.append(ended)
            if not control & DATA_HOLD or self._memory[STATUS] & ENABLE_OVERWRITE:
                visible.append(_Ended(len(self.subpages) - 1, ended, control))
            self._begin_subpage(self._end_ns)
        # Of each subpage only the newest is left in RAM; the one before gave auxiliary words that
        # the newest of the other subpage was made with. All others cost nothing.
        by_number = [[e for e in visible if e.subpage.number == number] for number in (0, 1)]
        newest = [ended for same in by_number for ended in same[-1:]]
        for ended in sorted(e for same in by_number for e in same[-2:]):
            self._measure(ended, pixels=ended in newest)

    def _measure(self, ended: _Ended, *, pixels: bool) -> None:
        """Put a subpage into RAM and say so in the status register."""
        k, subpage, control = ended
        random = np.random.default_rng([self._seed, k])
        warming = self._warming(subpage.middle_ns)
        die_c = self._ambient_c + SELF_HEATING_C * (1 - warming)
        ram = self._memory[RAM : RAM + N_RAM_WORDS]
        auxiliary = self._sensing.auxiliary(die_c, self._supply_v, control, random)
        seen_by_host = self._take_auxiliary(ram, auxiliary, subpage.number)
        if pixels:
            ram[subpage_pixels(bool(control & CHESS), subpage.number)] = self._sensing.pixels(
                self._world.temperature(subpage.middle_ns) + _WARM_UP_ERROR_C * warming,
                seen_by_host,
                subpage=subpage.number,
                control=control,
                surroundings_c=self._ambient_c,
                rate_hz=subpage.rate_hz,
                random=random,
            )
            self._invalidate_if_asked(ram, subpage.number)
        status = int(self._memory[STATUS]) & ~SUBPAGE_FIELD
        self._memory[STATUS] = status | NEW_DATA | subpage.number

    def _take_auxiliary(self, ram: NDArray[Any], auxiliary: Words, number: int) -> Words:
        """Put a subpage's half of the auxiliary words into RAM; give RAM as the host takes it.

        Until both halves were measured once, the pixels are made with words that are not in RAM
        yet: what a host makes of those first subpages is wrong, as with a real chip.
        """
        half = HALVES[number]
        ram[half] = auxiliary[half.start - N_PIXELS : half.stop - N_PIXELS]
        self._halves_measured.add(number)
        seen = ram.astype(np.uint16)
        if len(self._halves_measured) < len(HALVES):
            seen[N_PIXELS:] = auxiliary
        return seen

    def _invalidate_if_asked(self, ram: NDArray[Any], number: int) -> None:
        if self._n_to_invalidate:
            self._n_to_invalidate -= 1
            ram[N_COLUMNS * number : N_PIXELS : 2 * N_COLUMNS] = INVALID

    def _warming(self, time_ns: int) -> float:
        """How much of the warm-up is still to come, 1 to 0."""
        if not self._warm_up:
            return 0.0
        return math.exp(-(time_ns - self._power_on_ns) / _WARM_UP_NS)
