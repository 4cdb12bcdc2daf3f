"""Many small arrays in one file, any of them read without the others.

A line of JSON says by path what each array is and where; then come their bytes. NumPy's own archive
takes a millisecond an array to open, which a build would pay for every session several times.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray


def write_arrays(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write arrays of numbers or texts.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    entries: dict[str, Any] = {}
    place = 0
    for name, values in arrays.items():
        entries[name] = [values.dtype.str, list(values.shape), place]
        place += values.nbytes
    with path.open("wb") as file:
        file.write(json.dumps({"n_bytes": place, "arrays": entries}).encode() + b"\n")
        for values in arrays.values():
            file.write(np.ascontiguousarray(values).tobytes())


def read_arrays(path: Path, start: str = "") -> dict[str, NDArray[Any]]:
    """Read the arrays whose path begins with `start`, by the rest of it.

    Raises
    ------
    OSError
        If it cannot be read.
    ValueError
        If it is not as it was written.
    """
    with path.open("rb") as file:
        entries, begin = _entries(file)
        found: dict[str, NDArray[Any]] = {}
        for name, (dtype, shape, place) in entries.items():
            if name.startswith(start):
                file.seek(begin + place)
                kind = np.dtype(dtype)
                values = np.fromfile(file, dtype=kind, count=math.prod(shape))
                found[name.removeprefix(start)] = values.reshape(shape)
    return found


def lengths(path: Path, start: str = "") -> dict[str, int]:
    """Give how long the arrays are whose path begins with `start`, without reading them.

    Raises
    ------
    OSError, ValueError
        As `read_arrays`.
    """
    with path.open("rb") as file:
        entries, _ = _entries(file)
    return {
        name.removeprefix(start): math.prod(shape[:1])
        for name, (_, shape, _) in entries.items()
        if name.startswith(start)
    }


def is_whole(path: Path) -> bool:
    """Whether a file has all the bytes that it was written with."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.readline())
            return path.stat().st_size == file.tell() + header["n_bytes"]
    except (OSError, ValueError, LookupError, TypeError):
        return False


def _entries(file: BinaryIO) -> tuple[dict[str, Any], int]:
    """Give what the file says of its arrays, and where their bytes begin."""
    header: dict[str, Any] = json.loads(file.readline())
    return header["arrays"], file.tell()
