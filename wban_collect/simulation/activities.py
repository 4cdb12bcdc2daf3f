"""What the activities of the paper look like as posture and movement, and what others map onto.

The numbers describe a waist- or chest-worn sensor on an average adult. Where two activities of the
paper are nearly one (staying and standing, eating and sitting at a table), so are their numbers:
what keeps them apart is how people differ in what they do, not a flag.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import Literal

Posture = Literal["standing", "sitting", "lying"]


@dataclass(frozen=True, slots=True)
class Archetype:
    """An activity as an average person does it. Angles in degrees, accelerations in m/s^2.

    Attributes
    ----------
    pitch_deg, roll_deg
        Lean of the belt, and with it of the sensor, forward and to the right; -88 lies on the back.
    spine_deg
        How much further forward than the belt the back and head lean, which only cameras see: on a
        chair the pelvis tilts back, whoever eats bends over the plate all the same.
    person_spread_deg, bout_spread_deg, settle_deg
        How far the trunk's lean differs between people, between two bouts of one person, and
        between two changes of position within a bout (about every `settle_s`).
    heading_deg
        Direction that the person faces; 0 right across the picture, -90 into the camera.
    sway_deg, motion_deg, motion_accel
        Slow sway below 1 Hz, and unspecific movement at 1 to 6 Hz.
    engaged_share, engaged_deg, engaged_accel, hand_gain
        Share of the time in which the activity's own movement is seen (biting, gesturing), that
        movement's size, and the weight of its slow hand cycle.
    fidgets_per_min
        Brief movements out of the posture and back.
    gait, pace
        Size and stride rate of the walk relative to the person's own; 0: no steps.
    share
        Typical share of a day's recording.
    at_table, under_blanket, gestures
        What the cameras see besides: food, a blanket, and how far the arms rise while speaking.
    """

    slug: str
    posture: Posture
    pitch_deg: float
    roll_deg: float = 0.0
    person_spread_deg: float = 4.0
    bout_spread_deg: float = 2.5
    settle_deg: float = 1.5
    settle_s: float = 14.0
    heading_deg: float = -60.0
    sway_deg: float = 0.6
    motion_deg: float = 0.12
    motion_accel: float = 0.03
    engaged_share: float = 0.15
    engaged_deg: float = 0.4
    engaged_accel: float = 0.08
    hand_gain: float = 0.0
    fidgets_per_min: float = 2.0
    gait: float = 0.0
    pace: float = 1.0
    share: float = 1.0
    at_table: bool = False
    under_blanket: bool = False
    gestures: float = 0.0
    spine_deg: float = 0.0


ARCHETYPES: dict[str, Archetype] = {
    a.slug: a
    for a in (
        Archetype(
            "eating",
            "sitting",
            pitch_deg=-11.0,
            person_spread_deg=4.0,
            bout_spread_deg=2.5,
            settle_deg=3.0,
            settle_s=11.0,
            heading_deg=-25.0,
            sway_deg=0.7,
            motion_deg=0.15,
            motion_accel=0.035,
            engaged_share=0.62,
            engaged_deg=1.0,
            engaged_accel=0.13,
            hand_gain=1.0,
            fidgets_per_min=4.0,
            share=0.7,
            at_table=True,
            roll_deg=0.0,
            spine_deg=22.0,
        ),
        Archetype(
            "sleeping",
            "lying",
            pitch_deg=-87.0,
            person_spread_deg=5.0,
            bout_spread_deg=3.0,
            settle_deg=2.0,
            settle_s=40.0,
            heading_deg=0.0,
            sway_deg=0.05,
            motion_deg=0.02,
            motion_accel=0.008,
            engaged_share=0.0,
            fidgets_per_min=0.5,
            share=1.0,
            under_blanket=True,
        ),
        Archetype(
            "staying",
            "standing",
            pitch_deg=-3.0,
            roll_deg=2.0,
            person_spread_deg=2.7,
            bout_spread_deg=2.0,
            settle_deg=2.2,
            settle_s=20.0,
            heading_deg=-70.0,
            sway_deg=0.35,
            motion_deg=0.09,
            motion_accel=0.02,
            engaged_share=0.05,
            fidgets_per_min=1.0,
            share=1.0,
        ),
        Archetype(
            "standing",
            "standing",
            pitch_deg=2.0,
            person_spread_deg=2.5,
            bout_spread_deg=1.8,
            settle_deg=2.0,
            settle_s=12.0,
            heading_deg=-65.0,
            sway_deg=0.8,
            motion_deg=0.2,
            motion_accel=0.05,
            engaged_share=0.22,
            engaged_deg=0.6,
            engaged_accel=0.10,
            fidgets_per_min=4.0,
            share=1.4,
        ),
        Archetype(
            "sitting",
            "sitting",
            pitch_deg=-20.0,
            person_spread_deg=4.5,
            bout_spread_deg=3.5,
            settle_deg=3.5,
            settle_s=16.0,
            heading_deg=-30.0,
            sway_deg=0.4,
            motion_deg=0.08,
            motion_accel=0.02,
            engaged_share=0.25,
            engaged_deg=0.6,
            engaged_accel=0.09,
            hand_gain=0.25,
            fidgets_per_min=2.5,
            share=1.4,
            spine_deg=9.0,
        ),
        Archetype(
            "speaking",
            "standing",
            pitch_deg=3.0,
            person_spread_deg=2.5,
            bout_spread_deg=2.0,
            settle_deg=2.5,
            settle_s=9.0,
            heading_deg=-55.0,
            sway_deg=1.1,
            motion_deg=0.25,
            motion_accel=0.05,
            engaged_share=0.75,
            engaged_deg=1.6,
            engaged_accel=0.25,
            fidgets_per_min=6.0,
            share=0.9,
            gestures=1.0,
        ),
        Archetype(
            "walking",
            "standing",
            pitch_deg=4.0,
            heading_deg=0.0,
            sway_deg=0.8,
            motion_deg=0.4,
            motion_accel=0.15,
            engaged_share=0.10,
            fidgets_per_min=1.5,
            gait=1.0,
            share=0.9,
        ),
        Archetype(
            "speak_and_walk",
            "standing",
            pitch_deg=3.0,
            settle_deg=2.5,
            settle_s=9.0,
            heading_deg=0.0,
            sway_deg=1.3,
            motion_deg=0.5,
            motion_accel=0.18,
            engaged_share=0.8,
            engaged_deg=1.6,
            engaged_accel=0.25,
            fidgets_per_min=4.0,
            gait=0.68,
            pace=0.84,
            share=0.7,
            gestures=0.8,
        ),
    )
}

GENERIC = Archetype("activity", "standing", pitch_deg=4.0, engaged_share=0.4, engaged_deg=0.9)

# Words of activities that people add, and what the wearer does for them.
_RELATED: dict[str, tuple[str, ...]] = {
    "eating": ("eat", "drink", "drinking", "meal", "breakfast", "lunch", "dinner", "snack"),
    "sleeping": ("sleep", "lying", "laying", "lie", "nap", "napping", "rest", "resting", "bed"),
    "walking": (
        "walk",
        "run",
        "running",
        "jogging",
        "stairs",
        "upstairs",
        "downstairs",
        "marching",
    ),
    "sitting": ("sit", "seated", "reading", "typing", "desk", "computer", "driving", "watching"),
    "speaking": ("speak", "talk", "talking", "phone", "call", "calling", "presenting"),
    "standing": ("stand", "cooking", "queueing", "ironing"),
    "staying": ("stay", "waiting", "idle", "still", "leaning"),
}


def archetype_of(activity: str) -> Archetype:
    """Posture and movement for `activity` (slug or spaced); the generic one if nothing is near.

    An activity of the paper is its own; otherwise a word in the name decides (``walking_upstairs``
    walks, ``talking_while_walking`` speaks and walks), otherwise the nearest spelling.
    """
    slug = "_".join(activity.lower().replace("-", " ").replace("_", " ").split())
    if slug in ARCHETYPES:
        return ARCHETYPES[slug]
    words = set(slug.split("_"))
    found = {name for name, related in _RELATED.items() if words & {name, *related}}
    if {"speaking", "walking"} <= found:
        return ARCHETYPES["speak_and_walk"]
    for name in _RELATED:
        if name in found:
            return ARCHETYPES[name]
    near = difflib.get_close_matches(slug, ARCHETYPES, n=1, cutoff=0.75)
    return ARCHETYPES[near[0]] if near else GENERIC
