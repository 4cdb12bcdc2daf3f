"""What the journal costs: throughput against plain writes, on tmpfs, reading, and CPU.

The load is the reference load: per second 15 pictures of 76,800 bytes, 16 thermal subpages of 1,668
and 25 accelerometer blocks of 192, about 1.2 MB.

    python benchmarks/journal.py [--json PATH]
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from report import PI4_SLOWDOWN, RESULTS, json_path_argument, report, row

from wban_dataset.recording.journal import JournalReader, JournalWriter, Record
from wban_dataset.recording.records import encode
from wban_dataset.recording.streams import Read, SampleBlock

TMPFS = Path("/dev/shm")  # noqa: S108 - a file system that is measured, no place for secrets
N_ROUNDS = 7
SECONDS_PER_ROUND = 45
TMPFS_SECONDS = 200
PACED_SECONDS = 15
COMMITS_PER_SECOND = 2

SHAPES = {
    "infrared": (15, np.zeros((1, 240, 320), "|u1")),
    "thermal": (16, np.zeros((1, 834), "<u2")),
    "accel": (25, np.zeros((32, 3), "<i2")),
}


def one_second() -> list[SampleBlock]:
    """Make the blocks of one second of the reference load, in the order in which they arrive."""
    noise = np.random.default_rng(1)
    timed: list[tuple[float, SampleBlock]] = []
    for stream, (rate, like) in SHAPES.items():
        for i in range(rate):
            data = noise.integers(0, 255, like.shape).astype(like.dtype)
            timed.append((i / rate, SampleBlock(stream, i, 0, data, Read(1, 2))))
    return [block for _, block in sorted(timed, key=lambda pair: pair[0])]


def n_bytes(blocks: list[SampleBlock]) -> int:
    """Count the bytes of the samples alone."""
    return sum(block.data.nbytes for block in blocks)


def journal_seconds(directory: Path, blocks: list[SampleBlock]) -> float:
    """Write a round into a journal, one commit per second of load; give what it took."""
    started = time.perf_counter()
    with JournalWriter(directory) as writer:
        for second in range(SECONDS_PER_ROUND):
            for block in blocks:
                writer.append(*encode(block), now_ns=second * 10**9)
            writer.commit()
    return time.perf_counter() - started


def plain_seconds(path: Path, blocks: list[SampleBlock]) -> float:
    """Write the same samples with bare write() and the same syncs; give what it took."""
    started = time.perf_counter()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    for _ in range(SECONDS_PER_ROUND):
        for block in blocks:
            os.write(fd, block.data.data)
        os.fdatasync(fd)
    os.close(fd)
    return time.perf_counter() - started


def against_plain(directory: Path, blocks: list[SampleBlock]) -> dict[str, object]:
    """Compare both on one disk, turn by turn, since a disk's speed changes with time."""
    megabytes = SECONDS_PER_ROUND * n_bytes(blocks) / 1e6
    journal: list[float] = []
    plain: list[float] = []
    for i in range(N_ROUNDS):
        turns: list[Callable[[], None]] = [
            lambda i=i: journal.append(journal_seconds(directory / f"journal-{i}", blocks)),
            lambda i=i: plain.append(plain_seconds(directory / f"plain-{i}", blocks)),
        ]
        for turn in turns if i % 2 else reversed(turns):
            turn()
    ratio = statistics.median(p / j for j, p in zip(journal, plain, strict=True))
    rates = (megabytes / statistics.median(journal), megabytes / statistics.median(plain))
    return row(
        "journal against write(), one fdatasync per 1.2 MB each, same disk",
        asked=">= 60 %",
        measured=f"{ratio:.0%} ({rates[0]:.0f} against {rates[1]:.0f} MB/s, "
        f"median of {N_ROUNDS} pairs)",
        reached=ratio >= 0.6,
        on_pi4="a card's sync dominates both: nearer to 100 %",
        ratio=ratio,
        journal_mb_per_s=rates[0],
        plain_mb_per_s=rates[1],
    )


def on_tmpfs(directory: Path, blocks: list[SampleBlock]) -> list[dict[str, object]]:
    """Measure writing and reading without a disk."""
    megabytes = TMPFS_SECONDS * n_bytes(blocks) / 1e6
    started = time.perf_counter()
    with JournalWriter(directory / "journal") as writer:
        for second in range(TMPFS_SECONDS):
            for block in blocks:
                writer.append(*encode(block), now_ns=second * 10**9)
            writer.commit()
    written = megabytes / (time.perf_counter() - started)
    started = time.perf_counter()
    n_records = sum(isinstance(found, Record) for found in JournalReader(directory / "journal"))
    read = megabytes / (time.perf_counter() - started)
    if n_records != TMPFS_SECONDS * len(blocks):
        raise RuntimeError(f"{n_records} records read, expected {TMPFS_SECONDS * len(blocks)}")
    return [
        throughput("writing to tmpfs", written, asked=300),
        throughput("reading and verifying from tmpfs", read, asked=500),
    ]


def throughput(what: str, mb_per_s: float, asked: int) -> dict[str, object]:
    """Make the row of a throughput."""
    return row(
        what,
        asked=f">= {asked} MB/s",
        measured=f"{mb_per_s:.0f} MB/s",
        reached=mb_per_s >= asked,
        on_pi4=f"about {mb_per_s / PI4_SLOWDOWN:.0f} MB/s; the load is 1.2 MB/s",
        mb_per_s=mb_per_s,
    )


def arrivals(blocks: list[SampleBlock]) -> Iterator[tuple[float, SampleBlock]]:
    """Give each block with the second at which it arrives, evenly spread, without end."""
    i = 0
    while True:
        yield i / len(blocks), blocks[i % len(blocks)]
        i += 1


def cpu_share(directory: Path, blocks: list[SampleBlock]) -> dict[str, object]:
    """Record in real time and count the thread's CPU: encoding, writing and syncing."""
    writer = JournalWriter(directory / "paced")
    cpu_ns = 0
    next_commit = 0.0
    started = time.perf_counter()
    for due, block in islice(arrivals(blocks), PACED_SECONDS * len(blocks)):
        time.sleep(max(0.0, started + due - time.perf_counter()))
        before_ns = time.thread_time_ns()
        writer.append(*encode(block), now_ns=time.monotonic_ns())
        if due >= next_commit:
            writer.commit()
            next_commit += 1 / COMMITS_PER_SECOND
        cpu_ns += time.thread_time_ns() - before_ns
    writer.close()
    share = cpu_ns / 1e9 / PACED_SECONDS
    return row(
        f"CPU at 1.2 MB/s in real time, {PACED_SECONDS} s, encoding and fdatasync included",
        asked="< 1 % of a core",
        measured=f"{share:.2%} of a core",
        reached=share < 0.01,
        on_pi4=f"about {share * PI4_SLOWDOWN:.1%} of a core",
        cpu_share=share,
    )


def main() -> int:
    json_path = json_path_argument(__doc__)
    blocks = one_second()
    RESULTS.mkdir(parents=True, exist_ok=True)
    # Beside the results, since /tmp is often no disk.
    with tempfile.TemporaryDirectory(dir=RESULTS, prefix=".journal-") as on_disk:
        rows = [against_plain(Path(on_disk), blocks), cpu_share(Path(on_disk), blocks)]
    if TMPFS.is_dir():
        with tempfile.TemporaryDirectory(dir=TMPFS, prefix="wban-journal-") as in_memory:
            rows[1:1] = on_tmpfs(Path(in_memory), blocks)
    return 0 if report("journal", rows, json_path) else 1


if __name__ == "__main__":
    sys.exit(main())
