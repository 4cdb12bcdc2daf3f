"""Live data for whoever wants to watch, which can never slow the recorder.

The recorder's threads put what they deliver into bounded queues. A thread of ordinary priority
takes it from there, packs what somebody has subscribed to, and hands it to libzmq, which drops what
a reader does not fetch. While nobody watches nothing waits and nothing is packed.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
from contextlib import ExitStack, suppress
from pathlib import Path

import zmq

from wban_collect.clock import Clock
from wban_collect.clock_sources import boot_id, synchronisation
from wban_collect.control.admission import Admission
from wban_collect.control.keys import Keys, keys_folder
from wban_collect.control.messages import Status
from wban_collect.errors import WbanError
from wban_collect.live.outlet import Context, Outlet, file_outlet, network_outlet
from wban_collect.live.packing import LiveItem, LivePacker, Origin, WallClock, topic_of
from wban_collect.live.queue import LiveQueue
from wban_dataset.recording.records import JournalItem
from wban_dataset.recording.streams import Gap, Label, Mark, SampleBlock, SessionHeader, StreamSpec

log = logging.getLogger(__name__)

PERIOD_MS = 50
"""How often the queues are emptied while somebody watches."""

IDLE_PERIOD_MS = 200
"""How soon `close` is noticed while nobody watches; a reader who comes is noticed at once."""

SECOND_NS = 1_000_000_000

QUEUE_ITEMS = 256
QUEUE_BYTES = 8 << 20
"""Of each stream; emptied twenty times a second, it has room for seconds of any."""

MOST_QUESTIONS_AT_ONCE = 100
LOGGED_FAILURES = 10


class Publisher:
    """Publishes at a socket file, and over TCP where that is asked for, there to known keys alone.

    Parameters
    ----------
    socket
        Socket file; made by `start`, removed by `close`.
    tcp
        E.g. ``tcp://*:7712``; where it is empty the network hears nothing.
    keys
        Folder of the keys for TCP; None: the usual one.
    clock
        That the samples are stamped with.
    simulated
        No real person, also before the first session says so.

    Attributes
    ----------
    n_sent
        Messages that were packed and handed to libzmq.
    n_failed
        Items that could not be published: a defect, which is logged.
    """

    def __init__(
        self,
        socket: Path,
        *,
        tcp: str = "",
        keys: Path | None = None,
        clock: Clock,
        simulated: bool = False,
    ) -> None:
        self.n_sent = 0
        self.n_failed = 0
        self._socket = socket
        self._tcp = tcp
        self._keys = keys
        self._clock = clock
        self._packer = LivePacker()
        self._queues: dict[object, LiveQueue[tuple[LiveItem, Origin]]] = {}
        self._nowhere = Origin("", platform.node(), boot_id(), simulated)
        self._origin = self._nowhere
        self._wall_clock = WallClock(0, synchronised=False)
        self._next_second_ns = 0
        self._is_watched = False
        self._closing = threading.Event()
        self._held = ExitStack()
        self._outlets: list[Outlet] = []
        self._admission: Admission | None = None
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where it can be read once it has started, the socket file first."""
        return tuple(outlet.address for outlet in self._outlets)

    @property
    def is_watched(self) -> bool:
        """Whether anybody has subscribed to anything."""
        return self._is_watched

    @property
    def n_waiting(self) -> int:
        """Items that have been offered and not looked at yet."""
        return sum(len(queue) for queue in list(self._queues.values()))

    @property
    def n_dropped(self) -> int:
        """Items for which their queue had no room; what a reader does not fetch nobody counts."""
        return sum(queue.n_dropped for queue in list(self._queues.values()))

    def start(self) -> None:
        """Open the sockets and publish in a thread of its own; raises like `open`."""
        self.open()
        self._thread.start()

    def open(self) -> None:
        """Open the sockets; from now on `step` publishes.

        Raises
        ------
        WbanError
            If an address or a key is unusable, or somebody else has the address.
        """
        with ExitStack() as opened:
            context: Context = zmq.Context()
            opened.callback(context.destroy, linger=0)
            outlets = [file_outlet(context, self._socket)]
            if self._tcp:
                keys = Keys(keys_folder() if self._keys is None else self._keys)
                self._admission = Admission(context, keys)
                opened.callback(self._admission.close)
                outlets.append(network_outlet(context, self._tcp, keys))
            for outlet in outlets:
                opened.callback(outlet.close)
                outlet.open()
            self._outlets = outlets
            self._held = opened.pop_all()
        self._note_wall_clock()

    def close(self) -> None:
        """End the thread and close the sockets; what still waits is not published."""
        self._closing.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._held.close()

    def describe_session(self, header: SessionHeader | None) -> None:
        """Say which session all belongs to that is offered from now on; None: to none."""
        self._origin = self._nowhere if header is None else Origin.of(header)

    def offer(self, item: JournalItem) -> None:
        """Let watchers see it. Takes constant time, waits for nobody, copies and raises nothing.

        The blocks and gaps of one stream are to be offered by one thread at a time. What is neither
        these nor a label, a mark or a stream's description is not for watchers.
        """
        if isinstance(item, StreamSpec):
            self._packer.meet(item)
        elif not self._is_watched:
            return
        elif isinstance(item, SampleBlock):
            self._put(item.stream, item, item.data.nbytes)
        elif isinstance(item, Gap):
            self._put(item.stream, item, 0)
        elif isinstance(item, (Label, Mark)):
            self._put(type(item), item, 0)

    def offer_status(self, status: Status) -> None:
        """Let watchers see how the daemon does; like `offer`."""
        if self._is_watched:
            self._put(Status, status, 0)

    def step(self) -> None:
        """Wait for a period, or for a reader who comes, and publish what is there by then."""
        self._wait()
        try:
            self._answer_questions()
            self._read_subscriptions()
            self._publish_all()
        except Exception:  # a defect here costs one item, and never the recording
            self.n_failed += 1
            if self.n_failed <= LOGGED_FAILURES:
                log.exception("live data: an item could not be published")

    def _run(self) -> None:
        _take_ordinary_priority()
        while not self._closing.is_set():
            self.step()

    def _put(self, queue_name: object, item: LiveItem, n_bytes: int) -> None:
        queue = self._queues.get(queue_name)
        if queue is None:
            new: LiveQueue[tuple[LiveItem, Origin]] = LiveQueue(QUEUE_ITEMS, QUEUE_BYTES)
            queue = self._queues.setdefault(queue_name, new)
        queue.put((item, self._origin), n_bytes)

    def _wait(self) -> None:
        """Return after a period, earlier for a reader who comes."""
        poller = zmq.Poller()
        for outlet in self._outlets:
            for readable in outlet.readable:
                poller.register(readable, zmq.POLLIN)
        if self._admission is not None:
            poller.register(self._admission.socket, zmq.POLLIN)
        if poller.sockets:
            poller.poll(PERIOD_MS if self._is_watched else IDLE_PERIOD_MS)
        else:  # all readers were sent away; libzmq would not wait at all
            self._closing.wait(IDLE_PERIOD_MS / 1000)

    def _answer_questions(self) -> None:
        if self._admission is None:
            return
        for _ in range(MOST_QUESTIONS_AT_ONCE):
            if not self._admission.socket.poll(0):
                return
            self._admission.answer()

    def _read_subscriptions(self) -> None:
        for outlet in self._outlets:
            outlet.read_subscriptions()
        self._is_watched = any(outlet.is_watched for outlet in self._outlets)
        if self._clock.monotonic_ns() >= self._next_second_ns:
            self._note_wall_clock()
            self._open_closed_outlets()

    def _publish_all(self) -> None:
        for queue in list(self._queues.values()):
            for _ in range(len(queue)):
                waiting = queue.take()
                if waiting is not None:
                    self._publish(*waiting)

    def _publish(self, item: LiveItem, origin: Origin) -> None:
        topic = topic_of(item)
        wanting = [outlet for outlet in self._outlets if outlet.wants(topic)]
        if wanting:
            message = self._packer.pack(item, origin, self._wall_clock)
            for outlet in wanting:
                outlet.send(topic, message)
            self.n_sent += 1

    def _note_wall_clock(self) -> None:
        now_ns = self._clock.monotonic_ns()
        self._next_second_ns = now_ns + SECOND_NS
        self._wall_clock = WallClock(self._clock.realtime_ns() - now_ns, synchronisation()[0])

    def _open_closed_outlets(self) -> None:
        for outlet in self._outlets:
            if outlet.socket is None:
                try:
                    outlet.open()
                except WbanError as error:
                    log.warning("%s", error)


def _take_ordinary_priority() -> None:
    """Step back behind the recorder's threads, whoever has started this one."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
