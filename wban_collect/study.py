"""A study of simulated people, each recorded by the real drivers in virtual time."""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from multiprocessing import active_children, get_context
from pathlib import Path

from wban_collect.assembly import Simulation, simulated_parts
from wban_collect.clock import VIRTUAL_START_NS
from wban_collect.config import Config, to_toml
from wban_collect.errors import ConfigError, StorageError
from wban_collect.keeping.sealing import SealOutcome, seal_session
from wban_collect.plan import Request, make_plan
from wban_collect.recorder import Recorder
from wban_collect.session_folder import check_writable, new_session_id
from wban_dataset.recording.layout import FILE_NAME
from wban_dataset.recording.streams import ORDERLY_ENDS

FIRST_DAY_NS = int(datetime(2026, 1, 5, 8, tzinfo=UTC).timestamp()) * 1_000_000_000
"""Simulated wall time at which the first participant begins; each next one a day later."""

DAY_NS = 86_400_000_000_000
ACTIVITY = "mixed"
STUDY_FILE = "study.json"


@dataclass(frozen=True)
class StudyPlan:
    """A study to be simulated; the same plan makes the same sessions, to the byte."""

    config: Config
    activities: tuple[str, ...]
    n_subjects: int
    duration_s: float
    out: Path
    seed: int


@dataclass(frozen=True)
class StudySession:
    """One session of the study, and how its sealing ended."""

    subject: str
    folder: Path
    outcome: SealOutcome | None


def simulate_study(plan: StudyPlan, n_workers: int = 1) -> Iterator[StudySession]:
    """Record every participant; sessions that are sealed already are kept as they are.

    Yields each session as it is done, on `n_workers` processes in any order.

    Raises
    ------
    ConfigError
        If the folder holds a study that was made otherwise.
    StorageError
        If the folder cannot be written.
    """
    _note_plan(plan)
    numbers = range(1, plan.n_subjects + 1)
    if n_workers == 1:
        yield from (simulate_participant(plan, number) for number in numbers)
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(n_workers, mp_context=context, initializer=_leave_ctrl_c) as pool:
        futures: list[Future[StudySession]] = [
            pool.submit(simulate_participant, plan, number) for number in numbers
        ]
        try:
            for future in as_completed(futures):
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()
            raise


def _leave_ctrl_c() -> None:
    """Let the process that was started by hand answer Ctrl-C; it ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _note_plan(plan: StudyPlan) -> None:
    """Write down how the study is made, so that another one is never mixed into it."""
    check_writable(plan.out, 0)
    path = plan.out / STUDY_FILE
    made = {
        "activities": list(plan.activities),
        "minutes": plan.duration_s / 60,
        "seed": plan.seed,
        "wban_version": version("wban"),
        "configuration": to_toml(plan.config),
    }
    try:
        if path.exists():
            before = json.loads(path.read_text(encoding="utf-8"))
            other = [key for key, value in made.items() if before.get(key) != value]
            if other:
                raise ConfigError(
                    f"{plan.out} holds a study made with other {' and '.join(other)}; "
                    "choose another folder with --out."
                )
            return
        path.write_text(json.dumps(made, indent=2) + "\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        raise StorageError(
            f"{path} cannot be used: {error}; choose another folder with --out."
        ) from error


def simulate_participant(plan: StudyPlan, number: int) -> StudySession:
    """Record and seal one participant; a session that an earlier run left unfinished is redone."""
    from wban_collect.simulation.people import study_participant

    subject = f"S{number:02d}"
    begin_ns = FIRST_DAY_NS + (number - 1) * DAY_NS
    day = datetime.fromtimestamp(begin_ns // 1_000_000_000, tz=UTC)
    folder = plan.out / f"{day:%Y%m%dT%H%M%SZ}_{subject}_{ACTIVITY}"
    if _is_whole(folder):
        return StudySession(subject, folder, None)
    shutil.rmtree(folder, ignore_errors=True)
    person = study_participant(plan.activities, plan.duration_s, plan.seed, number)
    person.begin(VIRTUAL_START_NS)
    identity = hashlib.blake2b(f"{plan.seed} {number}".encode(), digest_size=16).digest()
    parts = simulated_parts(
        plan.config,
        Simulation(
            person,
            1000 * plan.seed + number,
            plan.config.simulation.chip_errors,
            VIRTUAL_START_NS,
            begin_ns,
            label_source="live",
        ),
    )
    request = Request(
        subject,
        ACTIVITY,
        plan.out,
        int(plan.duration_s * 1e9),
        simulated=True,
        virtual=True,
        session_id=new_session_id(begin_ns, identity[:10]),
        boot_id=f"{identity.hex()[:8]}-simulated",
        host="simulated",
        folder=folder.name,
    )
    recorder = Recorder(parts, make_plan(request, plan.config, parts.clock))
    recorder.run()
    outcome = seal_session(folder)
    if recorder.stop_reason not in ORDERLY_ENDS:
        raise StorageError(
            f"{folder} ended before its time: {recorder.stop_reason}. Free some space, then run "
            "the same command again: it goes on with this person."
        )
    return StudySession(subject, folder, outcome)


def _is_whole(folder: Path) -> bool:
    """Whether an earlier run has recorded this person to the end."""
    if not (folder / FILE_NAME).exists():
        return False
    report = seal_session(folder).report
    return bool(report["complete"]) and report["end_reason"] in ORDERLY_ENDS
