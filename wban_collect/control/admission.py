"""Who may connect over TCP: clients whose public key is in the folder of keys, and nobody else.

libzmq asks before a connection carries its first message (ZAP, RFC 27). The folder is read at each
question, so that a revoked key is refused from its next connection on.
"""

from __future__ import annotations

import logging
import os
import time
from typing import TYPE_CHECKING, Any

import zmq
from zmq.utils import z85

if TYPE_CHECKING:
    from wban_collect.control.keys import Keys

log = logging.getLogger(__name__)

ZAP_ADDRESS = "inproc://zeromq.zap.01"
ZAP_VERSION = b"1.0"
DOMAIN = b"wban"

HEARTBEAT_MS = 10_000

TOLD_EVERY_S = 60.0
"""A client's admission is logged once in this time: a monitor connects several times a second."""


class Admission:
    """Answers libzmq's questions for all CURVE sockets of one context.

    Poll `socket`, and call `answer` when it is readable. It has to be there before any of those
    sockets is bound.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: Keys) -> None:
        self._keys = keys
        self._told_s: dict[str, float] = {}
        self.socket = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(ZAP_ADDRESS)

    def answer(self) -> None:
        """Answer one question."""
        question = self.socket.recv_multipart(zmq.NOBLOCK)
        # Version, request, domain, address, identity, mechanism, then what the mechanism brings.
        request = question[1] if len(question) > 1 else b""
        name = self._admitted(question)
        verdict = [b"200", b"OK", os.fsencode(name)] if name else [b"400", b"unknown key", b""]
        self.socket.send_multipart([ZAP_VERSION, request, *verdict, b""])

    def close(self) -> None:
        """Admit nobody any more."""
        self.socket.close()

    def _admitted(self, question: list[bytes]) -> str:
        """Name of the client that asks to connect; empty if it is nobody's key."""
        if len(question) != 7 or question[0] != ZAP_VERSION or question[5] != b"CURVE":
            return ""
        key = z85.encode(question[6]) if len(question[6]) == 32 else b""
        for name, known in self._keys.clients().items():
            if known == key:
                self._tell(name, question[3].decode("ascii", "replace"))
                return name
        return ""

    def _tell(self, name: str, place: str) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s.get(name, -TOLD_EVERY_S) >= TOLD_EVERY_S:
            self._told_s[name] = now_s
            log.info("%s: admitted from %s", name, place)


def admit_only_known(socket: zmq.Socket[Any], keys: Keys) -> None:
    """Make a socket that is not bound yet refuse whoever has no key (with an `Admission`).

    Raises
    ------
    ConfigError
        If the daemon has no key of its own.
    """
    pair = keys.server()
    socket.curve_server = True
    socket.curve_publickey, socket.curve_secretkey = pair.public, pair.secret
    socket.zap_domain = DOMAIN
    # Without it libzmq admits everybody while nothing answers its questions.
    socket.setsockopt(zmq.ZAP_ENFORCE_DOMAIN, 1)
    socket.heartbeat_ivl = HEARTBEAT_MS
    socket.heartbeat_timeout = 3 * HEARTBEAT_MS
