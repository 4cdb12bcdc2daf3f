"""Runs every check in parts, says how long each took, and fails if one fails.

Usage: python tests/run_all.py [PART ...]
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SCRIPTS = Path(sysconfig.get_path("scripts"))
PYTEST = [sys.executable, "-m", "pytest", "-q", "--durations=5"]

PARTS: dict[str, list[str]] = {
    "lint": [str(SCRIPTS / "ruff"), "check", "."],
    "format": [str(SCRIPTS / "ruff"), "format", "--check", "."],
    "types": [str(SCRIPTS / "pyright")],
    "contracts": [str(SCRIPTS / "lint-imports")],
    "unit": [*PYTEST, "-n", "2", "tests/unit", "tests/contract"],
    "integration": [*PYTEST, "-n", "2", "tests/integration"],
    "faults": [*PYTEST, "-n", "2", "--dist", "loadscope", "tests/faults"],
    "fuzz": [*PYTEST, "-n", "2", "tests/fuzz"],
    "system": [*PYTEST, "tests/system", "--ignore=tests/system/vm"],
    "machine": [*PYTEST, "tests/system/vm"],
}

ONLY_WHEN_NAMED = ("machine",)
"""Takes a quarter of an hour; 'make system-test' runs it."""


HANGS_AFTER_S = 1500
"""A part that takes longer hangs; it is ended, so that nobody waits for ever."""


def passes(command: list[str]) -> bool:
    """Run a part."""
    try:
        return not subprocess.run(command, cwd=ROOT, check=False, timeout=HANGS_AFTER_S).returncode
    except subprocess.TimeoutExpired:
        print(f"it hangs: ended after {HANGS_AFTER_S} s")
        return False


def main(names: list[str]) -> int:
    """Run the named parts, or all quick ones; the exit code is the number of parts that failed."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"unknown part {unknown[0]!r}, expected one of {', '.join(PARTS)}")
        return 2
    took_s: dict[str, float] = {}
    failed: list[str] = []
    for name in names or [part for part in PARTS if part not in ONLY_WHEN_NAMED]:
        print(f"\n=== {name}", flush=True)
        start_s = time.monotonic()
        if not passes(PARTS[name]):
            failed.append(name)
        took_s[name] = time.monotonic() - start_s
    print()
    for name, seconds in took_s.items():
        print(f"{name:12} {seconds:7.1f} s  {'FAILED' if name in failed else 'passed'}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
