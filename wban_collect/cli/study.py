"""wban-collect simulate-study: a labelled study of simulated people."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from wban_collect.cli.configuration import config_option, configured
from wban_collect.study import StudyPlan, StudySession, simulate_study
from wban_dataset.recording.activities import PRESETS
from wban_dataset.recording.wording import counted

LOSSES = 3
STOPPED = 130
"""What a shell gives a command that Ctrl-C has ended."""


@click.command(
    "simulate-study",
    epilog="""\b
Example:
  wban-collect simulate-study --subjects 8 --minutes 20 --out study
The same command makes the same files again; an interrupted one goes on where it was.

\b
Exit codes: 0 recorded, 1 failed, 2 unusable value, 3 a session has losses.""",
)
@click.option("--subjects", type=click.IntRange(1, 99), required=True, help="How many people.")
@click.option(
    "--minutes",
    type=click.FloatRange(0.2, 1440),
    required=True,
    help="Length of each person's session.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Folder for the sessions."
)
@click.option(
    "--activities",
    type=click.Choice(list(PRESETS)),
    default="paper-abstract",
    show_default=True,
    help="Which list of activities.",
)
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=min(os.cpu_count() or 1, 4),
    help="Processes.  [default: one per core, at most 4]",
)
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each session.")
def simulate_study_command(
    subjects: int,
    minutes: float,
    out: Path,
    activities: str,
    seed: int,
    workers: int,
    config_path: Path | None,
    as_json: bool,
) -> None:
    """Record simulated people, each with habits of his own, in virtual time.

    The real drivers run above simulated chips. Every file says that it is simulated.
    """
    plan = StudyPlan(
        configured(config_path), PRESETS[activities], subjects, minutes * 60, out, seed
    )
    if not math.isfinite(minutes):
        raise click.BadParameter("expected a number of minutes, e.g. 20.", param_hint="--minutes")
    begun_s = time.monotonic()
    sessions = _with_progress(plan, min(workers, subjects), as_json)
    elapsed_s = time.monotonic() - begun_s
    recorded = [session.outcome for session in sessions if session.outcome is not None]
    if not as_json:
        times = len(recorded) * minutes * 60 / elapsed_s
        kept = len(sessions) - len(recorded)
        note = f"; {kept} were there already" if kept else ""
        speed = f", {times:.0f} times real time" if recorded else ""
        click.echo(f"{out}: {len(recorded)} recorded{speed}{note}.")
        click.echo(f"Next: wban-dataset plot {sessions[0].folder} -o overview.png")
    sys.exit(LOSSES if any(outcome.exit_code for outcome in recorded) else 0)


def _with_progress(plan: StudyPlan, n_workers: int, as_json: bool) -> list[StudySession]:
    columns = (TextColumn("recording"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    hidden = as_json or not console.is_terminal
    sessions: list[StudySession] = []
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        task = progress.add_task("", total=plan.n_subjects)
        try:
            for session in simulate_study(plan, n_workers):
                sessions.append(session)
                progress.advance(task)
                if as_json:
                    report = session.outcome.report if session.outcome else {"kept": True}
                    click.echo(json.dumps({"session": str(session.folder), **report}))
        except KeyboardInterrupt:
            progress.stop()
            click.echo(
                f"Stopped: {len(sessions)} of {counted(plan.n_subjects, 'session')} done and kept; "
                "the same command goes on with the others.",
                err=True,
            )
            sys.exit(STOPPED)
    return sorted(sessions, key=lambda session: session.subject)
