"""Recorded motion as a world: simulated chips measure what a real person once did."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wban_collect.simulation.hapt import SAMPLING_RATE_HZ, read_recording
from wban_collect.simulation.world import ActivitySpan

Floats = NDArray[np.float64]


class ReplayWorld:
    """A `World` that moves as recorded.

    Source sample k happens at `begin` + k periods, rounded to ns; in between the value is
    interpolated linearly. Before the first sample the first value holds, after the last the last.
    There is no thermal or infrared picture to replay.

    Attributes
    ----------
    source, recording, subject
        Where the motion comes from: "HAPT exp07", "exp07", "user04".
    modalities
        What was recorded: ("accel", "gyro") or ("accel",).
    """

    def __init__(
        self,
        accel: Floats,
        gyro: Floats | None,
        sampling_rate_hz: float,
        spans: Sequence[tuple[int, int, str]],
        source: str,
        *,
        recording: str,
        subject: str,
    ) -> None:
        self._accel = _checked(accel, "acceleration", source)
        self._gyro = None if gyro is None else _checked(gyro, "angular rate", source)
        if self._gyro is not None and len(self._gyro) != len(self._accel):
            raise ValueError(
                f"{source} has {len(self._accel)} samples of acceleration and {len(self._gyro)} of "
                "angular rate; expected as many of both."
            )
        if not (sampling_rate_hz > 0 and np.isfinite(sampling_rate_hz)):
            raise ValueError(
                f"{source}: the sampling rate is {sampling_rate_hz} Hz; expected more than 0."
            )
        self.sampling_rate_hz = sampling_rate_hz
        self.source = source
        self.recording = recording
        self.subject = subject
        self.modalities = ("accel",) if gyro is None else ("accel", "gyro")
        self._spans = _checked_spans(spans, len(self._accel), source)
        self._instants_ns = np.rint(np.arange(len(self._accel)) * (1e9 / sampling_rate_hz))
        self._begun_ns: int | None = None
        self._begin_lock = threading.Lock()

    @classmethod
    def open(cls, path: Path, recording: str | None = None) -> ReplayWorld:
        """Open a folder like HAPT's, its first recording unless another is named.

        Raises
        ------
        ValueError
            If there is no such folder or recording, or it cannot be understood.
        """
        found = read_recording(path, recording)
        return cls(
            found.accel,
            found.gyro,
            SAMPLING_RATE_HZ,
            found.spans,
            f"HAPT {found.recording} {found.subject}",
            recording=found.recording,
            subject=found.subject,
        )

    @classmethod
    def from_arrays(
        cls,
        accel: Floats,
        gyro: Floats | None,
        sampling_rate_hz: float,
        spans: Sequence[tuple[int, int, str]],
        source: str,
        *,
        recording: str = "",
        subject: str = "unknown",
    ) -> ReplayWorld:
        """Replay motion that was loaded elsewhere.

        Parameters
        ----------
        accel, gyro
            m/s^2 and rad/s, (n, 3) at a constant rate; no NaN. `gyro` None: angular rate is 0.
        spans
            (first sample, sample after the last, activity), half-open, not overlapping; one without
            a sample is left out.
        source
            Names the source in errors and in the session, e.g. a session's id.

        Raises
        ------
        ValueError
            If shapes, values, rate or spans are unusable.
        """
        return cls(
            accel, gyro, sampling_rate_hz, spans, source, recording=recording, subject=subject
        )

    def __len__(self) -> int:
        """Give the number of source samples."""
        return len(self._accel)

    @property
    def duration_s(self) -> float:
        """Number of samples times the period."""
        return len(self._accel) / self.sampling_rate_hz

    @property
    def end_ns(self) -> int | None:
        """One period after the last source sample; None before `begin`."""
        return None if self._begun_ns is None else self._begun_ns + round(self.duration_s * 1e9)

    def begin(self, start_ns: int) -> None:
        """Let source sample 0 happen at `start_ns`; only the first call counts."""
        with self._begin_lock:
            if self._begun_ns is None:
                self._begun_ns = start_ns

    def acceleration(self, times_ns: NDArray[np.int64]) -> Floats:
        """Proper acceleration as recorded, m/s^2, (n, 3)."""
        return self._interpolated(self._accel, times_ns)

    def angular_rate(self, times_ns: NDArray[np.int64]) -> Floats:
        """Angular rate as recorded, rad/s, (n, 3); zeros where none was."""
        if self._gyro is None:
            return np.zeros((len(times_ns), 3))
        return self._interpolated(self._gyro, times_ns)

    def temperature(self, time_ns: int) -> Floats:
        """Not recorded.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError(self._not_recorded("thermal picture"))

    def infrared(self, time_ns: int, height: int, width: int) -> NDArray[np.uint8]:
        """Not recorded.

        Raises
        ------
        ValueError
            Always.
        """
        raise ValueError(self._not_recorded("infrared picture"))

    def spans(self) -> list[ActivitySpan]:
        """Labels of the source on the clock of `begin`; empty before."""
        start_ns = self._begun_ns
        if start_ns is None:
            return []
        period_ns = 1e9 / self.sampling_rate_hz
        return [
            ActivitySpan(
                start_ns + round(first * period_ns), start_ns + round(stop * period_ns), activity
            )
            for first, stop, activity in self._spans
        ]

    def _interpolated(self, samples: Floats, times_ns: NDArray[np.int64]) -> Floats:
        # Subtracted as integers: a monotonic clock's ns do not fit into a float's 53 bits.
        since_ns = np.asarray(times_ns, dtype=np.int64) - (self._begun_ns or 0)
        if self._begun_ns is None:
            since_ns = np.zeros_like(since_ns)
        t = since_ns.astype(np.float64)
        return np.stack(
            [np.interp(t, self._instants_ns, samples[:, axis]) for axis in range(3)], axis=1
        )

    def _not_recorded(self, what: str) -> str:
        return (
            f"{self.source} holds {' and '.join(self.modalities)} but no {what}; "
            "replay it with the accelerometer and gyroscope alone."
        )


def _checked(samples: Floats, what: str, source: str) -> Floats:
    samples = np.array(samples, dtype=np.float64)
    if samples.ndim != 2 or samples.shape[1] != 3 or len(samples) < 2:
        raise ValueError(
            f"{source}: {what} has shape {samples.shape}; expected (n, 3) with n at least 2."
        )
    finite = np.isfinite(samples).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{source}: {what} is not finite at sample {int(np.argmin(finite))}; "
            "expected a stretch without gaps."
        )
    return samples


def _checked_spans(
    spans: Sequence[tuple[int, int, str]], n_samples: int, source: str
) -> tuple[tuple[int, int, str], ...]:
    ordered = tuple(sorted(span for span in spans if span[0] != span[1]))
    before = 0
    for first, stop, activity in ordered:
        if not before <= first < stop <= n_samples:
            raise ValueError(
                f"{source}: '{activity}' spans samples {first} to {stop}; expected spans within "
                f"0 to {n_samples} that do not overlap."
            )
        before = stop
    return ordered
