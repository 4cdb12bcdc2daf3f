"""Fuzzing, for longer than CI does it: configuration, journal, session file, control messages.

python benchmarks/fuzz.py                           about a quarter of an hour
python tests/fuzz/fuzz_journal.py -runs=200000      one of its parts by hand
"""

from __future__ import annotations

import argparse
import os
import random
import re
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from report import report, row

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.fuzz.damage import BLOCK_BYTES, Damage, damaged  # noqa: E402 - the tests' own tools
from tests.fuzz.examiner import Examiner  # noqa: E402
from tests.integration import session_journal as made  # noqa: E402
from wban_dataset.recording.errors import SessionError  # noqa: E402
from wban_dataset.recording.probe import probe  # noqa: E402
from wban_dataset.recording.sealing import seal  # noqa: E402

FUZZERS = ROOT / "tests" / "fuzz"
SEED = 1
Row = dict[str, Any]


def guided(script: str, what: str, n_runs: int) -> Row:
    """Run a coverage-guided fuzzer."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(FUZZERS / script), f"-runs={n_runs}", f"-seed={SEED}"]
        done = subprocess.run(
            [*command, f"-artifact_prefix={folder}/"],
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )
    found = re.search(rf"#{n_runs}\s+DONE\s+cov: (\d+) ft: (\d+) corp: (\d+)", done.stderr)
    inited = re.search(r"INITED cov: (\d+)", done.stderr)
    if found is None or inited is None:
        print(done.stderr[-4000:], file=sys.stderr)
        return row(f"{what}, coverage-guided", asked="no failure", measured="FAILED", reached=False)
    edges, features, n_inputs = map(int, found.groups())
    return row(
        f"{what}, coverage-guided (atheris)",
        asked="no failure",
        measured=f"{n_runs:,} executions, none failed; {edges} edges of our Python code covered "
        f"(the seeds alone: {inited[1]}), {features} features, {n_inputs} inputs kept",
        reached=done.returncode == 0,
        n_runs=n_runs,
        edges=edges,
    )


def properties(factor: int) -> Row:
    """Run the tests that hypothesis draws the input of."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", str(FUZZERS), "--hypothesis-show-statistics"),
            *("--deselect", "tests/fuzz/test_coverage_guided.py"),
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env=os.environ | {"WBAN_FUZZ_FACTOR": str(factor)},
    )
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
    counts = re.findall(r"(\d+) passing, (\d+) failing", done.stdout)
    n_examples = sum(int(passing) for passing, _ in counts)
    n_failing = sum(int(failing) for _, failing in counts)
    return row(
        "configuration, journal, session file, messages (hypothesis)",
        asked="no failure",
        measured=f"{n_examples:,} examples, {n_failing} failed",
        reached=done.returncode == 0 and n_examples > 0,
        n_runs=n_examples,
    )


def session_files(n_files: int) -> Row:
    """Damage a sealed session file in so many ways, and open, verify and read each."""
    chance = random.Random(SEED)
    outcomes: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name, Examiner() as examiner:
        session = made.write_journal(Path(name) / "whole", made.whole_session(1))
        seal(session)
        content = (session / "session.h5").read_bytes()
        whole = examiner.examine(session / "session.h5").values
        path = Path(name) / "session.h5"
        for _ in range(n_files):
            path.write_bytes(damaged(content, [_damage(content, chance)]))
            found = examiner.examine(path)
            if found.died_of:
                outcomes[_as_the_command_sees(path)] += 1
            elif found.refusal:
                outcomes["refused in a sentence"] += 1
            elif found.problems:
                outcomes["reported by verify"] += 1
            else:
                outcomes["as before" if found.values == whole else "WRONG"] += 1
    told = ", ".join(f"{n} {outcome}" for outcome, n in outcomes.most_common())
    return row(
        f"{n_files} damaged session files: a bit, a zeroed, overwritten or misplaced block",
        asked="no wrong value unnoticed",
        measured=told,
        reached=outcomes["WRONG"] == 0,
        n_runs=n_files,
        n_wrong=outcomes["WRONG"],
    )


def _as_the_command_sees(path: Path) -> str:
    """Say what becomes of a file that ends a process inside libhdf5."""
    try:
        probe(path)
    except SessionError:
        return "ended a process inside libhdf5 (the commands refuse them in a sentence)"
    return "ended a process inside libhdf5, which the commands do NOT foresee"


def _damage(content: bytes, chance: random.Random) -> Damage:
    """Draw one thing that happened to a file; half of them are single bits."""
    start = chance.randrange(len(content))
    match chance.randrange(6):
        case 0:
            return Damage(start, bytes(chance.randint(1, BLOCK_BYTES)))
        case 1:
            return Damage(start, chance.randbytes(chance.randint(1, 64)))
        case 2:
            other = chance.randrange(len(content))
            return Damage(start - start % BLOCK_BYTES, content[other : other + BLOCK_BYTES])
        case _:
            return Damage(start, bytes([content[start] ^ 1 << chance.randrange(8)]))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--journal-runs", type=int, default=200_000)
    parser.add_argument("--message-runs", type=int, default=1_000_000)
    parser.add_argument("--factor", type=int, default=10, help="times the examples that CI draws")
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--json", type=Path, metavar="PATH", help="where the JSON file goes")
    asked = parser.parse_args()
    rows = [
        guided("fuzz_journal.py", "journal", asked.journal_runs),
        guided("fuzz_messages.py", "control messages", asked.message_runs),
        properties(asked.factor),
        session_files(asked.files),
    ]
    return 0 if report("fuzz", rows, asked.json) else 1


if __name__ == "__main__":
    raise SystemExit(main())
