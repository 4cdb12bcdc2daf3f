"""From sessions to a dataset: time, processes, memory, and what lies between text and arrays.

    python benchmarks/build.py --hapt ../shared/data/hapt --study DIR [--reference DIR]
        [--work DIR] [--hours 16] [--json PATH]

``--study`` is what ``wban-collect simulate-study`` made at the default load, ``--reference`` at the
reference load; either is left out where its option is. Many sessions are made of a few: a copy has
its own subject and id, its pictures in another order, its motion and heat with other noise, so that
none is taken for another's copy. Each figure is taken in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from report import report, row

HAPT_MOST_S = 10.0
TEXT_MOST_CPU_S = 8.0
LEAST_SPEEDUP = 1.6
MOST_GROWTH = 1.2
LEAST_TIMES_REAL_TIME = 300.0
LEAST_OF_PLAIN_READ = 0.7
N_SUBJECTS = 8

BUILD = """
import json, resource, sys, time
from wban_dataset import build
if __name__ == "__main__":
    stages = {}
    def note(stage, done, total):
        stages.setdefault(stage, [time.perf_counter(), 0])[1] = time.perf_counter()
    begun = time.perf_counter()
    report = build(sys.argv[1], sys.argv[2], workers=int(sys.argv[3]), progress=note)
    wall_s = time.perf_counter() - begun
    used = resource.getrusage(resource.RUSAGE_SELF)  # of all that is done, with one worker
    print(json.dumps({
        "wall_s": wall_s,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss / 1024,
        "converting_s": stages["converting"][1] - stages["converting"][0],
        "n_windows": report.n_windows,
        "n_sessions": report.n_sessions,
    }))
"""

ARRAYS = """
import sys
from wban_dataset import load_dataset
with load_dataset(sys.argv[1]) as dataset:
    found = dataset.arrays(dataset.folds[0].name, "train", normalise="train")
    print(sum(values.nbytes for values in found.data.values()))
"""


def main() -> None:
    options = _options()
    options.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=options.work) as name:
        work = Path(name)
        rows: list[dict[str, Any]] = []
        if options.hapt:
            rows += hapt_rows(options.hapt, work)
        if options.study:
            rows += real_time_rows(options.study, work)
            rows += worker_rows(options.study, options.hours, work)
            rows += memory_rows(options.study, work)
        if options.reference:
            rows += reference_rows(options.reference, work)
    sys.exit(0 if report("build", rows, options.json) else 1)


def hapt_rows(hapt: Path, work: Path) -> list[dict[str, Any]]:
    """Import, build, and read one fold of HAPT."""
    sessions, out = work / "hapt", work / "hapt-dataset"
    imported_s = cpu_of([*_wban(), "import", "hapt", str(hapt), "--out", str(sessions)])
    built = build(sessions, out, 1)
    arrays_s = cpu_of([sys.executable, "-c", ARRAYS, str(out)])
    total_s = imported_s + built["cpu_s"] + arrays_s
    twice = build(sessions, work / "hapt-two", 2)
    return [
        row(
            f"HAPT whole, 1 s windows, 60 % overlap, LOSO ({built['n_windows']} windows)",
            asked=f"< {HAPT_MOST_S:g} s with 2 workers",
            measured=f"{twice['wall_s']:.1f} s (1 worker: {built['wall_s']:.1f} s)",
            reached=twice["wall_s"] < HAPT_MOST_S,
            two_workers_s=twice["wall_s"],
            one_worker_s=built["wall_s"],
        ),
        row(
            "HAPT as text to one normalised fold's arrays",
            asked=f"< {TEXT_MOST_CPU_S:g} CPU s",
            measured=f"{total_s:.1f} CPU s (import {imported_s:.1f}, build {built['cpu_s']:.1f}, "
            f"arrays {arrays_s:.1f})",
            reached=total_s < TEXT_MOST_CPU_S,
            import_cpu_s=imported_s,
            build_cpu_s=built["cpu_s"],
            arrays_cpu_s=arrays_s,
        ),
    ]


def real_time_rows(study: Path, work: Path) -> list[dict[str, Any]]:
    """How much faster than real time one core builds sessions at the default load."""
    length_s = sum(duration_s(folder) for folder in folders(study))
    built = build(study, work / "real-time", 1)
    times = length_s / built["cpu_s"]
    return [
        row(
            f"multimodal sessions, default load ({length_s / 60:.0f} min), per core",
            asked=f">= {LEAST_TIMES_REAL_TIME:g} x real time",
            measured=f"{times:.0f} x",
            reached=times >= LEAST_TIMES_REAL_TIME,
            times_real_time=times,
        )
    ]


def worker_rows(study: Path, hours: float, work: Path) -> list[dict[str, Any]]:
    """Speed from 1 to 2 workers on a study of many sessions."""
    bases = folders(study)
    n = max(2, round(hours * 3600 / duration_s(bases[0])))
    many = varied_copies(bases, n, work / "many")
    one = build(many, work / "one", 1)
    shutil.rmtree(work / "one")
    two = build(many, work / "two", 2)
    shutil.rmtree(work / "two")
    shutil.rmtree(many)
    speedup = one["wall_s"] / two["wall_s"]
    serial_s = one["wall_s"] - one["converting_s"]
    return [
        row(
            f"1 to 2 workers, {n} sessions, {hours:g} h",
            asked=f">= {LEAST_SPEEDUP:g} where one needs 60 s",
            measured=f"{speedup:.2f} ({one['wall_s']:.1f} s to {two['wall_s']:.1f} s; before and "
            f"after the workers {serial_s:.1f} s)",
            reached=speedup >= LEAST_SPEEDUP,
            speedup=speedup,
            one_worker_s=one["wall_s"],
            two_workers_s=two["wall_s"],
            single_process_part_s=serial_s,
        )
    ]


def memory_rows(study: Path, work: Path) -> list[dict[str, Any]]:
    """Peak memory at ten times the input, all in one process."""
    bases = folders(study)
    peaks: list[dict[str, Any]] = []
    for n in (N_SUBJECTS, 10 * N_SUBJECTS):
        sessions = varied_copies(bases, n, work / f"memory-{n}")
        peaks.append(build(sessions, work / f"out-{n}", 1))
        shutil.rmtree(sessions)
        shutil.rmtree(work / f"out-{n}")
    small, large = (peak["peak_mb"] for peak in peaks)
    return [
        row(
            f"peak memory, {N_SUBJECTS} and {10 * N_SUBJECTS} sessions",
            asked=f"the same within {100 * (MOST_GROWTH - 1):.0f} %",
            measured=f"{small:.0f} MB and {large:.0f} MB",
            reached=large <= MOST_GROWTH * small,
            small_mb=small,
            large_mb=large,
        )
    ]


def reference_rows(reference: Path, work: Path) -> list[dict[str, Any]]:
    """Compare building at the reference load with reading the same chunks and nothing else."""
    sessions = varied_copies(folders(reference), 2, work / "reference")
    files = [folder / "session.h5" for folder in folders(sessions)]
    built = min(
        (build(sessions, work / f"built-{i}", 1) for i in range(2)), key=lambda b: b["cpu_s"]
    )
    read_s = min(plain_read_s(files) for _ in range(2))
    start_s = cpu_of([sys.executable, "-c", "import wban_dataset.dataset.building"])
    share = read_s / (built["cpu_s"] - start_s)
    return [
        row(
            "reference load, beside a plain h5py read of the same chunks",
            asked=f">= {100 * LEAST_OF_PLAIN_READ:.0f} % of its speed",
            measured=f"{100 * share:.0f} % (read {read_s:.2f} CPU s, build "
            f"{built['cpu_s'] - start_s:.2f} CPU s without starting Python)",
            reached=share >= LEAST_OF_PLAIN_READ,
            share=share,
            read_cpu_s=read_s,
            build_cpu_s=built["cpu_s"],
        )
    ]


def plain_read_s(files: Sequence[Path]) -> float:
    """CPU seconds of reading ``data`` of all streams, chunk by chunk."""
    begun = time.process_time()
    for path in files:
        with h5py.File(path, "r") as file:
            for group in file.values():
                if "kind" in group.attrs:
                    data = group["data"]
                    step = data.chunks[0] if data.chunks else 1
                    for start in range(0, len(data), step):
                        _ = data[start : start + step]
    return time.process_time() - begun


def build(sessions: Path, out: Path, n_workers: int) -> dict[str, Any]:
    """Build in a process of its own; give what it took."""
    script = out.with_name(f"{out.name}.py")
    script.write_text(BUILD, encoding="utf-8")
    words = [sys.executable, str(script), str(sessions), str(out), str(n_workers)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout)


def cpu_of(words: Sequence[str]) -> float:
    """CPU seconds of a command with all its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def folders(study: Path) -> list[Path]:
    return sorted(path.parent for path in study.glob("*/session.h5"))


def duration_s(folder: Path) -> float:
    with h5py.File(folder / "session.h5", "r") as file:
        stamps = file["accel/monotonic_ns"]
        return (int(stamps[-1]) - int(stamps[0])) / 1e9


def varied_copies(bases: Sequence[Path], n: int, out: Path) -> Path:
    """Make n sessions of a few, none of which is another's copy."""
    for number in range(n):
        folder = out / f"{number:04d}"
        folder.mkdir(parents=True)
        shutil.copyfile(bases[number % len(bases)] / "session.h5", folder / "session.h5")
        with h5py.File(folder / "session.h5", "r+") as file:
            _vary(file, number)
    return out


def _vary(file: h5py.File, number: int) -> None:
    rng = np.random.default_rng(number)
    file.attrs["session_id"] = f"{number:026d}"
    file.attrs["subject"] = f"S{number % N_SUBJECTS + 1:02d}"
    file["provenance"].attrs["content_sha256"] = f"{number:064x}"
    for group in file.values():
        kind = group.attrs.get("kind")
        if kind == "infrared":
            _brighten_chunks(group["data"], rng)
        elif kind == "thermal":
            group["data"][...] = group["data"][:] + np.int16(number + 1)
        elif kind is not None:
            noise = rng.normal(0, 400, group["data"].shape).round()
            group["data"][...] = (group["data"][:] + noise).astype(np.int16)


def _brighten_chunks(data: h5py.Dataset, rng: np.random.Generator) -> None:
    """Change every grey level, otherwise in each chunk: equal stretches would be copies."""
    for start in range(0, len(data), data.chunks[0]):
        rows = slice(start, min(start + data.chunks[0], len(data)))
        data[rows] = data[rows] + rng.integers(1, 256, dtype=np.uint8)


def _wban() -> list[str]:
    return [sys.executable, "-c", "from wban_dataset.cli.main import main; main()"]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Figures of wban-dataset build.")
    parser.add_argument("--hapt", type=Path, help="folder of HAPT as it is published")
    parser.add_argument("--study", type=Path, help="simulated study at the default load")
    parser.add_argument("--reference", type=Path, help="simulated study at the reference load")
    parser.add_argument("--hours", type=float, default=16.0, help="of sessions for 1 to 2 workers")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--json", type=Path, help="where the JSON file goes")
    return parser.parse_args()


if __name__ == "__main__":
    main()
