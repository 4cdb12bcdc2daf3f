"""Long columns in files, mapped into memory: what is not looked at takes no room."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Columns = Mapping[str, NDArray[Any]]


class ColumnFiles:
    """Columns that grow part by part, a file each.

    Parameters
    ----------
    folder
        An empty folder; it must stay as long as the columns are used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._dtypes: dict[str, np.dtype[Any]] = {}

    def append(self, part: Columns) -> None:
        """Put a part behind what is there; each part has the same columns.

        Raises
        ------
        OSError
            If the disk refuses.
        """
        for name, values in part.items():
            self._dtypes.setdefault(name, values.dtype)
            with self._path(name).open("ab") as file:
                file.write(np.ascontiguousarray(values, dtype=self._dtypes[name]).data)

    def columns(self, held: Collection[str]) -> dict[str, NDArray[Any]]:
        """Give all columns by name, those of `held` in memory, the others mapped, read-only."""
        return {name: self._column(name, name in held) for name in self._dtypes}

    def _column(self, name: str, is_held: bool) -> NDArray[Any]:
        path, dtype = self._path(name), self._dtypes[name]
        if is_held or not path.stat().st_size:
            return np.fromfile(path, dtype=dtype)
        return np.memmap(path, dtype=dtype, mode="r")

    def _path(self, name: str) -> Path:
        return self._folder / f"column-{list(self._dtypes).index(name)}"
