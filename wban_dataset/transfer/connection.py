"""One ssh connection that everything goes through, so that a password is asked for once at most.

The connection is a child that reads from this process: when this process ends, however it ends,
the child's input ends and the connection with it.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from wban_dataset.transfer.errors import TransferError
from wban_dataset.transfer.place import Place

CONNECT_TIMEOUT_S = 20
CLOSE_TIMEOUT_S = 5


class Connection:
    """A connection to a host, open while it is entered.

    Parameters
    ----------
    place
        With a host.
    ssh_config
        File for ``ssh -F``; None for the user's own.
    """

    def __init__(self, place: Place, ssh_config: Path | None) -> None:
        self._place = place
        self._folder = tempfile.TemporaryDirectory(prefix="wban-ssh-")
        self._options = ["-o", f"ControlPath={self._folder.name}/%C"]
        if ssh_config is not None:
            self._options += ["-F", str(ssh_config.absolute())]
        self._master: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        asks = sys.stdin is not None and sys.stdin.isatty()
        command = [
            "ssh",
            *self._options,
            *("-o", "ControlMaster=yes", "-o", "ControlPersist=no", "-T"),
            *("-o", f"ConnectTimeout={CONNECT_TIMEOUT_S}", "-o", "ServerAliveInterval=15"),
            *("-o", f"BatchMode={'no' if asks else 'yes'}"),
            *("--", self._place.ssh_host, "cat"),
        ]
        with tempfile.TemporaryFile() as complaints:
            try:
                self._master = subprocess.Popen(  # noqa: S603 - a list, no shell
                    command,
                    bufsize=0,  # what cannot be sent must not wait for being sent again
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=complaints,
                )
                ready = self._answers(self._master)
            except OSError as error:
                self.close()
                raise TransferError(
                    f"ssh cannot be started ({error.strerror}), expected OpenSSH's client. "
                    "Install it: apt install openssh-client."
                ) from error
            if not ready:
                self._master.wait()
                complaints.seek(0)
                reason = last_line(complaints.read().decode(errors="replace"))
                self.close()
                raise TransferError(
                    f"host {self._place.host}: it cannot be reached "
                    f"({reason or 'the connection was closed'}), expected that "
                    f"'ssh {self._place.ssh_host}' works. Check its name, the network and your key."
                )
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        if self._master is not None:
            assert self._master.stdin is not None  # noqa: S101 - it was asked for
            self._master.stdin.close()
            try:
                self._master.wait(CLOSE_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._master.terminate()
                self._master.wait()
            assert self._master.stdout is not None  # noqa: S101 - it was asked for
            self._master.stdout.close()
            self._master = None
        self._folder.cleanup()

    def command(self) -> list[str]:
        """Start of a command line that goes through the connection."""
        return ["ssh", *self._options, "-o", "ControlMaster=no", "-o", "BatchMode=yes"]

    @staticmethod
    def _answers(master: subprocess.Popen[bytes]) -> bool:
        """Whether the other end gives back what it is sent."""
        assert master.stdin is not None  # noqa: S101 - it was asked for
        assert master.stdout is not None  # noqa: S101 - it was asked for
        try:
            master.stdin.write(b"\n")
        except BrokenPipeError:
            return False
        return master.stdout.read(1) == b"\n"


def last_line(text: str) -> str:
    """Give the last line that says something, without a full stop."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else ""
