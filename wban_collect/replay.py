"""Real recorded motion as the world that simulated chips measure."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from wban_collect.config import DEFAULT_LOAD, Config
from wban_collect.errors import ConfigError
from wban_collect.simulation.replay import ReplayWorld
from wban_dataset.recording.layout import FILE_NAME


@dataclass(frozen=True)
class ReplaySource:
    """A recording to be replayed."""

    world: ReplayWorld
    sampling_rate_hz: float
    subject: str
    name: str


def open_replay(path: Path, recording: str | None) -> ReplaySource:
    """Open a folder of recordings like HAPT's, or a sealed session.

    Raises
    ------
    ConfigError
        If there is no such recording, or it cannot be read.
    """
    try:
        if path.name == FILE_NAME or (path / FILE_NAME).exists():
            world = _session_world(path)
        else:
            world = ReplayWorld.open(path, recording)
    except (ValueError, OSError) as error:
        raise ConfigError(f"--replay {path}: {error}") from error
    return ReplaySource(world, world.sampling_rate_hz, world.subject, world.source)


def motion_only(config: Config, sampling_rate_hz: float) -> Config:
    """Keep one accelerometer with gyroscope, at the recording's rate: it holds nothing else."""
    motion = next(
        (entry for entry in config.motion if entry.driver == "mpu6050"), DEFAULT_LOAD.motion[0]
    )
    motion = msgspec.structs.replace(motion, sampling_rate_hz=sampling_rate_hz)
    return msgspec.structs.replace(config, motion=[motion], thermal=[], infrared=[], device=[])


def _session_world(path: Path) -> ReplayWorld:
    """Take motion and labels from a sealed session, on an even grid at its nominal rate.

    HDF5 is loaded here and nowhere else in the recorder, and before anything is acquired.
    """
    module: Any = importlib.import_module("wban_dataset.recording.session")
    try:
        with module.Session.open(path) as session:
            streams = {session.stream(name).kind: session.stream(name) for name in session.streams}
            accel, gyro = streams.get("accel"), streams.get("gyro")
            if accel is None or accel.n < 2:
                raise ValueError("this session has no accelerometer; expected one to replay.")
            stamps: NDArray[np.int64] = accel.monotonic_ns
            period_ns = 1e9 / float(accel.sampling_rate_hz)
            n_samples = int((stamps[-1] - stamps[0]) // period_ns) + 1
            grid = stamps[0] + np.rint(np.arange(n_samples) * period_ns).astype(np.int64)
            spans = [
                (
                    int(np.searchsorted(grid, int(label.start_ns))),
                    int(np.searchsorted(grid, int(label.stop_ns))),
                    str(label.label),
                )
                for label in session.labels
            ]
            return ReplayWorld.from_arrays(
                _on_grid(accel, grid),
                _on_grid(gyro, grid) if gyro is not None and gyro.n else None,
                accel.sampling_rate_hz,
                spans,
                f"session {session.session_id}",
                subject=session.subject,
            )
    except module.SessionError as error:
        raise ValueError(str(error)) from error


def _on_grid(stream: Any, grid: NDArray[np.int64]) -> NDArray[np.float64]:
    """Interpolate a stream's channels at the instants of the grid, (n, 3)."""
    values: NDArray[np.float64] = stream.read()
    stamps: NDArray[np.int64] = stream.monotonic_ns
    return np.stack([np.interp(grid, stamps, values[:, i]) for i in range(3)], axis=1)
