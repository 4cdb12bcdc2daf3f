"""How fast a study is simulated: the default load in virtual time, sealing included."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from report import json_path_argument, report, row

from wban_collect.config import DEFAULT_LOAD
from wban_collect.study import StudyPlan, simulate_study
from wban_dataset.recording.activities import PAPER_ABSTRACT

N_SUBJECTS = 4
MINUTES = 5.0


def speed(n_workers: int) -> float:
    """Measure the recorded time over the time that it took."""
    with tempfile.TemporaryDirectory() as folder:
        plan = StudyPlan(
            DEFAULT_LOAD, PAPER_ABSTRACT, N_SUBJECTS, 60 * MINUTES, Path(folder), seed=1
        )
        begun_s = time.monotonic()
        sessions = list(simulate_study(plan, n_workers))
        elapsed_s = time.monotonic() - begun_s
    return len(sessions) * 60 * MINUTES / elapsed_s


def main() -> int:
    json_path = json_path_argument(__doc__)
    one, two = speed(1), speed(2)
    rows = [
        row(
            "simulate-study, 2 processes",
            asked="20 times real time",
            measured=f"{two:.0f} times real time",
            reached=two >= 20,
            on_pi4=f"about {two / 8 * 2:.0f} times on its four cores",
            times_real_time=two,
        ),
        row(
            "simulate-study, 1 process",
            measured=f"{one:.0f} times real time",
            on_pi4=f"about {one / 8:.0f} times",
            times_real_time=one,
        ),
    ]
    return 0 if report("study", rows, json_path) else 1


if __name__ == "__main__":
    raise SystemExit(main())
