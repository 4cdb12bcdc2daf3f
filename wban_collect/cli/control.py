"""wban-collect stop, label, mark, status, sessions: what a person says to the daemon."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click

from wban_collect.cli.connection import (
    Connection,
    check,
    connection_options,
    json_option,
    say_json,
)
from wban_collect.cli.status_page import sessions_table, status_page
from wban_collect.cli.values import usable
from wban_collect.control.messages import (
    LabelRequest,
    MarkRequest,
    Reply,
    SessionsRequest,
    StartRequest,
    StatusRequest,
    StopRequest,
)
from wban_collect.errors import WbanError
from wban_dataset.recording.activities import slug
from wban_dataset.recording.wording import check_printable

START_S = 90.0
"""Longest wait for the required streams: the daemon gives them 30 s, a slow camera more."""

STOP_S = 30.0
"""The daemon takes less than 2 s, unless its disk does not take the last records."""

LONGEST_REMARK = 1000


@click.command(
    epilog="""\b
Example:
  wban-collect stop
Sealing goes on in the background; 'wban-collect status' says how far it is.

\b
Exit codes: 0 stopped, 1 nothing was being recorded, or the daemon is unreachable."""
)
@json_option
@connection_options
def stop(connection: Connection, as_json: bool) -> None:
    """End the recording; everything recorded is on the disk when this returns."""
    reply = _told(connection.ask(StopRequest(), STOP_S), as_json)
    if not as_json:
        click.echo(f"stopped: {reply.folder}" if reply.folder else "stopped; nothing was recorded")


@click.command(
    epilog="""\b
Examples:
  wban-collect label walking
  wban-collect label "speak and walk"

\b
Exit codes: 0 labelled, 1 nothing is being recorded, or the daemon is unreachable or refuses,
2 unusable value, an unknown activity for instance."""
)
@click.argument("activity")
@json_option
@connection_options
def label(connection: Connection, activity: str, as_json: bool) -> None:
    """Say what is done from now on; the span before ends here."""
    name = usable(lambda: slug(activity), "ACTIVITY")
    _told(connection.ask(LabelRequest(name)), as_json)
    if not as_json:
        click.echo(f"from now on: {name}")


@click.command(
    epilog="""\b
Example:
  wban-collect mark "cup fell down"

\b
Exit codes: 0 noted, 1 nothing is being recorded, or the daemon is unreachable or refuses,
2 unusable value, a remark of more than 1000 characters for instance."""
)
@click.argument("text")
@json_option
@connection_options
def mark(connection: Connection, text: str, as_json: bool) -> None:
    """Note that something worth a remark happens now."""
    remark = usable(lambda: _remark(text), "TEXT")
    _told(connection.ask(MarkRequest(remark)), as_json)
    if not as_json:
        click.echo("noted")


@click.command(
    epilog="""\b
Examples:
  wban-collect status
  wban-collect status --json | jq .recording.label
  wban-collect status --host tcp://raspberrypi.local:7711 --keys lab-laptop-keys

\b
Exit codes: 0 idle or recording, 1 unreachable."""
)
@json_option
@connection_options
def status(connection: Connection, as_json: bool) -> None:
    """Say how the recorder does: rates, losses, room on the disk, what is wrong."""
    found = check(connection.ask(StatusRequest())).status
    if found is None:
        raise WbanError(f"daemon at {connection.address}: it answered, but not how it does.")
    if as_json:
        say_json(found)
    else:
        click.echo(status_page(found, datetime.now(UTC).astimezone()))


@click.command(
    epilog="""\b
Examples:
  wban-collect sessions
  wban-collect sessions --limit 1000 --json

\b
Exit codes: 0 listed, 1 the daemon is unreachable."""
)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=20,
    show_default=True,
    help="At most so many.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line for each session.")
@connection_options
def sessions(connection: Connection, limit: int, as_json: bool) -> None:
    """List what has been recorded, the newest first."""
    found = check(connection.ask(SessionsRequest(limit))).sessions
    if as_json:
        for entry in found:
            say_json(entry)
    else:
        click.echo(sessions_table(found) if found else "no session yet")


def ask_to_start(connection: Connection, request: StartRequest, *, as_json: bool) -> None:
    """Let the daemon record; return once it does, or end with what is missing."""
    line = _WaitingLine()
    try:
        reply = connection.ask(request, START_S, line.show)
    finally:
        line.clear()
    _told(reply, as_json)
    if not as_json:
        click.echo(f"recording: {reply.folder}")
        click.echo("Next: wban-collect status, label, mark, stop")


class _WaitingLine:
    """One line on a terminal that says how long it has been."""

    def __init__(self) -> None:
        self._is_drawn = False

    def show(self, waited_s: float) -> None:
        if sys.stderr.isatty():
            self._is_drawn = True
            click.echo(f"\rwaiting for the devices, {waited_s:.0f} s", err=True, nl=False)

    def clear(self) -> None:
        if self._is_drawn:
            click.echo("\r\x1b[K", err=True, nl=False)


def _told(reply: Reply, as_json: bool) -> Reply:
    """Print a reply for a program; end with its sentence and exit code where it is no success."""
    if as_json:
        say_json(reply)
    return check(reply)


def _remark(text: str) -> str:
    remark = text.strip()
    if not 0 < len(remark) <= LONGEST_REMARK:
        raise ValueError(
            f"remark of {len(remark)} characters: expected 1 to {LONGEST_REMARK}, "
            "e.g. 'cup fell down'"
        )
    check_printable(remark, "remark")
    return remark
