"""Reads live data, of a recorder on this machine or over TCP."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

import zmq

from wban_collect.control.client import no_daemon
from wban_collect.control.endpoints import is_served, socket_path
from wban_collect.control.keys import Keys, keys_folder
from wban_collect.errors import ConfigError
from wban_collect.live.messages import LiveMessage, decode

WAITING_MESSAGES = 1000
LARGEST_MESSAGE_BYTES = 16 << 20


class Subscriber:
    """A reader of live data, to be used in one thread; ``with Subscriber(address) as live``.

    A recorder that goes away and comes back is read again.

    Parameters
    ----------
    topics
        Beginnings of the topics that are wanted; all where it is left out.
    keys
        Folder of a client's keys, needed for TCP; the default one where it is left out.
    """

    def __init__(
        self, address: str, topics: Iterable[bytes] = (b"",), keys: Path | None = None
    ) -> None:
        self.address = address
        self._topics = tuple(topics)
        self._keys = keys

    def __enter__(self) -> Self:
        """Connect.

        Raises
        ------
        DaemonUnreachableError
            If nobody listens at the socket file, or not to this user. Over TCP it shows only in
            that nothing comes.
        ConfigError
            If a key is needed and is not there.
        """
        if not is_served(self.address):
            raise no_daemon(self.address)
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
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
            keys = Keys(self._keys or keys_folder())
            pair = keys.client()
            reading.curve_publickey, reading.curve_secretkey = pair.public, pair.secret
            reading.curve_serverkey = keys.server_public()
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
