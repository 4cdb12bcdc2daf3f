"""One run of libFuzzer, through atheris, from a corpus that code has made."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import atheris


def run(
    target: Callable[[bytes], None], seeds: Sequence[bytes], argv: Sequence[str], **setup: Any
) -> None:
    """Fuzz until the runs that `argv` asks for are over; ends the process."""
    with tempfile.TemporaryDirectory() as folder:
        for number, seed in enumerate(seeds):
            (Path(folder) / f"{number:03d}").write_bytes(seed)
        longest = max(map(len, seeds))
        options = [f"-max_len={2 * longest}", "-print_final_stats=1"]
        atheris.Setup([argv[0], *options, *argv[1:], folder], target, **setup)
        atheris.Fuzz()
