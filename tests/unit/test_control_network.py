"""Control over TCP: known keys are answered, everybody else changes nothing."""

from __future__ import annotations

import logging
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
import zmq

from tests.unit.control_rig import GUARD_S, Script, ask, serving
from wban_collect.control import admission
from wban_collect.control.client import Daemon
from wban_collect.control.connection_events import receive_event
from wban_collect.control.keys import Keys
from wban_collect.control.messages import Reply, StatusRequest, encode
from wban_collect.control.server import ControlServer
from wban_collect.errors import ConfigError, DaemonUnreachableError

STATUS = encode(StatusRequest())


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "run" / "control.sock"


@pytest.fixture
def keys(tmp_path) -> Keys:
    """Give a server's keys, with one client whose folder is ``known`` beside them."""
    made = Keys(tmp_path / "keys")
    made.make_server()
    made.make_client("known", tmp_path / "known")
    return made


@pytest.fixture
def network(path, keys):
    """Give a server on a free port, and the script that it asks."""
    script = Script()
    with serving(path, script, tcp="tcp://127.0.0.1:*", keys=keys.folder) as server:
        server.script = script
        yield server


def ask_tcp(server: ControlServer, keys: Path) -> Reply:
    with Daemon(server.tcp_address, keys) as daemon:
        return daemon.ask(StatusRequest(), GUARD_S)


def test_a_known_key_is_answered_over_the_network(network, tmp_path):
    assert ask_tcp(network, tmp_path / "known").folder == "StatusRequest"
    assert network.tcp_address.startswith("tcp://127.0.0.1:")


def test_an_unknown_key_is_refused_and_changes_nothing(network, keys, tmp_path):
    other = Keys(tmp_path / "other")
    other.make_server()
    other.make_client("known", tmp_path / "stranger")  # the same name, another key
    (tmp_path / "stranger" / "server.key").write_bytes((keys.folder / "server.key").read_bytes())
    with pytest.raises(DaemonUnreachableError, match="does not admit this client's key"):
        ask_tcp(network, tmp_path / "stranger")
    assert network.script.heard() == []
    assert ask_tcp(network, tmp_path / "known").exit_code == 0


def test_another_daemons_key_is_told_from_a_daemon_that_is_down(network, tmp_path):
    other = Keys(tmp_path / "other")
    other.make_server()
    other.make_client("me", tmp_path / "stranger")
    with pytest.raises(DaemonUnreachableError, match=r"is not the daemon whose server\.key"):
        ask_tcp(network, tmp_path / "stranger")
    assert network.script.heard() == []


def test_without_any_key_nothing_is_heard(network):
    context = zmq.Context()
    plain = context.socket(zmq.REQ)
    plain.linger, plain.reconnect_ivl = 0, -1
    events = plain.get_monitor_socket()
    plain.connect(network.tcp_address)
    plain.send(STATUS)
    while receive_event(events).kind != zmq.EVENT_DISCONNECTED:
        pass
    context.destroy(linger=0)
    assert network.script.heard() == []


WITHOUT_KEYS = {
    "the first ZeroMQ, which knew no keys": b"\x01\x00" + b"\x01\x01" + bytes([len(STATUS) + 1, 0]),
    "no mechanism": b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)
    + b"\x04\x19\x05READY\x0bSocket-Type\0\0\0\x03REQ" + b"\x01\x00\x00" + bytes([len(STATUS)]),
}  # fmt: skip


@pytest.mark.parametrize("name", WITHOUT_KEYS)
def test_no_older_or_plainer_protocol_gets_in(network, tmp_path, name):
    host, _, port = network.tcp_address.removeprefix("tcp://").rpartition(":")
    with socket.create_connection((host, int(port))) as stranger:
        stranger.sendall(WITHOUT_KEYS[name] + STATUS)
        assert ask_tcp(network, tmp_path / "known").exit_code == 0
    assert network.script.heard() == [StatusRequest()]


def test_a_client_is_admitted_and_revoked_while_the_daemon_runs(network, keys, tmp_path):
    keys.make_client("new", tmp_path / "new")
    assert ask_tcp(network, tmp_path / "new").exit_code == 0
    keys.revoke("new")
    with pytest.raises(DaemonUnreachableError, match="does not admit this client's key"):
        ask_tcp(network, tmp_path / "new")
    assert ask_tcp(network, tmp_path / "known").exit_code == 0


def test_a_client_that_connects_again_and_again_is_logged_once_a_minute(
    network, keys, tmp_path, monkeypatch, caplog
):
    now_s = [1000.0]
    monkeypatch.setattr(admission, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    keys.make_client("new", tmp_path / "new")
    with caplog.at_level(logging.INFO, logger=admission.__name__):
        for client in ("known", "known", "new", "known"):
            assert ask_tcp(network, tmp_path / client).exit_code == 0
        assert [record.args[0] for record in caplog.records] == ["known", "new"]
        now_s[0] += 60.0
        assert ask_tcp(network, tmp_path / "known").exit_code == 0
    assert [record.args[0] for record in caplog.records] == ["known", "new", "known"]


def test_nobody_is_admitted_while_the_keys_cannot_be_read(network, keys, tmp_path):
    (keys.folder / "clients").rename(tmp_path / "elsewhere")
    with pytest.raises(DaemonUnreachableError, match="does not admit this client's key"):
        ask_tcp(network, tmp_path / "known")
    (tmp_path / "elsewhere").rename(keys.folder / "clients")
    assert ask_tcp(network, tmp_path / "known").exit_code == 0


def test_the_network_floods_without_a_key_and_is_not_noticed(network, path, tmp_path):
    host, _, port = network.tcp_address.removeprefix("tcp://").rpartition(":")
    for _ in range(300):
        with socket.create_connection((host, int(port))) as stranger:
            stranger.sendall(b"\xff" + bytes(8) + b"\x7f\x03\x00CURVE" + bytes(100))
    assert ask(path).exit_code == 0
    assert ask_tcp(network, tmp_path / "known").exit_code == 0
    assert network.script.heard() == [StatusRequest()] * 2


def test_tcp_without_keys_is_refused_and_nothing_stays(path, tmp_path):
    server = ControlServer(path, Script(), tcp="tcp://127.0.0.1:*", keys=tmp_path / "none")
    with pytest.raises(ConfigError, match=r"needs keys: .* run 'wban-collect keys server --keys"):
        server.start()
    assert not path.exists()
    with serving(path):  # the lock is free again
        assert ask(path).exit_code == 0


@pytest.mark.parametrize("address", ["0.0.0.0:7711", "tcp://192.0.2.1:7711", "tcp://no.invalid:1"])
def test_an_address_that_is_not_this_machines_is_refused(path, keys, address):
    with pytest.raises(ConfigError, match=address):
        ControlServer(path, Script(), tcp=address, keys=keys.folder).start()
    assert not path.exists()


def test_a_port_that_is_taken_is_refused(path, keys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ConfigError, match="address already in use"):
            ControlServer(path, Script(), tcp=address, keys=keys.folder).start()


def test_a_machine_that_is_down_or_unknown_is_said_to_be(keys, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with (
        pytest.raises(DaemonUnreachableError, match="nobody listens there"),
        Daemon(f"tcp://127.0.0.1:{port}", tmp_path / "known") as daemon,
    ):
        daemon.ask(StatusRequest(), GUARD_S)
    with pytest.raises(DaemonUnreachableError, match=r"no\.invalid is not known"):
        Daemon("tcp://no.invalid:7711", tmp_path / "known").__enter__()
