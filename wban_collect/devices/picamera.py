"""A Raspberry Pi camera through picamera2: small grey pictures, stamped at mid exposure."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from wban_collect.clock import Clock
from wban_collect.device import DeviceOutput
from wban_collect.devices.capture import Capture, CaptureMode
from wban_collect.devices.frame_rules import parse_rule
from wban_collect.devices.frame_stream import FrameStream
from wban_collect.devices.frame_timing import (
    FrameTimer,
    SensorClock,
    machine_boottime_offset_ns,
)
from wban_collect.devices.frames import Resizer
from wban_collect.devices.line_times import sensor_family
from wban_collect.devices.picamera_stack import (
    STACK_ERRORS,
    Camera,
    CameraRequest,
    close_camera,
    open_picamera2,
    run_bounded,
)
from wban_collect.errors import DeviceError, DeviceNotFoundError, WbanError
from wban_dataset.recording.streams import StreamSpec

log = logging.getLogger(__name__)

OPEN_TIMEOUT_S = 15.0
RESTART_TIMEOUT_S = 5.0
"""Housekeeping waits no longer; the attempt goes on by itself."""

STARTUP_NS = 3_000_000_000
"""A Pi's first frame comes 0.5 to 1 s after start; until here its absence is no stall."""

SHORTEST_STALL_NS = 1_000_000_000
STALL_FRAMES = 5
FIRST_BACKOFF_NS = 1_000_000_000
LONGEST_BACKOFF_NS = 30_000_000_000
LOGGED_FAILURES = 10


class PicameraDevice:
    """One camera and its infrared stream; picamera2's thread does the work.

    Frames are stamped and missing ones counted by the sensor's own time (``SensorTimestamp``),
    never by the time of delivery. `check`, called now and then, restarts a camera that has fallen
    silent.

    Attributes
    ----------
    n_frames, n_dropped
        Frames that came, and frames that the camera's stamps show to be missing, kept or not.
    n_failed
        Frames whose processing raised.
    n_restarts
        Attempts to restart a silent camera.
    """

    def __init__(
        self,
        name: str,
        clock: Clock,
        *,
        stream: str = "infrared",
        camera_index: int = 0,
        capture_size: tuple[int, int] = (640, 480),
        size: tuple[int, int] = (160, 120),
        sensor_size: tuple[int, int] | None = None,
        frame_rate_hz: float = 5.0,
        rule: str = "every frame",
        change_threshold: float = 4.0,
        illuminated_level: float = 16.0,
        tuning_file: str | None = None,
        exposure_us: int | None = None,
        gain: float | None = None,
        sensor: str = "imx219",
        line_time_ns: int | None = None,
        sensor_rows: int | None = None,
        placement: str = "",
        mounting: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
        calibration: Mapping[str, NDArray[Any]] | None = None,
        open_camera: Callable[[], Any] | None = None,
        boottime_offset_ns: Callable[[], int] = machine_boottime_offset_ns,
    ) -> None:
        """Prepare; nothing is opened before `start`.

        Parameters
        ----------
        capture_size, size
            (width, height) that the camera delivers and that is stored; the latter is made from the
            former by area averaging.
        sensor_size
            (width, height) of the sensor mode to use, e.g. (1640, 1232) for an IMX219's whole field
            of view. None: libcamera chooses by the captured size, which may mean a cropped mode.
        rule
            ``every frame``, ``every N s`` or ``on change``.
        change_threshold
            For ``on change``: grey levels by which a square of 8x8 stored pixels must differ.
        illuminated_level
            Mean grey level from which a picture counts as illuminated.
        tuning_file
            Of libcamera; an IMX219 without infrared filter needs ``imx219_noir.json``, as it does
            not say what it is.
        exposure_us, gain
            Fixed values; None leaves them to the automatic exposure, which stays within the frame
            duration and so never slows the camera down.
        sensor, line_time_ns, sensor_rows
            Needed only where the camera does not tell: the chip whose line time is assumed, or the
            line time and the rows of the mode themselves.
        calibration
            Arrays that go into the stream's description as they are.
        open_camera
            Returns an opened object with picamera2's interface; None opens the real one.
        boottime_offset_ns
            Tells CLOCK_BOOTTIME minus CLOCK_MONOTONIC, 0 where they agree.

        Raises
        ------
        ValueError
            If a size, rate or rule cannot be.
        """
        if not 0 < frame_rate_hz <= 1000:
            raise ValueError(f"a frame rate of {frame_rate_hz} Hz is impossible: use 0.1 to 120")
        Resizer((capture_size[1], capture_size[0]), (size[1], size[0]))  # refuses a larger size
        frame_rule = parse_rule(rule, change_threshold)
        self._name = name
        self._clock = clock
        self._capture = Capture(
            name,
            capture_size,
            round(1e6 / frame_rate_hz),
            sensor_size=sensor_size,
            exposure_us=exposure_us,
            gain=gain,
            assumed_sensor=sensor,
            line_time_ns=line_time_ns,
            sensor_rows=sensor_rows,
        )
        self._open_camera = open_camera or (lambda: open_picamera2(camera_index, tuning_file))
        self._sensor_clock = SensorClock(boottime_offset_ns())
        self._spec = StreamSpec(
            name=stream,
            kind="infrared",
            device=sensor,
            dtype="|u1",
            sample_shape=(size[1], size[0]),
            units="1",
            sampling_rate_hz=frame_rule.kept_rate_hz(frame_rate_hz),
            evidence="sensor",
            placement=placement,
            mounting=mounting,
            attributes={
                "rule": rule,
                "change_threshold": change_threshold,
                "illuminated_level": illuminated_level,
            },
            calibration=dict(calibration or {}),
        )
        # The lock guards what follows: the camera's thread delivers while another checks or stops.
        # It is never held while the camera is asked for anything, since that may hang.
        self._lock = threading.Lock()
        self._frames = FrameStream(stream, frame_rule, illuminated_level)
        self._deliver: Callable[[DeviceOutput], None] | None = None
        self._camera: Camera | None = None
        self._generation = 0  # callbacks of an earlier one come from a camera that was given up
        self._timer: FrameTimer | None = None
        self._resize: Resizer | None = None
        self._silent_since_ns = 0
        self._check_at_ns = 0
        self._backoff_ns = FIRST_BACKOFF_NS
        self._restarted = threading.Event()
        self._restarted.set()
        self.n_frames = 0
        self.n_dropped = 0
        self.n_failed = 0
        self.n_restarts = 0

    @property
    def name(self) -> str:
        """Name in the configuration."""
        return self._name

    @property
    def streams(self) -> tuple[StreamSpec, ...]:
        """The infrared stream."""
        return (self._spec,)

    @property
    def stall_after_ns(self) -> int:
        """Silence from which the camera counts as stalled."""
        return max(SHORTEST_STALL_NS, STALL_FRAMES * self._frame_duration_ns)

    def start(self, deliver: Callable[[DeviceOutput], None]) -> None:
        """Open and start the camera; frames go to `deliver` from the camera's own thread.

        Raises
        ------
        CameraStackError, DeviceNotFoundError, ConfigError, DeviceError
            If the software, the camera or its tuning file is missing, or the camera cannot do what
            was asked.
        """
        with self._lock:
            self._deliver = deliver
            self._generation += 1
            generation = self._generation
            self._silent_since_ns = self._frames.begin_ns = self._clock.monotonic_ns()
        is_open = False
        try:
            is_open = run_bounded(lambda: self._open(generation), OPEN_TIMEOUT_S, "camera-open")
        finally:
            if not is_open:
                self._retire_camera()
        if not is_open:
            raise DeviceError(
                f"Camera {self._name}: it did not start within {OPEN_TIMEOUT_S:.0f} s. "
                "Check the ribbon cable, then restart the Pi."
            )

    def next_due_ns(self) -> int:
        """When silence becomes a stall, or the next attempt to restart is due."""
        with self._lock:
            if self._deliver is None:
                return self._clock.monotonic_ns() + SHORTEST_STALL_NS
            return self._check_at_ns

    def check(self) -> None:
        """Restart the camera if no frame has come for too long; returns within some seconds."""
        now_ns = self._clock.monotonic_ns()
        with self._lock:
            if self._deliver is None or now_ns < self._check_at_ns:
                return
            if not self._restarted.is_set():  # the last attempt still hangs
                self._check_at_ns = now_ns + self._backoff_ns
                return
            self._frames.interruption = self._frames.interruption or "stalled"
            silence_s = (now_ns - self._silent_since_ns) / 1e9
        log.warning("%s: no frame for %.1f s, restarting the camera", self._name, silence_s)
        self._restart()

    def stop(self) -> None:
        """Stop the camera; returns also when it is stuck."""
        camera, deliver = self._retire_camera()
        if camera is not None:
            close_camera(camera)
        with self._lock:
            now_ns = self._clock.monotonic_ns()
            gap = self._frames.closing_gap(now_ns, self._frame_duration_ns)
            if deliver is not None and gap is not None:
                deliver(gap)

    @property
    def _frame_duration_ns(self) -> int:
        return self._capture.frame_duration_us * 1000

    def _restart(self) -> None:
        """Close and open the camera anew, in a thread of its own because either may hang."""
        with self._lock:
            camera, self._camera = self._camera, None
            self._generation += 1
            generation = self._generation
            self._restarted.clear()
        self.n_restarts += 1

        def attempt() -> None:
            try:
                if camera is not None:
                    close_camera(camera)
                self._open(generation)
            finally:
                self._restarted.set()

        try:
            run_bounded(attempt, RESTART_TIMEOUT_S, "camera-restart")
        except (WbanError, *STACK_ERRORS) as error:
            log.warning("%s: restarting the camera failed: %s", self._name, error)
            if isinstance(error, DeviceNotFoundError):
                self._frames.interruption = "device missing"
        with self._lock:
            # A frame resets this; until one comes the attempts grow rarer.
            startup_ns = 0 if self._camera is None else STARTUP_NS
            self._check_at_ns = self._clock.monotonic_ns() + startup_ns + self._backoff_ns
            self._backoff_ns = min(2 * self._backoff_ns, LONGEST_BACKOFF_NS)

    def _retire_camera(self) -> tuple[Camera | None, Callable[[DeviceOutput], None] | None]:
        """Make void whatever still comes from the camera's thread, and take the camera out."""
        with self._lock:
            self._generation += 1
            camera, self._camera = self._camera, None
            deliver, self._deliver = self._deliver, None
        return camera, deliver

    def _open(self, generation: int) -> None:
        """Open, configure and start the camera; if it has been retired meanwhile, close it."""
        camera: Camera = self._open_camera()
        try:
            self._describe(self._capture.configure(camera))
            camera.post_callback = lambda request: self._on_request(generation, request)
            with self._lock:
                is_wanted = generation == self._generation
                if is_wanted:
                    self._camera = camera
                    self._check_at_ns = self._clock.monotonic_ns() + STARTUP_NS
            if is_wanted:
                camera.start()
            else:
                close_camera(camera)
        except STACK_ERRORS as error:
            self._abandon(camera)
            raise DeviceError(
                f"Camera {self._name} ({self._spec.device}) could not be started: {error}. "
                "Check that no other program uses it and that it offers the sizes configured."
            ) from error
        except WbanError:
            self._abandon(camera)
            raise

    def _abandon(self, camera: Camera) -> None:
        with self._lock:
            self._camera = None
        close_camera(camera)

    def _describe(self, mode: CaptureMode) -> None:
        """Set up for the mode that the camera runs in, and put it into the stream's description."""
        capture = self._capture
        self._resize = Resizer(mode.shape, (self._spec.sample_shape[0], self._spec.sample_shape[1]))
        self._timer = FrameTimer(
            self._sensor_clock,
            mode.shutter,
            self._frame_duration_ns,
            exposure_ns=None if capture.exposure_us is None else capture.exposure_us * 1000,
            gain=capture.gain,
        )
        attributes = {
            **self._spec.attributes,
            "sensor": sensor_family(mode.model),
            "line_time_ns": mode.shutter.line_time_ns,
            "sensor_rows": mode.shutter.rows,
            "frame_duration_ns": self._frame_duration_ns,
            "boottime_offset_ns": self._sensor_clock.boottime_offset_ns,
            "capture_width": mode.shape[1],
            "capture_height": mode.shape[0],
        }
        self._spec = replace(self._spec, device=mode.model, attributes=attributes)

    def _on_request(self, generation: int, request: CameraRequest) -> None:
        """Take one frame; picamera2's thread calls this for each."""
        # Whatever is raised here would end picamera2's event loop for good: no further frame, and a
        # stop() that never returns. So nothing is; the frame is counted and shows as missed.
        try:
            self._take(generation, request, self._clock.monotonic_ns())
        except Exception:
            self.n_failed += 1
            self._frames.n_unprocessed += 1
            if self.n_failed <= LOGGED_FAILURES:
                log.exception("%s: a frame could not be processed", self._name)

    def _take(self, generation: int, request: CameraRequest, start_ns: int) -> None:
        timer, resize = self._timer, self._resize
        with self._lock:
            if generation != self._generation or timer is None or resize is None:
                return
            self._silent_since_ns = start_ns
            self._check_at_ns = start_ns + self.stall_after_ns
            self._backoff_ns = FIRST_BACKOFF_NS
        timing = timer.timing(request.get_metadata(), start_ns)
        frame = self._frames.examine(request, timing, resize)
        with self._lock:
            if generation != self._generation or self._deliver is None:
                return
            self.n_frames += 1
            self.n_dropped += frame.n_dropped
            delivery_ns = (start_ns, self._clock.monotonic_ns())
            for output in self._frames.outputs(frame, timer, delivery_ns):
                self._deliver(output)
