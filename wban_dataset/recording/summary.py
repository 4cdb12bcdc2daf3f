"""What sealed sessions say of themselves.

As a command, which the recorder runs as a child::

    python -m wban_dataset.recording.summary FOLDER...

It writes one line of JSON for each that can be read, and ends with 0, with 3 if one has losses, and
with 1 if one cannot be read.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from wban_dataset.recording.errors import DAMAGE, RecordingError, SessionError, damaged_inside
from wban_dataset.recording.sealed import SealedStore
from wban_dataset.recording.sealing import (
    EXIT_CLEAN,
    EXIT_FAILED,
    EXIT_LOSSES,
    lower_priority,
)
from wban_dataset.recording.session import Session
from wban_dataset.recording.summary_file import SessionSummary

__all__ = ["SessionSummary", "main", "summarise"]


def summarise(folder: Path | str) -> SessionSummary:
    """Summarise the sealed session in a folder; no sample is read but the first and last stamps.

    Raises
    ------
    SessionError
        If there is no sealed session, or it cannot be read.
    """
    try:
        with Session.open(folder) as session:
            return _summary_of(session)
    except DAMAGE as error:
        raise damaged_inside(folder, error) from error


def _summary_of(session: Session) -> SessionSummary:
    store = session.store
    if not isinstance(store, SealedStore):
        raise SessionError(
            f"session {session.path}: it is not sealed yet, expected a sealed one. "
            "Seal it with 'wban-collect seal'."
        )
    rows = {name: store.n_rows(name) for name in session.streams}
    return SessionSummary(
        session_id=str(session.session_id),
        boot_id=str(session.boot_id),
        subject=str(session.subject),
        activity=str(session.activity),
        start_utc=str(session.start_utc),
        started_monotonic_ns=int(session.started_monotonic_ns),
        duration_s=_duration_s(store, rows),
        n_lost=sum(int(store.stream_attributes(name)["n_lost"]) for name in rows),
        rows=rows,
        complete=bool(session.complete),
        recovered=bool(session.recovered),
        continues=str(session.continues),
        content_sha256=store.content_sha256(),
        n_bytes=store.path.stat().st_size,
        clock_synchronised=bool(session.clock_synchronised),
    )


def _duration_s(store: SealedStore, rows: dict[str, int]) -> float:
    """From the first stamp of any stream to the last."""
    firsts: list[int] = []
    lasts: list[int] = []
    for name, n_rows in rows.items():
        if n_rows:
            firsts.append(int(store.rows(name, "monotonic_ns", 0, 1)[0]))
            lasts.append(int(store.rows(name, "monotonic_ns", n_rows - 1, n_rows)[0]))
    return (max(lasts) - min(firsts)) / 1e9 if firsts else 0.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m wban_dataset.recording.summary")
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    n_failed = n_lossy = 0
    for folder in parser.parse_args(argv).folders:
        try:
            summary = summarise(folder)
        except (RecordingError, OSError) as error:
            sys.stderr.write(f"{error}\n")
            n_failed += 1
            continue
        n_lossy += not summary.clean
        sys.stdout.write(json.dumps({"folder": str(folder), **dataclasses.asdict(summary)}) + "\n")
    return EXIT_FAILED if n_failed else EXIT_LOSSES if n_lossy else EXIT_CLEAN


if __name__ == "__main__":
    lower_priority()
    sys.exit(main())
