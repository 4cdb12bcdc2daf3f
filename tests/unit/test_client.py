"""The daemon's client: what it says when there is no answer."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import zmq

from tests.unit.control_rig import GUARD_S, Script, ask, serving
from wban_collect.control.client import Daemon
from wban_collect.control.messages import Reply, StatusRequest, StopRequest
from wban_collect.errors import DaemonUnreachableError


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "run" / "control.sock"


def test_without_a_daemon_one_is_told_how_to_start_one(path):
    with pytest.raises(DaemonUnreachableError, match=r"nobody listens there\. Start one with"):
        ask(path)


def test_a_daemon_that_hangs_is_said_to_give_no_answer_and_may_be_asked_again(path):
    script = Script(lambda r: Future() if isinstance(r, StopRequest) else Reply(folder="status"))
    waited = []
    with serving(path, script), Daemon(f"ipc://{path}") as daemon:
        with pytest.raises(DaemonUnreachableError, match=r"no answer within 0\.01 s"):
            daemon.ask(StopRequest(), 0.01, waited.append)
        assert waited == sorted(waited) != []
        assert daemon.ask(StatusRequest(), GUARD_S).folder == "status"


def test_an_answer_of_another_program_is_not_understood(path):
    path.parent.mkdir()
    with (
        zmq.Context() as context,
        context.socket(zmq.REP) as other,
        ThreadPoolExecutor() as threads,
    ):
        other.linger = 0
        other.bind(f"ipc://{path}")
        asking = threads.submit(ask, path)
        other.recv()
        other.send(b"\xc1")
        with pytest.raises(DaemonUnreachableError, match="its answer is not understood"):
            asking.result(GUARD_S)
