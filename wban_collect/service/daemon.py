"""The daemon's process: signals, sockets, and what systemd is told."""

from __future__ import annotations

import json
import logging
import signal
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import FrameType
from typing import TextIO

from wban_collect.assembly import EEPROM_FOLDER, Simulation, real_parts, simulated_parts
from wban_collect.clock import SystemClock
from wban_collect.config import Config
from wban_collect.control.endpoints import control_socket, live_socket
from wban_collect.control.server import ControlServer
from wban_collect.errors import WbanError
from wban_collect.live.publisher import Publisher
from wban_collect.parts import Parts
from wban_collect.service.notify import Notifier
from wban_collect.service.service import Service, Surroundings
from wban_collect.session_folder import check_writable
from wban_collect.storage import Commit

log = logging.getLogger(__name__)

GRACE_NS = 30_000_000_000
"""systemd is told "ready" after this at the latest: a sensor that is missing does not hold up the
machine's start."""

ROUND_S = 1.0
IMPATIENT_ROUND_S = 0.05
"""Until it is ready."""


@dataclass(frozen=True)
class DaemonOptions:
    """What stood on the command line.

    `acknowledge` is a file that gets a line after every fsync: what may never be lost.
    """

    out: Path
    simulate: bool = False
    acknowledge: Path | None = None


class Daemon:
    """Runs the service until SIGTERM, SIGINT or SIGHUP."""

    def __init__(self, config: Config, options: DaemonOptions) -> None:
        self._config = config
        self._options = options
        self._ending = threading.Event()
        self._notifier = Notifier()
        self._is_ready = False
        self._complained = ""
        self._began_ns = time.monotonic_ns()

    def run(self) -> None:
        """Serve until a signal comes.

        Raises
        ------
        WbanError
            If another daemon is there, the folder cannot be written, or an address cannot be used.
        """
        control = self._config.control
        keys = Path(control.keys).expanduser() if control.keys else None
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._end)
        with ExitStack() as stack:
            publisher = Publisher(
                live_socket(control),
                tcp=control.live_tcp,
                keys=keys,
                clock=SystemClock(),
                simulated=self._options.simulate,
            )
            service = Service(self._config, self._surroundings(stack, publisher))
            server = ControlServer(
                control_socket(control), service.handle, tcp=control.tcp, keys=keys
            )
            server.start()  # refuses a second daemon, before anything of the first is touched
            stack.callback(server.close)
            check_writable(self._options.out, 0)
            publisher.start()
            stack.callback(publisher.close)
            service.start()
            stack.callback(service.close)
            log.info("listening at %s", control_socket(control))
            self._serve(service)
            self._notifier.stopping()

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ending.set()

    def _serve(self, service: Service) -> None:
        while not self._ending.is_set():
            try:
                service.supervise()
            except (WbanError, OSError) as error:  # the recording goes on
                log.warning("%s", error)
            self._judge(service)
            self._tell(service)
            self._ending.wait(ROUND_S if self._is_ready else IMPATIENT_ROUND_S)

    def _judge(self, service: Service) -> None:
        """Feed the watchdog, unless something hangs: then systemd restarts the service."""
        complaint = service.complaint()
        if not complaint:
            self._notifier.watchdog()
        elif complaint != self._complained:
            log.error("%s; the watchdog is fed no more.", complaint)
        self._complained = complaint

    def _tell(self, service: Service) -> None:
        text = self._text(service)
        if self._is_ready:
            self._notifier.status(text)
        elif self._may_be_ready(service):
            self._is_ready = True
            self._notifier.ready(text)

    def _may_be_ready(self, service: Service) -> bool:
        waited_ns = time.monotonic_ns() - self._began_ns
        return service.is_recording or not service.begins_by_itself() or waited_ns > GRACE_NS

    def _text(self, service: Service) -> str:
        """One line for ``systemctl status``."""
        status = service.status()
        text = status.state
        if status.recording is not None:
            minutes = status.recording.duration_s / 60
            text += f" {status.recording.subject} {status.recording.label}, {minutes:.0f} min"
        missing = sorted({*status.degraded, *(t.device for t in status.troubles if t.required)})
        if missing:
            text += f"; DEGRADED: {', '.join(missing)}"
        if status.warnings:
            text += f"; {status.warnings[0]}"
        return text

    def _surroundings(self, stack: ExitStack, publisher: Publisher) -> Surroundings:
        options = self._options
        acknowledge: Callable[[Path, Commit], None] = _unnoticed
        if options.acknowledge is not None:
            file = stack.enter_context(options.acknowledge.open("a", encoding="utf-8"))
            acknowledge = partial(_acknowledge, file)
        return Surroundings(
            options.out,
            partial(_parts, self._config, simulate=options.simulate),
            publisher,
            live_address=f"ipc://{live_socket(self._config.control)}",
            simulated=options.simulate,
            acknowledge=acknowledge,
        )


def _parts(config: Config, activity: str, *, simulate: bool) -> Parts:
    if not simulate:
        return real_parts(config, Path.home() / EEPROM_FOLDER)
    from wban_collect.simulation.people import one_activity

    seed = config.simulation.seed
    world = one_activity(activity, seed)
    return simulated_parts(config, Simulation(world, seed, config.simulation.chip_errors))


def _unnoticed(folder: Path, commit: Commit) -> None:
    """Nobody keeps a list of what is on the disk."""


def _acknowledge(file: TextIO, folder: Path, commit: Commit) -> None:
    line = {
        "folder": folder.name,
        "session_id": commit.session_id,
        "acknowledged": commit.sequence,
        "monotonic_ns": commit.monotonic_ns,
        "fsync_ns": commit.duration_ns,
        "rows": commit.n_rows,
    }
    file.write(json.dumps(line) + "\n")
    file.flush()
