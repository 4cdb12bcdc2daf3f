"""Real drivers above simulated chips in virtual time, for the benchmarks: run, collect, fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from wban_collect.bus import BusWorker
from wban_collect.clock import VirtualClock
from wban_collect.device import BusDevice, DeviceOutput, FrameDevice
from wban_collect.i2c import I2CBus
from wban_collect.simulation.people import study_participant
from wban_collect.simulation.wearer import SimulatedWearer
from wban_collect.worker import VirtualRunner
from wban_dataset.recording.activities import PAPER_ABSTRACT
from wban_dataset.recording.streams import Gap, SampleBlock, StreamSpec

START_NS = 1_000_000_000_000


@dataclass
class Collected:
    """What the devices delivered."""

    specs: dict[str, StreamSpec] = field(default_factory=dict[str, StreamSpec])
    blocks: dict[str, list[SampleBlock]] = field(default_factory=dict[str, list[SampleBlock]])
    gaps: list[Gap] = field(default_factory=list[Gap])

    def take(self, output: DeviceOutput) -> None:
        """Keep a block or a gap."""
        if isinstance(output, Gap):
            self.gaps.append(output)
        else:
            self.blocks.setdefault(output.stream, []).append(output)

    def meet(self, device: BusDevice | FrameDevice) -> None:
        """Take the streams of a device that has been set up."""
        self.specs |= {spec.name: spec for spec in device.streams}

    def n_rows(self, stream: str) -> int:
        """Count the samples of a stream."""
        return sum(block.n_samples for block in self.blocks.get(stream, []))

    @property
    def n_lost(self) -> int:
        """Samples that the gaps say are missing; at least one for each."""
        return sum(max(gap.n_missing, 1) for gap in self.gaps)


def wearer(seed: int = 1) -> SimulatedWearer:
    """Make a simulated person who goes through the paper's activities."""
    person = study_participant(PAPER_ABSTRACT, 600.0, seed, 1)
    person.begin(START_NS)
    return person


def run_bus(
    bus: I2CBus, devices: Sequence[BusDevice], clock: VirtualClock, duration_s: float
) -> Collected:
    """Run the devices of one bus for `duration_s` of virtual time."""
    collected = Collected()
    worker = BusWorker("i2c-1", bus, devices, clock, collected.take, collected.meet)
    end_ns = clock.monotonic_ns() + int(duration_s * 1e9)
    VirtualRunner([worker]).run_until(lambda: clock.monotonic_ns() >= end_ns)
    return collected
