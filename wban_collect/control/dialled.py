"""A socket that was dialled to a daemon: to ask it, or to read its live data."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

import zmq

from wban_collect.control.endpoints import is_served
from wban_collect.errors import DaemonUnreachableError


class DialledSocket(ABC):
    """Holds a socket in a ``with`` statement; to be used in one thread.

    Attributes
    ----------
    kind
        Of the ZeroMQ socket, e.g. ``zmq.REQ``.
    """

    kind: ClassVar[int]

    def __init__(self, address: str, keys: Path | None = None) -> None:
        self.address = address
        self._keys = keys

    def __enter__(self) -> Self:
        """Connect.

        Raises
        ------
        DaemonUnreachableError
            If nobody listens at the socket file, or not to this user.
        ConfigError
            If a key is needed and is not there.
        """
        if not is_served(self.address):
            raise no_daemon(self.address)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(self.kind)
        try:
            self._set_up()
        except BaseException:
            self._context.destroy(linger=0)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._context.destroy(linger=0)

    @abstractmethod
    def _set_up(self) -> None:
        """Set the socket's options and connect it."""

    def _show_key(self) -> None:
        """Speak as a client that the daemon knows, and with that daemon alone."""
        from wban_collect.control.keys import Keys, keys_folder

        keys = Keys(self._keys or keys_folder())
        pair = keys.client()
        self._socket.curve_publickey, self._socket.curve_secretkey = pair.public, pair.secret
        self._socket.curve_serverkey = keys.server_public()


def no_daemon(address: str) -> DaemonUnreachableError:
    """Say that nobody listens at an address."""
    return DaemonUnreachableError(
        f"daemon at {address}: nobody listens there. Start one with 'wban-collect daemon', or "
        "'systemctl start wban-collect' where it is installed as a service."
    )
