"""How transitions of each pair of activities look on average, on one time axis around the onset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wban_dataset.transitions.motion import STEP_S, Motion
from wban_dataset.transitions.transition_table import TransitionTable

SIGNALS = (
    *("tilt", "accel_magnitude", "angular_speed"),
    *("accel_x", "accel_y", "accel_z", "gyro_x", "gyro_y", "gyro_z"),
)
UNITS = ("degree", "m s-2", "rad s-1", *("m s-2",) * 3, *("rad s-1",) * 3)
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)

BEFORE_S = 4.0
AFTER_S = 8.0
EVERY = 2
"""Grid points from one point of a profile to the next: 40 ms."""

POINTS = np.arange(-round(BEFORE_S / STEP_S), round(AFTER_S / STEP_S) + 1, EVERY)
TIME_S: NDArray[np.float64] = POINTS.astype(np.float64) * STEP_S
TIME_S.setflags(write=False)


@dataclass(frozen=True, slots=True)
class Profile:
    """Transitions from one activity to another, put over each other at their onsets.

    Attributes
    ----------
    from_label, to_label
        Codes of the activities.
    n_transitions
        How many there are.
    n
        How many have a value, int32 (points, signals).
    mean, sd
        Over the transitions, sd with n - 1, float32 (points, signals); NaN where none (sd: fewer
        than two) has a value.
    quantiles
        float32 (len(QUANTILES), points, signals).
    """

    from_label: int
    to_label: int
    n_transitions: int
    n: NDArray[np.int32]
    mean: NDArray[np.float32]
    sd: NDArray[np.float32]
    quantiles: NDArray[np.float32]


def clips(table: TransitionTable, signal: Mapping[int, Sequence[Motion]]) -> NDArray[np.float32]:
    """Cut `SIGNALS` out around each onset.

    Parameters
    ----------
    signal
        Of `extraction.motions`, by number of the session.

    Returns
    -------
    NDArray
        (t, points, signals); NaN beyond a stretch and where there is no gyroscope.
    """
    cut = np.full((len(table), len(TIME_S), len(SIGNALS)), np.nan, dtype=np.float32)
    for row in range(len(table)):
        onset_ns = int(table.onset_ns[row])
        for motion in signal.get(int(table.session[row]), ()):
            if 0 <= motion.place(onset_ns) < len(motion):
                cut[row] = _clip(motion, onset_ns)
    return cut


def profiles(table: TransitionTable, cut: NDArray[np.float32]) -> list[Profile]:
    """Aggregate the clips of a table, (t, points, signals), by pair, sorted."""
    found: list[Profile] = []
    for before, after in table.pairs:
        own = cut[(table.from_label == before) & (table.to_label == after)]
        found.append(_profile(before, after, own))
    return found


def _clip(motion: Motion, onset_ns: int) -> NDArray[np.float32]:
    """Signals around an onset, (points, signals)."""
    onset = motion.place(onset_ns)
    place = onset + POINTS
    own = np.clip(place, 0, len(motion) - 1)
    accel = motion.accel[own]
    gyro = np.full_like(accel, np.nan) if motion.gyro is None else motion.gyro[own]
    before, _ = motion.plateaus(onset)
    tilt = np.degrees(np.arccos(np.clip(motion.gravity[own] @ before, -1.0, 1.0)))
    sizes = (np.linalg.norm(accel, axis=1), np.linalg.norm(gyro, axis=1))
    made = np.column_stack((tilt, *sizes, accel, gyro)).astype(np.float32)
    made[place != own] = np.nan
    return made


def _profile(before: int, after: int, cut: NDArray[np.float32]) -> Profile:
    values = cut.astype(np.float64)
    known = np.isfinite(values)
    n = known.sum(axis=0)
    sums = np.where(known, values, 0.0).sum(axis=0)
    mean = np.where(n > 0, sums / np.maximum(n, 1), np.nan)
    squares = np.where(known, (values - mean) ** 2, 0.0).sum(axis=0)
    variance = np.where(n > 1, squares / np.maximum(n - 1, 1), np.nan)
    return Profile(
        before,
        after,
        len(cut),
        n.astype(np.int32),
        mean.astype(np.float32),
        np.sqrt(variance).astype(np.float32),
        _quantiles(values, n),
    )


def _quantiles(values: NDArray[np.float64], n: NDArray[np.integer]) -> NDArray[np.float32]:
    """Linear quantiles of what is known, (quantiles, points, signals)."""
    ordered = np.sort(values, axis=0)  # NaN goes last
    made = np.full((len(QUANTILES), *n.shape), np.nan)
    for number, quantile in enumerate(QUANTILES):
        place = np.maximum(n - 1, 0) * quantile
        lower = np.floor(place).astype(np.int64)
        upper = np.ceil(place).astype(np.int64)
        low = np.take_along_axis(ordered, lower[None], axis=0)[0]
        high = np.take_along_axis(ordered, upper[None], axis=0)[0]
        made[number] = low + (high - low) * (place - lower)
    return made.astype(np.float32)
