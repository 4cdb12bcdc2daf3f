"""wban-collect config init|check|show."""

from __future__ import annotations

import os
import shutil
from importlib.resources import files
from pathlib import Path

import click

from wban_collect.bus_budget import BUSY, IDLE_CORE, bus_load, buses
from wban_collect.config import DEFAULT_LOAD, Config, load_config, to_toml
from wban_collect.errors import ConfigError

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Configuration (TOML); the default load where it is left out.",
)


def configured(path: Path | None) -> Config:
    """Read the configuration, or take the default load."""
    return load_config(path) if path else DEFAULT_LOAD


def capacity(config: Config, out: Path) -> str:
    """Say how fast the disk fills: bytes per hour and hours until it is full.

    The sealed copy exists beside the journal for a while, so a session needs its size twice.
    """
    bytes_per_hour = config.bytes_per_second() * 3600
    # Path.exists raises for a name that is too long or a folder that may not be entered.
    existing = next(path for path in (out, *out.absolute().parents) if os.access(path, os.F_OK))
    free_bytes = shutil.disk_usage(existing).free - config.storage.keep_free_mb * 1e6
    hours = max(free_bytes, 0.0) / (2 * bytes_per_hour)
    return (
        f"{bytes_per_hour / 1e6:.0f} MB an hour, {bytes_per_hour * 24 / 1e9:.1f} GB a day before "
        f"compression; {out} takes one session of {hours:.0f} h (its copy while sealing included)"
    )


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
    """Check a configuration; say its streams and how fast it fills the disk."""
    config = configured(config_path)
    names = _check_with_the_drivers(config)
    click.echo(f"ok: streams {', '.join(names)}")
    click.echo(f"activities: {', '.join(config.activities())}")
    click.echo(capacity(config, Path(config.storage.out)))
    for number in buses(config):
        click.echo(_load_of_bus(config, number))


def _load_of_bus(config: Config, number: int) -> str:
    """Say how busy a bus will be; refuse what no bus can do."""
    hz = config.simulation.bus_hz
    load = bus_load(config, number, hz)
    if load > 1:
        raise ConfigError(
            f"bus {number}: its chips want {load:.0%} of its time at {hz / 1e3:.0f} kHz, expected "
            "at most 85%. Lower sampling_rate_hz or refresh_hz, or move a chip to another bus."
        )
    slow = bus_load(config, number, hz * IDLE_CORE)
    note = "; little is left for what goes wrong" if load > BUSY else ""
    if slow > 1:
        note += f"; an idling core clock makes that {slow:.0%}: see firmware_config/config.txt"
    return f"bus {number}: {load:.0%} busy at {hz / 1e3:.0f} kHz{note}"


def _check_with_the_drivers(config: Config) -> list[str]:
    """Refuse what no chip can do; name the streams: the drivers know their rates and addresses."""
    from wban_collect.assembly import Simulation, simulated_parts
    from wban_collect.simulation.people import one_activity

    simulation = Simulation(one_activity("sitting", 1), seed=1, start_ns=0, chips_may_lack=True)
    parts = simulated_parts(config, simulation)
    devices = [
        *(device for part in parts.buses for device in part.devices),
        *(part.device for part in parts.cameras),
    ]
    return [spec.name for device in devices for spec in device.streams]


@config_group.command()
@config_option
def show(config_path: Path | None) -> None:
    """Print the configuration with every default filled in."""
    click.echo(to_toml(configured(config_path)), nl=False)
