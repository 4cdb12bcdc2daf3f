"""One house style: readable at paper width, colour-blind safe, one colour per activity."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

CHANNEL_COLOURS = ("#0072B2", "#D55E00", "#009E73")
"""x, y, z: blue, vermilion and green of the palette of Okabe and Ito (2008)."""

PAPER_ACTIVITY_COLOURS = {
    "sleeping": "#56B4E9",
    "eating": "#E69F00",
    "walking": "#009E73",
    "speaking": "#CC79A7",
    "staying": "#F0E442",
    "standing": "#0072B2",
    "sitting": "#D55E00",
    "speak_and_walk": "#999999",
}
"""The palette of Okabe and Ito; the paper's activities have the same colour in every picture."""

OTHER_COLOURS = (
    "#332288",
    "#88CCEE",
    "#44AA99",
    "#117733",
    "#999933",
    "#DDCC77",
    "#CC6677",
    "#882255",
    "#AA4499",
    "#661100",
    "#6699CC",
    "#BBBBBB",
)
"""The muted palette of Paul Tol, for activities that are not the paper's."""

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
    names = dict.fromkeys(activities)
    others = sorted(set(names) - set(PAPER_ACTIVITY_COLOURS))
    colours = {name: OTHER_COLOURS[i % len(OTHER_COLOURS)] for i, name in enumerate(others)}
    return {name: PAPER_ACTIVITY_COLOURS.get(name) or colours[name] for name in names}


def text_colour(background: str) -> str:
    """Black or white, whichever is easier to read on a colour (relative luminance, WCAG 2)."""
    red, green, blue = (int(background[i : i + 2], 16) / 255 for i in (1, 3, 5))
    return "black" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.4 else "white"
