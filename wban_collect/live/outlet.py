"""One socket that live data leave by, and what its readers have subscribed to."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import zmq

from wban_collect.control.admission import admit_only_known
from wban_collect.control.endpoints import ipc_address
from wban_collect.control.keys import Keys
from wban_collect.control.listener import Listener, listen_tcp
from wban_collect.control.socket_file import SocketFile
from wban_collect.errors import ConfigError

log = logging.getLogger(__name__)

WAITING_MESSAGES = 100
"""What libzmq keeps for a reader that does not fetch it; the rest it drops."""

LARGEST_SUBSCRIPTION_BYTES = 1024
"""The CURVE handshake, to which the limit applies as well, takes some 300."""

MOST_SUBSCRIPTIONS = 1000
MOST_REQUESTS_AT_ONCE = 10_000
"""libzmq remembers every subscription of every reader and sets no limit to them."""

SUBSCRIBE, UNSUBSCRIBE = b"\x01", b"\x00"

Context = zmq.Context[zmq.Socket[bytes]]


class Place(NamedTuple):
    """Where connections come in: a socket that listens, its address, and what to do at the end."""

    listening: socket.socket
    address: str
    leave: Callable[[], None]


class Outlet:
    """A bound XPUB socket. It can be closed and opened again; honest readers then come back.

    Parameters
    ----------
    occupy
        Listens, at the address of the time before if there was one; may prepare the socket.
    """

    def __init__(
        self,
        context: Context,
        occupy: Callable[[zmq.Socket[bytes], str], Place],
    ) -> None:
        self.address = ""
        self.socket: zmq.Socket[bytes] | None = None
        self._context = context
        self._occupy = occupy
        self._leave: Callable[[], None] = _nothing
        self._listener: Listener | None = None
        self._prefixes: set[bytes] = set()

    @property
    def readable(self) -> tuple[zmq.Socket[bytes], ...]:
        """What to wait for: requests of readers, and their coming and going; () where closed."""
        if self.socket is None or self._listener is None:
            return ()
        return self.socket, self._listener.events

    @property
    def is_watched(self) -> bool:
        """Whether anybody has subscribed to anything."""
        return bool(self._prefixes)

    def open(self) -> None:
        """Make the socket and bind it; raises `WbanError` if that cannot be."""
        publishing = self._context.socket(zmq.XPUB)
        publishing.linger = 0
        publishing.sndhwm = WAITING_MESSAGES
        publishing.maxmsgsize = LARGEST_SUBSCRIPTION_BYTES
        try:
            listening, self.address, self._leave = self._occupy(publishing, self.address)
        except BaseException:
            publishing.close()
            raise
        self._listener = Listener(self._context, publishing, listening, self.address)
        self.socket = publishing

    def close(self) -> None:
        """Send all readers away."""
        self._prefixes.clear()
        if self.socket is not None and self._listener is not None:
            self._listener.close()
            self._leave()
            self.socket.close()
            self.socket = self._listener = None

    def read_subscriptions(self) -> None:
        """Take note of who is there and wants what; close where that is more than readers need."""
        if self.socket is None or self._listener is None:
            return
        self._listener.count()
        for _ in range(MOST_REQUESTS_AT_ONCE):
            try:
                request = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                break
            self._note(request[:1], request[1:])
            if len(self._prefixes) > MOST_SUBSCRIPTIONS:
                self._refuse()
                return
        else:
            self._refuse()

    def wants(self, topic: bytes) -> bool:
        """Whether anybody has subscribed to the topic."""
        return any(topic.startswith(prefix) for prefix in self._prefixes)

    def send(self, topic: bytes, message: bytes) -> None:
        """Hand a message to libzmq, which waits for nobody."""
        if self.socket is not None:
            self.socket.send_multipart([topic, message], zmq.NOBLOCK)

    def _note(self, kind: bytes, prefix: bytes) -> None:
        if kind == SUBSCRIBE:
            self._prefixes.add(prefix)
        elif kind == UNSUBSCRIBE:
            self._prefixes.discard(prefix)

    def _refuse(self) -> None:
        log.warning(
            "live data at %s: more than %d subscriptions, expected a few; all readers are sent "
            "away for a moment.",
            self.address,
            MOST_SUBSCRIPTIONS,
        )
        self.close()


def file_outlet(context: Context, path: Path) -> Outlet:
    """Outlet at a socket file, which its group may read from."""
    file = SocketFile(path)

    def occupy(_publishing: zmq.Socket[bytes], _before: str) -> Place:
        return Place(socket.socket(fileno=file.listen()), ipc_address(path), file.close)

    return Outlet(context, occupy)


def network_outlet(context: Context, wanted: str, keys: Keys) -> Outlet:
    """Outlet over TCP, for clients with a known key; needs an `Admission` in the context."""

    def occupy(publishing: zmq.Socket[bytes], before: str) -> Place:
        try:
            admit_only_known(publishing, keys)
        except ConfigError as error:
            raise ConfigError(f"live data over TCP ({wanted}) need keys: {error}") from error
        try:
            listening, address = listen_tcp(before or wanted)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ConfigError(
                f"live data over TCP: {wanted}: {reason}, expected an address of this machine with "
                "a free port. Change [control] live_tcp."
            ) from error
        return Place(listening, address, _nothing)

    return Outlet(context, occupy)


def _nothing() -> None:
    """There is no file to remove."""
