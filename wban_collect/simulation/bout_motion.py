"""How a person moves within one bout of an activity: trunk angles and acceleration at the belt.

The trunk's attitude is four angles: heading about the vertical, pitch (lean forward), roll (lean
to the right) and twist about the spine. Each is a posture, held levels, brief events and a bank of
sinusoids, all known with their derivatives; so are the accelerations of the belt, in the heading's
frame (forward, left, up).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wban_collect.simulation.activities import Archetype, archetype_of
from wban_collect.simulation.cell_noise import events, held, held_at, smooth_rise, smooth_step
from wban_collect.simulation.subject import SubjectParameters

Floats = NDArray[np.float64]

PITCH, ROLL, TWIST, HEADING = range(4)
_RAD = math.pi / 180.0
_LEVER_M = 0.16  # from the hip joint, about which the trunk leans, up to the belt
_EVENT_CELL_S = 4.0
_EVENT_DEG, _EVENT_M = 7.0, 0.018
_MODES_S = 6.5  # how long one stays engaged or not
_LANE_M = 2.0  # half of the way that a walker goes to and fro before the camera
_TURN_S = 2.0
_SETTLE, _SETTLE_MOVE_S = 0x5E, 1.6
_ENGAGE, _MODE_MOVE_S = 0xE1, 1.2


class Movement(NamedTuple):
    """Angles (n, 4) in rad, their rates in rad/s, and acceleration (n, 3) in m/s^2."""

    angles: Floats
    rates: Floats
    acceleration: Floats


class Bank(NamedTuple):
    """Sinusoids: angular frequency and phase (k,), and their weights.

    `sines` (k, 6) weighs sin for pitch, roll, twist, forward, left, up; `cosines` (k, 3) weighs cos
    for the rates of the three angles.
    """

    omega: Floats
    phase: Floats
    sines: Floats
    cosines: Floats

    @classmethod
    def of(cls, frequency_hz: Floats, angles: Floats, accel: Floats, phase: Floats) -> Bank:
        """Join angle amplitudes (k, 3) in rad with acceleration amplitudes (k, 3) in m/s^2.

        The belt swings with the trunk about the hip: the lever's acceleration is added.
        """
        omega = 2.0 * math.pi * frequency_hz
        swing = np.zeros_like(accel)
        swing[:, 0] = -_LEVER_M * omega**2 * angles[:, PITCH]
        swing[:, 1] = _LEVER_M * omega**2 * angles[:, ROLL]
        return cls(omega, phase, np.hstack((angles, accel + swing)), angles * omega[:, None])


class BoutMotion:
    """One person's movement in one bout; a pure function of the time since its start.

    `seed` decides what differs from bout to bout: posture, phases, pauses, fidgets.
    """

    def __init__(self, subject: SubjectParameters, activity: str, seed: int) -> None:
        self.archetype = archetype_of(activity)
        self._subject = subject
        self._seed = seed
        rng = np.random.default_rng((seed, 0xB0))
        self.posture = _posture(subject, self.archetype, rng)
        self.hand_hz = subject.hand_hz * (1.0 + 0.1 * float(rng.standard_normal()))
        self.hand_phase = float(rng.uniform(0.0, 2.0 * math.pi))
        self._still, self._engaged = self._banks(rng)
        self.stride_hz = (
            subject.stride_hz * self.archetype.pace * (1 + 0.03 * rng.standard_normal())
        )
        self._gait = _gait(subject, self.archetype, rng) if self.archetype.gait else None
        self._gait_phase = rng.uniform(0.0, 2.0 * math.pi, 3)
        self._lane_phase = float(rng.uniform(0.0, 1.0))
        speed = (
            subject.walking_speed_m_s * self.archetype.pace * math.sqrt(self.archetype.gait or 1)
        )
        self._speed_m_s = speed
        self._leg_s = 2.0 * _LANE_M / speed
        self._settle_size = np.array([1.0, 0.5, 0.8]) * (self.archetype.settle_deg * 1.5 * _RAD)
        if self.archetype.posture == "lying":
            self._settle_size[TWIST] *= 3.0
        self._settle_s = self.archetype.settle_s * float(rng.uniform(0.75, 1.3))
        self._mode_s = _MODES_S * float(rng.uniform(0.7, 1.4))
        share = self.archetype.engaged_share
        self._engaged_share = float(np.clip(share + 0.12 * rng.standard_normal(), 0.0, 0.95))
        if share == 0.0:
            self._engaged_share = 0.0

    def at(self, t: Floats) -> Movement:
        """Movement at times t (n,) in s since the bout's start, which may be negative."""
        angles = np.empty((len(t), 4))
        rates = np.zeros((len(t), 4))
        angles[:] = self.posture
        acceleration = np.zeros((len(t), 3))
        movement = Movement(angles, rates, acceleration)
        self._add_settling(movement, t)
        self._add_sinusoids(movement, t)
        self._add_events(movement, t)
        if self._gait is not None:
            self._add_gait(movement, t)
            self._add_turns(movement, t)
        return movement

    def engagement(self, t: Floats) -> tuple[Floats, Floats]:
        """How much the activity's own movement shows, 0 to 1, (n,), and its rate."""
        level, rate = held(self._seed ^ _ENGAGE, t, self._mode_s, _MODE_MOVE_S, 1)
        # A level is uniform: its rank decides, over a soft edge.
        edge = 1.0 - 2.0 * self._engaged_share
        value, slope, _ = smooth_step((level[:, 0] - edge) * 2.0 + 0.5)
        return value, slope * rate[:, 0] * 2.0

    def seen_angles(self, t: float) -> list[float]:
        """Pitch, roll, twist and heading at one instant, as far as a picture can show them.

        As `at`, without the sinusoids and fidgets, which move a head by less than a thermal pixel.
        """
        level = held_at(self._seed ^ _SETTLE, t, self._settle_s, _SETTLE_MOVE_S, 3)
        angles = self.posture.tolist()
        for axis in (PITCH, ROLL, TWIST):
            angles[axis] += level[axis] * float(self._settle_size[axis])
        if self._gait is not None:
            legs = t / self._leg_s + self._lane_phase + 0.5
            leg = math.floor(legs)
            turned = smooth_rise((legs - leg - 0.5) * (self._leg_s / _TURN_S) + 0.5)
            angles[HEADING] += math.pi * (leg - 1.0 + turned)
        return angles

    def seen_engagement(self, t: float) -> float:
        """Value of `engagement` at one instant."""
        if not self._engaged_share:
            return 0.0
        level = held_at(self._seed ^ _ENGAGE, t, self._mode_s, _MODE_MOVE_S, 1)[0]
        return smooth_rise((level - 1.0 + 2.0 * self._engaged_share) * 2.0 + 0.5)

    def stride_phase(self, t: Floats) -> tuple[Floats, Floats]:
        """Phase of the stride in rad, (n,), and its rate; the pace wanders."""
        a, b, c = self._gait_phase.tolist()
        slow, slower = 2 * math.pi * 0.23 * t + b, 2 * math.pi * 0.07 * t + c
        phase = 2 * math.pi * self.stride_hz * t + a + 0.25 * np.sin(slow) + 0.6 * np.sin(slower)
        rate = 0.25 * 2 * math.pi * 0.23 * np.cos(slow) + 0.6 * 2 * math.pi * 0.07 * np.cos(slower)
        return phase, rate + 2 * math.pi * self.stride_hz

    def lane_m(self, t: float) -> float:
        """Where a walker is between the ends of his way, -`_LANE_M` to `_LANE_M`."""
        legs = t / self._leg_s + self._lane_phase
        leg = math.floor(legs)
        direction = 1.0 if leg % 2 == 0 else -1.0
        return direction * _LANE_M * math.sin(math.pi * (legs - leg - 0.5))

    def _banks(self, rng: np.random.Generator) -> tuple[Bank, Bank]:
        """Sinusoids that are always there, and those of the engaged person."""
        who, a = self._subject, self.archetype
        breathing = who.breathing_hz * (0.85 if a.posture == "lying" else 1.0)
        breath_deg = 0.9 if a.posture == "lying" else 0.45
        groups = [
            _group(rng, np.array([breathing, 2 * breathing]), breath_deg, 0.01, (1.0, 0.15, 0.1)),
            _group(rng, rng.uniform(0.08, 0.9, 5), a.sway_deg * who.restlessness, 0.0),
            _group(rng, rng.uniform(1.0, 6.0, 5), a.motion_deg * who.restlessness, a.motion_accel),
            _group(rng, rng.uniform(7.0, 11.0, 3), 0.012 * who.tremor, 0.035 * who.tremor),
        ]
        gain = who.appetite if a.hand_gain else who.expressiveness
        hand = self.hand_hz * np.array([0.82, 1.0, 1.17, 2.0])
        engaged = [
            _group(rng, hand, 2.2 * a.hand_gain * gain, 0.05 * a.hand_gain, (1.0, 0.5, 0.6)),
            _group(rng, rng.uniform(0.4, 1.6, 3), a.engaged_deg * gain, 0.0),
            _group(
                rng, rng.uniform(1.2, 5.0, 4), 0.3 * a.engaged_deg * gain, a.engaged_accel * gain
            ),
        ]
        return _join(groups), _join(engaged)

    def _add_settling(self, movement: Movement, t: Floats) -> None:
        level, rate = held(self._seed ^ _SETTLE, t, self._settle_s, _SETTLE_MOVE_S, 3)
        movement.angles[:, :3] += level * self._settle_size
        movement.rates[:, :3] += rate * self._settle_size

    def _add_sinusoids(self, movement: Movement, t: Floats) -> None:
        _add(movement, self._still, t, None, None)
        if self._engaged_share:
            value, rate = self.engagement(t)
            _add(movement, self._engaged, t, value, rate)

    def _add_events(self, movement: Movement, t: Floats) -> None:
        share = self.archetype.fidgets_per_min * self._subject.restlessness * _EVENT_CELL_S / 60.0
        found = events(self._seed ^ 0xF1, t, _EVENT_CELL_S, min(share, 0.9), 6)
        if found is None:
            return
        value, rate, acceleration = found
        movement.angles[:, :3] += value[:, :3] * (_EVENT_DEG * _RAD)
        movement.rates[:, :3] += rate[:, :3] * (_EVENT_DEG * _RAD)
        movement.acceleration[:] += acceleration[:, 3:] * _EVENT_M

    def _add_gait(self, movement: Movement, t: Floats) -> None:
        assert self._gait is not None  # noqa: S101 - for the type checker; `at` asks
        phase, rate = self.stride_phase(t)
        angle = phase[:, None] * self._gait.omega + self._gait.phase
        summed = np.sin(angle) @ self._gait.sines
        movement.angles[:, :3] += summed[:, :3]
        movement.acceleration[:] += summed[:, 3:]
        movement.rates[:, :3] += (np.cos(angle) @ self._gait.cosines) * rate[:, None]

    def _add_turns(self, movement: Movement, t: Floats) -> None:
        """Turn about at both ends of the way, always to the same side, slowing down meanwhile."""
        legs = t / self._leg_s + self._lane_phase + 0.5
        leg = np.floor(legs)
        u = (legs - leg - 0.5) * (self._leg_s / _TURN_S) + 0.5
        turned, rate, curve = smooth_step(u)
        heading_rate = rate * (math.pi / _TURN_S)
        movement.angles[:, HEADING] += math.pi * (leg - 1.0 + turned)
        movement.rates[:, HEADING] += heading_rate
        slowed = 0.7 / 1.875  # of the peak of the turn
        speed = self._speed_m_s * (1.0 - slowed * rate)
        movement.acceleration[:, 0] -= self._speed_m_s * slowed * curve / _TURN_S
        movement.acceleration[:, 1] += speed * heading_rate


def _posture(
    subject: SubjectParameters, archetype: Archetype, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Pitch, roll, twist and heading that the bout is held in, rad."""
    lean = subject.lean_rad.get(archetype.slug, (0.0, 0.0))
    spread = archetype.bout_spread_deg * _RAD
    twist = float(rng.normal(0.0, 3.0 * _RAD))
    if archetype.posture == "lying":
        twist = (0.0, 1.2, -1.2)[int(rng.choice(3, p=(0.5, 0.25, 0.25)))] + 4.0 * twist
    heading = archetype.heading_deg + (0.0 if archetype.gait else float(rng.normal(0.0, 10.0)))
    return np.array(
        [
            archetype.pitch_deg * _RAD + lean[0] + float(rng.normal(0.0, spread)),
            archetype.roll_deg * _RAD + lean[1] + float(rng.normal(0.0, spread * 0.6)),
            twist,
            heading * _RAD,
        ]
    )


def _group(
    rng: np.random.Generator,
    frequency_hz: Floats,
    angle_deg: float,
    accel: float,
    balance: tuple[float, float, float] = (1.0, 0.7, 0.6),
) -> tuple[Floats, Floats, Floats]:
    """Frequencies with random shares of an angle and an acceleration; slower ones are larger."""
    k = len(frequency_hz)
    falling = (frequency_hz.min() / frequency_hz)[:, None]
    angles = angle_deg * _RAD * falling * np.array(balance) * rng.uniform(0.4, 1.2, (k, 3))
    accels = accel * rng.uniform(0.4, 1.2, (k, 3)) * np.array([1.0, 0.8, 0.8])
    return frequency_hz, angles * rng.choice((-1.0, 1.0), (k, 3)), accels


def _join(groups: list[tuple[Floats, Floats, Floats]]) -> Bank:
    frequency_hz, angles, accels = (np.concatenate(parts) for parts in zip(*groups, strict=True))
    # Golden-angle phases, scrambled by the frequencies' own randomness, never line up.
    phase = 2.399963 * np.arange(len(frequency_hz)) + 17.0 * frequency_hz
    return Bank.of(frequency_hz, angles, accels, phase)


def _gait(subject: SubjectParameters, archetype: Archetype, rng: np.random.Generator) -> Bank:
    """Harmonics of the stride as a sensor at the waist sees them; `omega` is the order.

    Vertical and forward acceleration repeat with each step (even orders), lateral with each stride
    (odd orders); an uneven gait shows as odd orders in the vertical (Menz et al. 2003).
    """
    order = np.array([1.0, 2.0, 3.0, 4.0, 6.0])
    size = subject.gait_gain * archetype.gait * float(rng.uniform(0.9, 1.1))
    uneven = subject.gait_asymmetry * 2.2
    accel = size * np.array(
        [
            [0.25, 0.75, uneven],
            [1.05, 0.10, 2.3],
            [0.15, 0.55, 0.12],
            [0.55, 0.08, 0.85],
            [0.25, 0.05, 0.35],
        ]
    )
    degrees = math.sqrt(size) * np.array(
        [[0.3, 2.4, 4.0], [1.3, 0.3, 0.4], [0.1, 0.5, 0.7], [0.4, 0.1, 0.1], [0.12, 0.05, 0.05]]
    )
    own = np.random.default_rng((subject.seed & 0xFFFFFFFFFFFFFFFF, 0x6A17))
    accel *= own.uniform(0.7, 1.3, accel.shape)
    angles = degrees * _RAD * own.uniform(0.7, 1.3, accel.shape)
    phase = own.uniform(0.0, 2.0 * math.pi, len(order))
    return Bank(order, phase, np.hstack((angles, accel)), angles * order[:, None])


def _add(
    movement: Movement, bank: Bank, t: Floats, gain: Floats | None, gain_rate: Floats | None
) -> None:
    """Add a bank, weighed by a gain that varies in time."""
    angle = t[:, None] * bank.omega + bank.phase
    summed = np.sin(angle) @ bank.sines
    rates = np.cos(angle) @ bank.cosines
    if gain is not None and gain_rate is not None:
        rates = rates * gain[:, None] + summed[:, :3] * gain_rate[:, None]
        summed = summed * gain[:, None]
    movement.angles[:, :3] += summed[:, :3]
    movement.rates[:, :3] += rates
    movement.acceleration[:] += summed[:, 3:]
