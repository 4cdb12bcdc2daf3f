"""The body in the room as the cameras see it: joints from a pose, limbs from the joints."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal, NamedTuple

from wban_collect.simulation.activities import Archetype, Posture
from wban_collect.simulation.subject import SubjectParameters

Point = tuple[float, float, float]
Part = Literal["shoe", "trousers", "shirt", "skin", "hair", "plate", "mug", "blanket"]

# Hip above the floor by posture: share of the body's height plus m (chair and bed are furniture).
_HIP = {"standing": (0.53, 0.0), "sitting": (0.055, 0.45), "lying": (0.05, 0.42)}
_PLACE_M = {"standing": -0.1, "sitting": 0.22, "lying": -0.15}
_THIGH_DEG = {"standing": 0.0, "sitting": 84.0, "lying": 88.0}
_SHANK_DEG = {"standing": 0.0, "sitting": 4.0, "lying": 91.0}


@dataclass(frozen=True, slots=True)
class Pose:
    """Where the body's parts are at one instant. Lengths in m, angles in rad.

    Room axes: x to the right across the picture, y away from the camera, z up from the floor.
    Leg angles are forward from straight down; arm angles forward from along the trunk; the first
    of each pair is the left limb. `table` and `blanket` say how far food is served and the blanket
    drawn up, 0 to 1.
    """

    x_m: float
    hip_m: float
    pitch: float
    roll: float
    twist: float
    heading: float
    thigh_left: float
    thigh_right: float
    shank_left: float
    shank_right: float
    upper_arm_left: float
    upper_arm_right: float
    elbow_left: float
    elbow_right: float
    table: float = 0.0
    blanket: float = 0.0
    breath: float = 0.0

    def blended(self, other: Pose, weight: float) -> Pose:
        """Mix with another pose, `weight` 0 to 1 of which is the other's."""
        mixed = (
            getattr(self, f.name) * (1.0 - weight) + getattr(other, f.name) * weight
            for f in fields(self)
        )
        return Pose(*mixed)


class Limb(NamedTuple):
    """A rounded cylinder between two points of the room."""

    part: Part
    a: Point
    b: Point
    radius_m: float
    opacity: float = 1.0


def hip_height_m(subject: SubjectParameters, posture: Posture) -> float:
    """Height of the hips above the floor at rest."""
    share, offset_m = _HIP[posture]
    return share * subject.height_m + offset_m


def place_m(posture: Posture) -> float:
    """Where in the room a posture is taken, along x."""
    return _PLACE_M[posture]


def legs_of(
    archetype: Archetype, stride_phase: float, gait: float
) -> tuple[float, float, float, float]:
    """Thighs left and right, shanks left and right; `gait` 0 stands still."""
    thigh = math.radians(_THIGH_DEG[archetype.posture])
    shank = math.radians(_SHANK_DEG[archetype.posture])
    swing = 0.42 * gait * math.sin(stride_phase)
    bend_left = 0.55 * gait * max(0.0, math.cos(stride_phase))
    bend_right = 0.55 * gait * max(0.0, -math.cos(stride_phase))
    return thigh + swing, thigh - swing, shank + swing - bend_left, shank - swing - bend_right


class Body:
    """One person's size and clothes; segment lengths as shares of height (Drillis and Contini)."""

    def __init__(self, subject: SubjectParameters) -> None:
        self._height_m = subject.height_m
        self._girth = subject.girth

    def limbs(self, pose: Pose) -> list[list[Limb]]:
        """Limbs in groups that lie together, in the order to draw them: what is nearer comes later.

        Food on the table first, then legs, arms and trunk with the head by their distance from the
        camera, last the blanket.
        """
        h = self._height_m
        forward, left, up = _trunk_axes(pose)
        hip = (pose.x_m, 0.0, pose.hip_m)
        chest = _along(hip, up, 0.27 * h)
        groups = [
            *self._legs(pose, hip),
            *self._arms(pose, chest, forward, left, up),
            [*self._trunk(hip, chest, left, pose.breath), *self._head(hip, forward, up)],
        ]
        groups.sort(key=lambda limbs: -(limbs[-1].a[1] + limbs[0].b[1]))
        drawn = [_served(pose), *groups, self._blanket(pose, hip, chest)]
        return [limbs for limbs in drawn if limbs]

    def _head(self, hip: Point, forward: Point, up: Point) -> list[Limb]:
        h = self._height_m
        head = _along(hip, up, 0.415 * h)
        face = _along(head, forward, 0.024 * h)
        return [
            Limb("hair", head, _along(head, up, 0.022 * h), 0.062 * h),
            Limb("skin", face, _along(head, up, -0.075 * h), 0.044 * h),
        ]

    def _trunk(self, hip: Point, chest: Point, left: Point, breath: float) -> list[Limb]:
        h, radius_m = self._height_m, 0.068 * self._height_m * self._girth * (1.0 + 0.02 * breath)
        limbs: list[Limb] = []
        for side in (-0.055 * h, 0.055 * h, 0.0):
            limbs.append(
                Limb("shirt", _along(hip, left, side), _along(chest, left, side), radius_m)
            )
        return limbs

    def _legs(self, pose: Pose, hip: Point) -> list[list[Limb]]:
        h, legs = self._height_m, list[list[Limb]]()
        c, s = math.cos(pose.heading), math.sin(pose.heading)
        pairs = (
            (0.055 * h, pose.thigh_left, pose.shank_left),
            (-0.055 * h, pose.thigh_right, pose.shank_right),
        )
        for side, thigh, below in pairs:
            top = (hip[0] - s * side, hip[1] + c * side, hip[2])
            knee = _swung(top, c, s, thigh, 0.245 * h)
            ankle = _swung(knee, c, s, below, 0.246 * h)
            toe = _swung(ankle, c, s, below + 1.4, 0.09 * h)
            shoe = Limb("shoe", ankle, toe, 0.026 * h)
            shank = Limb("trousers", knee, ankle, 0.034 * h * self._girth)
            legs.append([shoe, shank, Limb("trousers", top, knee, 0.048 * h * self._girth)])
        return legs

    def _arms(
        self, pose: Pose, chest: Point, forward: Point, left: Point, up: Point
    ) -> list[list[Limb]]:
        h, arms = self._height_m, list[list[Limb]]()
        sides = (
            (0.115 * h, pose.upper_arm_left, pose.elbow_left),
            (-0.115 * h, pose.upper_arm_right, pose.elbow_right),
        )
        for side, upper, elbow in sides:
            shoulder = _along(_along(chest, left, side), up, 0.01 * h)
            bend = _along(_reached(shoulder, forward, up, upper, 0.18 * h), left, 0.25 * side)
            wrist = _reached(bend, forward, up, upper + elbow, 0.145 * h)
            hand = _reached(bend, forward, up, upper + elbow, 0.20 * h)
            palm = Limb("skin", wrist, hand, 0.024 * h)
            forearm = Limb("shirt", bend, wrist, 0.025 * h * self._girth)
            arms.append([palm, forearm, Limb("shirt", shoulder, bend, 0.031 * h * self._girth)])
        return arms

    def _blanket(self, pose: Pose, hip: Point, chest: Point) -> list[Limb]:
        if pose.blanket < 0.02:
            return []
        h, radius_m = self._height_m, 0.092 * self._height_m * (1.0 + 0.02 * pose.breath)
        feet = (hip[0] + 0.5 * h * math.cos(pose.heading), 0.0, hip[2] - 0.03)
        upper = tuple(p + 0.75 * (q - p) for p, q in zip(hip, chest, strict=True))
        middle = (upper[0], upper[1], upper[2] - 0.02)
        return [
            Limb("blanket", middle, hip, radius_m, pose.blanket),
            Limb("blanket", hip, feet, 0.85 * radius_m, pose.blanket),
        ]


def _served(pose: Pose) -> list[Limb]:
    """Put a plate and a mug on the table."""
    if pose.table < 0.02:
        return []
    return [
        Limb("plate", (0.76, -0.1, 0.76), (0.96, -0.1, 0.76), 0.025, pose.table),
        Limb("mug", (1.12, -0.1, 0.78), (1.12, -0.1, 0.83), 0.042, pose.table),
    ]


def _trunk_axes(pose: Pose) -> tuple[Point, Point, Point]:
    """Forward, left and up of the trunk in the room: columns of Rz(heading) Ry Rx Rz(twist)."""
    ct, st = math.cos(pose.twist), math.sin(pose.twist)
    cr, sr = math.cos(pose.roll), math.sin(pose.roll)
    cp, sp = math.cos(pose.pitch), math.sin(pose.pitch)
    ch, sh = math.cos(pose.heading), math.sin(pose.heading)

    def turned(x: float, y: float, z: float) -> Point:
        y, z = cr * y - sr * z, sr * y + cr * z
        x, z = cp * x + sp * z, cp * z - sp * x
        return (ch * x - sh * y, sh * x + ch * y, z)

    return turned(ct, st, 0.0), turned(-st, ct, 0.0), turned(0.0, 0.0, 1.0)


def _along(start: Point, direction: Point, length_m: float) -> Point:
    return (
        start[0] + direction[0] * length_m,
        start[1] + direction[1] * length_m,
        start[2] + direction[2] * length_m,
    )


def _swung(start: Point, c: float, s: float, angle: float, length_m: float) -> Point:
    """From `start` down a leg that is raised forward by `angle` in the heading's plane."""
    out_m = math.sin(angle) * length_m
    return (start[0] + c * out_m, start[1] + s * out_m, start[2] - math.cos(angle) * length_m)


def _reached(start: Point, forward: Point, up: Point, angle: float, length_m: float) -> Point:
    """From `start` down an arm that is raised forward by `angle` from along the trunk."""
    return _along(
        _along(start, forward, math.sin(angle) * length_m), up, -math.cos(angle) * length_m
    )
