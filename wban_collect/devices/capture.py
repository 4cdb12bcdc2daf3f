"""What is asked of a camera, and the mode that it runs in then."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from wban_collect.devices.frame_timing import Shutter
from wban_collect.devices.line_times import IMX219_LINE_TIME_NS, line_time_ns
from wban_collect.devices.picamera_stack import Camera
from wban_collect.errors import DeviceError

log = logging.getLogger(__name__)

BUFFER_COUNT = 6
"""Frames in flight: at 15/s the callback's thread may be held up for 0.4 s before one is lost."""


@dataclass(frozen=True, slots=True)
class CaptureMode:
    """How the camera runs: its model, (height, width) of its pictures, and its shutter."""

    model: str
    shape: tuple[int, int]
    shutter: Shutter


@dataclass(frozen=True, slots=True)
class Capture:
    """Pictures as they are asked of a camera.

    Attributes
    ----------
    camera_name
        For messages.
    size
        (width, height) of the main stream.
    sensor_size
        (width, height) of the sensor's mode; None: libcamera chooses.
    frame_duration_us
        Fixed, so that no exposure lengthens it.
    exposure_us, gain
        Fixed, or None for automatic.
    assumed_sensor
        The chip whose line time is taken where the camera's own is not known.
    line_time_ns, sensor_rows
        Given by the user, or None to be worked out.
    """

    camera_name: str
    size: tuple[int, int]
    frame_duration_us: int
    sensor_size: tuple[int, int] | None = None
    exposure_us: int | None = None
    gain: float | None = None
    assumed_sensor: str = "imx219"
    line_time_ns: int | None = None
    sensor_rows: int | None = None

    def configure(self, camera: Camera) -> CaptureMode:
        """Configure an opened camera: brightness alone is used, of one YUV420 stream.

        Raises
        ------
        DeviceError
            If the camera cannot make pictures at this rate. The camera's own exceptions pass.
        """
        options: dict[str, Any] = {}
        if self.sensor_size is not None:
            options["sensor"] = {"output_size": self.sensor_size, "bit_depth": 10}
        configuration = camera.create_video_configuration(
            main={"size": self.size, "format": "YUV420"},
            raw=None,
            buffer_count=BUFFER_COUNT,
            queue=False,  # keeps no finished frame back for a reader who never comes
            display=None,
            encode=None,
            controls=self._controls(camera.camera_controls),
            **options,
        )
        camera.configure(configuration)
        actual = camera.camera_configuration()
        width, height = cast("tuple[int, int]", actual["main"]["size"])
        if (width, height) != self.size:
            log.warning("%s: captures %dx%d, not %s", self.camera_name, width, height, self.size)
        # The limits are those of the mode only now that it is configured.
        self._check_rate(camera.camera_controls)
        model = str(camera.camera_properties.get("Model", "")) or self.assumed_sensor
        mode = cast("Mapping[str, Any]", actual.get("sensor") or {})
        rows = self.sensor_rows or int(mode.get("output_size", (width, height))[1])
        return CaptureMode(model, (height, width), self._shutter(camera, model, rows))

    def _controls(self, offered: Mapping[str, Any]) -> dict[str, Any]:
        """Choose the controls to start with: only those that the camera offers, others raise."""
        wanted: dict[str, Any] = {
            "FrameDurationLimits": (self.frame_duration_us, self.frame_duration_us)
        }
        if self.exposure_us is not None:
            wanted["ExposureTime"] = self.exposure_us
        if self.gain is not None:
            wanted["AnalogueGain"] = self.gain
        for control in wanted.keys() - offered.keys():
            log.warning("%s: the camera offers no control %s", self.camera_name, control)
        return {control: value for control, value in wanted.items() if control in offered}

    def _check_rate(self, offered: Mapping[str, Any]) -> None:
        shortest_us, longest_us = _frame_limits_us(offered)
        if shortest_us and longest_us and not shortest_us <= self.frame_duration_us <= longest_us:
            raise DeviceError(
                f"Camera {self.camera_name}: {1e6 / self.frame_duration_us:.4g} frames/s were "
                f"asked for, expected {1e6 / longest_us:.3g} to {1e6 / shortest_us:.4g} in this "
                "mode. Change frame_rate_hz."
            )

    def _shutter(self, camera: Camera, model: str, rows: int) -> Shutter:
        shortest_us, _ = _frame_limits_us(camera.camera_controls)
        known = self.line_time_ns or line_time_ns(model, rows, shortest_us)
        if known is not None:
            return Shutter(rows, known)
        assumed = line_time_ns(self.assumed_sensor, rows, None) or IMX219_LINE_TIME_NS
        log.info("%s: %s has no known line time, %d ns assumed", self.camera_name, model, assumed)
        # Line times of these sensors lie between half and twice one another's.
        return Shutter(rows, assumed, unc_ns=rows * assumed // 4)


def _frame_limits_us(offered: Mapping[str, Any]) -> tuple[float | None, float | None]:
    limits = offered.get("FrameDurationLimits", (None, None))
    return limits[0], limits[1]
