"""Live data over real sockets: who gets what, what is dropped, and that nobody can slow it."""

from __future__ import annotations

import gc
import os
import stat
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import zmq

from wban_collect.clock import SystemClock, VirtualClock
from wban_collect.control.keys import Keys
from wban_collect.control.listener import Listener
from wban_collect.control.messages import BacklogStatus, Status
from wban_collect.errors import ConfigError, WbanError
from wban_collect.live import outlet as outlet_module
from wban_collect.live import publisher as publisher_module
from wban_collect.live.messages import LiveMessage, LiveSample, MarkMessage, StatusMessage, decode
from wban_collect.live.outlet import MOST_SUBSCRIPTIONS
from wban_collect.live.publisher import QUEUE_ITEMS, Publisher
from wban_collect.live.queue import LiveQueue
from wban_dataset.recording.streams import (
    ClockAnchor,
    Gap,
    Mark,
    Read,
    SampleBlock,
    SessionHeader,
    StreamSpec,
)

MANY = 100_000
ACCEL = StreamSpec("accel", "accel", "ADXL345", "<i2", (3,), "m s-2", 100.0, "fifo")
HEADER = SessionHeader("01SESSION", "boot-7", "S01", "walking", "pi", "1", 0, "")
STATUS = Status(
    state="idle",
    version="1",
    host="pi",
    boot_id="b",
    pid=1,
    now_ns=5,
    uptime_s=1.0,
    out="/data",
    unattended=False,
    synchronised=True,
    free_bytes=10,
    bytes_per_hour=1.0,
    hours_left=10.0,
    backlog=BacklogStatus(0, 12),
)


def block(first_index: int = 0, n: int = 1) -> SampleBlock:
    return SampleBlock("accel", first_index, 0, np.ones((n, 3), "<i2"), Read(1, 2))


@pytest.fixture(autouse=True)
def short_periods(monkeypatch) -> None:
    """A step waits for hardly anything but readers."""
    monkeypatch.setattr(publisher_module, "PERIOD_MS", 1)
    monkeypatch.setattr(publisher_module, "IDLE_PERIOD_MS", 5)


@pytest.fixture
def published(tmp_path) -> Iterator[Publisher]:
    """A publisher that the test steps itself."""
    publisher = Publisher(tmp_path / "live.sock", clock=SystemClock())
    publisher.open()
    publisher.offer(ACCEL)
    yield publisher
    publisher.close()


class Reader:
    """A subscriber as others write them: libzmq's, and nothing of this project."""

    def __init__(self, *topics: bytes, waiting: int = 1000) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self.context.socket(zmq.SUB)
        self.socket.rcvhwm = waiting
        for topic in topics:
            self.socket.subscribe(topic)

    def connect(self, address: str) -> None:
        self.socket.connect(address)

    def fetch(self) -> LiveMessage | None:
        return decode(self.socket.recv_multipart()) if self.socket.poll(0) else None


@contextmanager
def reading(address: str, *topics: bytes, waiting: int = 1000) -> Generator[Reader]:
    reader = Reader(*topics, waiting=waiting)
    try:
        reader.connect(address)
        yield reader
    finally:
        reader.context.destroy(linger=0)


def step_until(publisher: Publisher, condition) -> None:
    for _ in range(5000):
        if condition():
            return
        publisher.step()
    raise AssertionError("it does not come to that")


@contextmanager
def watching(publisher: Publisher, *topics: bytes, waiting: int = 1000) -> Generator[Reader]:
    """A reader whose subscription has arrived."""
    with reading(publisher.addresses[0], *topics, waiting=waiting) as reader:
        step_until(publisher, lambda: publisher.is_watched)
        yield reader


def offered(publisher: Publisher, reader: Reader, item) -> LiveMessage:
    """What the reader gets of an item."""
    publisher.offer(item)
    received: list[LiveMessage] = []

    def has_come() -> bool:
        message = reader.fetch()
        if message is not None:
            received.append(message)
        return bool(received)

    step_until(publisher, has_come)
    return received[0]


# --- who gets what -------------------------------------------------------------------------------


def test_with_no_reader_nothing_waits_and_nothing_is_packed(published):
    for index in range(1000):
        published.offer(block(index))
    published.offer_status(STATUS)
    published.step()
    assert (published.n_waiting, published.n_sent, published.n_dropped) == (0, 0, 0)


def test_the_first_message_that_a_late_reader_gets_is_understood(published):
    published.describe_session(HEADER)
    with watching(published, b"sample/") as early:
        offered(published, early, block(0, 4))
        with reading(published.addresses[0], b"sample/accel") as late:
            received: list[LiveMessage] = []

            def has_come() -> bool:
                published.offer(block(40, 4))
                message = late.fetch()
                if message is not None:
                    received.append(message)
                return bool(received)

            step_until(published, has_come)
    sample = received[0]
    assert isinstance(sample, LiveSample)
    assert (sample.about.stream, sample.about.units) == ("accel", "m s-2")
    assert (sample.about.session_id, sample.about.host) == ("01SESSION", "pi")
    assert (sample.about.boot_id, sample.about.first_index) == ("boot-7", 40)
    assert sample.values().tolist() == [[1.0, 1.0, 1.0]] * 4


def test_only_what_somebody_has_subscribed_to_is_packed(published):
    with watching(published, b"mark") as reader:
        for index in range(10):
            published.offer(block(index))
        message = offered(published, reader, Mark(5, "coffee"))
    assert isinstance(message, MarkMessage)
    assert (published.n_sent, published.n_dropped) == (1, 0)


def test_the_status_is_heard_while_nothing_is_recorded(published):
    with watching(published, b"status") as reader:
        published.offer_status(STATUS)
        step_until(published, lambda: reader.socket.poll(0))
        message = reader.fetch()
    assert isinstance(message, StatusMessage)
    assert message.status == STATUS
    assert message.session_id == ""


def test_samples_offered_before_a_session_ended_still_belong_to_it(published):
    published.describe_session(HEADER)
    with watching(published, b"mark") as reader:
        published.offer(Mark(1, "before"))
        published.describe_session(None)
        first = offered(published, reader, Mark(2, "after"))
        step_until(published, lambda: reader.socket.poll(0))
        second = reader.fetch()
    assert (first.text, first.session_id) == ("before", "01SESSION")
    assert (second.text, second.session_id) == ("after", "")


def test_when_the_last_reader_has_gone_nothing_is_packed_any_more(published):
    with watching(published, b"") as reader:
        offered(published, reader, block())
    step_until(published, lambda: not published.is_watched)
    published.offer(block(1))
    assert published.n_waiting == 0


def test_the_wall_clock_stands_beside_every_sample(tmp_path):
    publisher = Publisher(tmp_path / "live.sock", clock=VirtualClock(1000, 777))
    publisher.open()
    publisher.offer(ACCEL)
    with watching(publisher, b"sample/") as reader:
        sample = offered(publisher, reader, block())
    publisher.close()
    assert isinstance(sample, LiveSample)
    assert sample.about.realtime_offset_ns == 777


def test_simulated_samples_say_so_before_a_session_does(tmp_path):
    publisher = Publisher(tmp_path / "live.sock", clock=SystemClock(), simulated=True)
    publisher.open()
    publisher.offer(ACCEL)
    with watching(publisher, b"sample/") as reader:
        sample = offered(publisher, reader, block())
    publisher.close()
    assert isinstance(sample, LiveSample)
    assert sample.about.simulated


def test_what_is_not_for_watchers_is_passed_over(published):
    with watching(published, b"") as reader:
        published.offer(ClockAnchor(1, 1, 1, synchronised=True, est_error_ns=0))
        published.offer(HEADER)
        message = offered(published, reader, Mark(5, "coffee"))
    assert isinstance(message, MarkMessage)


# --- what is dropped -----------------------------------------------------------------------------


def test_a_full_queue_drops_the_oldest_and_counts_them():
    queue: LiveQueue[int] = LiveQueue(most_items=3, most_bytes=1000)
    for number in range(5):
        queue.put(number, 10)
    assert (queue.n_dropped, queue.n_bytes) == (2, 30)
    assert [queue.take() for _ in range(4)] == [2, 3, 4, None]
    assert queue.n_bytes == 0


def test_a_queue_is_bounded_by_bytes_too_but_takes_one_large_item():
    queue: LiveQueue[int] = LiveQueue(most_items=100, most_bytes=100)
    for number in range(3):
        queue.put(number, 40)
    assert (len(queue), queue.n_dropped, queue.n_bytes) == (2, 1, 80)
    queue.put(3, 500)
    assert (len(queue), queue.n_dropped, queue.n_bytes) == (1, 3, 500)


def test_what_is_put_while_another_thread_takes_is_taken_or_counted():
    queue: LiveQueue[int] = LiveQueue(most_items=50, most_bytes=1000)
    taken: list[int] = []
    putting = threading.Thread(target=lambda: [queue.put(number, 10) for number in range(MANY)])
    putting.start()
    while putting.is_alive() or len(queue):
        item = queue.take()
        if item is not None:
            taken.append(item)
    assert len(taken) + queue.n_dropped == MANY
    assert taken == sorted(taken)
    assert queue.n_bytes == 0


def test_a_queue_holds_what_it_was_given_and_no_copy(published):
    with watching(published, b"sample/"):
        data = np.ones((1, 3), "<i2")
        n_before = sys.getrefcount(data)
        published.offer(SampleBlock("accel", 0, 0, data, Read(1, 2)))
        assert sys.getrefcount(data) == n_before + 1


def test_an_offer_does_the_same_few_things_whether_the_queue_is_empty_or_full(published):
    gc.disable()  # what others have it call is not to be counted
    with watching(published, b"sample/"):
        n_calls: list[int] = []
        for index in range(3 * QUEUE_ITEMS):
            item = block(index)
            n_calls.append(0)

            def count(_frame: object, event: str, _argument: object) -> None:
                if event in ("call", "c_call"):
                    n_calls[-1] += 1

            sys.setprofile(count)
            published.offer(item)
            sys.setprofile(None)
        assert published.n_dropped == 2 * QUEUE_ITEMS
        assert published.n_waiting == QUEUE_ITEMS
        assert max(n_calls) < 20
    gc.enable()


def rss_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_reader_that_stops_reading_loses_and_nothing_grows(published):
    """100,000 messages of 1.5 kB, all packed and sent, to somebody who fetches none of them."""
    with watching(published, b"", waiting=10) as reader:
        offered(published, reader, block())
        rss_before = rss_bytes()
        for index in range(MANY):
            published.offer(block(index, 150))
            if index % 100 == 0:
                published.step()
            assert published.n_waiting <= 100
        published.step()
        assert published.n_sent == MANY + 1
        assert published.n_dropped == 0
        assert rss_bytes() - rss_before < 20_000_000
        n_got = drain_until_mark(published, reader)
    assert 0 < n_got < 1000


def drain_until_mark(publisher: Publisher, reader: Reader) -> int:
    """Let the reader read again, until it hears a mark that is made now; return what came first."""
    n_samples = 0
    for _ in range(5000):
        publisher.offer(Mark(1, "now"))
        publisher.step()
        while (message := reader.fetch()) is not None:
            if isinstance(message, MarkMessage):
                return n_samples
            n_samples += 1
    raise AssertionError("the reader hears nothing any more")


def test_a_flood_of_samples_is_published_or_counted_by_the_thread(tmp_path):
    publisher = Publisher(tmp_path / "live.sock", clock=SystemClock())
    publisher.start()
    publisher.offer(ACCEL)
    with reading(publisher.addresses[0], b"") as reader:
        while not publisher.is_watched:
            publisher.offer_status(STATUS)
        n_before = publisher.n_sent + publisher.n_dropped + publisher.n_waiting
        for index in range(MANY):
            publisher.offer(block(index))
        assert reader.socket.recv_multipart()
        publisher.close()
    assert publisher.n_waiting <= QUEUE_ITEMS + 1
    n_offered = publisher.n_sent + publisher.n_dropped + publisher.n_waiting
    assert 0 <= n_offered - MANY <= n_before + QUEUE_ITEMS


def test_what_cannot_be_packed_is_counted_and_the_rest_goes_on(published, caplog):
    with watching(published, b"") as reader:
        published.offer(SampleBlock("unknown", 0, 0, np.ones((1, 3), "<i2"), Read(1, 2)))
        message = offered(published, reader, Mark(5, "coffee"))
    assert isinstance(message, MarkMessage)
    assert published.n_failed == 1
    assert "could not be published" in caplog.text


# --- who may read, and what they may send --------------------------------------------------------


def test_only_the_group_may_use_the_socket_and_it_goes_in_the_end(tmp_path):
    path = tmp_path / "run" / "live.sock"
    publisher = Publisher(path, clock=SystemClock())
    publisher.open()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    publisher.close()
    assert not path.exists()


def test_a_second_publisher_is_refused_and_the_first_goes_on(published, tmp_path):
    with pytest.raises(WbanError, match="expected no other daemon"):
        Publisher(tmp_path / "live.sock", clock=SystemClock()).start()
    with watching(published, b"mark") as reader:
        assert isinstance(offered(published, reader, Mark(5, "coffee")), MarkMessage)


def test_a_reader_that_subscribes_without_end_is_sent_away_and_others_come_back(published, caplog):
    topics = [b"%d" % number for number in range(MOST_SUBSCRIPTIONS + 1)]
    with watching(published, b"mark") as honest:
        with reading(published.addresses[0], *topics):
            step_until(published, lambda: "sent away" in caplog.text)
        received: list[LiveMessage] = []

        def has_come() -> bool:
            published.offer(Mark(5, "coffee"))
            message = honest.fetch()
            if message is not None:
                received.append(message)
            return bool(received)

        step_until(published, has_come)
    assert isinstance(received[0], MarkMessage)


def test_when_there_are_too_many_readers_all_are_sent_away_and_may_come_back(
    published, caplog, monkeypatch
):
    published.close()
    monkeypatch.setattr(outlet_module, "Listener", partial(Listener, limit=3))
    published.open()
    with watching(published, b"mark"), ExitStack() as stack:
        for _ in range(2):
            stack.enter_context(reading(published.addresses[0], b"mark"))
        step_until(published, lambda: "3 connections at a time" in caplog.text)
    step_until(published, lambda: not published.is_watched)
    with watching(published, b"mark") as reader:
        assert isinstance(offered(published, reader, Mark(5, "coffee")), MarkMessage)


@pytest.mark.parametrize(
    "message",
    [b"\x01" + bytes(10_000), b"\x02what is this", b"", b"\x00never subscribed"],
    ids=["too large", "no subscription", "empty", "not there"],
)
def test_what_a_peer_sends_changes_nothing(published, message):
    with watching(published, b"mark") as reader:
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        rude = context.socket(zmq.XSUB)
        rude.connect(published.addresses[0])
        for _ in range(100):
            rude.send(message)
            published.step()
        context.destroy(linger=0)
        assert isinstance(offered(published, reader, Mark(5, "coffee")), MarkMessage)
    assert published.n_failed == 0


# --- over TCP ------------------------------------------------------------------------------------


@pytest.fixture
def keys(tmp_path) -> Keys:
    keys = Keys(tmp_path / "keys")
    keys.make_server()
    keys.make_client("laptop", tmp_path / "laptop")
    return keys


@pytest.fixture
def on_network(tmp_path, keys) -> Iterator[Publisher]:
    publisher = Publisher(
        tmp_path / "live.sock", tcp="tcp://127.0.0.1:*", keys=keys.folder, clock=SystemClock()
    )
    publisher.open()
    yield publisher
    publisher.close()


def use_keys(reader: Reader, own: Keys, server: Keys) -> None:
    pair = own.client()
    reader.socket.curve_publickey, reader.socket.curve_secretkey = pair.public, pair.secret
    reader.socket.curve_serverkey = server.server_public()


def test_a_client_with_a_known_key_reads_over_tcp(on_network, keys, tmp_path):
    reader = Reader(b"mark")
    use_keys(reader, Keys(tmp_path / "laptop"), keys)
    reader.connect(on_network.addresses[1])
    step_until(on_network, lambda: on_network.is_watched)
    message = offered(on_network, reader, Mark(5, "coffee"))
    reader.context.destroy(linger=0)
    assert isinstance(message, MarkMessage)


def test_an_unknown_key_is_refused_and_gets_nothing(on_network, keys, tmp_path):
    strangers = Keys(tmp_path / "elsewhere")
    strangers.make_server()
    strangers.make_client("laptop", tmp_path / "stranger")
    reader = Reader(b"")
    use_keys(reader, Keys(tmp_path / "stranger"), keys)
    events = reader.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH)
    reader.connect(on_network.addresses[1])
    step_until(on_network, lambda: events.poll(0))
    assert not on_network.is_watched
    reader.socket.disable_monitor()
    events.close()
    reader.context.destroy(linger=0)


def test_a_client_without_a_key_gets_nothing_while_the_socket_file_works(on_network):
    with reading(on_network.addresses[1], b"mark") as stranger:
        with watching(on_network, b"mark") as reader:
            assert isinstance(offered(on_network, reader, Mark(5, "coffee")), MarkMessage)
        assert stranger.fetch() is None


def test_tcp_without_keys_is_refused_and_nothing_is_left_open(tmp_path):
    path = tmp_path / "live.sock"
    publisher = Publisher(
        path, tcp="tcp://127.0.0.1:*", keys=tmp_path / "none", clock=SystemClock()
    )
    with pytest.raises(ConfigError, match="wban-collect keys"):
        publisher.start()
    assert not path.exists()


def test_gaps_of_a_stream_come_in_order_with_its_samples(published):
    with watching(published, b"") as reader:
        published.offer(block(0))
        published.offer(Gap("accel", 1, 2, 3, "fifo overflow"))
        first = offered(published, reader, block(1))
        kinds = [type(first).__name__]
        while len(kinds) < 3:
            published.step()
            message = reader.fetch()
            if message is not None:
                kinds.append(type(message).__name__)
    assert kinds == ["LiveSample", "GapMessage", "LiveSample"]
