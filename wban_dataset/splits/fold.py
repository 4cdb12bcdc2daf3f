"""What a fold is: which sessions, or which windows, are trained on, validated on and tested on."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Role(IntEnum):
    """What a window is for in a fold, as ``/folds/role`` has it."""

    UNUSED = 0
    TRAIN = 1
    VALIDATION = 2
    TEST = 3


@dataclass(frozen=True, slots=True)
class Fold:
    """One way to divide the windows.

    Attributes
    ----------
    name
        ``S01`` for leave-one-subject-out, otherwise ``1``, ``2``, ...
    role
        `Role` of each window, uint8 (w,).
    """

    name: str
    role: NDArray[np.uint8]

    def rows(self, role: Role) -> NDArray[np.int64]:
        """Numbers of the windows of a role, increasing."""
        return np.flatnonzero(self.role == role)
