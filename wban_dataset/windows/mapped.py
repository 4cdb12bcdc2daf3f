"""Columns that are mapped files."""

from __future__ import annotations

import mmap
from typing import Any

from numpy.typing import NDArray


def let_go(column: NDArray[Any]) -> None:
    """Let the system take back what was looked at of a mapped column; others stay as they are."""
    if isinstance(column.base, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        column.base.madvise(mmap.MADV_DONTNEED)
