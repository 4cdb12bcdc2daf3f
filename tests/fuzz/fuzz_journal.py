"""Coverage-guided fuzzing of the journal's reader and of what its records mean.

python tests/fuzz/fuzz_journal.py -runs=200000
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

with atheris.instrument_imports(include=["wban_dataset.recording"]):
    from wban_dataset.recording import framing, journal_index, journal_reader, records  # noqa: F401

from tests.fuzz.corpus import journal_seeds
from tests.fuzz.journal_target import check_segment, mutated
from tests.fuzz.campaign import run

if __name__ == "__main__":
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:  # noqa: S108 - memory, for speed
        directory = Path(folder) / "journal"
        run(
            lambda content: check_segment(directory, content),
            journal_seeds(),
            sys.argv,
            custom_mutator=lambda data, size, seed: mutated(data, size, seed, atheris.Mutate),
        )
