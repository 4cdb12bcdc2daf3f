"""Signals, a second daemon, a reader of live data who does not read."""

from __future__ import annotations

import random
import signal
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import zmq

from tests.faults.hardware import Hardware
from tests.faults.recording import START_NS, prepare, read
from tests.faults.scenarios import DURATION_S, n_changed, undisturbed
from tests.integration.daemon_process import UNATTENDED, DaemonProcess
from wban_collect.audience import Audience
from wban_collect.clock import SystemClock
from wban_collect.live.publisher import Publisher
from wban_collect.recorder import Recorder
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.session import Session

LATEST_SIGNAL_S = 3.0


@dataclass(frozen=True)
class EndedDaemon:
    """A daemon that recorded by itself until SIGTERM came.

    Attributes
    ----------
    took_s
        From the signal to the end of the process.
    n_acknowledged, n_lost
        Rows that it had said were safe; of these, rows that the sealed files lack.
    n_in_order, n_sessions
        Sessions that say that they were ended in order, of all.
    n_missing
        Samples that the files count as missing.
    """

    exit_code: int
    took_s: float
    n_acknowledged: int
    n_lost: int
    n_in_order: int
    n_sessions: int
    n_missing: int


def sigterm(after_s: float) -> EndedDaemon:
    """End a daemon that records by itself, so long after its first commit."""
    with tempfile.TemporaryDirectory() as folder:
        with DaemonProcess(Path(folder), UNATTENDED) as daemon:
            daemon.until(lambda s: any(stream.n_acknowledged for stream in s.streams))
            time.sleep(after_s)
            begun_s = time.monotonic()
            code = daemon.end(signal.SIGTERM)
            took_s = time.monotonic() - begun_s
        return _ended(daemon, code, took_s)


def sigterms(n_runs: int, seed: int = 1) -> list[EndedDaemon]:
    """End so many daemons at moments drawn from `seed`."""
    chance = random.Random(seed)
    return [sigterm(chance.uniform(0.0, LATEST_SIGNAL_S)) for _ in range(n_runs)]


def _ended(daemon: DaemonProcess, code: int, took_s: float) -> EndedDaemon:
    acknowledged = {line["session_id"]: line["rows"] for line in daemon.acknowledgements()}
    n_lost = n_in_order = n_missing = 0
    folders = sorted(path for path in daemon.out.iterdir() if path.is_dir())
    for folder in folders:
        report = seal(folder)
        n_in_order += report.complete
        n_missing += sum(report.n_lost.values())
        with Session.open(folder) as session:
            rows = acknowledged.get(session.session_id, {})
        n_lost += sum(max(0, n - report.rows.get(stream, 0)) for stream, n in rows.items())
    n_acknowledged = sum(sum(rows.values()) for rows in acknowledged.values())
    return EndedDaemon(code, took_s, n_acknowledged, n_lost, n_in_order, len(folders), n_missing)


@dataclass(frozen=True)
class SecondDaemon:
    """Attempts to start a daemon beside one that records.

    Attributes
    ----------
    refusals
        Exit code and last line of each attempt.
    first
        How the first daemon's recording ended, which SIGTERM ended afterwards.
    """

    refusals: tuple[tuple[int, str], ...]
    first: EndedDaemon


def second_daemon(n_attempts: int = 3) -> SecondDaemon:
    """Start another daemon with the same configuration so many times."""
    with tempfile.TemporaryDirectory() as folder:
        with DaemonProcess(Path(folder), UNATTENDED) as daemon:
            daemon.until(lambda s: any(stream.n_acknowledged for stream in s.streams))
            words = ["daemon", "--simulate", "--config", str(daemon.config)]
            outcomes = [daemon.command(*words, "--out", str(daemon.out)) for _ in range(n_attempts)]
            begun_s = time.monotonic()
            code = daemon.end(signal.SIGTERM)
            first = _ended(daemon, code, time.monotonic() - begun_s)
        return SecondDaemon(tuple((o.code, o.err.strip().split("\n")[-1]) for o in outcomes), first)


@dataclass(frozen=True)
class DeafReader:
    """A recording that is watched by somebody who subscribes to all and reads nothing.

    Attributes
    ----------
    n_changed
        By stream, rows of the recording that nobody watches that are not there to the bit.
    n_offered, n_sent
        Items that the recorder offered, and messages that went to libzmq, which drops what is not
        read.
    longest_offer_s
        That the recorder's thread spent on one item.
    """

    n_changed: dict[str, int]
    n_offered: int
    n_sent: int
    longest_offer_s: float


def deaf_reader() -> DeafReader:
    """Record a minute, hundreds of times faster than in real time, beside a deaf reader."""
    took_s: list[float] = []
    with tempfile.TemporaryDirectory() as folder, zmq.Context() as context:
        path = Path(folder) / "wban" / "live.sock"
        publisher = Publisher(path, clock=SystemClock())
        publisher.start()
        reader = context.socket(zmq.SUB)
        try:
            reader.setsockopt(zmq.RCVHWM, 1)
            reader.connect(f"ipc://{path}")
            reader.subscribe(b"")
            while not publisher.is_watched:
                time.sleep(0.01)

            def offer(item: object) -> None:
                begun_s = time.perf_counter()
                publisher.offer(item)  # type: ignore[arg-type]
                took_s.append(time.perf_counter() - begun_s)

            hardware = Hardware(start_ns=START_NS)
            parts, plan = prepare(Path(folder) / "out", hardware, duration_s=DURATION_S)
            session = Recorder(parts, plan, Audience(output=offer)).run()
        finally:
            reader.close(linger=0)
            publisher.close()
        seal(session)
        found = read(session, hardware).streams
    whole = undisturbed().streams
    changed = {name: n_changed(stream, found[name]) for name, stream in whole.items()}
    return DeafReader(changed, len(took_s), publisher.n_sent, max(took_s))
