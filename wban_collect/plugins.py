"""Devices whose drivers other packages bring: found by their entry points, refused in a sentence.

See docs/plugins.md for what such a package promises.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from importlib.metadata import EntryPoint, entry_points
from typing import Any, cast, get_args

from wban_collect.clock import Clock
from wban_collect.config import DeviceConfig
from wban_collect.device import BusDevice
from wban_collect.errors import ConfigError
from wban_collect.i2c import I2CBus
from wban_dataset.recording.streams import EvidenceKind, StreamKind, StreamSpec

DEVICES = "wban.devices"
"""Group of entry points whose objects make a device:
``factory(name, bus, clock, *, stream, address, placement, **options)``."""

SIMULATED_DEVICES = "wban.simulated_devices"
"""Group whose objects make its simulated chip: ``factory(world, seed, *, address, clock_error)``;
an entry point of the same name as the device's."""

OWN_KEYS = frozenset(("name", "bus", "clock", "stream", "address", "placement"))
DEVICE_METHODS = ("start", "read", "stop", "next_due_ns", "deadline_ns")
STREAM_NAME = re.compile(r"[a-z][a-z0-9_]{0,60}")
MOTION_KINDS = ("accel", "gyro")


def installed(group: str = DEVICES) -> list[str]:
    """Names that the installed packages have registered."""
    return sorted({point.name for point in entry_points(group=group)})


def make_device(entry: DeviceConfig, name: str, bus: I2CBus, clock: Clock) -> BusDevice:
    """Make the device of a table of the configuration, under the name that the recorder gives it.

    Raises
    ------
    ConfigError
        If no package brings the driver, it cannot be loaded, it refuses an option, or its streams
        cannot be recorded.
    """
    factory = _load(DEVICES, entry)
    if factory is None:
        raise ConfigError(
            f"{entry.stream}: no installed package brings the driver {entry.driver!r}; "
            f"{_installed_words()}. Install the package into the same environment as wban "
            "(docs/plugins.md); wban's own drivers stand in [[motion]], [[thermal]] and "
            "[[infrared]]."
        )
    own = sorted(OWN_KEYS & entry.options.keys())
    if own:
        raise ConfigError(
            f"{_place(entry)}: options.{own[0]} is set by wban; expected only the driver's own "
            "options. Take it out of options."
        )
    keywords = {
        "stream": entry.stream,
        "address": entry.address,
        "placement": entry.placement,
        **entry.options,
    }
    device = _call(entry, factory, (name, bus, clock), keywords)
    _check_device(entry, name, device)
    return cast("BusDevice", device)


def make_simulated_chip(
    entry: DeviceConfig, world: object, seed: int, clock_error: float
) -> Any | None:
    """Make the simulated chip that a package brings for its device; None where it brings none.

    Raises
    ------
    ConfigError
        If it cannot be loaded or made.
    """
    factory = _load(SIMULATED_DEVICES, entry)
    if factory is None:
        return None
    keywords = {"address": entry.address, "clock_error": clock_error}
    return _call(entry, factory, (world, seed), keywords)


def refuse_same_names(devices: Iterable[tuple[str, Iterable[StreamSpec]]]) -> None:
    """Refuse two devices, given with their streams, of one name or with a stream of one name."""
    makers: dict[str, str] = {}
    names: set[str] = set()
    for device, streams in devices:
        if device in names:
            raise ConfigError(
                f"{device}: two devices have this name; expected one. Give one of them a 'name' "
                "of its own."
            )
        names.add(device)
        for spec in streams:
            if spec.name in makers:
                raise ConfigError(
                    f"{device}: it makes the stream {spec.name!r}, which {makers[spec.name]} makes "
                    "as well; expected a name of its own. Give one of them another 'name'."
                )
            makers[spec.name] = device


def _load(group: str, entry: DeviceConfig) -> Callable[..., Any] | None:
    points = list(entry_points(group=group, name=entry.driver))
    if not points:
        return None
    if len({point.value for point in points}) > 1:
        packages = " and ".join(sorted(_package(point) for point in points))
        raise ConfigError(
            f"{_place(entry)} is brought by {packages}; expected one package. Uninstall the other."
        )
    try:
        factory = points[0].load()
    except Exception as error:
        raise ConfigError(
            f"{_place(entry)} cannot be loaded from {points[0].value} of {_package(points[0])}: "
            f"{type(error).__name__}: {error}. Install it anew, or tell its author."
        ) from error
    return cast("Callable[..., Any]", factory)


def _call(
    entry: DeviceConfig,
    factory: Callable[..., Any],
    arguments: tuple[object, ...],
    keywords: dict[str, Any],
) -> Any:
    try:
        inspect.signature(factory).bind(*arguments, **keywords)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"{_place(entry)} cannot be made with the options given: {error}. Its own "
            "documentation says which it takes."
        ) from error
    try:
        return factory(*arguments, **keywords)
    except ValueError as error:
        raise ConfigError(f"{_place(entry)}: {error}") from error
    except Exception as error:
        raise ConfigError(
            f"{_place(entry)} failed with {type(error).__name__}: {error}; expected a device, or a "
            "ValueError that says what is allowed. Tell its author."
        ) from error


def _check_device(entry: DeviceConfig, name: str, device: Any) -> None:
    """Refuse what the recorder cannot run, before it does."""
    missing = [method for method in DEVICE_METHODS if not callable(getattr(device, method, None))]
    missing += [attribute for attribute in ("name", "streams") if not hasattr(device, attribute)]
    if missing:
        raise ConfigError(
            f"{_place(entry)} makes a {type(device).__name__} without {', '.join(missing)}; "
            "expected a BusDevice (wban_collect/device.py). Tell its author."
        )
    streams = cast("tuple[StreamSpec, ...]", tuple(device.streams))
    complaints = [_complaint(entry, spec) for spec in streams] or ["no stream; expected at least 1"]
    if device.name != name:
        complaints.insert(0, f"a device {device.name!r}; expected {name!r}, as it was told")
    complaint = next(filter(None, complaints), "")
    if complaint:
        raise ConfigError(f"{_place(entry)} makes {complaint}. Tell its author.")


def _complaint(entry: DeviceConfig, spec: StreamSpec) -> str:
    """Say why a stream cannot be recorded, or "" if it can."""
    what = f"the stream {spec.name!r}"
    if spec.name != entry.stream and not spec.name.startswith(f"{entry.stream}_"):
        return f"{what}; expected {entry.stream!r}, or a name that begins with '{entry.stream}_'"
    if not STREAM_NAME.fullmatch(spec.name):
        return f"{what}; expected a name of letters a-z, digits and '_'"
    if spec.kind not in get_args(StreamKind):
        kinds = ", ".join(get_args(StreamKind))
        return f"{what} of kind {spec.kind!r}; the session file knows {kinds}"
    if spec.evidence not in get_args(EvidenceKind):
        return f"{what} with evidence {spec.evidence!r}; expected fifo, ready or sensor"
    if spec.kind in MOTION_KINDS and (spec.dtype, spec.sample_shape) != ("<i2", (3,)):
        return f"{what} of {spec.dtype} {spec.sample_shape}; expected <i2 (3,) of its kind"
    if not spec.sampling_rate_hz > 0:
        return f"{what} at {spec.sampling_rate_hz} Hz; expected a rate above 0"
    return ""


def _place(entry: DeviceConfig) -> str:
    return f"{entry.stream}: the plug-in driver {entry.driver!r}"


def _installed_words() -> str:
    names = installed()
    return f"installed are {', '.join(names)}" if names else "none is installed"


def _package(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else point.value
