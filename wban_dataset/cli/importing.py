"""wban-dataset import: other people's recordings as sessions, their windows as a dataset."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import Progress

from wban_dataset.cli.import_options import format_of, format_options
from wban_dataset.cli.sections import SectionedGroup
from wban_dataset.recording.wording import counted, printable

if TYPE_CHECKING:
    from wban_dataset.sources.importing import ImportedRecording

SHOWN_NOTES = 10

source_argument = click.argument(
    "origin", metavar="PATH", type=click.Path(exists=True, path_type=Path)
)
out_option = click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder to write to; made where it is missing.",
)
workers_option = click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Processes that work at the same time; the sessions are the same with any number.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="A line of JSON per session.")


@click.group(name="import", cls=SectionedGroup)
def import_() -> None:
    """Make sessions of other people's recordings, and datasets of their windows.

    Importing again into the same folder leaves what is there already; the same recording always
    gives the same bytes.
    """


@import_.command()
@source_argument
@out_option
@workers_option
@json_option
def hapt(origin: Path, out: Path, workers: int, as_json: bool) -> None:
    """Import HAPT: 61 recordings of 30 people, 12 activities with six transitions.

    PATH is the folder with RawData (or RawData.tar.xz), labels.txt and activity_labels.txt.

    Example:  wban-dataset import hapt data/hapt --out sessions/hapt
    """
    from wban_dataset.sources.importing import import_hapt

    with _Progress(as_json) as progress:
        found = import_hapt(origin, out, n_workers=workers, started=progress.expect)
        _report(progress.each(found), out, as_json)


@import_.command()
@source_argument
@out_option
@click.option(
    "--format",
    "format_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The options below as TOML, as an import leaves them in OUT/import.toml; options given "
    "beside it take priority.",
)
@format_options
@workers_option
@json_option
def delimited(
    origin: Path,
    out: Path,
    format_file: Path | None,
    workers: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Import recordings as delimited text: CSV and the like.

    PATH is a folder, a file, or an archive (zip, tar, also compressed). Files of one subject and
    recording make one session; {placement} in the pattern tells devices worn at once apart, which
    become streams like wrist_accel. A step between stamps of more than 1.5 periods is a gap.

    \b
    Example:
      wban-dataset import delimited study/ --out sessions \\
        --path '{subject}/{placement}_{recording}.csv' --time t --time-unit ms \\
        --stream accel=ax,ay,az:g --stream gyro=gx,gy,gz:deg/s --label activity
    """  # noqa: D301 (click wants the backspace)
    from wban_dataset.sources.importing import import_delimited

    format_ = format_of(format_file, options)
    left_out: tuple[str, ...] = ()
    with _Progress(as_json) as progress:

        def started(n_sessions: int, not_fitting: tuple[str, ...]) -> None:
            nonlocal left_out
            left_out = not_fitting
            progress.expect(n_sessions)

        found = import_delimited(origin, out, format_, n_workers=workers, started=started)
        _report(progress.each(found), out, as_json)
    if left_out:
        do = "does" if len(left_out) == 1 else "do"
        files = counted(len(left_out), "file")
        _tell(f"{files} {do} not fit the pattern, the first: {printable(str(left_out[0]))}")


@import_.command()
@source_argument
@out_option
@click.option("--rate", default=50.0, show_default=True, help="Samples a second.")
@click.option("--accel-unit", default="g", show_default=True, help="g, mg or m/s2.")
@click.option("--source", default="windows", show_default=True, help="Short name of the data set.")
def windows(origin: Path, out: Path, rate: float, accel_unit: str, source: str) -> None:
    """Import ready windows in folders like UCI-HAR's as a dataset with their given split.

    PATH holds train and test, and in each 'Inertial Signals', y_*.txt and subject_*.txt. Where a
    window lay in its recording is not known, so that overlap that cannot be excluded counts as
    shared, and nothing is windowed again.

    Example:  wban-dataset import windows 'UCI HAR Dataset' --out datasets/uci-har
    """
    from wban_dataset.dataset.ready import write_ready_dataset
    from wban_dataset.sources.ready_windows import read_windows

    if not 0 < rate <= 1e6:
        raise click.BadParameter(
            f"{rate} is no rate; expected a positive number.", param_hint="--rate"
        )
    ready = read_windows(origin, sampling_rate_hz=rate, accel_unit=accel_unit, source=source)
    report = write_ready_dataset(ready, out)
    n_subjects = len(set(ready.subject))
    click.echo(
        f"{out}: {counted(len(ready), 'window')} of {counted(n_subjects, 'person', 'people')}, "
        f"{counted(len(ready.classes), 'class', 'classes')}"
    )
    if report.leaky:
        _tell("leaky: its split shares people or windows; run 'wban-dataset audit' on it")
    _tell_notes(list(report.warnings))


class _Progress:
    """A bar on the terminal; nothing elsewhere."""

    def __init__(self, as_json: bool) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            console=console, transient=True, disable=as_json or not console.is_terminal
        )

    def __enter__(self) -> _Progress:
        self._bar.start()
        self._task = self._bar.add_task("importing", total=None)
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def expect(self, n_sessions: int) -> None:
        self._bar.update(self._task, total=n_sessions)

    def each(self, found: Iterable[ImportedRecording]) -> Iterator[ImportedRecording]:
        for recording in found:
            self._bar.advance(self._task)
            yield recording


def _report(found: Iterable[ImportedRecording], out: Path, as_json: bool) -> None:
    """Say what was made; what was odd goes to stderr."""
    recordings: list[ImportedRecording] = []
    for recording in found:
        recordings.append(recording)
        if as_json:
            written = dataclasses.asdict(recording.written)
            click.echo(json.dumps({**written, "notes": recording.notes}, default=str))
    if as_json:
        return
    written = [recording.written for recording in recordings]
    n_there = sum(session.was_there for session in written)
    there = f", {n_there} of them there already" if n_there else ""
    hours = sum(session.duration_ns for session in written) / 3.6e12
    n_people = len({session.subject for session in written})
    click.echo(
        f"{out}: {counted(len(written), 'session')} of {counted(n_people, 'person', 'people')}"
        f"{there}; {hours:.2f} h, {sum(session.n_samples for session in written):,} samples, "
        f"{counted(sum(session.n_labels for session in written), 'label')}"
    )
    n_missing = sum(session.n_missing for session in written)
    if n_missing:
        are = "is" if n_missing == 1 else "are"
        click.echo(
            f"{counted(n_missing, 'sample')} {are} missing in the source; see /gaps of the sessions"
        )
    _tell_rounding(recordings)
    _tell_notes([note for recording in recordings for note in recording.notes])


def _tell_rounding(recordings: Iterable[ImportedRecording]) -> None:
    worst: dict[str, float] = {}
    for recording in recordings:
        for name, error in recording.written.rounding.items():
            worst[name] = max(worst.get(name, 0.0), error)
    for name, error in sorted(worst.items()):
        unit = "rad/s" if "gyro" in name else "m/s2"
        _tell(f"{name}: its values fit no grid of 16 bits; rounded by at most {error:.2g} {unit}")


def _tell_notes(notes: list[str]) -> None:
    for note in notes[:SHOWN_NOTES]:
        _tell(note)
    if len(notes) > SHOWN_NOTES:
        _tell(f"... and {len(notes) - SHOWN_NOTES} more of the kind; --json tells all")


def _tell(text: str) -> None:
    click.echo(f"note: {text}", file=sys.stderr)
