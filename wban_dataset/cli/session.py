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
from rich.table import Table

from wban_dataset.recording.errors import DAMAGE, SealingError, SessionError, damaged_inside
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.layout import FILE_NAME
from wban_dataset.recording.probe import probe
from wban_dataset.recording.session import Session

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


@click.command()
@session_argument
@click.option("--json", "as_json", is_flag=True, help="The same as JSON.")
def inspect(session: Path, as_json: bool) -> None:
    """Show what is in SESSION (a folder or a session.h5) and how good it is.

    An unsealed session is read straight from its journal.
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
    """Draw SESSION at a glance: all streams on one time axis, labels, gaps, quality."""
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
    try:
        with Session.open(path) as session:
            yield session
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
        "gaps": [{key: gaps[key][row] for key in gaps} for row in range(len(gaps["start_ns"]))],
    }


def plain(value: object) -> object:
    """Turn what JSON does not know into what it does."""
    if isinstance(value, np.generic | np.ndarray):
        return cast("NDArray[Any]", value).tolist()
    return value.decode() if isinstance(value, bytes) else str(value)


def _show(session: Session) -> None:
    console = Console(width=None if sys.stdout.isatty() else 120)
    origin = f", replayed from {session.replay_source}" if session.replay_source else ""
    kind = "simulated" if session.simulated else "recorded"
    recording = session.recovered and _in_use(session.path)
    state = "being recorded now" if recording else session.ending
    sealed = "sealed" if session.is_sealed else "not sealed yet"
    console.print(
        f"[bold]{session.subject}[/bold]  {session.activity}  {session.start_utc or 'date unknown'}"
    )
    console.print(f"{kind}{origin} on {session.host}; {sealed}, {state}; {session.session_id}")
    if session.lost_tail_ns:
        console.print(
            f"cut off: up to {session.lost_tail_ns / 1e9:.1f} s may be missing at its end"
        )
    console.print()
    console.print(_streams_table(session))
    _show_labels(session, console)
    _show_gaps(session, console)


def _in_use(path: Path) -> bool:
    """Whether a recorder or a sealing process holds the session's folder."""
    try:
        with locked(path if path.is_dir() else path.parent):
            return False
    except SealingError:
        return True


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
        table.add_row(name, stream.device, str(stream.n), f"{duration_s:.1f}", *figures)
    return table


def _show_labels(session: Session, console: Console) -> None:
    seconds: dict[str, float] = {}
    for label in session.labels:
        length_s = (label.stop_ns - label.start_ns) / 1e9
        seconds[label.label] = seconds.get(label.label, 0.0) + length_s
    parts = ", ".join(f"{name} {length_s:.1f} s" for name, length_s in seconds.items())
    console.print(f"\nlabels: {len(session.labels)} spans ({parts})" if parts else "\nno labels")


def _show_gaps(session: Session, console: Console) -> None:
    gaps = session.gaps
    for row in range(min(len(gaps["start_ns"]), 20)):
        length_s = (int(gaps["stop_ns"][row]) - int(gaps["start_ns"][row])) / 1e9
        console.print(
            f"gap: {gaps['stream'][row] or 'journal'} {gaps['cause'][row]}, "
            f"{int(gaps['n_missing'][row])} missing over {length_s:.3f} s"
        )
