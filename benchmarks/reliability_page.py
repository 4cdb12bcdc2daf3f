"""Fills the tables of docs/reliability.md from what was measured (benchmarks/results/*.json).

A table stands between ``<!-- table: NAME -->`` and ``<!-- end -->``; what was not measured here
stays as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from page import cell
from report import COLUMNS, RESULTS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "reliability.md"
TABLE = re.compile(r"(<!-- table: (?P<name>[\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
TEMPORARY = re.compile(r"/\S*/(?=[0-9a-f]+\.bin)")
"""The folder of the copies in that run."""

Document = dict[str, Any]
Lines = Sequence[Sequence[Any]]


def markdown(head: Sequence[str], lines: Lines) -> str:
    """Write a table."""
    rows = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    rows += ["| " + " | ".join(map(cell, line)) + " |" for line in lines]
    return "\n".join(rows) + "\n"


def taken(document: Document, command: str) -> str:
    """Say when, where and how a table was measured."""
    machine = document["machine"]
    return (
        f"`{command}`, {machine['taken_utc'][:10]}, {machine['n_cpus']} x {machine['cpu']}, "
        f"Python {machine['python']}\n\n"
    )


def of_group(document: Document, group: str) -> list[dict[str, Any]]:
    """Give the rows of one group of faults."""
    return [line for line in document["rows"] if line["group"] == group]


def devices(document: Document) -> str:
    """Give one line for each stream that a fault hit."""
    head = (
        *("fault", "what happens", "stream", "recorded", "missing", "counted"),
        *("gaps in the file", "back after", "rows of other streams lost or changed"),
    )
    return markdown(head, list(_device_lines(document)))


def _device_lines(document: Document) -> Iterator[Sequence[Any]]:
    for line in of_group(document, "devices"):
        outcome = line["detail"]
        others = sum(outcome["untouched"].values())
        of_others = f"{others} ({', '.join(outcome['untouched'])})"
        for hit in _merged(outcome["hit"]):
            gaps = ", ".join(f"{n} x {cause}" for cause, n in hit["causes"].items()) or "none"
            yield (
                outcome["name"],
                outcome["what"],
                hit["stream"],
                f"{hit['n_recorded']} of {hit['n_undisturbed']}",
                hit["n_missing"],
                hit["n_counted"],
                gaps,
                f"{hit['back_s']:.2f} s",
                of_others,
            )


def _merged(hits: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Put streams of one FIFO, to which the same happened, into one line."""
    merged: list[dict[str, Any]] = []
    for hit in hits:
        same = {key: value for key, value in hit.items() if key != "stream"}
        if merged and {k: v for k, v in merged[-1].items() if k != "stream"} == same:
            merged[-1]["stream"] += f", {hit['stream']}"
        else:
            merged.append(dict(hit))
    return merged


def boots(document: Document) -> str:
    """Give what a recording does that cannot begin as it should."""
    lines = [
        (line["what"], line["detail"]["what"], TEMPORARY.sub("", line["measured"]))
        for line in of_group(document, "boots")
    ]
    return markdown(("at the start", "what is the matter", "what is done"), lines)


def disks(document: Document) -> str:
    """Give how recordings ended whose disk failed."""
    lines = [
        (line["what"], line["measured"], line["reached"]) for line in of_group(document, "disks")
    ]
    return markdown(("fault", "outcome", "nothing acknowledged lost"), lines)


def clocks(document: Document) -> str:
    """Give what became of recordings whose wall clock was set."""
    lines = [(line["what"], line["measured"]) for line in of_group(document, "clocks")]
    return markdown(("fault", "outcome"), lines)


def processes(document: Document) -> str:
    """Give signals, second daemons, deaf readers."""
    lines = [
        (line["what"], line["asked"], line["measured"], line["reached"])
        for line in of_group(document, "processes")
    ]
    return markdown(("fault", "asked", "measured", "reached"), lines)


def cuts(documents: Sequence[Document]) -> str:
    """Give one line for each run of `tests.system.vm.powercuts`."""
    head = (
        *("cuts", "of them on a disk that loses its cache", "while"),
        *("acknowledged rows", "lost", "sessions", "of them recovered"),
        *("longest tail", "tails beyond the promise", "problems"),
    )
    lines: list[Sequence[Any]] = []
    for document in documents:
        found = document["summary"]
        tails = ", ".join(f"{name} {tail:.2f} s" for name, tail in found["longest_tail_s"].items())
        lines.append(
            (
                *(found["cuts"], found["volatile"]),
                ", ".join(f"{phase} {n}" for phase, n in found["phases"].items()),
                *(found["acknowledged_rows"], found["acknowledged_rows_lost"]),
                *(found["sessions"], found["recovered"]),
                *(tails, found["tails_beyond"], len(found["problems"])),
            )
        )
    command = "`python -m tests.system.vm.powercuts --json benchmarks/results/cuts-NAME.json`\n\n"
    return command + markdown(head, lines)


def plain(document: Document) -> str:
    """Give a benchmark as it was printed, without the column about a Pi."""
    columns = COLUMNS[:4]
    return markdown(columns, [[line.get(name) for name in columns] for line in document["rows"]])


Maker = Callable[[Document], str]
FAULTS = "python benchmarks/faults.py"
TABLES: dict[str, tuple[Maker, str]] = {
    "devices": (devices, FAULTS),
    "boots": (boots, FAULTS),
    "disks": (disks, FAULTS),
    "clocks": (clocks, FAULTS),
    "processes": (processes, FAULTS),
}
"""Those that come out of faults.json; every other table is the file of its name, as it is."""

COMMANDS = {
    "kills": "python benchmarks/kills.py --runs 1000",
    "fuzz": "python benchmarks/fuzz.py",
    "soak-default-virtual": "python benchmarks/soak.py",
    "soak-reference-virtual": "python benchmarks/soak.py --load reference --virtual-hours 1 "
    "--session-minutes 5",
    "soak-default-real": "python benchmarks/soak.py --real-minutes 30 --session-minutes 2",
}


def filled(page: str, found: Mapping[str, Document]) -> str:
    """Give the page with every table that was measured."""

    def table(match: re.Match[str]) -> str:
        name = match["name"]
        power_cuts = [found[stem] for stem in sorted(found) if stem.startswith("cuts")]
        if name == "cuts" and power_cuts:
            return f"{match[1]}\n{cuts(power_cuts)}\n{match[3]}"
        maker, command = TABLES.get(name, (plain, COMMANDS.get(name, f"benchmarks/{name}.py")))
        document = found.get("faults" if name in TABLES else name)
        if document is None:
            return match[0]
        return f"{match[1]}\n{taken(document, command)}{maker(document)}\n{match[3]}"

    return TABLE.sub(table, page)


def main() -> None:
    found = {path.stem: json.loads(path.read_text()) for path in RESULTS.glob("*.json")}
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")
    print(PAGE)


if __name__ == "__main__":
    main()
