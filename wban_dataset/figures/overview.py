"""A session at a glance: every stream on one time axis, labels, gaps, marks, and its quality."""

# pyright: basic
# matplotlib's types are partly unknown.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from wban_dataset.figures.style import (
    CHANNEL_COLOURS,
    GAP_COLOUR,
    RC_PARAMS,
    THERMAL_COLOURS,
    activity_colours,
    text_colour,
)
from wban_dataset.recording.session import Session, Stream

WIDTH_INCH = 9.0
N_PICTURES = 9
LEGEND_COLUMNS = 6
N_COLUMNS = 1500
"""Signals are drawn as the range of values in so many stretches of time."""

N_READ = 200_000
"""Samples read at once, so that a day's session needs no more memory than an hour's."""

HEIGHT_INCH = {"labels": 0.45, "accel": 1.25, "gyro": 1.25, "thermal": 0.95, "infrared": 0.95}
SIGNAL_NAMES = {"accel": "acceleration\nm/s²", "gyro": "angular rate\nrad/s"}


@dataclass(frozen=True)
class TimeAxis:
    """Seconds since the session's first sample."""

    start_ns: int
    stop_ns: int

    @classmethod
    def of(cls, session: Session) -> TimeAxis:
        """From the first sample of any stream to the last."""
        stamps = [session.stream(name).monotonic_ns for name in session.streams]
        stamps = [s for s in stamps if len(s)]
        if not stamps:
            return cls(0, 1)
        return cls(int(min(s[0] for s in stamps)), int(max(s[-1] for s in stamps)) + 1)

    @property
    def duration_s(self) -> float:
        """Length of the axis in s."""
        return (self.stop_ns - self.start_ns) / 1e9

    def seconds(self, times_ns: NDArray[np.int64] | int) -> Any:
        """Instants as seconds on the axis."""
        return (np.asarray(times_ns) - self.start_ns) / 1e9


def save_overview(session: Session, path: Path) -> None:
    """Draw the session into a PNG, SVG or PDF."""
    with mpl.rc_context(RC_PARAMS):
        overview(session).savefig(path, dpi=150)


def overview(session: Session) -> Figure:
    """Draw a session: labels, signals, film strips, and a line of quality per stream."""
    kinds = sorted(
        ((name, session.stream(name).kind) for name in session.streams),
        key=lambda item: (list(HEIGHT_INCH).index(item[1]), item[0]),
    )
    rows = [("labels", "labels"), *((n, k) for n, k in kinds if session.stream(n).n)]
    heights = [HEIGHT_INCH[kind] for _, kind in rows]
    footer_inch = 0.1 + 0.14 * max(len(kinds), 1)
    legend_inch = 0.16 * -(-len({label.label for label in session.labels}) // LEGEND_COLUMNS)
    header_inch = 0.62 + legend_inch
    height_inch = header_inch + sum(heights) + 0.17 * len(rows) + 0.5 + footer_inch
    figure = Figure(figsize=(WIDTH_INCH, height_inch))
    grid = figure.add_gridspec(
        len(rows),
        2,
        height_ratios=heights,
        width_ratios=(1.0, 0.012),
        left=0.085,
        right=0.945,
        top=1 - header_inch / height_inch,
        bottom=(0.5 + footer_inch) / height_inch,
        hspace=0.22,
        wspace=0.02,
    )
    time = TimeAxis.of(session)
    for number, (name, kind) in enumerate(rows):
        axes = figure.add_subplot(grid[number, 0])
        scale = figure.add_subplot(grid[number, 1])
        scale.set_axis_off()
        _DRAWN_BY[kind](session, name, time, axes, scale)
        axes.set_xlim(0, time.duration_s)
        if number < len(rows) - 1:
            axes.tick_params(labelbottom=False)
        else:
            axes.set_xlabel("time since the first sample, s")
    _title(figure, session, time, height_inch)
    _footer(figure, session, [name for name, _ in kinds], height_inch, footer_inch)
    return figure


def envelope(
    stream: Stream, time: TimeAxis
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Least and greatest value of each channel in stretches of equal length.

    Returns
    -------
    tuple
        Middle of each stretch in s, (m,); least and greatest values in physical units, (m, 3), NaN
        where nothing was recorded.
    """
    n_columns = min(N_COLUMNS, max(stream.n // 2, 1))
    low = np.full((n_columns, 3), np.inf)
    high = np.full((n_columns, 3), -np.inf)
    stamps = stream.monotonic_ns
    column = (stamps - time.start_ns) * n_columns // (time.stop_ns - time.start_ns)
    for first in range(0, stream.n, N_READ):
        last = min(first + N_READ, stream.n)
        values = stream.read(int(stamps[first]), int(stamps[last - 1]) + 1)
        np.minimum.at(low, column[first:last], values)
        np.maximum.at(high, column[first:last], values)
    low[np.isinf(low)] = high[np.isinf(high)] = np.nan
    middles = (np.arange(n_columns) + 0.5) * time.duration_s / n_columns
    return middles, low, high


def _draw_labels(session: Session, _name: str, time: TimeAxis, axes: Axes, _scale: Axes) -> None:
    labels = session.labels
    colours = activity_colours(label.label for label in labels)
    unnamed: dict[str, str] = {}
    for label in labels:
        start_s, stop_s = time.seconds(label.start_ns), time.seconds(label.stop_ns)
        start_s, stop_s = max(start_s, 0.0), min(stop_s, time.duration_s)
        if stop_s <= start_s:
            continue
        axes.barh(0, stop_s - start_s, left=start_s, height=1, color=colours[label.label], lw=0)
        text = label.label.replace("_", " ")
        if (stop_s - start_s) / time.duration_s > 0.0105 * len(text):
            axes.text(
                (start_s + stop_s) / 2, 0, text, ha="center", va="center", fontsize=7.5,
                color=text_colour(colours[label.label]),
            )  # fmt: skip
        else:
            unnamed[label.label] = colours[label.label]
    for time_ns in session.marks["time_ns"]:
        axes.axvline(time.seconds(int(time_ns)), color="black", lw=0.8)
    axes.set_ylim(-0.5, 0.5)
    axes.set_yticks([])
    axes.set_ylabel("labels", rotation=0, ha="right", va="center")
    if unnamed:
        axes.legend(
            handles=[
                Patch(color=colour, label=name.replace("_", " "))
                for name, colour in unnamed.items()
            ],
            loc="lower left",
            bbox_to_anchor=(0.0, 1.02),
            ncols=LEGEND_COLUMNS,
            fontsize=7,
            frameon=False,
            borderaxespad=0,
            handlelength=1.0,
            columnspacing=1.2,
        )


def _draw_signal(session: Session, name: str, time: TimeAxis, axes: Axes, scale: Axes) -> None:
    stream = session.stream(name)
    seconds, low, high = envelope(stream, time)
    for channel, colour in enumerate(CHANNEL_COLOURS):
        axes.fill_between(
            seconds, low[:, channel], high[:, channel], color=colour, lw=0.5, alpha=0.85
        )
        scale.text(
            0.3, 0.8 - 0.3 * channel, stream.channels[channel], color=colour, va="center",
            fontweight="bold", transform=scale.transAxes,
        )  # fmt: skip
    _shade_gaps(session, name, time, axes)
    axes.set_ylabel(SIGNAL_NAMES[stream.kind])
    if name != stream.kind:
        axes.set_title(name, loc="left", pad=2)
    axes.margins(y=0.08)


def _draw_thermal(session: Session, name: str, time: TimeAxis, axes: Axes, scale: Axes) -> None:
    stream = session.stream(name)
    pictures, instants_s = _pictures(stream, time)
    least, greatest = np.nanpercentile(pictures, [0.5, 99.8]) if pictures else (0.0, 1.0)
    _film_strip(axes, pictures, instants_s, THERMAL_COLOURS, float(least), float(greatest))
    _shade_gaps(session, name, time, axes)
    axes.set_ylabel("thermal" if name == "thermal" else name, rotation=0, ha="right", va="center")
    scale.set_axis_on()
    mappable = ScalarMappable(Normalize(least, greatest), THERMAL_COLOURS)
    bar = axes.figure.colorbar(mappable, cax=scale)
    bar.ax.set_title("°C", fontsize=7.5, pad=2)


def _draw_infrared(session: Session, name: str, time: TimeAxis, axes: Axes, _scale: Axes) -> None:
    pictures, instants_s = _pictures(session.stream(name), time)
    _film_strip(axes, pictures, instants_s, "gray", 0, 255)
    _shade_gaps(session, name, time, axes)
    axes.set_ylabel("infrared" if name == "infrared" else name, rotation=0, ha="right", va="center")


def _pictures(stream: Stream, time: TimeAxis) -> tuple[list[NDArray[Any]], list[float]]:
    """Pictures nearest to the middles of equal stretches of time, and their instants in s."""
    stamps = stream.monotonic_ns
    wanted_s = (np.arange(N_PICTURES) + 0.5) * time.duration_s / N_PICTURES
    wanted = np.searchsorted(stamps, time.start_ns + (wanted_s * 1e9).astype(np.int64))
    indices = np.unique(np.clip(wanted, min(1, stream.n - 1), stream.n - 1))
    pictures = [stream.read(int(stamps[i]), int(stamps[i]) + 1)[0] for i in indices]
    return pictures, [float(time.seconds(int(stamps[i]))) for i in indices]


def _film_strip(
    axes: Axes,
    pictures: list[NDArray[Any]],
    instants_s: list[float],
    colours: str,
    least: float,
    greatest: float,
) -> None:
    """Pictures side by side, each marked on the axis at its instant."""
    width = 1.0 / N_PICTURES
    for number, (picture, instant_s) in enumerate(zip(pictures, instants_s, strict=True)):
        left = (number + 0.5) / len(pictures) - width / 2
        frame = axes.inset_axes((left + 0.002, 0.06, width - 0.004, 0.94))
        frame.imshow(
            picture,
            cmap=colours,
            vmin=least,
            vmax=greatest,
            aspect="equal",
            interpolation="nearest",
        )
        frame.set_axis_off()
        axes.plot([instant_s], [0], marker="^", ms=3, color="black", clip_on=False, lw=0)
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)


def _shade_gaps(session: Session, name: str, time: TimeAxis, axes: Axes) -> None:
    gaps = session.gaps
    for stream, start_ns, stop_ns in zip(
        gaps["stream"], gaps["start_ns"], gaps["stop_ns"], strict=True
    ):
        if stream in (name, ""):
            axes.axvspan(
                time.seconds(int(start_ns)), time.seconds(int(stop_ns)), color=GAP_COLOUR, lw=0.8
            )


def _title(figure: Figure, session: Session, time: TimeAxis, height_inch: float) -> None:
    what = session.activity.replace("_", " ")
    if session.replay_source:
        what = (
            f"{'' if what == 'replayed' else what + '  ·  '}replayed from {session.replay_source}"
        )
    elif session.simulated:
        what += "  ·  simulated"
    start = session.start_utc[:19].replace("T", " ") + " UTC" if session.start_utc else "no date"
    state = session.ending
    figure.text(
        0.085, 1 - 0.22 / height_inch,
        f"{session.subject}  ·  {what}",
        fontsize=11, fontweight="bold", va="center",
    )  # fmt: skip
    figure.text(
        0.085, 1 - 0.42 / height_inch,
        f"{start}  ·  {time.duration_s:.1f} s  ·  {state}  ·  session {session.session_id}",
        fontsize=8, color="#444444", va="center",
    )  # fmt: skip


def _footer(
    figure: Figure, session: Session, names: list[str], height_inch: float, footer_inch: float
) -> None:
    lines = [
        f"{name:<14}{q['effective_rate_hz']:9.2f} Hz  {session.stream(name).n:>9,} samples  "
        f"{int(q['n_gaps'])} gaps  {int(q['n_lost'])} lost  "
        f"stamp uncertainty {q['unc_p99_ns'] / 1e6:.2f} ms (p99)"
        for name in names
        for q in [session.quality[name]]
    ]
    figure.text(
        0.085, footer_inch / height_inch, "\n".join(lines),
        fontsize=7, family="monospace", va="top", color="#333333", linespacing=1.3,
    )  # fmt: skip


_DRAWN_BY: dict[str, Callable[[Session, str, TimeAxis, Axes, Axes], None]] = {
    "labels": _draw_labels,
    "accel": _draw_signal,
    "gyro": _draw_signal,
    "thermal": _draw_thermal,
    "infrared": _draw_infrared,
}
