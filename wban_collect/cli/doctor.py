"""wban-collect doctor: what is wrong, and what to do about it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from wban_collect.assembly import (
    EEPROM_FOLDER,
    Simulation,
    device_name,
    real_parts,
    simulated_parts,
)
from wban_collect.cli.configuration import config_option, configured
from wban_collect.cli.connection import Connection, connection_options, json_option
from wban_collect.config import Config, stream_names
from wban_collect.control.messages import Status, StatusRequest
from wban_collect.doctor.examination import examine
from wban_collect.doctor.finding import Finding
from wban_collect.doctor.report import report_page
from wban_collect.errors import DaemonUnreachableError
from wban_collect.i2c import LinuxI2CBus
from wban_collect.parts import Parts

SIGNS = {
    "ok": ("ok     ", "green"),
    "warning": ("warning", "yellow"),
    "failure": ("FAILURE", "red"),
}
WARNINGS, FAILURES = 3, 1
AREA_COLUMNS = 14


@click.command(
    epilog="""\b
Examples:
  wban-collect doctor
  wban-collect doctor --config /etc/wban/config.toml --report doctor.html
  wban-collect doctor --simulate         see what it says of simulated chips

\b
Exit codes: 0 all is well, 1 a failure, 3 warnings."""
)
@config_option
@click.option("--simulate", is_flag=True, help="Examine simulated chips instead.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="Folder for sessions.  [default: recordings]"
)
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write one page (HTML) that can be sent to whoever helps.",
)
@json_option
@connection_options
def doctor(
    connection: Connection,
    config_path: Path | None,
    simulate: bool,
    out: Path | None,
    report: Path | None,
    as_json: bool,
) -> None:
    """Check bus, chips, cameras, machine, disk and configuration; say the remedy of each.

    Nothing is recorded. While a daemon records, it is asked instead of its chips.
    """
    config = configured(config_path)
    daemon = None if simulate else _daemon(connection)
    folder = out or Path(daemon.out if daemon is not None else config.storage.out)
    findings: list[Finding] = []
    hardware = _hardware(config, simulate=simulate)
    columns = max(map(len, _areas(config)))
    for finding in examine(config, folder, *hardware, daemon, looked_for_daemon=not simulate):
        findings.append(finding)
        if as_json:
            click.echo(json.dumps(asdict(finding)))
        else:
            _say(finding, columns)
    if report is not None:
        report.write_text(report_page(findings, config), encoding="utf-8")
        click.echo(f"{report} written: one page, without names of people.", err=as_json)
    verdicts = {finding.verdict for finding in findings}
    if not as_json:
        click.echo(_summary(findings))
    sys.exit(FAILURES if "failure" in verdicts else WARNINGS if "warning" in verdicts else 0)


def _areas(config: Config) -> list[str]:
    """Name what findings will be about, as far as the width of their column depends on it."""
    devices = [device_name(entry) for entry in (*config.chips, *config.infrared)]
    return [" " * AREA_COLUMNS, *stream_names(config), *devices]


def _say(finding: Finding, columns: int) -> None:
    sign, colour = SIGNS[finding.verdict]
    click.echo(f"{click.style(sign, fg=colour)}  {finding.area:{columns}} {finding.text}")
    if finding.remedy:
        click.echo(f"{'':{len(sign) + 3 + columns}}-> {finding.remedy}")


def _summary(findings: list[Finding]) -> str:
    n_failures = sum(finding.verdict == "failure" for finding in findings)
    n_warnings = sum(finding.verdict == "warning" for finding in findings)
    if not n_failures and not n_warnings:
        return "All is well."
    told = f"{_counted(n_failures, 'failure')}, {_counted(n_warnings, 'warning')}"
    return f"{told}; '->' says what to do."


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _daemon(connection: Connection) -> Status | None:
    try:
        return connection.ask(StatusRequest()).status
    except DaemonUnreachableError:
        return None


def _hardware(
    config: Config, *, simulate: bool
) -> tuple[Callable[[], Parts], Callable[[int], int | None]]:
    """Give what makes the hardware, and what knows the speed that a bus was set to."""
    if not simulate:
        parts = partial(real_parts, config, Path.home() / EEPROM_FOLDER)
        return parts, lambda number: LinuxI2CBus(number).nominal_hz()
    from wban_collect.simulation.people import one_activity

    seed = config.simulation.seed
    simulation = Simulation(one_activity("sitting", seed), seed, config.simulation.chip_errors)
    return partial(simulated_parts, config, simulation), lambda number: config.simulation.bus_hz
