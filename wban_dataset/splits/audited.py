"""What the auditor is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wban_dataset.errors import DatasetError
from wban_dataset.session_info import SessionInfo
from wban_dataset.splits.fold import Fold, Role
from wban_dataset.splits.options import Unit
from wban_dataset.splits.recording import Recording
from wban_dataset.windows.window_table import WindowTable


@dataclass(frozen=True, slots=True)
class AuditedDataset:
    """What the auditor looks at.

    Attributes
    ----------
    unit
        What the protocol claims to keep apart; `Unit.WINDOW` claims nothing, and every kind of leak
        is counted.
    purge_ns
        The gap that the protocol promised where it cuts inside a session.
    has_times
        False for ready windows (timebase "none"), whose overlap cannot be excluded.
    recordings
        None where there are no samples: near-duplicates are then not looked for, and that is said.
    statistics
        By name of the fold, numbers of the windows that something was fitted on; none fitted, none
        given.
    """

    sessions: Sequence[SessionInfo]
    windows: WindowTable
    folds: Sequence[Fold]
    unit: Unit
    purge_ns: int = 0
    has_times: bool = True
    recordings: Sequence[Recording] | None = None
    statistics: Mapping[str, NDArray[np.int64]] = field(
        default_factory=dict[str, NDArray[np.int64]]
    )

    def check(self) -> None:
        """Refuse what does not fit together.

        Raises
        ------
        DatasetError
            If windows name sessions, folds name windows, or statistics name folds that are not.
        """
        n_windows, n_sessions = len(self.windows), len(self.sessions)
        if not self.folds:
            raise DatasetError("there is no fold to audit, expected at least one; check the split.")
        number = self.windows.session
        if n_windows and (number.min() < 0 or number.max() >= n_sessions):
            raise DatasetError(
                f"windows name session number {int(number.max())}, expected 0 to "
                f"{n_sessions - 1}. The table of windows and that of sessions do not fit."
            )
        for fold in self.folds:
            if len(fold.role) != n_windows or (n_windows and fold.role.max() > max(Role)):
                raise DatasetError(
                    f"fold {fold.name} has {len(fold.role)} roles for {n_windows} windows, "
                    "expected one of 0 to 3 for each. Folds and windows are of different datasets."
                )
        self._check_statistics()

    def _check_statistics(self) -> None:
        names = {fold.name for fold in self.folds}
        for name, rows in self.statistics.items():
            if name not in names:
                raise DatasetError(
                    f"statistics are declared for fold {name!r}, expected one of the folds."
                )
            if len(rows) and (rows.min() < 0 or rows.max() >= len(self.windows)):
                raise DatasetError(
                    f"statistics of fold {name} are declared on window {int(rows.max())}, expected "
                    f"numbers from 0 to {len(self.windows) - 1}."
                )
