"""wban-collect config init|check|show."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import click

from wban_collect.bus_budget import BUSY, IDLE_CORE, bus_load, buses, refuse_overload
from wban_collect.config import (
    DEFAULT_LOAD,
    Config,
    ControlConfig,
    load_config,
    stream_name,
    to_toml,
)
from wban_collect.control.endpoints import check_endpoints
from wban_collect.errors import ConfigError

if TYPE_CHECKING:
    from wban_dataset.recording.streams import StreamSpec

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Configuration (TOML); the default load where it is left out.",
)


def configured(path: Path | None) -> Config:
    """Read the configuration, or take the default load."""
    return load_config(path) if path else DEFAULT_LOAD


def recordable(path: Path | None) -> Config:
    """Read the configuration and refuse what `config check` refuses; for all that record."""
    return _checked(path)[0]


def _checked(path: Path | None) -> tuple[Config, list[StreamSpec]]:
    """Read a configuration and refuse what it alone shows to be impossible."""
    config = configured(path)
    try:
        check_endpoints(config.control)
        refuse_overload(config)
        return config, _streams_of(config)
    except ConfigError as error:
        if path is None:
            raise
        raise ConfigError(f"{path}: {error}") from error


def capacity(config: Config, out: Path) -> str:
    """Say how fast the disk fills: bytes per day and how long until it is full."""
    from wban_collect.keeping.space import SpacePolicy

    # Path.exists raises for a name that is too long or a folder that may not be entered.
    existing = next(path for path in (out, *out.absolute().parents) if os.access(path, os.F_OK))
    room = SpacePolicy.of(config, out).room_text(shutil.disk_usage(existing).free)
    gb_per_day = config.bytes_per_second() * 86_400 / 1e9
    return f"{out}: {room}; {gb_per_day:.1f} GB a day before compression"


@click.group("config")
def config_group() -> None:
    """Make, check and show the configuration."""


@config_group.command()
@click.argument("path", type=click.Path(path_type=Path), default=Path("wban-collect.toml"))
@click.option("--force", is_flag=True, help="Write over a file that is there.")
def init(path: Path, force: bool) -> None:
    """Write a configuration in which every key is explained (default: wban-collect.toml)."""
    text = files("wban_collect").joinpath("example.toml").read_text(encoding="utf-8")
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise ConfigError(
            f"{path} is there already; choose another name or say --force."
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}; choose another place."
        ) from error
    click.echo(f"{path} written. Edit it, then: wban-collect config check --config {path}")


@config_group.command()
@config_option
def check(config_path: Path | None) -> None:
    """Check a configuration; say its streams and how fast it fills the disk.

    What is refused here, start and daemon refuse too. Keys for TCP that are missing are a warning:
    they may be on another machine.
    """
    config, specs = _checked(config_path)
    click.echo(f"ok: streams {', '.join(spec.name for spec in specs)}")
    for line in _rates(config, specs):
        click.echo(line)
    click.echo(f"activities: {', '.join(config.activities())}")
    for line in _missing_keys(config.control):
        click.echo(line)
    click.echo(capacity(config, Path(config.storage.out)))
    for number in buses(config):
        click.echo(_load_of_bus(config, number))


def _load_of_bus(config: Config, number: int) -> str:
    """Say how busy a bus will be."""
    hz = config.simulation.bus_hz
    load = bus_load(config, number, hz)
    slow = bus_load(config, number, hz * IDLE_CORE)
    note = "; little is left for what goes wrong" if load > BUSY else ""
    if slow > 1:
        note += f"; an idling core clock makes that {slow:.0%}: see firmware_config/config.txt"
    return f"bus {number}: {load:.0%} busy at {hz / 1e3:.0f} kHz{note}"


def _rates(config: Config, specs: list[StreamSpec]) -> Iterator[str]:
    """Tell of chips that have another rate than the one asked for."""
    rate_hz = {spec.name: spec.sampling_rate_hz for spec in specs}
    for motion in config.motion:
        name = stream_name(motion.name, "accel")
        if not math.isclose(rate_hz[name], motion.sampling_rate_hz, rel_tol=1e-3):
            yield (
                f"{name}: nearest rate of the chip: {rate_hz[name]:g} Hz "
                f"({motion.sampling_rate_hz:g} asked for); its own clock may be a few percent off, "
                "the true rate is measured"
            )


def _missing_keys(control: ControlConfig) -> Iterator[str]:
    """Warn where TCP is wanted and the daemon, if it ran here, would have no key."""
    if not (control.tcp or control.live_tcp):
        return
    from wban_collect.control.keys import Keys, keys_folder

    try:
        Keys(keys_folder(control.keys)).server()
    except ConfigError as error:
        yield f"warning: [control] asks for TCP, and the daemon would not start here: {error}"


def _streams_of(config: Config) -> list[StreamSpec]:
    """Refuse what no chip can do; give the streams: the drivers know their rates and addresses."""
    from wban_collect.assembly import Simulation, simulated_parts
    from wban_collect.simulation.people import one_activity

    simulation = Simulation(one_activity("sitting", 1), seed=1, start_ns=0, chips_may_lack=True)
    parts = simulated_parts(config, simulation)
    devices = [
        *(device for part in parts.buses for device in part.devices),
        *(part.device for part in parts.cameras),
    ]
    return [spec for device in devices for spec in device.streams]


@config_group.command()
@config_option
def show(config_path: Path | None) -> None:
    """Print the configuration with every default filled in."""
    click.echo(to_toml(configured(config_path)), nl=False)
