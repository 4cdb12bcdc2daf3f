"""The machine's clocks side by side, and what the kernel says of their synchronisation."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

from wban_dataset.recording.streams import ClockAnchor

STA_UNSYNC = 0x0040
"""<sys/timex.h>: the clock is not synchronised."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class _Timex(ctypes.Structure):
    """Head of struct timex (<sys/timex.h>); the rest is room for what follows it."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_byte * 256),
    )


def read_anchor() -> ClockAnchor:
    """Read CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW and CLOCK_REALTIME, nearly at once."""
    readings = [_read_once() for _ in range(5)]
    width_ns, monotonic_ns, raw_ns, realtime_ns = min(readings)
    synchronised, est_error_ns = synchronisation()
    return ClockAnchor(monotonic_ns, raw_ns, realtime_ns, synchronised, est_error_ns + width_ns)


def synchronisation() -> tuple[bool, int]:
    """Whether the kernel's clock is synchronised, and its estimated error in ns (adjtimex)."""
    timex = _Timex()
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return False, 0
    synchronised = state >= 0 and not timex.status & STA_UNSYNC
    return synchronised, int(timex.esterror) * 1000


def boottime_offset_ns() -> int:
    """CLOCK_BOOTTIME - CLOCK_MONOTONIC in ns: the time that the machine has slept since boot."""
    before = time.monotonic_ns()
    boottime = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    offset = boottime - (before + time.monotonic_ns()) // 2
    # Below 0.1 ms it is the time that reading the clocks took.
    return offset if abs(offset) > 100_000 else 0


def boot_id() -> str:
    """Identity of this boot, since monotonic time means nothing beyond it."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _read_once() -> tuple[int, int, int, int]:
    before = time.monotonic_ns()
    realtime_ns = time.clock_gettime_ns(time.CLOCK_REALTIME)
    raw_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC_RAW)
    after = time.monotonic_ns()
    return after - before, (before + after) // 2, raw_ns, realtime_ns
