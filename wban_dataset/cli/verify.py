"""wban-dataset verify: whether sessions are as they were sealed."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from wban_dataset.cli.session import opened, plain
from wban_dataset.recording.errors import RecordingError
from wban_dataset.recording.folder_tree import session_folders
from wban_dataset.recording.receipts import Receipt, append_receipts
from wban_dataset.recording.sealed import SealedStore
from wban_dataset.recording.session import Session

CLEAN, FAILED, LOSSES = 0, 1, 3


@click.command()
@click.argument("sessions", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each session.")
@click.option(
    "--receipt",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Add a row for each sealed session that is intact, for 'wban-collect release'.",
)
def verify(sessions: tuple[Path, ...], as_json: bool, receipt: Path | None) -> None:
    """Check SESSIONS: counts, checksums, structure, and that evidence gives its stamps again.

    Each is a session's folder, a session.h5, or a folder with sessions below.

    Exit codes: 0 all intact and complete, 1 one is damaged, 3 one was recorded with losses.
    """
    if receipt is not None:
        append_receipts(receipt, [])  # before hours are spent on reading
    worst = CLEAN
    for path in _each(sessions):
        try:
            code = _verify(path, as_json, receipt)
        except RecordingError as error:
            click.echo(f"Error: {error}", err=True)
            code = FAILED
        worst = FAILED if FAILED in (worst, code) else max(worst, code)
    sys.exit(worst)


def _each(paths: Iterable[Path]) -> Iterator[Path]:
    """Sessions at or below each path; what is none is given as well, to be complained of."""
    for path in paths:
        below = list(session_folders(path)) if path.is_dir() else []
        yield from below or [path]


def _verify(path: Path, as_json: bool, receipt: Path | None) -> int:
    """Check one session, say what was found, return its exit code."""
    with opened(path) as session:
        report = session.verify()
        n_lost = {name: int(session.stream(name).attributes["n_lost"]) for name in session.streams}
        if report.ok and receipt is not None and isinstance(session.store, SealedStore):
            append_receipts(receipt, [_receipt_of(session.store)])
        if as_json:
            click.echo(json.dumps(_as_dict(session, report.problems, n_lost), default=plain))
        elif report.ok:
            click.echo(
                f"{report.path}: intact, {report.n_datasets} datasets, "
                f"{report.n_bytes / 1e6:.1f} MB{_losses(session, n_lost)}"
            )
        for problem in () if as_json else report.problems:
            click.echo(f"{report.path}: {problem}", err=True)
        if not report.ok:
            return FAILED
        return CLEAN if session.complete and not any(n_lost.values()) else LOSSES


def _receipt_of(store: SealedStore) -> Receipt:
    """Make the receipt of a sealed session whose every dataset and attribute was just checked."""
    return Receipt.now(str(store.root()["session_id"]), store.content_sha256(), store.path.parent)


def _losses(session: Session, n_lost: dict[str, int]) -> str:
    """List what is missing; nothing where nothing is."""
    text = ""
    if any(n_lost.values()):
        each = ", ".join(f"{name} {n}" for name, n in n_lost.items() if n)
        text += f"; {sum(n_lost.values())} samples were lost while recording ({each})"
    if session.recovered:
        tail_s = session.lost_tail_ns / 1e9
        text += f"; cut off: up to {tail_s:.1f} s may be missing at its end"
    elif not session.complete:
        text += "; records of its journal were damaged"
    return text


def _as_dict(session: Session, problems: tuple[str, ...], n_lost: dict[str, int]) -> dict[str, Any]:
    return {
        "session": str(session.path),
        "ok": not problems,
        "problems": problems,
        "n_lost": sum(n_lost.values()),
        "n_lost_by_stream": n_lost,
        "complete": bool(session.complete),
        "recovered": bool(session.recovered),
        "lost_tail_ns": int(session.lost_tail_ns),
        "end_reason": str(session.attributes["end_reason"]),
    }
