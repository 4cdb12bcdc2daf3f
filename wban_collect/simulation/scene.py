"""The room with the person in it, as a thermal sensor and an infrared camera see it.

Both stand at the same place and look the same way: 3.2 m of the room across, 2.4 m high, floor to
above the head. The thermal picture is what radiates, the infrared one what the camera's own light
brings back in the dark.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wban_collect.simulation.body import Body, Limb, Part, Pose
from wban_collect.simulation.cell_noise import uniform
from wban_collect.simulation.subject import SubjectParameters

Floats = NDArray[np.float64]
Pictures = NDArray[np.float32]

WIDTH_M, HEIGHT_M = 3.2, 2.4
LEFT_M, TOP_M = -1.6, 2.22
THERMAL_SHAPE = (24, 32)
_LIGHT = 205.0  # grey value of a white thing in the middle of the light
_READ_NOISE = 1.6  # grey values
_SHOT_NOISE = 0.32  # grey values per root of a grey value


class _Box(NamedTuple):
    """A piece of furniture in the picture's plane: bounds in m, warmth over the room, reflectance."""

    left_m: float
    right_m: float
    low_m: float
    high_m: float
    warmth_c: float
    reflectance: float


_FURNITURE = (
    _Box(-1.6, 1.6, -0.2, 0.0, -0.6, 0.30),  # floor
    _Box(0.95, 1.55, 1.15, 2.05, -3.5, 0.16),  # window, dark and cold
    _Box(-1.30, 0.98, 0.10, 0.42, 0.4, 0.52),  # bed
    _Box(-1.36, -1.28, 0.0, 0.75, 0.2, 0.36),  # its head
    _Box(-1.22, -0.86, 0.42, 0.52, 0.5, 0.85),  # pillow
    _Box(0.02, 0.44, 0.38, 0.44, 0.5, 0.40),  # seat of the chair
    _Box(0.0, 0.05, 0.0, 0.92, 0.3, 0.38),  # its back
    _Box(0.40, 0.44, 0.0, 0.38, 0.2, 0.34),
    _Box(0.66, 1.34, 0.70, 0.74, 0.3, 0.62),  # table
    _Box(1.28, 1.33, 0.0, 0.70, 0.1, 0.45),
)


class _View(NamedTuple):
    """One size of infrared picture: pixel centres in m and all that does not move."""

    x_m: Pictures
    z_m: Pictures
    pixel_m: float
    light: Pictures
    background: Pictures


class Scene:
    """Pictures of one person's room; pure functions of the pose and the time."""

    def __init__(self, subject: SubjectParameters, seed: int) -> None:
        self._body = Body(subject)
        self._seed = seed
        self._room_c = subject.room_c
        self._temperatures_c = _temperatures(subject)
        self._reflectances = _reflectances(subject)
        self._views: dict[tuple[int, int], _View] = {}
        self._thermal_x_m, self._thermal_z_m = _axes(*THERMAL_SHAPE)
        self._thermal_background = self._warmth()
        self._noise = np.random.default_rng((abs(seed), 0x1B)).standard_normal(1 << 18, np.float32)

    def temperature(self, pose: Pose, t: float) -> Floats:
        """Temperature seen by each thermal pixel, degC, (24, 32); `t` in s cools the mug."""
        limbs = self._body.limbs(pose)
        pitch_m = WIDTH_M / THERMAL_SHAPE[1]
        covered = _coverage(limbs, self._thermal_x_m, self._thermal_z_m, pitch_m)
        seen = self._thermal_background.copy()
        cooling = math.exp(-math.fmod(max(t, 0.0), 1800.0) / 900.0)
        for limb, cover in zip(limbs, covered, strict=True):
            temperature_c = self._temperatures_c[limb.part]
            if limb.part == "mug":
                temperature_c = self._room_c + (temperature_c - self._room_c) * cooling
            seen += cover * (temperature_c - seen)
        return seen.astype(np.float64)

    def infrared(self, pose: Pose, time_ns: int, height: int, width: int) -> NDArray[np.uint8]:
        """Grey values (height, width) with the sensor's noise of the instant `time_ns`."""
        view = self._view(height, width)
        light = view.background.copy()
        for limb in self._body.limbs(pose):
            _draw(light, view, limb, self._reflectances[limb.part])
        return self._exposed(light, time_ns)

    def _exposed(self, light: Pictures, time_ns: int) -> NDArray[np.uint8]:
        """Add shot and read noise, the same for the same instant, and round to 8 bit."""
        key = uniform(self._seed ^ 0xCA3, np.array([time_ns], dtype=np.int64), 1)
        needed = light.size
        while needed > len(self._noise) // 2:  # a large picture: lengthen the strip once
            self._noise = np.concatenate((self._noise, self._noise[::-1]))
        start = int(key[0, 0] * (len(self._noise) - needed))
        noise = self._noise[start : start + needed].reshape(light.shape)
        deviation = np.sqrt(light)
        deviation *= _SHOT_NOISE
        deviation += _READ_NOISE
        deviation *= noise
        light += deviation
        light += 0.5
        return np.clip(light, 0.0, 255.0, out=light).astype(np.uint8)

    def _view(self, height: int, width: int) -> _View:
        found = self._views.get((height, width))
        if found is None:
            found = self._views[height, width] = self._light_room(height, width)
        return found

    def _light_room(self, height: int, width: int) -> _View:
        """Light the empty room: brightest in the middle, less towards the corners."""
        x_m, z_m = _axes(height, width)
        dx, dz = (x_m / (WIDTH_M / 2))[None, :], ((z_m - TOP_M + HEIGHT_M / 2) / (HEIGHT_M / 2))[:, None]
        light = (_LIGHT * (1.0 - 0.34 * (0.8 * dx**2 + 0.6 * dz**2))).astype(np.float32)
        reflectance = np.full((height, width), 0.27, dtype=np.float32)
        grain = uniform(self._seed ^ 0x9A, np.arange(height * width, dtype=np.int64), 1)
        reflectance += (0.03 * (grain - 0.5)).astype(np.float32).reshape(height, width)
        pixel_m = WIDTH_M / width
        for box in _FURNITURE:
            cover = _box_coverage(box, x_m, z_m, pixel_m)
            reflectance += cover * (np.float32(box.reflectance) - reflectance)
        return _View(x_m, z_m, pixel_m, light, light * reflectance)

    def _warmth(self) -> Pictures:
        """Temperature of the empty room: warmer under the ceiling, each wall a little different."""
        x_m, z_m = self._thermal_x_m, self._thermal_z_m
        grain = uniform(self._seed ^ 0x7E, np.arange(768, dtype=np.int64), 1).reshape(24, 32)
        warmth = (z_m - 1.0)[:, None] * 0.7 - 0.25 * x_m[None, :] + 0.3 * (grain - 0.5)
        seen = (self._room_c + warmth).astype(np.float32)
        for box in _FURNITURE:
            cover = _box_coverage(box, x_m, z_m, WIDTH_M / THERMAL_SHAPE[1])
            seen += cover * (np.float32(self._room_c + box.warmth_c) - seen)
        return seen


def _temperatures(subject: SubjectParameters) -> dict[Part, float]:
    room_c, clothes_c, skin_c = subject.room_c, subject.clothes_c, subject.skin_c
    return {
        "skin": skin_c,
        "hair": 0.55 * skin_c + 0.45 * clothes_c,
        "shirt": clothes_c,
        "trousers": clothes_c - 1.2,
        "shoe": 0.5 * (clothes_c + room_c),
        "plate": room_c + 16.0,
        "mug": room_c + 30.0,
        "blanket": 0.62 * room_c + 0.38 * clothes_c,
    }


def _reflectances(subject: SubjectParameters) -> dict[Part, float]:
    """Share of the light that comes back at 850 nm, where skin is light and dyes are pale."""
    return {
        "skin": 0.92,
        "hair": 0.42,
        "shirt": subject.shirt_reflectance,
        "trousers": subject.trousers_reflectance,
        "shoe": 0.3,
        "plate": 0.95,
        "mug": 0.8,
        "blanket": 0.7,
    }


def _axes(height: int, width: int) -> tuple[Pictures, Pictures]:
    """Centres of the columns along x and of the rows along z, m."""
    x_m = LEFT_M + (np.arange(width, dtype=np.float32) + 0.5) * np.float32(WIDTH_M / width)
    z_m = TOP_M - (np.arange(height, dtype=np.float32) + 0.5) * np.float32(HEIGHT_M / height)
    return x_m.astype(np.float32), z_m.astype(np.float32)


def _box_coverage(box: _Box, x_m: Pictures, z_m: Pictures, pixel_m: float) -> Pictures:
    """Share of each pixel that a box covers."""
    across = np.minimum(x_m + pixel_m / 2, box.right_m) - np.maximum(x_m - pixel_m / 2, box.left_m)
    along = np.minimum(z_m + pixel_m / 2, box.high_m) - np.maximum(z_m - pixel_m / 2, box.low_m)
    shares = np.clip(along, 0.0, pixel_m)[:, None] * np.clip(across, 0.0, pixel_m)[None, :]
    return (shares / pixel_m**2).astype(np.float32)


def _coverage(limbs: list[Limb], x_m: Pictures, z_m: Pictures, pixel_m: float) -> Pictures:
    """Share of each pixel that each limb covers, (limbs, rows, columns)."""
    ends = np.array([(*l.a, *l.b, l.radius_m, l.opacity) for l in limbs], dtype=np.float32)
    ax, az, bx, bz = (ends[:, k, None] for k in (0, 2, 3, 5))
    ux, uz = bx - ax, bz - az
    length2 = np.maximum(ux * ux + uz * uz, 1e-8)
    dx, dz = x_m - ax, z_m - az
    along = (dz * uz / length2)[:, :, None] + (dx * ux / length2)[:, None, :]
    np.clip(along, 0.0, 1.0, out=along)
    off_x = dx[:, None, :] - along * ux[:, :, None]
    along *= uz[:, :, None]
    off_z = np.subtract(dz[:, :, None], along, out=along)
    off_x *= off_x
    off_z *= off_z
    off_x += off_z
    distance = np.sqrt(off_x, out=off_x)
    cover = np.subtract(ends[:, 6, None, None] / pixel_m + 0.5, distance / pixel_m, out=distance)
    np.clip(cover, 0.0, 1.0, out=cover)
    cover *= ends[:, 7, None, None]
    return cover


def _draw(light: Pictures, view: _View, limb: Limb, reflectance: float) -> None:
    """Draw a limb into the picture: round, so darker towards its edges."""
    reach_m = limb.radius_m + view.pixel_m
    (ax, _, az), (bx, _, bz) = limb.a, limb.b
    columns = _window(min(ax, bx) - reach_m - LEFT_M, max(ax, bx) + reach_m - LEFT_M, view.pixel_m)
    rows = _window(TOP_M - max(az, bz) - reach_m, TOP_M - min(az, bz) + reach_m, view.pixel_m)
    x_m, z_m = view.x_m[columns] - np.float32(ax), view.z_m[rows] - np.float32(az)
    if not (x_m.size and z_m.size):
        return
    ux, uz = bx - ax, bz - az
    length2 = max(ux * ux + uz * uz, 1e-8)
    along = np.add.outer(z_m * np.float32(uz / length2), x_m * np.float32(ux / length2))
    np.minimum(np.maximum(along, 0.0, out=along), 1.0, out=along)
    off_x = x_m - along * np.float32(ux)
    off_x *= off_x
    along *= np.float32(uz)
    off_z = np.subtract(z_m[:, None], along, out=along)
    off_z *= off_z
    off_x += off_z
    # How deep inside, 0 at the edge, 1 on the axis; the edge is one pixel wide.
    depth = np.subtract(1.0, off_x * np.float32(1.0 / limb.radius_m**2), out=off_x)
    cover = depth * np.float32(limb.radius_m / (2.0 * view.pixel_m))
    cover += np.float32(0.5)
    np.minimum(np.maximum(cover, 0.0, out=cover), 1.0, out=cover)
    cover *= np.float32(limb.opacity)
    np.maximum(depth, 0.0, out=depth)
    depth *= np.float32(0.42 * reflectance)
    depth += np.float32(0.58 * reflectance)
    depth *= view.light[rows, columns]
    target = light[rows, columns]
    depth -= target
    depth *= cover
    target += depth


def _window(low_m: float, high_m: float, pixel_m: float) -> slice:
    """Pixels from `low_m` to `high_m` counted from the picture's edge; may reach beyond it."""
    return slice(max(math.floor(low_m / pixel_m), 0), max(math.ceil(high_m / pixel_m), 0))
