"""What libzmq tells of a socket's connections.

pyzmq's own reader of these messages loads asyncio, which would take `status` longer than all else.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import zmq

_EVENT = struct.Struct("=Hi")


class ConnectionEvent(NamedTuple):
    """One of `zmq.Event`, and its value: mostly the connection's descriptor."""

    kind: int
    value: int


def receive_event(monitor: zmq.Socket[bytes]) -> ConnectionEvent:
    """Receive the next event of a socket that is monitored (zmq_socket_monitor(3))."""
    event, _address = monitor.recv_multipart()
    return ConnectionEvent(*_EVENT.unpack(event))
