"""Subjects, sessions and dates as the units that a protocol deals out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wban_dataset.errors import DatasetError
from wban_dataset.session_info import SessionInfo
from wban_dataset.splits.options import Unit
from wban_dataset.windows.window_table import WindowTable

N_NAMED = 5


@dataclass(frozen=True, slots=True)
class Units:
    """The units that have labelled windows.

    Attributes
    ----------
    names
        Sorted, so that the order of sessions does not matter, (u,).
    counts
        Labelled windows by unit and class, int64 (u, c).
    of_window
        Place of each window's unit in `names`; -1 for windows without a label, (w,).
    without_windows
        Units that have no labelled window, sorted.
    """

    unit: Unit
    names: tuple[str, ...]
    counts: NDArray[np.int64]
    of_window: NDArray[np.int64]
    without_windows: tuple[str, ...]

    @property
    def one_class_only(self) -> list[str]:
        """Units whose windows are all of one class."""
        n_classes = (self.counts > 0).sum(axis=1)
        return [name for name, n in zip(self.names, n_classes, strict=True) if n == 1]

    @property
    def written_alike(self) -> list[list[str]]:
        """Names that differ only in case, spaces and signs, such as S01 and ``s-01``."""
        alike: dict[str, list[str]] = {}
        for name in self.names:
            letters = "".join(c for c in name.casefold() if c.isalnum())
            alike.setdefault(letters or name, []).append(name)
        return [names for names in alike.values() if len(names) > 1]


def units_of(
    unit: Unit, sessions: Sequence[SessionInfo], windows: WindowTable, n_classes: int
) -> Units:
    """Group the labelled windows by their subject, session or date.

    Raises
    ------
    DatasetError
        If no window has a label, or a session does not say its subject or date.
    """
    labelled = windows.is_labelled
    if not labelled.any():
        raise DatasetError(
            f"none of the {len(windows)} windows has a label, expected labels to divide them by. "
            "Add labels.csv to the sessions."
        )
    of_session = [_name(unit, session) for session in sessions]
    _refuse_unnamed(unit, sessions, of_session)
    numbers: list[int] = np.unique(windows.session[labelled]).tolist()
    used = {of_session[number] for number in numbers}
    names = tuple(sorted(used))
    place = {name: i for i, name in enumerate(names)}
    places = np.array([place.get(name, -1) for name in of_session], dtype=np.int64)
    of_window = np.where(labelled, places[windows.session], -1)
    counts = np.zeros((len(names), n_classes), dtype=np.int64)
    np.add.at(counts, (of_window[labelled], windows.label[labelled]), 1)
    return Units(unit, names, counts, of_window, tuple(sorted(set(of_session) - used)))


def named(names: Sequence[str]) -> str:
    """List a few names, and say how many more there are."""
    shown = ", ".join(names[:N_NAMED])
    return shown if len(names) <= N_NAMED else f"{shown} and {len(names) - N_NAMED} more"


def _name(unit: Unit, session: SessionInfo) -> str:
    if unit is Unit.SUBJECT:
        return session.subject
    return session.date if unit is Unit.DATE else session.session_id


def _refuse_unnamed(unit: Unit, sessions: Sequence[SessionInfo], names: Sequence[str]) -> None:
    unnamed = [s.session_id for s, name in zip(sessions, names, strict=True) if not name]
    if unnamed:
        raise DatasetError(
            f"{len(unnamed)} of {len(sessions)} sessions have no known {unit} ({named(unnamed)}), "
            f"expected one for each, since the split is by {unit}. "
            + (
                "Choose --protocol session."
                if unit is Unit.DATE
                else f"Give these sessions their {unit} when they are imported."
            )
        )
