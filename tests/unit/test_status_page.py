"""What a person reads of the daemon's answers."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import msgspec
import pytest

from wban_collect.cli.status_page import sessions_table, size, status_page
from wban_collect.control.messages import (
    BacklogStatus,
    DeviceTrouble,
    EndStatus,
    RecordingStatus,
    SessionEntry,
    Status,
    StreamStatus,
)

NOW = datetime(2026, 1, 2, 14, 30, 0, tzinfo=timezone(timedelta(hours=1)))
IDLE = Status(
    state="idle",
    version="0.2.0",
    host="pi4",
    boot_id="b",
    pid=812,
    now_ns=9_000_000_000_000,
    uptime_s=9000.0,
    out="/sessions",
    unattended=False,
    synchronised=True,
    free_bytes=12_300_000_000,
    bytes_per_hour=134e6,
    hours_left=45.9,
    backlog=BacklogStatus(0, 12),
)
RECORDING = msgspec.structs.replace(
    IDLE,
    state="recording",
    unattended=True,
    simulated=True,
    live_address="ipc:///run/wban/live.sock",
    backlog=BacklogStatus(2, 12, "20260102T090000Z_S01_eating", 0.45),
    # 1 h 23 min 20 s before `now_ns`: 13:06:40 local time.
    recording=RecordingStatus("/sessions/a", "01J", "S01", "eating", 4_000_000_000_000, 5000.0, 3),
    streams=[
        StreamStatus("accel", 500_000, 499_950, 0, 0, 100.02, 0.05),
        StreamStatus("thermal", 40_000, 39_996, 12, 1, 7.99, 0.2),
        StreamStatus("infrared", 0, 0, 0, 0, 0.0, -1.0),
    ],
)


def page(status: Status) -> str:
    return status_page(status, NOW)


def test_an_idle_daemon_says_how_much_room_there_is():
    assert page(IDLE).splitlines() == [
        "\x1b[1midle\x1b[0m",
        "  daemon    wban 0.2.0 on pi4, process 812, up 2 h 30 min",
        "  disk      12.3 GB free in /sessions, enough for at least 1 d 21 h at 134.0 MB an hour, "
        "copies made while sealing counted in",
        "  sealing   0 of at most 12 sessions wait",
        "  clock     synchronised",
    ]


def test_an_idle_daemon_says_when_and_why_the_last_recording_ended():
    at_ns = IDLE.now_ns - 750_000_000_000  # 12 min 30 s ago
    asked = EndStatus(at_ns, "asked to stop", orderly=True, folder="/sessions/a")
    assert page(msgspec.structs.replace(IDLE, last_end=asked)).splitlines()[1] == (
        "  last      /sessions/a ended 12 min 30 s ago, at 02 Jan 14:17:30: asked to stop"
    )
    full = msgspec.structs.replace(asked, reason="disk full", orderly=False)
    shown = page(msgspec.structs.replace(IDLE, last_end=full)).splitlines()[1]
    assert "\x1b[33m/sessions/a ended" in shown
    failed = EndStatus(at_ns, "thermal delivers nothing.", orderly=False)
    assert "nothing was recorded 12 min 30 s ago, at 02 Jan 14:17:30: thermal delivers" in page(
        msgspec.structs.replace(IDLE, last_end=failed)
    )


def test_what_it_does_otherwise_than_the_schedule_is_said():
    note = "recording outside the schedule: the clock is not known to be right"
    assert f"  by itself {note}\n" in page(msgspec.structs.replace(RECORDING, unattended_note=note))


def test_a_label_that_nobody_gave_is_said_to_be_the_configurations():
    recording = msgspec.structs.replace(RECORDING.recording, label_configured=True)
    first = page(msgspec.structs.replace(RECORDING, recording=recording)).splitlines()[0]
    assert "S01, eating (from the configuration): for" in first


def test_a_recording_says_what_since_when_and_how_each_stream_does():
    lines = page(RECORDING).splitlines()
    assert lines[0].endswith("S01, eating: for 1 h 23 min, since 02 Jan 13:06:40")
    assert lines[1:4] == [
        "  folder    /sessions/a",
        "  session   3 in a row, no gap between them",
        "  daemon    wban 0.2.0 on pi4, unattended, simulated chips, process 812, up 2 h 30 min",
    ]
    assert lines[5].endswith("2 of at most 12 sessions wait; 20260102T090000Z_S01_eating is at 45%")
    assert lines[7:] == [
        "  live data ipc:///run/wban/live.sock",
        "",
        "stream    rate Hz    rows  on disk  lost  gaps  age s",
        "accel       100.0  500000   499950     0     0    0.1",
        "\x1b[31mthermal       8.0   40000    39996    12     1    0.2\x1b[0m",
        "\x1b[31minfrared      0.0       0        0     0     0      -\x1b[0m",
    ]


def test_what_is_wrong_stands_at_the_end():
    status = msgspec.structs.replace(
        IDLE,
        synchronised=False,
        backlog=BacklogStatus(0, 12, failed=["x"]),
        troubles=[
            DeviceTrouble("camera", required=True, error="delivers nothing."),
            DeviceTrouble("thermal", required=False, error="no answer."),
        ],
        degraded=["camera"],
        recovered=["a: up to 0.5 s missing at its end"],
        warnings=["the disk is full in 20 h."],
    )
    text = page(status)
    assert "cannot be sealed: x" in text
    assert "not synchronised" in text
    last = [line.removeprefix("\x1b[33m").removesuffix("\x1b[0m") for line in text.splitlines()]
    assert last[-6:] == [
        "",
        "camera (required): delivers nothing.",
        "thermal (optional): no answer.",
        "degraded: it began without camera",
        "recovered after an interruption: a: up to 0.5 s missing at its end",
        "warning: the disk is full in 20 h.",
    ]


@pytest.mark.parametrize("hours_left", [float("inf"), float("nan")])
def test_hours_that_are_not_known_are_not_said(hours_left):
    text = page(msgspec.structs.replace(IDLE, hours_left=hours_left))
    assert "  disk      12.3 GB free in /sessions\n" in text


def test_sessions_are_lines_and_what_is_not_known_yet_is_a_dash():
    known = SessionEntry(
        "/sessions/b", "sealed", 1_500, "01J", "S01", "eating", "2026", 600.4, 12,
        recovered=True, verified_elsewhere=True, continues="a",
    )  # fmt: skip
    whole = SessionEntry("c", "sealed", 999, "01K", duration_s=59.9, complete=True)
    running = SessionEntry("/sessions/longest", "recording", 2_000_000, "01L", "S01")
    assert sessions_table([running, known, whole]) == (
        "session  state        size      length  lost\n"
        "longest  recording  2.0 MB           -     -\n"
        "b        sealed     1.5 kB  10 min 0 s    12  "
        "cut off, recovered, verified elsewhere, continues a\n"
        "c        sealed      999 B        59 s     0"
    )


@pytest.mark.parametrize(
    ("n_bytes", "said"),
    [(0, "0 B"), (999, "999 B"), (1_000, "1.0 kB"), (2.5e9, "2.5 GB"), (3e12, "3.0 TB")],
)
def test_a_size_is_said_in_its_unit(n_bytes, said):
    assert size(n_bytes) == said
