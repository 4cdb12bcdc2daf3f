"""rsync: which sealed sessions a place has, and their files."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from wban_dataset.recording.layout import (
    CLOCK_SIDECAR,
    FILE_NAME,
    JOURNAL_NAME,
    LABELS_SIDECAR,
    UNREADABLE_ENDING,
)
from wban_dataset.transfer.connection import Connection
from wban_dataset.transfer.errors import FetchError, TransferError
from wban_dataset.transfer.place import Place

FETCHED = (FILE_NAME, LABELS_SIDECAR, CLOCK_SIDECAR)
TIMEOUT_S = 60
NO_SPACE = "No space left on device"
CUT = frozenset({10, 12, 20, 30, 35, 255})
"""Exit codes of a connection that was lost (rsync(1), EXIT VALUES; 255 is ssh's own)."""

_LISTED = re.compile(r"(?P<type>[-dlpscbD])\S+ +(?P<size>[\d,]+) \S+ \S+ (?P<path>.+)")
_ESCAPED = re.compile(r"\\#([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Listed:
    """A sealed session at the other end.

    Attributes
    ----------
    path
        Relative to the place; "." where the place is the session itself.
    n_bytes
        Of its file.
    """

    path: str
    n_bytes: int


class Rsync:
    """Copies from a place.

    Parameters
    ----------
    connection
        To its host; None for this machine.
    """

    def __init__(self, place: Place, connection: Connection | None) -> None:
        self._place = place
        self._connection = connection

    def sealed_sessions(self) -> list[Listed]:
        """List the sessions that have their file and no journal, by their paths.

        Raises
        ------
        TransferError
            If the place cannot be looked into.
        """
        filters = [
            *("--exclude=.*", f"--exclude=*{UNREADABLE_ENDING}*", "--include=*/"),
            *(f"--include={FILE_NAME}", "--exclude=*"),
        ]
        done = self._run([*filters, "--list-only", "--no-human-readable"], "")
        if done.returncode:
            raise self._failure(done, f"{self._place}", TransferError)
        found = [_LISTED.fullmatch(line) for line in done.stdout.splitlines()]
        entries = {_path(match["path"]): match for match in found if match}
        journals = {path for path, match in entries.items() if match["type"] == "d"}
        sealed: list[Listed] = []
        for path, match in sorted(entries.items()):
            folder, _, name = path.rpartition("/")
            journal = f"{folder}/{JOURNAL_NAME}" if folder else JOURNAL_NAME
            if match["type"] == "-" and name == FILE_NAME and journal not in journals:
                size = int(match["size"].replace(",", ""))
                sealed.append(Listed(_safe(self._place, folder or "."), size))
        return sealed

    def fetch(self, session: Listed, into: Path, *, like: Path | None, anew: bool = False) -> None:
        """Copy a session's files into a folder, which is made; what a cut copy left is used.

        Parameters
        ----------
        like
            Folder whose files are linked to where they are the same by size and time.
        anew
            Compare content instead, so that a damaged copy is mended.

        Raises
        ------
        FetchError
            If the connection was lost, or files cannot be read.
        TransferError
            If nothing more can be moved.
        """
        into.mkdir(parents=True, exist_ok=True)
        options = ["--partial", "--exclude=*/", *(f"--include={name}" for name in FETCHED)]
        options += ["--exclude=*"]
        if like is not None:
            options.append(f"--link-dest={like.absolute()}")
        if anew:
            options.append("--checksum")
        done = self._run(options, session.path, into)
        if done.returncode:
            raise self._failure(done, f"session {self._place.below(session.path)}", FetchError)

    def _run(
        self, options: Sequence[str], relative: str, into: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        command = [
            *("rsync", "--recursive", "--times", "--secluded-args", f"--timeout={TIMEOUT_S}"),
            "--8-bit-output",
        ]
        if self._connection is not None:
            shell = " ".join(_word(word) for word in self._connection.command())
            command.append(f"--rsh={shell}")
        command += [*options, "--", self._place.below(relative or ".")]
        command += [f"{into.absolute()}/"] if into is not None else []
        try:
            return subprocess.run(  # noqa: S603 - a list, no shell
                command,
                capture_output=True,
                check=False,
                encoding="utf-8",
                errors="surrogateescape",
                stdin=subprocess.DEVNULL,
                env={**os.environ, "LC_ALL": "C"},
            )
        except FileNotFoundError as error:
            raise TransferError(
                "rsync cannot be started, expected it here and on the other machine. "
                "Install it: apt install rsync."
            ) from error

    def _failure(
        self,
        done: subprocess.CompletedProcess[str],
        what: str,
        otherwise: type[TransferError],
    ) -> TransferError:
        """Say in a sentence why rsync has failed."""
        reason = _reason(done.stderr)
        if NO_SPACE in done.stderr:
            return TransferError(
                f"{what}: the disk here is full, expected room for the copy. Make room and pull "
                "again: what has arrived is kept and goes on from there."
            )
        if done.returncode in CUT:
            return FetchError(
                f"{what}: the connection was lost ({reason}), expected it to last. Pull again: "
                "what has arrived is kept and goes on from there."
            )
        return otherwise(
            f"{what}: it cannot be copied ({reason}), expected a folder that may be read. "
            "Check the path, and the rights at the other end."
        )


def _reason(complaints: str) -> str:
    """Give the first complaint: what follows is consequence."""
    lines = [line.strip() for line in complaints.splitlines() if line.strip()]
    shown = lines[0] if lines else "no reason was given"
    return re.sub(r"^rsync: |^\[[^]]*\] ", "", shown).rstrip(".")[:200]


def _path(listed: str) -> str:
    """Undo how rsync writes what cannot be printed."""
    return _ESCAPED.sub(lambda match: chr(int(match[1], 8)), listed)


def _safe(place: Place, path: str) -> str:
    """Refuse a path that leads elsewhere or cannot be shown; whoever is there may be malicious."""
    parts = path.split("/")
    if path != "." and (not path.isprintable() or {"", ".", ".."} & set(parts)):
        raise TransferError(
            f"{place}: it has a folder {path[:80]!r}, expected names that can be shown and lead "
            "below it. Rename it there."
        )
    return path


def _word(word: str) -> str:
    """Write a word as rsync reads it in ``--rsh``: quotes are doubled, there are no escapes."""
    return "'" + word.replace("'", "''") + "'" if re.search(r"[\s'\"]", word) else word
