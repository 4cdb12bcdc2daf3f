"""The machine under the recorder: supply, temperature, clock, rights, priority."""

from __future__ import annotations

import grp
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from wban_collect.clock_sources import synchronisation
from wban_collect.config import Config
from wban_collect.doctor.finding import Finding, failure, ok, warning
from wban_collect.health import CPU_TEMPERATURE, read_throttled, throttled_words

HOT_C = 75.0
"""A Pi 4 lowers its clock, and with it that of the I2C bus, at 80 to 85 degC."""

GROUPS = {"i2c": "the I2C buses", "gpio": "interrupt lines", "video": "the camera"}


def examine_machine(
    config: Config,
    *,
    throttled: Callable[[], int] = read_throttled,
    synchronised: Callable[[], tuple[bool, int]] = synchronisation,
    temperature: Path = CPU_TEMPERATURE,
) -> Iterator[Finding]:
    """Look at everything that is no chip, no camera and no disk."""
    yield _supply(throttled())
    yield _temperature(temperature)
    yield _clock(*synchronised())
    yield _priority()
    yield from _groups(config)


def _supply(bits: int) -> Finding:
    if bits < 0:
        return ok("supply", "this machine does not say whether its supply holds (no Pi)")
    words = throttled_words(bits)
    if not words:
        return ok("supply", "no under-voltage, no throttling since boot")
    return warning(
        "supply",
        "; ".join(words),
        "use the official supply and a short, thick cable; cool the Pi. A throttled Pi lowers the "
        "I2C clock and loses samples",
    )


def _temperature(path: Path) -> Finding:
    try:
        degrees = int(path.read_text(encoding="ascii")) / 1000
    except (OSError, ValueError):
        return ok("temperature", "this machine does not tell its temperature")
    if degrees < HOT_C:
        return ok("temperature", f"{degrees:.0f} degC")
    return warning(
        "temperature", f"{degrees:.0f} degC", "give the Pi air or a heat sink before it throttles"
    )


def _clock(synchronised: bool, error_ns: int) -> Finding:
    if synchronised:
        return ok("clock", f"synchronised, good to {error_ns / 1e6:.1f} ms")
    return warning(
        "clock",
        "not synchronised: sessions are named by boot until it is",
        "give the Pi a network or a real-time clock, and check with 'timedatectl'; samples are "
        "stamped correctly among themselves all the same",
    )


def _priority() -> Finding:
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))
    except OSError:
        return warning(
            "priority",
            "this user may not run the recorder before other programs",
            "put firmware_config/limits.conf into /etc/security/limits.d/ ('wban-collect install' "
            "does); a busy Pi loses a thermal subpage now and then otherwise",
        )
    os.sched_setscheduler(0, *before)
    return ok("priority", "may run before other programs")


def _groups(config: Config) -> Iterator[Finding]:
    """Say which groups this user lacks of those that the configuration needs."""
    needed = {"i2c"} if config.chips else set[str]()
    needed |= {"gpio"} if any(m.interrupt_line is not None for m in config.motion) else set[str]()
    needed |= {"video"} if config.infrared else set[str]()
    if os.geteuid() == 0:
        yield ok("rights", "root may do everything (better: a user in the groups that are needed)")
        return
    own = {*os.getgroups(), os.getegid()}
    missing = sorted(name for name in needed if _group_id(name) not in own)
    if not missing:
        yield ok("rights", f"this user is in {', '.join(sorted(needed)) or 'no group, needs none'}")
    for name in missing:
        yield failure(
            "rights",
            f"this user is not in the group {name}, which opens {GROUPS[name]}",
            f"sudo usermod -aG {name} $USER, then log in again",
        )


def _group_id(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        return -1
