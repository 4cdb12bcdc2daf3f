"""Where the daemon's sockets are, and what is said where they cannot be."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from wban_collect.config import ControlConfig
from wban_collect.control import endpoints
from wban_collect.control.endpoints import (
    control_socket,
    find_daemon,
    is_served,
    live_socket,
    runtime_folder,
    socket_path,
    tcp_address,
)
from wban_collect.errors import ConfigError


@pytest.fixture
def service(tmp_path, monkeypatch) -> Path:
    """Give the service's folder, which does not exist yet; the user's is beside it."""
    monkeypatch.setattr(endpoints, "SERVICE_FOLDER", tmp_path / "run" / "wban")
    monkeypatch.setattr(endpoints, "OPEN_FOLDER", tmp_path)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "user"))
    monkeypatch.delenv("WBAN_SOCKET", raising=False)
    return tmp_path / "run" / "wban"


def listening(path: Path) -> socket.socket:
    path.parent.mkdir(parents=True, exist_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    return listener


def test_the_service_has_its_own_folder_and_a_user_his_runtime_folder(service, tmp_path):
    assert runtime_folder() == tmp_path / "user" / "wban"
    service.mkdir(parents=True)
    assert runtime_folder() == service
    assert control_socket(ControlConfig()) == service / "control.sock"
    assert live_socket(ControlConfig()) == service / "live.sock"


def test_without_a_runtime_folder_it_is_one_that_nobody_else_may_write(
    service, tmp_path, monkeypatch
):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    folder = tmp_path / f"wban-{os.geteuid()}"
    assert runtime_folder() == folder
    folder.mkdir(mode=0o700)
    assert runtime_folder() == folder
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match=rf"{folder}: found drwxrwxrwx .* Remove it"):
        runtime_folder()


def test_a_link_that_somebody_laid_there_is_refused(service, tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    (tmp_path / f"wban-{os.geteuid()}").symlink_to(tmp_path)
    with pytest.raises(ConfigError, match="found lrwxrwxrwx"):
        runtime_folder()


def test_the_configured_path_comes_first(service, tmp_path):
    assert control_socket(ControlConfig(socket=str(tmp_path / "c"))) == tmp_path / "c"
    assert live_socket(ControlConfig(live_socket=str(tmp_path / "l"))) == tmp_path / "l"


def test_a_path_may_have_107_bytes_and_no_more(tmp_path):
    room = 107 - len(os.fsencode(tmp_path)) - 1
    fits = tmp_path / ("ü" * (room // 2) + "x" * (room % 2))
    assert control_socket(ControlConfig(socket=str(fits))) == fits
    with pytest.raises(ConfigError, match="has 108 bytes, the system takes at most 107"):
        control_socket(ControlConfig(socket=f"{fits}x"))


def test_a_client_finds_the_service_first_then_the_users_daemon(service, tmp_path, monkeypatch):
    own = tmp_path / "user" / "wban" / "control.sock"
    assert find_daemon() == f"ipc://{own}"
    with listening(service / "control.sock"):
        assert find_daemon() == f"ipc://{service}/control.sock"
        monkeypatch.setenv("WBAN_SOCKET", "/somewhere/c.sock")
        assert find_daemon() == "ipc:///somewhere/c.sock"
        monkeypatch.setenv("WBAN_SOCKET", "ipc:///somewhere/c.sock")
        assert find_daemon() == "ipc:///somewhere/c.sock"
        monkeypatch.setenv("WBAN_SOCKET", "tcp://pi:7711")
        assert find_daemon() == "tcp://pi:7711"
        assert find_daemon(tmp_path / "given") == f"ipc://{tmp_path}/given"
        assert find_daemon(host="tcp://other:1") == "tcp://other:1"


def test_a_relative_path_is_an_absolute_address(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_daemon(Path("c.sock")) == f"ipc://{tmp_path}/c.sock"
    assert socket_path(find_daemon(Path("c.sock"))) == tmp_path / "c.sock"
    assert socket_path("tcp://pi:7711") is None


@pytest.mark.parametrize(
    "text", ["tcp://raspberrypi.local:7711", "tcp://192.168.1.5:1", "tcp://[fe80::1%eth0]:65535"]
)
def test_addresses_of_machines_are_usable(text):
    assert tcp_address(text) == text


@pytest.mark.parametrize(
    "text", ["", "pi:7711", "tcp://pi", "tcp://pi:65536", "tcp://pi:x", "tcp://a b:1", "ipc:///x"]
)
def test_what_is_no_address_is_refused_with_an_example(text):
    with pytest.raises(ConfigError, match=r"tcp://HOST:PORT, e\.g\. tcp://raspberrypi"):
        tcp_address(text)


def test_a_socket_is_served_only_while_somebody_listens(tmp_path):
    path = tmp_path / "c.sock"
    address = f"ipc://{path}"
    assert not is_served(address)
    with listening(path):
        assert is_served(address)
    assert path.is_socket()
    assert not is_served(address)  # left by a process that has died
    path.unlink()
    path.write_text("no socket")
    assert not is_served(address)


def test_whoever_is_not_in_the_group_is_told_how_to_get_in():
    script = """
import os, sys
from pathlib import Path
from wban_collect.control import endpoints
from wban_collect.errors import DaemonUnreachableError
folder = Path(sys.argv[1])
endpoints.SERVICE_FOLDER = folder
folder.chmod(0)
if os.getuid() == 0:
    os.setuid(65534)
for ask in (endpoints.find_daemon, lambda: endpoints.is_served(f"ipc://{folder}/control.sock")):
    try:
        ask()
    except DaemonUnreachableError as error:
        print(error)
"""
    # Not in pytest's folder, which nobody else may enter at all.
    with TemporaryDirectory() as place, listening(Path(place, "run", "control.sock")):
        Path(place).chmod(0o755)
        folder = Path(place, "run")
        done = subprocess.run(
            [sys.executable, "-c", script, folder], capture_output=True, text=True, check=True
        )
        folder.chmod(0o700)
    by_folder, by_socket = done.stdout.splitlines()
    assert f"daemon at {folder}: permission denied" in by_folder
    assert f"daemon at {folder}/control.sock: permission denied" in by_socket
    assert "sudo adduser $USER wban" in by_folder


def test_the_daemon_listens_where_wban_socket_says_unless_it_is_configured(
    service, tmp_path, monkeypatch
):
    monkeypatch.setenv("WBAN_SOCKET", f"ipc://{tmp_path}/c.sock")
    assert control_socket(ControlConfig()) == tmp_path / "c.sock"
    assert live_socket(ControlConfig()) == tmp_path / "live-c.sock"
    assert find_daemon() == f"ipc://{control_socket(ControlConfig())}"
    assert control_socket(ControlConfig(socket="/own/c.sock")) == Path("/own/c.sock")
    monkeypatch.setenv("WBAN_SOCKET", "tcp://pi:7711")  # a daemon elsewhere
    assert control_socket(ControlConfig()) == runtime_folder() / "control.sock"


def test_an_address_in_place_of_a_socket_file_is_refused():
    with pytest.raises(ConfigError, match="'ipc:///x' is not usable: expected the path"):
        control_socket(ControlConfig(socket="ipc:///x"))
