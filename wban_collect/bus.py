"""One thread per I2C bus: the devices on it, most urgent first, one chunk at a time."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from wban_collect.backoff import Backoff, failure_level
from wban_collect.clock import Clock
from wban_collect.device import BusDevice, DeviceOutput
from wban_collect.errors import BusError, DeviceError, unexpected
from wban_collect.i2c import I2CBus

_T = TypeVar("_T")

log = logging.getLogger(__name__)

N_RETRIES = 2
"""How often a transfer that was not acknowledged is repeated at once."""

REOPEN_AFTER = 3
"""After so many failures in a row the bus itself is closed and opened again."""

NEVER_NS = 1 << 62


class RetryingBus:
    """A bus that repeats what was not acknowledged.

    Only that: a missing acknowledgement ends a transfer before the chip's FIFO moved, while after
    a time-out or a bus fault nobody knows how many entries were taken.
    """

    def __init__(self, bus: I2CBus) -> None:
        self._bus = bus
        self.n_retries = 0

    def write(self, address: int, data: bytes) -> None:
        """Send `data`; see `I2CBus.write`."""
        self._repeat(lambda: self._bus.write(address, data))

    def write_read(self, address: int, data: bytes, n_bytes: int) -> bytes:
        """Send `data`, then read; see `I2CBus.write_read`."""
        return self._repeat(lambda: self._bus.write_read(address, data, n_bytes))

    def reopen(self) -> None:
        """Close and open the bus again."""
        self._bus.reopen()

    def close(self) -> None:
        """Give the bus back."""
        self._bus.close()

    def _repeat(self, transfer: Callable[[], _T]) -> _T:
        for _ in range(N_RETRIES):
            try:
                return transfer()
            except BusError as error:
                if error.errno != errno.EREMOTEIO:
                    raise
                self.n_retries += 1
        return transfer()


class _Task:
    """A device, what it is in the middle of, and how it has fared."""

    def __init__(self, device: BusDevice) -> None:
        self.device = device
        self.running: Iterator[DeviceOutput | None] | None = device.start()
        self.starting = True
        self.started = False
        self.retry_at_ns = 0
        self.backoff = Backoff()
        self.last_error: Exception | None = None
        self.attempt_ns = 0

    def due_ns(self, now_ns: int) -> int:
        """When the device may go on."""
        if self.running is None and self.starting:
            return self.retry_at_ns
        if self.running is not None and not self.starting:
            return now_ns
        return self.device.next_due_ns()

    def urgency_ns(self) -> int:
        """Orders the devices that are due; a device being set up can wait."""
        return NEVER_NS if self.starting else self.device.deadline_ns()


class BusWorker:
    """Runs the devices of one bus.

    Between two chunks of a long read whoever is due and more urgent goes first, so that no FIFO
    overflows while a thermal frame is read. A device that fails is set up anew, with growing
    pauses; the others go on.

    Parameters
    ----------
    deliver
        Takes every block and gap, in order; never blocks.
    on_started
        Told each time a device has been set up.
    """

    def __init__(
        self,
        name: str,
        bus: I2CBus,
        devices: Sequence[BusDevice],
        clock: Clock,
        deliver: Callable[[DeviceOutput], None],
        on_started: Callable[[BusDevice], None],
    ) -> None:
        self.name = name
        self.clock = clock
        self._bus = bus
        self._deliver = deliver
        self._on_started = on_started
        self._tasks = [_Task(device) for device in devices]
        for task in self._tasks:
            task.attempt_ns = clock.monotonic_ns()

    def next_due_ns(self) -> int:
        """When a device wants to be served next."""
        now_ns = self.clock.monotonic_ns()
        return min([task.due_ns(now_ns) for task in self._tasks])

    def step(self) -> None:
        """Serve the most urgent device that is due, chunk by chunk, until another is due."""
        now_ns = self.clock.monotonic_ns()
        due = [task for task in self._tasks if task.due_ns(now_ns) <= now_ns]
        if not due:
            return
        task = min(due, key=_Task.urgency_ns)
        others_due_ns = min(
            [other.due_ns(now_ns) for other in self._tasks if other is not task], default=NEVER_NS
        )
        try:
            while self._advance(task) and self.clock.monotonic_ns() < others_due_ns:
                pass
        except (BusError, DeviceError) as error:
            self._put_off(task, error)
        except Exception as error:  # a defect in one driver never stops the others
            log.debug("%s", task.device.name, exc_info=True)
            self._put_off(task, unexpected(error))

    def failures(self) -> dict[str, Exception]:
        """Devices that are not running, and the last error of each."""
        return {
            task.device.name: task.last_error
            for task in self._tasks
            if task.starting and task.last_error is not None
        }

    def attempts_ns(self) -> dict[str, int]:
        """When each device was last set up, or an attempt at it failed."""
        return {task.device.name: task.attempt_ns for task in self._tasks}

    def stop(self) -> None:
        """Put all chips to rest and give the bus back."""
        for task in self._tasks:
            if task.started:
                task.device.stop()
        self._bus.close()

    def _advance(self, task: _Task) -> bool:
        """Go on with a device to its next pause; true where that is in the middle of a read."""
        if task.running is None:
            task.running = task.device.start() if task.starting else task.device.read()
        if task.starting:
            task.attempt_ns = self.clock.monotonic_ns()
        for output in task.running:
            if output is None:
                return not task.starting
            self._deliver(output)
        task.running = None
        if task.starting:
            task.starting = False
            task.started = True
            self._on_started(task.device)
        else:
            task.backoff.reset()
        return False

    def _put_off(self, task: _Task, error: Exception) -> None:
        """Plan to set a failed device up again."""
        task.running = None
        task.starting = True
        task.last_error = error
        task.attempt_ns = self.clock.monotonic_ns()
        pause_ns = task.backoff.pause_ns()
        task.retry_at_ns = self.clock.monotonic_ns() + pause_ns
        level = failure_level(task.started, task.backoff.n_failures)
        log.log(level, "%s: %s Trying again in %.1f s.", task.device.name, error, pause_ns / 1e9)
        if task.backoff.n_failures % REOPEN_AFTER == 0:
            self._reopen()

    def _reopen(self) -> None:
        try:
            self._bus.reopen()
        except BusError as error:
            log.warning("%s: %s", self.name, error)
