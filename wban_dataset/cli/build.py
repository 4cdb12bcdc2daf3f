"""wban-dataset build: from recorded sessions to a dataset that cannot leak."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wban_dataset.recording.wording import counted

if TYPE_CHECKING:
    from wban_dataset.dataset.building import BuildReport, Progress

PROTOCOLS = ("loso", "lnso", "group-kfold", "session", "date", "official", "random")
LABEL_RULES = ("majority", "last", "centre", "pure", "drop-mixed")
STOPPED = 130
"""What a shell gives a command that Ctrl-C has ended."""


@click.command(
    "build",
    epilog="""\b
Example:
  wban-collect simulate-study --subjects 8 --minutes 20 --out study
  wban-dataset build study --out study-dataset --workers 2
The same sessions and options make the same bytes, on any number of workers.

\b
Exit codes: 0 built, 1 failed or leaky (nothing is left), 2 unusable option.""",
)
@click.argument("sessions", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out", required=True, type=click.Path(path_type=Path), help="Folder of the dataset."
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help='Options as a TOML file, under the same names (window = "1s"); those given here prevail.',
)
@click.option("--window", help="Length of a window, as 1s or 400ms.  [default: 1s]")
@click.option(
    "--overlap",
    type=click.FloatRange(0, 1, max_open=True),
    help="Share of a window that the next one repeats.  [default: 0.6]",
)
@click.option("--stride", help="From one window to the next, as 0.4s; instead of --overlap.")
@click.option(
    "--label-rule",
    type=click.Choice(LABEL_RULES),
    help="How a window gets its label.  [default: majority]",
)
@click.option(
    "--min-coverage",
    type=click.FloatRange(0, 1, min_open=True),
    help="Share of a window that a stream must cover to count as present.  [default: 0.9]",
)
@click.option("--reference", help="Stream whose stretches are cut.  [default: first accelerometer]")
@click.option("--rate", type=float, help="Resample all motion streams to this rate, in Hz.")
@click.option(
    "--protocol",
    type=click.Choice(PROTOCOLS),
    help="How windows are divided; random builds a dataset that is marked leaky.  [default: loso]",
)
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    help="How many, for group-kfold, session, date and random.  [default: up to 5]",
)
@click.option(
    "--leave-out", "n_test_subjects", type=click.IntRange(min=1), help="People a fold, for lnso."
)
@click.option(
    "--official",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="List of the people to test on, for the protocol official.",
)
@click.option("--purge", "purge_s", type=click.FloatRange(min=0), help="Gap in s, for random.")
@click.option("--seed", type=click.IntRange(min=0), help="[default: 0]")
@click.option(
    "--unlabelled",
    is_flag=True,
    default=None,
    help="Keep windows without a label; no fold uses them.",
)
@click.option(
    "--calibrate",
    is_flag=True,
    default=None,
    help="Apply the calibration that 'wban-dataset hygiene --write' left beside each session.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=1,
    show_default=True,
    help="Processes; the result is the same with any number of them.",
)
@click.option("--scheduler", help="A dask scheduler to use instead, as tcp://127.0.0.1:8786.")
@click.option("--json", "as_json", is_flag=True, help="What was built, as one JSON object.")
def build_command(
    sessions: tuple[Path, ...],
    out: Path,
    config: Path | None,
    official: Path | None,
    workers: int,
    scheduler: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Turn SESSIONS into labelled windows, folds and a dataset card.

    A SESSION is a session's folder, or a folder with sessions below.
    """
    from wban_dataset.dataset.building import build
    from wban_dataset.dataset.configuration import StudyConfiguration, read_configuration

    study = read_configuration(config) if config else StudyConfiguration()
    study = study.changed(**options, **_official(official))
    with _progress(shown=not as_json) as progress:
        try:
            report = build(
                sessions, out, config=study, workers=workers, scheduler=scheduler, progress=progress
            )
        except KeyboardInterrupt:
            click.echo("Stopped; the same command goes on with the sessions left.", err=True)
            sys.exit(STOPPED)
    if as_json:
        click.echo(json.dumps(_as_dict(report), sort_keys=True))
    else:
        _tell(report, out)


def _official(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    from wban_dataset.splits.options import read_official_subjects

    test, validation = read_official_subjects(path)
    return {"test_subjects": test, "validation_subjects": validation}


def _tell(report: BuildReport, out: Path) -> None:
    reused = f" ({report.n_reused} taken from the dataset before)" if report.n_reused else ""
    click.echo(
        f"{out}: {counted(report.n_windows, 'window')} of "
        f"{counted(report.n_sessions, 'session')}{reused}, "
        f"{counted(report.n_subjects, 'subject')}, "
        f"{counted(len(report.classes), 'class', 'classes')}; {report.protocol}, "
        f"{counted(report.n_folds, 'fold')}."
    )
    for warning in report.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if report.leaky:
        leaks = ", ".join(f"{kind} {n}" for kind, n in report.leaks.items())
        click.echo(f"leaky: training shares with testing what flatters a result (windows: {leaks})")
    click.echo(f"Next: read {out / 'README.md'}")


def _as_dict(report: BuildReport) -> dict[str, Any]:
    return {
        "out": str(report.out),
        "n_sessions": report.n_sessions,
        "n_reused": report.n_reused,
        "n_subjects": report.n_subjects,
        "n_windows": report.n_windows,
        "classes": list(report.classes),
        "protocol": report.protocol,
        "n_folds": report.n_folds,
        "leaky": report.leaky,
        "leaks": dict(report.leaks),
        "warnings": list(report.warnings),
    }


@contextmanager
def _progress(*, shown: bool) -> Generator[Progress]:
    """Show what is done on a terminal, and nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    disable = not shown or not console.is_terminal
    with Progress(
        *columns, TimeElapsedColumn(), console=console, transient=True, disable=disable
    ) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield report
