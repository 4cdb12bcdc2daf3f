"""The table of transitions: one row a change from one activity to another, plain columns."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Source(IntEnum):
    """Where a transition's onset and offset come from."""

    EXPLICIT = 0
    REFINED = 1
    BOUNDARY = 2


@dataclass(frozen=True, slots=True)
class TransitionTable:
    """Transitions sorted by session, then by onset, (t,) each; spans are half-open.

    Attributes
    ----------
    session
        Number of the session, int32.
    from_label, to_label
        Codes of the activities, int16; -1 where what is beside the transition is unlabelled.
    transition_label
        Code of the label that says that this is a transition, int16; -1 where there is none.
    boundary_ns
        Where the labels change: of an explicit transition its middle, int64.
    before_start_ns, onset_ns, offset_ns, after_stop_ns
        The spans before [before_start, onset), of the transition [onset, offset) and after
        [offset, after_stop), on the session's own clock, int64.
    onset_uncertainty_ns, offset_uncertainty_ns
        int64; 0 where labels state none.
    source
        `Source`: a transition label, refined on the signal, or the bare boundary, which lasts 0 ns.
    """

    session: NDArray[np.int32]
    from_label: NDArray[np.int16]
    to_label: NDArray[np.int16]
    transition_label: NDArray[np.int16]
    boundary_ns: NDArray[np.int64]
    before_start_ns: NDArray[np.int64]
    onset_ns: NDArray[np.int64]
    offset_ns: NDArray[np.int64]
    after_stop_ns: NDArray[np.int64]
    onset_uncertainty_ns: NDArray[np.int64]
    offset_uncertainty_ns: NDArray[np.int64]
    source: NDArray[np.uint8]

    def __len__(self) -> int:
        """Count the transitions."""
        return len(self.session)

    @property
    def duration_ns(self) -> NDArray[np.int64]:
        """From onset to offset, (t,)."""
        return self.offset_ns - self.onset_ns

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """Every pair (from, to) that occurs, sorted."""
        return sorted(set(zip(self.from_label.tolist(), self.to_label.tolist(), strict=True)))

    def take(self, rows: NDArray[np.integer] | NDArray[np.bool_] | slice) -> TransitionTable:
        """Give the table of these rows only, in their order."""
        return TransitionTable(**{name: getattr(self, name)[rows] for name in COLUMN_TYPES})


COLUMN_TYPES: dict[str, type[np.generic]] = {
    "session": np.int32,
    "from_label": np.int16,
    "to_label": np.int16,
    "transition_label": np.int16,
    "boundary_ns": np.int64,
    "before_start_ns": np.int64,
    "onset_ns": np.int64,
    "offset_ns": np.int64,
    "after_stop_ns": np.int64,
    "onset_uncertainty_ns": np.int64,
    "offset_uncertainty_ns": np.int64,
    "source": np.uint8,
}


def table_of(rows: Iterable[dict[str, int]]) -> TransitionTable:
    """Make a table of rows, each with a value for every column."""
    listed = list(rows)
    columns: dict[str, Any] = {
        name: np.array([row[name] for row in listed], dtype=kind)
        for name, kind in COLUMN_TYPES.items()
    }
    return TransitionTable(**columns)


def joined(tables: Iterable[TransitionTable]) -> TransitionTable:
    """Put tables one behind the other; at least one."""
    parts = list(tables)
    return TransitionTable(
        **{
            column.name: np.concatenate([getattr(part, column.name) for part in parts])
            for column in fields(TransitionTable)
        }
    )
