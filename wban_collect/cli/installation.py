"""wban-collect install and uninstall: put the recorder on a Pi as a service, or take it off."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from wban_collect.installation.environment import running_source, wheel_source
from wban_collect.installation.places import SERVICE, Places
from wban_collect.installation.plan import Plan, installation, removal
from wban_collect.installation.step import Change, InstallationError, Step, carry_out, planned

FAILED = 1

root_option = click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Put files below this folder, an image for instance; runs no command.",
)
dry_run_option = click.option(
    "--dry-run", is_flag=True, help="Say what would change, files line by line; change nothing."
)
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@click.command(
    epilog="""\b
Examples:
  sudo wban-collect install --dry-run
  sudo wban-collect install
  sudo wban-collect install --wheels /media/stick/wheels --yes     (without a network)

\b
Exit codes: 0 all is in place, 1 failed or declined, 2 unusable value."""
)
@dry_run_option
@click.option(
    "--wheels",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of wheels: this wban and all that it needs; no network is used.",
)
@root_option
@yes_option
def install(dry_run: bool, wheels: Path | None, root: Path | None, yes: bool) -> None:
    """Put the recorder in place as a service of this Pi: environment, unit, rules, boot lines.

    A second run finds nothing to do. What is changed is kept as a copy, NAME.wban-backup.
    """
    if root and wheels:
        raise click.UsageError("--root makes no environment, so --wheels says nothing; drop one.")
    places = _places(root, dry_run=dry_run)
    source = None
    if places.live:
        source = wheel_source(wheels.resolve()) if wheels else running_source()
        os.umask(0o022)  # the service's account must be able to read what root makes
    user = os.environ.get("SUDO_USER", "")
    plan = installation(places, source, user if user != "root" else "")
    for remark in plan.remarks:
        click.echo(f"Note: {remark}")
    changes = _carried_out(plan, dry_run=dry_run, yes=yes)
    if dry_run or not changes:
        return
    _say_afterwards(changes)
    click.echo(f"Next: edit {places.configuration / 'config.toml'}, then")
    click.echo(f"  sudo systemctl restart {SERVICE.removesuffix('.service')}")


@click.command(
    epilog="""\b
Exit codes: 0 nothing of it is left, 1 failed or declined, 2 unusable value."""
)
@dry_run_option
@click.option("--purge", is_flag=True, help="Remove the configuration and the keys as well.")
@root_option
@yes_option
def uninstall(dry_run: bool, purge: bool, root: Path | None, yes: bool) -> None:
    """Take the recorder off this Pi and put back what was there before.

    Recordings stay, with the account wban that they belong to; the configuration stays too unless
    --purge is given.
    """
    places = _places(root, dry_run=dry_run)
    changes = _carried_out(removal(places, purge=purge), dry_run=dry_run, yes=yes)
    if dry_run or not changes:
        return
    _say_afterwards(changes)
    click.echo(f"Kept: {places.recordings}" + ("." if purge else f" and {places.configuration}."))


def _places(root: Path | None, *, dry_run: bool) -> Places:
    """Choose the machine, or the folder that stands for one."""
    places = Places(root.resolve() if root else Path("/"))
    if places.live and not dry_run and os.geteuid() != 0:
        raise InstallationError(
            "this changes the system, so it must be run as root: put 'sudo' before the command, or "
            "see first with --dry-run what it would do."
        )
    return places


def _carried_out(plan: Plan, *, dry_run: bool, yes: bool) -> list[Change]:
    """Show the changes, ask, and make them; returns them."""
    todo = planned(plan.steps)
    if not todo:
        click.echo("Nothing to do: all is as it should be.")
        return []
    if dry_run:
        for _step, change in todo:
            click.echo(f"would {change.summary}")
            if change.diff:
                click.echo(change.diff)
        return [change for _step, change in todo]
    if not yes:
        _ask(todo)
    plan.mark.set()
    for change in carry_out(todo):
        click.echo(change.summary)
    plan.mark.clear()
    return [change for _step, change in todo]


def _ask(todo: list[tuple[Step, Change]]) -> None:
    """Show what would be done and go on only if that is wanted."""
    for _step, change in todo:
        click.echo(f"  {change.summary}")
    if not click.confirm("Do all of this?"):
        click.echo("Nothing was changed.", err=True)
        sys.exit(FAILED)


def _say_afterwards(changes: list[Change]) -> None:
    for change in changes:
        if change.afterwards:
            click.echo(change.afterwards)
