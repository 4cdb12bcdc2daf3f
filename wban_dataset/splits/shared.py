"""What two roles of a fold share: samples, time, sessions, subjects, dates, statistics."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from wban_dataset.splits.audited import AuditedDataset
from wban_dataset.splits.findings import Finding, LeakKind
from wban_dataset.splits.fold import Fold, Role
from wban_dataset.splits.intervals import touched
from wban_dataset.splits.options import Unit
from wban_dataset.splits.units import named
from wban_dataset.windows.mapped import let_go
from wban_dataset.windows.window_table import NO_FRAME

ROLE_PAIRS = (
    (Role.TEST, Role.TRAIN),
    (Role.TEST, Role.VALIDATION),
    (Role.VALIDATION, Role.TRAIN),
)
"""The role that is compromised, and the one that it may share with."""

WINDOWS_AT_ONCE = 1 << 16

Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SharedBetweenRoles:
    """Looks for what is shared; prepared once, asked for each fold."""

    audited: AuditedDataset

    def findings(self, fold: Fold) -> Iterator[Finding]:
        """All that the roles of a fold share."""
        for roles in ROLE_PAIRS:
            rows, others = fold.rows(roles[0]), fold.rows(roles[1])
            if len(rows) and len(others):
                yield from self._samples(fold, roles, rows, others)
                yield from self._units(fold, roles, rows, others)
                yield from self._purge(fold, roles, rows, others)
        yield from self._statistics(fold)

    def _samples(
        self, fold: Fold, roles: tuple[Role, Role], rows: Ints, others: Ints
    ) -> Iterator[Finding]:
        if not self.audited.has_times:
            yield from self._not_excluded(fold, roles, rows, others)
            return
        shared: dict[str, Mask] = {}
        in_both = self._in_both(rows, others)
        for what, (first, last, apart) in self._spans.items():
            mask = np.zeros(len(rows), np.bool_)
            # Where sessions share none of these, only those with both roles are looked at.
            for places, near in in_both if apart else [(np.arange(len(rows)), others)]:
                inside = rows[places]
                spans = _piece(first, last, inside), _piece(first, last, near)
                mask[places] = touched(*spans[0], *spans[1])
            if mask.any():
                shared[what] = mask
        if shared:
            leaking = rows[np.logical_or.reduce(list(shared.values()))]
            partners = self._partners(leaking, others)
            detail = f"they have {named(list(shared))} in common"
            yield Finding(fold.name, LeakKind.SAMPLE, roles, leaking, partners, detail)

    def _not_excluded(
        self, fold: Fold, roles: tuple[Role, Role], rows: Ints, others: Ints
    ) -> Iterator[Finding]:
        """Ready windows of one person may overlap, and nothing tells whether they do."""
        whose = self._subjects[self._sessions]
        leaking = rows[np.isin(whose[rows], whose[others])]
        if len(leaking):
            detail = "they are of the same people, and without times an overlap is not excluded"
            yield Finding(
                fold.name, LeakKind.SAMPLE, roles, leaking, self._numbers(leaking), detail
            )

    def _units(
        self, fold: Fold, roles: tuple[Role, Role], rows: Ints, others: Ints
    ) -> Iterator[Finding]:
        for kind, unit_of_session, names in self._demanded:
            unit = unit_of_session[self._sessions]
            mask = np.isin(unit[rows], unit[others])
            if mask.any():
                leaking = rows[mask]
                codes: list[int] = np.unique(unit[leaking]).tolist()
                found = [names[code] or "unknown" for code in codes]
                yield Finding(fold.name, kind, roles, leaking, self._numbers(leaking), named(found))

    def _purge(
        self, fold: Fold, roles: tuple[Role, Role], rows: Ints, others: Ints
    ) -> Iterator[Finding]:
        gap_ns = self.audited.purge_ns
        if not gap_ns or not self.audited.has_times:
            return
        start, stop = self.audited.windows.start_ns, self.audited.windows.stop_ns
        mask = np.zeros(len(rows), np.bool_)
        for places, near in self._in_both(rows, others):
            inside = rows[places]
            from_ns, to_ns = start[inside] - gap_ns, stop[inside] + gap_ns
            mask[places] = touched(from_ns, to_ns, start[near], stop[near])
        if mask.any():
            leaking = rows[mask]
            detail = f"nearer than {gap_ns / 1e9:g} s"
            yield Finding(fold.name, LeakKind.PURGE, roles, leaking, self._numbers(leaking), detail)

    def _statistics(self, fold: Fold) -> Iterator[Finding]:
        fitted = self.audited.statistics.get(fold.name)
        if fitted is None:
            return
        fitted = np.unique(fitted)
        outside = fitted[fold.role[fitted] != Role.TRAIN]
        for role in (Role.TEST, Role.VALIDATION, Role.UNUSED):
            leaking = outside[fold.role[outside] == role]
            if len(leaking):
                yield Finding(
                    fold.name,
                    LeakKind.STATISTIC,
                    (role, Role.TRAIN),
                    leaking,
                    self._numbers(leaking),
                    f"{len(leaking)} of the {len(fitted)} windows fitted on do not train",
                )

    @cached_property
    def _sessions(self) -> Ints:
        return self.audited.windows.session.astype(np.int64)

    @cached_property
    def _subjects(self) -> Ints:
        """Code of the subject of each session."""
        return _codes([session.subject for session in self.audited.sessions])[0]

    @cached_property
    def _demanded(self) -> list[tuple[LeakKind, Ints, list[str]]]:
        """What must differ: kind of leak, code of each session, name of each code."""
        sessions, unit = self.audited.sessions, self.audited.unit
        ids = [session.session_id for session in sessions]
        demanded = [(LeakKind.SESSION, *_codes(ids))]
        if unit in (Unit.SUBJECT, Unit.WINDOW):
            demanded.append((LeakKind.SUBJECT, *_codes([s.subject for s in sessions])))
        if unit is Unit.DATE:
            demanded.append((LeakKind.DATE, *_codes([s.date for s in sessions])))
        return demanded

    @cached_property
    def _spans(self) -> dict[str, tuple[Ints, Ints | None, bool]]:
        """What windows cover, by what it is: for `_piece`, and whether two sessions share none.

        That they do not is looked at here and not taken for granted.
        """
        windows = self.audited.windows
        spans: dict[str, tuple[Ints, Ints | None, bool]] = {
            "time": (windows.start_ns, windows.stop_ns, True)
        }
        for stream, first in windows.first_row.items():
            last = windows.last_row[stream]
            spans[f"rows of {stream}"] = (first, last, _apart(windows.session, first, last))
        for stream, frame in windows.frame.items():
            apart = _apart(windows.session, frame, None)
            spans[f"frames of {stream}"] = (frame, None, apart)
        return spans

    def _in_both(self, rows: Ints, others: Ints) -> list[tuple[Ints, Ints]]:
        """Give places in `rows` and the others of each session that both have."""
        of_rows, of_others = self._sessions[rows], self._sessions[others]
        both = np.intersect1d(np.unique(of_rows), np.unique(of_others), assume_unique=True)
        if not len(both):
            return []
        order, other_order = (np.argsort(s, kind="stable") for s in (of_rows, of_others))
        found: list[tuple[Ints, Ints]] = []
        for session in both:
            own, other = (
                slice(*np.searchsorted(s, (session, session + 1), sorter=o))
                for s, o in ((of_rows, order), (of_others, other_order))
            )
            found.append((order[own], others[other_order[other]]))
        return found

    def _partners(self, leaking: Ints, others: Ints) -> tuple[int, ...]:
        both = np.intersect1d(self._sessions[leaking], self._sessions[others])
        return self._numbers(leaking) if not len(both) else tuple(both.tolist())

    def _numbers(self, rows: Ints) -> tuple[int, ...]:
        return tuple(np.unique(self._sessions[rows]).tolist())


def _codes(names: list[str]) -> tuple[Ints, list[str]]:
    """Give equal names equal numbers."""
    known = sorted(set(names))
    place = {name: i for i, name in enumerate(known)}
    return np.array([place[name] for name in names], dtype=np.int64), known


def _piece(first: Ints, last: Ints | None, rows: Ints | slice) -> tuple[Ints, Ints]:
    """Spans of some windows; without `last` those of the frame that `first` names."""
    starts = first[rows]
    if last is None:
        return starts, np.where(starts == NO_FRAME, starts, starts + 1)
    return starts, last[rows]


def _apart(session: NDArray[np.int32], first: Ints, last: Ints | None) -> bool:
    """Whether the spans of different sessions have nothing in common, nor lie between each other's.

    Looked at in pieces: the columns may be mapped files.
    """
    n_sessions = int(session.max()) + 1 if len(session) else 0
    low = np.full(n_sessions, np.iinfo(np.int64).max)
    high = np.full(n_sessions, np.iinfo(np.int64).min)
    for start in range(0, len(session), WINDOWS_AT_ONCE):
        piece = slice(start, start + WINDOWS_AT_ONCE)
        starts, ends = _piece(first, last, piece)
        there = ends > starts
        of = session[piece][there]
        np.minimum.at(low, of, starts[there])
        np.maximum.at(high, of, ends[there])
        let_go(first)
        if last is not None:
            let_go(last)
    order = np.argsort(low, kind="stable")
    order = order[high[order] > low[order]]
    return bool((high[order[:-1]] <= low[order[1:]]).all())
