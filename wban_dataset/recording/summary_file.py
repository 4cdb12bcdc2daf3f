"""``summary.json`` beside a sealed session: what its file says of itself, without opening it.

It is made from the session and can be made again any time; whatever it does not fit to is ignored.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from wban_dataset.recording.layout import CLOCK_SIDECAR, FILE_NAME, SUMMARY_NAME
from wban_dataset.recording.whole_file import write_whole

VERSION = 1
MAX_BYTES = 1 << 20


@dataclass(frozen=True)
class SessionSummary:
    """What is to be known of a sealed session where many are listed.

    Attributes
    ----------
    start_utc
        ISO 8601, ``clock.csv`` applied; "" where the true time was never known.
    duration_s
        From the first sample of any stream to the last.
    rows
        Samples by stream; `n_lost` is of all streams together.
    content_sha256
        Digest of all that was sealed, as the file states it.
    n_bytes
        Size of the file.
    """

    session_id: str
    boot_id: str
    subject: str
    activity: str
    start_utc: str
    started_monotonic_ns: int
    duration_s: float
    n_lost: int
    rows: dict[str, int]
    complete: bool
    recovered: bool
    continues: str
    content_sha256: str
    n_bytes: int
    clock_synchronised: bool

    @property
    def clean(self) -> bool:
        """Whether nothing is missing."""
        return self.complete and self.n_lost == 0


@dataclass(frozen=True, slots=True)
class SealedState:
    """What a summary depends on; a summary of another state is of no use."""

    n_bytes: int
    modified_ns: int
    clock_modified_ns: int

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Look at the files of a sealed session; raises `OSError` where there is none."""
        file = (folder / FILE_NAME).stat()
        try:
            clock_ns = (folder / CLOCK_SIDECAR).stat().st_mtime_ns
        except FileNotFoundError:
            clock_ns = 0
        return cls(file.st_size, file.st_mtime_ns, clock_ns)


@dataclass(frozen=True)
class _Kept:
    """The content of the file."""

    version: int
    state: SealedState
    summary: SessionSummary


def read_summary(folder: Path, state: SealedState) -> SessionSummary | None:
    """Read the summary beside a session; None where there is none of this state of it."""
    try:
        with (folder / SUMMARY_NAME).open("rb") as file:
            kept = msgspec.convert(json.loads(file.read(MAX_BYTES)), _Kept)
    except (OSError, ValueError, RecursionError):
        return None
    return kept.summary if (kept.version, kept.state) == (VERSION, state) else None


def write_summary(folder: Path, state: SealedState, summary: SessionSummary) -> None:
    """Keep a summary beside its session.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    content = json.dumps(dataclasses.asdict(_Kept(VERSION, state, summary)), indent=1)
    write_whole(folder / SUMMARY_NAME, content.encode() + b"\n")


def parse_summary(line: str) -> tuple[Path, SessionSummary]:
    """Understand a line that ``python -m wban_dataset.recording.summary`` prints.

    Raises
    ------
    ValueError
        If it is none.
    """
    found: Any = json.loads(line)
    return Path(msgspec.convert(found["folder"], str)), msgspec.convert(found, SessionSummary)
