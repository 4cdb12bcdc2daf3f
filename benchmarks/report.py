"""One table and one JSON file for every benchmark, in one shape.

A benchmark collects rows and ends in `report`::

    rows = [row("journal on tmpfs", asked=">= 300 MB/s", measured="812 MB/s", reached=True,
                on_pi4="about 100 MB/s")]
    report("journal", rows, json_path)

A Pi 4 core is about 8 times slower than the x86-64 core that the figures are asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

PI4_SLOWDOWN = 8
COLUMNS = ("what", "asked", "measured", "reached", "on a Pi 4")
RESULTS = Path(__file__).parent / "results"


def row(
    what: str,
    *,
    asked: str = "",
    measured: str,
    reached: bool | None = None,
    on_pi4: str = "",
    **values: float | int | str,
) -> dict[str, Any]:
    """One line of the table.

    Parameters
    ----------
    asked
        The figure to reach; "" where the benchmark only states one.
    reached
        Whether it was reached; None where nothing was asked.
    values
        The same as plain numbers, for the JSON file alone; names carry units.
    """
    return {
        "what": what,
        "asked": asked,
        "measured": measured,
        "reached": reached,
        "on a Pi 4": on_pi4,
        **values,
    }


def report(
    name: str, rows: Sequence[Mapping[str, Any]], json_path: Path | str | None = None
) -> bool:
    """Print the rows as a table, write them as JSON, say whether all that was asked is reached.

    Parameters
    ----------
    name
        Of the benchmark; title of the table and stem of the file.
    rows
        Mappings with the keys of `COLUMNS`; further keys go to the file only.
    json_path
        Where the JSON goes; None: ``benchmarks/results/<name>.json``.

    Returns
    -------
    bool
        False when a row has ``reached`` False.
    """
    path = Path(json_path) if json_path is not None else RESULTS / f"{name}.json"
    _print_table(name, rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"benchmark": name, "machine": machine(), "rows": [dict(line) for line in rows]}
    path.write_text(json.dumps(document, indent=2, default=_plain) + "\n", encoding="utf-8")
    print(f"written to {path}", file=sys.stderr)
    return all(_plain(line.get("reached")) is not False for line in rows)


def machine() -> dict[str, str | int]:
    """Say what the figures were taken on, so that two files can be compared fairly."""
    return {
        "taken_utc": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "architecture": platform.machine(),
        "cpu": _cpu_model(),
        "n_cpus": os.cpu_count() or 0,
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


def json_path_argument(description: str | None = None) -> Path | None:
    """Parse the one argument that every benchmark takes: ``[--json PATH]``."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, metavar="PATH", help="where the JSON file goes")
    path: Path | None = parser.parse_args().json
    return path


def _print_table(name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    # Without a terminal rich assumes 80 columns, which breaks every line of a log.
    console = Console(width=None if sys.stdout.isatty() else 160)
    table = Table(title=name, title_justify="left", show_lines=False)
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for line in rows:
        table.add_row(*(Text(_cell(line.get(column))) for column in COLUMNS))
    console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    value = _plain(value)
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return str(value)


def _plain(value: Any) -> Any:
    """Turn a NumPy scalar into Python's own number, which JSON knows."""
    return value.item() if hasattr(value, "item") else value


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):
            return value.strip()
    return platform.processor()
