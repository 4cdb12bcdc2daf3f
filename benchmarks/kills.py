"""Kill the recorder at random moments, and look for every record that it had acknowledged.

Recorders that are forked from a process that has everything loaded record in real time with all
their threads, begin a new session every second and a half, and are killed with -9 within three
seconds (`tests/faults/victims.py`). Some more are killed by the kernel for want of memory. Fifty
are whole processes of the command ``wban-collect start`` (`tests/integration/test_killed.py`).

    python benchmarks/kills.py --runs 1000      as docs/reliability.md states it
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from report import report, row

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.faults import oom  # noqa: E402 - the tests' own victims
from tests.faults.victims import Fate, KillerFactory, kill_many, sigkill  # noqa: E402

COMMANDS = "tests/integration/test_killed.py"
N_COMMANDS = 50
ASKED = "no acknowledged record lost; at most 1 s and one fsync besides, and what chips still held"


def forked(n_runs: int, at_once: int, title: str, killer: KillerFactory) -> dict[str, Any]:
    """Kill so many forked recorders."""
    begun_s = time.monotonic()
    fates: list[Fate] = []
    for fate in kill_many(n_runs, at_once=at_once, killer=killer):
        fates.append(fate)
        if len(fates) % 50 == 0:
            print(f"{len(fates)} of {n_runs}: {title}", file=sys.stderr, flush=True)
    for fate in fates:
        if fate.n_lost or fate.problems or fate.beyond_limit():
            print(fate, file=sys.stderr)
    return row_of(title, fates, time.monotonic() - begun_s)


def row_of(title: str, fates: Sequence[Fate], took_s: float) -> dict[str, Any]:
    """Sum the fates up."""
    n_lost = sum(fate.n_lost for fate in fates)
    n_beyond = sum(bool(fate.beyond_limit()) for fate in fates)
    n_problems = sum(len(fate.problems) for fate in fates)
    tails_s: dict[str, float] = {}
    for fate in fates:
        for stream, tail_s in fate.tail_s.items():
            tails_s[stream] = max(tails_s.get(stream, 0.0), tail_s)
    n_acknowledged = sum(fate.n_acknowledged for fate in fates)
    longest = ", ".join(f"{name} {tail_s:.2f} s" for name, tail_s in sorted(tails_s.items()))
    return row(
        f"{len(fates)} {title}",
        asked=ASKED,
        measured=f"{n_lost} of {n_acknowledged} acknowledged rows lost in "
        f"{sum(fate.n_sessions for fate in fates)} sessions; longest from the newest sample to the "
        f"kill: {longest}; {n_beyond} beyond the limit",
        reached=not (n_lost or n_beyond or n_problems),
        on_pi4="the same bound: the commit interval",
        n_kills=len(fates),
        n_sessions=sum(fate.n_sessions for fate in fates),
        n_acknowledged=n_acknowledged,
        n_lost=n_lost,
        n_beyond_limit=n_beyond,
        longest_tail_s=max(tails_s.values(), default=0.0),
        longest_fsync_s=max((fate.longest_fsync_s for fate in fates), default=0.0),
        took_s=took_s,
    )


def commands() -> dict[str, Any]:
    """Kill the command itself, as a user starts it."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", COMMANDS],
        cwd=ROOT,
        env=os.environ | {"WBAN_KILLS": str(N_COMMANDS)},
        check=False,
    )
    return row(
        f"{N_COMMANDS} kills -9 of the command 'start'",
        asked=ASKED,
        measured="kept" if done.returncode == 0 else "NOT kept",
        reached=done.returncode == 0,
        on_pi4="the same bound: the commit interval",
        n_kills=N_COMMANDS,
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=200, help="forked recorders to kill with -9")
    parser.add_argument("--oom", type=int, default=30, help="recorders that the kernel kills")
    parser.add_argument("--at-once", type=int, default=4)
    parser.add_argument("--json", type=Path, metavar="PATH", help="where the JSON file goes")
    asked = parser.parse_args()
    rows = [forked(asked.runs, asked.at_once, "kills -9 at random moments", sigkill)]
    if asked.oom and not oom.unavailable():
        title = "kills by the kernel, out of memory"
        rows.append(forked(asked.oom, asked.at_once, title, oom.oom_killer))
    rows.append(commands())
    return 0 if report("kills", rows, asked.json) else 1


if __name__ == "__main__":
    raise SystemExit(main())
