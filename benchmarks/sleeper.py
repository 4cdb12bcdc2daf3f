"""How late this machine wakes a process that only sleeps: what no program on it can better."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

NAP_S = 0.003
PRIORITY = 10


class Sleeper:
    """A process of its own that sleeps 3 ms at a time, with real-time priority where allowed.

    Attributes
    ----------
    late_ms
        After the ``with`` block: how late it was woken, at p50, p99 and at most.
    """

    def __init__(self) -> None:
        self.late_ms = (0.0, 0.0, 0.0)

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        said, _ = self._process.communicate()
        p50, p99, most = (float(word) for word in said.split())
        self.late_ms = (p50, p99, most)


def _sleep_until_asked() -> None:
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(PRIORITY))
    late_ms: list[float] = []
    while not select.select([sys.stdin], [], [], 0.0)[0]:
        began = time.perf_counter()
        time.sleep(NAP_S)
        late_ms.append((time.perf_counter() - began - NAP_S) * 1e3)
    late_ms.sort()
    print(*(late_ms[int(share * (len(late_ms) - 1))] for share in (0.5, 0.99, 1.0)))


if __name__ == "__main__":
    _sleep_until_asked()
