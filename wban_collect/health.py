"""The recorder's own state: temperature, throttling, load, free space, fsync."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

from wban_dataset.recording.streams import HealthSample

CPU_TEMPERATURE = Path("/sys/class/thermal/thermal_zone0/temp")
THROTTLED = Path("/sys/devices/platform/soc/soc:firmware/get_throttled")
VCIO = Path("/dev/vcio")
"""Mailbox of the Pi's firmware; older and newer kernels have not the file in /sys."""

UNKNOWN = -1
"""Where the machine does not say whether it is throttled; any machine but a Pi."""

GET_THROTTLED = 0x00030046
"""Property tag of the firmware; its answer has the bits of THROTTLED_WORDS."""

MAILBOX_SUCCESS = 0x80000000
MAILBOX_PROPERTY = (3 << 30) | (struct.calcsize("P") << 16) | (100 << 8)
"""_IOWR(100, 0, char *): the one ioctl of /dev/vcio."""

THROTTLED_WORDS = {
    0: "under-voltage",
    1: "processor frequency capped",
    2: "throttled",
    3: "soft temperature limit",
    16: "under-voltage since boot",
    17: "processor frequency capped since boot",
    18: "throttled since boot",
    19: "soft temperature limit since boot",
}
"""What a bit means; the upper half tells what has happened since boot."""

_SINCE_BOOT = 16
_REQUEST = struct.Struct("=7I")

Ioctl = Callable[[int, int, bytearray], int]


def read_health(monotonic_ns: int, out: Path, fsync_ns: Iterable[int]) -> HealthSample:
    """Read what the machine says of itself; NaN and -1 where it says nothing."""
    durations = sorted(fsync_ns)
    return HealthSample(
        monotonic_ns=monotonic_ns,
        cpu_temp_c=_read_number(CPU_TEMPERATURE, 10, float("nan"), 1e-3),
        throttled=read_throttled(),
        free_bytes=shutil.disk_usage(out).free,
        load1=os.getloadavg()[0],
        fsync_p99_ns=durations[len(durations) * 99 // 100] if durations else 0,
    )


def read_throttled(sysfs: Path = THROTTLED, vcio: Path = VCIO, ioctl: Ioctl = fcntl.ioctl) -> int:
    """Read the firmware's bits on under-voltage and throttling; `UNKNOWN` where nobody says."""
    bits = int(_read_number(sysfs, 16, UNKNOWN))
    return bits if bits != UNKNOWN else _ask_firmware(vcio, ioctl)


def throttled_words(bits: int) -> list[str]:
    """Say in words what the bits mean: first what is now, then what has been since boot.

    What is now is not said again as "since boot". Empty where all is well, or unknown.
    """
    if bits < 0:
        return []
    now = bits & ((1 << _SINCE_BOOT) - 1)
    bits &= ~(now << _SINCE_BOOT)
    return [word for bit, word in THROTTLED_WORDS.items() if bits >> bit & 1]


def _ask_firmware(vcio: Path, ioctl: Ioctl) -> int:
    """Ask through the mailbox: size, code, one tag (name, room, length, value), end."""
    # The value of the request names bits to be cleared; 0 leaves "since boot" as it is.
    message = bytearray(_REQUEST.pack(_REQUEST.size, 0, GET_THROTTLED, 4, 0, 0, 0))
    try:
        descriptor = os.open(vcio, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return UNKNOWN
    try:
        ioctl(descriptor, MAILBOX_PROPERTY, message)
    except OSError:
        return UNKNOWN
    finally:
        os.close(descriptor)
    _size, code, _tag, _room, _length, bits, _end = _REQUEST.unpack(message)
    return bits if code == MAILBOX_SUCCESS else UNKNOWN


def _read_number(path: Path, radix: int, absent: float, scale: float = 1.0) -> float:
    try:
        return int(path.read_text(encoding="ascii"), radix) * scale
    except (OSError, ValueError):
        return absent
