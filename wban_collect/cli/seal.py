"""wban-collect seal and recover: finish what a recording left."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from wban_collect.errors import WbanError
from wban_collect.keeping.leftovers import Remains, clear_remains, unsealed_sessions
from wban_collect.keeping.sealing import SEALED, SEALED_WITH_LOSSES, SealOutcome, seal_session
from wban_dataset.recording.errors import RecordingError, system_error
from wban_dataset.recording.framing import JournalVersionError

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

    A journal without any record is removed; one that does not say whose it is goes to a folder
    that ends in .unreadable.

    Exit codes: 0 all clean, 1 one failed, 3 sealed with losses, or something is unreadable.
    """
    folders = unsealed_sessions(directory)
    if not folders:
        click.echo(f"{directory}: no session waits to be sealed.", err=as_json)
    worst = SEALED
    for folder in folders:
        try:
            code = _recover(folder, as_json)
        except (WbanError, RecordingError, JournalVersionError) as error:
            click.echo(f"Error: {error}", err=True)
            code = FAILED
        except OSError as error:
            click.echo(f"Error: {system_error(error)}", err=True)
            code = FAILED
        worst = FAILED if FAILED in (worst, code) else max(worst, code)
    sys.exit(worst)


def _recover(folder: Path, as_json: bool) -> int:
    """Make a session of what is in a folder, say what became of it, return the exit code."""
    remains = clear_remains(folder)
    if remains is not None:
        return _show_remains(remains, as_json)
    outcome = seal_session(folder)
    _show(folder, outcome, as_json)
    return outcome.exit_code


def _show_remains(remains: Remains, as_json: bool) -> int:
    code = SEALED if remains.moved_to is None else SEALED_WITH_LOSSES
    if as_json:
        moved_to = str(remains.moved_to) if remains.moved_to else ""
        found = {"session": str(remains.folder), "exit": code, "sealed": False}
        click.echo(json.dumps({**found, "moved_to": moved_to}))
    else:
        click.echo(f"{remains.text}.")
    return code


def _show(folder: Path, outcome: SealOutcome, as_json: bool) -> None:
    if as_json:
        click.echo(
            json.dumps({"session": str(folder), "exit": outcome.exit_code, **outcome.report})
        )
    else:
        click.echo(outcome.text)
