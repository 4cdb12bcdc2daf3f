"""Random windows: what most published code does, kept to show what it is worth."""

from __future__ import annotations

import numpy as np

from wban_dataset.errors import DatasetError
from wban_dataset.splits.dealing import dealt, seeded_order
from wban_dataset.splits.fold import Fold, Role
from wban_dataset.splits.intervals import spans_on_one_axis, touched
from wban_dataset.splits.options import SplitOptions
from wban_dataset.windows.window_table import WindowTable


def random_folds(windows: WindowTable, options: SplitOptions, n_folds: int) -> list[Fold]:
    """Deal labelled windows to folds, each tested once, whatever they share with their neighbours.

    Raises
    ------
    DatasetError
        If there are fewer labelled windows than folds.
    """
    labelled = np.flatnonzero(windows.is_labelled)
    if len(labelled) < n_folds:
        raise DatasetError(
            f"{n_folds} folds were asked for, but {len(labelled)} of {len(windows)} windows have a "
            "label, expected at least as many as folds. Choose fewer folds, or add labels."
        )
    tests = dealt(labelled[seeded_order(len(labelled), options.seed)], n_folds)
    folds: list[Fold] = []
    for number, test in enumerate(tests):
        role = np.zeros(len(windows), dtype=np.uint8)
        left = np.setdiff1d(labelled, test)
        n_validation = round(options.validation_fraction * len(left))
        order = seeded_order(len(left), options.seed, stage=number + 1)
        role[left] = Role.TRAIN
        role[left[order[:n_validation]]] = Role.VALIDATION
        role[test] = Role.TEST
        folds.append(purged(Fold(str(number + 1), role), windows, options.purge_s))
    return folds


def purged(fold: Fold, windows: WindowTable, purge_s: float) -> Fold:
    """Take out windows nearer than the gap to another role's: training first, tests never."""
    purge_ns = round(purge_s * 1e9)
    if not purge_ns:
        return fold
    start, stop = spans_on_one_axis(windows, apart_ns=2 * purge_ns)
    role = fold.role.copy()
    for thinned, kept in (
        (Role.VALIDATION, (Role.TEST,)),
        (Role.TRAIN, (Role.TEST, Role.VALIDATION)),
    ):
        rows = np.flatnonzero(role == thinned)
        others = np.flatnonzero(np.isin(role, kept))
        near = touched(start[rows] - purge_ns, stop[rows] + purge_ns, start[others], stop[others])
        role[rows[near]] = Role.UNUSED
    return Fold(fold.name, role)
