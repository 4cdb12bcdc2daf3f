"""wban-dataset inspect and plot: one session."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import click
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from wban_dataset.recording.errors import (
    DAMAGE,
    FolderInUseError,
    JournalContentError,
    SealingError,
    SessionError,
    damaged_inside,
)
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.layout import FILE_NAME
from wban_dataset.recording.probe import probe
from wban_dataset.recording.session import Session
from wban_dataset.recording.wording import counted, printable

session_argument = click.argument("session", type=click.Path(exists=True, path_type=Path))

QUALITY = {
    "rate Hz": ("effective_rate_hz", "{:.3f}", 1.0),
    "latency p50 ms": ("jitter_p50_ns", "{:.3f}", 1e-6),
    "p99 ms": ("jitter_p99_ns", "{:.3f}", 1e-6),
    "gaps": ("n_gaps", "{:.0f}", 1.0),
    "lost": ("n_lost", "{:.0f}", 1.0),
    "clipped %": ("clipped_fraction", "{:.2f}", 100.0),
    "uncertainty p99 ms": ("unc_p99_ns", "{:.3f}", 1e-6),
}
"""Columns of the table: figure of quality, how it is written, factor."""

MOST_LINES = 20
"""Of gaps and of marks."""


@click.command()
@session_argument
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def inspect(session: Path, as_json: bool) -> None:
    """Show what is in SESSION and how good it is.

    SESSION is a folder or a session.h5. An unsealed session is read straight from its journal.
    """
    with opened(session) as found:
        if as_json:
            click.echo(json.dumps(_as_dict(found), default=plain))
        else:
            _show(found)


@click.command()
@session_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="PNG, SVG or PDF, by its ending.",
)
def plot(session: Path, output: Path) -> None:
    """Draw SESSION: streams on one time axis, labels, gaps."""
    if output.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise click.BadParameter(
            f"{output.name!r} ends in {output.suffix!r}; expected .png, .svg or .pdf.",
            param_hint="--output",
        )
    try:
        from wban_dataset.figures.overview import save_overview
    except ModuleNotFoundError as error:
        raise SessionError(
            f"drawing needs {error.name}, which is not installed; "
            "install it with: pip install 'wban[analysis]'."
        ) from error
    with opened(session) as found:
        try:
            save_overview(found, output)
        except OSError as error:
            raise SessionError(
                f"{output} cannot be written: {error.strerror}; choose another place with -o."
            ) from error
    click.echo(str(output))


@contextmanager
def opened(path: Path) -> Generator[Session]:
    """Open a session; what a file that is damaged inside leads to is a `SessionError` too."""
    file = path / FILE_NAME if path.is_dir() else path
    if file.is_file():
        probe(file)
    read_journal = False
    try:
        with Session.open(path) as session:
            read_journal = not session.is_sealed
            yield session
    except (JournalContentError, SessionError, OSError) as error:
        if not read_journal or not file.is_file():
            raise
        raise SessionError(
            f"session {path}: it was sealed while its journal was read, expected one of both to "
            "stay. Run the command again: it reads the sealed file."
        ) from error
    except DAMAGE as error:
        raise damaged_inside(path, error) from error


def _as_dict(session: Session) -> dict[str, Any]:
    gaps = session.gaps
    return {
        "path": session.path,
        "sealed": session.is_sealed,
        **session.attributes,
        "streams": {
            name: {
                "n": session.stream(name).n,
                "sampling_rate_hz": session.stream(name).sampling_rate_hz,
                "device": session.stream(name).device,
                "placement": session.stream(name).placement,
                "quality": session.quality.get(name, {}),
            }
            for name in session.streams
        },
        "labels": [
            {"start_ns": label.start_ns, "stop_ns": label.stop_ns, "label": label.label}
            for label in session.labels
        ],
        "marks": [
            {"time_ns": time_ns, "from_start_s": from_start_s, "text": text}
            for time_ns, from_start_s, text in _marks(session)
        ],
        "gaps": [{key: gaps[key][row] for key in gaps} for row in range(len(gaps["start_ns"]))],
    }


def plain(value: object) -> object:
    """Turn what JSON does not know into what it does."""
    if isinstance(value, np.generic | np.ndarray):
        return cast("NDArray[Any]", value).tolist()
    return value.decode() if isinstance(value, bytes) else str(value)


def _show(session: Session) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120, markup=False)
    source, host = printable(session.replay_source), printable(session.host)
    origin = f", replayed from {source}" if source else ""
    kind = "simulated" if session.simulated else "recorded"
    recording = session.recovered and in_use(session.path)
    state = "being recorded now" if recording else printable(session.ending)
    sealed = "sealed" if session.is_sealed else "not sealed yet"
    subject, activity = printable(session.subject), printable(session.activity)
    console.print(
        f"[bold]{escape(subject)}[/bold]  {escape(activity)}  "
        f"{session.start_utc or 'date unknown'}",
        markup=True,
    )
    console.print(f"{kind}{origin} on {host}; {sealed}, {state}; {session.session_id}")
    if session.lost_tail_ns and not recording:
        console.print(
            f"cut off: up to {session.lost_tail_ns / 1e9:.1f} s may be missing at its end"
        )
    console.print()
    console.print(_streams_table(session))
    _show_labels(session, console)
    _show_marks(session, console)
    _show_gaps(session, console)


def in_use(path: Path) -> bool:
    """Whether a recorder or a sealing process holds the session's folder."""
    try:
        with locked(path if path.is_dir() else path.parent):
            return False
    except FolderInUseError:
        return True
    except SealingError:  # a disk without locks, or one that may not be read: nobody says that
        return False


def _streams_table(session: Session) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("stream")
    table.add_column("device")
    for column in ("samples", "s", *QUALITY):
        table.add_column(column, justify="right")
    for name in session.streams:
        stream = session.stream(name)
        stamps = stream.monotonic_ns
        duration_s = (int(stamps[-1]) - int(stamps[0])) / 1e9 if stream.n else 0.0
        quality = session.quality.get(name, {})
        figures = [
            text.format(float(quality[key]) * factor) if key in quality else "-"
            for key, text, factor in QUALITY.values()
        ]
        names = printable(name), printable(stream.device)
        table.add_row(*names, str(stream.n), f"{duration_s:.1f}", *figures)
    return table


def _show_labels(session: Session, console: Console) -> None:
    seconds: dict[str, float] = {}
    for label in session.labels:
        length_s = (label.stop_ns - label.start_ns) / 1e9
        seconds[label.label] = seconds.get(label.label, 0.0) + length_s
    parts = ", ".join(f"{printable(name)} {length_s:.1f} s" for name, length_s in seconds.items())
    n_spans = counted(len(session.labels), "span")
    console.print(f"\nlabels: {n_spans} ({parts})" if parts else "\nno labels")


def _marks(session: Session) -> list[tuple[int, float, str]]:
    """Give instant, seconds from the session's start, and text of each remark."""
    marks, start_ns = session.marks, session.started_monotonic_ns
    return [
        (int(time_ns), (int(time_ns) - int(start_ns)) / 1e9, str(text))
        for time_ns, text in zip(marks["time_ns"], marks["text"], strict=True)
    ]


def _show_marks(session: Session, console: Console) -> None:
    marks = _marks(session)
    for _, from_start_s, text in marks[:MOST_LINES]:
        console.print(f"mark: at {from_start_s:.1f} s, {printable(text)}")
    if len(marks) > MOST_LINES:
        console.print(f"and {counted(len(marks) - MOST_LINES, 'mark')} more (all with --json)")


def _show_gaps(session: Session, console: Console) -> None:
    gaps = session.gaps
    n_gaps = len(gaps["start_ns"])
    for row in range(min(n_gaps, MOST_LINES)):
        length_s = (int(gaps["stop_ns"][row]) - int(gaps["start_ns"][row])) / 1e9
        n_missing = int(gaps["n_missing"][row])
        # Damage of the journal is of no certain stream; its cause says where it was.
        what = printable(f"{gaps['stream'][row]} {gaps['cause'][row]}".strip())
        missing = "an unknown number" if n_missing < 0 else str(n_missing)
        console.print(f"gap: {what}, {missing} missing over {length_s:.3f} s")
    if n_gaps > MOST_LINES:
        console.print(f"and {counted(n_gaps - MOST_LINES, 'gap')} more (all with --json)")
