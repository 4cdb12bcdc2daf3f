"""A recorder at work on one page of a terminal, drawn from a `LiveView`.

What matters most stands first: a small terminal cuts off what is below.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from wban_collect.cli.live_view import PICTURES, LiveView, SeenStream
from wban_collect.cli.status_page import size, span
from wban_collect.cli.terminal_pictures import Curve, Picture, enlarged, fitted
from wban_collect.control.messages import Status, StreamStatus
from wban_collect.live.messages import LiveSample
from wban_dataset.recording.wording import printable

THERMAL_SHAPE = (24, 32)
ROOM_FOR_TWICE = (132, 48)
"""Columns and lines from which pictures are drawn at twice the size."""

GUTTER = 2
EVENTS_WIDTH = 30
"""Room beside the pictures from which on it is used for what has happened lately."""

MOST_EVENTS_BELOW = 3
LONGEST_CURVE = 60

SHORTEST_SPANS = {"accel": 1.0, "gyro": 0.5, "thermal": 1.0, "infrared": 8.0}
"""What fills a curve's height at least, in the stream's units: about ten times its noise."""

SHORTEST_HEAT_C = 4.0
SHORTEST_GREY = 48.0
"""What a picture's map spans at least."""

LATE_S, LATE_PERIODS = 3.0, 5.0
"""A stream whose newest sample is older than both is late."""

COLUMNS = ("stream", "rate Hz", "on disk", "lost", "age s", "now")
MATTERING = ("stream", "lost", "age s", "rate Hz", "now", "on disk")
"""Columns in the order in which they get what room there is."""

SHORTEST_NAME = 4

UNIT_SIGNS = {"m s-2": "m/s²", "rad s-1": "rad/s", "degC": "°C"}
STATE_STYLES = {"recording": "bold green", "starting": "bold yellow", "stopping": "bold yellow"}


class MonitorPage:
    """Draws what was known at `now_s`, in the width that there is."""

    def __init__(self, view: LiveView, now_s: float) -> None:
        self._view = view
        self._now_s = now_s

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        status = self._view.status
        if status is None:
            yield Text("waiting for the daemon's first word", style="dim")
            return
        silent_s = self._view.silent_s(self._now_s)
        yield from _title(status, options.max_width, is_present=not silent_s)
        yield _machine(status)
        yield from _complaints(status, silent_s)
        if status.streams:
            yield Text()
            yield self._table(status.streams, options.max_width, silent_s)
        yield from self._pictures(options.max_width, options.height or console.height)

    def _table(self, streams: Sequence[StreamStatus], width: int, silent_s: float) -> Table:
        """Draw the columns for which there is room, each whole; only a name may be shortened."""
        seen = [self._view.streams.get(stream.name) for stream in streams]
        cells = {name: list[Text]() for name in COLUMNS}
        for stream, its_seen in zip(streams, seen, strict=True):
            row = (*_figures(stream, silent_s), _newest(its_seen))
            for name, cell in zip(COLUMNS, row, strict=True):
                cells[name].append(cell)
        widths = {name: max(len(name), *map(_width, cells[name])) for name in COLUMNS}
        shown = _fitting(widths, width)
        room = width - sum(widths[name] + GUTTER for name in shown if name != "stream")
        widths["stream"] = max(SHORTEST_NAME, min(widths["stream"], room))
        table = Table(box=None, padding=(0, GUTTER, 0, 0), pad_edge=False, header_style="dim")
        for name in shown:
            justify = "left" if name in ("stream", "now") else "right"
            table.add_column(name, justify=justify, no_wrap=True, width=widths[name])
        rows = zip(*(cells[name] for name in shown), strict=True)
        taken = sum(widths[name] + GUTTER for name in shown)
        with_curves = len(shown) == len(COLUMNS) and taken < width
        if with_curves:
            table.add_column("", style="cyan")
        for row, its_seen in zip(rows, seen, strict=True):
            table.add_row(*row, *([_curve(its_seen)] if with_curves else []))
        return table

    def _pictures(self, width: int, height: int) -> Iterator[RenderableType]:
        """Pictures side by side, as many as fit, and what has happened beside or below them."""
        factor = 2 if width >= ROOM_FOR_TWICE[0] and height >= ROOM_FOR_TWICE[1] else 1
        columns = factor * THERMAL_SHAPE[1]
        shown = self._seen_pictures()[: max(1, (width + GUTTER) // (columns + GUTTER))]
        room = width - len(shown) * (columns + GUTTER)
        events: list[RenderableType] = [
            Text(event, style="dim", no_wrap=True, overflow="ellipsis")
            for event in self._view.events
        ]
        cells = [_captioned(seen.sample, factor) for seen in shown]
        widths = [columns] * len(cells)
        if cells and events and room >= EVENTS_WIDTH:
            cells.append(Group(Text("lately"), *events))
            widths.append(room)
            events.clear()
        if cells:
            yield Text()
            yield _side_by_side(cells, widths)
        if events:
            yield Text()
            yield from events[-MOST_EVENTS_BELOW:]

    def _seen_pictures(self) -> list[SeenStream]:
        pictures = [s for s in self._view.streams.values() if s.sample.about.kind in PICTURES]
        return sorted(
            pictures, key=lambda s: (PICTURES.index(s.sample.about.kind), s.sample.about.stream)
        )


def _fitting(widths: Mapping[str, int], width: int) -> list[str]:
    """Choose the columns that fit, those that matter most first; the first three always stay."""
    chosen: list[str] = []
    left = width + GUTTER
    for name in MATTERING:
        left -= widths[name] + GUTTER
        if left >= 0 or len(chosen) < 3:
            chosen.append(name)
        else:
            left += widths[name] + GUTTER
    return [name for name in COLUMNS if name in chosen]


def _width(cell: Text) -> int:
    return cell.cell_len


def _title(status: Status, width: int, *, is_present: bool) -> Iterator[RenderableType]:
    """Say what it does, or did when it was last heard, and where."""
    recording = status.recording
    left = Text(status.state, style=STATE_STYLES.get(status.state, "bold"))
    if not is_present:
        left = Text(f"was {status.state}", style="bold red")
    if recording is not None:
        left.append(f"  {_stopwatch(recording.duration_s)}", style="default")
        left.append(f"  {printable(recording.subject)}", style="not bold default")
        left.append(f"  {printable(recording.label)}", style="cyan")
    simulated = "simulated, " if status.simulated else ""
    right = Text(f"{simulated}wban {status.version} on {printable(status.host)}", style="dim")
    heading = Table.grid(expand=True, padding=(0, GUTTER, 0, 0), pad_edge=False)
    heading.add_column(no_wrap=True)
    heading.add_column(justify="right", no_wrap=True, overflow="ellipsis")
    heading.add_row(left, right)
    yield heading
    if recording is not None:
        folder = printable(recording.folder)
        shown = folder if len(folder) <= width else f"…{folder[1 - width :]}"
        yield Text(shown, style="dim", no_wrap=True)


def _figures(stream: StreamStatus, silent_s: float) -> list[Text]:
    """Say how a stream does; nothing has come from it since the daemon fell silent."""
    longest_s = max(LATE_S, LATE_PERIODS / stream.rate_hz) if stream.rate_hz else LATE_S
    age_s = stream.age_s + silent_s if stream.age_s >= 0 else stream.age_s
    is_late = not 0 <= age_s <= longest_s
    return [
        Text(printable(stream.name)),
        Text(f"{stream.rate_hz:.1f}"),
        Text(str(stream.n_acknowledged)),
        Text(str(stream.n_lost), style="bold red" if stream.n_lost else ""),
        Text(f"{age_s:.1f}" if age_s >= 0 else "-", style="red" if is_late else ""),
    ]


def _newest(seen: SeenStream | None) -> Text:
    """Give the newest values with their unit, in places that do not move."""
    if seen is None:
        return Text("-", style="dim")
    about, newest = seen.sample.about, seen.sample.values()[-1]
    unit = UNIT_SIGNS.get(about.units, printable(about.units))
    if about.kind == "infrared":
        return Text(f"{newest.mean():6.1f} mean grey")
    if about.kind == "thermal":
        lowest, highest = _bounds(newest)
        return Text(f"{_short(lowest)} to {_short(highest).strip()} {unit}")
    return Text(f"{' '.join(_short(value) for value in newest.ravel().tolist()[:3])} {unit}")


def _curve(seen: SeenStream | None) -> RenderableType:
    if seen is None:
        return Text()
    return Curve(seen.curve, SHORTEST_SPANS[seen.sample.about.kind], LONGEST_CURVE)


def _captioned(sample: LiveSample, factor: int) -> RenderableType:
    """Draw a picture below a line that says what it is."""
    about, values = sample.about, sample.values()[-1]
    lowest, highest = _bounds(values)
    caption = Text(printable(about.stream), no_wrap=True, overflow="ellipsis")
    if about.kind == "thermal":
        caption.append(f"  {_short(lowest).strip()} to {_short(highest).strip()} °C", style="bold")
        pixels, shortest = enlarged(values, factor), SHORTEST_HEAT_C
    else:
        caption.append(f"  {values.shape[1]} x {values.shape[0]}", style="dim")
        pixels, shortest = fitted(values, *(factor * n for n in THERMAL_SHAPE)), SHORTEST_GREY
    missing = max(0.0, shortest - (highest - lowest)) / 2
    is_heat = about.kind == "thermal"
    return Group(caption, Picture(pixels, lowest - missing, highest + missing, is_heat=is_heat))


def _side_by_side(cells: Sequence[RenderableType], widths: Sequence[int]) -> Table:
    grid = Table.grid(padding=(0, GUTTER, 0, 0), pad_edge=False)
    for width in widths:
        grid.add_column(width=width)
    grid.add_row(*cells)
    return grid


def _machine(status: Status) -> Text:
    text = f"{size(status.free_bytes)} free"
    if status.bytes_per_hour > 0 and math.isfinite(status.hours_left):
        text += f", {size(status.bytes_per_hour)} an hour, {span(status.hours_left * 3600)} left"
    backlog = status.backlog
    if backlog.sealing:
        text += f"; sealing at {backlog.fraction:.0%}"
    if backlog.n_waiting:
        text += f"; {backlog.n_waiting} of {backlog.limit} queued"
    if not status.synchronised:
        text += "; clock not synchronised"
    return Text(text, style="dim")


def _complaints(status: Status, silent_s: float) -> Iterator[Text]:
    if silent_s:
        yield Text(f"no word from the daemon for {silent_s:.0f} s", style="bold red")
    for trouble in status.troubles:
        style = "red" if trouble.required else "yellow"
        yield Text(f"{printable(trouble.device)}: {printable(trouble.error)}", style=style)
    if status.degraded:
        yield Text(f"degraded: it began without {', '.join(status.degraded)}", style="red")
    for warning in status.warnings:
        yield Text(printable(warning), style="yellow")


def _bounds(values: np.ndarray) -> tuple[float, float]:
    if np.isnan(values).all():
        return math.nan, math.nan
    return float(np.nanmin(values)), float(np.nanmax(values))


def _short(value: float) -> str:
    """Six characters of a number."""
    if math.isnan(value):
        return "     -"
    return f"{value:6.2f}" if abs(value) < 100 else f"{value:6.1f}"


def _stopwatch(duration_s: float) -> str:
    minutes, seconds = divmod(max(int(duration_s), 0), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"
