"""Simulated chips, buses and a camera that fail when they are told to, and remember the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_collect.clock import Clock, VirtualClock
from wban_collect.simulation.adxl345 import SimulatedAdxl345
from wban_collect.simulation.bus import BusFaults, SimulatedI2CBus
from wban_collect.simulation.camera import SimulatedPicamera2
from wban_collect.simulation.mlx90640 import SimulatedMlx90640
from wban_collect.simulation.mpu6050 import SimulatedMpu6050

MOTION, ADXL345, THERMAL = 0x68, 0x53, 0x33
SECOND_NS = 10**9

Instants = NDArray[np.int64]
Event = tuple[float, Callable[["Hardware"], None]]
"""So many seconds after the start of the recording this is done to the hardware."""


class Hardware:
    """What one recording is made from; `classes` goes into `assembly.Simulation`.

    Parameters
    ----------
    effective
        By the address of a chip: the fraction of its bus's nominal rate, by the time since the
        recording began in ns.
    eeprom
        Words of the thermal camera; None: those that its seed gives.
    faults
        Of the bus with the chip at the address, from the beginning.
    """

    def __init__(
        self,
        *,
        start_ns: int,
        effective: Mapping[int, Callable[[int], float]] | None = None,
        eeprom: NDArray[np.uint16] | None = None,
        faults: dict[int, BusFaults] | None = None,
    ) -> None:
        self.start_ns = self.now_ns = start_ns
        self.chips: dict[int, Any] = {}
        self.camera: Any = None
        self._buses: dict[int, tuple[SimulatedI2CBus, Clock]] = {}
        self._effective = effective or {}
        self._eeprom = eeprom
        self._faults = faults or {}

    def classes(self) -> dict[str, Callable[..., Any]]:
        """Give what makes the parts, and remember each that is made."""
        return {
            "bus": self._make_bus,
            "camera": self._make_camera,
            "mpu6050": lambda *a, **k: self._chip(SimulatedMpu6050(*a, **k, keep_truth=True)),
            "adxl345": lambda *a, **k: self._chip(SimulatedAdxl345(*a, **k, keep_truth=True)),
            "mlx90640": lambda *a, **k: self._chip(SimulatedMlx90640(*a, **k, eeprom=self._eeprom)),
        }

    def bus(self, address: int) -> SimulatedI2CBus:
        """Give the bus that a chip is on, whose time has come to now."""
        bus, clock = self._buses[address]
        clock.sleep_until_ns(self.now_ns)
        return bus

    def hold_up(self, address: int, duration_s: float) -> None:
        """Let the thread of a chip's bus not run for so long."""
        self._buses[address][1].sleep_until_ns(self.now_ns + round(duration_s * SECOND_NS))

    def truth(self, stream: str) -> tuple[Instants, Instants]:
        """Tell what could be recorded of a stream: true stamps, and instants to count periods by.

        Both (n,) and in order. They differ for a camera, whose exposure moves the stamp.
        """
        if stream == "infrared":
            pairs = np.array(self.camera.frame_truth, dtype=np.int64).reshape(-1, 2)
            return pairs[:, 1], pairs[:, 0]
        if stream == "thermal":
            middles = self.chips[THERMAL].subpage_middles_ns
            return middles, middles
        instants = self.chips[MOTION if MOTION in self.chips else ADXL345].read_instants_ns()
        return instants, instants

    def _make_bus(self, clock: Clock, chips: Sequence[Any], **settings: Any) -> SimulatedI2CBus:
        for chip in chips:
            if chip.address in self._effective:
                settings["effective"] = self._since_start(self._effective[chip.address])
            if chip.address in self._faults:
                settings["faults"] = self._faults[chip.address]
        bus = SimulatedI2CBus(clock, chips, **settings)
        for chip in chips:
            self._buses[chip.address] = bus, clock
        return bus

    def _make_camera(self, *arguments: Any, **settings: Any) -> SimulatedPicamera2:
        self.camera = SimulatedPicamera2(*arguments, **settings, keep_truth=True)
        return self.camera

    def _since_start(self, rate: Callable[[int], float]) -> Callable[[int], float]:
        return lambda now_ns: rate(now_ns - self.start_ns)

    def _chip(self, chip: Any) -> Any:
        self.chips[chip.address] = chip
        return chip


class Director:
    """A worker in virtual time that lets events happen when their time has come."""

    name = "director"

    def __init__(self, hardware: Hardware, events: Sequence[Event]) -> None:
        self.clock = VirtualClock(hardware.start_ns)
        self._hardware = hardware
        self._events = sorted(events, key=lambda event: event[0])

    def next_due_ns(self) -> int:
        """When the next event happens."""
        if not self._events:
            return self.clock.monotonic_ns() + SECOND_NS
        return self._hardware.start_ns + round(self._events[0][0] * SECOND_NS)

    def step(self) -> None:
        """Let happen what is due."""
        while self._events and self.next_due_ns() <= self.clock.monotonic_ns():
            self._hardware.now_ns = self.next_due_ns()
            self._events.pop(0)[1](self._hardware)
