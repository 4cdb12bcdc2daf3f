"""A simulated person who wears the chips: one body, one schedule, the same truth for every chip.

Within a bout the person moves as `BoutMotion` says. From one bout to the next the movements are
mixed by a minimum-jerk weight over 1 to 4 s, centred on the label's change: at the change of the
label the body is half way. What the gyroscope measures is the derivative of what turns the
accelerometer's gravity, and the body's rise and fall are the accelerometer's linear part, exactly.
"""

from __future__ import annotations

import bisect
import math
import threading
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wban_collect.simulation.body import Pose, hip_height_m, legs_of, place_m
from wban_collect.simulation.bout_motion import (
    HEADING,
    PITCH,
    ROLL,
    TWIST,
    BoutMotion,
    Floats,
    Movement,
)
from wban_collect.simulation.cell_noise import bump, smooth_rise, smooth_step
from wban_collect.simulation.scene import Scene
from wban_collect.simulation.schedule import Schedule
from wban_collect.simulation.subject import SubjectParameters
from wban_collect.simulation.world import ActivitySpan

__all__ = ["SimulatedWearer", "SubjectParameters"]

STANDARD_GRAVITY = 9.80665

_SEED_STEP = 1_000_003


class _Change(NamedTuple):
    """How one bout leads to the next; times in s of the world."""

    middle_s: float
    duration_s: float
    lean_rad: float  # forward and back again, on the way up or down
    effort: float  # m/s^2, of feet and hands set down


class SimulatedWearer:
    """A `World`: what the sensors of one simulated person measure, at any instant.

    After the schedule's end its last activity goes on; before `begin` the world stands still at its
    time 0. The same subject, schedule and seed give the same world.
    """

    def __init__(self, subject: SubjectParameters, schedule: Schedule, seed: int) -> None:
        self.subject = subject
        self.schedule = schedule
        self._begun_ns: int | None = None
        self._begin_lock = threading.Lock()
        self._bouts = [
            BoutMotion(subject, bout.activity, abs(seed) * _SEED_STEP + index)
            for index, bout in enumerate(schedule.bouts)
        ]
        self._starts_s = [bout.start_s for bout in schedule.bouts]
        self._changes = self._plan_changes(np.random.default_rng((abs(seed), 0x7A)))
        self._whole_turns = self._plan_turns()
        self._places = [
            (place_m(b.archetype.posture), hip_height_m(subject, b.archetype.posture))
            for b in self._bouts
        ]
        self._mounting = _rotation(*subject.mounting_rad)
        self._scene = Scene(subject, seed)
        self._last: tuple[NDArray[np.int64], Movement] | None = None

    def begin(self, start_ns: int) -> None:
        """Let the schedule start at `start_ns`; only the first call counts."""
        with self._begin_lock:
            if self._begun_ns is None:
                self._begun_ns = start_ns
                self._last = None

    @property
    def end_ns(self) -> int | None:
        """None: the last activity goes on."""
        return None

    def spans(self) -> list[ActivitySpan]:
        """Bouts of the schedule, touching; each changes in the middle of the movement between."""
        start_ns = self._begun_ns
        if start_ns is None:
            return []
        return [
            ActivitySpan(
                start_ns + round(bout.start_s * 1e9),
                start_ns + round(bout.stop_s * 1e9),
                bout.activity,
            )
            for bout in self.schedule.bouts
        ]

    def acceleration(self, times_ns: NDArray[np.int64]) -> Floats:
        """Proper acceleration in the sensor's frame, m/s^2, (n, 3)."""
        movement = self._movement(times_ns)
        up = movement.acceleration.copy()
        up[:, 2] += STANDARD_GRAVITY
        return _into_body(up, movement.angles) @ self._mounting

    def angular_rate(self, times_ns: NDArray[np.int64]) -> Floats:
        """Angular rate in the sensor's frame, rad/s, (n, 3)."""
        movement = self._movement(times_ns)
        return _body_rates(movement) @ self._mounting

    def temperature(self, time_ns: int) -> Floats:
        """Object temperature that each thermal pixel sees, degC, (24, 32)."""
        t = self._seconds(time_ns)
        return self._scene.temperature(self.pose(time_ns), t)

    def infrared(self, time_ns: int, height: int, width: int) -> NDArray[np.uint8]:
        """Picture of the infrared camera, (height, width)."""
        return self._scene.infrared(self.pose(time_ns), time_ns, height, width)

    def pose(self, time_ns: int) -> Pose:
        """Where the body is, for the cameras."""
        t = self._seconds(time_ns)
        index = bisect.bisect_right(self._starts_s, t, lo=1) - 1
        for c in range(max(index - 1, 0), min(index + 1, len(self._changes))):
            change = self._changes[c]
            u = (t - change.middle_s) / change.duration_s
            if abs(u) < 0.5:
                before, after = self._bout_pose(c, t), self._bout_pose(c + 1, t)
                mixed = before.blended(after, smooth_rise(u + 0.5))
                lean = change.lean_rad * (1.0 - 4.0 * u * u) ** 3
                return replace(mixed, pitch=mixed.pitch + lean)
        return self._bout_pose(index, t)

    def movement_at(self, t: Floats) -> Movement:
        """Trunk angles, rates and acceleration of the belt at world times t (n,) in s, any order.

        The acceleration is in the heading's frame (forward, left, up), without gravity.
        """
        order = None
        if len(t) > 1 and bool(np.any(t[1:] < t[:-1])):
            order = np.argsort(t, kind="stable")
            t = t[order]
        movement = Movement(np.zeros((len(t), 4)), np.zeros((len(t), 4)), np.zeros((len(t), 3)))
        if len(t):
            self._add_bouts(movement, t)
        if order is None:
            return movement
        back = np.argsort(order, kind="stable")
        return Movement(movement.angles[back], movement.rates[back], movement.acceleration[back])

    def _seconds(self, time_ns: int) -> float:
        return 0.0 if self._begun_ns is None else (time_ns - self._begun_ns) * 1e-9

    def _movement(self, times_ns: NDArray[np.int64]) -> Movement:
        """Movement at the instants; kept, since both chips of one package ask for the same."""
        times_ns = np.asarray(times_ns, dtype=np.int64)
        last = self._last
        if last is not None and np.array_equal(last[0], times_ns):
            return last[1]
        begun_ns = self._begun_ns
        since_ns = times_ns * 0 if begun_ns is None else times_ns - begun_ns
        t = since_ns.astype(np.float64) * 1e-9
        movement = self.movement_at(t)
        self._last = (times_ns.copy(), movement)
        return movement

    def _plan_changes(self, rng: np.random.Generator) -> list[_Change]:
        """How long each movement between two bouts takes, by what has to be moved."""
        changes: list[_Change] = []
        pairs = zip(self._bouts, self._bouts[1:], strict=False)
        for index, (before, after) in enumerate(pairs):
            bouts = self.schedule.bouts[index : index + 2]
            postures = {before.archetype.posture, after.archetype.posture}
            usual_s = 1.4 if len(postures) == 1 else 3.0 if "lying" in postures else 2.2
            wanted_s = min(max(usual_s * math.exp(0.2 * rng.standard_normal()), 1.0), 4.0)
            room_s = 0.9 * min(bout.stop_s - bout.start_s for bout in bouts)
            lean = math.radians(rng.uniform(18.0, 38.0)) if len(postures) == 2 else 0.0
            effort = rng.uniform(0.3, 1.0) * (0.8 if len(postures) == 2 else 0.4)
            changes.append(_Change(bouts[1].start_s, min(wanted_s, room_s), lean, effort))
        return changes

    def _plan_turns(self) -> list[float]:
        """Whole turns added to each bout's heading, so that no change goes the long way round."""
        turns = [0.0]
        for index, change in enumerate(self._changes):
            before, after = (
                float(self._local(k, np.array([change.middle_s])).angles[0, HEADING])
                for k in (index, index + 1)
            )
            whole = round((before + turns[-1] - after) / (2.0 * math.pi))
            turns.append(2.0 * math.pi * whole)
        return turns

    def _local(self, index: int, t: Floats) -> Movement:
        return self._bouts[index].at(t - self.schedule.bouts[index].start_s)

    def _add_bouts(self, movement: Movement, t: Floats) -> None:
        """Add every bout that has a part in the sorted times t."""
        first = bisect.bisect_right(self._starts_s, float(t[0]), lo=1) - 1
        last = bisect.bisect_right(self._starts_s, float(t[-1]), lo=1) - 1
        for index in range(max(first - 1, 0), min(last + 1, len(self._bouts) - 1) + 1):
            enter_s, leave_s = self._bounds(index)
            part = slice(*np.searchsorted(t, (enter_s, leave_s)).tolist())
            if part.start < part.stop:
                self._add_bout(Movement(*(a[part] for a in movement)), index, t[part])

    def _bounds(self, index: int) -> tuple[float, float]:
        """From when until when a bout has a part in what is seen."""
        enter_s, leave_s = -math.inf, math.inf
        if index > 0:
            change = self._changes[index - 1]
            enter_s = change.middle_s - change.duration_s / 2
        if index < len(self._changes):
            change = self._changes[index]
            leave_s = change.middle_s + change.duration_s / 2
        return enter_s, leave_s

    def _add_bout(self, movement: Movement, index: int, t: Floats) -> None:
        own = self._local(index, t)
        own.angles[:, HEADING] += self._whole_turns[index]
        weight, rate, curve = self._weight(index, t)
        if weight is None or rate is None or curve is None:
            movement.angles[:] += own.angles
            movement.rates[:] += own.rates
            movement.acceleration[:] += own.acceleration
            return
        movement.angles[:] += own.angles * weight
        movement.rates[:] += own.rates * weight + own.angles * rate
        movement.acceleration[:] += own.acceleration * weight
        self._add_transfer(movement, index, own.angles[:, HEADING], curve[:, 0])
        if index < len(self._changes):
            self._add_effort(movement, self._changes[index], t)

    def _weight(
        self, index: int, t: Floats
    ) -> tuple[Floats, Floats, Floats] | tuple[None, None, None]:
        """Give a bout's share (n, 1) with two derivatives; None where it is all there is."""
        enter_s, leave_s = self._bounds(index)
        entered_s = enter_s + (self._changes[index - 1].duration_s if index else 0.0)
        left_s = leave_s - (self._changes[index].duration_s if index < len(self._changes) else 0.0)
        if t[0] >= entered_s and t[-1] <= left_s:
            return None, None, None
        total = np.zeros((3, len(t)))
        total[0] = 1.0
        if index:
            duration_s = self._changes[index - 1].duration_s
            rise, rate, curve = smooth_step((t - enter_s) / duration_s)
            total += np.stack((rise - 1.0, rate / duration_s, curve / duration_s**2))
        if index < len(self._changes):
            duration_s = self._changes[index].duration_s
            rise, rate, curve = smooth_step((t - left_s) / duration_s)
            total -= np.stack((rise, rate / duration_s, curve / duration_s**2))
        return total[0][:, None], total[1][:, None], total[2][:, None]

    def _add_transfer(self, movement: Movement, index: int, heading: Floats, curve: Floats) -> None:
        """Acceleration of the way from one place and height to another."""
        x_m, hip_m = self._places[index]
        movement.acceleration[:, 0] += curve * x_m * np.cos(heading)
        movement.acceleration[:, 1] -= curve * x_m * np.sin(heading)
        movement.acceleration[:, 2] += curve * hip_m

    def _add_effort(self, movement: Movement, change: _Change, t: Floats) -> None:
        """Lean forward and back on the way up or down, with the small shocks of doing so."""
        half_s = change.duration_s / 2
        value, rate, _ = bump((t - change.middle_s) / half_s)
        movement.angles[:, PITCH] += change.lean_rad * value
        movement.rates[:, PITCH] += change.lean_rad * rate / half_s
        local = (t - change.middle_s)[:, None]
        shocks = np.sin(2 * math.pi * local * np.array([2.3, 3.9, 3.1]) + np.array([0.4, 2.0, 4.1]))
        movement.acceleration[:] += shocks * (change.effort * value)[:, None]

    def _bout_pose(self, index: int, t: float) -> Pose:
        """Pose of one bout as if it were alone."""
        bout = self._bouts[index]
        archetype = bout.archetype
        t -= self.schedule.bouts[index].start_s
        angles = bout.seen_angles(t)
        engaged = bout.seen_engagement(t)
        stride = float(bout.stride_phase(np.array([t]))[0][0]) if archetype.gait else 0.0
        hand = 2.0 * math.pi * bout.hand_hz * t + bout.hand_phase
        x_m, hip_m = self._places[index]
        if archetype.gait:
            x_m = bout.lane_m(t)
            hip_m += 0.02 * math.cos(2.0 * stride)
        return Pose(
            x_m,
            hip_m,
            angles[PITCH] + math.radians(archetype.spine_deg),
            angles[ROLL],
            angles[TWIST],
            angles[HEADING] + self._whole_turns[index],
            *legs_of(archetype, stride, archetype.gait),
            *self._arms(bout, engaged, stride, hand),
            table=float(archetype.at_table),
            blanket=float(archetype.under_blanket),
            breath=math.sin(2.0 * math.pi * self.subject.breathing_hz * t),
        )

    def _arms(
        self, bout: BoutMotion, engaged: float, stride: float, hand: float
    ) -> tuple[float, float, float, float]:
        """Upper arms left and right, elbows left and right, rad."""
        archetype = bout.archetype
        if archetype.gait:
            swing = 0.4 * archetype.gait * math.sin(stride)
            upper, elbow = (-swing, swing), (0.25, 0.25)
        elif archetype.at_table:
            to_mouth = engaged * (0.5 + 0.5 * math.sin(hand)) ** 2
            upper, elbow = (0.55, 0.55 + 0.35 * to_mouth), (0.75, 0.7 + 1.5 * to_mouth)
            if not self.subject.right_handed:
                upper, elbow = upper[::-1], elbow[::-1]
            return upper[0], upper[1], elbow[0], elbow[1]
        elif archetype.posture == "sitting":
            upper, elbow = (0.3, 0.3), (0.9, 0.9)
        else:
            upper, elbow = (0.05, 0.05), (0.12, 0.12)
        if archetype.gestures:
            raised = engaged * archetype.gestures
            first, second = math.sin(1.9 * hand), math.sin(2.6 * hand + 1.0)
            upper = (
                upper[0] + raised * (0.35 + 0.25 * first),
                upper[1] + raised * (0.4 + 0.3 * second),
            )
            elbow = (
                elbow[0] + raised * (1.1 + 0.5 * second),
                elbow[1] + raised * (1.2 + 0.6 * first),
            )
        return upper[0], upper[1], elbow[0], elbow[1]


def _into_body(vectors: Floats, angles: Floats) -> Floats:
    """Turn vectors of the heading's frame (forward, left, up) into the trunk's, (n, 3)."""
    cp, sp = np.cos(angles[:, PITCH]), np.sin(angles[:, PITCH])
    cr, sr = np.cos(angles[:, ROLL]), np.sin(angles[:, ROLL])
    ct, st = np.cos(angles[:, TWIST]), np.sin(angles[:, TWIST])
    x, y, z = vectors.T
    x, z = cp * x - sp * z, sp * x + cp * z
    y, z = cr * y + sr * z, cr * z - sr * y
    return np.stack((ct * x + st * y, ct * y - st * x, z), axis=1)


def _body_rates(movement: Movement) -> Floats:
    """Angular rate in the trunk's frame from the rates of the four angles, (n, 3)."""
    rates = movement.rates
    zero = np.zeros(len(rates))
    turning = np.stack((zero, zero, rates[:, HEADING]), axis=1)
    turning[:, 1] += rates[:, PITCH]  # about the left axis of the heading's frame
    body = _into_body(turning, movement.angles)
    ct, st = np.cos(movement.angles[:, TWIST]), np.sin(movement.angles[:, TWIST])
    body[:, 0] += ct * rates[:, ROLL]
    body[:, 1] -= st * rates[:, ROLL]
    body[:, 2] += rates[:, TWIST]
    return body


def _rotation(turn: float, forward: float, right: float) -> Floats:
    """Sensor axes as columns in the trunk's frame: Rz(turn) Ry(forward) Rx(right)."""
    cz, sz = math.cos(turn), math.sin(turn)
    cy, sy = math.cos(forward), math.sin(forward)
    cx, sx = math.cos(right), math.sin(right)
    about_z = np.array([[cz, -sz, 0.0], [sz, cz, 0.0], [0.0, 0.0, 1.0]])
    about_y = np.array([[cy, 0.0, sy], [0.0, 1.0, 0.0], [-sy, 0.0, cy]])
    about_x = np.array([[1.0, 0.0, 0.0], [0.0, cx, -sx], [0.0, sx, cx]])
    return about_z @ about_y @ about_x
