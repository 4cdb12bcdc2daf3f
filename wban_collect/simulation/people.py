"""Simulated people: one who does one thing, and a study of many."""

from __future__ import annotations

from collections.abc import Sequence

from wban_collect.simulation.schedule import Schedule
from wban_collect.simulation.subject import SubjectParameters
from wban_collect.simulation.wearer import SimulatedWearer

A_LONG_TIME_S = 30 * 86_400.0


def one_activity(activity: str, seed: int) -> SimulatedWearer:
    """Make a person who does one thing for as long as anybody looks."""
    subject = SubjectParameters.draw(seed)
    return SimulatedWearer(subject, Schedule.single(activity, A_LONG_TIME_S), seed)


def study_participant(
    activities: Sequence[str], duration_s: float, seed: int, number: int
) -> SimulatedWearer:
    """Make the person with this `number` in the study of this `seed`, with his own habits."""
    person = 1000 * seed + number
    subject = SubjectParameters.draw(person)
    schedule = Schedule.draw(subject, activities, duration_s, person)
    return SimulatedWearer(subject, schedule, person)
