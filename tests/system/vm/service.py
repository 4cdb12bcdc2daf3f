"""The recorder's service in the machine, as systemd and the recorder itself describe it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.system.vm.acknowledged import AcknowledgedSession, read_acknowledged
from tests.system.vm.machine import Machine, MachineError

UNIT = "wban-collect.service"


class Service:
    """What is asked of the machine about its recorder.

    Parameters
    ----------
    acknowledged
        File that the recorder tells every fsync, read from outside: it costs the machine nothing.
    """

    def __init__(self, machine: Machine, acknowledged: Path) -> None:
        self.machine = machine
        self._acknowledged = acknowledged

    def show(self, name: str) -> str:
        """Give one property that systemd keeps of the unit."""
        return self.machine.check(f"systemctl show {UNIT} --value -p {name}").strip()

    def status(self) -> dict[str, Any]:
        """Give what ``wban-collect status --json`` prints."""
        return json.loads(self.machine.check("wban-collect status --json"))

    def log(self, lines: int = 40) -> str:
        """Give the end of the service's log."""
        command = f"journalctl -b -u {UNIT} -n {lines} --no-pager -o short-monotonic"
        return self.machine.run(command).output

    def sessions(self) -> list[AcknowledgedSession]:
        """Give all sessions of which rows were acknowledged, the newest last."""
        return read_acknowledged(self._acknowledged)

    def rows(self, stream: str) -> int:
        """Count the acknowledged rows of a stream, of all sessions."""
        return sum(session.rows.get(stream, 0) for session in self.sessions())

    def wait_until(self, happened: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Wait for something; an error with the service's log if it does not happen."""
        deadline_s = time.monotonic() + timeout_s
        while not happened():
            if time.monotonic() > deadline_s:
                raise MachineError(f"{what}: not within {timeout_s:g} s; the log:\n{self.log()}")
            time.sleep(0.2)

    def wait_for_rows(self, stream: str, n_more: int, timeout_s: float = 180.0) -> None:
        """Wait until so many more rows of a stream are acknowledged."""
        wanted = self.rows(stream) + n_more
        self.wait_until(
            lambda: self.rows(stream) >= wanted, timeout_s, f"{n_more} more rows of {stream}"
        )

    def wait_for_restart(self, n_restarts: int, timeout_s: float) -> int:
        """Wait until systemd has restarted it so often; give the time of its first row (ns)."""

        def restarted() -> bool:
            shown = (self.show("NRestarts"), self.show("ActiveState"))
            return shown == (str(n_restarts), "active")

        self.wait_until(restarted, timeout_s, f"{n_restarts} restarts")
        began_ns = int(self.show("ExecMainStartTimestampMonotonic")) * 1000
        self.wait_until(lambda: self.sessions()[-1].first_ns > began_ns, 120.0, "a row after that")
        return min(said.first_ns for said in self.sessions() if said.first_ns > began_ns)
