"""Coverage-guided fuzzing of the control messages.

python tests/fuzz/fuzz_messages.py -runs=1000000
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]


def main() -> None:
    """Fuzz as the command line says."""
    sys.path.insert(0, str(ROOT))
    with atheris.instrument_imports(include=["wban_collect", "wban_dataset.recording.activities"]):
        from tests.fuzz import message_target
    from tests.fuzz.campaign import run
    from tests.fuzz.corpus import message_seeds

    run(
        message_target.Ear().check,
        message_seeds(),
        sys.argv,
        custom_mutator=lambda data, size, seed: message_target.mutated(
            data, size, seed, atheris.Mutate
        ),
    )


if __name__ == "__main__":
    main()
