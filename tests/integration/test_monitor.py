"""`wban-collect monitor` and the reader of the documents, over real sockets with recorded data."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from tests.integration.command_line import ROOT, SCRIPTS, collect
from tests.integration.daemon_process import DaemonProcess
from tests.integration.simulated_recording import record_unsealed
from wban_collect.cli import monitor as monitor_module
from wban_collect.clock import SystemClock
from wban_collect.control.keys import Keys
from wban_collect.control.messages import (
    BacklogStatus,
    RecordingStatus,
    StartRequest,
    Status,
    StopRequest,
    StreamStatus,
)
from wban_collect.live import publisher as publisher_module
from wban_collect.live.publisher import Publisher
from wban_collect.live.times import newest_sample_ns
from wban_dataset.recording.records import JournalItem, read_items
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.session import Session
from wban_dataset.recording.streams import SampleBlock, SessionHeader, StreamSpec

IDLE = Status(
    state="idle",
    version="0.2.0",
    host="pi4",
    boot_id="b",
    pid=812,
    now_ns=0,
    uptime_s=9000.0,
    out="/sessions",
    unattended=False,
    synchronised=True,
    free_bytes=12_300_000_000,
    bytes_per_hour=134e6,
    hours_left=45.9,
    backlog=BacklogStatus(0, 12),
)
STREAMS = ("accel", "gyro", "infrared", "thermal")
RECORDING = msgspec.structs.replace(
    IDLE,
    state="recording",
    recording=RecordingStatus("/sessions/a", "01J", "S02", "walking", 0, 8.0, 1),
    streams=[StreamStatus(name, 100, 90, 0, 0, 50.0, 0.1) for name in STREAMS],
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    """Four seconds of somebody walking, not sealed yet."""
    return record_unsealed(tmp_path_factory.mktemp("recorded"), "session", 4.0)


@pytest.fixture(scope="module")
def items(recorded) -> list[JournalItem]:
    return list(read_items(recorded / "journal"))


@contextmanager
def published(
    path: Path, items: list[JournalItem], status: Status, **network
) -> Generator[Publisher]:
    """Publish the items over and over, and the status with each, until the block ends."""
    publisher = Publisher(path, clock=SystemClock(), **network)
    publisher.open()
    for item in items:
        if isinstance(item, SessionHeader):
            publisher.describe_session(item)
        elif isinstance(item, StreamSpec):
            publisher.offer(item)
    ending = threading.Event()

    def publish() -> None:
        for item in itertools.cycle(items):
            if ending.is_set():
                return
            if isinstance(item, SampleBlock):
                publisher.offer(item)
                publisher.offer_status(status)
                publisher.step()

    thread = threading.Thread(target=publish)
    thread.start()
    try:
        yield publisher
    finally:
        ending.set()
        thread.join()
        publisher.close()


@pytest.fixture(autouse=True)
def short_periods(monkeypatch) -> None:
    monkeypatch.setattr(publisher_module, "PERIOD_MS", 1)
    monkeypatch.setattr(publisher_module, "IDLE_PERIOD_MS", 5)


# --- one frame, one line -------------------------------------------------------------------------


def test_one_frame_shows_every_stream_and_both_pictures(tmp_path, items):
    path = tmp_path / "live.sock"
    with published(path, items, RECORDING):
        shown = collect("monitor", "--once", "--socket", path)
    assert shown.code == 0, shown.err
    assert shown.out.startswith("recording  0:00:08  S02  walking")
    for name in STREAMS:
        (line,) = re.findall(rf"^{name} .*50\.0 .*$", shown.out, re.MULTILINE)
        assert not line.endswith("-")
    assert re.search(r"^thermal +[\d.]+ to [\d.]+ °C +infrared  160 x 120", shown.out, re.MULTILINE)
    assert max(map(len, shown.out.splitlines())) <= 80


def test_one_line_of_json_has_the_status_and_the_newest_values(tmp_path, items):
    path = tmp_path / "live.sock"
    with published(path, items, RECORDING):
        shown = collect("monitor", "--json", "--once", "--socket", path)
    line = json.loads(shown.out)
    assert line["reachable"]
    assert line["status"]["recording"]["label"] == "walking"
    assert sorted(line["streams"]) == list(STREAMS)
    assert len(line["streams"]["accel"]["newest"]) == 3
    # Within 4 g of rest at 9.8 m/s2, and between a cold window and a warm body.
    assert np.linalg.norm(line["streams"]["accel"]["newest"]) < 50
    assert 10 < line["streams"]["thermal"]["min"] < line["streams"]["thermal"]["max"] < 45


def test_while_nothing_is_recorded_it_says_idle(tmp_path, items):
    path = tmp_path / "live.sock"
    with published(path, items, IDLE):
        shown = collect("monitor", "--once", "--socket", path)
    assert (shown.code, shown.out.split()[0]) == (0, "idle")


def test_a_number_that_is_none_is_null_in_json(tmp_path, items):
    path = tmp_path / "live.sock"
    endless = msgspec.structs.replace(IDLE, hours_left=float("inf"))
    with published(path, items, endless):
        shown = collect("monitor", "--json", "--once", "--socket", path)
    assert json.loads(shown.out)["status"]["hours_left"] is None


# --- nobody there --------------------------------------------------------------------------------


def test_without_a_daemon_it_is_one_sentence(tmp_path):
    shown = collect("monitor", "--once", "--socket", tmp_path / "live.sock")
    assert shown.code == 1
    assert "nobody listens there" in shown.error


def test_the_socket_of_a_daemon_that_died_is_nobody(tmp_path):
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(tmp_path / "live.sock"))
    shown = collect("monitor", "--socket", tmp_path / "live.sock")
    assert shown.code == 1
    assert "nobody listens there" in shown.error


def test_an_address_at_which_nothing_is_said_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(monitor_module, "PATIENCE_S", 0.05)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "live.sock"))
        silent.listen()
        shown = collect("monitor", "--socket", tmp_path / "live.sock")
    assert shown.code == 1
    assert "nothing came within" in shown.error


def test_the_address_of_control_over_tcp_will_not_do(monkeypatch):
    monkeypatch.setenv("WBAN_SOCKET", "tcp://127.0.0.1:7711")
    shown = collect("monitor", "--once")
    assert shown.code == 2
    assert "control.live_tcp" in shown.error


def test_over_the_network_a_key_is_needed(tmp_path):
    shown = collect("monitor", "--host", "tcp://127.0.0.1:7712", "--keys", tmp_path / "none")
    assert shown.code == 2
    assert "wban-collect keys client" in shown.error


def test_an_address_that_only_a_daemon_can_use_is_refused(tmp_path):
    keys = Keys(tmp_path / "keys")
    keys.make_server()
    keys.make_client("laptop", tmp_path / "laptop")
    shown = collect("monitor", "--host", "tcp://*:7712", "--keys", tmp_path / "laptop")
    assert shown.code == 2
    assert "expected the address of a machine" in shown.error


def test_over_the_network_with_a_key_it_is_the_same(tmp_path, items):
    keys = Keys(tmp_path / "keys")
    keys.make_server()
    keys.make_client("laptop", tmp_path / "laptop")
    network = {"tcp": "tcp://127.0.0.1:*", "keys": keys.folder}
    with published(tmp_path / "live.sock", items, RECORDING, **network) as publisher:
        shown = collect(
            "monitor",
            "--once",
            *("--host", publisher.addresses[1]),
            *("--keys", tmp_path / "laptop"),
        )
    assert shown.out.startswith("recording  0:00:08  S02  walking"), shown.err


# --- a real daemon -------------------------------------------------------------------------------


@pytest.fixture
def daemon(tmp_path) -> Iterator[DaemonProcess]:
    with DaemonProcess(tmp_path) as daemon:
        yield daemon


@contextmanager
def lines_of(daemon: DaemonProcess) -> Generator[tuple[subprocess.Popen[str], Iterator[Any]]]:
    """`monitor --json` as a process, and what it says."""
    with subprocess.Popen(
        [str(SCRIPTS / "wban-collect"), "monitor", "--json"],
        stdout=subprocess.PIPE,
        text=True,
        env=daemon.environment,
    ) as watching:
        assert watching.stdout is not None
        try:
            yield watching, map(json.loads, watching.stdout)
        finally:
            watching.kill()


def is_recording(line: dict[str, Any]) -> bool:
    """The status comes once a second, samples come before it."""
    return line["status"]["recording"] is not None


def test_a_daemon_is_watched_through_a_recording_and_ctrl_c_ends_it_well(daemon):
    with lines_of(daemon) as (watching, lines):
        assert next(lines)["status"]["state"] == "idle"
        daemon.ask(StartRequest("S01", "eating"))
        line = next(line for line in lines if len(line["streams"]) == 3 and is_recording(line))
        assert line["status"]["recording"]["label"] == "eating"
        assert line["streams"]["accel"]["newest_index"] > 0
        daemon.ask(StopRequest())
        assert not next(line for line in lines if line["status"]["state"] == "idle")["streams"]
        watching.send_signal(signal.SIGINT)
        assert watching.wait() == 0


def test_a_reader_that_is_stopped_costs_the_recording_nothing(daemon):
    with lines_of(daemon) as (watching, lines):
        next(lines)
        daemon.ask(StartRequest("S01", "eating"))
        watching.send_signal(signal.SIGSTOP)  # it reads nothing any more, and is still subscribed
        status = daemon.until(lambda s: any(x.n_acknowledged > 300 for x in s.streams))
    n_lost = {stream.name: stream.n_lost for stream in status.streams}
    # A busy machine may cost a simulated subpage, whose chip keeps but one; of motion nothing.
    assert (n_lost["accel"], n_lost["gyro"]) == (0, 0)


# --- the documents -------------------------------------------------------------------------------


def test_the_page_shows_the_reader_as_it_is():
    reader = (ROOT / "docs" / "live_reader.py").read_text(encoding="utf-8")
    page = (ROOT / "docs" / "live-data.md").read_text(encoding="utf-8")
    assert f"```python\n{reader}```" in page


def test_the_reader_of_the_page_reads(tmp_path, items):
    path = tmp_path / "live.sock"
    with (
        published(path, items, RECORDING),
        subprocess.Popen(
            [sys.executable, str(ROOT / "docs" / "live_reader.py"), f"ipc://{path}"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        ) as reader,
    ):
        assert reader.stdout is not None
        first = reader.stdout.readline()
        reader.kill()
    assert re.fullmatch(r"\d+ \[.*\] m s-2\n", first)


# --- about when ----------------------------------------------------------------------------------


def test_the_live_time_of_a_sample_is_as_near_to_the_fitted_one_as_it_says(tmp_path, items):
    """The chips' clocks are up to 2 % off: 0.1 s of that between a read and its last sample."""
    folder = record_unsealed(tmp_path, "session", 4.0)
    seal(folder)
    with Session.open(folder) as session:
        specs = {item.name: item for item in items if isinstance(item, StreamSpec)}
        for block in (item for item in items if isinstance(item, SampleBlock)):
            spec = specs[block.stream]
            newest_ns, within_ns = newest_sample_ns(spec, block)
            row = block.first_index + block.n_samples - 1
            fitted_ns = int(session.stream(block.stream).monotonic_ns[row])
            assert abs(newest_ns - fitted_ns) <= within_ns + 0.05 * spec.period_ns, block.stream
