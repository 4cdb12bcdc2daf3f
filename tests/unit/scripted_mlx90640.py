"""A small scripted MLX90640 on a bus of its own, for paths that are hard to provoke."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from wban_collect.clock import VirtualClock
from wban_collect.device import BusDevice, DeviceOutput
from wban_collect.devices.mlx90640 import Mlx90640
from wban_collect.devices.mlx90640_adafruit import AdafruitMlx90640
from wban_collect.errors import BusError
from wban_dataset.recording.streams import Gap, SampleBlock

EXAMPLE = Path(__file__).parents[1] / "data" / "mlx90640" / "melexis_example.json"
MS = 1_000_000
PERIOD = 125 * MS  # 8 Hz
BYTE_NS = 22_500  # 9 bits at 400 kHz
POWER_ON = 0x1901
WANTED = 0x1A01  # chess, 18 bit, 8 Hz, both subpages
SERIAL = "1710a2240185"


class ScriptedChip:
    """A bus with one MLX90640 on it that measures from `power_on_ns` on; faults on request."""

    def __init__(self, clock: VirtualClock) -> None:
        example = json.loads(EXAMPLE.read_text(encoding="utf-8"))
        self.clock = clock
        self.eeprom = np.array(example["eeprom"], dtype=np.uint16)
        self.frames = np.array(example["frames"], dtype=np.uint16)
        self.ram = np.zeros(832, dtype=np.uint16)
        self.byte_ns = BYTE_NS
        self.running = True
        self.holds_settings = True
        self.errors: list[BusError] = []
        self.bad_eeprom_reads = 0
        self.marked_subpages: set[int] = set()
        self.writes: list[tuple[int, int]] = []
        self.status_polls_ns: list[int] = []
        self.ready_ns: list[int] = []
        self.power_cycle()

    def power_cycle(self) -> None:
        self.control, self.status = POWER_ON, 0
        self.n_measured = 0
        self.next_ready_ns = self.clock.monotonic_ns() + 40 * MS + self._period_ns()

    def write(self, address: int, data: bytes) -> None:
        self._begin(len(data))
        register, value = int.from_bytes(data[:2], "big"), int.from_bytes(data[2:], "big")
        self.writes.append((register, value))
        if register == 0x800D and self.holds_settings:
            self.control = value
        elif register == 0x8000:
            self.status &= ~0x0008

    def write_read(self, address: int, data: bytes, n_bytes: int) -> bytes:
        self._begin(len(data))
        register = int.from_bytes(data, "big")
        if register == 0x8000:
            self.status_polls_ns.append(self.clock.monotonic_ns())
        words = self._words(register, n_bytes // 2)
        self._pass(n_bytes * self.byte_ns)
        return words.astype(">u2").tobytes()

    def reopen(self) -> None: ...

    def close(self) -> None: ...

    def _words(self, register: int, n: int) -> np.ndarray:
        if register == 0x8000:
            return np.array([self.status])
        if register == 0x800D:
            return np.array([self.control])
        if register >= 0x2400:
            start = register - 0x2400
            words = self.eeprom[start : start + n].copy()
            if self.bad_eeprom_reads and start + n == 832:
                self.bad_eeprom_reads -= 1
                words[-1] ^= 1 + self.bad_eeprom_reads
            return words
        return self.ram[register - 0x400 : register - 0x400 + n]

    def _begin(self, n_bytes: int) -> None:
        self._pass((n_bytes + 1) * self.byte_ns)
        if self.errors:
            raise self.errors.pop(0)

    def _pass(self, duration_ns: int) -> None:
        self.clock.sleep_until_ns(self.clock.monotonic_ns() + duration_ns)
        while self.running and self.clock.monotonic_ns() >= self.next_ready_ns:
            self._measure()

    def _measure(self) -> None:
        subpage = self.n_measured % 2
        self.ram = self.frames[subpage][:832].copy()
        self.ram[1] = len(self.ready_ns)  # tells subpages apart
        if len(self.ready_ns) in self.marked_subpages:
            self.ram[800] = 0x7FFF
        self.status = 0x0008 | subpage
        self.ready_ns.append(self.next_ready_ns)
        self.n_measured += 1
        self.next_ready_ns += self._period_ns()

    def _period_ns(self) -> int:
        return int(2e9) >> (self.control >> 7 & 0x7)


def native(chip: ScriptedChip, **settings) -> Mlx90640:
    return Mlx90640("mlx90640", chip, chip.clock, **settings)


def adafruit(chip: ScriptedChip, **settings) -> AdafruitMlx90640:
    pytest.importorskip("adafruit_bus_device", reason="Adafruit's library is not installed")
    return AdafruitMlx90640("mlx90640", chip, chip.clock, **settings)


def start(device: BusDevice) -> None:
    for _ in device.start():
        pass


def outputs(device: BusDevice, chip: ScriptedChip, until_ns: int) -> Iterator[DeviceOutput]:
    """What the bus's thread would deliver; the device is started already."""
    while device.next_due_ns() < until_ns:
        chip.clock.sleep_until_ns(device.next_due_ns())
        for output in device.read():
            if output is not None:
                yield output


def record(device: BusDevice, chip: ScriptedChip, n_periods: float) -> list[DeviceOutput]:
    return list(outputs(device, chip, chip.clock.monotonic_ns() + int(n_periods * PERIOD)))


def blocks(got: list[DeviceOutput]) -> list[SampleBlock]:
    return [output for output in got if isinstance(output, SampleBlock)]


def gaps(got: list[DeviceOutput]) -> list[Gap]:
    return [output for output in got if isinstance(output, Gap)]


def numbers(got: list[DeviceOutput]) -> list[int]:
    """Which subpages of the chip were delivered."""
    return [int(block.data[0, 1]) for block in blocks(got)]


def set_before(chip: ScriptedChip) -> None:
    """The chip has run with the driver's settings for long: nothing has to be dropped."""
    chip.control = WANTED
    chip.next_ready_ns = chip.clock.monotonic_ns() + PERIOD
