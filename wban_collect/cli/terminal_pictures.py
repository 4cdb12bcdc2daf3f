"""Small pictures and curves made of characters, for a terminal or a plain text."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style

from wban_collect.cli.colour_maps import N_LEVELS, Floats, grey_map, heat_map

UNKNOWN = -1
"""Level of a pixel whose value is not known."""

UPPER_HALF = "▀"
RAMP = " .:-=+*#%@"
"""Where there are no colours, the brighter the denser; one character is two pixels high."""

UNKNOWN_IN_RAMP = "?"
BARS = "▁▂▃▄▅▆▇"
"""Without the full block, which would touch the line above."""

NARROWEST_CURVE = 4


class Picture:
    """A picture of half blocks, two pixels a character; of a ramp of characters without colours.

    Parameters
    ----------
    values
        (height, width) with an even height; NaN where a pixel is not known.
    lowest, highest
        Values of the map's two ends.
    is_heat
        In the colours of heat; otherwise in grey.
    """

    def __init__(self, values: Floats, lowest: float, highest: float, *, is_heat: bool) -> None:
        self._levels = levels(values, lowest, highest)
        self._is_heat = is_heat

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for upper, lower in zip(self._levels[::2], self._levels[1::2], strict=True):
            if console.color_system is not None:
                for top, bottom in zip(upper.tolist(), lower.tolist(), strict=True):
                    yield Segment(UPPER_HALF, _style(top, bottom, self._is_heat))
            else:
                yield Segment(_ramp(upper, lower))
            yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        width = self._levels.shape[1]
        return Measurement(width, width)


def levels(values: Floats, lowest: float, highest: float) -> NDArray[np.int64]:
    """Level of each pixel, 0 to `N_LEVELS` - 1; `UNKNOWN` for NaN."""
    span = highest - lowest if highest > lowest else 1.0
    scaled = np.clip((values - lowest) / span, 0.0, 1.0) * (N_LEVELS - 1)
    return np.where(np.isnan(values), UNKNOWN, np.rint(np.nan_to_num(scaled))).astype(np.int64)


def fitted(picture: Floats, most_rows: int, most_columns: int) -> Floats:
    """Shrink a picture by averaging, keeping its shape; the height becomes even, (h, w)."""
    height, width = picture.shape
    shrink = max(height / most_rows, width / most_columns, 1.0)
    n_rows = max(2, round(height / shrink / 2) * 2)
    return _averaged(_averaged(picture, n_rows).T, max(1, round(width / shrink))).T


def enlarged(picture: Floats, factor: int) -> Floats:
    """Make each pixel a square of so many."""
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


class Curve:
    """The last values as a row of bars, as many as there is room for.

    Parameters
    ----------
    shortest_span
        What fills the height at least, so that mere noise looks flat.
    longest
        Most values that are drawn.
    """

    def __init__(self, values: Iterable[float], shortest_span: float, longest: int) -> None:
        self._values = [value for value in values if not math.isnan(value)][-longest:]
        self._shortest_span = shortest_span

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shown = self._values[-options.max_width :]
        if shown and options.max_width >= NARROWEST_CURVE:
            yield Segment("".join(BARS[place] for place in self._places(shown)))

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(0, len(self._values))

    def _places(self, shown: list[float]) -> list[int]:
        lowest, highest = min(shown), max(shown)
        span = max(highest - lowest, self._shortest_span)
        bottom = (lowest + highest - span) / 2
        return [int((value - bottom) / span * (len(BARS) - 1) + 0.5) for value in shown]


def _averaged(picture: Floats, n_rows: int) -> Floats:
    """Average the rows down to so many, each source row belonging to one; unknown stays unknown."""
    height = len(picture)
    if height == n_rows:
        return picture
    if height < n_rows:
        return picture[np.arange(n_rows) * height // n_rows]
    starts = np.arange(n_rows) * height // n_rows
    counts = np.diff(np.append(starts, height))
    return np.add.reduceat(picture, starts, axis=0) / counts[:, np.newaxis]


def _ramp(upper: NDArray[np.int64], lower: NDArray[np.int64]) -> str:
    characters: list[str] = []
    for pair in zip(upper.tolist(), lower.tolist(), strict=True):
        known = [level for level in pair if level != UNKNOWN]
        if known:
            place = sum(known) / len(known) / (N_LEVELS - 1) * (len(RAMP) - 1)
            characters.append(RAMP[int(place + 0.5)])
        else:
            characters.append(UNKNOWN_IN_RAMP)
    return "".join(characters)


@cache
def _style(upper: int, lower: int, is_heat: bool) -> Style:
    colours = heat_map() if is_heat else grey_map()
    return Style(color=colours[upper], bgcolor=colours[lower])
