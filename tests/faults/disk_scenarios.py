"""A disk that fills, or becomes read-only, at any call of a recording; and one that is slow."""

from __future__ import annotations

import dataclasses
import errno
import functools
import itertools
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

from tests.faults.disks import FailingDisk
from tests.faults.hardware import SECOND_NS, Hardware
from tests.faults.recording import START_NS, prepare, read
from tests.faults.scenarios import DURATION_S, n_changed, undisturbed
from wban_collect.errors import StorageError
from wban_collect.recorder import Audience, Parts, Plan, Recorder
from wban_collect.storage import Commit
from wban_dataset.recording.journal import JournalWriter
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.streams import SessionHeader

RECORDED_S = 12.0
SESSION_NS = 6 * SECOND_NS
SEGMENT_NS = 2 * SECOND_NS
COMMIT_INTERVAL_NS = SECOND_NS // 2

SLOW_SYNC_NS = 2 * SECOND_NS

DISK_FULL, READ_ONLY = errno.ENOSPC, errno.EROFS
RARE_CALLS = ("open", "fallocate", "fsync of a folder")


@dataclass(frozen=True)
class DiskOutcome:
    """How a recording ended whose disk failed at one call.

    Attributes
    ----------
    call
        What was called; "" where the recording was over before.
    ending
        "refused", or the reason that the recording gives for its end.
    n_sessions, n_in_order
        Sessions that were begun; of these, those that were ended in order, with no record damaged.
    n_acknowledged, n_sealed
        Rows, over all streams and sessions.
    n_lost
        Acknowledged rows that are not in the sealed files.
    left_over
        What a refused recording has left on the disk.
    """

    place: int
    call: str
    ending: str
    n_sessions: int = 0
    n_in_order: int = 0
    n_acknowledged: int = 0
    n_sealed: int = 0
    n_lost: int = 0
    left_over: tuple[str, ...] = ()
    message: str = ""


@dataclass
class Witness:
    """What a recorder said while it ran."""

    folders: dict[str, Path] = field(default_factory=dict)
    acknowledged: dict[str, dict[str, int]] = field(default_factory=dict)

    def audience(self) -> Audience:
        """Give who listens to the recorder."""
        return Audience(commit=self._note_commit, opened=self._note_opened)

    def _note_commit(self, commit: Commit) -> None:
        self.acknowledged[commit.session_id] = dict(commit.n_rows)

    def _note_opened(self, header: SessionHeader, folder: Path) -> None:
        self.folders[header.session_id] = folder


def short_recording(out: Path) -> tuple[Parts, Plan]:
    """Put together two sessions of 6 s, without a gap between them, in segments of 2 s."""
    parts, plan = prepare(out, Hardware(start_ns=START_NS), duration_s=RECORDED_S)
    return parts, dataclasses.replace(
        plan,
        session_ns=SESSION_NS,
        segment_ns=SEGMENT_NS,
        commit_interval_ns=COMMIT_INTERVAL_NS,
        keep_free_bytes=0,
    )


@functools.cache
def calls(code: int) -> list[str]:
    """Name the calls of a recording that can fail so, when none does."""
    with tempfile.TemporaryDirectory() as folder:
        disk = FailingDisk(Path(folder))
        with disk.in_place():
            Recorder(*short_recording(Path(folder) / "out")).run()
        return disk.calls[: disk.n_before_room] if code == DISK_FULL else disk.calls


def places(n: int, code: int) -> list[int]:
    """Choose `n` calls, or more: every one of `RARE_CALLS`, others from the first to the last."""
    named = calls(code)
    rare = [k for k, name in enumerate(named) if name in RARE_CALLS]
    others = [k for k, name in enumerate(named) if name not in RARE_CALLS]
    n_others = min(max(n - len(rare), 2), len(others))
    spread = [others[round(k * (len(others) - 1) / (n_others - 1))] for k in range(n_others)]
    return sorted(rare + spread)


def fail_at(place: int, code: int) -> DiskOutcome:
    """Record until the disk fails at a call; mend it, seal, and look for what was acknowledged."""
    witness = Witness()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        disk = FailingDisk(Path(folder), place, code)
        recorder = Recorder(*short_recording(out), witness.audience())
        try:
            with disk.in_place():
                recorder.run()
        except StorageError as error:
            left = tuple(sorted(str(path) for path in out.rglob("*"))) if out.exists() else ()
            return DiskOutcome(place, disk.met, "refused", left_over=left, message=str(error))
        return _sealed(place, disk.met, recorder.stop_reason, witness)


def _sealed(place: int, call: str, ending: str, witness: Witness) -> DiskOutcome:
    """Seal every session of a recording and compare with what was acknowledged."""
    reports = {name: seal(folder) for name, folder in witness.folders.items()}
    lost = [
        max(0, n_rows - reports[session].rows.get(stream, 0))
        for session, rows in witness.acknowledged.items()
        for stream, n_rows in rows.items()
    ]
    return DiskOutcome(
        place,
        call,
        ending,
        n_sessions=len(reports),
        n_in_order=sum(report.complete for report in reports.values()),
        n_acknowledged=sum(sum(rows.values()) for rows in witness.acknowledged.values()),
        n_sealed=sum(sum(report.rows.values()) for report in reports.values()),
        n_lost=sum(lost),
    )


@dataclass(frozen=True)
class SlowDiskOutcome:
    """A recording whose every fsync takes 2 s.

    Attributes
    ----------
    n_syncs
        How many there were.
    n_changed
        By stream, rows of the recording on a quick disk that are not there to the bit.
    longest_unsafe_s
        Longest time between two commits: what a power cut would have taken.
    """

    n_syncs: int
    n_changed: dict[str, int]
    longest_unsafe_s: float


def record_on_a_slow_disk() -> SlowDiskOutcome:
    """Record all streams for a minute."""
    commits_ns: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        hardware = Hardware(start_ns=START_NS)
        parts, plan = prepare(Path(folder) / "out", hardware, duration_s=DURATION_S)
        plan = dataclasses.replace(plan, commit_interval_ns=COMMIT_INTERVAL_NS)
        clock = parts.storage_clock

        def slow(_fd: int) -> None:
            clock.sleep_until_ns(clock.monotonic_ns() + SLOW_SYNC_NS)

        audience = Audience(commit=lambda commit: commits_ns.append(commit.monotonic_ns))
        with mock.patch.dict(JournalWriter.__init__.__kwdefaults__, {"sync": slow}):
            session = Recorder(parts, plan, audience).run()
        seal(session)
        found = read(session, hardware).streams
    whole = undisturbed().streams
    changed = {name: n_changed(stream, found[name]) for name, stream in whole.items()}
    between_ns = [after - before for before, after in itertools.pairwise(commits_ns)]
    return SlowDiskOutcome(len(commits_ns), changed, max(between_ns) / 1e9)
