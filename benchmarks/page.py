"""Writes docs/benchmarks.md from what the benchmarks measured (benchmarks/results/*.json)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from report import COLUMNS, RESULTS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
ORDER = (
    "thermal",
    "journal",
    "stamps",
    "shared_bus",
    "reference_load",
    "sealing",
    "kills",
    "study",
    "daemon",
    "status",
    "publisher",
)

RELIABILITY = re.compile(r"(faults|fuzz|cuts|soak)\b")
"""What docs/reliability.md shows."""

HEAD = """# What was measured

Each table is what a script in `benchmarks/` printed; `make benchmarks` runs them all and writes
this page again. A ratio is taken within one run. "On a Pi 4" is an estimate: its cores are about
8 times slower than the one measured; nothing here was measured on a Pi.
"""


def table(document: dict[str, Any]) -> str:
    """One benchmark as Markdown."""
    machine = document["machine"]
    lines = [
        f"## {document['benchmark'].replace('_', ' ')}",
        "",
        f"`python benchmarks/{document['benchmark']}.py`, {machine['taken_utc'][:10]}, "
        f"{machine['n_cpus']} x {machine['cpu']}, Python {machine['python']}",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|" + " --- |" * len(COLUMNS),
    ]
    for row in document["rows"]:
        lines.append("| " + " | ".join(cell(row.get(column)) for column in COLUMNS) + " |")
    return "\n".join(lines)


def cell(value: Any) -> str:
    """Write a value as the tables on the screen do."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    return str(value).replace("|", "\\|")


def main() -> None:
    found = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    found = {name: document for name, document in found.items() if not RELIABILITY.match(name)}
    names = [name for name in ORDER if name in found] + sorted(set(found) - set(ORDER))
    PAGE.write_text("\n\n".join([HEAD.rstrip(), *(table(found[name]) for name in names)]) + "\n")
    print(PAGE)


if __name__ == "__main__":
    main()
