"""Coverage-guided fuzzing of the journal's reader, and of the session that is read from it.

python tests/fuzz/fuzz_journal.py -runs=200000
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
IN_MEMORY = Path("/dev/shm")  # noqa: S108 - files that nobody else reads, for speed


def main() -> None:
    """Fuzz as the command line says."""
    sys.path.insert(0, str(ROOT))
    with atheris.instrument_imports(include=["wban_dataset.recording"]):
        from tests.fuzz import journal_target
    from tests.fuzz.campaign import run
    from tests.fuzz.corpus import journal_seeds

    where = IN_MEMORY if IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(dir=where) as folder:
        run(
            lambda content: journal_target.check_segment(Path(folder), content),
            journal_seeds(),
            sys.argv,
            custom_mutator=lambda data, size, seed: journal_target.mutated(
                data, size, seed, atheris.Mutate
            ),
        )


if __name__ == "__main__":
    main()
