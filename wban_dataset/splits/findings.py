"""What an audit finds, and how it is told."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.session_info import SessionInfo
from wban_dataset.splits.fold import Role
from wban_dataset.splits.options import Unit
from wban_dataset.windows.window_table import WindowTable


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
        Numbers of the windows of the first role that are concerned, increasing, int64 (n,).
    sessions
        Numbers of the sessions concerned, on both sides, increasing.
    detail
        What is shared, in words.
    is_warning
        Similar but short of a leak, or not excluded by what the protocol claims.
    """

    fold: str
    kind: LeakKind
    roles: tuple[Role, Role]
    rows: NDArray[np.int64]
    sessions: tuple[int, ...]
    detail: str
    is_warning: bool = False


@dataclass(frozen=True, slots=True)
class AuditResult:
    """All findings of an audit.

    Attributes
    ----------
    unit
        What the protocol claims to keep apart.
    unchecked
        Sentences on what could not be looked for.
    """

    unit: Unit
    findings: tuple[Finding, ...]
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
        found: Counter[str] = Counter()
        for kind in LeakKind:
            by_fold: dict[str, list[NDArray[np.int64]]] = {}
            for leak in self.leaks:
                if leak.kind is kind:
                    by_fold.setdefault(leak.fold, []).append(leak.rows)
            for rows in by_fold.values():
                found[kind.value] += len(np.unique(np.concatenate(rows)))
        return {kind: n for kind, n in found.items() if n}

    def explain(self, limit: int = 20) -> str:
        """List what leaks: a line a finding, with the first windows of each, at most `limit`.

        Parameters
        ----------
        limit
            Lines at most; what is left out is counted.
        """
        lines = [self._line(leak) for leak in self.leaks[:limit]]
        if len(self.leaks) > limit:
            lines.append(f"... and {len(self.leaks) - limit} findings more")
        return "\n".join(lines)

    def explain_warnings(self, limit: int = 20) -> str:
        """List what is warned of, each with the number of folds that it concerns."""
        folds: dict[str, set[str]] = {}
        for warning in self.warnings:
            folds.setdefault(warning.detail, set()).add(warning.fold)
        lines = [f"{detail} (in {len(names)} folds)" for detail, names in folds.items()]
        more = [f"... and {len(lines) - limit} warnings more"] if len(lines) > limit else []
        return "\n".join(lines[:limit] + more)

    def as_json(self) -> dict[str, Any]:
        """Give all of it for a script."""
        return {
            "clean": self.clean,
            "unit": self.unit.value,
            "n_folds": self.n_folds,
            "n_windows": self.n_windows,
            "counts": self.counts(),
            "leaks": [self._as_dict(leak) for leak in self.leaks],
            "warnings": [self._as_dict(warning) for warning in self.warnings],
            "unchecked": list(self.unchecked),
        }

    def _line(self, finding: Finding) -> str:
        first, second = (role.name.lower() for role in finding.roles)
        return (
            f"fold {finding.fold}, {first} and {second}: {finding.kind.value}, "
            f"{finding.detail}; {len(finding.rows)} windows of {first}"
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
            "n_windows": len(finding.rows),
            "rows": finding.rows.tolist(),
            "sessions": [
                self.sessions[number].session_id if self.sessions else number
                for number in finding.sessions
            ],
            "detail": finding.detail,
        }
