"""Colours of pictures on a terminal: from cold to hot, and from black to white."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray
from rich.color import Color

Floats = NDArray[np.float64]

N_LEVELS = 64
"""Colours of a map; more cannot be told apart on so few pixels."""

UNKNOWN_COLOUR = Color.from_rgb(72, 80, 88)
"""A cold grey that is in neither map; the last of each, so that level -1 finds it."""

_HEAT_PATH = (  # lightness, chroma and hue in degrees: from night blue through red to pale yellow
    (0.16, 0.06, -75.0),
    (0.38, 0.16, -40.0),
    (0.56, 0.19, 5.0),
    (0.70, 0.165, 45.0),
    (0.84, 0.15, 80.0),
    (0.97, 0.07, 105.0),
)


def heat_colours(n_colours: int = N_LEVELS) -> Floats:
    """Colours from cold to hot in Oklab, (n, 3): equal steps look equally large, each brighter.

    Oklab (B. Ottosson, 2020) is made so that distances in it are distances to the eye; the colours
    stand at equal distances along a path through it.
    """
    places = np.linspace(0.0, 1.0, 50 * n_colours)
    knots = np.linspace(0.0, 1.0, len(_HEAT_PATH))
    lightness, chroma, hue = (
        np.interp(places, knots, [knot[part] for knot in _HEAT_PATH]) for part in range(3)
    )
    angle = np.radians(hue)
    path = np.stack([lightness, chroma * np.cos(angle), chroma * np.sin(angle)], axis=-1)
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    along: Floats = np.concatenate(([0.0], np.cumsum(steps)))
    wanted: Floats = np.linspace(0.0, float(along[-1]), n_colours)
    return np.stack([np.interp(wanted, along, path[:, part]) for part in range(3)], axis=-1)


def srgb(oklab: Floats) -> Floats:
    """Colours in sRGB, (n, 3); within 0 to 1 where a screen can show them."""
    lightness, a, b = oklab.T
    long = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3
    medium = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3
    short = (lightness - 0.0894841775 * a - 1.2914855480 * b) ** 3
    linear = np.stack(
        [
            4.0767416621 * long - 3.3077115913 * medium + 0.2309699292 * short,
            -1.2684380046 * long + 2.6097574011 * medium - 0.3413193965 * short,
            -0.0041960863 * long - 0.7034186147 * medium + 1.7076147010 * short,
        ],
        axis=-1,
    )
    curved = 1.055 * np.abs(linear) ** (1 / 2.4) - 0.055
    return np.where(linear <= 0.0031308, 12.92 * linear, curved)


@cache
def heat_map() -> Sequence[Color]:
    """Colours of heat by level, the one for unknown values last."""
    return [*_colours(srgb(heat_colours())), UNKNOWN_COLOUR]


@cache
def grey_map() -> Sequence[Color]:
    """Shades of grey by level, the one for unknown values last."""
    shades = np.linspace(0.0, 1.0, N_LEVELS)
    return [*_colours(np.stack([shades] * 3, axis=-1)), UNKNOWN_COLOUR]


def _colours(rgb: Floats) -> list[Color]:
    whole = np.rint(np.clip(rgb, 0.0, 1.0) * 255).astype(int)
    return [Color.from_rgb(*row) for row in whole.tolist()]
