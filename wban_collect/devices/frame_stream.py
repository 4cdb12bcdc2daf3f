"""Frames of a camera as blocks and gaps: what is kept, what was lost between, and when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_collect.device import DeviceOutput, StreamCursor
from wban_collect.devices.frame_rules import FrameRule
from wban_collect.devices.frame_timing import FrameTimer, FrameTiming
from wban_collect.devices.frames import Resizer, luma_plane
from wban_collect.devices.picamera_stack import CameraRequest
from wban_dataset.recording.streams import Gap, Read, SampleBlock


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as it was examined; `picture` is None where the rule does not keep it."""

    timing: FrameTiming
    n_dropped: int
    n_lost: int
    picture: NDArray[np.uint8] | None


class FrameStream:
    """Running state of one infrared stream; outlives restarts of its camera.

    Attributes
    ----------
    interruption
        Cause of a silence that has not ended yet, one of `GAP_CAUSES`.
    begin_ns
        When recording began: where a silence before the first frame counts from.
    n_unprocessed
        Frames that came since the last good one and could not be processed.
    """

    def __init__(self, name: str, rule: FrameRule, illuminated_level: float) -> None:
        """Take the mean grey level from which a picture counts as illuminated."""
        self.rule = rule
        self.interruption: str | None = None
        self.begin_ns = 0
        self.n_unprocessed = 0
        self._illuminated_level = illuminated_level
        self._cursor = StreamCursor(name)
        self._previous: FrameTiming | None = None

    def examine(self, request: CameraRequest, timing: FrameTiming, resize: Resizer) -> Frame:
        """Copy, shrink and judge a frame, and count the frames missing before it.

        Raises
        ------
        ValueError
            If its stamp is not after the frame before.
        """
        previous = self._previous
        if previous is not None and timing.sensor_ns <= previous.sensor_ns:
            raise ValueError(
                f"the frame's stamp {timing.sensor_ns} is not after {previous.sensor_ns}"
            )
        n_dropped = n_lost = 0
        if previous is not None:
            n_dropped = _n_between(previous, timing)
            n_lost = self.rule.n_lost(timing.sensor_ns, n_dropped)
        elif self.interruption is not None:
            n_dropped = max(0, timing.sensor_ns - self.begin_ns) // timing.frame_duration_ns
            n_lost = self.rule.n_lost(timing.sensor_ns, n_dropped)
        else:
            n_lost = self.rule.n_lost(timing.sensor_ns, self.n_unprocessed)
        picture: NDArray[np.uint8] | None = None
        if self.rule.wants(timing.sensor_ns, timing.frame_duration_ns):
            shrunk = resize(luma_plane(request.make_array("main"), *resize.source))
            picture = shrunk if self.rule.keeps(timing.sensor_ns, shrunk) else None
        return Frame(timing, n_dropped, n_lost, picture)

    def outputs(
        self, frame: Frame, timer: FrameTimer, delivery_ns: tuple[int, int]
    ) -> list[DeviceOutput]:
        """Make the gap before the frame, if any, and its block, if it is kept.

        `delivery_ns` are the instants between which it was handled.
        """
        outputs: list[DeviceOutput] = []
        if self.interruption is not None or frame.n_lost > 0:
            outputs.append(self._gap_before(frame, timer))
        if frame.picture is not None:
            outputs.append(self._block(frame.picture, frame.timing, delivery_ns))
        self._previous = frame.timing
        self.interruption = None
        self.n_unprocessed = 0
        return outputs

    def closing_gap(self, now_ns: int, frame_duration_ns: int) -> Gap | None:
        """Give what is missing when recording ends: the camera had not come back, or was no use."""
        if self.interruption is None and self.n_unprocessed == 0:
            return None
        since_ns = self.begin_ns
        if self._previous is not None:
            since_ns = self._previous.sensor_ns + self._previous.frame_duration_ns
        n_silent = max(0, now_ns - since_ns) // frame_duration_ns
        n_dropped = self.n_unprocessed if self.interruption is None else n_silent
        n_lost = self.rule.n_lost(now_ns, n_dropped)
        cause, self.interruption, self.n_unprocessed = self.interruption or "missed", None, 0
        return self._cursor.gap(min(since_ns, now_ns), now_ns, n_lost, cause)

    def _gap_before(self, frame: Frame, timer: FrameTimer) -> Gap:
        """From where the first missing frame would have been to where this one is."""
        start_ns, stop_ns = self.begin_ns, timer.midpoint_ns(frame.timing)
        if self._previous is not None:
            start_ns = timer.midpoint_ns(self._previous) + self._previous.frame_duration_ns
        return self._cursor.gap(
            min(start_ns, stop_ns),
            stop_ns,
            frame.n_lost,
            self.interruption or "missed",
            # A restart begins a new rhythm, and a time of delivery only bounds the number.
            exact=self.interruption is None and frame.timing.is_stamped,
        )

    def _block(
        self, picture: NDArray[np.uint8], timing: FrameTiming, delivery_ns: tuple[int, int]
    ) -> SampleBlock:
        is_illuminated = picture.mean() >= self._illuminated_level
        columns: dict[str, NDArray[Any]] = {
            "exposure_ns": np.array([timing.exposure_ns], dtype=np.int64),
            "gain": np.array([timing.gain], dtype=np.float32),
            "illuminated": np.array([is_illuminated], dtype=np.uint8),
            "sensor_ns": np.array([timing.sensor_ns], dtype=np.int64),
            "frame_duration_ns": np.array([timing.frame_duration_ns], dtype=np.int64),
            "stamp_unc_ns": np.array([timing.unc_ns], dtype=np.int32),
        }
        read = Read(*delivery_ns, edge_ns=timing.sensor_ns if timing.is_stamped else 0)
        return self._cursor.block(picture[np.newaxis], read, columns)


def _n_between(previous: FrameTiming, timing: FrameTiming) -> int:
    """Count the frames that must have been between two, by the sensor's time."""
    periods = (timing.sensor_ns - previous.sensor_ns) / timing.frame_duration_ns
    # A callback may be late by a frame: only two stamps of the camera show a single loss.
    threshold = 1.5 if timing.is_stamped and previous.is_stamped else 2.5
    return round(periods) - 1 if periods > threshold else 0
