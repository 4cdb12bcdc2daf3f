"""Sessions fetched from a recorder: from a folder, and from a real sshd on loopback."""

from __future__ import annotations

import contextlib
import csv
import getpass
import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import pytest

from tests.integration.command_line import ROOT, Outcome, dataset
from tests.integration.simulated_recording import record_unsealed
from tests.unit import small_sessions as small
from wban_dataset.recording.receipts import own_receipt
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.session import Session
from wban_dataset.transfer.errors import TransferError
from wban_dataset.transfer.place import Place
from wban_dataset.transfer.pulling import RECEIPTS_NAME
from wban_dataset.transfer.rsync import Rsync

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
RELEASE = Path(sysconfig.get_path("scripts")) / "wban-collect"

pytestmark = pytest.mark.skipif(
    shutil.which("rsync") is None, reason="rsync is not installed (apt install rsync)"
)


@pytest.fixture
def recorder(tmp_path) -> Path:
    """Give a recorder's disk: two sealed sessions, one in a folder below, and what is none."""
    out = tmp_path / "recorder's disk"
    one = small.sealed(out, "one", 1)
    small.sealed(out / "older", "two", 2)
    small.unsealed(out, "three", 3)
    both = small.sealed(out, "four", 4)
    (both / "journal").mkdir()  # sealed, its journal not removed yet
    (one / "labels.csv").write_text("start_ns,stop_ns,label\n100000000000,100500000000,eating\n")
    (one / "verified.csv").write_text("the recorder's own")
    small.sealed(out, ".hidden", 5)
    (out / "link").symlink_to(out / "one")
    return out


def receipts(to: Path) -> list[dict[str, str]]:
    with (to / RECEIPTS_NAME).open(newline="") as file:
        return list(csv.DictReader(file))


def pull(source: object, to: Path, *options: object) -> Outcome:
    return dataset("pull", source, "--to", to, *options)


def shown(to: Path) -> set[str]:
    return set(small.content(to))


# --- from a folder -------------------------------------------------------------------------------


def test_sealed_sessions_are_fetched_verified_and_receipted(recorder, tmp_path):
    to = tmp_path / "study"
    done = pull(recorder, to)
    assert (done.code, done.err) == (0, "")
    assert done.out.splitlines() == [
        "[1/2] older/two: fetched and verified",
        "[2/2] one: fetched and verified",
    ]
    assert shown(to) == {
        *("one/session.h5", "one/labels.csv", "older/two/session.h5", RECEIPTS_NAME)
    }
    own = (recorder / "one" / "session.h5").read_bytes()
    assert (to / "one" / "session.h5").read_bytes() == own
    found = {row["session_id"]: row for row in receipts(to)}
    assert set(found) == {small.session_id(1), small.session_id(2)}
    with Session.open(recorder / "one") as session:
        row = found[session.session_id]
        assert row["content_sha256"] == session.store.content_sha256()
        assert row["labels_sha256"]


def test_what_is_here_is_not_fetched_again(recorder, tmp_path):
    to = tmp_path / "study"
    pull(recorder, to)
    before = {path: path.stat().st_mtime_ns for path in to.rglob("*.h5")}
    done = pull(recorder, to)
    assert [line.split(": ")[1] for line in done.out.splitlines()] == ["was here and verified"] * 2
    assert {path: path.stat().st_mtime_ns for path in to.rglob("*.h5")} == before
    assert len(receipts(to)) == 2


def test_later_labels_are_fetched_unless_they_were_changed_here(recorder, tmp_path):
    to = tmp_path / "study"
    pull(recorder, to)
    later = "start_ns,stop_ns,label\n100000000000,100900000000,walking\n"
    (recorder / "one" / "labels.csv").write_text(later)
    done = pull(recorder, to, "--json")
    assert json.loads(done.out)["sessions"] == {"older/two": "here", "one": "updated"}
    assert (to / "one" / "labels.csv").read_text() == later
    assert len(receipts(to)) == 3
    (to / "one" / "labels.csv").write_text(later.replace("walking", "mine"))
    (recorder / "one" / "labels.csv").write_text(later.replace("walking", "theirs"))
    done = pull(recorder, to)
    assert done.code == 1
    assert "labels.csv: it was changed here and where it comes from" in done.error
    assert "mine" in (to / "one" / "labels.csv").read_text()
    assert not list(to.rglob(".*"))


def test_a_session_itself_is_fetched_under_its_name(recorder, tmp_path):
    assert pull(recorder / "one", tmp_path / "study").code == 0
    assert shown(tmp_path / "study") == {"one/session.h5", "one/labels.csv", RECEIPTS_NAME}


def test_only_verified_copies_are_acknowledged(recorder, tmp_path):
    damage(recorder / "older" / "two")
    to = tmp_path / "study"
    done = pull(recorder, to, "--acknowledge", "--release-command", RELEASE)
    assert done.code == 1
    assert "older/two: it is damaged where it was fetched from" in done.error
    assert f"{recorder / 'one'}: released" in done.out
    assert own_receipt(recorder / "one").session_id == small.session_id(1)
    assert own_receipt(recorder / "older" / "two") is None
    assert shown(to) == {"one/session.h5", "one/labels.csv", RECEIPTS_NAME}


def damage(folder: Path) -> None:
    with h5py.File(folder / "session.h5", "r+") as file:
        file["accel/data"][3, 1] += 1


def test_a_copy_damaged_on_its_way_is_mended(recorder, tmp_path):
    """A damaged copy of the same size and time, which rsync's quick look takes for the same."""
    aside = tmp_path / "study" / ".one.pulling"
    shutil.copytree(recorder / "one", aside)
    content = bytearray((aside / "session.h5").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 300] = bytes(300)
    (aside / "session.h5").write_bytes(content)
    times = (recorder / "one" / "session.h5").stat()
    os.utime(aside / "session.h5", ns=(times.st_atime_ns, times.st_mtime_ns))
    assert pull(recorder, tmp_path / "study").code == 0
    own = (recorder / "one" / "session.h5").read_bytes()
    assert (tmp_path / "study" / "one" / "session.h5").read_bytes() == own
    assert not aside.exists()


def test_another_session_of_the_same_name_is_never_replaced(recorder, tmp_path):
    other = small.sealed(tmp_path / "study", "one", 77) / "session.h5"
    os.utime(other, (1, 1))  # rsync takes files of one size and one second for the same
    before = small.content(tmp_path / "study" / "one")
    (tmp_path / "study" / "older").mkdir()
    (tmp_path / "study" / "older" / "two").write_text("a file")
    done = pull(recorder, tmp_path / "study")
    assert done.code == 1
    assert "another session of this name is in" in done.err
    assert "there is something that is no sealed session" in done.err
    assert small.content(tmp_path / "study" / "one") == before
    assert not list((tmp_path / "study").rglob(".*"))


def test_what_cannot_be_pulled_is_one_sentence(tmp_path):
    to = tmp_path / "study"
    assert "it cannot be copied" in pull(tmp_path / "nowhere", to).error
    assert "is no name of a host" in pull("pi@-oProxyCommand=reboot:x", to).error
    assert pull(tmp_path, to, "--release-command", "'").code == 2
    assert not to.exists()
    assert pull(tmp_path, to).out == f"{tmp_path}: it has no sealed sessions\n"


def test_a_place_that_leads_elsewhere_is_refused(tmp_path, monkeypatch):
    listing = "-rw-r--r-- 1,000 2026/11/23 14:05:12 ../../etc/session.h5\n"
    done = subprocess.CompletedProcess([], 0, listing, "")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(TransferError, match="lead below it"):
        Rsync(Place("", str(tmp_path)), None).sealed_sessions()


def test_without_rsync_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "Install it: apt install rsync" in pull(tmp_path, tmp_path / "study").error


def test_a_full_disk_keeps_what_has_arrived_for_the_next_time(tmp_path):
    seal(record_unsealed(tmp_path / "recorder", "long", 10.0))
    place = tmp_path / "small"
    place.mkdir()
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(place)]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here: that needs root and unshare")
    script = (
        'mount -t tmpfs -o size=400k tmpfs "$1" && "$3" -c "$4" "$2" "$1"; '
        'echo "code $?"; mount -o remount,size=40m "$1"; ls -A "$1/study"; "$3" -c "$4" "$2" "$1"; '
        'echo "code $?"; ls "$1/study"'
    )
    program = (
        "import sys\nfrom wban_dataset.cli.main import cli, main\n"
        "from wban_dataset.cli.pull import pull\ncli.add_command(pull)\n"
        "sys.argv = ['wban-dataset', 'pull', sys.argv[1], '--to', sys.argv[2] + '/study']\nmain()\n"
    )
    words = [str(place), str(tmp_path / "recorder"), sys.executable, program]
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", script, "-", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert "Error: session" in done.stderr
    assert "the disk here is full" in done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "code 1"
    assert ".long.pulling" in lines
    assert lines[-3:] == ["code 0", "long", RECEIPTS_NAME]


# --- from a real sshd ----------------------------------------------------------------------------


@dataclass
class Host:
    """A sshd on loopback, behind a line that can be cut.

    Attributes
    ----------
    config
        For ``ssh -F``: the host is called ``recorder``.
    limit
        Bytes that a connection gives before it is cut; None: no limit.
    given
        Bytes given so far, by connection.
    """

    config: Path
    limit: int | None = None
    given: list[int] = field(default_factory=list)


def keygen(path: Path) -> Path:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)]
    subprocess.run(command, check=True)
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def host(tmp_path_factory) -> Generator[Host]:
    if not Path(SSHD).exists() or shutil.which("ssh") is None:
        pytest.skip("OpenSSH's server is not installed (apt install openssh-server)")
    folder = tmp_path_factory.mktemp("sshd")
    client, server, port = keygen(folder / "client"), keygen(folder / "server"), free_port()
    (folder / "sshd_config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {server}\nPidFile none\nUsePAM no\n"
        f"AuthorizedKeysFile {client}.pub\nStrictModes no\nPasswordAuthentication no\n"
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    command = [SSHD, "-D", "-e", "-f", str(folder / "sshd_config")]
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(command, stderr=log)
    listener = socket.create_server(("127.0.0.1", 0))
    config = folder / "a config"
    config.write_text(
        f"Host recorder\n HostName 127.0.0.1\n Port {listener.getsockname()[1]}\n"
        f" User {getpass.getuser()}\n IdentityFile {client}\n IdentitiesOnly yes\n"
        f" UserKnownHostsFile {folder / 'known'}\n StrictHostKeyChecking accept-new\n"
    )
    found = Host(config)
    taking = threading.Thread(target=lines_to, args=(listener, port, found))
    taking.start()
    try:
        wait_for(port, daemon)
        yield found
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for a connection
        taking.join()
        listener.close()
        daemon.terminate()
        daemon.wait()


def wait_for(port: int, daemon: subprocess.Popen[bytes]) -> None:
    while daemon.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            continue
        return
    pytest.fail("sshd did not start")


def lines_to(listener: socket.socket, port: int, host: Host) -> None:
    """Take connections, one at a time, until the listener is closed."""
    while True:
        try:
            near, _ = listener.accept()
        except OSError:
            return
        with near, socket.create_connection(("127.0.0.1", port)) as far:
            host.given.append(0)
            back = threading.Thread(target=carry, args=(near, far, None))
            back.start()
            carry(far, near, host)
            back.join()


def carry(source: socket.socket, sink: socket.socket, host: Host | None) -> None:
    """Carry bytes one way until either end, or the host's limit, is reached; then cut both."""
    with contextlib.suppress(OSError):
        while content := source.recv(1 << 14):
            if host is not None:
                host.given[-1] += len(content)
                if host.limit is not None and host.given[-1] > host.limit:
                    break
            sink.sendall(content)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


def pull_from(host: Host, folder: Path, to: Path, *options: object) -> Outcome:
    return pull(f"recorder:{folder}", to, "--ssh-config", host.config, *options)


def test_sessions_come_over_ssh_and_are_acknowledged(host, recorder, tmp_path):
    done = pull_from(
        host, recorder, tmp_path / "study", "--acknowledge", "--release-command", RELEASE
    )
    assert (done.code, done.err) == (0, "")
    assert shown(tmp_path / "study") == {
        *("one/session.h5", "one/labels.csv", "older/two/session.h5", RECEIPTS_NAME)
    }
    for name in ("one", "older/two"):
        assert f"{recorder / name}: released" in done.out
        assert own_receipt(recorder / name) is not None
    assert own_receipt(recorder / "four") is None
    assert len(host.given) == 1, "one connection carries everything"
    again = pull_from(host, recorder, tmp_path / "study", "--json")
    assert json.loads(again.out)["sessions"] == {"one": "here", "older/two": "here"}


def test_a_copy_that_was_cut_goes_on_where_it_was(host, tmp_path):
    seal(record_unsealed(tmp_path / "recorder", "long", 20.0))
    n_bytes = (tmp_path / "recorder" / "long" / "session.h5").stat().st_size
    host.limit = n_bytes * 9 // 10
    to = tmp_path / "study"
    done = pull_from(host, tmp_path / "recorder", to)
    assert done.code == 1
    assert "the connection was lost" in done.error
    assert not (to / "long").exists()
    assert not (to / RECEIPTS_NAME).exists()
    n_kept = (to / ".long.pulling" / "session.h5").stat().st_size
    assert n_kept > 0
    host.limit = None
    assert pull_from(host, tmp_path / "recorder", to).code == 0
    assert host.given[-1] < n_bytes - n_kept // 2, "what had arrived was sent again"
    own = (tmp_path / "recorder" / "long" / "session.h5").read_bytes()
    assert (to / "long" / "session.h5").read_bytes() == own
    assert shown(to) == {"long/session.h5", RECEIPTS_NAME}


def test_a_host_that_is_not_there_is_one_sentence(host, tmp_path):
    config = tmp_path / "config"
    config.write_text(host.config.read_text().replace("Host recorder", "Host other"))
    done = pull(f"recorder:{tmp_path}", tmp_path / "study", "--ssh-config", config)
    assert "host recorder: it cannot be reached" in done.error
    gone = tmp_path / "gone"
    gone.write_text(f"Host recorder\n HostName 127.0.0.1\n Port {free_port()}\n")
    done = pull(f"recorder:{tmp_path}", tmp_path / "study", "--ssh-config", gone)
    assert "Connection refused" in done.error
    assert not (tmp_path / "study").exists()


def test_what_the_recorder_refuses_is_told(host, recorder, tmp_path):
    done = pull_from(host, recorder / "nowhere", tmp_path / "study")
    assert "it cannot be copied" in done.error
    to = tmp_path / "study"
    done = pull_from(host, recorder, to, "--acknowledge", "--release-command", "not-there; echo")
    assert done.code == 1
    assert "the copies are here and verified, but the recorder did not take" in done.error
    assert len(receipts(to)) == 2
