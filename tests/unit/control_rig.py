"""A daemon's control server with a scripted handler, at real sockets."""

from __future__ import annotations

import queue
from collections.abc import Callable, Generator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path

import zmq

from wban_collect.control.client import Daemon
from wban_collect.control.connection_events import receive_event
from wban_collect.control.messages import Reply, Request, StatusRequest, decode_reply
from wban_collect.control.server import ControlServer

GUARD_S = 30.0
"""Longer than anything here takes: a test that would hang fails instead."""

Answer = Reply | Future[Reply]


class Script:
    """Notes every request, and answers as it is told to."""

    def __init__(self, answer: Callable[[Request], Answer] | None = None) -> None:
        self.requests: queue.SimpleQueue[Request] = queue.SimpleQueue()
        self._answer = answer or (lambda request: Reply(folder=type(request).__name__))

    def __call__(self, request: Request) -> Answer:
        self.requests.put(request)
        return self._answer(request)

    def heard(self) -> list[Request]:
        """Requests so far."""
        return [self.requests.get() for _ in range(self.requests.qsize())]


@contextmanager
def serving(
    path: Path, handler: Callable[[Request], Answer] | None = None, **options: object
) -> Generator[ControlServer]:
    """Serve at a socket file until the block ends."""
    server = ControlServer(path, handler or Script(), **options)
    server.start()
    try:
        yield server
    finally:
        server.close()


def ask(path: Path, request: Request | None = None) -> Reply:
    """Ask as a command does; how it does where nothing else is given."""
    with Daemon(f"ipc://{path}") as daemon:
        return daemon.ask(request or StatusRequest(), GUARD_S)


class Stranger:
    """A socket that sends what it likes."""

    def __init__(self, path: Path) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.DEALER)
        self.socket.linger = 0
        self.socket.rcvtimeo = self.socket.sndtimeo = int(GUARD_S * 1000)
        self.socket.reconnect_ivl = -1
        self.events = self.socket.get_monitor_socket()
        self.events.rcvtimeo = int(GUARD_S * 1000)
        self.socket.connect(f"ipc://{path}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.destroy(linger=0)

    def ask(self, data: bytes) -> Reply:
        self.socket.send_multipart([b"", data])
        empty, reply = self.socket.recv_multipart()
        assert empty == b""
        return decode_reply(reply)

    def wait_for(self, event: int) -> None:
        while receive_event(self.events).kind != event:
            pass
