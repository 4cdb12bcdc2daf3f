"""Transitions of one session, from its labels and its signal.

A label whose class is named ``A_to_B`` is a transition itself. Everywhere else two different
activities that follow each other within `MAX_GAP_NS` have a boundary between them; if signals are
given, the transition is refined around it, and where these do not show one, as between two ways of
walking, the bare boundary stays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wban_dataset.labels.timeline import UNLABELLED, Timeline
from wban_dataset.transitions.built_in_settings import built_in
from wban_dataset.transitions.motion import Motion
from wban_dataset.transitions.refinement import RefinementSettings, refine
from wban_dataset.transitions.transition_table import Source, TransitionTable, table_of
from wban_dataset.windows.cutting import StreamTimes

MAX_GAP_NS = 5_000_000_000
"""Activities further apart than this do not follow each other."""

_TRANSITION_NAME = re.compile(r"(?P<before>[a-z0-9]+(_[a-z0-9]+)*?)_to_(?P<after>[a-z0-9_]+)\Z")


@dataclass(frozen=True, slots=True)
class MotionStream:
    """An accelerometer or a gyroscope of one session: times, and values (n, 3) in SI units."""

    times: StreamTimes
    values: NDArray[np.floating]


def motions(accel: MotionStream, gyro: MotionStream | None = None) -> list[Motion]:
    """Make one `Motion` of every stretch of the accelerometer without a gap."""
    made: list[Motion] = []
    stretches = accel.times.stretches
    for start_ns, stop_ns in zip(
        stretches.start_ns.tolist(), stretches.stop_ns.tolist(), strict=True
    ):
        own = _rows(accel.times, start_ns, stop_ns)
        if gyro is None:
            made.append(Motion.of(accel.times.stamps_ns[own], accel.values[own]))
        else:
            turning = _rows(gyro.times, start_ns, stop_ns)
            made.append(
                Motion.of(
                    accel.times.stamps_ns[own],
                    accel.values[own],
                    gyro.times.stamps_ns[turning],
                    gyro.values[turning],
                )
            )
    return made


def extract(
    timeline: Timeline,
    session: int = 0,
    signal: Sequence[Motion] = (),
    settings: RefinementSettings | None = None,
) -> TransitionTable:
    """Find the transitions of a session.

    Parameters
    ----------
    session
        The session's number, for the table.
    signal
        Of `motions`; none: boundaries are not refined.
    settings
        Of `refinement.fit`, on other people; None: the built-in ones, which were fitted on HAPT.

    Returns
    -------
    TransitionTable
        Sorted by onset.
    """
    codes = timeline.code.tolist()
    named = {code: parts for code, name in enumerate(timeline.classes) if (parts := _parts(name))}
    rows = [_explicit(timeline, span, named) for span in range(len(codes)) if codes[span] in named]
    for span in range(len(codes) - 1):
        one, other = codes[span], codes[span + 1]
        gap_ns = int(timeline.start_ns[span + 1] - timeline.stop_ns[span])
        if one != other and one not in named and other not in named and gap_ns <= MAX_GAP_NS:
            rows.append(_implicit(timeline, span, signal, settings))
    rows.sort(key=lambda row: (row["onset_ns"], row["boundary_ns"]))
    return table_of({"session": session, **row} for row in rows)


def is_transition(name: str) -> bool:
    """Whether a class is by its name a transition: ``sit_to_stand``."""
    return _parts(name) is not None


def _parts(name: str) -> tuple[str, str] | None:
    match = _TRANSITION_NAME.match(name.lower())
    return (match["before"], match["after"]) if match else None


def _explicit(
    timeline: Timeline, span: int, named: Mapping[int, tuple[str, str]]
) -> dict[str, int]:
    """Make a row of a transition label and of what is beside it."""
    onset_ns, offset_ns = int(timeline.start_ns[span]), int(timeline.stop_ns[span])
    code = int(timeline.code[span])
    before, after = _beside(timeline, span, -1, named), _beside(timeline, span, 1, named)
    uncertainty_ns = int(timeline.uncertainty_ns[span])
    touches = after is not None and int(timeline.start_ns[after]) == offset_ns
    return {
        "from_label": _activity(timeline, before, named[code][0], named),
        "to_label": _activity(timeline, after, named[code][1], named),
        "transition_label": code,
        "boundary_ns": (onset_ns + offset_ns) // 2,
        "before_start_ns": onset_ns if before is None else int(timeline.start_ns[before]),
        "onset_ns": onset_ns,
        "offset_ns": offset_ns,
        "after_stop_ns": offset_ns if after is None else int(timeline.stop_ns[after]),
        "onset_uncertainty_ns": uncertainty_ns,
        "offset_uncertainty_ns": (
            int(timeline.uncertainty_ns[after]) if touches and after is not None else uncertainty_ns
        ),
        "source": Source.EXPLICIT,
    }


def _beside(
    timeline: Timeline, span: int, step: int, named: Mapping[int, tuple[str, str]]
) -> int | None:
    """Span of the activity right before or after a transition; None where there is none."""
    beside = span + step
    if not 0 <= beside < len(timeline) or int(timeline.code[beside]) in named:
        return None
    earlier, later = min(span, beside), max(span, beside)
    gap_ns = int(timeline.start_ns[later] - timeline.stop_ns[earlier])
    return beside if gap_ns <= MAX_GAP_NS else None


def _activity(
    timeline: Timeline, span: int | None, part: str, named: Mapping[int, tuple[str, str]]
) -> int:
    """Code of the activity beside a transition, or else the one that the name's part begins."""
    if span is not None:
        return int(timeline.code[span])
    for code, name in enumerate(timeline.classes):
        if code not in named and name.lower().startswith(part):
            return code
    return UNLABELLED


def _implicit(
    timeline: Timeline,
    span: int,
    signal: Sequence[Motion],
    settings: RefinementSettings | None,
) -> dict[str, int]:
    """Make a row of the boundary between a span and the next one."""
    before_start_ns, after_stop_ns = int(timeline.start_ns[span]), int(timeline.stop_ns[span + 1])
    left_ns, right_ns = int(timeline.stop_ns[span]), int(timeline.start_ns[span + 1])
    boundary_ns = (left_ns + right_ns) // 2
    uncertainty_ns = max(int(timeline.uncertainty_ns[span + 1]), (right_ns - left_ns) // 2)
    row = {
        "from_label": int(timeline.code[span]),
        "to_label": int(timeline.code[span + 1]),
        "transition_label": UNLABELLED,
        "boundary_ns": boundary_ns,
        "before_start_ns": before_start_ns,
        "onset_ns": boundary_ns,
        "offset_ns": boundary_ns,
        "after_stop_ns": after_stop_ns,
        "onset_uncertainty_ns": uncertainty_ns,
        "offset_uncertainty_ns": uncertainty_ns,
        "source": Source.BOUNDARY,
    }
    motion = next(
        (motion for motion in signal if 0 <= motion.place(boundary_ns) < len(motion)), None
    )
    if motion is None:
        return row
    chosen = settings if settings is not None else built_in(with_gyro=motion.gyro is not None)
    pair = timeline.classes[row["from_label"]], timeline.classes[row["to_label"]]
    found = refine(motion, pair, boundary_ns, chosen)
    if found is None or not found.is_distinct:
        return row
    onset_ns = min(max(found.onset_ns, before_start_ns), after_stop_ns)
    return row | {
        "onset_ns": onset_ns,
        "offset_ns": max(min(found.offset_ns, after_stop_ns), onset_ns),
        "onset_uncertainty_ns": found.onset_uncertainty_ns,
        "offset_uncertainty_ns": found.offset_uncertainty_ns,
        "source": Source.REFINED,
    }


def _rows(times: StreamTimes, start_ns: int, stop_ns: int) -> slice:
    first, last = np.searchsorted(times.stamps_ns, (start_ns, stop_ns)).tolist()
    return slice(first, last)
