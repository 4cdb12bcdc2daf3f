"""When an accelerometer was not worn.

Method: van Hees et al., Separating movement and gravity components in an acceleration signal and
implications for the assessment of human daily physical activity, PLoS ONE 8 (2013) e61691: an hour
in which two of three axes hardly move, looked for every 15 minutes. A sleeper moves more than that.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wban_dataset.hygiene.epochs import Epochs

STEP_NS = 900_000_000_000
STEPS_IN_WINDOW = 4
STILL_SD_G = 0.013
STILL_RANGE_G = 0.050
STILL_AXES = 2


def non_wear(epochs: Epochs) -> list[tuple[int, int]]:
    """Find the spans that still hours cover together, (start, stop) in ns.

    Parameters
    ----------
    epochs
        Pieces of `STEP_NS`. A recording of less than an hour has no answer: see `judged_hours`.
    """
    spans: list[tuple[int, int]] = []
    length_ns = STEPS_IN_WINDOW * STEP_NS
    for start_ns in epochs.start_ns[_first_steps(epochs)[_is_still(epochs)]].tolist():
        if spans and start_ns <= spans[-1][1]:
            spans[-1] = (spans[-1][0], start_ns + length_ns)
        else:
            spans.append((start_ns, start_ns + length_ns))
    return spans


def judged_hours(epochs: Epochs) -> int:
    """Count the hours, a quarter of an hour apart, that have enough samples to be judged."""
    return len(_first_steps(epochs))


def _first_steps(epochs: Epochs) -> NDArray[np.int64]:
    """Give the rows that an hour without much missing begins at."""
    n_windows = max(0, len(epochs) - STEPS_IN_WINDOW + 1)
    first = np.arange(n_windows)
    last = first + STEPS_IN_WINDOW - 1
    together = epochs.start_ns[last] - epochs.start_ns[first] == (STEPS_IN_WINDOW - 1) * STEP_NS
    complete = np.ones(n_windows, dtype=np.bool_)
    for step in range(STEPS_IN_WINDOW):
        complete &= epochs.complete[first + step]
    return first[together & complete]


def _is_still(epochs: Epochs) -> NDArray[np.bool_]:
    """Whether enough axes are still in each hour that is judged."""
    rows = _first_steps(epochs)[:, None] + np.arange(STEPS_IN_WINDOW)
    n = epochs.n_samples[rows][..., None]
    mean = (n * epochs.mean[rows]).sum(axis=1) / n.sum(axis=1)
    between = epochs.mean[rows] - mean[:, None]
    sd = np.sqrt((n * (epochs.sd[rows] ** 2 + between**2)).sum(axis=1) / n.sum(axis=1))
    reach = epochs.high[rows].max(axis=1) - epochs.low[rows].min(axis=1)
    still = (sd < STILL_SD_G) & (reach < STILL_RANGE_G)
    return still.sum(axis=1) >= STILL_AXES
