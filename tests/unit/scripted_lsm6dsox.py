"""A scripted LSM6DSOX: registers, and a FIFO of words that a test writes itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from wban_collect.clock import VirtualClock
from wban_collect.devices.lsm6dsox import Lsm6dsox
from wban_collect.errors import BusError
from wban_dataset.recording.streams import SampleBlock

MS = 1_000_000
GYRO, ACCEL, TIMESTAMP = 1, 2, 4
TICKS_104_HZ = 384


class ScriptedBus:
    """A register file with a FIFO of words; `answers` overrides what a register reads."""

    def __init__(self, clock: VirtualClock, who_am_i: int = 0x6C) -> None:
        self.clock = clock
        self.registers = bytearray(128)
        self.registers[0x0F] = who_am_i
        self.fifo = bytearray()
        self.flags = 0
        self.written: list[tuple[int, int, int]] = []
        self.answers: dict[int, list[bytes | BusError]] = defaultdict(list)
        self.reads: list[tuple[int, int]] = []
        self.resets = True

    def write(self, address: int, data: bytes) -> None:
        self.clock.sleep_until_ns(self.clock.monotonic_ns() + 100_000)
        register, value = data
        self.written.append((register, value, self.clock.monotonic_ns()))
        if register == 0x12 and self.resets:
            value &= 0xFE  # the reset ends by itself
        self.registers[register] = value
        if register == 0x0A and value & 7 == 0:
            self.fifo.clear()

    def write_read(self, address: int, data: bytes, n_bytes: int) -> bytes:
        self.clock.sleep_until_ns(self.clock.monotonic_ns() + 300_000)
        register = data[0]
        self.reads.append((register, n_bytes))
        if self.answers[register]:
            answer = self.answers[register].pop(0)
            if isinstance(answer, BusError):
                raise answer
            return answer
        if register == 0x3A:
            n_words, flags, self.flags = len(self.fifo) // 7, self.flags, 0
            return bytes((n_words & 0xFF, flags | n_words >> 8))
        if register == 0x78:
            taken = bytes(self.fifo[:n_bytes])
            del self.fifo[:n_bytes]
            return taken
        return bytes(self.registers[register : register + n_bytes])

    def reopen(self) -> None:
        pass

    def close(self) -> None:
        pass


def word(sensor: int, slot: int, six_bytes: bytes) -> bytes:
    """A word whose tag has the counter of the slot, and an even number of ones."""
    tag = sensor << 3 | slot % 4 << 1
    return bytes((tag + tag.bit_count() % 2,)) + six_bytes


def slot_words(
    slot: int,
    *,
    order: Sequence[int] = (TIMESTAMP, GYRO, ACCEL),
    ticks: int | None = None,
    accel_x: int | None = None,
) -> list[bytes]:
    """Words of one slot: accel x is the slot's number, gyro z its negative."""
    ticks = 5000 + TICKS_104_HZ * slot if ticks is None else ticks
    six_bytes = {
        TIMESTAMP: (ticks % 2**32).to_bytes(4, "little") + bytes(2),
        GYRO: np.array([0, 7, -slot], "<i2").tobytes(),
        ACCEL: np.array([slot if accel_x is None else accel_x, 0, 4096], "<i2").tobytes(),
    }
    return [word(sensor, slot, six_bytes[sensor]) for sensor in order]


def slots(first: int, n: int, **options: Any) -> bytes:
    return b"".join(b"".join(slot_words(k, **options)) for k in range(first, first + n))


def run(device: Lsm6dsox, clock: VirtualClock, steps: Iterator[Any]) -> list[Any]:
    """Take all steps, each no earlier than the device wants."""
    outputs = []
    for step in steps:
        clock.sleep_until_ns(device.next_due_ns())
        outputs.append(step)
    return [output for output in outputs if output is not None]


def started(**options: Any) -> tuple[Lsm6dsox, ScriptedBus, VirtualClock]:
    clock = VirtualClock(1_000 * MS)
    bus = ScriptedBus(clock)
    device = Lsm6dsox("lsm6dsox", bus, clock, **options)
    run(device, clock, device.start())
    bus.reads.clear()
    bus.written.clear()
    return device, bus, clock


def numbers(block: SampleBlock) -> list[int]:
    return block.data[:, 0].tolist()
