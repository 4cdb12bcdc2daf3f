"""CPU and wall time of importing HAPT whole, by part and by number of workers.

python benchmarks/import_sources.py FOLDER_OF_HAPT [--out results/import_sources.json]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from wban_dataset.sources import hapt
from wban_dataset.sources.imported import write_session


def cpu_s(who: int = resource.RUSAGE_SELF) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def by_part(folder: Path) -> dict[str, float]:
    """CPU seconds of one process for decompressing, parsing, and writing sealed sessions."""
    seconds = {"decompress": 0.0, "parse": 0.0, "write": 0.0}
    with tempfile.TemporaryDirectory() as out:
        last_s = cpu_s()

        def note(part: str) -> None:
            nonlocal last_s
            now_s = cpu_s()
            seconds[part] += now_s - last_s
            last_s = now_s

        with hapt.opened_recordings(folder) as (n_sessions, texts):
            note("decompress")
            for text in texts:
                note("decompress")
                session = hapt.session_of(text)
                note("parse")
                write_session(session, Path(out))
                note("write")
    return {**seconds, "write_ms_per_session": seconds["write"] / n_sessions * 1e3}


def command(folder: Path, n_workers: int) -> dict[str, float]:
    """Wall and CPU seconds of the command as a user runs it, and the bytes that it makes."""
    with tempfile.TemporaryDirectory() as out:
        arguments = ["import", "hapt", str(folder), "--out", out, "--workers", str(n_workers)]
        before_s, started_s = cpu_s(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(
            [Path(sys.executable).with_name("wban-dataset"), *arguments],
            check=True,
            capture_output=True,
        )
        return {
            "wall_s": time.perf_counter() - started_s,
            # The workers' as well: each is waited for by the process that started it.
            "cpu_s": cpu_s(resource.RUSAGE_CHILDREN) - before_s,
            "bytes": float(sum(file.stat().st_size for file in Path(out).rglob("*.h5"))),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    found = {
        "cores": os.cpu_count(),
        "load_before": os.getloadavg()[0],
        "cpu_s_by_part": by_part(arguments.folder),
        "workers": {n: command(arguments.folder, n) for n in (1, 2)},
    }
    for part, value in found["cpu_s_by_part"].items():
        print(f"{part:>22} {value:8.2f}")
    for n, row in found["workers"].items():
        print(f"{n} workers: {row['wall_s']:.1f} s wall, {row['cpu_s']:.1f} s CPU")
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
