"""What the daemon says of itself, and its sessions, as plain columns for a person."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import PurePath

import click

from wban_collect.control.messages import EndStatus, SessionEntry, Status, StreamStatus
from wban_collect.durations import room_text, span

SEALED = "sealed"
_NAME_WIDTH = 9


def status_page(status: Status, now: datetime) -> str:
    """Lay out a status; `now` is the reader's local time."""
    return "\n".join(
        [
            *_recording(status, now),
            *_machine(status),
            *_streams(status.streams),
            *_troubles(status),
        ]
    )


def sessions_table(sessions: Sequence[SessionEntry]) -> str:
    """Lay out sessions, one line each; the length and losses of an unsealed one are not known."""
    rows = [
        (
            PurePath(entry.folder).name,
            entry.state,
            size(entry.n_bytes),
            span(entry.duration_s) if entry.duration_s else "-",
            str(entry.n_lost) if entry.state == SEALED else "-",
            ", ".join(_remarks(entry)),
        )
        for entry in sessions
    ]
    return "\n".join(_columns(("session", "state", "size", "length", "lost", ""), rows, left=2))


def size(n_bytes: float) -> str:
    """Say a size: ``12.3 GB``."""
    for power, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if n_bytes >= power:
            return f"{n_bytes / power:.1f} {unit}"
    return f"{n_bytes:.0f} B"


def _recording(status: Status, now: datetime) -> Iterator[str]:
    recording = status.recording
    if recording is None:
        yield click.style(status.state, bold=True)
        if status.last_end is not None:
            yield _line("last", _end(status.last_end, status.now_ns, now))
        return
    elapsed_s = (status.now_ns - recording.started_ns) / 1e9
    whence = " (from the configuration)" if recording.label_configured else ""
    since = now - timedelta(seconds=elapsed_s)
    yield (
        f"{click.style(status.state, bold=True)} {recording.subject}, {recording.label}{whence}: "
        f"for {span(elapsed_s)}, since {since:%d %b %H:%M:%S}"
    )
    yield _line("folder", recording.folder)
    if recording.n_sessions > 1:
        yield _line("session", f"{recording.n_sessions} in a row, no gap between them")


def _end(end: EndStatus, now_ns: int, now: datetime) -> str:
    """Say when and why the last recording ended."""
    ago_s = (now_ns - end.ended_ns) / 1e9
    at = f"{span(ago_s)} ago, at {now - timedelta(seconds=ago_s):%d %b %H:%M:%S}"
    what = f"{end.folder} ended" if end.folder else "nothing was recorded"
    text = f"{what} {at}: {end.reason}"
    return text if end.orderly else click.style(text, fg="yellow")


def _machine(status: Status) -> Iterator[str]:
    simulated = ", simulated chips" if status.simulated else ""
    unattended = ", unattended" if status.unattended else ""
    yield _line(
        "daemon",
        f"wban {status.version} on {status.host}{unattended}{simulated}, process {status.pid}, "
        f"up {span(status.uptime_s)}",
    )
    if status.unattended_note:
        yield _line("by itself", status.unattended_note)
    yield _line("disk", _room(status))
    yield _line("sealing", _backlog(status))
    known = "synchronised" if status.synchronised else "not synchronised: the time is a guess"
    yield _line("clock", known)
    if status.live_address:
        yield _line("live data", status.live_address)


def _room(status: Status) -> str:
    text = f"{size(status.free_bytes)} free in {status.out}"
    if status.bytes_per_hour > 0 and math.isfinite(status.hours_left):
        text += f", {room_text(status.hours_left, status.bytes_per_hour)}"
    return text


def _backlog(status: Status) -> str:
    backlog = status.backlog
    text = f"{backlog.n_waiting} of at most {backlog.limit} sessions wait"
    if backlog.sealing:
        text += f"; {backlog.sealing} is at {backlog.fraction:.0%}"
    if backlog.failed:
        text += click.style(f"; cannot be sealed: {', '.join(backlog.failed)}", fg="red")
    return text


def _streams(streams: Sequence[StreamStatus]) -> Iterator[str]:
    if not streams:
        return
    yield ""
    rows = [
        (
            stream.name,
            f"{stream.rate_hz:.1f}",
            str(stream.n_rows),
            str(stream.n_acknowledged),
            str(stream.n_lost),
            str(stream.n_gaps),
            f"{stream.age_s:.1f}" if stream.age_s >= 0 else "-",
        )
        for stream in streams
    ]
    head = ("stream", "rate Hz", "rows", "on disk", "lost", "gaps", "age s")
    lines = list(_columns(head, rows, left=1))
    yield lines[0]
    for stream, line in zip(streams, lines[1:], strict=True):
        yield click.style(line, fg="red") if stream.n_lost or stream.age_s < 0 else line


def _troubles(status: Status) -> Iterator[str]:
    lines = [
        f"{trouble.device} ({'required' if trouble.required else 'optional'}): {trouble.error}"
        for trouble in status.troubles
    ]
    if status.degraded:
        lines.append(f"degraded: it began without {', '.join(status.degraded)}")
    lines += [f"recovered after an interruption: {session}" for session in status.recovered]
    lines += [f"warning: {warning}" for warning in status.warnings]
    if lines:
        yield ""
    for line in lines:
        yield click.style(line, fg="yellow")


def _remarks(entry: SessionEntry) -> Iterator[str]:
    if entry.state == SEALED and not entry.complete:
        yield "cut off"
    if entry.recovered:
        yield "recovered"
    if entry.verified_elsewhere:
        yield "verified elsewhere"
    if entry.continues:
        yield f"continues {entry.continues}"


def _line(name: str, text: str) -> str:
    return f"  {name:<{_NAME_WIDTH}} {text}"


def _columns(head: Sequence[str], rows: Iterable[Sequence[str]], *, left: int) -> Iterator[str]:
    """Set columns as wide as their widest cell; the first `left` ones, and words, to the left."""
    table = [head, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(head))]
    for row in table:
        cells = [
            cell.ljust(width) if column < left or not head[column] else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
