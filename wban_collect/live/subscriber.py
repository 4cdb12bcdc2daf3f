"""Reads live data, of a recorder on this machine or over TCP."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import zmq

from wban_collect.control.dialled import DialledSocket
from wban_collect.control.endpoints import socket_path
from wban_collect.errors import ConfigError
from wban_collect.live.messages import LiveMessage, decode

WAITING_MESSAGES = 1000
LARGEST_MESSAGE_BYTES = 16 << 20


class Subscriber(DialledSocket):
    """A reader of live data, to be used in one thread; ``with Subscriber(address) as live``.

    A recorder that goes away and comes back is read again. Over TCP it shows only in that nothing
    comes where nobody listens.

    Parameters
    ----------
    topics
        Beginnings of the topics that are wanted; all where it is left out.
    keys
        Folder of a client's keys, needed for TCP; the default one where it is left out.
    """

    kind = zmq.SUB

    def __init__(
        self, address: str, topics: Iterable[bytes] = (b"",), keys: Path | None = None
    ) -> None:
        super().__init__(address, keys)
        self._topics = tuple(topics)

    def receive(self, timeout_s: float) -> LiveMessage | None:
        """Return the next message; None if none comes in time.

        Raises
        ------
        ValueError
            If it cannot be understood.
        """
        if not self._socket.poll(max(0, round(timeout_s * 1000))):
            return None
        return decode(self._socket.recv_multipart())

    def _set_up(self) -> None:
        reading = self._socket
        reading.rcvhwm = WAITING_MESSAGES
        reading.maxmsgsize = LARGEST_MESSAGE_BYTES
        if socket_path(self.address) is None:
            self._show_key()
            reading.ipv6 = "[" in self.address
        for topic in self._topics:
            reading.subscribe(topic)
        try:
            reading.connect(self.address)
        except zmq.ZMQError as error:
            raise ConfigError(
                f"live data at {self.address}: {str(error).lower()}, expected the address of a "
                "machine, e.g. tcp://raspberrypi.local:7712."
            ) from error
