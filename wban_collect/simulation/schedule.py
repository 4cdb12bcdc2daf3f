"""What a simulated person does when: bouts that follow one another without a gap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from wban_collect.simulation.subject import SubjectParameters

SHORTEST_BOUT_S = 7.0
_LONGEST_MEAN_S = 60.0
_ROUNDS = 3.0  # how often each activity comes, where the time is long enough
_TAG = 0x5C4ED


@dataclass(frozen=True, slots=True)
class Bout:
    """One activity from `start_s` to `stop_s` (half-open) of the world's time."""

    activity: str
    start_s: float
    stop_s: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """Bouts in order; each starts where the one before stops, the first at 0.

    A bout's bounds are where the label changes: the middle of the movement that leads from one
    activity to the next.
    """

    bouts: tuple[Bout, ...]

    def __post_init__(self) -> None:
        if not self.bouts:
            raise ValueError("A schedule needs at least one bout; none was given.")
        stop_s = 0.0
        for bout in self.bouts:
            if bout.start_s != stop_s or not bout.stop_s > bout.start_s:
                raise ValueError(
                    f"Bout '{bout.activity}' runs from {bout.start_s} to {bout.stop_s} s; "
                    f"expected a start at {stop_s} s, where the bout before ends, and a later stop."
                )
            stop_s = bout.stop_s

    @property
    def duration_s(self) -> float:
        """End of the last bout."""
        return self.bouts[-1].stop_s

    @classmethod
    def single(cls, activity: str, duration_s: float) -> Schedule:
        """Give one activity for the whole time."""
        return cls.of([(activity, duration_s)])

    @classmethod
    def of(cls, activities: Iterable[tuple[str, float]]) -> Schedule:
        """Schedule (activity, duration in s) pairs one after the other."""
        bouts: list[Bout] = []
        start_s = 0.0
        for activity, duration_s in activities:
            bouts.append(Bout(activity, start_s, start_s + duration_s))
            start_s = bouts[-1].stop_s
        return cls(tuple(bouts))

    @classmethod
    def draw(
        cls, subject: SubjectParameters, activities: Sequence[str], duration_s: float, seed: int
    ) -> Schedule:
        """Draw a day in small: every activity, as often and as long as is the person's habit.

        Activities come in rounds of changing order, never twice in a row, so that transitions
        between many pairs are seen. Bouts grow with `duration_s`: each activity comes about three
        times, more often in sessions so long that bouts would exceed a minute. Where the time does
        not hold every activity for `SHORTEST_BOUT_S`, some are left out.

        Raises
        ------
        ValueError
            If there is no activity, one comes twice, or the duration is not positive.
        """
        if not activities or len(set(activities)) != len(activities):
            raise ValueError(
                f"Activities are {list(activities)}; expected at least one, and each once."
            )
        if not duration_s > 0:
            raise ValueError(f"The duration is {duration_s} s; expected more than 0.")
        rng = np.random.default_rng((seed & 0xFFFFFFFFFFFFFFFF, _TAG))
        n_bouts = _number_of_bouts(subject, len(activities), duration_s)
        order = _rounds(list(activities), n_bouts, rng)
        lengths_s = _lengths(subject, order, duration_s, rng)
        stops_s = [round(stop, 3) for stop in np.cumsum(lengths_s).tolist()]
        stops_s[-1] = duration_s
        starts_s = [0.0, *stops_s[:-1]]
        return cls(tuple(map(Bout, order, starts_s, stops_s)))


def _number_of_bouts(subject: SubjectParameters, n_activities: int, duration_s: float) -> int:
    if n_activities == 1:
        return 1
    mean_s = duration_s / (_ROUNDS * n_activities)
    mean_s = min(max(mean_s, 1.6 * SHORTEST_BOUT_S), _LONGEST_MEAN_S) * subject.bout_gain
    n_fit = int(duration_s // SHORTEST_BOUT_S)
    return max(1, min(max(round(duration_s / mean_s), n_activities), n_fit))


def _rounds(activities: list[str], n_bouts: int, rng: np.random.Generator) -> list[str]:
    """Give permutations of the activities one after the other, none twice in a row."""
    order: list[str] = []
    while len(order) < n_bouts:
        places: list[int] = rng.permutation(len(activities)).tolist()
        permuted = [activities[place] for place in places]
        if order and permuted[0] == order[-1]:
            permuted.append(permuted.pop(0))
        order += permuted
    return order[:n_bouts]


def _lengths(
    subject: SubjectParameters, order: list[str], duration_s: float, rng: np.random.Generator
) -> list[float]:
    """Lengths that add up to the duration: the shortest bout each, the rest by habit."""
    weights = np.array([subject.share_of(activity) for activity in order])
    weights *= rng.gamma(4.0, 0.25, len(order))
    least_s = min(SHORTEST_BOUT_S, duration_s / len(order))
    spare_s = duration_s - least_s * len(order)
    return (least_s + spare_s * weights / weights.sum()).tolist()
