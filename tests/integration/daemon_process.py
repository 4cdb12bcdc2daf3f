"""A daemon above simulated chips, as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.integration.command_line import SCRIPTS, Outcome
from wban_collect.control.client import Daemon
from wban_collect.control.messages import Reply, Request, Status, StatusRequest

COLLECT = str(SCRIPTS / "wban-collect")
PATIENCE_S = 60.0
"""Nothing takes so long; then it hangs."""

CONFIG = """
[storage]
keep_free_mb = 0
[[motion]]
[[thermal]]
{more}
"""
"""No camera: its rendering would take half of a core."""

UNATTENDED = """
[unattended]
enabled = true
subject = "S07"
activity = "eating"
session_length = "10s"
"""


class DaemonProcess:
    """Starts `wban-collect daemon --simulate`, asks it, ends it."""

    def __init__(self, folder: Path, more: str = "", *options: str) -> None:
        self.folder = folder
        self.out = folder / "recordings"
        self.acknowledged = folder / "acknowledged.jsonl"
        self.config = folder / "config.toml"
        self.config.write_text(CONFIG.format(more=more))
        self.environment = {**os.environ, "XDG_RUNTIME_DIR": str(folder)}
        self.socket = folder / "wban" / "control.sock"
        self._options = options
        self.begin()

    def begin(self) -> None:
        """Start the process; returns when it listens."""
        command = [
            COLLECT,
            "daemon",
            "--simulate",
            *("--config", str(self.config)),
            *("--out", str(self.out)),
            *("--acknowledge", str(self.acknowledged)),
            *self._options,
        ]
        self.log: list[str] = []
        self.process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=self.environment
        )
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log.append(line)
            if "listening at" in line:
                return
        raise AssertionError(f"the daemon did not begin: {self.log}")

    def ask(self, request: Request) -> Reply:
        with Daemon(f"ipc://{self.socket}") as daemon:
            return daemon.ask(request, timeout_s=PATIENCE_S)

    def status(self) -> Status:
        status = self.ask(StatusRequest()).status
        assert status is not None
        return status

    def until(self, holds: Callable[[Status], bool]) -> Status:
        """Ask until something holds."""
        while True:
            status = self.status()
            if holds(status):
                return status
            assert self.process.poll() is None, "the daemon has ended"

    def command(self, *words: str) -> Outcome:
        """Run a wban-collect command that finds this daemon."""
        done = subprocess.run(
            [COLLECT, *words],
            capture_output=True,
            text=True,
            check=False,
            env=self.environment,
            cwd=self.folder,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    def acknowledgements(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.acknowledged.read_text().splitlines()]

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        self.process.send_signal(number)
        _, rest = self.process.communicate(timeout=PATIENCE_S)
        self.log += (rest or "").splitlines(keepends=True)
        return self.process.returncode

    def __enter__(self) -> DaemonProcess:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGKILL)
