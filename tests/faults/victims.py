"""Recorders in processes of their own, killed at a moment of their recording, and what is left.

A victim is forked from a process that has everything loaded, so that a thousand of them take
minutes. It is the real recorder above simulated chips: in real time, with its threads and its
fsyncs, beginning a new session every second and a half.
"""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import random
import select
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tests.faults.recording import SHARED
from wban_collect.assembly import Simulation, simulated_parts
from wban_collect.plan import Request, make_plan
from wban_collect.recorder import Audience, Recorder
from wban_collect.simulation.people import one_activity
from wban_collect.storage import Commit
from wban_dataset.recording.errors import RecordingError
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.session import Session
from wban_dataset.recording.streams import SessionHeader

SECOND_NS = 10**9
SESSION_NS = 3 * SECOND_NS // 2
UNDELIVERED_S = {"accel": 0.5, "gyro": 0.5, "thermal": 0.375, "infrared": 0.6}
"""What a chip may still hold: half of a FIFO; a subpage under way and one ready; three frames."""
SEEN_LATE_S = 0.1
"""An out-of-memory kill is seen this much after it happened."""
LATEST_KILL_S = 3.0
FIRST_WORD_S = 60.0


class Killer(Protocol):
    """Ends a process at once."""

    def kill(self, pid: int) -> int:
        """Kill, and tell when the process was still alive at the latest (CLOCK_MONOTONIC, ns)."""
        ...


class Sigkill:
    """kill -9."""

    def kill(self, pid: int) -> int:
        """Send it."""
        now_ns = time.monotonic_ns()
        os.kill(pid, signal.SIGKILL)
        return now_ns


@dataclass(frozen=True)
class Fate:
    """What was left of a recorder that was killed.

    Attributes
    ----------
    after_s
        Time from its first session to the kill.
    signal
        That it died of.
    n_sessions, n_commits
        That it had told of.
    n_acknowledged
        Rows that it had told were safe, over all streams and sessions.
    n_lost
        Of these, rows that are in none of the sealed files.
    tail_s
        By stream, from the newest sealed sample to the kill.
    longest_fsync_s
        That it had told of.
    problems
        What the sealed files' verification says.
    """

    number: int
    after_s: float
    signal: int
    n_sessions: int
    n_commits: int
    n_acknowledged: int
    n_lost: int
    tail_s: dict[str, float]
    longest_fsync_s: float
    problems: tuple[str, ...]

    def beyond_limit(self) -> list[str]:
        """Name the streams whose tail is longer than a second, an fsync and what chips held."""
        promised_s = 1.0 + self.longest_fsync_s + SEEN_LATE_S
        return [
            stream
            for stream, tail_s in self.tail_s.items()
            if tail_s > promised_s + UNDELIVERED_S[stream]
        ]


@dataclass
class _Said:
    """What a recorder told before it was killed."""

    folders: dict[str, Path] = field(default_factory=dict)
    acknowledged: dict[str, dict[str, int]] = field(default_factory=dict)
    longest_fsync_ns: int = 0
    n_commits: int = 0

    def hear(self, line: dict[str, Any]) -> None:
        """Take in one line."""
        if "folder" in line:
            self.folders[line["session"]] = Path(line["folder"])
        else:
            self.acknowledged[line["session"]] = line["rows"]
            self.longest_fsync_ns = max(self.longest_fsync_ns, line["fsync_ns"])
            self.n_commits += 1


KillerFactory = Callable[[], AbstractContextManager[Killer]]


def sigkill() -> AbstractContextManager[Killer]:
    """Make what kills by SIGKILL."""
    return nullcontext(Sigkill())


def kill_many(
    n_runs: int,
    *,
    seed: int = 1,
    at_once: int = 2,
    killer: KillerFactory = sigkill,
    latest_s: float = LATEST_KILL_S,
) -> Iterator[Fate]:
    """Kill so many recorders, some at once, at moments drawn from `seed`."""
    chance = random.Random(seed)
    moments = [(number, chance.uniform(0.0, latest_s), killer) for number in range(n_runs)]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(at_once, mp_context=context) as pool:
        yield from pool.map(_run, moments)


def _run(job: tuple[int, float, KillerFactory]) -> Fate:
    """Fork one recorder, kill it, and seal what it left; runs in a process of one thread."""
    number, after_s, make_killer = job
    with tempfile.TemporaryDirectory() as folder, make_killer() as killer:
        ears, mouth = os.pipe()
        pid = os.fork()
        if pid == 0:
            _record(Path(folder), number, mouth)
        os.close(mouth)
        said = _Said()
        try:
            rest = _listen(ears, said, FIRST_WORD_S, until=lambda: bool(said.folders))
            rest = _listen(ears, said, after_s, rest)
            killed_ns = killer.kill(pid)
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            raise
        finally:
            _, status = os.waitpid(pid, 0)
        _listen(ears, said, 1.0, rest)
        os.close(ears)
        return _left(Path(folder), number, after_s, os.WTERMSIG(status), killed_ns, said)


def _record(out: Path, seed: int, mouth: int) -> None:
    """Record until somebody ends it; never returns."""
    try:
        parts = simulated_parts(SHARED, Simulation(one_activity("walking", seed), seed))
        request = Request("S01", "walking", out, simulated=True, folder="session")
        plan = dataclasses.replace(
            make_plan(request, SHARED, parts.clock), session_ns=SESSION_NS, keep_free_bytes=0
        )

        def say(**line: Any) -> None:
            os.write(mouth, json.dumps(line).encode() + b"\n")

        def opened(header: SessionHeader, folder: Path) -> None:
            say(session=header.session_id, folder=str(folder))

        def committed(commit: Commit) -> None:
            say(session=commit.session_id, rows=commit.n_rows, fsync_ns=commit.duration_ns)

        Recorder(parts, plan, Audience(commit=committed, opened=opened)).run()
    finally:
        os._exit(3)  # without what the parent has open


def _listen(
    ears: int,
    said: _Said,
    duration_s: float,
    rest: bytes = b"",
    until: Callable[[], bool] = lambda: False,
) -> bytes:
    """Hear what is said within so much time; give the half of a line that is left."""
    until_s = time.monotonic() + duration_s
    while not until() and (left_s := until_s - time.monotonic()) > 0:
        if not select.select([ears], [], [], left_s)[0]:
            break
        piece = os.read(ears, 1 << 16)
        if not piece:
            break
        *lines, rest = (rest + piece).split(b"\n")
        for line in lines:
            said.hear(json.loads(line))
    return rest


def _left(
    out: Path, number: int, after_s: float, died_of: int, killed_ns: int, said: _Said
) -> Fate:
    """Seal every session and compare with what was acknowledged."""
    n_lost = 0
    newest_ns: dict[str, int] = {}
    problems: list[str] = []
    _seal_unheard_of(out, said)
    for name, folder in said.folders.items():
        report = seal(folder)
        rows = said.acknowledged.get(name, {})
        n_lost += sum(max(0, n - report.rows.get(stream, 0)) for stream, n in rows.items())
        with Session.open(folder) as session:
            problems += session.verify().problems
            for stream in session.streams:
                stamps_ns = session.stream(stream).monotonic_ns
                if len(stamps_ns):
                    newest_ns[stream] = max(newest_ns.get(stream, 0), int(stamps_ns[-1]))
    return Fate(
        number=number,
        after_s=after_s,
        signal=died_of,
        n_sessions=len(said.folders),
        n_commits=said.n_commits,
        n_acknowledged=sum(sum(rows.values()) for rows in said.acknowledged.values()),
        n_lost=n_lost,
        tail_s={name: (killed_ns - stamp) / 1e9 for name, stamp in newest_ns.items()},
        longest_fsync_s=said.longest_fsync_ns / 1e9,
        problems=tuple(problems),
    )


def _seal_unheard_of(out: Path, said: _Said) -> None:
    """Seal what was begun and not told of, if it can be: nothing in it was acknowledged."""
    for folder in set(out.iterdir()) - set(said.folders.values()):
        with suppress(RecordingError):
            seal(folder)
