"""The worker of a camera: starts it, looks for stalls, starts it again."""

from __future__ import annotations

import logging
from collections.abc import Callable

from wban_collect.backoff import Backoff, failure_level
from wban_collect.clock import Clock
from wban_collect.device import DeviceOutput, FrameDevice
from wban_collect.errors import CameraStackError, DeviceError, unexpected

log = logging.getLogger(__name__)


class FrameWorker:
    """Keeps one self-delivering camera alive; its frames come from the camera's own thread."""

    def __init__(
        self,
        device: FrameDevice,
        clock: Clock,
        deliver: Callable[[DeviceOutput], None],
        on_started: Callable[[FrameDevice], None],
    ) -> None:
        self.name = device.name
        self.clock = clock
        self._device = device
        self._deliver = deliver
        self._on_started = on_started
        self._backoff = Backoff()
        self._started = False
        self._ever_started = False
        self._retry_at_ns = clock.monotonic_ns()
        self._introduced = False
        self._last_error: Exception | None = None
        self._attempt_ns = clock.monotonic_ns()

    def next_due_ns(self) -> int:
        """When to start the camera, or to look at it again."""
        return self._device.next_due_ns() if self._started else self._retry_at_ns

    def step(self) -> None:
        """Start the camera, or check that frames still come."""
        self._attempt_ns = self.clock.monotonic_ns()
        try:
            if self._started:
                self._device.check()
            else:
                self._start()
            self._backoff.reset()
        except (DeviceError, CameraStackError) as error:
            self._put_off(error)
        except Exception as error:  # a defect in one driver never stops the others
            log.debug("%s", self.name, exc_info=True)
            self._put_off(unexpected(error))

    def failures(self) -> dict[str, Exception]:
        """Name the camera and its last error, if it is not running."""
        if self._started or self._last_error is None:
            return {}
        return {self.name: self._last_error}

    def attempts_ns(self) -> dict[str, int]:
        """When the camera was last started, or looked at: by its rule it may store nothing."""
        return {self.name: self._attempt_ns}

    def stop(self) -> None:
        """Stop the camera."""
        if self._started:
            self._device.stop()
            self._started = False

    def _start(self) -> None:
        self._introduced = False
        self._device.start(self._deliver_after_spec)
        self._started = self._ever_started = True

    def _deliver_after_spec(self, output: DeviceOutput) -> None:
        """Announce the stream before its first frame, from whichever thread brings it."""
        if not self._introduced:
            self._on_started(self._device)
            self._introduced = True
        self._deliver(output)

    def _put_off(self, error: Exception) -> None:
        self._device.stop()
        self._started = False
        self._last_error = error
        pause_ns = self._backoff.pause_ns()
        self._retry_at_ns = self.clock.monotonic_ns() + pause_ns
        level = failure_level(self._ever_started, self._backoff.n_failures)
        log.log(level, "%s: %s Trying again in %.1f s.", self.name, error, pause_ns / 1e9)
