"""One recording of all default streams in virtual time, sealed, and read as plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from numpy.typing import NDArray

from tests.faults.hardware import SECOND_NS, Director, Event, Hardware, Instants
from wban_collect.assembly import Simulation, simulated_parts
from wban_collect.config import Config, InfraredConfig, MotionConfig, ThermalConfig
from wban_collect.parts import Parts
from wban_collect.plan import Request, make_plan
from wban_collect.recorder import Plan, Recorder
from wban_collect.simulation.people import one_activity
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.session import Session
from wban_dataset.recording.streams import Gap

START_NS = 1000 * SECOND_NS
UTC_NS = 1_767_225_600 * SECOND_NS
SEED = 3

CAMERA = InfraredConfig(capture_size=(64, 48), size=(32, 24))
"""Small pictures at the default rate of 5/s: they cost time and tell nothing here."""

SPLIT = Config(motion=[MotionConfig()], thermal=[ThermalConfig(bus=3)], infrared=[CAMERA])
"""The default load with a bus for each chip, as the wiring page advises."""

SHARED = msgspec.structs.replace(SPLIT, thermal=[ThermalConfig()])
"""The default load: both chips on one bus."""

SPLIT_ADXL345 = msgspec.structs.replace(SPLIT, motion=[MotionConfig(driver="adxl345")])

CONFIGS = {"split": SPLIT, "shared": SHARED, "adxl345": SPLIT_ADXL345}


@dataclass(frozen=True)
class RecordedStream:
    """A stream as its sealed file has it, and what the simulation knows of it.

    Attributes
    ----------
    true_ns, counting_ns
        See `Hardware.truth`.
    ticks
        Of a camera that keeps a frame for each tick of a grid: the number of the tick that each row
        is for; None where every sample is kept.
    """

    stamps_ns: Instants
    counts: NDArray[Any]
    gaps: tuple[Gap, ...]
    n_lost: int
    true_ns: Instants
    counting_ns: Instants
    ticks: Instants | None = None


@dataclass(frozen=True)
class Recording:
    """What a recording left behind."""

    folder: Path
    stop_reason: str
    streams: dict[str, RecordedStream]
    problems: tuple[str, ...]


def prepare(
    out: Path,
    hardware: Hardware,
    events: Sequence[Event] = (),
    *,
    config: Config = SPLIT,
    duration_s: float = 60.0,
    eeprom_folder: Path | None = None,
) -> tuple[Parts, Plan]:
    """Put a recording together; nothing of it has begun yet."""
    simulation = Simulation(
        one_activity("walking", SEED),
        SEED,
        start_ns=hardware.start_ns,
        realtime_ns=UTC_NS,
        classes=hardware.classes(),
        eeprom_folder=eeprom_folder,
    )
    parts = simulated_parts(config, simulation)
    director = Director(hardware, events)
    parts = dataclasses.replace(parts, own_workers=[*parts.own_workers, director])
    request = Request(
        "S01",
        "walking",
        out,
        round(duration_s * SECOND_NS),
        simulated=True,
        virtual=True,
        folder="session",
    )
    return parts, make_plan(request, config, parts.clock)


def record(out: Path, hardware: Hardware, events: Sequence[Event] = (), **how: Any) -> Recording:
    """Record, seal and read; see `prepare`."""
    recorder = Recorder(*prepare(out, hardware, events, **how))
    folder = recorder.run()
    seal(folder)
    return read(folder, hardware, recorder.stop_reason)


def read(folder: Path, hardware: Hardware, stop_reason: str = "") -> Recording:
    """Read a sealed session as plain values."""
    with Session.open(folder) as session:
        problems = session.verify().problems
        gaps = _gaps(session)
        streams = {
            name: RecordedStream(
                session.stream(name).monotonic_ns,
                session.stream(name).read_counts(),
                tuple(gap for gap in gaps if gap.stream == name),
                int(session.stream(name).attributes["n_lost"]),
                *hardware.truth(name),
            )
            for name in session.streams
        }
    return Recording(folder, stop_reason, streams, problems)


def _gaps(session: Session) -> list[Gap]:
    table = session.gaps
    columns = [table[name] for name in ("stream", "start_ns", "stop_ns", "n_missing", "cause")]
    return [
        Gap(str(stream), int(start_ns), int(stop_ns), int(n_missing), str(cause))
        for stream, start_ns, stop_ns, n_missing, cause in zip(*columns, strict=True)
    ]
