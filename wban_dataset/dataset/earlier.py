# pyright: basic, reportIndexIssue=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportArgumentType=false, reportGeneralTypeIssues=false
# h5py's types are incomplete: whatever stands in a file is a Group | Dataset | Datatype.
"""Rows that a dataset built before holds already, taken from there instead of from the session."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

BLOCK_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class EarlierSession:
    """A session of a dataset built before; its rows were made in the same way.

    Attributes
    ----------
    file
        Its ``dataset.h5``.
    number
        Of the session there.
    """

    file: Path
    number: int

    def stamps(self, stream: str) -> NDArray[np.int64]:
        """Give the stamps of the rows that are there, (n,)."""
        with h5py.File(self.file, "r") as file:
            group = file[f"streams/{stream}"]
            start, stop = group["offset"][self.number : self.number + 2]
            return group["monotonic_ns"][start:stop]

    def blocks(self, stream: str) -> Iterator[NDArray[Any]]:
        """Give the rows, some MB at a time."""
        with h5py.File(self.file, "r") as file:
            group = file[f"streams/{stream}"]
            start, stop = (int(row) for row in group["offset"][self.number : self.number + 2])
            data = group["data"]
            row_bytes = data.dtype.itemsize * int(np.prod(data.shape[1:]))
            step = max(1, BLOCK_BYTES // row_bytes)
            for first in range(start, stop, step):
                yield data[first : min(first + step, stop)]
