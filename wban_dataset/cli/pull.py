"""wban-dataset pull: sealed sessions from a recorder, verified."""

from __future__ import annotations

import json
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from wban_dataset.transfer.pulling import Outcome, Pulled

DONE, FAILED = 0, 1


@click.command(
    epilog="""\b
For example:
  wban-dataset pull pi@raspberrypi.local:/var/lib/wban/recordings --to study \\
    --acknowledge --release-command 'sudo -n -u wban wban-collect'"""
)
@click.argument("source", metavar="HOST:DIR")
@click.option(
    "--to",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the copies; made if it is not there.",
)
@click.option(
    "--acknowledge",
    is_flag=True,
    help="Tell the recorder which copies are intact, so that it may remove them when it is full.",
)
@click.option(
    "--release-command",
    default="wban-collect",
    show_default=True,
    help="How wban-collect is run there.",
)
@click.option(
    "--ssh-config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Instead of your own: host, port, key.",
)
@click.option("--json", "as_json", is_flag=True, help="Say what was done as JSON.")
def pull(
    source: str,
    to: Path,
    acknowledge: bool,
    release_command: str,
    ssh_config: Path | None,
    as_json: bool,
) -> None:
    """Fetch sealed sessions from a recorder; verify each.

    They are those below HOST:DIR, or below a folder of this machine. A copy appears under --to once
    it was read from end to end and found intact; its receipt goes to receipts.csv there. One that
    was cut goes on where it was when you pull again; what is here already is not fetched again.
    Nothing is removed at the other end.

    Exit codes: 0 all are here and intact, 1 one is not.
    """
    from wban_dataset.transfer.acknowledgement import acknowledge as hand_back
    from wban_dataset.transfer.connection import Connection
    from wban_dataset.transfer.place import parse_place
    from wban_dataset.transfer.pulling import pull as run
    from wban_dataset.transfer.rsync import Rsync

    place = parse_place(source)
    words = _release_words(release_command)

    def tell(path: str, outcome: Outcome, number: int, total: int) -> None:
        if not as_json:
            click.echo(f"[{number}/{total}] {path}: {outcome.value}")

    with ExitStack() as stack:
        connection = stack.enter_context(Connection(place, ssh_config)) if place.host else None
        name = Path(place.folder).name or "session"
        pulled = run(Rsync(place, connection), name, to, tell)
        said = ""
        if acknowledge and pulled.receipts:
            said = hand_back(place, connection, pulled.receipts, words)
    if as_json:
        click.echo(json.dumps(_as_dict(pulled, acknowledged=acknowledge)))
    else:
        click.echo(said, nl=False)
        if not pulled.outcomes:
            click.echo(f"{source}: it has no sealed sessions")
    for problem in pulled.problems:
        click.echo(f"Error: {problem}", err=True)
    sys.exit(FAILED if pulled.problems else DONE)


def _release_words(text: str) -> list[str]:
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}.", param_hint="--release-command") from error
    if not words:
        raise click.BadParameter("it is empty.", param_hint="--release-command")
    return words


def _as_dict(pulled: Pulled, *, acknowledged: bool) -> dict[str, Any]:
    return {
        "sessions": {path: outcome.name.lower() for path, outcome in pulled.outcomes.items()},
        "verified": [receipt.session_id for receipt in pulled.receipts],
        "acknowledged": acknowledged,
        "problems": pulled.problems,
    }
