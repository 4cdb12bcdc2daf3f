"""What is said over and over in the log."""

from __future__ import annotations

import logging

from wban_collect.cli.repeats import QuietRepeats


def said(quiet: QuietRepeats, text: str, *args: object) -> str | None:
    record = logging.LogRecord("bus", logging.WARNING, "", 0, text, args, None)
    return record.getMessage() if quiet.filter(record) else None


def test_a_repeated_warning_is_said_once_a_minute_and_counted():
    now = [0.0]
    quiet = QuietRepeats(lambda: now[0])
    assert said(quiet, "%s: overflow, %d left", "accel", 3) == "accel: overflow, 3 left"
    now[0] = 59.0
    assert said(quiet, "%s: overflow, %d left", "accel", 4) is None
    assert said(quiet, "%s: overflow, %d left", "wrist", 4) == "wrist: overflow, 4 left"
    now[0] = 60.0
    assert (
        said(quiet, "%s: overflow, %d left", "accel", 5)
        == "accel: overflow, 5 left (1 more before)"
    )


def test_other_messages_are_not_held_back():
    quiet = QuietRepeats(lambda: 0.0)
    assert said(quiet, "recording into %s", "a") == "recording into a"
    assert said(quiet, "recording ended: %s", "x") == "recording ended: x"
