"""One socket that live data leave by, and what its readers have subscribed to."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import zmq

from wban_collect.control.admission import admit_only_known
from wban_collect.control.endpoints import ipc_address, tcp_address
from wban_collect.control.keys import Keys
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


class Outlet:
    """A bound XPUB socket. It can be closed and opened again; honest readers then come back.

    Parameters
    ----------
    bind
        Binds a new socket, and returns its address and what undoes it.
    """

    def __init__(
        self,
        context: Context,
        bind: Callable[[zmq.Socket[bytes]], tuple[str, Callable[[], None]]],
    ) -> None:
        self.address = ""
        self.socket: zmq.Socket[bytes] | None = None
        self._context = context
        self._bind = bind
        self._unbind: Callable[[], None] = _nothing
        self._prefixes: set[bytes] = set()

    @property
    def is_watched(self) -> bool:
        """Whether anybody has subscribed to anything."""
        return bool(self._prefixes)

    def open(self) -> None:
        """Make the socket and bind it; raises `WbanError` if that cannot be."""
        socket = self._context.socket(zmq.XPUB)
        socket.linger = 0
        socket.sndhwm = WAITING_MESSAGES
        socket.maxmsgsize = LARGEST_SUBSCRIPTION_BYTES
        try:
            self.address, self._unbind = self._bind(socket)
        except BaseException:
            socket.close()
            raise
        self.socket = socket

    def close(self) -> None:
        """Send all readers away."""
        self._prefixes.clear()
        if self.socket is not None:
            self._unbind()
            self.socket.close()
            self.socket = None

    def read_subscriptions(self) -> None:
        """Take note of who wants what; close where it is more than a reader can need."""
        if self.socket is None:
            return
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

    def bind(socket: zmq.Socket[bytes]) -> tuple[str, Callable[[], None]]:
        address = ipc_address(path)
        socket.setsockopt(zmq.USE_FD, file.listen())
        socket.bind(address)
        return address, file.close

    return Outlet(context, bind)


def network_outlet(context: Context, wanted: str, keys: Keys) -> Outlet:
    """Outlet over TCP, for clients with a known key; needs an `Admission` in the context."""
    address = tcp_address(wanted)

    def bind(socket: zmq.Socket[bytes]) -> tuple[str, Callable[[], None]]:
        try:
            admit_only_known(socket, keys)
        except ConfigError as error:
            raise ConfigError(f"live data over TCP ({address}) need keys: {error}") from error
        socket.ipv6 = "[" in address
        try:
            socket.bind(outlet.address or address)
        except zmq.ZMQError as error:
            raise ConfigError(
                f"live data over TCP: {address}: {str(error).lower()}, expected an address of "
                "this machine with a free port. Change [control] live_tcp."
            ) from error
        return socket.getsockopt_string(zmq.LAST_ENDPOINT), _nothing

    outlet = Outlet(context, bind)
    return outlet


def _nothing() -> None:
    """There is no file to remove."""
