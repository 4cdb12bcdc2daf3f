"""A warning that comes again and again is said once a minute, with how often it came."""

from __future__ import annotations

import atexit
import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

PAUSE_S = 60.0

_COUNTED = "wban_counted"
"""Attribute of a record that says what was held back; it is never held back itself."""

_FIGURE = re.compile(r"(?<![\w./:-])\d+(\.\d+)?(?![\w/:-]|\.\d)")
"""A counter or a length of time. Digits that belong to a name, such as those of a folder, a device,
an address, or of ``bus 1:``, tell two things apart and are none."""


@dataclass
class _Kind:
    """What was said last of one kind, and the newest record that was held back since."""

    said_s: float
    n_kept: int = 0
    newest: logging.LogRecord | None = None


class QuietRepeats(logging.Filter):
    """Lets a warning through, and the next of its kind a minute later; nothing is lost silently.

    Of one kind are warnings of one logger with the same whole text but for figures in it. What is
    held back is counted in the next of its kind, or said by itself when the minute is over, or when
    the program ends.

    Parameters
    ----------
    monotonic, later
        Clock, and what calls a function after so many seconds; the system's, for tests.
    """

    def __init__(
        self,
        monotonic: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], None] | None = None,
    ) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._later = later or _call_later
        self._kinds: dict[tuple[str, str], _Kind] = {}
        self._is_armed = False
        self._lock = threading.Lock()
        atexit.register(self.say_all)

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to say it now."""
        if record.levelno < logging.WARNING or hasattr(record, _COUNTED):
            return True
        text = record.getMessage()
        key = record.name, _FIGURE.sub("#", text)
        now_s = self._monotonic()
        with self._lock:
            kind = self._kinds.get(key)
            if kind is not None and now_s - kind.said_s < PAUSE_S:
                kind.n_kept, kind.newest = kind.n_kept + 1, record
                self._arm(kind.said_s + PAUSE_S - now_s)
                return False
            self._kinds[key] = _Kind(now_s)
        if kind is not None and kind.n_kept:
            record.msg, record.args = f"{text} ({kind.n_kept} more before)", ()
        return True

    def say_due(self) -> None:
        """Say what was held back and has had its minute."""
        self._say(self._monotonic() - PAUSE_S)

    def say_all(self) -> None:
        """Say whatever was held back: the program ends."""
        self._say(self._monotonic())

    def _say(self, until_s: float) -> None:
        due: list[_Kind] = []
        now_s = self._monotonic()
        with self._lock:
            self._is_armed = False
            for key, kind in list(self._kinds.items()):
                if kind.said_s > until_s:
                    continue
                if kind.n_kept:
                    due.append(kind)
                    self._kinds[key] = _Kind(now_s)
                else:
                    del self._kinds[key]
            waiting_s = [kind.said_s for kind in self._kinds.values() if kind.n_kept]
            if waiting_s:
                self._arm(min(waiting_s) + PAUSE_S - now_s)
        for kind in due:
            if kind.newest is not None:
                logging.getLogger(kind.newest.name).handle(_counted(kind.newest, kind.n_kept))

    def _arm(self, delay_s: float) -> None:
        if not self._is_armed:
            self._is_armed = True
            self._later(max(delay_s, 0.0), self.say_due)


def _counted(record: logging.LogRecord, n_kept: int) -> logging.LogRecord:
    """Give a held back record as it was, with how many of its kind there were."""
    text = f"{record.getMessage()} ({n_kept} more of these meanwhile)"
    told = {"msg": text, "args": (), _COUNTED: True}
    return logging.makeLogRecord({**record.__dict__, **told})


def _call_later(delay_s: float, call: Callable[[], None]) -> None:
    timer = threading.Timer(delay_s, call)
    timer.daemon = True
    timer.start()
