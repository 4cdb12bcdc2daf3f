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
    """A piece of furniture in the picture's plane; `warmth_c` over the room's temperature."""

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
        np.clip(self._noise, -4.0, 4.0, out=self._noise)

    def temperature(self, pose: Pose, t: float) -> Floats:
        """Temperature seen by each thermal pixel, degC, (24, 32); `t` in s cools the mug."""
        limbs = [limb for group in self._body.limbs(pose) for limb in group]
        shape = _Shape(limbs, self._thermal_x_m, self._thermal_z_m)
        depth = shape.depth(slice(0, len(limbs)), slice(None), slice(None))
        covered = shape.cover(depth, slice(0, len(limbs)), WIDTH_M / THERMAL_SHAPE[1])
        seen = self._thermal_background.copy()
        # Drunk up and filled again every half an hour.
        cooling = math.exp(-math.fmod(max(t, 0.0), 1800.0) / 900.0)
        for limb, cover in zip(limbs, covered, strict=True):
            temperature_c = self._temperatures_c[limb.part]
            if limb.part == "mug":
                temperature_c = self._room_c + (temperature_c - self._room_c) * cooling
            cover *= temperature_c - seen
            seen += cover
        return seen.astype(np.float64)

    def infrared(self, pose: Pose, time_ns: int, height: int, width: int) -> NDArray[np.uint8]:
        """Grey values (height, width) with the sensor's noise of the instant `time_ns`."""
        view = self._view(height, width)
        light = view.background.copy()
        groups = self._body.limbs(pose)
        shape = _Shape([limb for group in groups for limb in group], view.x_m, view.z_m)
        first = 0
        for group in groups:
            self._draw(light, view, shape, slice(first, first + len(group)), group)
            first += len(group)
        return self._exposed(light, time_ns)

    def _draw(
        self, light: Pictures, view: _View, shape: _Shape, chosen: slice, limbs: list[Limb]
    ) -> None:
        """Draw limbs that lie together: round, so darker towards their edges."""
        rows, columns = _bounds(limbs, view)
        target = light[rows, columns]
        if not target.size:
            return
        lamp = float(view.light[rows, columns][target.shape[0] // 2, target.shape[1] // 2])
        grey = np.array([lamp * self._reflectances[limb.part] for limb in limbs], dtype=np.float32)
        depth = shape.depth(chosen, rows, columns)
        covered = shape.cover(depth, chosen, view.pixel_m)
        depth *= (0.42 * grey)[:, None, None]
        depth += (0.58 * grey)[:, None, None]
        for shade, cover in zip(depth, covered, strict=True):
            shade -= target
            shade *= cover
            target += shade

    def _exposed(self, light: Pictures, time_ns: int) -> NDArray[np.uint8]:
        """Add shot and read noise, the same for the same instant, and round to 8 bit.

        With `_LIGHT` below 210, reflectances of 0.16 to 0.95 and noise within 4 sigma the sum stays
        within 0 to 255.
        """
        while light.size > len(self._noise) // 2:  # a large picture: lengthen the strip once
            self._noise = np.concatenate((self._noise, self._noise[::-1]))
        key = (time_ns * 0x9E3779B97F4A7C15 + self._seed) & 0xFFFFFFFFFFFFFFFF
        start = (key * (len(self._noise) - light.size)) >> 64
        noise = self._noise[start : start + light.size].reshape(light.shape)
        deviation = np.sqrt(light)
        deviation *= _SHOT_NOISE
        deviation += _READ_NOISE
        deviation *= noise
        light += deviation
        light += 0.5
        return light.astype(np.uint8)

    def _view(self, height: int, width: int) -> _View:
        found = self._views.get((height, width))
        if found is None:
            found = self._views[height, width] = self._light_room(height, width)
        return found

    def _light_room(self, height: int, width: int) -> _View:
        """Light the empty room: brightest in the middle, less towards the corners."""
        x_m, z_m = _axes(height, width)
        dx, dz = (
            (x_m / (WIDTH_M / 2))[None, :],
            ((z_m - TOP_M + HEIGHT_M / 2) / (HEIGHT_M / 2))[:, None],
        )
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


class _Shape:
    """Limbs over a grid of pixels: how deep inside each limb each pixel lies.

    What depends on a column or a row alone is computed once, so that a picture costs a few
    operations per pixel.
    """

    def __init__(self, limbs: list[Limb], x_m: Pictures, z_m: Pictures) -> None:
        ends = [(*limb.a[::2], *limb.b[::2], limb.radius_m, limb.opacity) for limb in limbs]
        ax, az, bx, bz, radius_m, opacity = np.array(ends, dtype=np.float32).T[:, :, None]
        length_m = np.maximum(np.hypot(bx - ax, bz - az), np.float32(1e-4))
        # Along and across each limb, in radii.
        ux, uz = (bx - ax) / (length_m * radius_m), (bz - az) / (length_m * radius_m)
        dx, dz = x_m - ax, z_m - az
        self._along_x, self._along_z = dx * ux, dz * uz
        self._across_x, self._across_z = dx * uz, dz * -ux
        self._length = (length_m / radius_m)[:, :, None]
        self._radius_m = radius_m[:, :, None]
        self._opacity = opacity[:, :, None]

    def depth(self, limbs: slice, rows: slice, columns: slice) -> Pictures:
        """1 on a limb's axis, 0 at its edge, below 0 outside: (limbs, rows, columns)."""
        along = self._along_z[limbs, rows, None] + self._along_x[limbs, None, columns]
        past_end = np.maximum(along, 0.0)
        np.minimum(past_end, self._length[limbs], out=past_end)
        past_end -= along
        past_end *= past_end
        across = np.add(
            self._across_z[limbs, rows, None], self._across_x[limbs, None, columns], out=along
        )
        across *= across
        past_end += across
        return np.subtract(1.0, past_end, out=past_end)

    def cover(self, depth: Pictures, limbs: slice, pixel_m: float) -> Pictures:
        """Share of each pixel that a limb covers; its edge is one pixel wide."""
        covered = depth * (self._radius_m[limbs] / (2.0 * pixel_m))
        covered += 0.5
        np.maximum(covered, 0.0, out=covered)
        return np.minimum(covered, self._opacity[limbs], out=covered)


def _bounds(limbs: list[Limb], view: _View) -> tuple[slice, slice]:
    """Rows and columns of the picture that the limbs may reach."""
    pixel_m = view.pixel_m
    around = [(limb, limb.radius_m + pixel_m) for limb in limbs]
    left_m = min(min(limb.a[0], limb.b[0]) - reach for limb, reach in around) - LEFT_M
    right_m = max(max(limb.a[0], limb.b[0]) + reach for limb, reach in around) - LEFT_M
    above_m = TOP_M - max(max(limb.a[2], limb.b[2]) + reach for limb, reach in around)
    below_m = TOP_M - min(min(limb.a[2], limb.b[2]) - reach for limb, reach in around)
    return _window(above_m, below_m, pixel_m), _window(left_m, right_m, pixel_m)


def _window(low_m: float, high_m: float, pixel_m: float) -> slice:
    """Pixels from `low_m` to `high_m` counted from the picture's edge; may reach beyond it."""
    return slice(max(math.floor(low_m / pixel_m), 0), max(math.ceil(high_m / pixel_m), 0))
