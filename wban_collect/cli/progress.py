"""What a person or a program sees while a recording runs."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

import click
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from wban_collect.audience import Progress
from wban_collect.storage import Commit

REFRESH_S = 0.25
RATE_OVER_S = 3.0


class CommitLines:
    """For programs: one JSON object a line for every fsync.

    Whoever reads the lines may go away; the recording goes on.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def show(self, progress: Progress) -> None:
        """Say where the session is, as soon as it is."""
        if progress.folder is not None and not hasattr(self, "_folder"):
            self._folder = progress.folder
            _say({"recording": str(progress.folder)})

    def committed(self, commit: Commit) -> None:
        """Say what is acknowledged: this many rows of each stream are on the disk."""
        _say(
            {
                "acknowledged": commit.sequence,
                "monotonic_ns": commit.monotonic_ns,
                "fsync_ns": commit.duration_ns,
                "rows": commit.n_rows,
            }
        )

    def sealing(self, fraction: float) -> None:
        """Nothing: the result follows."""


def _say(line: dict[str, Any]) -> None:
    with suppress(OSError):
        click.echo(json.dumps(line))


class ProgressDisplay:
    """For people: a line per stream with rate, losses and age; drawn only on a terminal."""

    def __init__(self, capacity: str) -> None:
        self._console = Console(stderr=True)
        self._live = Live(console=self._console, refresh_per_second=4, transient=True)
        self._capacity = capacity
        self._drawn_s = 0.0
        self._history: dict[str, list[tuple[int, int]]] = {}

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    def show(self, progress: Progress) -> None:
        """Draw the recording, at most four times a second."""
        now_s = time.monotonic()
        if not self._console.is_terminal or now_s - self._drawn_s < REFRESH_S:
            return
        self._drawn_s = now_s
        self._live.update(
            Group(self._title(progress), self._table(progress), Text(self._capacity, style="dim"))
        )

    def committed(self, commit: Commit) -> None:
        """Nothing: the table shows it."""

    def sealing(self, fraction: float) -> None:
        """Show how far sealing is."""
        if self._console.is_terminal:
            end = "\n" if fraction >= 1 else "\r"
            self._console.print(f"sealing {fraction:4.0%}", end=end)

    def _title(self, progress: Progress) -> Text:
        elapsed_s = (progress.now_ns - progress.started_ns) / 1e9
        if progress.folder is None:
            return Text(f"waiting for the devices, {elapsed_s:.0f} s")
        minutes, seconds = divmod(int(elapsed_s), 60)
        return Text(
            f"recording {minutes}:{seconds:02d}  {progress.folder}  (Ctrl-C ends and seals)"
        )

    def _table(self, progress: Progress) -> Table:
        table = Table(box=None, pad_edge=False)
        table.add_column("stream")
        for name in ("rate Hz", "rows", "on disk", "lost", "age s", "MB"):
            table.add_column(name, justify="right")
        for name, count in sorted(progress.counts.items()):
            age_s = (progress.now_ns - count.newest_ns) / 1e9
            table.add_row(
                name,
                f"{self._rate_hz(name, count.newest_ns, count.n_rows):.1f}",
                str(count.n_rows),
                str(count.n_acknowledged),
                Text(str(count.n_lost), style="bold red" if count.n_lost else ""),
                f"{age_s:.1f}",
                f"{count.n_bytes / 1e6:.1f}",
            )
        for name, error in progress.failures.items():
            table.add_row(Text(name, style="red"), Text(str(error), style="red", overflow="fold"))
        return table

    def _rate_hz(self, stream: str, newest_ns: int, n_rows: int) -> float:
        """Rate over the last few seconds of samples, whenever they were written."""
        history = self._history.setdefault(stream, [])
        history.append((newest_ns, n_rows))
        while len(history) > 2 and newest_ns - history[0][0] > RATE_OVER_S * 1e9:
            history.pop(0)
        elapsed_ns = newest_ns - history[0][0]
        return (n_rows - history[0][1]) * 1e9 / elapsed_ns if elapsed_ns else 0.0
