"""Whoever wants to know how a recording goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from wban_collect.storage import Commit, StreamCount
from wban_dataset.recording.streams import (
    Gap,
    Label,
    Mark,
    SampleBlock,
    SessionHeader,
    StreamSpec,
)

Observed = SampleBlock | Gap | StreamSpec | Label | Mark


@dataclass
class Progress:
    """What a recording is doing, for whoever shows it."""

    folder: Path | None = None
    header: SessionHeader | None = None
    label: str = ""
    n_sessions: int = 0
    started_ns: int = 0
    now_ns: int = 0
    free_bytes: int = 0
    degraded: tuple[str, ...] = ()
    counts: dict[str, StreamCount] = field(default_factory=dict[str, StreamCount])
    failures: dict[str, Exception] = field(default_factory=dict[str, Exception])


def _unnoticed(*_: object) -> None:
    """Nobody watches."""


def _always() -> bool:
    return True


@dataclass(frozen=True)
class Audience:
    """Who is told what, each from the thread that does it; none of them may wait.

    Attributes
    ----------
    progress
        About ten times a second of real time, from the thread that called `Recorder.run`.
    commit
        After every fsync.
    output
        Every block, gap, stream, label and mark.
    opened, closed
        A session that begins, and a folder that can be sealed from now on.
    may_change
        Asked before a next session begins; while it says no, the present one goes on.
    """

    progress: Callable[[Progress], None] = _unnoticed
    commit: Callable[[Commit], None] = _unnoticed
    output: Callable[[Observed], None] = _unnoticed
    opened: Callable[[SessionHeader, Path], None] = _unnoticed
    closed: Callable[[Path], None] = _unnoticed
    may_change: Callable[[], bool] = _always
