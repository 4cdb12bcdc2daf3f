"""The command wban-collect."""

from __future__ import annotations

import logging
import sys
from importlib.metadata import version

import click

from wban_collect.cli.configuration import config_group
from wban_collect.cli.seal import recover, seal
from wban_collect.cli.start import start
from wban_collect.cli.study import simulate_study_command
from wban_collect.errors import ConfigError, WbanError
from wban_dataset.recording.errors import system_error

UNUSABLE_VALUE = 2
FAILURE = 1


@click.group(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin without any hardware:  wban-collect start --subject S01 --activity eating "
    "--simulate --fast --duration 60s",
)
@click.version_option(version("wban"), prog_name="wban-collect")
@click.option("-v", "--verbose", is_flag=True, help="Say more of what happens.")
def cli(verbose: bool) -> None:
    """Record motion, heat and infrared pictures on one clock, and lose nothing."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )


cli.add_command(start)
cli.add_command(simulate_study_command)
cli.add_command(seal)
cli.add_command(recover)
cli.add_command(config_group)


def main() -> None:
    """Run the command; what goes wrong on purpose is one sentence and an exit code."""
    try:
        cli()
    except ConfigError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(UNUSABLE_VALUE)
    except WbanError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(FAILURE)
    except OSError as error:
        click.echo(f"Error: {system_error(error)}", err=True)
        sys.exit(FAILURE)
