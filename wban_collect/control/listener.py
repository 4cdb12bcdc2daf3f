"""Where connections come in to a ZeroMQ socket, and how many there may be at a time.

libzmq accepts whoever comes, and ends the process when it has no descriptor left for one more. So
when there are too many, all are sent away at once, with whoever was only forgotten; the listening
socket stays in our hands meanwhile, so that those who are in earnest can come back.
"""

from __future__ import annotations

import logging
import os
import socket
import time

import zmq

from wban_collect.control.connection_events import receive_event
from wban_collect.control.endpoints import tcp_address

log = logging.getLogger(__name__)

CONNECTION_LIMIT = 100
HANDSHAKE_MS = 5_000
"""A connection that does not speak ZeroMQ by then is ended."""

_WARN_EVERY_S = 60.0
_COUNTED = zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED


class Listener:
    """Lets connections in to `zmq_socket`; sends all away when there are too many.

    Poll `events`, and call `count` when it is readable.

    Parameters
    ----------
    listening
        Bound and listening, and never blocking; closed by `close`.
    address
        The same as ZeroMQ writes it.
    """

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        zmq_socket: zmq.Socket[bytes],
        listening: socket.socket,
        address: str,
        limit: int = CONNECTION_LIMIT,
    ) -> None:
        self._socket = zmq_socket
        self._listening = listening
        self._limit = limit
        self._address = address
        # Their descriptors: should an end of one ever go unnoticed, its number is soon used again.
        self._connections: set[int] = set()
        self._warned_s = time.monotonic() - _WARN_EVERY_S
        zmq_socket.handshake_ivl = HANDSHAKE_MS
        self.events = _monitor(context, zmq_socket)
        self._open()

    def count(self) -> None:
        """Count who came and who left."""
        while self.events.poll(0):
            event = receive_event(self.events)
            if event.kind == zmq.EVENT_ACCEPTED:
                self._connections.add(event.value)
            else:
                self._connections.discard(event.value)
        if len(self._connections) >= self._limit:
            self._send_away()

    def close(self) -> None:
        """Let nobody in any more; the connections that there are go on."""
        self._socket.disable_monitor()
        self.events.close()
        self._listening.close()

    def _send_away(self) -> None:
        # libzmq ends with a bound address all the connections that came in there.
        self._socket.unbind(self._address)
        self._connections.clear()
        self._open()
        now_s = time.monotonic()
        if now_s - self._warned_s >= _WARN_EVERY_S:
            self._warned_s = now_s
            log.warning(
                "%s: %d connections at a time, expected a few; all were sent away, and may come "
                "back. Look for a program that opens one after another.",
                self._address,
                self._limit,
            )

    def _open(self) -> None:
        self._socket.setsockopt(zmq.USE_FD, os.dup(self._listening.fileno()))
        self._socket.bind(self._address)


def listen_tcp(wanted: str) -> tuple[socket.socket, str]:
    """Listen at an address of this machine; ``*`` is all of them, or any free port.

    Returns
    -------
    tuple
        The listening socket, and its address with the port that it has.

    Raises
    ------
    ConfigError
        If the address is none.
    OSError
        If it is not this machine's, or its port is taken.
    """
    host, _, port = tcp_address(wanted).removeprefix("tcp://").rpartition(":")
    name = None if host == "*" else host.strip("[]")
    families = socket.getaddrinfo(
        name,
        0 if port == "*" else int(port),
        socket.AF_INET6 if host.startswith("[") else socket.AF_INET,
        socket.SOCK_STREAM,
        flags=socket.AI_PASSIVE,
    )
    family, _, _, _, place = families[0]
    listening = socket.create_server(place[:2], family=family)
    listening.setblocking(False)
    return listening, f"tcp://{host}:{listening.getsockname()[1]}"


def _monitor(
    context: zmq.Context[zmq.Socket[bytes]], zmq_socket: zmq.Socket[bytes]
) -> zmq.Socket[bytes]:
    """Follow a socket's connections; its thread must never wait for us to read of them."""
    address = f"inproc://connections-{id(zmq_socket):x}"
    zmq_socket.monitor(address, _COUNTED)
    events = context.socket(zmq.PAIR)
    events.linger = 0
    events.rcvhwm = 0
    events.connect(address)
    return events
