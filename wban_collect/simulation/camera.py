"""A simulated camera behind the part of picamera2's interface that a driver needs.

The sensor has a rolling shutter and a clock of its own; frames need a free buffer; controls act
late; the event loop dies with an exception, as the real one does. What the sensor sees is asked of
the world for the instant at which the middle row was half exposed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_collect.clock import Clock
from wban_collect.errors import DeviceNotFoundError
from wban_collect.simulation.camera_sensor import SimulatedSensor, control_limits
from wban_collect.simulation.world import World

log = logging.getLogger(__name__)

IDLE_NS = 50_000_000
"""How often a camera that does not run wants to be looked at."""

_STRIDE_ALIGNMENT = 64


@dataclass(frozen=True, slots=True)
class CameraFaults:
    """What goes wrong; frames are numbered from 0 over all starts of the camera.

    Attributes
    ----------
    stall_at_frames
        The sensor falls silent there, until it is stopped and started again.
    vanish_at_frame
        The camera is gone from there on, until `SimulatedPicamera2.restore`.
    drop_frames, drop_fraction
        Frames lost between sensor and memory: these, and this share at random.
    missing_metadata
        Names that the frames' metadata lack.
    """

    stall_at_frames: frozenset[int] = frozenset()
    vanish_at_frame: int | None = None
    drop_frames: frozenset[int] = frozenset()
    drop_fraction: float = 0.0
    missing_metadata: frozenset[str] = frozenset()


class SimulatedRequest:
    """A finished frame in its buffer, until it is released as often as it was acquired."""

    def __init__(
        self,
        metadata: dict[str, Any],
        render: Callable[[], NDArray[np.uint8]],
        on_free: Callable[[], None],
    ) -> None:
        self._metadata = metadata
        self._render = render
        self._on_free = on_free
        self._n_references = 1

    def get_metadata(self) -> dict[str, Any]:
        """Give the controls as they were for this frame."""
        return dict(self._metadata)

    def make_array(self, name: str) -> NDArray[np.uint8]:
        """Copy the main stream: Y, U and V stacked, uint8 (height * 3 / 2, stride)."""
        if name != "main":
            raise RuntimeError(f"Stream {name!r} is not defined")
        if self._n_references <= 0:
            raise RuntimeError("the request has been released")
        return self._render()

    def acquire(self) -> None:
        """Keep the buffer from going back to the camera."""
        self._n_references += 1

    def release(self) -> None:
        """Give the buffer back once nobody holds it."""
        self._n_references -= 1
        if self._n_references == 0:
            self._on_free()


class SimulatedPicamera2:
    """One camera; `open` takes the place of picamera2's constructor, as often as wanted.

    With `threaded` it runs by itself once started, in real time. Otherwise whoever owns the clock
    calls `step` when `next_due_ns` has come (a `Worker`), and nothing happens in between.

    Attributes
    ----------
    frame_truth
        With `keep_truth`: (SensorTimestamp as given, true middle of the middle row's exposure) of
        every delivered frame, ns.
    n_sensor_frames, n_delivered
        Frames that the sensor made, and that reached the callback.
    simulation_thread_time_ns, callback_thread_time_ns
        Thread time of handling frames: the camera's own and that of the world it sees; and that of
        the callback, copying the buffer included, which is the collector's.
    """

    name = "simulated-camera"

    def __init__(
        self,
        world: World,
        clock: Clock,
        seed: int,
        *,
        model: str = "imx219",
        line_time_ns: int = 9_452,
        clock_error: float = 0.0,
        exposure_us: int | None = None,
        processing_ns: int = 12_000_000,
        startup_ns: int = 200_000_000,
        stamp_offset_ns: int = 0,
        faults: CameraFaults | None = None,
        keep_truth: bool = False,
        threaded: bool = False,
    ) -> None:
        """Attach the camera to a world.

        Parameters
        ----------
        line_time_ns
            Of the sensor's mode; 9452 is an IMX219's 640x480.
        clock_error
            The sensor's oscillator runs this fraction too fast.
        exposure_us
            Automatic exposure held at this value; None: it follows the world's brightness.
        processing_ns
            From the last row to the finished buffer, before a random part.
        stamp_offset_ns
            Added to the stamps, as CLOCK_BOOTTIME is ahead on a machine that has slept.
        """
        self.clock = clock
        self.threaded = threaded
        self.faults = faults or CameraFaults()
        self.frame_truth: list[tuple[int, int]] = []
        self.post_callback: Callable[[Any], None] | None = None
        self.started = False
        self.n_sensor_frames = self.n_delivered = self.n_opened = 0
        self.simulation_thread_time_ns = self.callback_thread_time_ns = 0
        self._world = world
        self._rng = np.random.default_rng(seed)
        self._model = model
        self._line_time_ns = line_time_ns
        self._clock_error = clock_error
        self._auto_exposure_us = exposure_us
        self._processing_ns = processing_ns
        self._startup_ns = startup_ns
        self._stamp_offset_ns = stamp_offset_ns
        self._keep_truth = keep_truth
        self._configuration: dict[str, Any] = {}
        self._sensor: SimulatedSensor | None = None
        self._index = 0
        self._is_stalled = self._is_gone = self._is_open = False
        self._is_loop_alive = False
        self._n_held = 0
        self._n_unreadable = self._n_refusals = 0
        self._due_ns: int | None = None
        self._halted = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> SimulatedPicamera2:
        """Open the camera anew.

        Raises
        ------
        DeviceNotFoundError
            While it is gone.
        RuntimeError
            If it is open already.
        """
        if self._is_gone:
            raise DeviceNotFoundError(
                "Simulated camera: cameras found: none, expected one. Call restore()."
            )
        if self._is_open:
            raise RuntimeError("Camera __init__ sequence did not complete.")
        self._is_open = True
        self.n_opened += 1
        self.post_callback = None
        self._configuration = {}
        return self

    # Faults on request.

    def stall(self) -> None:
        """Let the sensor fall silent until it is started again."""
        self._is_stalled = True

    def vanish(self) -> None:
        """Pull the cable."""
        self._is_gone = True

    def restore(self) -> None:
        """Put the cable back; the camera has to be opened again."""
        self._is_gone = False

    def spoil(self, n_frames: int) -> None:
        """Let the buffers of the next frames raise when they are asked for their picture."""
        self._n_unreadable += n_frames

    def refuse_starts(self, n_starts: int) -> None:
        """Let the next attempts to start raise."""
        self._n_refusals += n_starts

    # picamera2's interface.

    @property
    def camera_properties(self) -> dict[str, Any]:
        """What the camera says of itself."""
        return {"Model": self._model, "Location": 2, "Rotation": 0}

    @property
    def camera_controls(self) -> dict[str, tuple[Any, Any, Any]]:
        """Controls that can be set: (least, greatest, default)."""
        return control_limits(self._rows, self._line_time_ns)

    def create_video_configuration(
        self,
        *,
        main: Mapping[str, Any],
        raw: None = None,
        buffer_count: int = 6,
        queue: bool = True,
        display: str | None = "main",
        encode: str | None = "main",
        controls: Mapping[str, Any] | None = None,
        sensor: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Make a configuration; nothing is checked before `configure`."""
        return {
            "main": dict(main),
            "raw": raw,
            "buffer_count": buffer_count,
            "queue": queue,
            "display": display,
            "encode": encode,
            "controls": {"FrameDurationLimits": (33_333, 33_333), **(controls or {})},
            "sensor": dict(sensor or {"output_size": main["size"], "bit_depth": 10}),
        }

    def configure(self, camera_config: dict[str, Any]) -> None:
        """Take a configuration."""
        if self.started:
            raise RuntimeError("Camera must be stopped before configuring")
        main = camera_config["main"]
        width, height = main["size"]
        if main["format"] != "YUV420" or width % 2 or height % 2:
            raise RuntimeError(f"Invalid camera configuration: {main}")
        self._check_controls(camera_config["controls"])
        stride = -(-width // _STRIDE_ALIGNMENT) * _STRIDE_ALIGNMENT
        main = {**main, "stride": stride, "framesize": stride * height * 3 // 2}
        self._configuration = {**camera_config, "main": main}

    def camera_configuration(self) -> dict[str, Any]:
        """Give the configuration that holds."""
        return self._configuration

    def set_controls(self, controls: Mapping[str, Any]) -> None:
        """Change exposure or gain of the running camera, some frames from now."""
        self._check_controls(controls)
        if self._sensor is not None:
            self._sensor.set_controls(self._index, dict(controls))

    def start(self) -> None:
        """Start sensor and event loop."""
        if self._is_gone or not self._configuration:
            raise RuntimeError("Camera has not been configured")
        if self._n_refusals:
            self._n_refusals -= 1
            raise RuntimeError("Failed to start camera: Input/output error")
        self._sensor = SimulatedSensor(
            self.clock.monotonic_ns() + self._startup_ns,
            self._rows,
            self._line_time_ns,
            self._clock_error,
            self._configuration["controls"],
            self._auto_exposure_us,
        )
        self._index = 0
        self._n_held = 0
        self._is_stalled = False
        self._is_loop_alive = True
        self._due_ns = None
        self._halted.clear()
        self.started = True
        if self.threaded:
            self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Ask the event loop to stop the camera; without one this waits until `stop_`."""
        if not self.started:
            return
        if not self._is_loop_alive:
            self._halted.wait()
        self.stop_()

    def stop_(self) -> None:
        """Stop the sensor at once."""
        self.started = False
        self._sensor = None
        self._halted.set()

    def close(self) -> None:
        """End the event loop, stop the sensor, let the camera go."""
        self._is_loop_alive = False
        self.stop_()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()
        self._is_open = False
        if self._is_gone:
            raise RuntimeError("Failed to release camera: No such device")

    # Running.

    def next_due_ns(self) -> int:
        """When the next frame will be finished, or when to look again if none is coming."""
        sensor = self._sensor
        if sensor is None or not self._is_loop_alive or self._is_stalled or self._is_gone:
            return self.clock.monotonic_ns() + IDLE_NS
        if self._due_ns is None:
            processing_ns = self._processing_ns + self._rng.exponential(1_000_000.0)
            self._due_ns = round(sensor.last_row_ns(self._index) + processing_ns)
        return self._due_ns

    def step(self) -> None:
        """Let time pass until the next frame is finished, and handle it."""
        self.clock.sleep_until_ns(self.next_due_ns())
        self._handle_due()

    def _run(self) -> None:
        """Run the event loop of the threaded camera."""
        while self.started and self._is_loop_alive:
            wait_ns = self.next_due_ns() - self.clock.monotonic_ns()
            if not self._halted.wait(max(0, wait_ns) / 1e9):
                self._handle_due()

    def _handle_due(self) -> None:
        """Handle what is finished, and keep account of the thread's time."""
        began, callbacks = time.thread_time_ns(), self.callback_thread_time_ns
        try:
            self._deliver_due()
        finally:
            in_callbacks = self.callback_thread_time_ns - callbacks
            self.simulation_thread_time_ns += time.thread_time_ns() - began - in_callbacks

    def _deliver_due(self) -> None:
        """Deliver what is finished; frames beyond the free buffers were never written."""
        now_ns = self.clock.monotonic_ns()
        n_free = int(self._configuration.get("buffer_count", 0)) - self._n_held
        sensor = self._sensor
        while sensor is not None and sensor is self._sensor and self.next_due_ns() <= now_ns:
            index, self._due_ns = self._index, None
            self._index += 1
            sensor.advance(index, self._brightness)
            is_lost = self._suffer(self.n_sensor_frames)
            self.n_sensor_frames += 1
            if self._is_stalled or self._is_gone:
                return
            if not is_lost and n_free > 0:
                n_free -= 1
                self._deliver(sensor, index)

    def _suffer(self, number: int) -> bool:
        """Let the faults of this frame happen; true if it is lost on its way."""
        faults = self.faults
        self._is_stalled |= number in faults.stall_at_frames
        self._is_gone |= number == faults.vanish_at_frame
        is_unlucky = faults.drop_fraction > 0 and self._rng.random() < faults.drop_fraction
        return is_unlucky or number in faults.drop_frames

    def _deliver(self, sensor: SimulatedSensor, index: int) -> None:
        middle_ns = round(sensor.middle_ns(index))
        # The interrupt of the frame's start is served some microseconds late.
        interrupt_ns = sensor.first_row_ns(index) + self._rng.exponential(15_000.0)
        stamp_ns = round(interrupt_ns) + self._stamp_offset_ns
        if self._keep_truth:
            self.frame_truth.append((stamp_ns, middle_ns))
        missing = self.faults.missing_metadata
        metadata = {k: v for k, v in sensor.metadata(stamp_ns).items() if k not in missing}
        request = SimulatedRequest(metadata, self._picture_of(middle_ns), self._free)
        self._n_held += 1
        self.n_delivered += 1
        callback = self.post_callback
        began = time.thread_time_ns()
        try:
            if callback is not None:
                callback(request)
        except Exception:
            log.exception("Exception during process_requests()")
            self._is_loop_alive = False
            return
        finally:
            self.callback_thread_time_ns += time.thread_time_ns() - began
        request.release()

    def _free(self) -> None:
        self._n_held -= 1

    def _picture_of(self, time_ns: int) -> Callable[[], NDArray[np.uint8]]:
        """Give what a request makes its picture with."""
        if not self._n_unreadable:
            return lambda: self._render(time_ns)
        self._n_unreadable -= 1
        return _unreadable

    def _render(self, time_ns: int) -> NDArray[np.uint8]:
        main = self._configuration["main"]
        width, height = main["size"]
        began = time.thread_time_ns()
        picture = self._world.infrared(time_ns, height, width)
        self.callback_thread_time_ns -= time.thread_time_ns() - began
        buffer = np.full((height * 3 // 2, main["stride"]), 128, dtype=np.uint8)
        buffer[:height, :width] = picture
        return buffer

    def _brightness(self, time_ns: int) -> float:
        return float(self._world.infrared(time_ns, 24, 32).mean())

    @property
    def _rows(self) -> int:
        size = self._configuration.get("sensor", {}).get("output_size", (640, 480))
        return int(size[1])

    def _check_controls(self, controls: Mapping[str, Any]) -> None:
        for control in controls:
            if control not in self.camera_controls:
                raise RuntimeError(f"Control {control} is not advertised by libcamera")


def _unreadable() -> NDArray[np.uint8]:
    raise RuntimeError("Cannot map the buffer: Input/output error")
