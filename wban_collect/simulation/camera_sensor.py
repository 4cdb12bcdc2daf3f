"""A simulated image sensor: rolling shutter, a clock of its own, controls that act late."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

CONTROL_DELAY_FRAMES = 3
"""raspberrypi/picamera2 issue 1333: exposure and gain act about three frames late."""

BLANKING_LINES = 32
"""Shortest vertical blanking of an IMX219 (imx219.c, IMX219_VBLANK_MIN)."""

EXPOSURE_MARGIN_LINES = 4
"""An exposure is at least this many lines, and this much shorter than the frame (imx219.c)."""

LONGEST_FRAME_LINES = 65_535
LARGEST_GAIN = 10.66  # imx219.c: 256 / (256 - 232)

_AUTO_EXPOSURE_FRAMES = 15
_LONGEST_AUTO_EXPOSURE_US = 33_000.0
_BRIGHTNESS_TIMES_EXPOSURE = 1_000_000.0


def control_limits(rows: int, line_time_ns: int) -> dict[str, tuple[Any, Any, Any]]:
    """Give the controls of a mode: name -> (least, greatest, default), durations in us."""
    shortest_us = (rows + BLANKING_LINES) * line_time_ns // 1000
    longest_us = LONGEST_FRAME_LINES * line_time_ns // 1000
    return {
        "AnalogueGain": (1.0, LARGEST_GAIN, 1.0),
        "ExposureTime": (EXPOSURE_MARGIN_LINES * line_time_ns // 1000, longest_us, 20_000),
        "FrameDurationLimits": (shortest_us, longest_us, 33_333),
    }


class SimulatedSensor:
    """One run of the sensor, from its start to its stop.

    Row r of frame k is read at ``start_ns + k * frame + r * line`` and was exposed until then. All
    these durations are the nominal ones divided by ``1 + clock_error``; what the sensor reports is
    nominal.
    """

    def __init__(
        self,
        start_ns: int,
        rows: int,
        line_time_ns: int,
        clock_error: float,
        controls: Mapping[str, Any],
        auto_exposure_us: int | None,
    ) -> None:
        """Start with controls, which act at once then.

        `auto_exposure_us` holds the automatic exposure at a value; None: it follows the brightness.
        """
        self._start_ns = float(start_ns)
        self._rows = rows
        self._nominal_line_ns = line_time_ns
        self._error = clock_error
        self._line_ns = line_time_ns / (1.0 + clock_error)
        asked_lines = round(controls["FrameDurationLimits"][0] * 1000 / line_time_ns)
        self._frame_lines = min(max(asked_lines, rows + BLANKING_LINES), LONGEST_FRAME_LINES)
        self._exposure_lines = 0
        self._gain = 1.0
        self._pending: list[tuple[int, Mapping[str, Any]]] = []
        self._is_automatic = "ExposureTime" not in controls and auto_exposure_us is None
        self._apply({"ExposureTime": auto_exposure_us or 10_000, **controls})

    def first_row_ns(self, index: int) -> float:
        """When frame `index` begins to be read."""
        return self._start_ns + index * self._frame_lines * self._line_ns

    def last_row_ns(self, index: int) -> float:
        """When frame `index` has been read."""
        return self.first_row_ns(index) + self._rows * self._line_ns

    def middle_ns(self, index: int) -> float:
        """When the middle row of frame `index`, the newest, is half exposed."""
        to_middle_lines = self._rows / 2 - self._exposure_lines / 2
        return self.first_row_ns(index) + to_middle_lines * self._line_ns

    def set_controls(self, index: int, controls: Mapping[str, Any]) -> None:
        """Ask at frame `index` for another exposure or gain."""
        self._pending.append((index + CONTROL_DELAY_FRAMES, controls))

    def advance(self, index: int, brightness: Callable[[int], float]) -> None:
        """Come to frame `index`: what was asked long enough ago takes effect.

        `brightness` gives the mean grey level of what is seen at an instant.
        """
        while self._pending and self._pending[0][0] <= index:
            self._apply(self._pending.pop(0)[1])
        if self._is_automatic and index % _AUTO_EXPOSURE_FRAMES == 0:
            level = brightness(round(self.middle_ns(index)))
            total_us = _BRIGHTNESS_TIMES_EXPOSURE / (level + 1.0)
            exposure_us = min(total_us, _LONGEST_AUTO_EXPOSURE_US)
            gain = min(total_us / exposure_us, LARGEST_GAIN)
            self.set_controls(index, {"ExposureTime": exposure_us, "AnalogueGain": gain})

    def metadata(self, stamp_ns: int) -> dict[str, Any]:
        """Tell what the sensor believes of its newest frame, in its own microseconds."""
        return {
            "SensorTimestamp": stamp_ns,
            "ExposureTime": self._exposure_lines * self._nominal_line_ns // 1000,
            "FrameDuration": self._frame_lines * self._nominal_line_ns // 1000,
            "AnalogueGain": self._gain,
            "DigitalGain": 1.0,
        }

    def _apply(self, controls: Mapping[str, Any]) -> None:
        self._gain = float(controls.get("AnalogueGain", self._gain))
        exposure_us = controls.get("ExposureTime")
        if exposure_us is not None:
            longest = self._frame_lines - EXPOSURE_MARGIN_LINES
            n_lines = round(exposure_us * 1000 / self._nominal_line_ns)
            self._exposure_lines = min(max(n_lines, EXPOSURE_MARGIN_LINES), longest)
