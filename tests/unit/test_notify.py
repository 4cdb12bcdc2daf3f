"""What systemd is told, read at the other end of a real datagram socket."""

from __future__ import annotations

import contextlib
import os
import socket

import pytest

from wban_collect.service.notify import Notifier


def listening(address: str) -> socket.socket:
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(address)
    receiver.setblocking(False)
    return receiver


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """Give systemd's end of the socket, and its address as systemd writes it."""
    if request.param == "path":
        address = str(tmp_path / "notify")
        text = address
    else:
        name = f"wban-test-{os.getpid()}"
        address, text = f"\0{name}", f"@{name}"
    with listening(address) as receiver:
        yield receiver, text


def test_each_message_is_one_datagram(manager):
    receiver, text = manager
    notifier = Notifier({"NOTIFY_SOCKET": text})
    notifier.ready("idle")
    notifier.status("recording S01, 12 samples lost")
    notifier.watchdog()
    notifier.stopping()
    assert [receiver.recv(1000) for _ in range(4)] == [
        b"READY=1\nSTATUS=idle",
        b"STATUS=recording S01, 12 samples lost",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


def test_a_status_of_several_lines_cannot_smuggle_in_another_message(manager):
    receiver, text = manager
    Notifier({"NOTIFY_SOCKET": text}).status("a sensor\nREADY=1\n is gone")
    assert receiver.recv(1000) == b"STATUS=a sensor READY=1 is gone"


def test_without_a_service_manager_nothing_happens():
    notifier = Notifier({})
    notifier.ready("idle")
    notifier.watchdog()
    assert notifier.watchdog_interval_s == 0.0


@pytest.mark.parametrize("address", ["@", "relative/path", "vsock:2:1234"])
def test_an_address_of_another_kind_is_none(address, caplog):
    Notifier({"NOTIFY_SOCKET": address}).ready()
    assert not caplog.records


def test_a_manager_that_is_gone_is_complained_of_once(tmp_path, caplog):
    notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")})
    notifier.watchdog()
    notifier.watchdog()
    assert [record.getMessage() for record in caplog.records] == [
        "the service manager cannot be told: No such file or directory"
    ]


def test_a_manager_that_does_not_read_holds_nothing_up(manager):
    receiver, text = manager
    notifier = Notifier({"NOTIFY_SOCKET": text})
    for _ in range(3000):  # more than any socket's queue takes (net.unix.max_dgram_qlen)
        notifier.watchdog()
    n_taken = 0
    with contextlib.suppress(BlockingIOError):
        while receiver.recv(100) == b"WATCHDOG=1":
            n_taken += 1
    assert 0 < n_taken < 3000
    notifier.status("heard again")
    assert receiver.recv(100) == b"STATUS=heard again"


@pytest.mark.parametrize(
    ("environ", "interval_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),  # meant for another process
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_watchdogs_interval_is_in_seconds(environ, interval_s):
    assert Notifier(environ).watchdog_interval_s == interval_s
