"""Who the simulated person is: everything that stays the same through a recording."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from wban_collect.simulation.activities import ARCHETYPES, Archetype, archetype_of

_TAG = 0x57EA4


@dataclass(frozen=True, slots=True)
class SubjectParameters:
    """One person, the way the sensor sits on him, and his room.

    Attributes
    ----------
    mounting_rad
        How the belt sits: turn about the spine, tilt forward, tilt to the right. The sensor's axes
        are forward, left and up along the spine when all are 0.
    lean_rad
        Own lean (pitch, roll) per archetype, added to the archetype's.
    stride_hz, gait_gain
        Strides (two steps) per second, and size of the walk, 1 on average.
    restlessness, expressiveness, tremor
        Factors on fidgets and sway, on gestures and other engaged movement, and on 7 to 11 Hz
        tremor; 1 on average.
    hand_hz
        Hand cycles per second while eating.
    gait_asymmetry
        How much one step differs from the other, 0 for not at all.
    appetite
        Factor on the movement of eating.
    habits
        Share of time per activity slug, in any unit.
    bout_gain
        Factor on how long he stays with one activity.
    """

    seed: int
    height_m: float
    girth: float
    mounting_rad: tuple[float, float, float]
    lean_rad: Mapping[str, tuple[float, float]]
    stride_hz: float
    gait_gain: float
    gait_asymmetry: float
    walking_speed_m_s: float
    breathing_hz: float
    restlessness: float
    expressiveness: float
    appetite: float
    tremor: float
    hand_hz: float
    right_handed: bool
    habits: Mapping[str, float]
    bout_gain: float
    skin_c: float
    clothes_c: float
    room_c: float
    shirt_reflectance: float
    trousers_reflectance: float

    @classmethod
    def draw(cls, seed: int) -> SubjectParameters:
        """Draw a person. The same seed gives the same person."""
        rng = np.random.default_rng((seed & 0xFFFFFFFFFFFFFFFF, _TAG))
        height_m = _normal(rng, 1.72, 0.09)
        stride_hz = _normal(rng, 0.92, 0.07)
        return cls(
            seed=seed,
            height_m=height_m,
            girth=_factor(rng, 0.10),
            mounting_rad=_mounting(rng),
            lean_rad={slug: _lean(rng, a) for slug, a in ARCHETYPES.items()},
            stride_hz=stride_hz,
            gait_gain=_factor(rng, 0.22),
            gait_asymmetry=abs(_normal(rng, 0.0, 0.12)),
            # Stride length grows with height and with pace (Winter, The Biomechanics of Gait).
            walking_speed_m_s=stride_hz * 0.74 * height_m * _factor(rng, 0.06),
            breathing_hz=_normal(rng, 0.25, 0.035),
            restlessness=_factor(rng, 0.30),
            expressiveness=_factor(rng, 0.30),
            appetite=_factor(rng, 0.25),
            tremor=_factor(rng, 0.35),
            hand_hz=_normal(rng, 0.33, 0.07),
            right_handed=bool(rng.random() < 0.9),
            habits={slug: a.share * _factor(rng, 0.30) for slug, a in ARCHETYPES.items()},
            bout_gain=_factor(rng, 0.20),
            skin_c=_normal(rng, 33.6, 0.6),
            clothes_c=_normal(rng, 28.6, 0.9),
            room_c=_normal(rng, 22.0, 1.4),
            shirt_reflectance=float(rng.uniform(0.45, 0.95)),
            trousers_reflectance=float(rng.uniform(0.35, 0.8)),
        )

    def share_of(self, activity: str) -> float:
        """Share of time that he gives an activity, relative to others; user-defined ones too."""
        return self.habits.get(archetype_of(activity).slug, 1.0)


def _normal(rng: np.random.Generator, mean: float, deviation: float) -> float:
    """Draw around a mean; nobody is further off than 1.8 deviations."""
    return mean + deviation * float(np.clip(rng.normal(), -1.8, 1.8))


def _factor(rng: np.random.Generator, spread: float) -> float:
    """Draw a factor around 1 that is as often half as double."""
    return math.exp(_normal(rng, 0.0, spread))


def _mounting(rng: np.random.Generator) -> tuple[float, float, float]:
    turn, forward, right = (math.radians(_normal(rng, 0.0, degrees)) for degrees in (13, 1.8, 1.8))
    return turn, forward, right


def _lean(rng: np.random.Generator, archetype: Archetype) -> tuple[float, float]:
    spread_rad = math.radians(archetype.person_spread_deg)
    return _normal(rng, 0.0, spread_rad), _normal(rng, 0.0, 0.5 * spread_rad)
