"""Seals a finished recording in a child process of low priority: acquisition never loads HDF5."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wban_collect.errors import StorageError

SEALED = 0
SEALED_WITH_LOSSES = 3


@dataclass(frozen=True)
class SealOutcome:
    """How sealing ended.

    Attributes
    ----------
    exit_code
        0 clean, 3 sealed with losses.
    text
        For a person, one line per stream.
    report
        The same for a program.
    """

    exit_code: int
    text: str
    report: dict[str, Any] = field(default_factory=dict[str, Any])


def seal_session(folder: Path, on_progress: Callable[[float], None] | None = None) -> SealOutcome:
    """Seal the session in `folder`; the journal goes only after the sealed file was compared.

    Raises
    ------
    StorageError
        If it could not be sealed; the journal is kept, and sealing can be tried again.
    """
    command = [sys.executable, "-m", "wban_dataset.recording.sealing", str(folder), "--json"]
    # A session of its own: Ctrl-C at the terminal stops the recording, not its sealing.
    with subprocess.Popen(  # noqa: S603 - our own module, a path as one argument
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as child:
        report = _follow(child, on_progress)
        complaint = child.stderr.read().strip() if child.stderr else ""
    if child.returncode not in (SEALED, SEALED_WITH_LOSSES):
        raise StorageError(
            f"{folder} was recorded but not sealed: {complaint or 'the sealing process ended'} "
            f"Nothing is lost; try again with 'wban-collect seal {folder}'."
        )
    return SealOutcome(child.returncode, str(report.pop("text", "")), report)


def _follow(
    child: subprocess.Popen[str], on_progress: Callable[[float], None] | None
) -> dict[str, Any]:
    """Read the child's JSON lines: progress, and in the end the report."""
    report: dict[str, Any] = {}
    for line in child.stdout or ():
        message: dict[str, Any] = json.loads(line)
        if "progress" in message:
            if on_progress is not None:
                on_progress(float(message["progress"]))
        else:
            report = message
    return report
