"""What systemd is told of the service: sd_notify(3), a few lines to a datagram socket."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping

log = logging.getLogger(__name__)


class Notifier:
    """Speaks to the service manager; does nothing where there is none.

    Nothing here waits: a service manager that does not listen must not hold up a recording.

    Parameters
    ----------
    environ
        Where the service manager left its address and the watchdog's interval; by default the
        process's environment.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.watchdog_interval_s = _watchdog_interval_s(environ)
        """Within this time `watchdog` is to be called, best every half of it; 0 if nobody waits."""
        self._complained = False

    def ready(self, status: str = "") -> None:
        """Say that the service has started, and how it does."""
        self._send("READY=1", _status(status))

    def status(self, text: str) -> None:
        """Say in one line how it does, for ``systemctl status``."""
        self._send(_status(text))

    def watchdog(self) -> None:
        """Say that it is alive."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that it is about to end."""
        self._send("STOPPING=1")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        message = "\n".join(line for line in lines if line).encode("utf-8", "replace")
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendto(message, self._address)
        except OSError as error:
            if not self._complained:
                log.warning("the service manager cannot be told: %s", error.strerror or error)
            self._complained = True


def _address(text: str) -> str:
    """Path of the socket, or its abstract name, for which systemd writes ``@``."""
    if text.startswith("/"):
        return text
    return f"\0{text[1:]}" if text.startswith("@") and len(text) > 1 else ""


def _status(text: str) -> str:
    """One line: a second one would be taken for another message."""
    return f"STATUS={' '.join(text.split())}" if text else ""


def _watchdog_interval_s(environ: Mapping[str, str]) -> float:
    """Return the interval, if it is meant for this process (sd_watchdog_enabled(3))."""
    interval_us = environ.get("WATCHDOG_USEC", "")
    process = environ.get("WATCHDOG_PID", str(os.getpid()))
    if not interval_us.isdecimal() or process != str(os.getpid()):
        return 0.0
    return int(interval_us) / 1e6
