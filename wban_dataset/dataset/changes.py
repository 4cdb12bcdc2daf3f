"""The transitions of one session, refined on the motion that its shard has."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from wban_dataset.dataset.configuration import StudyConfiguration, window_rule
from wban_dataset.dataset.shard import Shard
from wban_dataset.labels.timeline import Timeline
from wban_dataset.transitions.extraction import MotionStream, extract, motions
from wban_dataset.transitions.motion import Motion
from wban_dataset.transitions.profiles import clips
from wban_dataset.transitions.transition_table import TransitionTable
from wban_dataset.windows.cutting import StreamTimes, reference_stream


def changes(
    shard: Shard, times: Mapping[str, StreamTimes], timeline: Timeline, study: StudyConfiguration
) -> tuple[TransitionTable, NDArray[np.float32]]:
    """Find the changes of activity on the stream that windows are cut by and its gyroscope.

    Parameters
    ----------
    shard
        The rows of all streams are there.
    times
        Of all streams.

    Returns
    -------
    tuple
        The table, session number 0, and what the motion looked like around each, (t, points,
        signals), see `transitions.profiles`.
    """
    signal = _signal(shard, times, study)
    table = extract(timeline, signal=signal)
    return table, clips(table, {0: signal})


def _signal(
    shard: Shard, times: Mapping[str, StreamTimes], study: StudyConfiguration
) -> list[Motion]:
    name = reference_stream(times, window_rule(study))
    if times[name].kind != "accel" or not len(times[name].stamps_ns):
        return []
    beside = f"{name.removesuffix('accel')}gyro"
    has_gyro = beside in times and len(times[beside].stamps_ns) > 0
    gyro = _motion_stream(shard, beside, times) if has_gyro else None
    return motions(_motion_stream(shard, name, times), gyro)


def _motion_stream(shard: Shard, name: str, times: Mapping[str, StreamTimes]) -> MotionStream:
    stream = shard.stream(name)
    if stream is None:
        raise ValueError(f"stream {name!r}: it is not in the shard")
    return MotionStream(times[name], shard.rows(name, stream, 0, stream.n_rows))
