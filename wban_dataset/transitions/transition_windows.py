"""Windows of their own for transitions: their grid begins at each onset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from wban_dataset.labels.timeline import Timeline
from wban_dataset.transitions.transition_table import TransitionTable
from wban_dataset.windows.cutting import StreamTimes, reference_stream, windows_at
from wban_dataset.windows.window_rule import WindowRule
from wban_dataset.windows.window_table import WindowTable


class Part(IntEnum):
    """Where the middle of a window lies."""

    BEFORE = 0
    TRANSITION = 1
    AFTER = 2


@dataclass(frozen=True, slots=True)
class TransitionWindows:
    """Windows around transitions, (w,) each; one window may belong to two transitions.

    Attributes
    ----------
    windows
        Sorted by start.
    transition
        Row of the transition table, int64.
    part
        `Part`, uint8.
    """

    windows: WindowTable
    transition: NDArray[np.int64]
    part: NDArray[np.uint8]


def cut_transitions(
    table: TransitionTable,
    streams: Mapping[str, StreamTimes],
    timeline: Timeline,
    rule: WindowRule,
    context_ns: int,
    session: int = 0,
) -> TransitionWindows:
    """Cut the windows around the transitions of one session.

    A window starts at the onset of a transition and every stride before and after it, as far as it
    lies within `context_ns` of the transition, within the spans beside it and within a stretch of
    the reference stream without a gap.

    Parameters
    ----------
    table
        Of this session alone.
    streams, timeline, rule, session
        As for `windows.cutting.cut`; the rule ``drop-mixed`` leaves none out here.

    Raises
    ------
    DatasetError
        If the reference stream is not there, or stamps do not increase.
    """
    starts = [_starts(table, row, rule, context_ns) for row in range(len(table))]
    transition = np.repeat(np.arange(len(table)), [len(own) for own in starts])
    start_ns = np.concatenate([np.empty(0, np.int64), *starts])
    stretches = streams[reference_stream(streams, rule)].stretches
    fits = stretches.covered_ns(start_ns, start_ns + rule.length_ns) == rule.length_ns
    start_ns, transition = start_ns[fits], transition[fits]
    order = np.lexsort((transition, start_ns))
    start_ns, transition = start_ns[order], transition[order]
    middle_ns = start_ns + rule.length_ns // 2
    part = np.where(middle_ns < table.onset_ns[transition], Part.BEFORE, Part.TRANSITION)
    part = np.where(middle_ns >= table.offset_ns[transition], Part.AFTER, part)
    windows = windows_at(start_ns, streams, timeline, rule, session)
    return TransitionWindows(windows, transition, part.astype(np.uint8))


def _starts(
    table: TransitionTable, row: int, rule: WindowRule, context_ns: int
) -> NDArray[np.int64]:
    """Give the starts of the windows around one transition."""
    onset_ns = int(table.onset_ns[row])
    earliest_ns = max(onset_ns - context_ns, int(table.before_start_ns[row]))
    latest_ns = min(int(table.offset_ns[row]) + context_ns, int(table.after_stop_ns[row]))
    first = -((onset_ns - earliest_ns) // rule.stride_ns)
    last = (latest_ns - rule.length_ns - onset_ns) // rule.stride_ns
    return onset_ns + np.arange(first, last + 1, dtype=np.int64) * rule.stride_ns
