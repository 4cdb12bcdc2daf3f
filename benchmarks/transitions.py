"""Onset and offset of HAPT's postural transitions, their labels hidden and their borders moved.

For each of the 358 labelled transitions a method is told the two activities and one boundary: the
middle of the transition, moved by a seeded uniform +-2 s. It sees no transition label. Whatever is
learnt (weights, durations, constant errors) is learnt on the other 29 people, whose boundaries are
moved in the same way; each person's are moved five times for the test.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hapt_archive import PERIOD_NS, Recording, class_names, read_recordings
from numpy.typing import NDArray
from report import json_path_argument, report, row

from wban_dataset.transitions.motion import Motion
from wban_dataset.transitions.refinement import (
    Example,
    RefinementSettings,
    example,
    fit,
    refine,
)

SEED = 4
N_MOVES = 5
MOVED_BY_S = 2.0
FIRST_TRANSITION = 6
ASKED_MEDIAN_S = 0.5

Errors = NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """One labelled transition, and where its boundary was moved to, s (moves,)."""

    recording: int
    user: int
    pair: tuple[str, str]
    onset_ns: int
    offset_ns: int
    boundary_ns: NDArray[np.int64]

    def errors_s(self, onset_ns: float, offset_ns: float) -> tuple[float, float]:
        """How much later than labelled, s."""
        return (onset_ns - self.onset_ns) / 1e9, (offset_ns - self.offset_ns) / 1e9


def changes(recordings: Sequence[Recording]) -> list[Change]:
    generator = np.random.default_rng(SEED)
    names = class_names()
    found: list[Change] = []
    for recording in recordings:
        for first, last, code in recording.spans.tolist():
            if code < FIRST_TRANSITION:
                continue
            before, after = names[code].split("_to_")
            moved_s = generator.uniform(-MOVED_BY_S, MOVED_BY_S, N_MOVES)
            middle_ns = (first + last) * PERIOD_NS // 2
            found.append(
                Change(
                    recording.number,
                    recording.user,
                    (before, after),
                    first * PERIOD_NS,
                    last * PERIOD_NS,
                    middle_ns + np.rint(moved_s * 1e9).astype(np.int64),
                )
            )
    return found


def people(known: Sequence[Change]) -> Iterator[tuple[list[Change], list[Change]]]:
    """Leave one person out: the others' changes, and this person's."""
    for user in sorted({change.user for change in known}):
        yield [c for c in known if c.user != user], [c for c in known if c.user == user]


def unrefined(known: Sequence[Change]) -> Errors:
    return np.array([c.errors_s(b, b) for c in known for b in c.boundary_ns.tolist()])


def constant_guess(known: Sequence[Change], *, by_pair: bool) -> Errors:
    """Add to the boundary the constants that are best on the other people."""
    errors: list[tuple[float, float]] = []
    for others, own in people(known):
        for change in own:
            alike = [c for c in others if c.pair == change.pair or not by_pair]
            onset_ns, offset_ns = (
                np.median([getattr(c, which) - b for c in alike for b in c.boundary_ns.tolist()])
                for which in ("onset_ns", "offset_ns")
            )
            errors += [
                change.errors_s(b + onset_ns, b + offset_ns) for b in change.boundary_ns.tolist()
            ]
    return np.array(errors)


Fit = Callable[[list[Example]], RefinementSettings]


def refined(known: Sequence[Change], motions: dict[int, Motion], fitted: Fit = fit) -> Errors:
    errors: list[tuple[float, float]] = []
    examples = {id(change): training_example(change, motions) for change in known}
    for others, own in people(known):
        settings = fitted([examples[id(change)] for change in others])
        for change in own:
            for boundary_ns in change.boundary_ns.tolist():
                found = refine(motions[change.recording], change.pair, boundary_ns, settings)
                if found is None:
                    raise RuntimeError(f"recording {change.recording}: a boundary outside of it")
                errors.append(change.errors_s(found.onset_ns, found.offset_ns))
    return np.array(errors)


def training_example(change: Change, motions: dict[int, Motion]) -> Example:
    """Of a person whom settings are fitted to: boundary moved once, onset and offset known."""
    motion = motions[change.recording]
    boundary_ns = int(change.boundary_ns[0])
    return example(motion, change.pair, boundary_ns, change.onset_ns, change.offset_ns)


def pooled(examples: list[Example]) -> RefinementSettings:
    return RefinementSettings(fit(examples).pooled, {})


def figures(what: str, errors_s: Errors, *, asked: bool = False) -> dict[str, Any]:
    away = np.abs(errors_s)
    medians, p90 = np.median(away, axis=0), np.quantile(away, 0.9, axis=0)
    return row(
        what,
        asked=f"median of onset and offset under {ASKED_MEDIAN_S:g} s" if asked else "",
        measured=f"onset {medians[0]:.2f} s (p90 {p90[0]:.2f}), "
        f"offset {medians[1]:.2f} s (p90 {p90[1]:.2f})",
        reached=bool(medians.max() < ASKED_MEDIAN_S) if asked else None,
        n=len(errors_s),
        onset_median_s=float(medians[0]),
        onset_p90_s=float(p90[0]),
        offset_median_s=float(medians[1]),
        offset_p90_s=float(p90[1]),
    )


def main() -> int:
    json_path = json_path_argument(__doc__)
    recordings = read_recordings()
    known = changes(recordings)
    both = {r.number: Motion.of(r.stamps_ns, r.accel, r.stamps_ns, r.gyro) for r in recordings}
    accel = {r.number: Motion.of(r.stamps_ns, r.accel) for r in recordings}
    rows = [
        figures("as labelled, moved", unrefined(known)),
        figures("best constant from other people", constant_guess(known, by_pair=False)),
        figures("best constant for the pair", constant_guess(known, by_pair=True)),
        figures("refined, accelerometer alone", refined(known, accel)),
        figures("refined, one setting for all pairs", refined(known, both, pooled)),
        figures("refined", refined(known, both), asked=True),
    ]
    return 0 if report("transitions", rows, json_path) else 1


if __name__ == "__main__":
    raise SystemExit(main())
