"""How soon a daemon that records by itself has samples on the disk, and how soon it stops.

From the start of the process to the line that says that rows are fsynced; simulated chips in real
time, without a camera, whose software takes what it takes. Then a long recording is stopped, and
another one by SIGTERM.
"""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

from report import PI4_SLOWDOWN, json_path_argument, report, row

N_STARTS = 5
START_LIMIT_S, STOP_LIMIT_S = 3.0, 2.0
COLLECT = Path(sysconfig.get_path("scripts")) / "wban-collect"
CONFIG = """
[unattended]
enabled = true
subject = "S01"
activity = "eating"
[[motion]]
[[thermal]]
"""


def first_rows_s(file: Path, daemon: subprocess.Popen[bytes], begun_s: float) -> float:
    """Wait until the daemon says that rows are on the disk."""
    while daemon.poll() is None:
        if file.exists():
            lines = [json.loads(line) for line in file.read_text().splitlines()]
            if any(line["rows"].get("accel") for line in lines):
                return time.perf_counter() - begun_s
        time.sleep(0.005)
    raise SystemExit("the daemon ended")


def run_once(folder: Path) -> tuple[float, float, float]:
    """Start, stop by command, end by signal; the seconds that each took."""
    config, acknowledged = folder / "config.toml", folder / "acknowledged"
    config.write_text(CONFIG)
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
    options = ["--config", config, "--out", folder / "out", "--acknowledge", acknowledged]
    begun_s = time.perf_counter()
    daemon = subprocess.Popen([COLLECT, "daemon", "--simulate", *options], env=environment)
    started_s = first_rows_s(acknowledged, daemon, begun_s)
    begun_s = time.perf_counter()
    subprocess.run([COLLECT, "stop"], env=environment, check=True, stdout=subprocess.DEVNULL)
    stopped_s = time.perf_counter() - begun_s
    again = ["start", "--subject", "S01", "--activity", "eating"]
    subprocess.run([COLLECT, *again], env=environment, check=True, stdout=subprocess.DEVNULL)
    begun_s = time.perf_counter()
    daemon.send_signal(signal.SIGTERM)
    daemon.wait()
    return started_s, stopped_s, time.perf_counter() - begun_s


def main() -> int:
    json_path = json_path_argument(__doc__)
    times: list[tuple[float, float, float]] = []
    for _ in range(N_STARTS):
        with tempfile.TemporaryDirectory() as folder:
            times.append(run_once(Path(folder)))
    starts_s, stops_s, ends_s = zip(*times, strict=True)
    rows = [
        _row("daemon's start to the first fsynced sample", starts_s, START_LIMIT_S),
        _row("`wban-collect stop`", stops_s, STOP_LIMIT_S),
        _row("SIGTERM to the end of the process, while recording", ends_s, STOP_LIMIT_S),
    ]
    return 0 if report("daemon", rows, json_path) else 1


def _row(what: str, seconds: tuple[float, ...], limit_s: float) -> dict[str, object]:
    median_s, slowest_s = statistics.median(seconds), max(seconds)
    return row(
        what,
        asked=f"under {limit_s:g} s",
        measured=f"median {median_s:.2f} s, slowest {slowest_s:.2f} s of {len(seconds)}",
        reached=slowest_s < limit_s,
        on_pi4=f"about {median_s * PI4_SLOWDOWN:.0f} s if all of it were Python",
        median_s=median_s,
        slowest_s=slowest_s,
    )


if __name__ == "__main__":
    raise SystemExit(main())
