"""One house style: readable at paper width, colour-blind safe, one colour per activity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

CHANNEL_COLOURS = ("#0072B2", "#D55E00", "#009E73")
"""x, y, z: blue, vermilion and green of the palette of Okabe and Ito (2008)."""

ACTIVITY_COLOURS = (
    "#56B4E9",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#999999",
)

FIXED_ACTIVITIES = (
    "sleeping",
    "eating",
    "walking",
    "speaking",
    "staying",
    "standing",
    "sitting",
    "speak_and_walk",
)

RC_PARAMS: dict[Any, Any] = {
    "font.size": 8.0,
    "axes.titlesize": 8.5,
    "axes.labelsize": 8.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 0.6,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}

THERMAL_COLOURS = "inferno"
GAP_COLOUR = "#BBBBBB"


def activity_colours(activities: Iterable[str]) -> dict[str, str]:
    """Colour of each activity; the paper's own keep theirs in every picture."""
    others = sorted(set(activities) - set(FIXED_ACTIVITIES))
    order = (*FIXED_ACTIVITIES, *others)
    return {name: ACTIVITY_COLOURS[i % len(ACTIVITY_COLOURS)] for i, name in enumerate(order)}
