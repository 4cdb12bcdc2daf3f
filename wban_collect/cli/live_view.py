"""What a watcher knows of a recorder: its last status, the newest samples, what has happened."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from wban_collect.control.messages import Status
from wban_collect.live.messages import (
    GapMessage,
    LabelMessage,
    LiveMessage,
    LiveSample,
    StatusMessage,
)
from wban_dataset.recording.wording import printable

CURVE_STEP_NS = 250_000_000
CURVE_POINTS = 120
KEPT_EVENTS = 8
STALE_S = 3.0
"""The status comes once a second; without it for so long the daemon is thought to be gone."""

PICTURES = ("thermal", "infrared")
IDLE = "idle"
"""State of a daemon that records nothing."""


@dataclass
class SeenStream:
    """The newest samples of one stream, and the curve of one number that stands for them.

    Attributes
    ----------
    received_s
        When the newest samples came, by this machine's monotonic clock.
    n_missed
        Samples that were recorded and did not come here.
    curve
        Of motion the magnitude, of heat the warmest pixel, of pictures the mean grey; four points a
        second.
    """

    sample: LiveSample
    received_s: float
    n_missed: int = 0
    curve: deque[float] = field(default_factory=lambda: deque(maxlen=CURVE_POINTS))
    _step: int = -1

    def take(self, sample: LiveSample, now_s: float) -> None:
        """Take the next samples."""
        before, about = self.sample.about, sample.about
        expected = before.first_index + len(self.sample.counts)
        if about.first_index > expected and about.session_id == before.session_id:
            self.n_missed += about.first_index - expected
        self.sample, self.received_s = sample, now_s
        self.note_in_curve()

    def note_in_curve(self) -> None:
        """Add the newest samples' number to the curve, or put it in the place of its last point."""
        step = self.sample.about.newest_ns // CURVE_STEP_NS
        if step == self._step:
            self.curve.pop()
        self._step = step
        self.curve.append(magnitude(self.sample))


class LiveView:
    """Takes messages as they come.

    Attributes
    ----------
    events
        Gaps, labels and marks, the newest last, one line each.
    """

    def __init__(self) -> None:
        self.status: Status | None = None
        self.streams: dict[str, SeenStream] = {}
        self.events: deque[str] = deque(maxlen=KEPT_EVENTS)
        self._told_s = 0.0

    @property
    def is_complete(self) -> bool:
        """Whether the status and samples of every stream that delivers have come."""
        if self.status is None:
            return False
        delivering = {stream.name for stream in self.status.streams if stream.n_rows}
        return delivering <= self.streams.keys()

    def silent_s(self, now_s: float) -> float:
        """Seconds since the daemon's last word, as far as that is too long; otherwise 0."""
        silence_s = now_s - self._told_s
        return silence_s if self.status is not None and silence_s > STALE_S else 0.0

    def hear(self, status: Status, now_s: float) -> None:
        """Take the daemon's word on how it does."""
        self.status, self._told_s = status, now_s
        if status.state == IDLE:
            self.streams.clear()

    def take(self, message: LiveMessage, now_s: float) -> None:
        """Take a message; `now_s` is this machine's monotonic clock."""
        if isinstance(message, StatusMessage):
            self.hear(message.status, now_s)
        elif isinstance(message, LiveSample):
            # The last samples of a recording may come after the word that it has ended.
            if self.status is None or self.status.state != IDLE:
                self._take_sample(message, now_s)
        else:
            time_of_day = datetime.now(UTC).astimezone().strftime("%H:%M:%S")
            self.events.append(f"{time_of_day}  {printable(_event(message))}")

    def _take_sample(self, sample: LiveSample, now_s: float) -> None:
        if not len(sample.counts):
            return
        name = sample.about.stream
        seen = self.streams.get(name)
        if seen is None:
            seen = self.streams[name] = SeenStream(sample, now_s)
            seen.note_in_curve()
        else:
            seen.take(sample, now_s)


def magnitude(sample: LiveSample) -> float:
    """One number for the samples of a message; NaN where nothing is known."""
    values = sample.values()
    if sample.about.kind == "thermal":
        return float(np.nanmax(values[-1])) if not np.isnan(values[-1]).all() else float("nan")
    if sample.about.kind == "infrared":
        return float(values[-1].mean())
    return float(np.linalg.norm(values.reshape(len(values), -1), axis=1).mean())


def summary(seen: SeenStream) -> dict[str, Any]:
    """Say the newest sample of a stream in plain numbers, for a program."""
    about = seen.sample.about
    newest = seen.sample.values()[-1]
    known = newest[~np.isnan(newest)]
    said: dict[str, Any] = {
        "kind": about.kind,
        "units": about.units,
        "newest_ns": about.newest_ns,
        "newest_index": about.first_index + len(seen.sample.counts) - 1,
        "n_missed_here": seen.n_missed,
    }
    if about.kind not in PICTURES:
        return said | {"channels": about.channels, "newest": [round(v, 5) for v in newest.tolist()]}
    if not known.size:
        return said | {"min": None, "mean": None, "max": None}
    lowest, mean, highest = float(known.min()), float(known.mean()), float(known.max())
    return said | {"min": round(lowest, 2), "mean": round(mean, 2), "max": round(highest, 2)}


def _event(message: LiveMessage) -> str:
    if isinstance(message, GapMessage):
        n_lost = "some" if message.n_missing < 0 else str(message.n_missing)
        return f"{message.stream}: {n_lost} lost, {message.cause}"
    if isinstance(message, LabelMessage):
        return f"label {message.label}"
    return f"mark {getattr(message, 'text', '')}"
