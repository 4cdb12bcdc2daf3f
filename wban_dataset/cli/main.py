"""The command wban-dataset."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version

import click

from wban_dataset.cli.audit import audit, leak_meter
from wban_dataset.cli.build import build_command
from wban_dataset.cli.exports import export
from wban_dataset.cli.hygiene import hygiene
from wban_dataset.cli.importing import import_
from wban_dataset.cli.labels import labels
from wban_dataset.cli.privacy import forget, pseudonymise
from wban_dataset.cli.pull import pull
from wban_dataset.cli.sections import SectionedGroup
from wban_dataset.cli.session import inspect, plot
from wban_dataset.cli.verify import verify
from wban_dataset.errors import DatasetError
from wban_dataset.recording.errors import RecordingError, system_error

FAILURE = 1

SECTIONS = {
    "Look": (inspect, plot, verify),
    "Bring in": (import_, pull),
    "Label": (labels, hygiene),
    "Build": (build_command, audit, leak_meter),
    "Give away": (export, pseudonymise, forget),
}
"""Commands by heading of the help."""


@click.group(
    cls=SectionedGroup,
    sections={heading: [str(c.name) for c in commands] for heading, commands in SECTIONS.items()},
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Make something to look at:
  wban-collect start --subject S01 --activity eating \\
    --simulate --fast --duration 60s""",
)
@click.version_option(version("wban"), prog_name="wban-dataset")
def cli() -> None:
    """Look at recorded sessions, label them, build datasets of them."""
    logging.basicConfig(
        level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )


for commands in SECTIONS.values():
    for command in commands:
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
