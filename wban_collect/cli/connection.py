"""Options by which every command that asks the daemon finds it, and what becomes of the answer."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from wban_collect.control.endpoints import ADDRESS_VARIABLE, find_daemon
from wban_collect.control.messages import SUCCESS, UNUSABLE_VALUE, Reply, Request
from wban_collect.errors import ConfigError, WbanError

keys_option = click.option(
    "--keys",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the keys.  [default: ~/.config/wban/keys, or the service's]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="The answer as JSON.")


class Connection:
    """The daemon that the command line means; it is not looked for before it is asked."""

    def __init__(self, socket: Path | None, host: str, keys: Path | None) -> None:
        if socket is not None and host:
            raise click.UsageError("--socket and --host exclude each other; give one of them.")
        self.is_chosen = socket is not None or bool(host)
        self._socket, self._host = socket, host
        self.keys = keys

    @property
    def is_named(self) -> bool:
        """Whether a certain daemon is meant, rather than one that may be there or not."""
        return self.is_chosen or bool(os.environ.get(ADDRESS_VARIABLE))

    @functools.cached_property
    def address(self) -> str:
        """Address of the daemon; raises like `find_daemon`."""
        return find_daemon(self._socket, self._host)

    def ask(
        self,
        request: Request,
        timeout_s: float = 5.0,
        waiting: Callable[[float], None] | None = None,
    ) -> Reply:
        """Ask the daemon; see `Daemon.ask`."""
        # Here, so that recording in the foreground needs no ZeroMQ.
        from wban_collect.control.client import Daemon

        with Daemon(self.address, self.keys) as daemon:
            return daemon.ask(request, timeout_s, waiting)


def connection_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add --socket, --host and --keys; the command gets them as one `connection`."""

    @click.option(
        "--socket",
        type=click.Path(path_type=Path),
        help=f"Socket file of the daemon.  [default: ${ADDRESS_VARIABLE}, the service's, or yours]",
    )
    @click.option(
        "--host", metavar="ADDRESS", default="", help="Over the network, with keys: tcp://HOST:PORT"
    )
    @keys_option
    @functools.wraps(command)
    def connected(socket: Path | None, host: str, keys: Path | None, **values: Any) -> None:
        command(connection=Connection(socket, host, keys), **values)

    return connected


def check(reply: Reply) -> Reply:
    """Return the reply, or end with the exit code and the sentence that it asks for."""
    if reply.exit_code == SUCCESS:
        return reply
    if reply.exit_code == UNUSABLE_VALUE:
        raise ConfigError(reply.error)
    raise WbanError(reply.error or "the daemon says that it failed, and not why; look at its log.")


def say_json(answer: msgspec.Struct) -> None:
    """Print an answer as one line of JSON."""
    click.echo(msgspec.json.encode(answer).decode())
