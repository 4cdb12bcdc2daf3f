"""wban-collect keys: who may speak to the daemon over the network."""

from __future__ import annotations

from pathlib import Path

import click

from wban_collect.cli.connection import keys_option
from wban_collect.control.keys import CLIENTS, Keys, keys_folder


@click.group(
    "keys",
    epilog="""\b
Once, where the daemon runs (with sudo for the service):
  wban-collect keys server
  wban-collect keys client lab-laptop
Then set [control] tcp in its configuration, restart it, and carry the folder
lab-laptop-keys to the other machine:
  wban-collect status --host tcp://raspberrypi.local:7711 --keys lab-laptop-keys""",
)
def keys_group() -> None:
    """Make, list and revoke the keys of those who may speak to the daemon over TCP."""


@keys_group.command()
@keys_option
def server(keys: Path | None) -> None:
    """Make the daemon's own key, once.

    The secret stays in the folder of the keys, for the daemon's user alone.
    """
    public = _keys(keys).make_server()
    click.echo(f"{public} made, and its secret beside it.")
    click.echo("Next: wban-collect keys client NAME")


@keys_group.command()
@click.argument("name")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="New folder for what the client needs.  [default: NAME-keys]",
)
@keys_option
def client(name: str, out: Path | None, keys: Path | None) -> None:
    """Make a key for the client NAME, and admit it.

    No restart of the daemon is needed for it.
    """
    folder = out or Path(f"{name}-keys")
    _keys(keys).make_client(name, folder)
    click.echo(f"{name} is admitted. Move {folder} to its machine, and keep no copy here.")
    click.echo(f"Next, there: wban-collect status --host tcp://HOST:PORT --keys {folder.name}")


@keys_group.command("list")
@keys_option
def list_clients(keys: Path | None) -> None:
    """List the clients that are admitted, with their public keys."""
    found = _keys(keys)
    clients = found.clients()
    width = max(map(len, clients), default=0)
    for name, public in clients.items():
        click.echo(f"{name:<{width}}  {public.decode('ascii', 'replace')}")
    if not clients:
        click.echo(f"no client is admitted ({found.folder / CLIENTS})")


@keys_group.command()
@click.argument("name")
@keys_option
def revoke(name: str, keys: Path | None) -> None:
    """Admit NAME no longer: its next connection is refused."""
    _keys(keys).revoke(name)
    click.echo(f"{name} is no longer admitted. A connection that it has open lasts until it ends.")


def _keys(folder: Path | None) -> Keys:
    return Keys(folder or keys_folder())
