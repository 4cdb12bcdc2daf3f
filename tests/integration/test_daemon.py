"""The daemon as people use it: told what to do, left alone, killed, started twice."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
import zmq

from tests.integration.daemon_process import UNATTENDED, DaemonProcess
from wban_collect.control.messages import LabelRequest, MarkRequest, StartRequest, StopRequest
from wban_dataset.recording.layout import FILE_NAME
from wban_dataset.recording.session import Session


def sealed(out: Path) -> list[Path]:
    return sorted(path.parent for path in out.glob(f"*/{FILE_NAME}"))


def wait_until_sealed(daemon: DaemonProcess, n: int) -> list[Path]:
    daemon.until(lambda status: len(sealed(daemon.out)) >= n and not status.backlog.n_waiting)
    return sealed(daemon.out)


def test_a_session_is_recorded_labelled_marked_stopped_and_sealed(tmp_path):
    with DaemonProcess(tmp_path) as daemon:
        assert daemon.status().state == "idle"
        reply = daemon.ask(StartRequest("S01", "eating"))
        assert (reply.exit_code, reply.error) == (0, "")
        folder = Path(reply.folder)
        assert daemon.until(lambda s: any(x.n_acknowledged for x in s.streams)).state == "recording"
        daemon.ask(LabelRequest("walking"))
        daemon.ask(MarkRequest("stood up"))
        status = daemon.status()
        assert status.recording is not None
        assert (status.recording.label, status.recording.folder) == ("walking", str(folder))
        begun_s = time.monotonic()
        stopped = daemon.ask(StopRequest())
        assert time.monotonic() - begun_s < 2.0
        assert stopped.folder == str(folder)
        assert wait_until_sealed(daemon, 1) == [folder]
        with Session.open(folder) as session:
            assert session.complete
            assert [span.label for span in session.labels] == ["eating", "walking"]
            assert list(session.marks["text"]) == ["stood up"]
            assert session.attributes["end_reason"] == "asked to stop"
        assert daemon.end() == 0


def test_commands_speak_to_the_daemon(tmp_path):
    with DaemonProcess(tmp_path) as daemon:
        assert daemon.command("start", "--subject", "S01", "--activity", "eating").code == 0
        again = daemon.command("start", "--subject", "S01", "--activity", "eating")
        assert again.code == 1
        assert "wban-collect stop" in again.error
        assert daemon.command("label", "walking").code == 0
        assert daemon.command("label", "flying").code == 2
        assert daemon.command("mark", "a remark").code == 0
        told = json.loads(daemon.command("status", "--json").out)
        assert told["state"] == "recording"
        assert daemon.command("status").code == 0
        entry = json.loads(daemon.command("sessions", "--json").out)  # a line for each
        assert (entry["state"], entry["subject"]) == ("recording", "S01")
        assert daemon.command("stop").code == 0
        assert daemon.command("stop").code == 1


def test_a_duration_is_passed_on(tmp_path):
    with DaemonProcess(tmp_path) as daemon:
        daemon.ask(StartRequest("S01", "eating", 1_000_000_000))
        daemon.until(lambda status: status.state == "idle")
        (folder,) = wait_until_sealed(daemon, 1)
        with Session.open(folder) as session:
            assert session.attributes["end_reason"] == "duration reached"


def test_sigterm_ends_a_recording_in_order_and_at_once(tmp_path):
    with DaemonProcess(tmp_path, UNATTENDED) as daemon:
        daemon.until(lambda s: any(x.n_acknowledged for x in s.streams))
        begun_s = time.monotonic()
        assert daemon.end(signal.SIGTERM) == 0
        assert time.monotonic() - begun_s < 2.0
        daemon.begin()  # seals what the first left
        for folder in wait_until_sealed(daemon, 1):
            with Session.open(folder) as session:
                assert session.complete


def test_left_alone_it_records_without_a_gap_and_recovers_what_a_kill_left(tmp_path):
    with DaemonProcess(tmp_path, UNATTENDED) as daemon:
        daemon.until(lambda s: s.recording is not None and s.recording.n_sessions >= 2)
        daemon.ask(LabelRequest("walking"))
        daemon.until(lambda s: len({line["session_id"] for line in daemon.acknowledgements()}) >= 2)
        daemon.end(signal.SIGKILL)
        acknowledged = daemon.acknowledgements()
        daemon.begin()
        status = daemon.until(lambda s: bool(s.recovered) and not s.backlog.n_waiting)
        assert len(status.recovered) == 1
        newest = {line["session_id"]: line["rows"] for line in acknowledged}
        found = {}
        for folder in sealed(daemon.out):
            with Session.open(folder) as session:
                found[session.session_id] = session.continues
                # Those that were begun after the kill are in no list.
                for stream, n_rows in newest.get(session.session_id, {}).items():
                    assert session.stream(stream).n >= n_rows
        first, second, *_ = newest
        assert found[first] == ""
        assert found[second] == first
        # It records again by itself.
        assert daemon.until(lambda s: s.state == "recording").recording is not None


def test_a_second_daemon_is_refused_and_disturbs_nothing(tmp_path):
    with DaemonProcess(tmp_path, UNATTENDED) as daemon:
        daemon.until(lambda s: s.state == "recording")
        second = daemon.command(
            "daemon", "--simulate", "--config", str(daemon.config), "--out", str(daemon.out)
        )
        assert second.code == 1
        assert "Traceback" not in second.err
        assert daemon.status().state == "recording"


def test_stop_holds_until_start_although_it_records_by_itself(tmp_path):
    with DaemonProcess(tmp_path, UNATTENDED) as daemon:
        daemon.until(lambda s: s.state == "recording")
        daemon.ask(StopRequest())
        for _ in range(20):
            assert daemon.status().state == "idle"
        assert daemon.ask(StartRequest("S02", "walking")).exit_code == 0


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (StartRequest("S 1", "eating"), "subject"),
        (StartRequest("S01", "flying"), "activity"),
        (LabelRequest("eating"), "nothing is being recorded"),
        (MarkRequest("x"), "nothing is being recorded"),
        (StopRequest(), "nothing is being recorded"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(idle_daemon, request_, expected):
    reply = idle_daemon.ask(request_)
    assert reply.exit_code in (1, 2)
    assert expected in reply.error


@pytest.fixture(scope="module")
def idle_daemon(tmp_path_factory):
    with DaemonProcess(tmp_path_factory.mktemp("idle")) as daemon:
        yield daemon


def test_a_flood_of_garbage_disturbs_no_recording(tmp_path):
    with DaemonProcess(tmp_path, UNATTENDED) as daemon:
        daemon.until(lambda s: any(x.n_acknowledged for x in s.streams))
        before = daemon.status().streams
        with zmq.Context() as context:
            senders = [context.socket(zmq.DEALER) for _ in range(3)]
            for sender in senders:
                sender.linger = 0
                sender.connect(f"ipc://{daemon.socket}")
            for number in range(3000):
                garbage = bytes([number % 256]) * (number % 997)
                senders[number % 3].send_multipart([b"", garbage], zmq.DONTWAIT)
            senders[0].send_multipart([b"", bytes(1 << 20)])  # beyond what is taken at all
            after = daemon.until(
                lambda s: all(
                    x.n_acknowledged >= y.n_acknowledged + 20
                    for x, y in zip(s.streams, before, strict=True)
                    if x.name != "thermal"
                )
            )
            for sender in senders:
                sender.close()
        # A thermal subpage is overwritten after 125 ms, whoever keeps the machine busy meanwhile.
        motion = [stream for stream in after.streams if stream.name != "thermal"]
        assert [stream.n_lost for stream in motion] == [0, 0]
        assert after.state == "recording"
