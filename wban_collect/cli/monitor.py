"""wban-collect monitor: watch a recorder at work."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.live import Live

from wban_collect.cli.connection import Connection, connection_options
from wban_collect.cli.live_view import LiveView, summary
from wban_collect.cli.monitor_page import MonitorPage
from wban_collect.control.endpoints import LIVE_NAME, socket_path
from wban_collect.control.messages import StatusRequest
from wban_collect.errors import ConfigError, DaemonUnreachableError, WbanError
from wban_collect.live.subscriber import Subscriber

FRAMES_PER_S = 4
PATIENCE_S = 5.0
"""How long the daemon, which speaks once a second, may be silent before it is given up."""

ONCE_S = 2.0
"""How long one frame waits for streams that are slow; the others come within a second."""


@click.command(
    epilog="""\b
Examples:
  wban-collect monitor
  wban-collect monitor --once
  wban-collect monitor --json | jq .streams.accel.newest
  wban-collect monitor --host tcp://raspberrypi.local:7712 --keys lab-laptop-keys
Over the network it is the address of live data that is wanted, control.live_tcp of the recorder.

\b
Exit codes: 0 watched until Ctrl-C, or --once; 1 unreachable."""
)
@click.option("--once", is_flag=True, help="Draw once, and end; also where no terminal is.")
@click.option("--json", "as_json", is_flag=True, help="One line of JSON a second.")
@connection_options
def monitor(connection: Connection, once: bool, as_json: bool) -> None:
    """Watch the recorder at work: rates, losses, last values, heat and infrared pictures."""
    view = LiveView()
    try:
        with Subscriber(_live_address(connection, view), keys=connection.keys) as live:
            watch = Watch(live, view)
            watch.wait_for_first_word()
            if as_json:
                _say_lines(watch, once=once)
            elif once or not Console().is_terminal:
                watch.receive(ONCE_S, lambda: view.is_complete)
                Console().print(MonitorPage(view, time.monotonic()))
            else:
                _show(watch)
    except KeyboardInterrupt:
        pass


class Watch:
    """Keeps a view up to date with what comes in."""

    def __init__(self, live: Subscriber, view: LiveView) -> None:
        self.view = view
        self._live = live

    def wait_for_first_word(self) -> None:
        """Return when the daemon has said how it does.

        Raises
        ------
        DaemonUnreachableError
            If it says nothing.
        """
        self.receive(PATIENCE_S, lambda: self.view.status is not None)
        if self.view.status is None:
            raise DaemonUnreachableError(
                f"live data at {self._live.address}: nothing came within {PATIENCE_S:g} s, "
                "expected a word each second. Check that the address is that of live data "
                "(control.live_tcp), that a daemon runs there, and that it admits this key."
            )

    def receive(self, duration_s: float, is_enough: Callable[[], bool] = lambda: False) -> None:
        """Take what comes for so long, or until it is enough."""
        end_s = time.monotonic() + duration_s
        while not is_enough():
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                return
            try:
                message = self._live.receive(left_s)
            except ValueError as error:
                raise WbanError(str(error)) from error
            if message is not None:
                self.view.take(message, time.monotonic())


def _live_address(connection: Connection, view: LiveView) -> str:
    """Where live data can be read; the daemon on this machine is asked, and says how it does."""
    address = connection.address
    path = socket_path(address)
    if path is None:
        if not connection.is_chosen:
            raise ConfigError(
                f"live data of {address}: found the address for control, expected that for live "
                "data. Name it with --host; it is control.live_tcp in the recorder's configuration."
            )
        return address
    if path.name == LIVE_NAME:
        return address
    status = connection.ask(StatusRequest()).status
    if status is None or not status.live_address:
        raise WbanError(
            f"daemon at {address}: it has no live data to offer, expected an address. "
            "Update it to this version of wban."
        )
    view.hear(status, time.monotonic())
    return status.live_address


def _show(watch: Watch) -> None:
    """Draw until Ctrl-C."""
    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as display:
        while True:
            display.update(MonitorPage(watch.view, time.monotonic()), refresh=True)
            watch.receive(1 / FRAMES_PER_S)


def _say_lines(watch: Watch, *, once: bool) -> None:
    while True:
        watch.receive(ONCE_S if once else 1.0, lambda: once and watch.view.is_complete)
        click.echo(msgspec.json.encode(_line(watch.view, time.monotonic())).decode())
        if once:
            return


def _line(view: LiveView, now_s: float) -> dict[str, Any]:
    """Say what is known, for a program."""
    return {
        "time_utc": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "reachable": not view.silent_s(now_s),
        "status": view.status,
        "streams": {name: summary(seen) for name, seen in sorted(view.streams.items())},
    }
