"""A warning that comes again and again is said once a minute, with how often it came."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

PAUSE_S = 60.0


class QuietRepeats(logging.Filter):
    """Lets a warning through, and the next of its kind about the same thing a minute later.

    Of one kind are warnings of one logger with the same text before its values are filled in, and
    the same first value: the device.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._monotonic = monotonic
        self._said: dict[tuple[str, str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to say it; what is kept back is counted in the next that is said."""
        if record.levelno < logging.WARNING:
            return True
        args = record.args if isinstance(record.args, tuple) else ()
        key = (record.name, str(record.msg), str(args[0]) if len(args) > 1 else "")
        now_s = self._monotonic()
        said_s, n_kept = self._said.get(key, (-PAUSE_S, 0))
        if now_s - said_s < PAUSE_S:
            self._said[key] = said_s, n_kept + 1
            return False
        self._said[key] = now_s, 0
        if n_kept:
            record.msg, record.args = f"{record.getMessage()} ({n_kept} more before)", ()
        return True
