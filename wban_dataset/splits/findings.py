"""What an audit finds, and how it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.session_info import SessionInfo
from wban_dataset.splits.fold import Role
from wban_dataset.splits.options import Unit
from wban_dataset.windows.window_table import WindowTable

MOST_ROWS = 1000
"""Rows that a finding lists; it counts all of them."""

MOST_FINDINGS = 10_000
"""Leaks, and as many warnings, that an audit lists; it counts all of them."""


class LeakKind(StrEnum):
    """What two roles of a fold share."""

    SAMPLE = "shared sample"
    SESSION = "shared session"
    SUBJECT = "shared subject"
    DATE = "shared date"
    DUPLICATE = "near-duplicate recording"
    STATISTIC = "statistic fitted outside training"
    PURGE = "within the purge gap"


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of leak between two roles of one fold, or a warning.

    Attributes
    ----------
    roles
        The role that is compromised, and the one that it shares with.
    rows
        Numbers of the windows of the first role that are concerned, increasing, int64 (n,); once an
        audit is done the first `MOST_ROWS` of them.
    sessions
        Numbers of the sessions concerned, on both sides, increasing.
    detail
        What is shared, in words.
    is_warning
        Similar but short of a leak, or not excluded by what the protocol claims.
    n_windows
        How many windows are concerned.
    """

    fold: str
    kind: LeakKind
    roles: tuple[Role, Role]
    rows: NDArray[np.int64]
    sessions: tuple[int, ...]
    detail: str
    is_warning: bool = False
    n_windows: int = -1

    def __post_init__(self) -> None:
        """Count the windows where it was not said how many there are."""
        if self.n_windows < 0:
            object.__setattr__(self, "n_windows", len(self.rows))

    def shortened(self) -> Finding:
        """Give it with `MOST_ROWS` of its rows; `n_windows` stays."""
        return replace(self, rows=self.rows[:MOST_ROWS].copy())


@dataclass(frozen=True, slots=True)
class AuditResult:
    """All findings of an audit.

    Attributes
    ----------
    unit
        What the protocol claims to keep apart.
    findings
        The first `MOST_FINDINGS` leaks and as many warnings.
    n_leaking
        Windows that leak, by kind, each counted once a fold.
    n_left_out
        Leaks, and warnings, that are not among `findings`.
    unchecked
        Sentences on what could not be looked for.
    """

    unit: Unit
    findings: tuple[Finding, ...]
    n_leaking: Mapping[str, int]
    n_left_out: tuple[int, int]
    n_folds: int
    n_windows: int
    unchecked: tuple[str, ...] = ()
    sessions: Sequence[SessionInfo] = field(default=(), repr=False)
    windows: WindowTable | None = field(default=None, repr=False)

    @property
    def leaks(self) -> tuple[Finding, ...]:
        """Findings that are no mere warnings."""
        return tuple(finding for finding in self.findings if not finding.is_warning)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that a person should look at and that fail nothing."""
        return tuple(finding for finding in self.findings if finding.is_warning)

    @property
    def clean(self) -> bool:
        """Whether nothing leaks."""
        return not self.leaks

    def counts(self) -> dict[str, int]:
        """Windows that leak, by kind, each counted once a fold."""
        return dict(self.n_leaking)

    def explain(self, limit: int = 20) -> str:
        """List what leaks: a line a finding, with the first windows of each, at most `limit`.

        Parameters
        ----------
        limit
            Lines at most; what is left out is counted.
        """
        lines = [self._line(leak) for leak in self.leaks[:limit]]
        n_more = len(self.leaks) - len(lines) + self.n_left_out[0]
        if n_more:
            lines.append(f"... and {n_more} findings more")
        return "\n".join(lines)

    def explain_warnings(self, limit: int = 20) -> str:
        """List what is warned of, each with the number of folds that it concerns."""
        folds: dict[str, set[str]] = {}
        for warning in self.warnings:
            folds.setdefault(warning.detail, set()).add(warning.fold)
        lines = [f"{detail} (in {len(names)} folds)" for detail, names in folds.items()]
        n_more = max(0, len(lines) - limit) + self.n_left_out[1]
        more = [f"... and {n_more} warnings more"] if n_more else []
        return "\n".join(lines[:limit] + more)

    def as_json(self) -> dict[str, Any]:
        """Give it for a script; rows and findings up to `MOST_ROWS` and `MOST_FINDINGS`."""
        return {
            "clean": self.clean,
            "unit": self.unit.value,
            "n_folds": self.n_folds,
            "n_windows": self.n_windows,
            "counts": self.counts(),
            "leaks": [self._as_dict(leak) for leak in self.leaks],
            "warnings": [self._as_dict(warning) for warning in self.warnings],
            "left_out": {"leaks": self.n_left_out[0], "warnings": self.n_left_out[1]},
            "unchecked": list(self.unchecked),
        }

    def _line(self, finding: Finding) -> str:
        first, second = (role.name.lower() for role in finding.roles)
        return (
            f"fold {finding.fold}, {first} and {second}: {finding.kind.value}, "
            f"{finding.detail}; {finding.n_windows} windows of {first}"
            f"{self._first_rows(finding.rows)}"
        )

    def _first_rows(self, rows: NDArray[np.int64], limit: int = 3) -> str:
        if not len(rows):
            return ""
        named = [self._window_name(int(row)) for row in rows[:limit]]
        return f" (rows {', '.join(named)}{', ...' if len(rows) > limit else ''})"

    def _window_name(self, row: int) -> str:
        if self.windows is None or not self.sessions:
            return str(row)
        session = self.sessions[int(self.windows.session[row])]
        return f"{row} of {session.session_id} at {self.windows.start_ns[row] / 1e9:.1f} s"

    def _as_dict(self, finding: Finding) -> Mapping[str, Any]:
        return {
            "fold": finding.fold,
            "kind": finding.kind.value,
            "roles": [role.name.lower() for role in finding.roles],
            "n_windows": finding.n_windows,
            "rows": finding.rows.tolist(),
            "sessions": [
                self.sessions[number].session_id if self.sessions else number
                for number in finding.sessions
            ],
            "detail": finding.detail,
        }


class Tally:
    """Counts findings as they come, and keeps so many that memory stays bounded."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.counts: Counter[str] = Counter()
        self._n = [0, 0]  # leaks, warnings

    @property
    def n_left_out(self) -> tuple[int, int]:
        """Leaks, and warnings, that were counted only."""
        leaks, warnings = (max(0, n - MOST_FINDINGS) for n in self._n)
        return leaks, warnings

    def add_fold(self, findings: Iterable[Finding], n_windows: int) -> None:
        """Take all findings of one fold, whose windows are counted once each."""
        leaking: dict[str, NDArray[np.bool_]] = {}
        for finding in findings:
            if not finding.is_warning:
                mask = leaking.setdefault(finding.kind.value, np.zeros(n_windows, dtype=np.bool_))
                mask[finding.rows] = True
            if self._n[finding.is_warning] < MOST_FINDINGS:
                self.kept.append(finding.shortened())
            self._n[finding.is_warning] += 1
        for kind, mask in leaking.items():
            self.counts[kind] += int(mask.sum())
