"""wban-dataset hygiene: what is wrong with the signals of sessions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wban_dataset.cli.session import opened
from wban_dataset.recording.wording import counted

if TYPE_CHECKING:
    from wban_dataset.hygiene.findings import Findings
    from wban_dataset.recording.session import Session


@click.command(
    epilog="Example:  wban-dataset hygiene recordings/ --write",
)
@click.argument("sessions", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each session.")
@click.option("--write", is_flag=True, help="Record it as hygiene.json beside each session.")
def hygiene(sessions: tuple[Path, ...], as_json: bool, write: bool) -> None:
    """Look for what is wrong with the signals of SESSIONS.

    No sample is changed. Each is a session's folder, a session.h5, or a folder with sessions below.

    Told are how far still pieces are from 1 g and the calibration that mends it, when the sensor
    was not worn, and how many samples are clipped. 'wban-dataset build --calibrate' applies a
    calibration that was recorded with --write.
    """
    from wban_dataset.hygiene.findings import as_record, examine, write_findings

    for path in _each(sessions):
        with opened(path) as session:
            found = examine(session)
            if as_json:
                click.echo(json.dumps(as_record(session, found)))
            else:
                _show(session, found)
            if write:
                written = write_findings(session, found)
                click.echo(f"written: {written}", err=as_json)


def _each(paths: Iterable[Path]) -> Iterator[Path]:
    """Sessions at or below each path; what is none is given as well, to be complained of."""
    from wban_dataset.recording.folder_tree import session_folders

    for path in paths:
        below = list(session_folders(path)) if path.is_dir() else []
        yield from below or [path]


def _show(session: Session, found: Mapping[str, Findings]) -> None:
    click.echo(f"{session.path}")
    for name, findings in found.items():
        for line in _lines(findings):
            click.echo(f"  {name}: {line}")
    if not found:
        click.echo("  no stream of motion")


def _lines(findings: Findings) -> Iterator[str]:
    """Say one thing a line."""
    gravity, wear, clipped = findings.gravity, findings.wear, findings.clipping
    if gravity is not None and gravity.calibration is not None:
        fit = gravity.calibration
        scale = ", ".join(f"{value:.4f}" for value in fit.scale)
        offset = ", ".join(f"{1000 * value:.1f}" for value in fit.offset)
        yield (
            f"still pieces are {1000 * fit.error_before_g:.1f} mg from 1 g, "
            f"{1000 * fit.error_after_g:.1f} mg when calibrated ({counted(fit.n_points, 'piece')}; "
            f"scale {scale}; offset {offset} mg)"
        )
    elif gravity is not None:
        yield gravity.refusal
    if wear is not None and not wear.judged_hours:
        yield "whether it was worn is not known: that takes an hour without much missing"
    elif wear is not None:
        hours = sum(stop - start for start, stop in wear.non_wear) / 3.6e12
        yield f"not worn for {hours:.2f} h, in {counted(len(wear.non_wear), 'span')}"
    yield (
        f"{clipped.n_clipped} of {counted(clipped.n_samples, 'sample')} clipped "
        f"({clipped.fraction:.2%}), in {counted(len(clipped.spans), 'span')}; "
        f"the range ends at {clipped.limit:.4g}"
    )
