"""Asks the daemon, and says in one sentence why there is no answer.

Loads neither numpy nor anything that records: a command that only asks starts in a moment.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import msgspec
import zmq

from wban_collect.control.connection_events import receive_event
from wban_collect.control.dialled import DialledSocket, no_daemon
from wban_collect.control.endpoints import socket_path
from wban_collect.control.messages import Reply, Request, decode_reply, encode
from wban_collect.errors import DaemonUnreachableError

LARGEST_REPLY_BYTES = 16 << 20
_SHOW_EVERY_S = 0.5

_KEY_REFUSED = zmq.EVENT_HANDSHAKE_FAILED_AUTH
_NO_HANDSHAKE = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL


class Daemon(DialledSocket):
    """A connection to the daemon, to be used in one thread; ``with Daemon(address) as daemon``.

    Parameters
    ----------
    address
        ``ipc://PATH`` or ``tcp://HOST:PORT``; see `endpoints.find_daemon`.
    keys
        Folder of a client's keys, needed for TCP; the default one where it is left out.
    """

    kind = zmq.REQ

    def ask(
        self,
        request: Request,
        timeout_s: float = 5.0,
        waiting: Callable[[float], None] | None = None,
    ) -> Reply:
        """Ask, and wait for the answer.

        Parameters
        ----------
        waiting
            Called twice a second with the seconds waited so far.

        Raises
        ------
        DaemonUnreachableError
            If there is no answer in time, the daemon ends, refuses the key, or is not understood.
        """
        begun_s = time.monotonic()
        self._wait(zmq.POLLOUT, begun_s, timeout_s, waiting)
        self._socket.send(encode(request))
        self._wait(zmq.POLLIN, begun_s, timeout_s, waiting)
        try:
            return decode_reply(self._socket.recv())
        except (msgspec.MsgspecError, ValueError) as error:
            raise DaemonUnreachableError(
                f"daemon at {self.address}: its answer is not understood ({error}), expected one "
                "of this version of wban. Restart the daemon after an update."
            ) from error

    def _set_up(self) -> None:
        asking = self._socket
        asking.linger = 0
        asking.immediate = True
        asking.maxmsgsize = LARGEST_REPLY_BYTES
        # A connection that breaks is said to be broken; it is not quietly made again.
        asking.reconnect_ivl = -1
        # One may ask again after an answer that did not come in time.
        asking.req_relaxed = asking.req_correlate = True
        if socket_path(self.address) is None:
            self._use_keys()
        self._events = asking.get_monitor_socket()
        asking.connect(self.address)

    def _use_keys(self) -> None:
        self._show_key()
        host = self.address.removeprefix("tcp://").rpartition(":")[0]
        try:
            socket.getaddrinfo(host.strip("[]"), None)
        except OSError as error:
            raise DaemonUnreachableError(
                f"daemon at {self.address}: {host} is not known ({error.strerror}), expected the "
                "name or the address of a machine. Check --host."
            ) from error
        self._socket.ipv6 = "[" in host

    def _wait(
        self,
        wanted: int,
        begun_s: float,
        timeout_s: float,
        waiting: Callable[[float], None] | None,
    ) -> None:
        """Wait until the socket can be written or read; raise when it will not come to that."""
        poller = zmq.Poller()
        poller.register(self._socket, wanted)
        poller.register(self._events, zmq.POLLIN)
        while True:
            waited_s = time.monotonic() - begun_s
            if waited_s > timeout_s:
                raise DaemonUnreachableError(
                    f"daemon at {self.address}: no answer within {timeout_s:g} s, expected one. "
                    "It may be hung: look at its log (journalctl -u wban-collect)."
                )
            left_s = min(timeout_s - waited_s, _SHOW_EVERY_S)
            ready = dict(poller.poll(int(left_s * 1000) + 1))
            # Looked at last: an answer may have come just before the end of its connection.
            if self._socket.poll(0, wanted):
                return
            if self._events in ready:
                self._look_at_event()
            if waiting is not None:
                waiting(waited_s)

    def _look_at_event(self) -> None:
        """Raise if what happened to the connection means that there will be no answer."""
        event = receive_event(self._events).kind
        if event & _KEY_REFUSED:
            raise DaemonUnreachableError(
                f"daemon at {self.address}: it does not admit this client's key. Have one made "
                "there with 'wban-collect keys client NAME', and name its folder with --keys."
            )
        if event & _NO_HANDSHAKE:
            raise DaemonUnreachableError(
                f"daemon at {self.address}: what answers there is not the daemon whose server.key "
                "is among these keys. Check the address and --keys."
            )
        if event & zmq.EVENT_CLOSED:
            raise no_daemon(self.address)
        if event & zmq.EVENT_DISCONNECTED:
            raise DaemonUnreachableError(
                f"daemon at {self.address}: it ended before it answered. Look at its log "
                "(journalctl -u wban-collect), then ask 'wban-collect status'."
            )
