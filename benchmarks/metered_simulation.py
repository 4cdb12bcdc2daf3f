"""Simulated hardware that remembers what a measurement asks for: all of it, and the truth.

`metered` has `simulated_parts` take these classes in place of the plain ones.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_collect.simulation import SIMULATED_CLASSES
from wban_collect.simulation.adxl345 import SimulatedAdxl345
from wban_collect.simulation.bus import Message, SimulatedI2CBus
from wban_collect.simulation.camera import SimulatedPicamera2
from wban_collect.simulation.mlx90640 import SimulatedMlx90640
from wban_collect.simulation.mpu6050 import SimulatedMpu6050


class MeteredBus(SimulatedI2CBus):
    """A bus that knows when its last transaction ended."""

    def __init__(self, clock: Any, chips: Sequence[Any], **settings: Any) -> None:
        super().__init__(clock, chips, **settings)
        self.chips = chips
        self.last_end_ns = 0
        _hardware[-1].buses.append(self)

    def transfer(self, messages: Sequence[Message]) -> bytes:
        """Do one transaction."""
        received = super().transfer(messages)
        self.last_end_ns = self._clock.monotonic_ns()
        return received


class TruthfulMpu6050(SimulatedMpu6050):
    """An MPU that remembers when each of its records was latched."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, keep_truth=True, **settings)


class TruthfulAdxl345(SimulatedAdxl345):
    """An ADXL345 that remembers when each of its samples was latched."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, keep_truth=True, **settings)


class TruthfulPicamera2(SimulatedPicamera2):
    """A camera that remembers the true instant of each frame."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, keep_truth=True, **settings)
        _hardware[-1].cameras.append(self)


@dataclass
class Hardware:
    """The simulated hardware of one recording."""

    buses: list[MeteredBus] = field(default_factory=list[MeteredBus])
    cameras: list[TruthfulPicamera2] = field(default_factory=list[TruthfulPicamera2])

    @property
    def n_transactions(self) -> int:
        """Transactions on all buses."""
        return sum(bus.n_transactions for bus in self.buses)

    @property
    def last_end_ns(self) -> int:
        """When the last transaction on the one bus ended."""
        (bus,) = self.buses
        return bus.last_end_ns

    def truth_ns(self, kind: str) -> NDArray[np.int64]:
        """Give the true instants of all that could be recorded in a stream of a kind, (n,).

        Of a FIFO those that were read: what was lost leaves a hole among them.
        """
        chips = [chip for bus in self.buses for chip in bus.chips]
        if kind == "infrared":
            return np.array([middle_ns for _, middle_ns in self.cameras[0].frame_truth])
        if kind == "thermal":
            (heat,) = (chip for chip in chips if isinstance(chip, SimulatedMlx90640))
            return heat.subpage_middles_ns
        (motion,) = (c for c in chips if isinstance(c, SimulatedMpu6050 | SimulatedAdxl345))
        return motion.read_instants_ns()


_hardware: list[Hardware] = []


@contextmanager
def metered() -> Generator[Hardware]:
    """Collect the hardware that `simulated_parts` makes within, with its truth kept."""
    plain = dict(SIMULATED_CLASSES)
    hardware = Hardware()
    _hardware.append(hardware)
    SIMULATED_CLASSES.update(
        bus=f"{__name__}:MeteredBus",
        mpu6050=f"{__name__}:TruthfulMpu6050",
        adxl345=f"{__name__}:TruthfulAdxl345",
        camera=f"{__name__}:TruthfulPicamera2",
    )
    try:
        yield hardware
    finally:
        SIMULATED_CLASSES.update(plain)
        _hardware.pop()
