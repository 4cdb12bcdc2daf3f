"""Seals what was recorded, a session at a time, in the background, out of the recorder's way."""

from __future__ import annotations

import logging
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from wban_collect.control.messages import BacklogStatus
from wban_collect.errors import WbanError
from wban_collect.keeping.catalogue import FAILED, RECORDING, SEALING, WAITING
from wban_collect.keeping.leftovers import clear_remains, first_header, unsealed_sessions
from wban_collect.keeping.sealing import SealOutcome, seal_session
from wban_collect.keeping.summaries import Summaries
from wban_collect.reservation import reserved_share
from wban_dataset.recording.errors import FolderInUseError, SealingError
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.folder_tree import has_journal
from wban_dataset.recording.framing import JournalVersionError, segment_paths
from wban_dataset.recording.layout import JOURNAL_NAME, PARTIAL_NAME, RESERVATION_NAME

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 3600.0
"""Between attempts at a session that cannot be sealed; the pause doubles each time."""

LOOK_AGAIN_S = 60.0
"""Between looks at what somebody else holds, or for room on a disk that was full."""

STAT_BLOCK_BYTES = 512
"""Of `st_blocks`, whatever the file system's own are."""

CLOSE_S = 0.3
"""How long a child that was asked to end may take."""


@dataclass
class _Job:
    """A session that is not sealed.

    Attributes
    ----------
    needed_bytes
        Free space without which it is not tried again; 0 where space was not the trouble.
    held
        Somebody else records into it or seals it.
    n_bytes
        Of its journal, which grows no more; 0 where it was not looked at yet.
    """

    folder: Path
    due_s: float
    n_failures: int = 0
    error: str = ""
    needed_bytes: int = 0
    held: bool = False
    n_bytes: int = 0

    @property
    def failed(self) -> bool:
        """Whether something is wrong with it that room alone does not mend."""
        return bool(self.error) and not self.needed_bytes


class Sealer:
    """Seals sessions in child processes of low priority.

    A session that cannot be sealed keeps its journal, is told of once, and tried again after a
    minute, then less and less often; it holds up neither the others nor, not being counted in the
    backlog, the recording. Ended in the middle, sealing begins anew at the next start.

    Parameters
    ----------
    out
        Where `find_left_over` looks.
    limit
        Sessions that may wait, see `is_full`.
    on_sealed
        Told of each sealed session, from the sealer's thread; must not raise.
    monotonic, free_bytes
        The system's, for tests.
    """

    def __init__(
        self,
        out: Path,
        *,
        limit: int,
        on_sealed: Callable[[SealOutcome], None],
        monotonic: Callable[[], float] = time.monotonic,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._out = out
        self._limit = limit
        self._on_sealed = on_sealed
        self._monotonic = monotonic
        self._free_bytes = free_bytes
        self._summaries = Summaries()
        self._jobs: dict[Path, _Job] = {}
        self._at_work: Path | None = None
        self._fraction = 0.0
        self._remains: list[str] = []
        self._child: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sealer", daemon=True)

    def add(self, folder: Path) -> None:
        """Seal a session after those that wait already; from any thread."""
        with self._lock:
            job = self._jobs.setdefault(folder, _Job(folder, self._monotonic()))
            job.held = False
            job.due_s = min(job.due_s, self._monotonic())
        self._wake.set()

    def find_left_over(self) -> list[Path]:
        """Take up what earlier runs did not seal, in the order in which it was recorded.

        What another process holds is sealed once that has let go of it.
        """
        folders = sorted(unsealed_sessions(self._out), key=_order)
        for folder in folders:
            self.add(folder)
            with self._lock:
                self._jobs[folder].held = _is_held(folder)
        return folders

    @property
    def backlog(self) -> BacklogStatus:
        """What waits, what is at work, and what cannot be sealed."""
        with self._lock:
            return BacklogStatus(
                n_waiting=len(self._waiting()),
                limit=self._limit,
                sealing=str(self._at_work or ""),
                fraction=self._fraction,
                failed=[str(job.folder) for job in self._jobs.values() if job.failed],
            )

    @property
    def is_full(self) -> bool:
        """Whether as many sessions wait, with the one at work, as may."""
        with self._lock:
            return len(self._waiting()) + (self._at_work is not None) >= self._limit

    @property
    def states(self) -> dict[Path, str]:
        """State of each unsealed session that is known here, for `Catalogue.entries`."""
        with self._lock:
            jobs, at_work = list(self._jobs.values()), self._at_work
        states = {job.folder: _state(job) for job in jobs}
        return states | ({at_work: SEALING} if at_work else {})

    @property
    def unsealed_bytes(self) -> int:
        """Bytes of journals to be sealed whose room is not reserved, for `SpacePolicy.state`."""
        with self._lock:
            jobs = [job for job in self._jobs.values() if not job.held]
        share = reserved_share(gzip_level=1)
        total = 0.0
        for job in jobs:
            job.n_bytes = job.n_bytes or _journal_bytes(job.folder)
            total += max(job.n_bytes - _set_aside_bytes(job.folder) / share, 0.0)
        return int(total)

    @property
    def warnings(self) -> list[str]:
        """What went wrong and still stands, a sentence each."""
        with self._lock:
            return [*(job.error for job in self._jobs.values() if job.error), *self._remains]

    def start(self) -> None:
        """Begin to seal."""
        self._thread.start()

    def close(self) -> None:
        """End within half a second; a child at work is ended, and its session sealed next time."""
        self._closing.set()
        self._wake.set()
        self._end_child()
        if self._thread.ident is not None:
            self._thread.join(CLOSE_S)
        child = self._child
        if child is not None and child.poll() is None:
            child.kill()

    def step(self) -> bool:
        """Seal the next session whose turn it is; False where there is none."""
        with self._lock:
            job = self._next()
            if job is None:
                return False
            self._at_work, self._fraction = job.folder, 0.0
        try:
            self._attend(job)
        finally:
            with self._lock:
                self._at_work, self._child = None, None
        return True

    def _run(self) -> None:
        while not self._closing.is_set():
            if not self.step():
                self._wake.wait(self._pause_s())
                self._wake.clear()

    def _waiting(self) -> list[_Job]:
        return [
            job
            for job in self._jobs.values()
            if not (job.failed or job.held or job.folder == self._at_work)
        ]

    def _next(self) -> _Job | None:
        """Choose the first that is due; what waits for room is looked at only now and then."""
        now_s = self._monotonic()
        for job in self._jobs.values():
            if job.due_s > now_s:
                continue
            if self._has_room(job):
                return job
            job.due_s = now_s + LOOK_AGAIN_S
        return None

    def _has_room(self, job: _Job) -> bool:
        try:
            return not job.needed_bytes or self._room(job.folder) >= job.needed_bytes
        except OSError:
            return True  # what is wrong there will be told when it is tried

    def _pause_s(self) -> float | None:
        with self._lock:
            due_s = min((job.due_s for job in self._jobs.values()), default=None)
        return None if due_s is None else max(due_s - self._monotonic(), 0.0)

    def _attend(self, job: _Job) -> None:
        """Seal one session, or note why it is not."""
        if not has_journal(job.folder):
            self._drop(job)  # somebody else has sealed or removed it
            return
        if _is_held(job.folder):
            job.held, job.due_s = True, self._monotonic() + LOOK_AGAIN_S
            return
        job.held = False
        try:
            outcome = self._seal(job.folder)
        except (WbanError, SealingError, JournalVersionError, OSError, ValueError) as error:
            if not self._closing.is_set():
                self._note_failure(job, str(error))
            return
        self._drop(job)
        if outcome is not None and not self._closing.is_set():
            self._summaries.of([job.folder])
            self._summaries.forget_all_but(frozenset())
            self._on_sealed(outcome)

    def _seal(self, folder: Path) -> SealOutcome | None:
        """Seal a session; None where there was none and its remains were cleared away."""
        remains = clear_remains(folder)
        if remains is None:
            return seal_session(folder, self._note_progress, self._note_child)
        log.warning("%s.", remains.text)
        with self._lock:
            self._remains.append(f"{remains.text}.")
        return None

    def _note_progress(self, fraction: float) -> None:
        self._fraction = fraction

    def _note_child(self, child: subprocess.Popen[str]) -> None:
        self._child = child
        if self._closing.is_set():
            self._end_child()

    def _end_child(self) -> None:
        child = self._child
        if child is not None:
            with suppress(OSError):
                child.terminate()

    def _note_failure(self, job: _Job, error: str) -> None:
        """Keep it for later; a full disk is waited for, anything else tried again."""
        told = bool(job.error)
        job.n_failures += 1
        pause_s = min(FIRST_PAUSE_S * 2 ** min(job.n_failures - 1, 30), LONGEST_PAUSE_S)
        needed_bytes = self._missing_room(job.folder)
        with self._lock:
            job.error, job.needed_bytes = error, needed_bytes
            job.due_s = self._monotonic() + (LOOK_AGAIN_S if needed_bytes else pause_s)
        log.log(logging.INFO if told else logging.WARNING, "%s It is tried again later.", error)

    def _missing_room(self, folder: Path) -> int:
        """Free bytes that sealing may need, where there are fewer; otherwise 0."""
        needed_bytes = int(_journal_bytes(folder) * reserved_share(gzip_level=1))
        try:
            return needed_bytes if self._room(folder) < needed_bytes else 0
        except OSError:
            return 0

    def _room(self, folder: Path) -> int:
        """Free bytes, with those that sealing gives back before it begins."""
        return self._free_bytes(folder) + _set_aside_bytes(folder)

    def _drop(self, job: _Job) -> None:
        with self._lock:
            self._jobs.pop(job.folder, None)


def _order(folder: Path) -> tuple[str, Path]:
    """By the id, which begins with the time at which it was made; nobody's last."""
    try:
        header = first_header(folder)
    except (OSError, JournalVersionError):
        header = None
    return header.session_id if header else "~", folder


def _is_held(folder: Path) -> bool:
    """Whether another process records into a session or seals it."""
    try:
        with locked(folder):
            return False
    except FolderInUseError:
        return True
    except SealingError:
        return False  # what is wrong there will be told when it is tried


def _state(job: _Job) -> str:
    if job.held:
        return SEALING if (job.folder / PARTIAL_NAME).exists() else RECORDING
    return FAILED if job.failed else WAITING


def _set_aside_bytes(folder: Path) -> int:
    """Bytes of the disk that an earlier run holds for sealing, or has half sealed into."""
    n_bytes = 0
    for name in (RESERVATION_NAME, PARTIAL_NAME):
        with suppress(OSError):
            n_bytes += (folder / name).stat().st_blocks * STAT_BLOCK_BYTES
    return n_bytes


def _journal_bytes(folder: Path) -> int:
    try:
        return sum(path.stat().st_size for _, path in segment_paths(folder / JOURNAL_NAME))
    except OSError:
        return 0
