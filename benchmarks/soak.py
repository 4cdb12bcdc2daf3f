"""Does it last: hours of recording with random faults, session after session, memory and ledger.

The recorder's own process is measured; each session is sealed, verified, balanced against the
simulation's truth and removed by a process of its own (`soak_check.py`) meanwhile.

    python benchmarks/soak.py                        24 virtual hours, default load, faults
    python benchmarks/soak.py --load reference --virtual-hours 1 --session-minutes 5
    python benchmarks/soak.py --real-minutes 30 --session-minutes 2
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import numpy as np
from report import report, row

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.faults.hardware import (  # noqa: E402 - the tests' own failing hardware
    MOTION,
    SECOND_NS,
    THERMAL,
    Director,
    Event,
    Hardware,
)
from tests.faults.scenarios import for_a_while, suffer, unplugged  # noqa: E402
from wban_collect.assembly import Simulation, simulated_parts  # noqa: E402
from wban_collect.audience import Audience  # noqa: E402
from wban_collect.config import (  # noqa: E402
    REFERENCE_LOAD,
    Config,
    InfraredConfig,
    MotionConfig,
    ThermalConfig,
)
from wban_collect.plan import Request, make_plan  # noqa: E402
from wban_collect.recorder import Recorder  # noqa: E402
from wban_collect.simulation.people import one_activity  # noqa: E402

CHECK = Path(__file__).with_name("soak_check.py")
SEED = 1
START_NS = 1000 * SECOND_NS
UTC_NS = 1_767_225_600 * SECOND_NS
WARM_UP_SESSIONS = 3
MEMORY_LIMIT_MB = 5.0
OVERLAP_NS = 120 * SECOND_NS
"""Truth that is kept beyond a session's end: longer than any gap."""

DEFAULT = Config(
    motion=[MotionConfig()],
    thermal=[ThermalConfig(bus=3)],
    infrared=[
        InfraredConfig(capture_size=(64, 48), size=(32, 24), frame_rate_hz=2.0, rule="every 1 s")
    ],
)
"""The default load with a small picture a second; the slowest mode of the sensor makes two."""

LOADS = {
    "default": DEFAULT,
    "reference": msgspec.structs.replace(
        REFERENCE_LOAD, thermal=[ThermalConfig(bus=3, refresh_hz=16.0)]
    ),
}


@dataclass
class Soak:
    """A long recording, what it takes of the machine, and what its sessions say.

    Attributes
    ----------
    rss_mb, n_descriptors
        Of the recorder's process, after each session.
    """

    out: Path
    hardware: Hardware
    rss_mb: list[float] = field(default_factory=list)
    n_descriptors: list[int] = field(default_factory=list)
    checks: list[dict[str, object]] = field(default_factory=list)
    _child: subprocess.Popen[str] | None = None

    def close_session(self, folder: Path) -> None:
        """Hand a session to be checked; note how the process does."""
        self.finish()
        truth = self.out / f"{folder.name}.npz"
        streams = ("accel", "gyro", "thermal", "infrared")
        arrays = {}
        for name in streams:
            arrays[name], arrays[f"{name}_counting"] = self.hardware.truth(name)
        np.savez(truth, **arrays)
        newest_ns = int(arrays["accel"][-1])
        self._forget(newest_ns - OVERLAP_NS)
        del arrays
        command = [sys.executable, str(CHECK), str(folder), str(truth), str(self.out / "last.json")]
        self._child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # the truth's arrays, of an hour, are ours and not its
        self.rss_mb.append(_rss_mb())
        self.n_descriptors.append(len(list(Path("/proc/self/fd").iterdir())))
        print(f"{len(self.rss_mb)} sessions, {self.rss_mb[-1]:.1f} MB", file=sys.stderr, flush=True)

    def finish(self) -> None:
        """Wait for the check under way."""
        if self._child is not None:
            out, _ = self._child.communicate()
            if self._child.returncode:
                raise SystemExit(f"a session could not be checked: {out}")
            self.checks.append(json.loads(out))
            self._child = None

    def _forget(self, before_ns: int) -> None:
        self.hardware.chips[MOTION].forget_truth(before_ns)
        subpages = self.hardware.chips[THERMAL].subpages
        del subpages[: sum(subpage.end_ns < before_ns for subpage in subpages)]
        frames = self.hardware.camera.frame_truth
        del frames[: sum(middle_ns < before_ns for _, middle_ns in frames)]


def random_faults(duration_s: float, seed: int) -> list[Event]:
    """One fault about every ten minutes, each long over before the next."""
    rng = random.Random(seed)
    events: list[Event] = []
    begins_s = 120.0
    while begins_s < duration_s - 120:
        chip = rng.choice((MOTION, THERMAL))
        length_s = rng.uniform(2.0, 30.0)
        events += rng.choice(
            (
                for_a_while(chip, begins_s, begins_s + length_s, nack_probability=0.1),
                _stuck(chip, begins_s, length_s),
                unplugged(chip, begins_s, length_s),
                ((begins_s, lambda hardware: hardware.hold_up(MOTION, 3.0)),),
                ((begins_s, lambda hardware: hardware.camera.stall()),),
            )
        )
        begins_s += rng.uniform(400.0, 800.0)
    return events


def _stuck(chip: int, begins_s: float, length_s: float) -> Sequence[Event]:
    span = (0, round(length_s * SECOND_NS))
    return ((begins_s, suffer(chip, stuck_spans_ns=(span,))),)


def soak(
    config: Config, duration_s: float, session_s: float, out: Path, *, virtual: bool
) -> tuple[Soak, float]:
    """Record for so long; return what happened, and how long it took."""
    hardware = Hardware(start_ns=START_NS if virtual else time.monotonic_ns())
    simulation = Simulation(
        one_activity("walking", SEED),
        SEED,
        start_ns=START_NS if virtual else None,
        realtime_ns=UTC_NS,
        classes=hardware.classes(),
    )
    parts = simulated_parts(config, simulation)
    if virtual:
        director = Director(hardware, random_faults(duration_s, SEED))
        parts = replace(parts, own_workers=[*parts.own_workers, director])
    request = Request(
        "S01",
        "walking",
        out / "recordings",
        round(duration_s * 1e9),
        session_ns=round(session_s * 1e9),
        simulated=True,
        virtual=virtual,
        folder="session",
    )
    kept = Soak(out, hardware)
    begun_s = time.monotonic()
    recorder = Recorder(
        parts, make_plan(request, config, parts.clock), Audience(closed=kept.close_session)
    )
    recorder.run()
    kept.finish()
    return kept, time.monotonic() - begun_s


def _rss_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6


def rows_of(kept: Soak, title: str, took_s: float) -> list[dict[str, object]]:
    """Make the table."""
    warm = kept.rss_mb[min(WARM_UP_SESSIONS, len(kept.rss_mb)) - 1 :]
    growth_mb = max(warm) - warm[0]
    descriptors = kept.n_descriptors[min(WARM_UP_SESSIONS, len(kept.n_descriptors)) - 1 :]
    n_rows, n_missing, n_counted, n_undecided = (
        sum(int(check[key]) for check in kept.checks)  # type: ignore[call-overload]
        for key in ("n_recorded", "n_missing", "n_counted", "n_undecided")
    )
    wrong = [text for check in kept.checks for text in check["wrong"]]  # type: ignore[attr-defined]
    for text in wrong:
        print(text, file=sys.stderr)
    return [
        row(
            f"{title}: memory from session {WARM_UP_SESSIONS} to {len(kept.rss_mb)}",
            asked=f"growth under {MEMORY_LIMIT_MB:g} MB",
            measured=f"{growth_mb:.1f} MB over {warm[0]:.0f} MB",
            reached=growth_mb < MEMORY_LIMIT_MB,
            growth_mb=growth_mb,
            took_s=took_s,
        ),
        row(
            f"{title}: open descriptors",
            asked="flat",
            measured=f"{min(descriptors)} to {max(descriptors)}",
            reached=max(descriptors) - descriptors[0] <= 1,
        ),
        row(
            f"{title}: expected less recorded, against counted",
            asked="the same",
            measured=f"{n_rows} rows in {len(kept.checks)} sessions; {n_missing} missing, "
            f"{n_counted} counted, {n_undecided} undecided by the truth, {len(wrong)} wrong",
            reached=n_missing == n_counted and not wrong,
            n_recorded=n_rows,
            n_missing=n_missing,
            n_counted=n_counted,
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--load", choices=list(LOADS), default="default")
    parser.add_argument("--virtual-hours", type=float, default=24.0)
    parser.add_argument("--real-minutes", type=float, default=0.0)
    parser.add_argument("--session-minutes", type=float, default=60.0)
    asked = parser.parse_args()
    virtual = not asked.real_minutes
    duration_s = asked.real_minutes * 60 or asked.virtual_hours * 3600
    title = f"{asked.load} load, {duration_s / 3600:g} {'virtual' if virtual else 'real'} hours"
    with tempfile.TemporaryDirectory(prefix="wban-soak-") as folder:
        kept, took_s = soak(
            LOADS[asked.load], duration_s, asked.session_minutes * 60, Path(folder), virtual=virtual
        )
    name = f"soak-{asked.load}-{'virtual' if virtual else 'real'}"
    return 0 if report(name, rows_of(kept, title, took_s), None) else 1


if __name__ == "__main__":
    raise SystemExit(main())
