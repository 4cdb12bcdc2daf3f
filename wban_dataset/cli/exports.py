"""wban-dataset export: sessions and datasets in the formats of others."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from wban_dataset.cli.output_option import output_folder_option
from wban_dataset.recording.wording import counted

FORMATS = ("session", "motion-bids", "mcap", "csv", "parquet", "arrays")


@click.command(
    epilog="""\b
Examples, the second without pictures of people:
  wban-dataset export recordings --to motion-bids -o bids
  wban-dataset export recordings --to session --without infrared -o shareable"""
)
@click.argument(
    "paths",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, path_type=Path),
    metavar="SESSIONS...",
)
@click.option(
    "--to", type=click.Choice(FORMATS), required=True, help="arrays takes a dataset's folder."
)
@output_folder_option
@click.option(
    "--without",
    multiple=True,
    metavar="STREAM",
    help="Leave out a stream, or all of a kind: infrared, thermal, accel, gyro. May be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Say what was made as JSON.")
def export(
    paths: tuple[Path, ...], to: Any, output: Path, without: tuple[str, ...], as_json: bool
) -> None:
    """Write SESSIONS or a dataset in another format.

    session: sealed sessions again, for leaving streams out. motion-bids: one dataset of
    accelerometers and gyroscopes. mcap, csv, parquet: a folder a session. arrays: the windows of a
    dataset as NumPy files.
    """
    from wban_dataset.exports.export import export as run

    with progress_shown("exporting") as shown:
        done = run(paths, output, to, without=without, progress=shown)
    if as_json:
        said = {
            "output": str(output),
            "to": to,
            "n_sessions": done.n_sessions,
            "left_out": sorted(without),
            "without_place": list(done.without_place),
            "leaky": done.leaky,
        }
        click.echo(json.dumps(said))
        return
    if done.without_place:
        click.echo(f"left out, since {to} has no place for them: {', '.join(done.without_place)}")
    if done.leaky:
        click.echo("leaky: the splits of this dataset share what would make a result look better")
    click.echo(f"{output}: {_what(done.n_sessions)} as {to}")


def _what(n_sessions: int) -> str:
    if not n_sessions:
        return "the windows of a dataset"
    return counted(n_sessions, "session")


@contextmanager
def progress_shown(doing: str) -> Generator[Callable[[int, int], None] | None]:
    """Show a bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
