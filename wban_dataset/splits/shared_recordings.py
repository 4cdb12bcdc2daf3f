"""Copies of recordings that stand on two sides of a fold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wban_dataset.session_info import SessionInfo
from wban_dataset.splits.audited import AuditedDataset
from wban_dataset.splits.findings import Finding, LeakKind
from wban_dataset.splits.fold import Fold, Role
from wban_dataset.splits.near_duplicates import Duplicate, Stretch
from wban_dataset.splits.shared import ROLE_PAIRS

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class _Copy:
    """Windows of two sessions that are made of the same."""

    sessions: tuple[int, int]
    windows: tuple[Ints, Ints]
    words: str
    is_warning: bool


@dataclass(frozen=True)
class SharedRecordings:
    """Holds duplicates against folds."""

    audited: AuditedDataset
    duplicates: Sequence[Duplicate]

    def findings(self, fold: Fold) -> Iterator[Finding]:
        """Duplicates of which one side is in one role and the other in another."""
        for roles in ROLE_PAIRS:
            for copy in self._copies:
                leaking = np.union1d(
                    _leaking(fold, roles, *copy.windows), _leaking(fold, roles, *copy.windows[::-1])
                )
                if len(leaking):
                    yield Finding(
                        fold.name,
                        LeakKind.DUPLICATE,
                        roles,
                        leaking,
                        copy.sessions,
                        copy.words,
                        copy.is_warning,
                    )

    @cached_property
    def _copies(self) -> list[_Copy]:
        """One for each pair of sessions, what is short of a copy apart."""
        grouped: dict[tuple[int, int, bool], list[Duplicate]] = {}
        for found in self.duplicates:
            key = (found.first.session, found.second.session, found.is_warning)
            grouped.setdefault(key, []).append(found)
        copies = [self._copy(key, group) for key, group in grouped.items()]
        return copies + self._equal_contents() + self._simultaneous()

    def _copy(self, key: tuple[int, int, bool], group: Sequence[Duplicate]) -> _Copy:
        first = [self._windows_in(found.first) for found in group]
        second = [self._windows_in(found.second) for found in group]
        return _Copy(
            (key[0], key[1]),
            (np.unique(np.concatenate(first)), np.unique(np.concatenate(second))),
            self._words(max(group, key=lambda d: (d.same_counts, d.duration_s))),
            is_warning=key[2],
        )

    def _equal_contents(self) -> list[_Copy]:
        """Sessions that are the same file, whatever they are called."""
        copies: list[_Copy] = []
        first_with: dict[str, int] = {}
        for number, session in enumerate(self.audited.sessions):
            other = first_with.setdefault(session.content_sha256, number)
            if session.content_sha256 and other != number:
                windows = self._windows_of(other), self._windows_of(number)
                words = f"all content of {self._name(other)} and {self._name(number)} is equal"
                copies.append(_Copy((other, number), windows, words, is_warning=False))
        return copies

    def _simultaneous(self) -> list[_Copy]:
        """Sessions of one person at one time: two devices worn at once are one movement.

        A warning only: stamps of day without a time of day say the same.
        """
        copies: list[_Copy] = []
        spans = [(i, s.subject, *_utc_span(s)) for i, s in enumerate(self.audited.sessions)]
        dated = sorted((subject, start, stop, i) for i, subject, start, stop in spans if stop > 0)
        for place, (subject, _, stop, number) in enumerate(dated):
            for other_subject, other_start, _, other in dated[place + 1 :]:
                if other_subject != subject or other_start >= stop:
                    break
                words = f"{self._name(number)} and {self._name(other)} were recorded at one time"
                windows = self._windows_of(number), self._windows_of(other)
                copies.append(_Copy((number, other), windows, words, is_warning=True))
        return copies

    def _words(self, found: Duplicate) -> str:
        sessions = f"{self._name(found.first.session)} and {self._name(found.second.session)}"
        where = found.first.stream
        if found.second.stream != where:
            where += f" and {found.second.stream}"
        if found.same_counts:
            return f"{sessions} have the same raw counts over {found.duration_s:.1f} s of {where}"
        over = f"over {found.duration_s:.1f} s of {where}"
        return f"{sessions} correlate with {found.correlation:.4f} {over}"

    def _name(self, number: int) -> str:
        session = self.audited.sessions[number]
        return f"{session.session_id} ({session.subject or 'unknown subject'})"

    def _windows_of(self, session: int) -> Ints:
        return np.flatnonzero(self.audited.windows.session == session)

    def _windows_in(self, stretch: Stretch) -> Ints:
        """Windows that have a row of the stretch; all, where the table does not tell its rows."""
        windows = self.audited.windows
        rows = self._windows_of(stretch.session)
        if stretch.stream not in windows.first_row:
            return rows
        first = windows.first_row[stretch.stream][rows]
        last = windows.last_row[stretch.stream][rows]
        return rows[(first < stretch.last_row) & (last > stretch.first_row) & (last > first)]


def _utc_span(session: SessionInfo) -> tuple[float, float]:
    """Start and end in s since 1970; 0 where the time is not known."""
    try:
        start_s = datetime.fromisoformat(session.start_utc).timestamp()
    except ValueError:
        return 0.0, 0.0
    return start_s, start_s + session.duration_ns / 1e9


def _leaking(fold: Fold, roles: tuple[Role, Role], one: Ints, other: Ints) -> Ints:
    """Windows of the first role on one side, if the second role is on the other."""
    if not (fold.role[other] == roles[1]).any():
        return one[:0]
    return one[fold.role[one] == roles[0]]
