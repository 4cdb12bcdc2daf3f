"""The camera software: what the driver uses of picamera2, and how it is opened and closed."""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wban_collect.errors import (
    CameraStackError,
    ConfigError,
    DeviceError,
    DeviceNotFoundError,
)

log = logging.getLogger(__name__)

STACK_ERRORS = (RuntimeError, OSError, LookupError, ValueError, TypeError, AttributeError)
"""What picamera2 and libcamera's bindings raise: they have no exceptions of their own."""

CLOSE_TIMEOUT_S = 3.0


class CameraRequest(Protocol):
    """The part of `picamera2.request.CompletedRequest` that the driver uses."""

    def get_metadata(self) -> Mapping[str, Any]:
        """Give the controls as they were for this frame, by name."""
        ...

    def make_array(self, name: str) -> NDArray[np.uint8]:
        """Copy a stream's buffer; for YUV420 (height * 3 / 2, stride), Y first."""
        ...


class Camera(Protocol):
    """The part of `picamera2.Picamera2` that the driver uses."""

    post_callback: Callable[[Any], None] | None

    @property
    def camera_properties(self) -> Mapping[str, Any]:
        """What the camera says of itself, ``Model`` among it."""
        ...

    @property
    def camera_controls(self) -> Mapping[str, Any]:
        """Controls that can be set: name -> (least, greatest, default)."""
        ...

    def create_video_configuration(self, **options: Any) -> dict[str, Any]:
        """Make a configuration with a main stream and the controls to start with."""
        ...

    def configure(self, camera_config: dict[str, Any]) -> None:
        """Apply a configuration; the camera may adjust it."""
        ...

    def camera_configuration(self) -> Mapping[str, Any]:
        """Give the configuration as it was adjusted."""
        ...

    def start(self) -> None:
        """Start the camera and the thread that calls `post_callback`."""
        ...

    def close(self) -> None:
        """Stop everything and let the camera go."""
        ...


def open_picamera2(camera_index: int, tuning_file: str | None) -> Camera:
    """Open a camera with picamera2.

    Raises
    ------
    CameraStackError
        If picamera2 or libcamera is missing or does not fit this Python.
    DeviceNotFoundError
        If there is no camera of this number.
    ConfigError
        If the tuning file does not exist.
    DeviceError
        If the camera cannot be opened, e.g. because another program uses it.
    """
    stack = _load_picamera2()
    attached = stack.global_camera_info()
    if camera_index >= len(attached):
        found = ", ".join(str(info.get("Model", "?")) for info in attached) or "none"
        raise DeviceNotFoundError(
            f"Camera {camera_index}: cameras found: {found}, expected at least {camera_index + 1}. "
            "Check the ribbon cable and camera_auto_detect or dtoverlay in config.txt, "
            "then run 'rpicam-hello --list-cameras'."
        )
    tuning = _load_tuning(stack, tuning_file)
    try:
        return stack(camera_index, tuning=tuning)
    except STACK_ERRORS as error:
        raise DeviceError(
            f"Camera {camera_index} could not be opened: {error}. "
            "It is attached, so another program may hold it; stop that and start again."
        ) from error


def _load_picamera2() -> Any:
    """Import picamera2's main class, which pulls in libcamera."""
    try:
        return importlib.import_module("picamera2").Picamera2
    except (ImportError, *STACK_ERRORS) as error:
        # A numpy that is newer than the one the distribution's modules were built with: ValueError.
        raise CameraStackError(
            f"The camera software is missing or unusable: importing picamera2 gave '{error}', "
            "expected picamera2 with libcamera. Run 'sudo apt install python3-picamera2' and make "
            "the virtual environment with 'python3 -m venv --system-site-packages'."
        ) from error


def _load_tuning(stack: Any, tuning_file: str | None) -> Any:
    if not tuning_file:
        return None
    try:
        return stack.load_tuning_file(tuning_file)
    except STACK_ERRORS as error:
        raise ConfigError(
            f"Camera tuning file {tuning_file!r} could not be read ({error}); expected one of the "
            "files in libcamera's ipa/rpi folder, such as 'imx219_noir.json'."
        ) from error


def close_camera(camera: Camera, timeout_s: float = CLOSE_TIMEOUT_S) -> bool:
    """Close a camera whatever its state; False if it hangs, when it is left behind.

    `close` and not `stop`: stop asks picamera2's event loop to stop the camera and waits for it
    without limit, while close ends the loop first and then stops the camera itself.
    """
    camera.post_callback = None
    try:
        is_closed = run_bounded(camera.close, timeout_s, "camera-close")
    except STACK_ERRORS as error:
        log.warning("closing the camera failed: %s", error)
        return True
    if not is_closed:
        log.error("the camera did not close within %.1f s and is left behind", timeout_s)
    return is_closed


def run_bounded(task: Callable[[], None], timeout_s: float, name: str) -> bool:
    """Run a task that may hang in the kernel or a library; False if it is still running.

    What the task raises in time is raised here. A task that is still running goes on in its thread.
    """
    failure: list[BaseException] = []

    def run() -> None:
        try:
            task()
        except BaseException as error:  # noqa: BLE001 - handed on to the caller below
            failure.append(error)

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    thread.join(timeout_s)
    if thread.is_alive():
        return False
    if failure:
        raise failure[0]
    return True
