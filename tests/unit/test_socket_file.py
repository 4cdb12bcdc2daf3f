"""The socket file: whose it is, and what happens to what is there already."""

from __future__ import annotations

import grp
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.control_rig import Script, ask, serving
from wban_collect.control import socket_file
from wban_collect.control.server import ControlServer
from wban_collect.errors import ConfigError, WbanError


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "run" / "control.sock"


def test_the_file_is_for_its_group_and_goes_with_the_daemon(path, monkeypatch):
    # Root may give it to any group, others to their own.
    group = "daemon" if os.geteuid() == 0 else grp.getgrgid(os.getgid()).gr_name
    monkeypatch.setattr(socket_file, "GROUP", group)
    with serving(path):
        found, folder = path.stat(), path.parent.stat()
        assert stat.S_IMODE(found.st_mode) == 0o660
        assert stat.S_IMODE(folder.st_mode) == 0o750
        assert found.st_gid == folder.st_gid == grp.getgrnam(group).gr_gid
        assert stat.S_IMODE(Path(f"{path}.lock").stat().st_mode) == 0o600
    assert not path.exists()


def test_where_there_is_no_such_group_the_folder_is_for_its_user_alone(path, monkeypatch):
    monkeypatch.setattr(socket_file, "GROUP", "no-such-group")
    with serving(path):
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_a_second_daemon_is_refused_and_the_first_goes_on(path):
    with serving(path):
        with pytest.raises(WbanError, match=f"process {os.getpid()} serves it, expected no other"):
            ControlServer(path, Script()).start()
        assert ask(path).exit_code == 0
    with serving(path):  # and after its end another may begin
        assert ask(path).exit_code == 0


def test_what_a_killed_daemon_has_left_is_replaced(path):
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from wban_collect.control.server import ControlServer\n"
        "ControlServer(Path(sys.argv[1]), lambda request: None).start()\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, path], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.is_socket()
    with serving(path):
        assert ask(path).exit_code == 0


def test_a_file_that_is_no_socket_is_refused_and_kept(path):
    path.parent.mkdir()
    path.write_text("precious")
    with pytest.raises(ConfigError, match="expected a socket or nothing"):
        ControlServer(path, Script()).start()
    assert path.read_text() == "precious"


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="expected a place where a file can be made"):
        ControlServer(tmp_path / "file" / "control.sock", Script()).start()
