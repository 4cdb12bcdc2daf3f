"""What a watcher sees of a recorder: from messages to a page of text."""

from __future__ import annotations

import io

import msgspec
import numpy as np
import pytest
from rich.console import Console

from wban_collect.cli.live_view import LiveView, summary
from wban_collect.cli.monitor_page import MonitorPage
from wban_collect.control.messages import (
    BacklogStatus,
    DeviceTrouble,
    RecordingStatus,
    Status,
    StreamStatus,
)
from wban_collect.live.messages import (
    GapMessage,
    LabelMessage,
    LiveSample,
    MarkMessage,
    SampleMessage,
)

MS = 1_000_000
HEAD = {"session_id": "01J", "host": "pi4", "boot_id": "b", "simulated": False}
IDLE = Status(
    state="idle",
    version="0.2.0",
    host="pi4",
    boot_id="b",
    pid=812,
    now_ns=0,
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
    backlog=BacklogStatus(2, 12, "20260102T090000Z_S01_eating", 0.45),
    recording=RecordingStatus("/sessions/a", "01J", "S01", "speak_and_walk", 0, 5000.0, 1),
    streams=[
        StreamStatus("accel", 5000, 4950, 7, 1, 100.02, 0.1),
        StreamStatus("thermal", 400, 396, 0, 0, 8.0, 0.2),
        StreamStatus("infrared", 20, 20, 0, 0, 5.0, -1.0),
    ],
)


def sample(stream: str, kind: str, counts, first_index: int = 0, newest_ns: int = 0) -> LiveSample:
    about = SampleMessage(
        **HEAD,
        stream=stream,
        kind=kind,
        device="chip",
        placement="",
        mounting=(1.0,),
        dtype="<i2",
        shape=(1,),
        channels=("x", "y", "z"),
        units={"accel": "m s-2", "thermal": "degC"}.get(kind, "1"),
        scale_factor=0.01,
        add_offset=0.0,
        fill_value=-32768 if kind == "thermal" else None,
        every_nth_pixel=1,
        sampling_rate_hz=100.0,
        first_index=first_index,
        segment=0,
        newest_ns=newest_ns,
        newest_within_ns=0,
        period_ns=1e7,
        realtime_offset_ns=0,
        synchronised=True,
        data=b"",
    )
    return LiveSample(about, np.asarray(counts))


def accel(first_index: int = 0, n: int = 1, newest_ns: int = 0) -> LiveSample:
    return sample("accel", "accel", [[300, 400, -1200]] * n, first_index, newest_ns)


def seen(status: Status = RECORDING, *messages) -> LiveView:
    view = LiveView()
    view.hear(status, 100.0)
    for message in messages:
        view.take(message, 100.0)
    return view


def pictures() -> tuple[LiveSample, LiveSample]:
    """Heat from 20 degC in the first row to 43 in the last, and grey from 0 to 238."""
    heat = (2000 + 100 * np.arange(24)).repeat(32).reshape(1, 24, 32)
    grey = (200 * np.arange(120)).repeat(160).reshape(1, 120, 160)
    return sample("thermal", "thermal", heat), sample("infrared", "infrared", grey)


def page(view: LiveView, width: int = 80, height: int = 40, now_s: float = 100.0) -> list[str]:
    console = Console(file=io.StringIO(), color_system=None, width=width, height=height)
    console.print(MonitorPage(view, now_s))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


# --- the page ------------------------------------------------------------------------------------


def test_an_idle_recorder_says_so_and_how_much_room_there_is():
    assert page(seen(IDLE)) == [
        "idle" + "wban 0.2.0 on pi4".rjust(76),
        "12.3 GB free, 134.0 MB an hour, 1 d 21 h left",
    ]


def test_a_recording_says_since_when_of_whom_and_what():
    lines = page(seen())
    assert lines[0].startswith("recording  1:23:20  S01  speak_and_walk")
    assert lines[1] == "/sessions/a"
    assert lines[2].endswith("sealing at 45%; 2 of 12 queued")


def test_streams_show_rate_rows_losses_age_and_the_newest_values():
    (line,) = (line for line in page(seen(RECORDING, accel())) if line.startswith("accel"))
    assert line.split() == ["accel", "100.0", "4950", "7", "0.1", "3.00", "4.00", "-12.00", "m/s²"]


def test_a_stream_without_samples_here_shows_what_the_daemon_says_of_it():
    (line,) = (line for line in page(seen()) if line.startswith("infrared"))
    assert line.split() == ["infrared", "5.0", "20", "0", "-", "-"]


def test_pictures_stand_side_by_side_with_what_they_span():
    lines = page(seen(RECORDING, *pictures()))
    (caption,) = (line for line in lines if "160 x 120" in line)
    assert caption == "thermal  20.00 to 43.00 °C        infrared  160 x 120"
    place = lines.index(caption)
    assert lines[place + 1] == ""  # the coldest and the darkest row
    assert lines[place + 12] == "@" * 32 + "  " + "@" * 32


def test_what_happened_lately_stands_below_and_beside_where_there_is_room():
    gap = GapMessage(
        **HEAD, stream="accel", start_ns=1, stop_ns=2, n_missing=37, cause="torn", exact=True
    )
    label = LabelMessage(**HEAD, start_ns=1, stop_ns=0, label="eating", annotator="", source="live")
    view = seen(RECORDING, *pictures(), gap, label, MarkMessage(**HEAD, time_ns=1, text="cup"))
    assert [line[10:] for line in page(view)[-3:]] == [
        "accel: 37 lost, torn",
        "label eating",
        "mark cup",
    ]
    wide = page(view, width=120)
    assert wide[-1].endswith("@")
    assert sum("accel: 37 lost, torn" in line for line in wide) == 1


def test_what_is_wrong_stands_above_the_streams():
    status = msgspec.structs.replace(
        RECORDING,
        synchronised=False,
        troubles=[DeviceTrouble("mpu6050", True, "nothing answers.")],
        degraded=["mpu6050"],
        warnings=["room for 3.1 h."],
    )
    lines = page(seen(status, *pictures()))
    assert " ".join(lines[2:4]).endswith("queued; clock not synchronised")
    first = lines.index("mpu6050: nothing answers.")
    assert lines[first + 1 : first + 4] == [
        "degraded: it began without mpu6050",
        "room for 3.1 h.",
        "",
    ]
    assert lines[first + 4].startswith("stream")


def test_a_daemon_that_has_fallen_silent_is_shown_as_such():
    assert not any("no word" in line for line in page(seen(), now_s=102.0))
    lines = page(seen(), now_s=109.0)
    assert "no word from the daemon for 9 s" in lines
    assert lines[0].startswith("was recording  1:23:20")
    (accel_line,) = (line for line in lines if line.startswith("accel"))
    assert accel_line.split()[4] == "9.1"  # nothing has come from the stream either
    (never,) = (line for line in lines if line.startswith("infrared"))
    assert never.split()[4] == "-"


@pytest.mark.parametrize("width", [24, 34, 50, 66, 80])
def test_losses_and_ages_are_whole_in_a_narrow_terminal(width):
    lines = page(seen(RECORDING, accel()), width)
    (heading,) = (line for line in lines if line.startswith("stre"))
    (row,) = (line for line in lines if line.startswith("acc"))
    shown = heading.replace("rate Hz", "rate").replace("on disk", "disk").split()
    figures = dict(zip([word for word in shown if word != "s"], row.split(), strict=False))
    assert (figures["lost"], figures["age"]) == ("7", "0.1")
    assert "…" not in heading + row
    assert ("rate" in shown) == (width >= 34)
    assert ("now" in shown) == (width >= 66)


def test_before_the_first_word_there_is_nothing_to_show():
    assert page(LiveView()) == ["waiting for the daemon's first word"]


@pytest.mark.parametrize("width", [20, 40, 66, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width):
    view = seen(RECORDING, accel(), *pictures(), MarkMessage(**HEAD, time_ns=1, text="x" * 300))
    assert max(len(line) for line in page(view, width)) <= width


def test_a_small_terminal_shows_one_picture_and_a_large_one_shows_them_twice_as_large():
    view = seen(RECORDING, *pictures())
    assert page(view, width=60)[-1] == "@" * 32
    assert page(view, width=140, height=60)[-1] == "@" * 64 + "  " + "@" * 64


def test_what_others_wrote_cannot_command_the_terminal():
    status = msgspec.structs.replace(
        RECORDING,
        recording=RecordingStatus("/s/\x1b[2J", "01J", "S01", "a\x9bb", 0, 1.0, 1),
        warnings=["\x1b]0;title\x07"],
    )
    mark = MarkMessage(**HEAD, time_ns=1, text="\x1b[31mred\r\n")
    text = "\n".join(page(seen(status, mark)))
    assert "\x1b" not in text
    assert r"mark \x1b[31mred\r\n" in text


# --- what is kept of the messages ----------------------------------------------------------------


def test_samples_that_did_not_come_here_are_counted():
    view = seen(RECORDING, accel(0, 10), accel(10, 10), accel(35, 5), accel(41))
    assert view.streams["accel"].n_missed == 16  # 20 to 34, and 40


def test_another_session_begins_its_own_count():
    after = accel(500)
    about = msgspec.structs.replace(after.about, session_id="02J")
    view = seen(RECORDING, accel(0, 10), LiveSample(about, after.counts))
    assert view.streams["accel"].n_missed == 0


def test_a_curve_has_four_points_a_second():
    blocks = [accel(index, 1, index * 100 * MS) for index in range(10)]
    assert list(seen(RECORDING, *blocks).streams["accel"].curve) == [13.0] * 4  # of 3, 4 and 12


def test_the_view_is_complete_once_every_stream_that_delivers_was_seen():
    view = seen()
    assert not view.is_complete
    for message in (accel(), *pictures()):
        assert not view.is_complete
        view.take(message, 100.0)
    assert view.is_complete
    assert seen(IDLE).is_complete


def test_what_was_seen_of_a_recording_goes_with_it():
    view = seen(RECORDING, accel())
    view.hear(IDLE, 101.0)
    assert not view.streams
    view.take(accel(1), 101.0)  # the last of it, overtaken by the word that it has ended
    assert not view.streams


def test_a_program_is_told_plain_numbers():
    view = seen(RECORDING, accel(7, 2, 5), *pictures())
    assert summary(view.streams["accel"]) == {
        "kind": "accel",
        "units": "m s-2",
        "newest_ns": 5,
        "newest_index": 8,
        "n_missed_here": 0,
        "channels": ("x", "y", "z"),
        "newest": [3.0, 4.0, -12.0],
    }
    heat = summary(view.streams["thermal"])
    assert (heat["min"], heat["mean"], heat["max"]) == (20.0, 31.5, 43.0)


def test_heat_that_is_not_known_yet_is_no_number():
    unknown = sample("thermal", "thermal", np.full((1, 24, 32), -32768))
    view = seen(RECORDING, unknown)
    assert summary(view.streams["thermal"])["max"] is None
    assert any("thermal  - to - °C" in line for line in page(view))
    half = sample(
        "thermal", "thermal", np.where(np.arange(768) % 2, 2000, -32768).reshape(1, 24, 32)
    )
    assert summary(seen(RECORDING, half).streams["thermal"])["min"] == 20.0
