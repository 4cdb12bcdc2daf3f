"""What a frame's metadata say of its time, and how far they can be trusted.

``SensorTimestamp`` is taken at the interrupt of the frame's first row, that is at the end of that
row's exposure (raspberrypi/picamera2 issue 821). The middle of the middle row's exposure is half an
exposure before and half a frame of rows after it.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

log = logging.getLogger(__name__)

CLOCKS_AGREE_NS = 1_000_000
"""Below this BOOTTIME and MONOTONIC are taken for one: the machine never slept."""

INTERRUPT_UNC_NS = 30_000
"""Frame-start interrupt on a busy Pi: tens of microseconds late, 1 sigma."""

UNREPORTED_UNC_NS = 100_000
"""Added where a value was asked of the camera but its metadata do not confirm it."""

DELIVERY_LATENCY_NS = 20_000_000
"""From the last row to the callback: 17 to 21 ms on a Pi 4 (raspberrypi/picamera2 issue 787)."""

DELIVERY_UNC_NS = 20_000_000
"""A frame without any stamp: what the way through the ISP and the threads may add."""

_LONGEST_UNC_NS = 2**31 - 1
_LARGEST_CLOCK_ERROR = 0.05
_RATE_SMOOTHING = 0.125


@dataclass(frozen=True, slots=True)
class Shutter:
    """The geometry of a rolling shutter.

    Attributes
    ----------
    rows
        Rows that the sensor's mode reads out.
    line_time_ns
        From one row to the next.
    unc_ns
        1-sigma uncertainty of the middle row's delay; 0 where the line time is known.
    """

    rows: int
    line_time_ns: int
    unc_ns: int = 0

    @property
    def middle_ns(self) -> int:
        """From the first row to the middle of the picture."""
        return self.rows * self.line_time_ns // 2


@dataclass(frozen=True, slots=True)
class FrameTiming:
    """One frame's times (CLOCK_MONOTONIC, ns; durations too, whatever the sensor's clock does).

    `is_stamped` tells the camera's own stamp from one that was worked out from the delivery.
    """

    sensor_ns: int
    exposure_ns: int
    frame_duration_ns: int
    gain: float
    unc_ns: int
    is_stamped: bool


class SensorClock:
    """Brings the camera's stamps to CLOCK_MONOTONIC.

    libcamera documents CLOCK_BOOTTIME, Video4Linux gives CLOCK_MONOTONIC; they differ once a
    machine has slept. The first frame decides: a stamp must lie shortly before its delivery.
    """

    LONGEST_AGE_NS = 10_000_000_000

    def __init__(self, boottime_offset_ns: int) -> None:
        """Take BOOTTIME minus MONOTONIC as it is now."""
        self.boottime_offset_ns = boottime_offset_ns
        self.base: Literal["unknown", "monotonic", "boottime"] = (
            "monotonic" if boottime_offset_ns == 0 else "unknown"
        )

    def to_monotonic_ns(self, stamp_ns: int, delivered_ns: int) -> int | None:
        """Convert a stamp; None if it cannot be this frame's because it lies in the future."""
        if self.base == "unknown":
            self._decide(delivered_ns - stamp_ns)
        sensor_ns = stamp_ns - (self.boottime_offset_ns if self.base == "boottime" else 0)
        return sensor_ns if sensor_ns <= delivered_ns else None

    def _decide(self, age_ns: int) -> None:
        """Choose between the ages that the frame would have by either clock."""
        if 0 <= age_ns <= self.LONGEST_AGE_NS:
            self.base = "monotonic"
        elif 0 <= age_ns + self.boottime_offset_ns <= self.LONGEST_AGE_NS:
            self.base = "boottime"
            log.warning(
                "the camera stamps by CLOCK_BOOTTIME; %d ns are taken off", self.boottime_offset_ns
            )


class FrameTimer:
    """Reads the times of frames from their metadata; what they lack comes from what was asked."""

    def __init__(
        self,
        clock: SensorClock,
        shutter: Shutter,
        frame_duration_ns: int,
        *,
        exposure_ns: int | None = None,
        gain: float | None = None,
    ) -> None:
        """Take what the camera was told; None where it chooses by itself."""
        self._clock = clock
        self._shutter = shutter
        self._frame_duration_ns = frame_duration_ns
        self._exposure_ns = exposure_ns
        self._gain = gain
        self._rate = 1.0
        self._newest_stamp_ns = 0

    def timing(self, metadata: Mapping[str, Any], delivered_ns: int) -> FrameTiming:
        """Work out a frame's times; `delivered_ns` is when its callback began.

        Call it once for each frame, in their order: the sensor's own clock is followed on the way.
        """
        unc_ns = [INTERRUPT_UNC_NS, self._shutter.unc_ns]
        duration_ns = _from_us(metadata.get("FrameDuration"))
        if duration_ns is None:
            duration_ns = self._frame_duration_ns
            unc_ns.append(UNREPORTED_UNC_NS)
        exposure_ns = _from_us(metadata.get("ExposureTime"))
        if exposure_ns is None:
            exposure_ns, exposure_unc_ns = self._unreported_exposure(duration_ns)
            unc_ns.append(exposure_unc_ns)
        sensor_ns = self._stamp(metadata, delivered_ns)
        is_stamped = sensor_ns is not None
        if sensor_ns is not None:
            self._follow_sensor(sensor_ns, duration_ns)
        else:
            readout_ns = self._shutter.rows * self._shutter.line_time_ns
            sensor_ns = delivered_ns - readout_ns - DELIVERY_LATENCY_NS
            unc_ns.append(DELIVERY_UNC_NS)
        total_unc_ns = min(round(math.hypot(*unc_ns)), _LONGEST_UNC_NS)
        return FrameTiming(
            sensor_ns,
            round(exposure_ns * self._rate),
            round(duration_ns * self._rate),
            self._reported_gain(metadata),
            total_unc_ns,
            is_stamped,
        )

    def midpoint_ns(self, timing: FrameTiming) -> int:
        """Middle row, middle of exposure."""
        return timing.sensor_ns - timing.exposure_ns // 2 + self._shutter.middle_ns

    def _stamp(self, metadata: Mapping[str, Any], delivered_ns: int) -> int | None:
        stamp = metadata.get("SensorTimestamp")
        if not isinstance(stamp, int) or stamp <= 0:
            return None
        return self._clock.to_monotonic_ns(stamp, delivered_ns)

    def _follow_sensor(self, sensor_ns: int, duration_ns: int) -> None:
        """Compare the sensor's microseconds, in which its metadata are, with ours."""
        rate = (sensor_ns - self._newest_stamp_ns) / duration_ns
        self._newest_stamp_ns = sensor_ns
        # Further away it is no oscillator, but a frame missing or a duration just changed.
        if abs(rate - 1.0) <= _LARGEST_CLOCK_ERROR:
            self._rate += _RATE_SMOOTHING * (rate - self._rate)

    def _unreported_exposure(self, duration_ns: int) -> tuple[int, int]:
        """Take what was asked, else the middle of what is possible, a whole frame at most.

        Gives the exposure and the 1-sigma uncertainty of its middle.
        """
        if self._exposure_ns is not None:
            return self._exposure_ns, UNREPORTED_UNC_NS
        return duration_ns // 2, round(duration_ns / 2 / math.sqrt(12))

    def _reported_gain(self, metadata: Mapping[str, Any]) -> float:
        analogue = metadata.get("AnalogueGain")
        if not isinstance(analogue, (int, float)):
            return math.nan if self._gain is None else self._gain
        digital = metadata.get("DigitalGain")
        return float(analogue) * (float(digital) if isinstance(digital, (int, float)) else 1.0)


def machine_boottime_offset_ns() -> int:
    """CLOCK_BOOTTIME minus CLOCK_MONOTONIC now; 0 where they agree within 1 ms."""
    readings: list[tuple[int, int]] = []
    for _ in range(3):
        before_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        boottime_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        after_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        readings.append((after_ns - before_ns, boottime_ns - (before_ns + after_ns) // 2))
    _, offset_ns = min(readings)
    return offset_ns if abs(offset_ns) >= CLOCKS_AGREE_NS else 0


def _from_us(value: object) -> int | None:
    """Microseconds of a control to ns; None for what is no positive number."""
    if isinstance(value, (int, float)) and value > 0:
        return round(value * 1000)
    return None
