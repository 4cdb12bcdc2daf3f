"""A wall clock that is set while recording. What stamps samples, monotonic time, is not set."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from tests.faults.hardware import SECOND_NS, Hardware
from tests.faults.recording import CAMERA, SPLIT, START_NS, UTC_NS, prepare
from tests.faults.scenarios import DURATION_S, undisturbed
from wban_collect.config import Config, MotionConfig, ThermalConfig
from wban_collect.recorder import Recorder
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.session import Session
from wban_dataset.recording.streams import ClockAnchor

DAY_S = 86_400.0
STEP_AT_S = 30.0

HOUR_S = 3600.0
SOON_S = 400.0
STALE_S = 30 * DAY_S
"""How far behind a clock is that was saved at the last shutdown."""

SLOW = Config(
    motion=[MotionConfig(sampling_rate_hz=10.0)],
    thermal=[ThermalConfig(bus=3, refresh_hz=0.5)],
    infrared=[msgspec.structs.replace(CAMERA, frame_rate_hz=2.0, rule="every 10 s")],
)
"""All streams, seldom: an hour of them takes seconds."""


@dataclass(frozen=True)
class ClockOutcome:
    """What became of a recording during which the wall clock was set.

    Attributes
    ----------
    n_moved
        Samples whose monotonic stamp is not that of the recording with a steady clock; None where
        there is none to compare with.
    n_lost
        Samples that the file says are missing.
    largest_utc_error_ns
        Of the file's UTC against the true one, over all samples.
    """

    name: str
    what: str
    n_samples: int
    n_moved: int | None
    n_lost: int
    synchronised: bool
    start_utc: str
    largest_utc_error_ns: int
    problems: tuple[str, ...]


def set_by(step_s: float) -> ClockOutcome:
    """Set the wall clock half a minute into the recording; afterwards it is right."""

    def wrong_before(anchor: ClockAnchor) -> ClockAnchor:
        if anchor.monotonic_ns >= START_NS + STEP_AT_S * SECOND_NS:
            return anchor
        return dataclasses.replace(
            anchor, realtime_ns=anchor.realtime_ns - round(step_s * SECOND_NS)
        )

    direction = "forward" if step_s > 0 else "back"
    with tempfile.TemporaryDirectory() as folder:
        session = _record(Path(folder), SPLIT, START_NS, DURATION_S, wrong_before)
        return _outcome(
            f"clock set {direction}",
            f"by a day, {STEP_AT_S:.0f} s into the recording",
            session,
            START_NS,
            compare=True,
        )


def synchronised_after_an_hour(begins_s: float = SOON_S) -> ClockOutcome:
    """Begin soon after boot with a stale clock; an hour after boot the network answers."""

    def stale_for_an_hour(anchor: ClockAnchor) -> ClockAnchor:
        if anchor.monotonic_ns >= HOUR_S * SECOND_NS:
            return anchor
        realtime_ns = anchor.realtime_ns - round(STALE_S * SECOND_NS)
        return dataclasses.replace(anchor, realtime_ns=realtime_ns, synchronised=False)

    start_ns = round(begins_s * SECOND_NS)
    duration_s = HOUR_S - begins_s + 60.0
    with tempfile.TemporaryDirectory() as folder:
        session = _record(Path(folder), SLOW, start_ns, duration_s, stale_for_an_hour)
        return _outcome(
            "clock synchronised late",
            "an hour after boot; until then it is 30 days behind",
            session,
            start_ns,
            compare=False,
        )


def _record(
    folder: Path,
    config: Config,
    start_ns: int,
    duration_s: float,
    seen: Callable[[ClockAnchor], ClockAnchor],
) -> Path:
    hardware = Hardware(start_ns=start_ns)
    parts, plan = prepare(folder, hardware, config=config, duration_s=duration_s)
    read_anchor = parts.read_anchor
    parts = dataclasses.replace(parts, read_anchor=lambda: seen(read_anchor()))
    session = Recorder(parts, plan).run()
    seal(session)
    return session


def _outcome(name: str, what: str, folder: Path, start_ns: int, *, compare: bool) -> ClockOutcome:
    n_samples = n_moved = n_lost = largest_error_ns = 0
    with Session.open(folder) as session:
        for stream in map(session.stream, session.streams):
            true_utc_ns = stream.monotonic_ns + (UTC_NS - start_ns)
            error_ns = int(np.abs(stream.time - true_utc_ns).max())
            largest_error_ns = max(largest_error_ns, error_ns)
            n_samples += stream.n
            n_lost += int(stream.attributes["n_lost"])
            if compare:
                steady_ns = undisturbed().streams[stream.name].stamps_ns
                n_moved += int(np.sum(stream.monotonic_ns != steady_ns))
        return ClockOutcome(
            name,
            what,
            n_samples,
            n_moved if compare else None,
            n_lost,
            session.clock_synchronised,
            session.start_utc,
            largest_error_ns,
            session.verify().problems,
        )
