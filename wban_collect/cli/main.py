"""The command wban-collect."""

from __future__ import annotations

import logging
import sys

import click

from wban_collect.cli.lazy_group import LazyCommands, LazyGroup, Place
from wban_collect.cli.repeats import QuietRepeats
from wban_collect.errors import ConfigError, WbanError
from wban_dataset.recording.errors import system_error

UNUSABLE_VALUE = 2
FAILURE = 1

COMMANDS = {
    "start": Place(
        "wban_collect.cli.start:start",
        "Record one session until Ctrl-C, or for --duration, and seal it.",
    ),
    "stop": Place(
        "wban_collect.cli.control:stop",
        "End the recording; everything recorded is on the disk when this returns.",
    ),
    "label": Place(
        "wban_collect.cli.control:label", "Say what is done from now on; the span before ends here."
    ),
    "mark": Place(
        "wban_collect.cli.control:mark", "Note that something worth a remark happens now."
    ),
    "status": Place(
        "wban_collect.cli.control:status",
        "Say how the recorder does: rates, losses, room on the disk, what is wrong.",
    ),
    "sessions": Place(
        "wban_collect.cli.control:sessions", "List what has been recorded, the newest first."
    ),
    "monitor": Place(
        "wban_collect.cli.monitor:monitor",
        "Watch the recorder at work: rates, losses, last values, heat and infrared pictures.",
    ),
    "daemon": Place(
        "wban_collect.cli.daemon:daemon",
        "Own the chips and record when told to, or by the configuration's [unattended].",
    ),
    "doctor": Place(
        "wban_collect.cli.doctor:doctor",
        "Check bus, chips, cameras, machine, disk and configuration; say the remedy of each.",
    ),
    "keys": Place(
        "wban_collect.cli.keys:keys_group",
        "Make, list and revoke the keys of those who may speak to the daemon over TCP.",
    ),
    "simulate-study": Place(
        "wban_collect.cli.study:simulate_study_command",
        "Record simulated people, each with habits of his own, in virtual time.",
    ),
    "seal": Place(
        "wban_collect.cli.seal:seal",
        "Seal the session in FOLDER: journal to session.h5, compared before the journal goes.",
    ),
    "recover": Place(
        "wban_collect.cli.seal:recover",
        "Seal every unsealed session in DIRECTORY, after a power cut for instance.",
    ),
    "release": Place(
        "wban_collect.cli.release:release",
        "Take the receipt FILE of 'wban-dataset verify --receipt' to the sessions on this disk.",
    ),
    "config": Place(
        "wban_collect.cli.configuration:config_group", "Make, check and show the configuration."
    ),
    "install": Place(
        "wban_collect.cli.installation:install",
        "Put the recorder in place as a service of this Pi: environment, unit, rules, boot lines.",
    ),
    "uninstall": Place(
        "wban_collect.cli.installation:uninstall",
        "Take the recorder off this Pi and put back what was there before.",
    ),
}
"""In the order in which the help lists them; a test compares each help with its command's."""


@click.group(
    cls=LazyGroup,
    commands=LazyCommands(COMMANDS),
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Begin without any hardware:
  wban-collect start --subject S01 --activity eating \\
    --simulate --fast --duration 60s""",
)
@click.version_option(package_name="wban", prog_name="wban-collect")
@click.option("-v", "--verbose", is_flag=True, help="Say more of what happens.")
def cli(verbose: bool) -> None:
    """Record motion, heat and infrared pictures on one clock, and lose nothing."""
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(QuietRepeats())


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
