"""Onset and offset of a change of activity, found on the signal around a rough boundary.

Each point of the grid gets log-odds of belonging to the change: a logistic function of `motion`'s
quantities at the point, half a second before and half a second after. The change is the interval
that gathers the most log-odds, with what is known beforehand added: how long changes of this kind
last (log-normal), and that the boundary is no more than `boundary_error_s` wrong. What is left of a
constant error on the people that the settings were fitted to is taken off at the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from wban_dataset.errors import DatasetError
from wban_dataset.transitions.motion import STEP_S, Motion

CONTEXT = round(0.5 / STEP_S)
EVIDENCE_POINTS = 0.5 / STEP_S
"""Neighbouring points say the same: half a second of them counts as one piece of evidence."""

SEARCH_S = 7.0
SEARCH_STEP = 2
BORDER_VARIANCE_S2 = 0.3
"""How softly `boundary_error_s` ends."""

MIN_EXAMPLES = 20
"""A pair of activities with fewer examples takes the settings of all pairs."""

RIDGE = 1.0

Floats = NDArray[np.float64]
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class PairSettings:
    """What is known of changes from one activity to another.

    Attributes
    ----------
    weights
        Of the quantities at the point, before and after it, and the constant, (3 f + 1,).
    log_duration_mean, log_duration_sd
        Of the natural logarithm of the duration in s.
    onset_from_boundary_s, offset_from_boundary_s
        Where they lie on average.
    onset_bias_s, offset_bias_s
        Added to what was found.
    onset_uncertainty_s, offset_uncertainty_s
        What 68 % of the errors do not exceed on the people fitted to.
    """

    weights: tuple[float, ...]
    log_duration_mean: float
    log_duration_sd: float
    onset_from_boundary_s: float
    offset_from_boundary_s: float
    onset_bias_s: float = 0.0
    offset_bias_s: float = 0.0
    onset_uncertainty_s: float = 0.0
    offset_uncertainty_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RefinementSettings:
    """Settings by pair of activities (from, to), and those of all pairs for the others."""

    pooled: PairSettings
    by_pair: Mapping[Pair, PairSettings]
    boundary_error_s: float = 2.0

    def of(self, pair: Pair) -> PairSettings:
        """Give the settings of a pair."""
        return self.by_pair.get(pair, self.pooled)


@dataclass(frozen=True, slots=True)
class Example:
    """A change whose onset and offset are known, and a rough boundary to find it from.

    Attributes
    ----------
    place
        Grid points of the search; the boundary is 0, (n,).
    inputs
        Of the logistic function, (n, 3 f).
    onset, offset
        Grid points after the boundary.
    """

    pair: Pair
    place: NDArray[np.int64]
    inputs: Floats
    onset: float
    offset: float


@dataclass(frozen=True, slots=True)
class Refined:
    """A change as it was found, ns of the session's clock.

    Attributes
    ----------
    is_distinct
        Whether the signal is quiet on both sides and not in between; where it is not, as between
        two ways of walking, the interval means nothing.
    """

    onset_ns: int
    offset_ns: int
    onset_uncertainty_ns: int
    offset_uncertainty_ns: int
    is_distinct: bool


def example(motion: Motion, pair: Pair, boundary_ns: int, onset_ns: int, offset_ns: int) -> Example:
    """Make an example of a known change."""
    boundary = motion.place(boundary_ns)
    place = _search(motion, boundary)
    start = motion.instant_ns(boundary)
    onset, offset = ((instant - start) / 1e9 / STEP_S for instant in (onset_ns, offset_ns))
    return Example(pair, place, _inputs(motion, boundary, place), onset, offset)


def fit(examples: Sequence[Example], boundary_error_s: float = 2.0) -> RefinementSettings:
    """Fit settings to known changes: of the people whom they are not used on.

    Raises
    ------
    DatasetError
        If there are fewer than `MIN_EXAMPLES`.
    """
    if len(examples) < MIN_EXAMPLES:
        raise DatasetError(
            f"refinement: found {len(examples)} known changes to fit settings to, expected at "
            f"least {MIN_EXAMPLES}; use the settings that are built in."
        )
    by_pair: dict[Pair, list[Example]] = {}
    for known in examples:
        by_pair.setdefault(known.pair, []).append(known)
    return RefinementSettings(
        _fit_pair(examples, boundary_error_s),
        {
            pair: _fit_pair(own, boundary_error_s)
            for pair, own in sorted(by_pair.items())
            if len(own) >= MIN_EXAMPLES
        },
        boundary_error_s,
    )


def refine(
    motion: Motion, pair: Pair, boundary_ns: int, settings: RefinementSettings
) -> Refined | None:
    """Find the onset and the offset of a change around its boundary.

    Returns
    -------
    Refined or None
        None where the boundary does not lie in the stretch.
    """
    boundary = motion.place(boundary_ns)
    if not 0 <= boundary < len(motion):
        return None
    own = settings.of(pair)
    place = _search(motion, boundary)
    odds = _log_odds(_inputs(motion, boundary, place), own)
    first, last = _best_interval(odds, place, own, settings.boundary_error_s)
    inside = (place >= first) & (place < last)
    beside = [odds[place < first], odds[place >= last]]
    quiet = all(len(side) > 0 and float(np.mean(side)) < 0 for side in beside)
    onset = boundary + first + own.onset_bias_s / STEP_S
    offset = max(boundary + last + own.offset_bias_s / STEP_S, onset)
    return Refined(
        motion.instant_ns(onset),
        motion.instant_ns(offset),
        round(own.onset_uncertainty_s * 1e9),
        round(own.offset_uncertainty_s * 1e9),
        quiet and bool(np.mean(odds[inside]) > 0),
    )


def _search(motion: Motion, boundary: int) -> NDArray[np.int64]:
    """Grid points around a boundary, relative to it."""
    reach = round(SEARCH_S / STEP_S)
    return np.arange(max(-reach, -boundary), min(reach, len(motion) - boundary), dtype=np.int64)


def _inputs(motion: Motion, boundary: int, place: NDArray[np.int64]) -> Floats:
    """Quantities at each point, before and after it, (n, 3 f)."""
    first = max(boundary + int(place[0]) - CONTEXT, 0)
    last = min(boundary + int(place[-1]) + 1 + CONTEXT, len(motion))
    features = motion.features(boundary, first, last)
    own = boundary + place - first
    return np.column_stack(
        [features[np.clip(own + shift, 0, len(features) - 1)] for shift in (0, -CONTEXT, CONTEXT)]
    )


def _log_odds(inputs: Floats, settings: PairSettings) -> Floats:
    weights = np.asarray(settings.weights)
    if len(weights) != inputs.shape[1] + 1:
        raise DatasetError(
            f"refinement: the settings are of {len(weights) - 1} inputs, the signal gives "
            f"{inputs.shape[1]}, expected the same; use settings fitted with the same sensors."
        )
    return inputs @ weights[:-1] + weights[-1]


def _best_interval(
    odds: Floats, place: NDArray[np.int64], settings: PairSettings, boundary_error_s: float
) -> tuple[int, int]:
    """Points [first, last) of greatest log-odds, relative to the boundary."""
    gathered = np.concatenate(([0.0], np.cumsum(odds / EVIDENCE_POINTS)))[::SEARCH_STEP]
    edge = np.append(place, place[-1] + 1)[::SEARCH_STEP]
    at_s = edge * STEP_S
    begins = _border_prior(at_s - settings.onset_from_boundary_s, boundary_error_s) - gathered
    ends = _border_prior(at_s - settings.offset_from_boundary_s, boundary_error_s) + gathered
    duration_s = np.arange(1, max(len(edge), 2)) * SEARCH_STEP * STEP_S
    deviation = (np.log(duration_s) - settings.log_duration_mean) / settings.log_duration_sd
    by_length = np.concatenate((np.full(len(edge), -np.inf), -0.5 * deviation**2))
    # A transition's row is its onset, its column its offset, which comes after it.
    lasts = sliding_window_view(by_length, len(edge))[: len(edge)][::-1]
    total = begins[:, None] + ends[None, :] + lasts
    first, last = np.unravel_index(int(np.argmax(total)), total.shape)
    return int(edge[first]), int(edge[last])


def _border_prior(away_s: NDArray[np.floating], boundary_error_s: float) -> Floats:
    beyond = np.maximum(np.abs(away_s).astype(np.float64) - boundary_error_s, 0.0)
    return -0.5 * beyond**2 / BORDER_VARIANCE_S2


def _fit_pair(examples: Sequence[Example], boundary_error_s: float) -> PairSettings:
    inputs = np.concatenate([known.inputs for known in examples])
    within = np.concatenate(
        [(known.place >= known.onset) & (known.place < known.offset) for known in examples]
    )
    onset_s = np.array([known.onset for known in examples]) * STEP_S
    offset_s = np.array([known.offset for known in examples]) * STEP_S
    log_duration = np.log(np.maximum(offset_s - onset_s, STEP_S))
    rough = PairSettings(
        _fit_logistic(inputs, within.astype(np.float64)),
        float(log_duration.mean()),
        max(float(log_duration.std()), 0.05),
        float(onset_s.mean()),
        float(offset_s.mean()),
    )
    found_s = STEP_S * np.array(
        [
            _best_interval(_log_odds(known.inputs, rough), known.place, rough, boundary_error_s)
            for known in examples
        ]
    )
    errors_s = np.column_stack((onset_s, offset_s)) - found_s
    bias_s = np.median(errors_s, axis=0)
    spread_s = np.quantile(np.abs(errors_s - bias_s), 0.68, axis=0)
    return PairSettings(
        rough.weights,
        rough.log_duration_mean,
        rough.log_duration_sd,
        rough.onset_from_boundary_s,
        rough.offset_from_boundary_s,
        *(float(value) for value in (*bias_s, *spread_s)),
    )


def _fit_logistic(inputs: Floats, within: Floats, n_steps: int = 25) -> tuple[float, ...]:
    """Fit by Newton's method with a ridge on standardised inputs; weights are of plain inputs."""
    mean, deviation = inputs.mean(axis=0), np.maximum(inputs.std(axis=0), 1e-9)
    columns = np.column_stack(((inputs - mean) / deviation, np.ones(len(inputs))))
    ridge = np.diag([*([RIDGE] * inputs.shape[1]), 1e-6])
    weights = np.zeros(columns.shape[1])
    for _ in range(n_steps):
        odds = np.clip(columns @ weights, -30, 30)
        share = 1 / (1 + np.exp(-odds))
        slope = columns.T @ (within - share) - ridge @ weights
        curvature = (columns * (share * (1 - share))[:, None]).T @ columns + ridge
        step = np.linalg.solve(curvature, slope)
        weights += step
        if np.abs(step).max() < 1e-6:
            break
    plain = weights[:-1] / deviation
    return (*(float(weight) for weight in plain), float(weights[-1] - plain @ mean))
