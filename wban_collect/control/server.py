"""Answers requests at the daemon's control sockets, in a thread of its own.

Whatever is sent there, the recorder must not notice: messages are small or refused, few wait in
memory, few are taken at a time, and between two handfuls the thread sleeps.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

import msgspec
import zmq

from wban_collect.control.admission import Admission, admit_only_known
from wban_collect.control.endpoints import ipc_address
from wban_collect.control.keys import Keys, keys_folder
from wban_collect.control.listener import Listener, listen_tcp
from wban_collect.control.messages import (
    FAILURE,
    LARGEST_MESSAGE_BYTES,
    UNUSABLE_VALUE,
    Reply,
    Request,
    StatusRequest,
    decode_request,
    encode,
)
from wban_collect.control.socket_file import SocketFile
from wban_collect.errors import ConfigError, WbanError

log = logging.getLogger(__name__)

Handler = Callable[[Request], Reply | Future[Reply]]

HANDFUL = 4
"""Messages that are taken from a socket at a time."""

PAUSE_S = 0.002
"""Sleep after each round: no more than 2,000 messages a second, however many are sent."""

WAITING_LIMIT = 4
"""Messages of one client that wait in memory; further ones wait at the client."""

UNANSWERED_LIMIT = 16
"""Requests that may be at work at the same time."""

LONGEST_ENVELOPE = 6
"""Frames before a request: those of a REQ socket, and of a few proxies in between."""

_REPORT_EVERY_S = 60.0
_AFTER_DEFECT_S = 1.0

Router = zmq.Socket[bytes]
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class _Asker:
    """Whom an answer goes to."""

    router: Router
    envelope: list[bytes]

    def answer(self, reply: Reply) -> None:
        """Send the reply; who has gone away, or does not read, gets none."""
        try:
            self.router.send_multipart([*self.envelope, encode(reply)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            log.debug("a reply was dropped: %s", error)


class _Waker:
    """Wakes the thread from another one; harmless once it is closed."""

    def __init__(self) -> None:
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = threading.Lock()

    def wake(self) -> None:
        with self._lock:
            if self.fd >= 0:
                os.eventfd_write(self.fd, 1)

    def calm(self) -> None:
        os.eventfd_read(self.fd)

    def close(self) -> None:
        with self._lock:
            os.close(self.fd)
            self.fd = -1


class ControlServer:
    """Hands requests to `handler` and sends back what it says.

    Parameters
    ----------
    socket
        Socket file; mode 0660, of group wban where there is one.
    handler
        Called in the server's thread, so it must be quick; what takes long is a future. It may
        raise `WbanError`, whose text becomes the answer.
    tcp
        Address to listen at as well, for clients with a key only; none where it is empty.
    keys
        Folder of the keys; the default one where it is left out.
    """

    def __init__(
        self, socket: Path, handler: Handler, *, tcp: str = "", keys: Path | None = None
    ) -> None:
        self._file = SocketFile(socket)
        self._handler = handler
        self._tcp = tcp
        self._keys = Keys(keys or keys_folder())
        self._finished: SimpleQueue[tuple[_Asker, Future[Reply]]] = SimpleQueue()
        self._routers: list[Router] = []
        self._listeners: list[Listener] = []
        self._admission: Admission | None = None
        self._thread: threading.Thread | None = None
        self._closing = False
        self._n_unanswered = 0
        self._n_dropped = 0
        self._reported_s = time.monotonic() - _REPORT_EVERY_S
        self.tcp_address = ""
        """Where it listens, once started, with the port that the system has chosen."""

    def start(self) -> None:
        """Listen, and answer from now on.

        Raises
        ------
        ConfigError
            If an address cannot be used, or TCP is wanted and there are no keys.
        WbanError
            If another daemon is there already.
        """
        listening = socket.socket(fileno=self._file.listen())
        self._context: zmq.Context[Router] = zmq.Context()
        self._waker = _Waker()
        try:
            self._listen(self._router(), listening, ipc_address(self._file.path))
            if self._tcp:
                self._open_network()
        except BaseException:
            self._release()
            raise
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop answering; requests that are still at work get no answer."""
        if self._thread is None:
            return
        self._closing = True
        self._waker.wake()
        self._thread.join()
        self._thread = None

    def _open_network(self) -> None:
        router = self._router()
        try:
            admit_only_known(router, self._keys)
        except ConfigError as error:
            raise ConfigError(f"control over TCP ({self._tcp}) needs keys: {error}") from error
        self._admission = Admission(self._context, self._keys)
        try:
            listening, self.tcp_address = listen_tcp(self._tcp)
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise ConfigError(
                f"control over TCP: {self._tcp}: {reason}, expected an address of this machine "
                "with a free port. Change [control] tcp."
            ) from error
        self._listen(router, listening, self.tcp_address)

    def _listen(self, router: Router, listening: socket.socket, address: str) -> None:
        self._listeners.append(Listener(self._context, router, listening, address))

    def _router(self) -> Router:
        router = self._context.socket(zmq.ROUTER)
        self._routers.append(router)
        router.linger = 0
        router.immediate = True
        router.maxmsgsize = LARGEST_MESSAGE_BYTES
        router.rcvhwm = router.sndhwm = WAITING_LIMIT
        return router

    def _run(self) -> None:
        poller = zmq.Poller()
        poller.register(self._waker.fd, zmq.POLLIN)
        for readable in (*self._routers, *(listener.events for listener in self._listeners)):
            poller.register(readable, zmq.POLLIN)
        if self._admission is not None:
            poller.register(self._admission.socket, zmq.POLLIN)
        try:
            while not self._closing:
                try:
                    self._round(dict(poller.poll()))
                except Exception:  # a defect here must not leave the daemon deaf
                    log.exception("control: a message could not be dealt with")
                    time.sleep(_AFTER_DEFECT_S)
        finally:
            self._release()

    def _round(self, ready: dict[Router | int, int]) -> None:
        """Do a bounded amount of work, then let the others go on."""
        if self._waker.fd in ready:
            self._waker.calm()
            self._answer_finished()
        for listener in self._listeners:
            if listener.events in ready:
                listener.count()
        if self._admission is not None and self._admission.socket in ready:
            self._admission.answer()
        for router in self._routers:
            if router in ready:
                self._take(router)
        time.sleep(PAUSE_S)

    def _take(self, router: Router) -> None:
        for _ in range(HANDFUL):
            try:
                frames = router.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            # What a REQ socket sends, as a ROUTER receives it: who, perhaps which, empty, request.
            if 3 <= len(frames) <= LONGEST_ENVELOPE + 1 and not frames[-2]:
                self._hear(_Asker(router, frames[:-1]), frames[-1])
            else:
                self._drop(f"{len(frames) - 1} parts, expected an empty one and a request")

    def _hear(self, asker: _Asker, data: bytes) -> None:
        try:
            request = decode_request(data)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            reason = _in_one_line(error)
            self._drop(reason)
            asker.answer(Reply(UNUSABLE_VALUE, _refusal(reason)))
            return
        # How it does can be asked however busy it is.
        if self._n_unanswered >= UNANSWERED_LIMIT and not isinstance(request, StatusRequest):
            busy = f"{UNANSWERED_LIMIT} requests are still at work; ask again when they are done."
            asker.answer(Reply(FAILURE, busy))
            return
        answer = _guarded(partial(self._handler, request))
        if isinstance(answer, Reply):
            asker.answer(answer)
            return
        self._n_unanswered += 1
        answer.add_done_callback(partial(self._finish, asker))

    def _finish(self, asker: _Asker, future: Future[Reply]) -> None:
        """Note that an answer is there; called from whatever thread it was found in."""
        self._finished.put((asker, future))
        self._waker.wake()

    def _answer_finished(self) -> None:
        while True:
            try:
                asker, future = self._finished.get_nowait()
            except Empty:
                return
            self._n_unanswered -= 1
            asker.answer(_guarded(future.result))

    def _drop(self, reason: str) -> None:
        """Count what cannot be used; say so once a minute, however many there are."""
        self._n_dropped += 1
        now_s = time.monotonic()
        if now_s - self._reported_s >= _REPORT_EVERY_S:
            self._reported_s = now_s
            log.warning(
                "control: %d unusable messages so far; the last: %s", self._n_dropped, reason
            )

    def _release(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._waker.close()
        self._context.destroy(linger=0)
        self._file.close()


def _guarded(call: Callable[[], Answer]) -> Answer | Reply:
    """Call, and turn what goes wrong into a reply."""
    try:
        return call()
    except ConfigError as error:
        return Reply(UNUSABLE_VALUE, str(error))
    except WbanError as error:
        return Reply(FAILURE, str(error))
    except CancelledError:
        return Reply(FAILURE, "the request was given up: the daemon is ending.")
    except Exception as error:  # the next request must still be answered
        log.exception("a request failed")
        return Reply(
            FAILURE,
            f"unexpected {type(error).__name__} ({error}), expected none: a defect of wban. "
            "The daemon's log has the place; report it.",
        )


def _in_one_line(error: Exception) -> str:
    """Quote an error that may quote a message: nothing of that may forge a line of the log."""
    return ascii(" ".join(str(error).split()))[1:-1][:200].rstrip(".")


def _refusal(reason: str) -> str:
    return (
        f"request not understood: {reason}; expected a msgpack map whose 'type' is start, stop, "
        "label, mark, status or sessions. See wban_collect/control/messages.py."
    )
