"""A straight line under one-sided bounds: the geometry that `timebase` fits clocks with.

All reads of a chip's clock are bounds: a sample was there by one instant, was not there yet at
another. Of the lines height + slope * x that keep all bounds, a polygon in the (height, slope)
plane, none is likelier than another, since polls fall at any phase of the sampling. The fit is the
polygon's centroid, its uncertainty the polygon's second moments.

Written with Python's own floats: additions and multiplications of a fixed order give the same bits
on every machine, which BLAS and vectorised sums do not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

Point = tuple[float, float]
Region = list[Point]  # corners (height, slope), in order around; empty where nothing is feasible

FIRST_SLACK_NS = 1_000.0
N_BISECTIONS = 5


@dataclass(frozen=True, slots=True)
class Line:
    """y = height + slope * x, with the covariance of its two numbers."""

    height: float
    slope: float
    var_height: float = 0.0
    cov: float = 0.0
    var_slope: float = 0.0

    def at(self, x: float) -> float:
        """Value at `x`."""
        return self.height + self.slope * x

    def variance_at(self, x: float) -> float:
        """Variance of the value at `x`."""
        return max(self.var_height + x * (2.0 * self.cov + x * self.var_slope), 0.0)


def lower_hull(points: Sequence[Point]) -> list[Point]:
    """Corners of the lower convex hull of points sorted by x (Andrew's monotone chain)."""
    hull: list[Point] = []
    for x, y in points:
        if hull and hull[-1][0] == x:
            if hull[-1][1] <= y:
                continue
            hull.pop()
        while len(hull) >= 2 and _is_above(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
    return hull


def upper_hull(points: Sequence[Point]) -> list[Point]:
    """Corners of the upper convex hull of points sorted by x."""
    return [(x, -y) for x, y in lower_hull([(x, -y) for x, y in points])]


def supporting_line(
    hull: Sequence[Point], mean_x: float, slope_min: float, slope_max: float
) -> Point:
    """Line under all points that is closest to them on average, as (height, slope).

    It is the edge of the points' lower hull over the mean of their x, turned into the permitted
    slopes.
    """
    slope = 0.5 * (slope_min + slope_max)
    for (x0, y0), (x1, y1) in itertools.pairwise(hull):
        slope = (y1 - y0) / (x1 - x0)
        if x1 >= mean_x:
            break
    slope = min(max(slope, slope_min), slope_max)
    return min(y - slope * x for x, y in hull), slope


def feasible_region(
    upper: Sequence[Point],
    lower: Sequence[Point],
    slope_min: float,
    slope_max: float,
    margin: float,
) -> tuple[Region, float]:
    """All lines below the `upper` and above the `lower` points, and the slack this took.

    Parameters
    ----------
    upper, lower
        Points sorted by x, |x| about 1 at most; one of them at least.
    margin
        How far from the points a line may lie where only one side bounds it.

    Returns
    -------
    Region, float
        Corners (height, slope), never empty, and by how much every bound had to be relaxed: 0 where
        a line exists; otherwise the clock bent, or a bound is wrong.
    """
    ceiling, floor = lower_hull(upper), upper_hull(lower)
    heights = [y for _, y in (*ceiling, *floor)]
    reach = margin + max(abs(slope_min), abs(slope_max))
    low, high = min(heights) - reach, max(heights) + reach
    box = [(low, slope_min), (high, slope_min), (high, slope_max), (low, slope_max)]
    region = _cut(box, ceiling, floor, 0.0)
    if region:
        return region, 0.0
    too_little, enough = 0.0, FIRST_SLACK_NS
    while not (region := _cut(box, ceiling, floor, enough)):
        too_little, enough = enough, 2.0 * enough
    for _ in range(N_BISECTIONS):
        middle = 0.5 * (too_little + enough)
        if smaller := _cut(box, ceiling, floor, middle):
            region, enough = smaller, middle
        else:
            too_little = middle
    return region, enough


def with_slopes(region: Region, slope_min: float, slope_max: float) -> Region:
    """Return the part of a region with the permitted slopes; all of it if no part has."""
    part = _clip(_clip(region, 0.0, 1.0, slope_max), 0.0, -1.0, -slope_min)
    return part or region


def lowest_at(region: Region, x: float) -> float:
    """Least value that any line of a region has at `x`."""
    return min(height + slope * x for height, slope in region)


def central_line(region: Region) -> Line:
    """Centroid and second moments of a region."""
    height_0, slope_0 = region[0]
    corners = [(height - height_0, slope - slope_0) for height, slope in region]
    area = sum_h = sum_s = sum_hh = sum_hs = sum_ss = 0.0
    for (h1, s1), (h2, s2) in itertools.pairwise(corners[1:]):
        cross = h1 * s2 - h2 * s1
        area += cross / 2.0
        sum_h += cross * (h1 + h2) / 6.0
        sum_s += cross * (s1 + s2) / 6.0
        sum_hh += cross * (h1 * h1 + h1 * h2 + h2 * h2) / 12.0
        sum_ss += cross * (s1 * s1 + s1 * s2 + s2 * s2) / 12.0
        sum_hs += cross * (2.0 * (h1 * s1 + h2 * s2) + h1 * s2 + h2 * s1) / 24.0
    extent_h = max(abs(h) for h, _ in corners)
    extent_s = max(abs(s) for _, s in corners)
    if abs(area) <= 1e-9 * extent_h * extent_s:  # a point or a stroke: no area to weigh
        n = len(corners)
        return Line(
            height_0 + math.fsum(h for h, _ in corners) / n,
            slope_0 + math.fsum(s for _, s in corners) / n,
            var_height=extent_h * extent_h / 12.0,
            var_slope=extent_s * extent_s / 12.0,
        )
    mean_h, mean_s = sum_h / area, sum_s / area
    return Line(
        height_0 + mean_h,
        slope_0 + mean_s,
        var_height=max(sum_hh / area - mean_h * mean_h, 0.0),
        cov=sum_hs / area - mean_h * mean_s,
        var_slope=max(sum_ss / area - mean_s * mean_s, 0.0),
    )


def _is_above(left: Point, middle: Point, right: Point) -> bool:
    """Whether `middle` lies on or above the chord from `left` to `right`."""
    run, rise = right[0] - left[0], right[1] - left[1]
    return (middle[1] - left[1]) * run >= rise * (middle[0] - left[0])


def _cut(box: Region, ceiling: list[Point], floor: list[Point], slack: float) -> Region:
    region = box
    for x, y in ceiling:
        region = _clip(region, 1.0, x, y + slack)
    for x, y in floor:
        region = _clip(region, -1.0, -x, slack - y)
    return region


def _clip(region: Region, a: float, b: float, c: float) -> Region:
    """Keep where a * height + b * slope <= c (Sutherland and Hodgman)."""
    room = [c - a * height - b * slope for height, slope in region]
    kept: Region = []
    for i, corner in enumerate(region):
        previous = region[i - 1]
        if (room[i - 1] < 0.0) != (room[i] < 0.0):
            t = room[i - 1] / (room[i - 1] - room[i])
            kept.append(
                (
                    previous[0] + t * (corner[0] - previous[0]),
                    previous[1] + t * (corner[1] - previous[1]),
                )
            )
        if room[i] >= 0.0:
            kept.append(corner)
    return kept
