"""What is said over and over in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from wban_collect.cli.repeats import QuietRepeats


class Log:
    """A log behind the filter, with a clock and a timer that are moved by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.lines: list[str] = []
        self.waiting: list[tuple[float, Callable[[], None]]] = []
        self.quiet = QuietRepeats(lambda: self.now_s, self._later)
        self.logger = logging.getLogger("test_repeats.bus")
        handler = logging.Handler()
        handler.emit = lambda record: self.lines.append(record.getMessage())
        handler.addFilter(self.quiet)
        self.logger.handlers, self.logger.propagate = [handler], False

    def _later(self, delay_s: float, call: Callable[[], None]) -> None:
        self.waiting.append((self.now_s + delay_s, call))

    def go_to(self, now_s: float) -> None:
        self.now_s = now_s
        due = [call for at_s, call in self.waiting if at_s <= now_s]
        self.waiting = [item for item in self.waiting if item[0] > now_s]
        for call in due:
            call()

    def said(self) -> list[str]:
        lines, self.lines = self.lines, []
        return lines


@pytest.fixture
def log() -> Log:
    return Log()


def test_a_repeated_warning_is_said_once_a_minute_and_counted(log):
    log.logger.warning("%s: overflow, %d left", "accel", 3)
    log.now_s = 59.0
    log.logger.warning("%s: overflow, %d left", "accel", 4)
    log.logger.warning("%s: overflow, %d left", "wrist", 4)
    log.now_s = 60.0
    log.logger.warning("%s: overflow, %d left", "accel", 5)
    assert log.said() == [
        "accel: overflow, 3 left",
        "wrist: overflow, 4 left",
        "accel: overflow, 5 left (1 more before)",
    ]


def test_what_was_held_back_is_said_although_nothing_comes_after_it(log):
    log.logger.warning("accel: %d left", 3)
    log.go_to(10.0)
    log.logger.warning("accel: %d left", 4)
    log.logger.warning("accel: %d left", 5)
    log.go_to(59.9)
    assert log.said() == ["accel: 3 left"]
    log.go_to(60.0)
    assert log.said() == ["accel: 5 left (2 more of these meanwhile)"]
    log.logger.warning("accel: %d left", 6)  # it was just said: another minute
    assert log.said() == []
    log.go_to(120.0)
    assert log.said() == ["accel: 6 left (1 more of these meanwhile)"]
    log.go_to(1000.0)
    assert log.said() == []


def test_what_was_held_back_is_said_at_the_end_of_the_program(log):
    log.logger.warning("accel: %d left", 3)
    log.logger.warning("accel: %d left", 4)
    log.quiet.say_all()
    assert log.said() == ["accel: 3 left", "accel: 4 left (1 more of these meanwhile)"]
    log.quiet.say_all()
    assert log.said() == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (
            "/sessions/20260101T090000Z_S01_eating gone",
            "/sessions/20260102T090000Z_S01_eating gone",
        ),
        ("boot-1a2b-000012_S01: gone", "boot-1a2b-000013_S01: gone"),
        ("bus 1: timed out", "bus 2: timed out"),
        ("bus 1: 0x68 not acknowledged", "bus 1: 0x69 not acknowledged"),
        ("thermal delivers nothing.", "accel delivers nothing."),
    ],
)
def test_different_things_are_both_said_whatever_holds_their_text(log, one, other):
    log.logger.warning("%s", one)
    log.logger.warning("%s", other)
    assert log.said() == [one, other]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("thermal delivers nothing after 12 s.", "thermal delivers nothing after 13 s."),
        ("/sessions: 12.5 MB free", "/sessions: 9.75 MB free"),
        ("accel: 3 of 12", "accel: 10 of 11"),
    ],
)
def test_figures_do_not_make_another_warning(log, one, other):
    log.logger.warning("%s", one)
    log.logger.warning("%s", other)
    assert log.said() == [one]


def test_what_is_no_warning_is_never_held_back(log):
    log.logger.setLevel(logging.INFO)
    log.logger.info("recording into %s", "a")
    log.logger.info("recording into %s", "a")
    assert log.said() == ["recording into a", "recording into a"]
