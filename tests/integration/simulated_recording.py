"""Recordings of simulated people in virtual time that nobody has sealed yet."""

from __future__ import annotations

from pathlib import Path

from wban_collect.assembly import Simulation, simulated_parts
from wban_collect.config import DEFAULT_LOAD, Config
from wban_collect.plan import Request, make_plan
from wban_collect.recorder import Recorder
from wban_collect.simulation.people import one_activity

START_NS = 10**12
UTC_NS = 1_767_225_600 * 10**9


def record_unsealed(
    out: Path, folder: str, duration_s: float, seed: int = 4, config: Config = DEFAULT_LOAD
) -> Path:
    """Record somebody walking; return the session's folder with its journal."""
    simulation = Simulation(
        one_activity("walking", seed), seed, start_ns=START_NS, realtime_ns=UTC_NS
    )
    parts = simulated_parts(config, simulation)
    request = Request(
        "S02",
        "walking",
        out,
        int(duration_s * 1e9),
        simulated=True,
        virtual=True,
        folder=folder,
    )
    return Recorder(parts, make_plan(request, config, parts.clock)).run()
