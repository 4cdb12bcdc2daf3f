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
from collections.abc import Iterator
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
PACED_SECONDS = 10
BATCH_SECONDS = 60
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


def journal_second(writer: JournalWriter, blocks: list[SampleBlock]) -> tuple[float, float]:
    """Write and sync one second of load; give what encoding took, and what the journal did."""
    started = time.perf_counter()
    records = [encode(block) for block in blocks]
    encoded = time.perf_counter()
    for kind, buffers in records:
        writer.append(kind, buffers, now_ns=0)
    writer.commit()
    return encoded - started, time.perf_counter() - encoded


def plain_second(fd: int, blocks: list[SampleBlock]) -> float:
    """Write and sync the same samples bare; give what it took."""
    started = time.perf_counter()
    for block in blocks:
        os.write(fd, block.data.data)
    os.fdatasync(fd)
    return time.perf_counter() - started


def round_seconds(directory: Path, blocks: list[SampleBlock]) -> tuple[float, float, float]:
    """Write the same samples into a journal and bare, in turns, with the same syncs.

    Returns
    -------
    encoding_s, journal_s, plain_s
        What each took; opening and closing of the journal included.
    """
    started = time.perf_counter()
    writer = JournalWriter(directory / "journal")
    encoding, journal, plain = 0.0, time.perf_counter() - started, 0.0
    fd = os.open(directory / "plain", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    for second in range(SECONDS_PER_ROUND):
        if second % 2:
            plain += plain_second(fd, blocks)
        took = journal_second(writer, blocks)
        encoding, journal = encoding + took[0], journal + took[1]
        if not second % 2:
            plain += plain_second(fd, blocks)
    started = time.perf_counter()
    writer.close()
    journal += time.perf_counter() - started
    os.close(fd)
    return encoding, journal, plain


def against_plain(directory: Path, blocks: list[SampleBlock]) -> dict[str, object]:
    """Compare both on one disk, second by second, since a disk's speed changes with time."""
    megabytes = SECONDS_PER_ROUND * n_bytes(blocks) / 1e6
    rounds: list[tuple[float, float, float]] = []
    for i in range(N_ROUNDS):
        (directory / f"{i}").mkdir()
        rounds.append(round_seconds(directory / f"{i}", blocks))
    ratio = statistics.median(plain / journal for _, journal, plain in rounds)
    with_encoding = statistics.median(plain / (e + journal) for e, journal, plain in rounds)
    _, journal, plain = (statistics.median(times) for times in zip(*rounds, strict=True))
    return row(
        "journal against write(), one fdatasync per 1.2 MB each, same disk",
        asked=">= 60 %",
        measured=f"{ratio:.0%} ({megabytes / journal:.0f} against {megabytes / plain:.0f} MB/s, "
        f"median of {N_ROUNDS} rounds); {with_encoding:.0%} with the encoding of blocks",
        reached=ratio >= 0.6,
        on_pi4="a card's sync dominates both: nearer to 100 %",
        ratio=ratio,
        ratio_with_encoding=with_encoding,
        journal_mb_per_s=megabytes / journal,
        plain_mb_per_s=megabytes / plain,
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


def cpu_share(directory: Path, blocks: list[SampleBlock], n_seconds: int, *, paced: bool) -> float:
    """Record seconds of load, in real time if `paced`; give the thread's CPU per second of it."""
    cpu_ns = 0
    next_commit = 0.0
    started = time.perf_counter()
    with JournalWriter(directory / f"cpu-{paced}") as writer:
        for due, block in islice(arrivals(blocks), n_seconds * len(blocks)):
            if paced:
                time.sleep(max(0.0, started + due - time.perf_counter()))
            before_ns = time.thread_time_ns()
            writer.append(*encode(block), now_ns=int(due * 1e9))
            if due >= next_commit:
                writer.commit()
                next_commit += 1 / COMMITS_PER_SECOND
            cpu_ns += time.thread_time_ns() - before_ns
    return cpu_ns / 1e9 / n_seconds


def slowdown_when_paced() -> float:
    """Measure how much more CPU time any Python takes when it runs between sleeps: cold caches."""
    cpu_ns = [0, 0]
    for paced in (False, True):
        for _ in range(150):
            time.sleep(0.018 * paced)
            before_ns = time.thread_time_ns()
            "".join(str(i) for i in range(100))
            cpu_ns[paced] += time.thread_time_ns() - before_ns
    return cpu_ns[True] / cpu_ns[False]


def cpu_rows(directory: Path, blocks: list[SampleBlock]) -> list[dict[str, object]]:
    """Count the CPU of encoding, writing and syncing at 1.2 MB/s."""
    in_a_row = cpu_share(directory, blocks, BATCH_SECONDS, paced=False)
    paced = cpu_share(directory, blocks, PACED_SECONDS, paced=True)
    slowdown = slowdown_when_paced()
    return [
        row(
            f"CPU at 1.2 MB/s, thread_time: {BATCH_SECONDS} s of load in a row, a sync every 0.5 s",
            asked="< 1 % of a core",
            measured=f"{in_a_row:.2%} of a core",
            reached=in_a_row < 0.01,
            on_pi4=f"about {in_a_row * PI4_SLOWDOWN:.1%} of a core",
            cpu_share=in_a_row,
        ),
        row(
            f"the same in real time, {PACED_SECONDS} s, caches cold between blocks",
            measured=f"{paced:.2%} of a core (here, now, any Python between sleeps takes "
            f"{slowdown:.1f} times its time)",
            on_pi4=f"about {paced * PI4_SLOWDOWN:.0%} at worst",
            cpu_share=paced,
            slowdown_when_paced=slowdown,
        ),
    ]


def main() -> int:
    json_path = json_path_argument(__doc__)
    blocks = one_second()
    RESULTS.mkdir(parents=True, exist_ok=True)
    # Beside the results, since /tmp is often no disk.
    with tempfile.TemporaryDirectory(dir=RESULTS, prefix=".journal-") as on_disk:
        rows = [against_plain(Path(on_disk), blocks), *cpu_rows(Path(on_disk), blocks)]
    if TMPFS.is_dir():
        with tempfile.TemporaryDirectory(dir=TMPFS, prefix="wban-journal-") as in_memory:
            rows[1:1] = on_tmpfs(Path(in_memory), blocks)
    return 0 if report("journal", rows, json_path) else 1


if __name__ == "__main__":
    sys.exit(main())
