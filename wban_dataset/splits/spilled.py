"""Records of one type in a file of their own: appended, and read again a part at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST_HELD = 1 << 15
"""Records that are held in memory at a time."""

Records = NDArray[Any]


class Spilled:
    """Records in a file.

    Parameters
    ----------
    folder
        Where the file is, under a name that is free there.
    dtype
        Of one record.
    """

    def __init__(self, folder: Path, dtype: np.dtype[Any]) -> None:
        names = (folder / f"records-{number}" for number in count())
        self._path = next(path for path in names if not path.exists())
        self._path.touch()
        self.folder = folder
        self.dtype = dtype
        self.n_records = 0

    def append(self, records: Records) -> None:
        """Put records behind those that are there.

        Raises
        ------
        OSError
            If the disk refuses.
        """
        if len(records):
            with self._path.open("ab") as file:
                file.write(np.ascontiguousarray(records).data)
            self.n_records += len(records)

    def whole(self) -> Records:
        """Give all records."""
        return np.fromfile(self._path, dtype=self.dtype)

    def blocks(self) -> Iterator[Records]:
        """Give all records, `MOST_HELD` at a time."""
        with self._path.open("rb") as file:
            while len(block := np.fromfile(file, dtype=self.dtype, count=MOST_HELD)):
                yield block

    def remove(self) -> None:
        """Remove the file."""
        self._path.unlink()


def parts_by(records: Spilled, key: Callable[[Records], NDArray[Any]]) -> Iterator[Records]:
    """Give records in parts of about `MOST_HELD`; those of one key are in one part.

    Parameters
    ----------
    key
        Whole numbers from 0, (n,), of records (n,).
    """
    n_parts = -(-records.n_records // MOST_HELD)
    if n_parts <= 1:
        yield records.whole()
        return
    parts = [Spilled(records.folder, records.dtype) for _ in range(n_parts)]
    for block in records.blocks():
        of_part = key(block) % np.asarray(n_parts, dtype=key(block).dtype)
        for number, part in enumerate(parts):
            part.append(block[of_part == number])
    for part in parts:
        yield part.whole()
        part.remove()
