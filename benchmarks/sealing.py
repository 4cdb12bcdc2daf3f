"""How fast a session is sealed, reopening and comparing included, and in how much memory.

Journals are made as a recorder would: noisy pictures of a scene (noise of 2.5 grey levels, which
gzip can hardly press), the thermal sensor's example frames with noise, and motion in blocks of a
FIFO's watermark. Sealing runs as a child process, pinned to one core.

    python benchmarks/sealing.py [--json PATH] [--minutes-default 10] [--minutes-reference 5]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from report import PI4_SLOWDOWN, report, row

from wban_dataset.recording.journal import JournalWriter
from wban_dataset.recording.records import JournalItem, encode
from wban_dataset.recording.streams import (
    ClockAnchor,
    HealthSample,
    Label,
    Read,
    SampleBlock,
    SessionEnd,
    SessionHeader,
    StreamKind,
    StreamSpec,
)

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "tests" / "data" / "mlx90640" / "melexis_example.json"
GZIP_LEVELS = (1, 0, 4)
START_NS = 10**12
N_PICTURES = 61
WATERMARK = 16


@dataclass(frozen=True)
class Load:
    """What is recorded per second, and what is asked of sealing it."""

    name: str
    motion_hz: float
    thermal_hz: float
    frame_hz: float
    height: int
    width: int
    asked_times_real_time: float

    @property
    def specs(self) -> list[StreamSpec]:
        """Streams of the load."""
        words = np.array(json.loads(EXAMPLE.read_text("utf-8"))["eeprom"], dtype=np.uint16)
        fifo = {"watermark": WATERMARK}
        picture = (self.height, self.width)
        motion = ("<i2", (3,), "m s-2", self.motion_hz, "fifo")
        accel = _spec("accel", *motion, scale_factor=0.0024, attributes=fifo)
        gyro = _spec("gyro", *motion, scale_factor=0.001, attributes=fifo)
        thermal = _spec("thermal", "<u2", (834,), "degC", self.thermal_hz, "ready")
        return [
            accel,
            replace(gyro, units="rad s-1"),
            replace(thermal, calibration={"eeprom": words}),
            _spec("infrared", "|u1", picture, "1", self.frame_hz, "sensor"),
        ]


LOADS = (
    Load("default", 100.0, 8.0, 5.0, 120, 160, 100.0),
    Load("reference", 400.0, 16.0, 15.0, 240, 320, 20.0),
)


def _spec(
    kind: StreamKind,
    dtype: str,
    shape: tuple[int, ...],
    units: str,
    rate_hz: float,
    evidence: Any,
    **others: Any,
) -> StreamSpec:
    return StreamSpec(kind, kind, "chip", dtype, shape, units, rate_hz, evidence, **others)


class Recording:
    """Makes the items of a recording in order."""

    def __init__(self, load: Load, duration_s: float) -> None:
        self._load = load
        self._end_ns = START_NS + round(duration_s * 1e9)
        self._rng = np.random.default_rng(20261123)
        y, x = np.mgrid[: load.height, : load.width]
        scene = 90 + 50 * np.sin(x / 40.0) * np.cos(y / 30.0)
        noise = self._rng.normal(0, 2.5, (N_PICTURES, load.height, load.width))
        self._pictures = np.clip(scene + noise, 0, 255).astype(np.uint8)
        walk = self._rng.normal(0, 30, (4096, 3)).cumsum(axis=0)
        jitter = self._rng.normal(0, 4, (4096, 3))
        self._motion_counts = np.clip(walk + jitter, -32000, 32000).astype("<i2")
        self._frames = np.array(json.loads(EXAMPLE.read_text("utf-8"))["frames"], dtype=np.uint16)

    def items(self, gzip_level: int) -> list[JournalItem]:
        """All that is not a block; comes first."""
        header = SessionHeader(
            "01J00000000000000000000000", "boot", "S01", "eating", "bench", "0", START_NS, "",
            gzip_level=gzip_level,
        )  # fmt: skip
        anchors = [
            ClockAnchor(t, t, t + 10**18, synchronised=True, est_error_ns=1000)
            for t in range(START_NS, self._end_ns, 10**10)
        ]
        health = [HealthSample(a.monotonic_ns, 50.0, 0, 10**10, 0.3, 10**7) for a in anchors]
        return [header, *self._load.specs, Label(START_NS, 0, "eating"), *anchors, *health]

    def blocks(self) -> Iterator[SampleBlock]:
        """All blocks in the order in which they end."""
        load = self._load
        sources: list[tuple[float, Callable[[int, int], SampleBlock]]] = [
            (WATERMARK / load.motion_hz, partial(self._motion, "accel")),
            (WATERMARK / load.motion_hz, partial(self._motion, "gyro")),
            (1 / load.thermal_hz, self._thermal),
            (1 / load.frame_hz, self._infrared),
        ]
        numbers = [0] * len(sources)
        due = [START_NS + round(period_s * 1e9) for period_s, _ in sources]
        while (now_ns := min(due)) < self._end_ns:
            k = due.index(now_ns)
            period_s, source = sources[k]
            yield source(numbers[k], now_ns)
            numbers[k] += 1
            due[k] = START_NS + round((numbers[k] + 1) * period_s * 1e9)

    def _motion(self, name: str, i: int, now_ns: int) -> SampleBlock:
        late_ns = int(self._rng.integers(200_000, 1_500_000))
        read = Read(now_ns + late_ns - 200_000, now_ns + late_ns)
        at = i * WATERMARK % (len(self._motion_counts) - WATERMARK)
        return SampleBlock(name, i * WATERMARK, 0, self._motion_counts[at : at + WATERMARK], read)

    def _thermal(self, i: int, now_ns: int) -> SampleBlock:
        raw = self._frames[i & 1][None].copy()
        raw[0, :768] += self._rng.integers(0, 6, 768, dtype=np.uint16)
        polled_ns = now_ns + int(self._rng.integers(0, 5_000_000))
        columns = {"subpage": np.array([i & 1], dtype=np.uint8)}
        return SampleBlock("thermal", i, 0, raw, Read(polled_ns - 5_000_000, polled_ns), columns)

    def _infrared(self, i: int, now_ns: int) -> SampleBlock:
        columns: dict[str, NDArray[Any]] = {
            "exposure_ns": np.array([8_000_000], dtype="<i8"),
            "gain": np.array([2.0], dtype="<f4"),
            "illuminated": np.array([1], dtype="|u1"),
            "sensor_ns": np.array([now_ns - 20_000_000], dtype="<i8"),
            "frame_duration_ns": np.array([66_666_667], dtype="<i8"),
            "stamp_unc_ns": np.array([20_000], dtype="<i4"),
        }
        read = Read(now_ns - 20_000_000, now_ns, edge_ns=now_ns - 20_000_000)
        picture = self._pictures[i * 7 % N_PICTURES][None]
        return SampleBlock("infrared", i, 0, picture, read, columns)


def write_journal(folder: Path, load: Load, duration_s: float, gzip_level: int) -> int:
    """Write the journal of a recording; return its bytes."""
    recording = Recording(load, duration_s)
    folder.mkdir()
    with JournalWriter(folder / "journal", b"b" * 16, sync=lambda _fd: None) as journal:
        for item in recording.items(gzip_level):
            journal.append(*encode(item), START_NS)
        now_ns = START_NS
        for block in recording.blocks():
            now_ns = block.read.read_end_ns
            journal.append(*encode(block), now_ns)
        journal.append(*encode(SessionEnd(now_ns, "duration reached", {})), now_ns)
    return sum(path.stat().st_size for path in (folder / "journal").iterdir())


def measure(load: Load, minutes: float, gzip_level: int, scratch: Path) -> dict[str, Any]:
    """Seal one recording in a child process on one core, and say what it took."""
    folder = scratch / f"{load.name}-{gzip_level}"
    journal_bytes = write_journal(folder, load, minutes * 60, gzip_level)
    os.sync()
    command = [sys.executable, "-m", "wban_dataset.recording.sealing", str(folder)]
    started_s = time.perf_counter()
    child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, preexec_fn=_one_core)
    _, status, usage = os.wait4(child.pid, 0)
    wall_s = time.perf_counter() - started_s
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise SystemExit(f"sealing {folder} ended with {child.returncode}")
    file_bytes = (folder / "session.h5").stat().st_size
    shutil.rmtree(folder)
    return {
        "wall_s": wall_s,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_rss_mb": usage.ru_maxrss / 1024,
        "journal_bytes": journal_bytes,
        "file_bytes": file_bytes,
        "times_real_time": minutes * 60 / wall_s,
    }


def _one_core() -> None:
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def line(load: Load, minutes: float, gzip_level: int, found: dict[str, Any]) -> dict[str, Any]:
    """One line of the table."""
    times = found["times_real_time"]
    is_asked = gzip_level == GZIP_LEVELS[0]
    size = found["file_bytes"] / found["journal_bytes"]
    memory_mb = found["peak_rss_mb"]
    return row(
        f"{load.name} load, gzip {gzip_level}, {minutes:g} min",
        asked=f">= {load.asked_times_real_time:g} x, < 200 MB" if is_asked else "",
        measured=f"{times:.0f} x real time, {memory_mb:.0f} MB, file {size:.2f} of the journal",
        reached=times >= load.asked_times_real_time and memory_mb < 200 if is_asked else None,
        on_pi4=f"about {times / PI4_SLOWDOWN:.0f} x",
        **found,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="PATH")
    parser.add_argument("--minutes-default", type=float, default=10.0)
    parser.add_argument("--minutes-reference", type=float, default=5.0)
    parser.add_argument("--scratch", type=Path, help="on the disk to measure")
    arguments = parser.parse_args()
    minutes = {"default": arguments.minutes_default, "reference": arguments.minutes_reference}
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        for load in LOADS:
            for level in GZIP_LEVELS:
                found = measure(load, minutes[load.name], level, Path(scratch))
                rows.append(line(load, minutes[load.name], level, found))
    return 0 if report("sealing", rows, arguments.json) else 1


if __name__ == "__main__":
    sys.exit(main())
