"""The command wban-dataset."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version

import click

from wban_dataset.cli.audit import audit, leak_meter
from wban_dataset.cli.exports import export
from wban_dataset.cli.hygiene import hygiene
from wban_dataset.cli.labels import labels
from wban_dataset.cli.privacy import forget, pseudonymise
from wban_dataset.cli.pull import pull
from wban_dataset.cli.session import inspect, plot
from wban_dataset.cli.verify import verify
from wban_dataset.errors import DatasetError
from wban_dataset.recording.errors import RecordingError, system_error

FAILURE = 1


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Make something to look at:  wban-collect start --subject S01 --activity eating "
    "--simulate --fast --duration 60s",
)
@click.version_option(version("wban"), prog_name="wban-dataset")
def cli() -> None:
    """Look at recorded sessions, check them, and draw them."""
    logging.basicConfig(
        level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )


COMMANDS = (
    *(inspect, verify, plot, labels, hygiene),
    *(audit, leak_meter),
    *(export, pull, pseudonymise, forget),
)
for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """Run the command; what goes wrong on purpose is one sentence and an exit code."""
    try:
        cli()
    except (RecordingError, DatasetError) as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(FAILURE)
    except OSError as error:
        click.echo(f"Error: {system_error(error)}", err=True)
        sys.exit(FAILURE)
