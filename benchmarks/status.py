"""How long `wban-collect status` takes from a cold start, asking a daemon that records.

Each start is a process of its own, in turn with one of `python -c pass`, so that both meet the same
machine. The daemon records simulated chips in real time meanwhile.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from report import PI4_SLOWDOWN, json_path_argument, report, row

N_STARTS = 20
LIMIT_MS = 300
BEGIN_S = 30
COLLECT = Path(sysconfig.get_path("scripts")) / "wban-collect"


@contextmanager
def recording(folder: Path) -> Generator[None]:
    """Run a daemon that records, whose socket WBAN_SOCKET names."""
    os.environ["XDG_RUNTIME_DIR"] = str(folder)
    os.environ["WBAN_SOCKET"] = str(folder / "control.sock")
    config = folder / "config.toml"
    config.write_text(f'[control]\nsocket = "{folder}/control.sock"\n'
                      f'live_socket = "{folder}/live.sock"\n')  # fmt: skip
    words = ["daemon", "--simulate", "--config", str(config), "--out", str(folder / "recordings")]
    with subprocess.Popen([COLLECT, *words], stderr=subprocess.DEVNULL) as daemon:
        try:
            _wait_for(folder / "control.sock")
            begin = ["start", "--subject", "S01", "--activity", "eating"]
            subprocess.run([COLLECT, *begin], check=True, stdout=subprocess.DEVNULL)
            yield
        finally:
            daemon.terminate()


def _wait_for(path: Path) -> None:
    begun_s = time.monotonic()
    while not path.exists():
        if time.monotonic() - begun_s > BEGIN_S:
            raise SystemExit(f"no daemon at {path} within {BEGIN_S} s")
        time.sleep(0.05)


def cold_ms(command: list[str]) -> float:
    """Time one process from its start to its end."""
    begun_s = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - begun_s) * 1000


def main() -> int:
    json_path = json_path_argument(__doc__)
    status = [str(COLLECT), "status"]
    nothing = [sys.executable, "-c", "pass"]
    with tempfile.TemporaryDirectory() as folder, recording(Path(folder)):
        pairs = [(cold_ms(status), cold_ms(nothing)) for _ in range(N_STARTS)]
    status_ms, nothing_ms = (statistics.median(times) for times in zip(*pairs, strict=True))
    slowest_ms = max(times[0] for times in pairs)
    rows = [
        row(
            "wban-collect status, from cold, of a daemon that records",
            asked=f"under {LIMIT_MS} ms",
            measured=f"median {status_ms:.0f} ms, slowest {slowest_ms:.0f} ms of {N_STARTS}",
            reached=status_ms < LIMIT_MS,
            on_pi4=f"about {status_ms * PI4_SLOWDOWN / 1000:.1f} s",
            median_ms=status_ms,
            slowest_ms=slowest_ms,
        ),
        row(
            "python -c pass, in turn with it",
            measured=f"median {nothing_ms:.0f} ms",
            on_pi4=f"about {nothing_ms * PI4_SLOWDOWN / 1000:.1f} s",
            median_ms=nothing_ms,
        ),
    ]
    return 0 if report("status", rows, json_path) else 1


if __name__ == "__main__":
    raise SystemExit(main())
