"""The recorder's own state: temperature, throttling, load, free space, fsync."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from wban_dataset.recording.streams import HealthSample

CPU_TEMPERATURE = Path("/sys/class/thermal/thermal_zone0/temp")
THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")


def read_health(monotonic_ns: int, out: Path, fsync_ns: Iterable[int]) -> HealthSample:
    """Read what the machine says of itself; NaN and -1 where it says nothing."""
    durations = sorted(fsync_ns)
    return HealthSample(
        monotonic_ns=monotonic_ns,
        cpu_temp_c=_read_number(CPU_TEMPERATURE, 10, float("nan"), 1e-3),
        throttled=int(_read_number(THROTTLED, 16, -1.0)),
        free_bytes=shutil.disk_usage(out).free,
        load1=os.getloadavg()[0],
        fsync_p99_ns=durations[len(durations) * 99 // 100] if durations else 0,
    )


def _read_number(path: Path, radix: int, absent: float, scale: float = 1.0) -> float:
    try:
        return int(path.read_text(encoding="ascii"), radix) * scale
    except (OSError, ValueError):
        return absent
