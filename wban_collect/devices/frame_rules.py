"""Which of the camera's frames are kept: every one, one every N seconds, or only changes."""

from __future__ import annotations

import re
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wban_collect.devices.frames import Resizer

_EVERY_SECONDS = re.compile(r"every (\d+(?:\.\d+)?) s")
_BLOCK_PIXELS = 8
"""Side of the squares that are compared: their means hardly feel noise, yet a hand changes some."""


class FrameRule(Protocol):
    """Decides frame by frame; asked in the order of the frames."""

    def wants(self, sensor_ns: int, frame_duration_ns: int) -> bool:
        """Whether a frame of this time may be kept at all; asked before it is copied."""
        ...

    def keeps(self, sensor_ns: int, picture: NDArray[np.uint8]) -> bool:
        """Whether this picture, in its stored size, is kept."""
        ...

    def n_lost(self, sensor_ns: int, n_dropped: int) -> int:
        """How many frames are missing from the recording when the camera dropped `n_dropped`.

        `sensor_ns` is the frame after them, which has not been shown to `wants` yet.
        """
        ...

    def kept_rate_hz(self, frame_rate_hz: float) -> float:
        """Frames kept per second, at most, of a camera at `frame_rate_hz`."""
        ...


class EveryFrame:
    """Keeps all."""

    def wants(self, sensor_ns: int, frame_duration_ns: int) -> bool:
        """Return true: all are kept."""
        return True

    def keeps(self, sensor_ns: int, picture: NDArray[np.uint8]) -> bool:
        """Return true: all are kept."""
        return True

    def n_lost(self, sensor_ns: int, n_dropped: int) -> int:
        """Every dropped frame is missing."""
        return n_dropped

    def kept_rate_hz(self, frame_rate_hz: float) -> float:
        """All of them."""
        return frame_rate_hz


class EverySeconds:
    """Keeps the frame nearest to each tick of a grid that begins with the first frame.

    After a drop a tick is served by the first frame that comes, unless that one is nearer to a
    later tick: then the tick has lost its picture.
    """

    def __init__(self, interval_s: float) -> None:
        if interval_s <= 0:
            raise ValueError(f"a frame every {interval_s} s is impossible: give a positive number")
        self.interval_ns = round(interval_s * 1e9)
        self._next_tick_ns: int | None = None

    def wants(self, sensor_ns: int, frame_duration_ns: int) -> bool:
        """Whether no later frame will be nearer to the tick that is due."""
        return sensor_ns + frame_duration_ns // 2 > self._due_ns(sensor_ns)

    def keeps(self, sensor_ns: int, picture: NDArray[np.uint8]) -> bool:
        """Keep it; the tick after the one that it serves is next."""
        self._next_tick_ns = self._due_ns(sensor_ns) + self.interval_ns
        return True

    def n_lost(self, sensor_ns: int, n_dropped: int) -> int:
        """Count the ticks that passed without a frame."""
        if self._next_tick_ns is None or not n_dropped:
            return 0
        return (self._due_ns(sensor_ns) - self._next_tick_ns) // self.interval_ns

    def _due_ns(self, sensor_ns: int) -> int:
        """Give the tick that a frame of this time is for, if it is kept."""
        if self._next_tick_ns is None:
            return sensor_ns
        late_ns = max(0, sensor_ns - self._next_tick_ns)
        n_lost = (late_ns + self.interval_ns // 2) // self.interval_ns
        return self._next_tick_ns + n_lost * self.interval_ns

    def kept_rate_hz(self, frame_rate_hz: float) -> float:
        """One per interval, or all where the camera is slower."""
        return min(frame_rate_hz, 1e9 / self.interval_ns)


class OnChange:
    """Keeps a picture that differs from the one kept before, apart from its overall brightness.

    Pictures are compared by the means of squares of 8x8 stored pixels, each picture with its own
    median taken off, so that neither noise nor the automatic exposure counts as a change.
    """

    def __init__(self, threshold: float) -> None:
        """Take the change of one square, in grey levels of 255, above which a picture is kept."""
        if threshold <= 0:
            raise ValueError(f"a change threshold of {threshold} is impossible: give grey levels")
        self.threshold = threshold
        self._kept: NDArray[np.float32] | None = None
        self._squares: Resizer | None = None

    def wants(self, sensor_ns: int, frame_duration_ns: int) -> bool:
        """Every picture has to be looked at."""
        return True

    def keeps(self, sensor_ns: int, picture: NDArray[np.uint8]) -> bool:
        """Compare with the picture kept last; the first is always kept."""
        squares = self._relative_squares(picture)
        if self._kept is not None and np.abs(squares - self._kept).max() <= self.threshold:
            return False
        self._kept = squares
        return True

    def n_lost(self, sensor_ns: int, n_dropped: int) -> int:
        """Count frames that could not be looked at: any of them may have shown a change."""
        return n_dropped

    def kept_rate_hz(self, frame_rate_hz: float) -> float:
        """All of them, if everything moves."""
        return frame_rate_hz

    def _relative_squares(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self._squares is None or self._squares.source != picture.shape:
            height, width = picture.shape
            target = (max(1, height // _BLOCK_PIXELS), max(1, width // _BLOCK_PIXELS))
            self._squares = Resizer((height, width), target)
        means = self._squares(picture).astype(np.float32)
        return means - np.float32(np.median(means))


def parse_rule(text: str, change_threshold: float = 4.0) -> FrameRule:
    """Make the rule that a configuration names.

    Raises
    ------
    ValueError
        If it is none of ``every frame``, ``every N s``, ``on change``, or its number is unusable.
    """
    if text == "every frame":
        return EveryFrame()
    if text == "on change":
        return OnChange(change_threshold)
    match = _EVERY_SECONDS.fullmatch(text)
    if match is None:
        raise ValueError(
            f"frame rule {text!r} is unknown: use 'every frame', 'on change', or 'every 10 s' "
            "with any number of seconds"
        )
    return EverySeconds(float(match[1]))
