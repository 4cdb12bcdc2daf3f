"""The disk that sessions go to: room, and how long it takes until something is really there."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from wban_collect.config import Config
from wban_collect.control.messages import Status
from wban_collect.doctor.finding import Finding, failure, ok, sentences, warning
from wban_collect.durations import room_text
from wban_collect.errors import WbanError
from wban_collect.keeping.space import SpacePolicy
from wban_collect.session_folder import check_writable, missing_folders, remove_empty

N_FSYNCS = 20
BLOCK_BYTES = 64 << 10
"""About what half a second of the default load makes."""

SLOW_S = 0.5
TOO_SLOW_S = 5.0
"""The queue holds minutes, but a power cut costs a second and one fsync."""


def examine_disk(
    config: Config,
    out: Path,
    daemon: Status | None = None,
    *,
    timer: Callable[[], float] = time.perf_counter,
) -> Iterator[Finding]:
    """Look at the output folder and its disk; leaves nothing there.

    A folder that a daemon records to is judged by that daemon, whose limits may be others than
    those of `config`: what it warns of stands among its own findings.
    """
    told = daemon if daemon is not None and out == Path(daemon.out) else None
    least_bytes = 0 if told else config.storage.keep_free_mb * 1_000_000
    made = missing_folders(out)
    try:
        free_bytes = check_writable(out, least_bytes)
        durations_s = _fsync_durations_s(out, timer)
    except (WbanError, OSError) as error:
        yield sentences("disk", error)
        return
    finally:
        remove_empty(made)
    yield _room(config, out, free_bytes) if told is None else _told_room(told)
    yield _speed(out, durations_s)


def _told_room(daemon: Status) -> Finding:
    room = room_text(daemon.hours_left, daemon.bytes_per_hour)
    free_gb = daemon.free_bytes / 1e9
    return ok("disk", f"{free_gb:.1f} GB free in {daemon.out}, {room}, says the daemon")


def _room(config: Config, out: Path, free_bytes: int) -> Finding:
    policy = SpacePolicy.of(config, out)
    text = f"{free_bytes / 1e9:.1f} GB free in {out}, {policy.room_text(free_bytes)}"
    if policy.state(free_bytes, 0) == "ok":
        return ok("disk", text)
    return warning("disk", text, "copy sessions away and remove them, or take a larger card")


def _speed(out: Path, durations_s: list[float]) -> Finding:
    slowest_s = max(durations_s)
    typical_s = sorted(durations_s)[len(durations_s) // 2]
    text = (
        f"fsync takes {typical_s * 1e3:.0f} ms; the slowest of {N_FSYNCS} took "
        f"{slowest_s * 1e3:.0f} ms"
    )
    remedy = (
        "take an A1 or A2 card or a USB disk; what is lost at a power cut is a second and one fsync"
    )
    if slowest_s >= TOO_SLOW_S:
        return failure("disk speed", text, remedy)
    if slowest_s >= SLOW_S:
        return warning("disk speed", text, remedy)
    return ok("disk speed", text)


def _fsync_durations_s(out: Path, timer: Callable[[], float]) -> list[float]:
    """Time writes of a block each, as the journal makes them."""
    durations_s: list[float] = []
    block = os.urandom(BLOCK_BYTES)
    with tempfile.TemporaryFile(dir=out) as file:
        for _ in range(N_FSYNCS):
            begun_s = timer()
            file.write(block)
            file.flush()
            os.fdatasync(file.fileno())
            durations_s.append(timer() - begun_s)
    return durations_s
