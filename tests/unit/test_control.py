"""The control server: who asks gets an answer, and whatever else comes does no harm."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import zmq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.control_rig import GUARD_S, Script, Stranger, ask, serving
from wban_collect.control import server as control
from wban_collect.control.listener import Listener
from wban_collect.control.messages import (
    LARGEST_MESSAGE_BYTES,
    LabelRequest,
    MarkRequest,
    Reply,
    SessionEntry,
    SessionsRequest,
    StartRequest,
    StatusRequest,
    StopRequest,
    encode,
)
from wban_collect.control.server import UNANSWERED_LIMIT
from wban_collect.errors import ConfigError, DaemonUnreachableError, WbanError

STATUS = encode(StatusRequest())


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "run" / "control.sock"


# --- answers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [
        StartRequest("S01", "eating", 5_000_000_000),
        StartRequest("S01", "eating"),
        StopRequest(),
        LabelRequest("walking"),
        MarkRequest("cup fell down ☕"),
        StatusRequest(),
        SessionsRequest(3),
    ],
    ids=lambda request_: type(request_).__name__,
)
def test_a_request_arrives_as_it_was_sent_and_its_answer_comes_back(path, request_):
    script = Script(lambda _: Reply(folder="/somewhere", sessions=[SessionEntry("a", "sealed", 7)]))
    with serving(path, script):
        reply = ask(path, request_)
    assert script.heard() == [request_]
    assert reply == Reply(folder="/somewhere", sessions=[SessionEntry("a", "sealed", 7)])


def test_ten_thousand_sessions_fit_into_an_answer(path):
    entry = SessionEntry("20260105T080000Z_S01_eating", "sealed", 123_456_789, "0" * 26, "S01")
    with serving(path, lambda _: Reply(sessions=[entry] * 10_000)):
        assert len(ask(path, SessionsRequest(10_000)).sessions) == 10_000


@pytest.mark.parametrize(
    ("error", "exit_code", "said"),
    [
        (WbanError("nothing is being recorded."), 1, "nothing is being recorded."),
        (ConfigError("unknown activity."), 2, "unknown activity."),
        (ZeroDivisionError("1/0"), 1, "unexpected ZeroDivisionError (1/0), expected none"),
        (CancelledError(), 1, "the daemon is ending"),
    ],
)
@pytest.mark.parametrize("when", ["at once", "later"])
def test_what_goes_wrong_is_a_sentence_and_an_exit_code(path, caplog, error, exit_code, said, when):
    def fail(_):
        if when == "at once":
            raise error
        future = Future()
        future.set_exception(error)
        return future

    with serving(path, fail):
        reply = ask(path)
        assert reply.exit_code == exit_code
        assert said in reply.error
        assert ask(path).exit_code == exit_code  # the next one is still answered
    assert ("Traceback" in caplog.text) == isinstance(error, ZeroDivisionError)


def test_status_is_answered_while_a_start_is_at_work(path):
    start = Future()
    script = Script(lambda r: start if isinstance(r, StartRequest) else Reply(folder="status"))
    with serving(path, script), ThreadPoolExecutor() as threads:
        starting = threads.submit(ask, path, StartRequest("S01", "eating"))
        assert script.requests.get(timeout=GUARD_S) == StartRequest("S01", "eating")
        assert [ask(path).folder for _ in range(3)] == ["status"] * 3
        assert not starting.done()
        start.set_result(Reply(folder="/started"))
        assert starting.result(GUARD_S).folder == "/started"


def test_answers_reach_those_who_asked_whatever_their_order(path):
    futures = {f"S{number:02}": Future() for number in range(8)}
    script = Script(lambda request: futures[request.subject])
    with serving(path, script), ThreadPoolExecutor(len(futures)) as threads:
        asked = {
            subject: threads.submit(ask, path, StartRequest(subject, "eating"))
            for subject in futures
        }
        for _ in futures:
            script.requests.get(timeout=GUARD_S)
        for subject, future in reversed(futures.items()):
            future.set_result(Reply(folder=subject))
        assert {subject: reply.result().folder for subject, reply in asked.items()} == {
            subject: subject for subject in futures
        }


def test_who_has_gone_away_does_no_harm_to_the_answer_of_others(path):
    start = Future()
    script = Script(lambda r: start if isinstance(r, StartRequest) else Reply(folder="status"))
    with serving(path, script):
        with Stranger(path) as stranger:
            stranger.socket.send_multipart([b"", encode(StartRequest("S01", "eating"))])
            script.requests.get(timeout=GUARD_S)
        start.set_result(Reply())
        assert ask(path).folder == "status"


def test_beyond_so_many_requests_at_work_only_status_is_answered(path):
    script = Script(lambda r: Future() if isinstance(r, StartRequest) else Reply(folder="status"))
    with serving(path, script), Stranger(path) as stranger:
        for _ in range(UNANSWERED_LIMIT):
            stranger.socket.send_multipart([b"", encode(StartRequest("S01", "eating"))])
            script.requests.get(timeout=GUARD_S)
        refused = ask(path, StartRequest("S01", "eating"))
        assert (refused.exit_code, refused.error[:28]) == (1, "16 requests are still at wor")
        assert ask(path).folder == "status"


# --- what is no request --------------------------------------------------------------------------

NO_REQUESTS = {
    "nothing": b"",
    "no msgpack": b"\xc1",
    "cut off": STATUS[:-1],
    "a number": b"\x07",
    "an empty map": b"\x80",
    "unknown request": b"\x81\xa4type\xa4halt",
    "unknown field": b"\x82\xa4type\xa6status\xa1x\x01",
    "no text": b"\x82\xa4type\xa5label\xa8activity\x01",
    "invalid UTF-8": b"\x82\xa4type\xa5label\xa8activity\xa2\xff\xfe",
    "long text": b"\x82\xa4type\xa5label\xa8activity\xd9\x50" + b"x" * 80,
    "a line of its own": b"\x81\xa4type\xae\nERROR forged\r\n",
    "nested": b"\x91" * 60_000,
    "a huge length": b"\xdd\xff\xff\xff\xff",
    "endless duration": encode(StartRequest("S01", "eating", 1 << 62)),
    "negative limit": encode(SessionsRequest(-1)),
}


@pytest.mark.parametrize("name", NO_REQUESTS)
def test_what_is_no_request_is_refused_in_one_line(path, caplog, name):
    script = Script()
    with serving(path, script), Stranger(path) as stranger:
        reply = stranger.ask(NO_REQUESTS[name])
        assert reply.exit_code == 2
        assert reply.error.startswith("request not understood: ")
        assert reply.error.isprintable()
        assert len(reply.error) < 500
        assert stranger.ask(STATUS).folder == "StatusRequest"
    assert script.heard() == [StatusRequest()]
    assert all(record.getMessage().isprintable() for record in caplog.records)


@pytest.fixture(scope="module")
def anybody(tmp_path_factory):
    """Give a stranger at a server that all examples of one test share."""
    path = tmp_path_factory.mktemp("fuzz") / "control.sock"
    with serving(path), Stranger(path) as stranger:
        yield stranger


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.binary(max_size=200)
    | st.tuples(st.integers(0, len(STATUS)), st.binary(max_size=8)).map(
        lambda cut: STATUS[: cut[0]] + cut[1] + STATUS[cut[0] :]
    )
)
def test_any_bytes_at_all_get_an_answer(anybody, data):
    assert anybody.ask(data).exit_code in (0, 2)


@pytest.mark.parametrize(
    "frames",
    [[STATUS], [b"x", STATUS], [STATUS, b""], [b""], [b"a"] * 7 + [b"", STATUS], [b"x"] * 1000],
    ids=["bare", "no empty part", "reversed", "empty", "long envelope", "a thousand parts"],
)
def test_what_is_not_framed_as_a_request_is_dropped(path, frames):
    script = Script()
    with serving(path, script), Stranger(path) as stranger:
        stranger.socket.send_multipart(frames)
        # Messages of one connection stay in order: this answer is not that to the first.
        assert stranger.ask(encode(StopRequest())).folder == "StopRequest"
    assert script.heard() == [StopRequest()]


def test_an_oversized_message_ends_its_connection_and_no_other(path):
    script = Script()
    with serving(path, script), Stranger(path) as neighbour, Stranger(path) as stranger:
        assert neighbour.ask(STATUS).exit_code == 0
        stranger.socket.send_multipart([b"", bytes(LARGEST_MESSAGE_BYTES + 1)])
        stranger.wait_for(zmq.EVENT_DISCONNECTED)
        assert neighbour.ask(STATUS).exit_code == 0
    assert script.heard() == [StatusRequest()] * 2


def test_the_largest_message_is_still_looked_at(path):
    with serving(path), Stranger(path) as stranger:
        assert stranger.ask(bytes(LARGEST_MESSAGE_BYTES)).exit_code == 2


def test_two_thousand_bad_messages_cost_one_line_of_the_log_and_no_answer(path, caplog):
    script = Script()
    with serving(path, script), Stranger(path) as stranger:
        for number in range(2000):
            stranger.socket.send(number.to_bytes(4, "big"))
        assert stranger.ask(STATUS).folder == "StatusRequest"  # behind all of them
        assert ask(path).folder == "StatusRequest"
    assert script.heard() == [StatusRequest()] * 2
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_one_who_floods_does_not_keep_another_from_being_heard(path):
    flooding = threading.Event()

    def flood() -> None:
        with Stranger(path) as stranger:
            while not flooding.is_set():
                stranger.socket.send(b"rubbish")

    with serving(path), ThreadPoolExecutor() as threads:
        ended = threads.submit(flood)
        try:
            assert [ask(path).exit_code for _ in range(10)] == [0] * 10
        finally:
            flooding.set()
        ended.result(GUARD_S)


RUBBISH = {
    "a web browser": b"GET / HTTP/1.1\r\nHost: wban\r\n\r\n" * 10,
    "zeros": bytes(1000),
    "another mechanism": b"\xff" + bytes(8) + b"\x7f\x03\x00PLAIN" + bytes(100),
    "half a greeting": b"\xff" + bytes(5),
    "a handshake of an endless command": b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)
    + b"\x06" + b"\x7f" * 8,
}  # fmt: skip


@pytest.mark.parametrize("name", RUBBISH)
def test_bytes_that_are_no_zeromq_do_no_harm(path, name):
    script = Script()
    with serving(path, script), socket.socket(socket.AF_UNIX) as stranger:
        stranger.connect(str(path))
        stranger.sendall(RUBBISH[name])
        assert ask(path).exit_code == 0
    assert script.heard() == [StatusRequest()]


def test_when_there_are_too_many_connections_all_are_sent_away_and_may_come_back(
    path, caplog, monkeypatch
):
    monkeypatch.setattr(control, "Listener", partial(Listener, limit=3))
    with serving(path), Stranger(path) as first, Stranger(path) as second:
        assert first.ask(STATUS).exit_code == second.ask(STATUS).exit_code == 0
        with Stranger(path) as third:
            for stranger in (first, second, third):
                stranger.wait_for(zmq.EVENT_DISCONNECTED)
        with Stranger(path) as fourth:
            assert fourth.ask(STATUS).exit_code == 0
    assert "3 connections at a time" in caplog.text


def test_closing_gives_back_every_descriptor(path):
    with serving(path):
        ask(path)
    before = sorted(Path("/proc/self/fd").iterdir())
    for _ in range(3):
        with serving(path):
            ask(path)
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_the_end_of_the_daemon_is_told_to_who_still_waits(path):
    script = Script(lambda _: Future())
    with ThreadPoolExecutor() as threads:
        with serving(path, script):
            waiting = threads.submit(ask, path, StopRequest())
            script.requests.get(timeout=GUARD_S)
        with pytest.raises(DaemonUnreachableError, match="it ended before it answered"):
            waiting.result(GUARD_S)


def test_an_answer_that_comes_after_the_end_does_no_harm(path):
    late = Future()
    script = Script(lambda _: late)
    with serving(path, script), Stranger(path) as stranger:
        stranger.socket.send_multipart([b"", STATUS])
        script.requests.get(timeout=GUARD_S)
    late.set_result(Reply())
