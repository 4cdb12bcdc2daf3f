"""Kill -9 the recorder 50 times at random moments, and look for every acknowledged record.

Runs tests/integration/test_killed.py with 50 kills; each is a real process recording in real time.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from report import json_path_argument, report, row

N_KILLS = 50
ROOT = Path(__file__).resolve().parent.parent
TESTS = "tests/integration/test_killed.py"


def main() -> int:
    json_path = json_path_argument(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.xml"
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                TESTS,
                f"--junit-xml={results}",
                "-o",
                "junit_family=xunit1",
            ],
            cwd=ROOT,
            env=os.environ | {"WBAN_KILLS": str(N_KILLS)},
            check=False,
        )
        # Written by pytest just now: no foreign XML.
        cases = list(ElementTree.parse(results).getroot().iter("testcase"))  # noqa: S314
    failed = [case.get("name") for case in cases if case.find("failure") is not None]
    missing: dict[str, float] = {}
    for case in cases:
        for entry in case.iter("property"):
            missing |= ast.literal_eval(entry.get("value", "{}"))
    longest = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in sorted(missing.items()))
    kept = "test_every_acknowledged_row_of_every_stream_is_sealed" not in failed
    rows = [
        row(
            f"{N_KILLS} kills -9 at random moments",
            asked="no acknowledged record lost; at most 1 s and one fsync besides",
            measured=("none lost" if kept else "acknowledged rows LOST")
            + f"; longest from the newest sample to the kill: {longest}",
            reached=done.returncode == 0,
            on_pi4="the same bound: the commit interval",
        )
    ]
    return 0 if report("kills", rows, json_path) else 1


if __name__ == "__main__":
    raise SystemExit(main())
