"""wban-collect seal and recover: finish what a recording left."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from wban_collect.errors import WbanError
from wban_collect.sealing import SEALED, SealOutcome, seal_session
from wban_dataset.recording.layout import JOURNAL_NAME

FAILED = 1


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="The report as JSON.")
def seal(folder: Path, as_json: bool) -> None:
    """Seal the session in FOLDER: journal to session.h5, compared before the journal goes.

    Exit codes: 0 clean, 1 failed, 3 sealed with losses.
    """
    outcome = seal_session(folder)
    _show(folder, outcome, as_json)
    sys.exit(outcome.exit_code)


@click.command()
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each session.")
def recover(directory: Path, as_json: bool) -> None:
    """Seal every unsealed session in DIRECTORY, after a power cut for instance.

    Exit codes: 0 all clean, 1 one failed, 3 sealed with losses.
    """
    folders = unsealed_sessions(directory)
    if not folders:
        click.echo(f"{directory}: no session waits to be sealed.")
    worst = SEALED
    for folder in folders:
        try:
            outcome = seal_session(folder)
        except WbanError as error:
            click.echo(f"Error: {error}", err=True)
            worst = FAILED
            continue
        _show(folder, outcome, as_json)
        if worst == SEALED:
            worst = outcome.exit_code
    sys.exit(worst)


def unsealed_sessions(directory: Path) -> list[Path]:
    """Session folders at or below `directory` that still have a journal, in order of name."""
    return sorted(journal.parent for journal in directory.rglob(JOURNAL_NAME) if journal.is_dir())


def _show(folder: Path, outcome: SealOutcome, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps({"session": str(folder), "exit": outcome.exit_code, **outcome.report})
        )
    else:
        click.echo(outcome.text)
