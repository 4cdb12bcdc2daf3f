"""Folds as ``splits.json`` tells them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wban_dataset.splits.fold import Fold, Role
from wban_dataset.splits.units import Units

PARTS = (Role.TEST, Role.VALIDATION, Role.TRAIN)


def described_by_unit(
    fold: Fold, units: Units, role_of_unit: NDArray[np.uint8]
) -> dict[str, object]:
    """Name the subjects, sessions or dates of each part."""
    description: dict[str, object] = {"name": fold.name}
    for role in PARTS:
        names = [units.names[i] for i in np.flatnonzero(role_of_unit == role)]
        description[role.name.lower()] = {f"{units.unit}s": names}
    return {**description, "n_windows": _n_windows(fold)}


def described_by_rows(folds: list[Fold]) -> list[dict[str, object]]:
    """Give the windows of each part as pairs of first and last number, both included."""
    described: list[dict[str, object]] = []
    for fold in folds:
        parts: dict[str, object] = {
            role.name.lower(): {"rows": runs(fold.rows(role))} for role in PARTS
        }
        described.append({"name": fold.name, **parts, "n_windows": _n_windows(fold)})
    return described


def runs(rows: NDArray[np.int64]) -> list[list[int]]:
    """Give increasing numbers as runs [first, last]."""
    if not len(rows):
        return []
    ends = np.flatnonzero(np.diff(rows) != 1)
    first = rows[np.concatenate(([0], ends + 1))]
    last = rows[np.concatenate((ends, [len(rows) - 1]))]
    return np.stack([first, last], axis=1).tolist()


def _n_windows(fold: Fold) -> dict[str, int]:
    return {
        role.name.lower(): int((fold.role == role).sum())
        for role in (Role.TRAIN, Role.VALIDATION, Role.TEST, Role.UNUSED)
    }
