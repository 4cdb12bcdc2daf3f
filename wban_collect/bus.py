"""One thread per I2C bus: the devices on it, most urgent first, one chunk at a time."""

from __future__ import annotations

import errno
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from wban_collect.backoff import Backoff, failure_level
from wban_collect.clock import Clock
from wban_collect.device import BusDevice, DeviceOutput
from wban_collect.errors import BusError, DeviceDataError, DeviceError, unexpected
from wban_collect.i2c import I2CBus
from wban_dataset.recording.streams import SampleBlock

_T = TypeVar("_T")

log = logging.getLogger(__name__)

N_RETRIES = 2
"""How often a transfer that was not acknowledged is repeated at once."""

REOPEN_AFTER = 3
"""After so many failures in a row the bus itself is closed and opened again."""

NEVER_NS = 1 << 62

SILENCE_NS, SILENCE_PERIODS = 4_000_000_000, 2
"""A device that is read for so long, plus so many of its slowest stream's periods, and delivers
nothing is set up anew: well within the 10 s after which the watchdog finds the stream dead."""

PATIENCE_NS = 1_000_000_000
SETTING_UP_PATIENCE_NS = 50_000_000
"""Whoever is due and was not served for so long goes before all who were, whatever their deadlines:
where the bus has too little time for all, nobody is forgotten."""

LONG_WAIT_NS = 1_000_000_000
"""A device that wants to be read no sooner is slow on purpose; until then nobody misses it."""


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
    """A device, what it is in the middle of, and how it has fared.

    Attributes
    ----------
    attempt_ns
        When it was last set up, failed, or wants to be read after a long wait.
    served_ns
        When it last had the bus.
    fruitless_ns
        When the first read began since it last delivered samples; None: none has.
    """

    def __init__(self, device: BusDevice, now_ns: int) -> None:
        self.device = device
        self.running: Iterator[DeviceOutput | None] | None = device.start()
        self.starting = True
        self.started = False
        self.retry_at_ns = 0
        self.backoff = Backoff()
        self.last_error: Exception | None = None
        self.attempt_ns = self.served_ns = now_ns
        self.fruitless_ns: int | None = None

    def due_ns(self, now_ns: int) -> int:
        """When the device may go on."""
        if self.running is None and self.starting:
            return self.retry_at_ns
        if self.running is not None and not self.starting:
            return now_ns
        return self.device.next_due_ns()

    def urgency_ns(self, now_ns: int) -> int:
        """Orders the devices that are due; a device being set up can wait, but not for ever."""
        waits_since_ns = max(self.due_ns(now_ns), self.served_ns)
        if self.starting:
            forgotten = now_ns - waits_since_ns > SETTING_UP_PATIENCE_NS
            return waits_since_ns if forgotten else NEVER_NS
        return min(self.device.deadline_ns(), self.served_ns + PATIENCE_NS)

    def longest_silence_ns(self) -> int:
        """How long it may be read without delivering anything."""
        periods_ns = [spec.period_ns for spec in self.device.streams]
        return SILENCE_NS + int(SILENCE_PERIODS * max(periods_ns, default=0.0))


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
        self._tasks = [_Task(device, clock.monotonic_ns()) for device in devices]

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
        task = min(due, key=lambda task: task.urgency_ns(now_ns))
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
        """When each device was last set up, failed, or wants to be read after a long wait."""
        return {task.device.name: task.attempt_ns for task in self._tasks}

    def stop(self) -> None:
        """Put all chips to rest and give the bus back."""
        for task in self._tasks:
            if task.started:
                task.device.stop()
        self._bus.close()

    def _advance(self, task: _Task) -> bool:
        """Go on with a device to its next pause; true where that is in the middle of a read."""
        now_ns = task.served_ns = self.clock.monotonic_ns()
        if task.running is None:
            task.running = task.device.start() if task.starting else task.device.read()
        if task.starting:
            task.attempt_ns = now_ns
        elif task.fruitless_ns is None:
            task.fruitless_ns = now_ns
        for output in task.running:
            if output is None:
                self._refuse_silence(task)
                return not task.starting
            self._deliver(output)
            if isinstance(output, SampleBlock):
                task.fruitless_ns = None
                task.backoff.reset()
        self._refuse_silence(task)
        task.running = None
        if task.starting:
            task.starting = False
            task.started = True
            self._on_started(task.device)
        due_ns = task.device.next_due_ns()
        if due_ns - self.clock.monotonic_ns() > LONG_WAIT_NS:
            task.attempt_ns = due_ns
        return False

    def _refuse_silence(self, task: _Task) -> None:
        """Give up a device that is read and read and brings nothing.

        Its chip stopped, or the bus is too slow to bring one whole sample home. Either way it is
        the device that has failed, and not the recorder.
        """
        if task.fruitless_ns is None:
            return
        silent_ns = self.clock.monotonic_ns() - task.fruitless_ns
        if silent_ns > task.longest_silence_ns():
            raise DeviceDataError(
                f"it answers and has delivered no sample for {silent_ns / 1e9:.1f} s. It is set up "
                "again; if this returns, check its supply, and with 'wban-collect config check' "
                "whether the bus has time for all its chips."
            )

    def _put_off(self, task: _Task, error: Exception) -> None:
        """Plan to set a failed device up again."""
        task.running = task.fruitless_ns = None
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
