"""wban-dataset verify: whether sessions are as they were sealed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import click
import numpy as np

from wban_dataset.cli.session import in_use, opened, plain
from wban_dataset.recording.errors import RecordingError
from wban_dataset.recording.folder_tree import session_folders
from wban_dataset.recording.receipts import Receipt, append_receipts, check_appendable
from wban_dataset.recording.sealed import SealedStore
from wban_dataset.recording.session import Session
from wban_dataset.recording.verification import VerifyReport
from wban_dataset.recording.wording import counted, printable

CLEAN, FAILED, LOSSES, UNSEALED = 0, 1, 3, 4
SEVERITY = (CLEAN, UNSEALED, LOSSES, FAILED)
"""Exit codes, the one that prevails last."""

SEALED, WAITING, IN_USE = "sealed", "not sealed yet", "being recorded or sealed now"


@click.command()
@click.argument("sessions", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each session.")
@click.option(
    "--receipt",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Add a row for each sealed session that is intact, for 'wban-collect release'.",
)
def verify(sessions: tuple[Path, ...], as_json: bool, receipt: Path | None) -> None:
    """Check SESSIONS: counts, checksums, structure, stamps.

    Each is a session's folder, a session.h5, or a folder with sessions below. Stamps are made again
    from their evidence. Of a session that is not sealed yet only what its journal holds so far is
    checked; it gets no receipt.

    Exit codes: 0 all intact and complete, 1 one is damaged, 3 one was recorded with losses, 4 one
    is not sealed yet and has no losses so far. Of several 1 prevails, then 3, then 4.
    """
    if receipt is not None:
        check_appendable(receipt)  # before hours are spent on reading
    worst = CLEAN
    for path in _each(sessions):
        try:
            code = _verify(path, as_json, receipt)
        except RecordingError as error:
            click.echo(f"Error: {error}", err=True)
            code = FAILED
        worst = max(worst, code, key=SEVERITY.index)
    sys.exit(worst)


def _each(paths: Iterable[Path]) -> Iterator[Path]:
    """Sessions at or below each path; what is none is given as well, to be complained of."""
    for path in paths:
        below = list(session_folders(path)) if path.is_dir() else []
        yield from below or [path]


@dataclass(frozen=True)
class _Losses:
    """What a recording lost.

    Attributes
    ----------
    n_lost
        Samples by stream, as far as their number is known.
    n_unknown
        Gaps of which nobody knows how many samples they cost.
    is_cut_off
        It ended without an end record, and is not being recorded.
    is_damaged
        Records of its journal were lost.
    """

    n_lost: dict[str, int]
    n_unknown: int
    is_cut_off: bool
    is_damaged: bool
    tail_s: float

    @classmethod
    def of(cls, session: Session, state: str) -> Self:
        n_lost = {name: int(session.stream(name).attributes["n_lost"]) for name in session.streams}
        gaps = session.gaps
        starts, stops, missing = (
            np.asarray(gaps[name]) for name in ("start_ns", "stop_ns", "n_missing")
        )
        of_no_stream = np.array([not name for name in gaps["stream"]], dtype=np.bool_)
        # The torn end of a recording without an end record is no gap: its lost tail bounds it.
        torn_end = of_no_stream & (starts == stops) & bool(session.recovered)
        n_unknown = np.count_nonzero((missing < 0) & ~torn_end)
        return cls(
            n_lost,
            int(n_unknown),
            is_cut_off=bool(session.recovered) and state != IN_USE,
            is_damaged=not session.complete and not session.recovered,
            tail_s=session.lost_tail_ns / 1e9,
        )

    def __bool__(self) -> bool:
        return any((any(self.n_lost.values()), self.n_unknown, self.is_cut_off, self.is_damaged))

    def __str__(self) -> str:
        """List what is missing; nothing where nothing is."""
        text, n_known = "", sum(self.n_lost.values())
        if n_known:
            each = ", ".join(f"{printable(name)} {n}" for name, n in self.n_lost.items() if n)
            least = "at least " if self.n_unknown else ""
            were = "was" if n_known == 1 else "were"
            text += f"; {least}{counted(n_known, 'sample')} {were} lost while recording ({each})"
        if self.n_unknown:
            text += f"; an unknown number of samples was lost in {counted(self.n_unknown, 'gap')}"
        if self.is_cut_off:
            text += f"; cut off: up to {self.tail_s:.1f} s may be missing at its end"
        elif self.is_damaged:
            text += "; records of its journal were damaged"
        return text


def _verify(path: Path, as_json: bool, receipt: Path | None) -> int:
    """Check one session, say what was found, return its exit code."""
    with opened(path) as session:
        state = _state(session)
        report = session.verify()
        losses = _Losses.of(session, state)
        if report.ok and receipt is not None and isinstance(session.store, SealedStore):
            append_receipts(receipt, [_receipt_of(session.store)])
        if as_json:
            click.echo(json.dumps(_as_dict(session, state, report, losses), default=plain))
        elif report.ok:
            click.echo(f"{report.path}: {_intact(session, state, report)}{losses}")
        for problem in () if as_json else report.problems:
            click.echo(f"{report.path}: {printable(problem)}", err=True)
    if not report.ok:
        return FAILED
    if losses:
        return LOSSES
    return CLEAN if state == SEALED else UNSEALED


def _state(session: Session) -> str:
    if session.is_sealed:
        return SEALED
    return IN_USE if in_use(session.path) else WAITING


def _intact(session: Session, state: str, report: VerifyReport) -> str:
    """Say what was checked and found as it should be."""
    n_mb = f"{report.n_bytes / 1e6:.1f} MB"
    if state == SEALED:
        return f"intact, {counted(report.n_datasets, 'dataset')}, {n_mb}"
    n_streams = counted(len(session.streams), "stream")
    return (
        f"{state}; what its journal holds so far is intact: checksums of its records, {n_mb}, "
        f"counts and stamps of {n_streams}"
    )


def _receipt_of(store: SealedStore) -> Receipt:
    """Make the receipt of a sealed session whose every dataset and attribute was just checked."""
    return Receipt.now(str(store.root()["session_id"]), store.content_sha256(), store.path.parent)


def _as_dict(session: Session, state: str, report: VerifyReport, losses: _Losses) -> dict[str, Any]:
    return {
        "session": str(session.path),
        "state": state,
        "ok": report.ok,
        "problems": report.problems,
        "n_lost": sum(losses.n_lost.values()),
        "n_lost_by_stream": losses.n_lost,
        "n_gaps_of_unknown_size": losses.n_unknown,
        "complete": bool(session.complete),
        "recovered": bool(session.recovered),
        "lost_tail_ns": int(session.lost_tail_ns),
        "end_reason": str(session.attributes["end_reason"]),
    }
