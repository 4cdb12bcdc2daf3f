"""Seals a finished recording in a child process of low priority: acquisition never loads HDF5."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wban_collect.errors import StorageError
from wban_dataset.recording.layout import JOURNAL_NAME

log = logging.getLogger(__name__)

SEALED = 0
SEALED_WITH_LOSSES = 3


@dataclass(frozen=True)
class SealOutcome:
    """How sealing ended.

    Attributes
    ----------
    exit_code
        0 clean, 3 sealed with losses.
    report
        What `wban_dataset.recording.sealing.SealReport` says, as plain values.
    """

    folder: Path
    exit_code: int
    report: dict[str, Any]

    @property
    def text(self) -> str:
        """The report for a person, a line per stream."""
        lines = [f"sealed {self.report['path']} ({self.report['file_bytes'] / 1e6:.1f} MB)"]
        for name, n_rows in self.report["rows"].items():
            n_lost = self.report["n_lost"].get(name, 0)
            lines.append(f"  {name:12} {n_rows:9} samples, {n_lost} lost")
        if self.report["recovered"]:
            tail_s = self.report["lost_tail_ns"] / 1e9
            lines.append(f"  cut off: up to {tail_s:.1f} s may be missing at its end")
        elif not self.report["complete"]:
            lines.append("  records of its journal were damaged: see 'wban-dataset inspect'")
        lines += [f"  {warning}" for warning in self.report["warnings"]]
        return "\n".join(lines)


def seal_session(
    folder: Path,
    on_progress: Callable[[float], None] | None = None,
    on_child: Callable[[subprocess.Popen[str]], None] | None = None,
) -> SealOutcome:
    """Seal the session in `folder`; the journal goes only after the sealed file was compared.

    Parameters
    ----------
    on_progress
        Told the part that is done, 0 to 1.
    on_child
        Given the process as soon as it runs, for whoever may want to end it.

    Raises
    ------
    StorageError
        If it could not be sealed; the journal is kept, and sealing can be tried again.
    """
    command = [sys.executable, "-m", "wban_dataset.recording.sealing", str(folder), "--progress"]
    # A process group of its own: Ctrl-C at the terminal stops the recording, not its sealing.
    # What it says on stderr goes to a file: a pipe that nobody reads meanwhile could fill up.
    with (
        tempfile.TemporaryFile("w+") as stderr,
        subprocess.Popen(  # noqa: S603 - our own module, a path as one argument
            command,
            stdout=subprocess.PIPE,
            stderr=stderr,
            stdin=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        ) as child,
    ):
        if on_child is not None:
            on_child(child)
        last_line = _follow(child, on_progress)
        child.wait()
        stderr.seek(0)
        complaint = stderr.read().strip()
    log.debug("%s", complaint)
    if child.returncode not in (SEALED, SEALED_WITH_LOSSES):
        raise StorageError(_why_not(folder, child.returncode, complaint))
    return SealOutcome(folder, child.returncode, json.loads(last_line))


def _why_not(folder: Path, exit_code: int, complaint: str) -> str:
    """Say in a sentence or two why a session was not sealed."""
    if not (folder / JOURNAL_NAME).is_dir():
        return complaint
    if exit_code < 0:
        complaint = f"the sealing process was ended by signal {-exit_code}."
    lines = complaint.splitlines() or ["the sealing process ended."]
    # Of a traceback, which only a defect leaves, the last line says what it was.
    return (
        f"{folder} was recorded but not sealed: {lines[-1]} "
        f"Nothing is lost; try again with 'wban-collect seal {folder}'."
    )


def _follow(child: subprocess.Popen[str], on_progress: Callable[[float], None] | None) -> str:
    """Read the child's lines of progress, 'done total'; the last line is its report."""
    line = ""
    for line in child.stdout or ():
        done, _, total = line.partition(" ")
        if on_progress is not None and done.isdigit() and total.strip().isdigit():
            on_progress(int(done) / max(int(total), 1))
    return line
