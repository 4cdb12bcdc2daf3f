"""What a recording is made of: buses, cameras, clocks, real or simulated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from wban_collect.clock import Clock
from wban_collect.device import BusDevice, FrameDevice
from wban_collect.i2c import I2CBus
from wban_collect.worker import Worker
from wban_dataset.recording.streams import ClockAnchor, Label


@dataclass(frozen=True)
class BusPart:
    """One I2C bus, its devices, and the clock of its thread."""

    name: str
    bus: I2CBus
    devices: Sequence[BusDevice]
    clock: Clock


@dataclass(frozen=True)
class CameraPart:
    """One camera and the clock of its worker."""

    device: FrameDevice
    clock: Clock


@dataclass(frozen=True)
class Parts:
    """Everything that assembly has put together for one recording.

    `own_workers` are those of simulated hardware that has no thread (virtual time). `labels` tells
    the spans that are known by themselves: those of a replayed or simulated schedule.
    """

    buses: Sequence[BusPart]
    cameras: Sequence[CameraPart]
    clock: Clock
    storage_clock: Clock
    read_anchor: Callable[[], ClockAnchor]
    required_devices: frozenset[str]
    virtual: bool = False
    own_workers: Sequence[Worker] = ()
    labels: Callable[[], list[Label]] = list
    ended: Callable[[], bool] = lambda: False
    close: Callable[[], None] = lambda: None
