"""Summaries of sealed sessions: from memory, from beside the session, or made by a child process.

What reads HDF5 runs in a process of its own, so that the recorder never loads it.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence, Set
from pathlib import Path

from wban_dataset.recording.summary_file import (
    SealedState,
    SessionSummary,
    parse_summary,
    read_summary,
    write_summary,
)

log = logging.getLogger(__name__)

BATCH = 200
"""Sessions that one child reads: it takes longer to start than to read one."""

TIMEOUT_S = 300.0


class Summaries:
    """Keeps each summary in memory and beside its session; may be used from any thread."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[SealedState, SessionSummary | None]] = {}

    def kept(self, folder: Path) -> SessionSummary | None:
        """Give the summary of a sealed session where it need not be made."""
        state = _state_of(folder)
        return self._kept(folder, state) if state else None

    def of(self, folders: Iterable[Path]) -> dict[Path, SessionSummary]:
        """Give the summaries of sealed sessions, in their order; those that are none are left out.

        A summary that cannot be kept beside its session is no error.
        """
        states = {folder: state for folder in folders if (state := _state_of(folder))}
        missing = [folder for folder, state in states.items() if not self._is_known(folder, state)]
        for start in range(0, len(missing), BATCH):
            self._make({folder: states[folder] for folder in missing[start : start + BATCH]})
        found = {folder: self._kept(folder, state) for folder, state in states.items()}
        return {folder: summary for folder, summary in found.items() if summary is not None}

    def forget_all_but(self, folders: Set[Path]) -> None:
        """Free the memory of what is there no more."""
        for folder in list(self._known):
            if folder not in folders:
                self._known.pop(folder, None)

    def _is_known(self, folder: Path, state: SealedState) -> bool:
        """Whether there is a summary, or none can be made."""
        return self._kept(folder, state) is not None or self._known.get(folder) == (state, None)

    def _kept(self, folder: Path, state: SealedState) -> SessionSummary | None:
        known = self._known.get(folder)
        if known is None or known[0] != state:
            summary = read_summary(folder, state)
            if summary is None:
                return None
            self._known[folder] = known = (state, summary)
        return known[1]

    def _make(self, states: dict[Path, SealedState]) -> None:
        try:
            made = dict(_made(list(states)))
        except (OSError, subprocess.SubprocessError) as error:
            log.info("sessions cannot be summarised: %s", error)
            return
        for folder, state in states.items():
            summary = made.get(folder)
            self._known[folder] = (state, summary)
            if summary is None:
                continue
            try:
                write_summary(folder, state, summary)
            except OSError as error:
                log.debug("%s: its summary is not kept: %s", folder, error)


def _state_of(folder: Path) -> SealedState | None:
    try:
        return SealedState.of(folder)
    except OSError:
        return None


def _made(folders: Sequence[Path]) -> Iterator[tuple[Path, SessionSummary]]:
    """Run the child; it says nothing of a session that cannot be read."""
    command = [sys.executable, "-m", "wban_dataset.recording.summary", "--"]
    done = subprocess.run(  # noqa: S603 - our own module, paths as arguments
        [*command, *map(str, folders)],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        errors="replace",
        timeout=TIMEOUT_S,
        start_new_session=True,
        check=False,
    )
    if done.returncode < 0:
        raise subprocess.CalledProcessError(done.returncode, command)
    log.debug("%s", done.stderr.strip())
    for line in done.stdout.splitlines():
        try:
            yield parse_summary(line)
        except (ValueError, KeyError, TypeError):
            log.debug("not a summary: %s", line)
