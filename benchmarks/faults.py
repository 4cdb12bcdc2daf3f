"""Every fault that the recorder is to survive, with counts: what docs/reliability.md shows.

Runs the scenarios of `tests/faults`, which CI runs too, with more places and more runs each.

    python benchmarks/faults.py                    all of them, about eight minutes
    python benchmarks/faults.py --only devices     one group
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from report import report, row

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.faults import (  # noqa: E402 - the tests' own scenarios
    boot_scenarios,
    clock_scenarios,
    disk_scenarios,
    process_scenarios,
)
from tests.faults.disk_scenarios import DISK_FULL, READ_ONLY, DiskOutcome  # noqa: E402
from tests.faults.scenarios import SCENARIOS, Outcome, run  # noqa: E402

N_DISK_PLACES = 200
N_READ_ONLY_PLACES = 50
N_SIGTERMS = 20
Row = dict[str, Any]


def devices() -> Iterator[Row]:
    """Chips, buses, cameras that fail while they are recorded."""
    for scenario in SCENARIOS.values():
        outcome = run(scenario)
        n_changed = sum(outcome.untouched.values())
        yield row(
            outcome.name,
            asked="each missing sample counted; other buses and the camera untouched",
            measured="; ".join(
                f"{hit.stream}: {hit.n_missing} missing, {hit.n_counted} counted, back after "
                f"{hit.back_s:.2f} s"
                for hit in outcome.hit
            )
            + f"; {n_changed} rows of others changed",
            reached=_is_balanced(outcome) and n_changed == 0,
            group="devices",
            detail=dataclasses.asdict(outcome),
        )


def _is_balanced(outcome: Outcome) -> bool:
    return not outcome.problems and all(
        hit.n_missing == hit.n_counted and not hit.wrong and not hit.n_astray for hit in outcome.hit
    )


def boots() -> Iterator[Row]:
    """Chips that are missing, or others than they were, when a recording begins."""
    for outcome in boot_scenarios.scenarios():
        told = f"refused: {outcome.refusal}" if outcome.refusal else "recorded without it"
        if outcome.appeared_s is not None:
            told = f"recorded from {outcome.appeared_s:.1f} s after it appeared"
        yield row(
            outcome.name,
            asked="refused in a sentence, or recorded as far as it can be",
            measured=told,
            reached=not outcome.left_over and not outcome.wrong,
            group="boots",
            detail=dataclasses.asdict(outcome),
        )


def disks() -> Iterator[Row]:
    """Disks that fill or become read-only at any call, and a slow one."""
    for what, code, n_places in (
        ("disk full", DISK_FULL, N_DISK_PLACES),
        ("remounted read-only", READ_ONLY, N_READ_ONLY_PLACES),
    ):
        chosen = disk_scenarios.places(n_places, code)
        yield _disk_row(what, [disk_scenarios.fail_at(place, code) for place in chosen])
    slow = disk_scenarios.record_on_a_slow_disk()
    yield row(
        "each fsync takes 2 s",
        asked="no sample lost",
        measured=f"{sum(slow.n_changed.values())} rows lost or changed in {slow.n_syncs} fsyncs; "
        f"longest time between two commits {slow.longest_unsafe_s:.1f} s",
        reached=not any(slow.n_changed.values()),
        group="disks",
        detail=dataclasses.asdict(slow),
    )


def _disk_row(what: str, outcomes: list[DiskOutcome]) -> Row:
    met = [outcome for outcome in outcomes if outcome.call]
    endings = Counter(outcome.ending for outcome in met)
    calls = Counter(outcome.call for outcome in met)
    n_lost = sum(outcome.n_lost for outcome in met)
    left_over = [outcome.left_over for outcome in met if outcome.left_over]
    cut_off = sum(
        outcome.n_sessions - outcome.n_in_order for outcome in met if outcome.ending != "refused"
    )
    return row(
        f"{what} at each of {len(outcomes)} places",
        asked="refused with nothing left, or ended; all that was acknowledged is sealed",
        measured=f"{n_lost} of {sum(o.n_acknowledged for o in met)} acknowledged rows lost; "
        + ", ".join(f"{n} {ending}" for ending, n in endings.most_common())
        + f"; met by {', '.join(f'{n} {call}' for call, n in calls.most_common())}",
        reached=not n_lost and not left_over,
        group="disks",
        detail={
            "n_places": len(outcomes),
            "n_met": len(met),
            "endings": dict(endings),
            "calls": dict(calls),
            "n_acknowledged": sum(outcome.n_acknowledged for outcome in met),
            "n_lost": n_lost,
            "n_cut_off": cut_off,
        },
    )


def clocks() -> Iterator[Row]:
    """Wall clocks that are set while recording."""
    day_s = clock_scenarios.DAY_S
    outcomes = [
        clock_scenarios.set_by(day_s),
        clock_scenarios.set_by(-day_s),
        clock_scenarios.synchronised_after_an_hour(),
    ]
    for outcome in outcomes:
        yield row(
            f"{outcome.name}, {outcome.what}",
            asked="no sample moved or lost; UTC right",
            measured=f"{outcome.n_samples} samples, {outcome.n_moved or 0} moved, "
            f"{outcome.n_lost} lost; UTC off by {outcome.largest_utc_error_ns} ns at most",
            reached=not outcome.n_moved
            and not outcome.n_lost
            and outcome.largest_utc_error_ns == 0
            and outcome.synchronised,
            group="clocks",
            detail=dataclasses.asdict(outcome),
        )


def processes() -> Iterator[Row]:
    """Signals, a second daemon, a reader who does not read."""
    ended = process_scenarios.sigterms(N_SIGTERMS)
    yield row(
        f"{N_SIGTERMS} SIGTERMs at random moments",
        asked="ended in order in under 2 s, no sample lost",
        measured=f"{sum(e.n_in_order for e in ended)} of {sum(e.n_sessions for e in ended)} "
        f"sessions in order, {sum(e.n_lost for e in ended)} of "
        f"{sum(e.n_acknowledged for e in ended)} acknowledged rows lost, longest "
        f"{max(e.took_s for e in ended):.2f} s",
        reached=all(
            e.took_s < 2.0 and e.exit_code == 0 and e.n_in_order == e.n_sessions and not e.n_lost
            for e in ended
        ),
        group="processes",
    )
    second = process_scenarios.second_daemon()
    yield row(
        f"a second daemon, {len(second.refusals)} times",
        asked="refused in a sentence; the first goes on and loses nothing",
        measured=f"exit code {second.refusals[0][0]}; of the first {second.first.n_lost} of "
        f"{second.first.n_acknowledged} acknowledged rows lost, {second.first.n_missing} samples "
        "missing",
        reached=all(code == 1 for code, _ in second.refusals) and not second.first.n_lost,
        group="processes",
    )
    deaf = process_scenarios.deaf_reader()
    yield row(
        "a subscriber that reads nothing",
        asked="nothing that is recorded changes",
        measured=f"{sum(deaf.n_changed.values())} rows changed; {deaf.n_offered} items offered in "
        f"seconds, the longest took {deaf.longest_offer_s * 1e3:.2f} ms",
        reached=not any(deaf.n_changed.values()),
        group="processes",
    )


GROUPS: dict[str, Callable[[], Iterator[Row]]] = {
    "devices": devices,
    "boots": boots,
    "disks": disks,
    "clocks": clocks,
    "processes": processes,
}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=list(GROUPS), help="run one group; writes no other")
    parser.add_argument("--json", type=Path, metavar="PATH", help="where the JSON file goes")
    asked = parser.parse_args()
    logging.disable(logging.CRITICAL)  # thousands of lines about faults that are meant to be
    rows: list[Row] = []
    for name in [asked.only] if asked.only else GROUPS:
        print(f"{name} ...", file=sys.stderr, flush=True)
        rows += GROUPS[name]()
    name = f"faults-{asked.only}" if asked.only else "faults"
    return 0 if report(name, rows, asked.json) else 1


if __name__ == "__main__":
    raise SystemExit(main())
