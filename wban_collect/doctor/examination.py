"""All checks in a row, as they are made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from wban_collect.assembly import device_name
from wban_collect.bus_budget import buses
from wban_collect.config import Config, i2c_address, stream_names
from wban_collect.control.messages import Status
from wban_collect.doctor.cameras import examine_camera
from wban_collect.doctor.chips import Chip, ExaminedBus, examine_bus
from wban_collect.doctor.disk import examine_disk
from wban_collect.doctor.finding import Finding, failure, ok, sentences, warning
from wban_collect.doctor.machine import examine_machine
from wban_collect.errors import WbanError
from wban_collect.parts import Parts


def examine(
    config: Config,
    out: Path,
    parts: Callable[[], Parts],
    nominal_hz: Callable[[int], int | None],
    daemon: Status | None,
    *,
    looked_for_daemon: bool = True,
) -> Iterator[Finding]:
    """Look at everything; what records is asked rather than disturbed.

    Parameters
    ----------
    parts
        Makes the hardware, or what stands for it.
    nominal_hz
        Speed that a bus was set to, by its number.
    daemon
        How the daemon does, where there is one.
    looked_for_daemon
        Whether it was looked for at all.
    """
    yield ok("configuration", f"streams {', '.join(stream_names(config))}")
    yield from examine_machine(config)
    yield from examine_disk(config, out, daemon)
    if not looked_for_daemon:
        yield ok("daemon", "not looked for: simulated chips are examined (--simulate)")
    elif daemon is None:
        yield ok("daemon", "none runs")
    else:
        yield from examine_daemon(daemon)
    if daemon is None or daemon.state == "idle":
        yield from _examine_hardware(config, parts, nominal_hz)


def examine_daemon(status: Status) -> Iterator[Finding]:
    """Tell what a daemon says; while it records the chips are its own."""
    area = "daemon"
    if status.state == "idle":
        yield ok(area, f"runs and is idle (wban {status.version})")
    else:
        yield ok(area, f"{status.state}; the chips are its own, so they are not tested now")
    for stream in status.streams:
        text = f"{stream.n_rows} rows at {stream.rate_hz:.1f}/s, {stream.n_lost} lost"
        if stream.n_lost:
            yield warning(
                stream.name, text, "see 'wban-dataset inspect' of the session: each gap has a cause"
            )
        else:
            yield ok(stream.name, text)
    for trouble in status.troubles:
        make = failure if trouble.required else warning
        yield make(trouble.device, trouble.error, "see docs/operating.md; it is tried again")
    for text in status.warnings:
        yield warning(area, text, "see docs/operating.md")
    backlog = status.backlog
    text = f"{backlog.n_waiting} of at most {backlog.limit} sessions wait to be sealed"
    if backlog.n_waiting >= backlog.limit:
        yield warning("sealing", text, "wait, or take a faster card: no new session begins")
    else:
        yield ok("sealing", text)


def _examine_hardware(
    config: Config, parts: Callable[[], Parts], nominal_hz: Callable[[int], int | None]
) -> Iterator[Finding]:
    try:
        made = parts()
    except WbanError as error:
        yield sentences("hardware", error)
        return
    address_of = {device_name(entry): i2c_address(entry) for entry in config.chips}
    for number, part in zip(buses(config), made.buses, strict=True):
        chips: list[Chip] = [(d, address_of[d.name]) for d in part.devices if d.name in address_of]
        yield from examine_bus(config, ExaminedBus(number, part, chips, nominal_hz(number)))
    for camera in made.cameras:
        yield from examine_camera(camera)
    made.close()
