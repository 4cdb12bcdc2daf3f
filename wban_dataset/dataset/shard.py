"""What one session gives to a dataset, kept in a folder of its own until all are put together.

A shard is independent of all other sessions: its rows count from 0 and its codes are places in the
sorted names of its own labels. ``NAME.data`` are the rows of a stream as they will stand in
``dataset.h5``; ``clips`` and ``transitions`` are
its changes of activity; ``columns`` is all the rest but ``sketch``, which is the auditor's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.dataset import array_file
from wban_dataset.dataset.array_file import read_arrays, write_arrays
from wban_dataset.splits.sketch import Sketch
from wban_dataset.transitions.profiles import SIGNALS, TIME_S
from wban_dataset.transitions.transition_table import COLUMN_TYPES, TransitionTable
from wban_dataset.windows.window_table import BY_STREAM, PLAIN_COLUMNS, WindowTable

COLUMNS_FILE = "columns"
SKETCH_FILE = "sketch"
TRANSITIONS_FILE = "transitions"
CLIPS_FILE = "clips"
_ARRAY_FILES = (COLUMNS_FILE, SKETCH_FILE, TRANSITIONS_FILE)


@dataclass(frozen=True, slots=True)
class StreamShard:
    """One stream of a shard.

    Attributes
    ----------
    n_rows
        Those that stayed.
    """

    dtype: np.dtype[Any]
    sample_shape: tuple[int, ...]
    n_rows: int

    @property
    def row_bytes(self) -> int:
        """Bytes of one row of ``data``."""
        return self.dtype.itemsize * int(np.prod(self.sample_shape))


class Shard:
    """A finished shard, read piece by piece.

    Parameters
    ----------
    folder
        Made by `making.make_shard`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def sketch(self, number: int) -> Sketch:
        """Give what the auditor keeps of the session, under its number in the dataset."""
        return Sketch.from_arrays(number, read_arrays(self.folder / SKETCH_FILE))

    def group(self, name: str) -> dict[str, NDArray[Any]]:
        """Give the arrays below a path, by the rest of their path."""
        return read_arrays(self.folder / COLUMNS_FILE, f"{name}/")

    def stream(self, name: str) -> StreamShard | None:
        """Give a stream; None where the session has none of this name."""
        path = f"streams/{name}/"
        n_rows = array_file.lengths(self.folder / COLUMNS_FILE, path).get("monotonic_ns")
        if n_rows is None:
            return None
        shape = self._array(f"{path}sample_shape")
        return StreamShard(
            np.dtype(str(self._array(f"{path}dtype"))), tuple(shape.tolist()), n_rows
        )

    def times(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Give stamps and numbers of segments of a stream's rows, (n,) each."""
        path = f"streams/{name}/"
        return self._array(f"{path}monotonic_ns"), self._array(f"{path}segment")

    def data_file(self, name: str) -> Path:
        """Give the file whose bytes are the rows of a stream."""
        return self.folder / f"{name}.data"

    def rows(self, name: str, stream: StreamShard, start: int, stop: int) -> NDArray[Any]:
        """Give rows [start, stop) of a stream as they are stored."""
        with self.data_file(name).open("rb") as file:
            file.seek(start * stream.row_bytes)
            flat = np.frombuffer(file.read((stop - start) * stream.row_bytes), dtype=stream.dtype)
        return flat.reshape(-1, *stream.sample_shape)

    def transitions(self) -> TransitionTable:
        """Give the changes of activity, session number 0, codes counted within the shard."""
        return TransitionTable(**read_arrays(self.folder / TRANSITIONS_FILE))

    def clips(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Give what the motion looked like around some of them, (rows, points, signals)."""
        shape = (len(TIME_S), len(SIGNALS))
        if not len(rows):
            return np.empty((0, *shape), dtype=np.float32)
        stored = np.fromfile(self.folder / CLIPS_FILE, dtype=np.float32)
        return stored.reshape(-1, *shape)[rows]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the codes in this shard."""
        return tuple(self.group("classes")["name"].tolist())

    def windows(self) -> WindowTable:
        """Give the windows, rows and codes counted within the shard."""
        return windows_of(self.group("windows"))

    def _array(self, path: str) -> NDArray[Any]:
        return read_arrays(self.folder / COLUMNS_FILE, path)[""]


def save_columns(folder: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write all of a shard but its rows and its sketch."""
    write_arrays(folder / COLUMNS_FILE, arrays)


def save_sketch(folder: Path, sketch: Sketch) -> None:
    """Write what the auditor keeps of the session."""
    write_arrays(folder / SKETCH_FILE, sketch.to_arrays())


def save_transitions(folder: Path, table: TransitionTable, clips: NDArray[np.float32]) -> None:
    """Write the changes of activity, and what the motion looked like around each."""
    (folder / CLIPS_FILE).write_bytes(clips.astype("<f4", copy=False).tobytes())
    columns = {name: getattr(table, name) for name in COLUMN_TYPES}
    write_arrays(folder / TRANSITIONS_FILE, columns)


def is_whole(folder: Path) -> bool:
    """Whether a shard has all its bytes; a power cut may leave files without theirs."""
    if not all(array_file.is_whole(folder / name) for name in _ARRAY_FILES):
        return False
    shard = Shard(folder)
    paths = array_file.lengths(folder / COLUMNS_FILE, "streams/")
    names = {path.split("/")[0] for path in paths}
    clip_bytes = 4 * len(shard.transitions()) * len(TIME_S) * len(SIGNALS)
    clips = folder / CLIPS_FILE
    has_clips = clips.is_file() and clips.stat().st_size == clip_bytes
    return has_clips and all(_has_rows(shard, name) for name in names)


def _has_rows(shard: Shard, name: str) -> bool:
    stream = shard.stream(name)
    expected = stream.n_rows * stream.row_bytes if stream else 0
    data = shard.data_file(name)
    return data.is_file() and data.stat().st_size == expected


def window_arrays(windows: WindowTable) -> dict[str, NDArray[Any]]:
    """Give a table of windows as arrays by path."""
    arrays: dict[str, NDArray[Any]] = {name: getattr(windows, name) for name in PLAIN_COLUMNS}
    for column in BY_STREAM:
        for stream, values in getattr(windows, column).items():
            arrays[f"{column}/{stream}"] = values
    return arrays


def windows_of(arrays: Mapping[str, NDArray[Any]]) -> WindowTable:
    """Give the table that `window_arrays` took apart."""
    columns: dict[str, Any] = {name: arrays[name] for name in PLAIN_COLUMNS}
    for column in BY_STREAM:
        start = f"{column}/"
        columns[column] = {
            path.removeprefix(start): values
            for path, values in arrays.items()
            if path.startswith(start)
        }
    return WindowTable(**columns)
