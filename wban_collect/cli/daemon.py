"""wban-collect daemon: the recorder as a service."""

from __future__ import annotations

import logging
from pathlib import Path

import click

from wban_collect.cli.configuration import config_option, recordable
from wban_collect.service.daemon import Daemon, DaemonOptions


@click.command(
    epilog="""\b
Examples:
  wban-collect daemon --simulate --out recordings     try it without any hardware
  wban-collect daemon --config /etc/wban/config.toml  what systemd runs

\b
Then, from another terminal:
  wban-collect start --subject S01 --activity eating
  wban-collect status
  wban-collect stop"""
)
@config_option
@click.option("--simulate", is_flag=True, help="Simulated chips on a simulated person.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for sessions.  [default: recordings]"
)
@click.option(
    "--acknowledge",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append a JSON line to this file after every fsync: what can no more be lost.",
)
def daemon(
    config_path: Path | None, simulate: bool, out: Path | None, acknowledge: Path | None
) -> None:
    """Own the chips and record when told to, or by the configuration's [unattended].

    Ends in order on SIGTERM or Ctrl-C. Sessions that an earlier run left unsealed are finished
    first, in the background.

    It listens at the configuration's [control] socket, or else where $WBAN_SOCKET says.
    """
    config = recordable(config_path)
    logging.getLogger("wban_collect").setLevel(logging.INFO)
    options = DaemonOptions(out or Path(config.storage.out), simulate, acknowledge)
    Daemon(config, options).run()
