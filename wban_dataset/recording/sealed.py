# pyright: basic, reportIndexIssue=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportArgumentType=false
# h5py's types are incomplete: whatever stands in a file is a Group | Dataset | Datatype.
"""A sealed ``session.h5``, opened for reading."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording import layout
from wban_dataset.recording.attributes import attributes
from wban_dataset.recording.container import CHUNK_CACHE_BYTES
from wban_dataset.recording.content import stored_rows
from wban_dataset.recording.errors import SessionError
from wban_dataset.recording.store import Table, Values

T = TypeVar("T")

READ_ERRORS = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError)
"""What h5py raises for a file whose inside is damaged, depending on where."""


class SealedStore:
    """Reads from an open file.

    Parameters
    ----------
    path
        Of the file, for messages.
    file
        Stays the caller's unless `close` is called.
    """

    is_sealed = True

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path
        self.file = file
        self._stream_names: tuple[str, ...] | None = None
        self._attributes: dict[str, dict[str, Any]] = {}
        # Open datasets keep their last chunks decompressed.
        self._by_rows: dict[tuple[str, str], h5py.Dataset] = {}

    @classmethod
    def open(cls, path: Path) -> SealedStore:
        """Open a file.

        Raises
        ------
        SessionError
            If it is no session, or one of a newer format.
        """
        store = cls(path, _opened(path))
        try:
            found = store.root()
            _check_format(path, found)
        except BaseException:
            store.close()
            raise
        return store

    def root(self) -> dict[str, Any]:
        """Give the session's attributes."""
        return self._attributes_at("/")

    def configuration(self) -> str:
        """Give the configuration that was recorded with, as TOML."""
        return self._read(lambda: str(self.file[layout.CONFIGURATION].asstr()[()]))

    def stream_names(self) -> tuple[str, ...]:
        """Give the names of the streams that were recorded."""
        if self._stream_names is None:
            self._stream_names = self._read(lambda: tuple(sorted(_recorded_streams(self.file))))
        return self._stream_names

    def stream_attributes(self, stream: str) -> dict[str, Any]:
        """Give the attributes of a stream's group."""
        return self._attributes_at(stream)

    def n_rows(self, stream: str) -> int:
        """Give the number of a stream's samples."""
        return self._read(lambda: len(self.file[stream]["monotonic_ns"]))

    def n_gaps(self) -> int:
        """Give the number of gaps of all streams."""
        return self._read(lambda: len(self.file["gaps/start_ns"]))

    def content_sha256(self) -> str:
        """Give the digest of all that was sealed, as the file states it; "" where it does not."""
        return str(self._attributes_at(layout.PROVENANCE_GROUP).get(layout.CONTENT_DIGEST, ""))

    def sample_shape(self, stream: str) -> tuple[int, ...]:
        """Give the shape of one sample of ``data``."""
        return self._read(lambda: tuple(self.file[stream]["data"].shape[1:]))

    def scaling(self, stream: str) -> tuple[str, float, float]:
        """Give units, scale factor and offset of ``data``."""
        found = self._attributes_at(f"{stream}/data")
        return (
            str(found.get("units", "1")),
            float(found.get("scale_factor", 1.0)),
            float(found.get("add_offset", 0.0)),
        )

    def column(self, stream: str, name: str) -> Values:
        """Give a whole column that is not bulk."""
        return self._read(lambda: values_of(self.file[stream][name]))

    def reads(self, stream: str) -> dict[str, NDArray[Any]]:
        """Give the evidence of a stream's stamps."""

        def columns() -> dict[str, NDArray[Any]]:
            group = self.file[stream][layout.READS_GROUP]
            return {column.name: group[column.name][:] for column in layout.READS}

        return self._read(columns)

    def rows(self, stream: str, name: str, start: int, stop: int) -> NDArray[Any]:
        """Give rows [start, stop) of a column."""

        def found() -> NDArray[Any]:
            if (stream, name) not in self._by_rows:
                self._by_rows[stream, name] = self.file[stream][name]
            return self._by_rows[stream, name][max(0, start) : stop]

        return self._read(found)

    def table(self, name: str) -> Table:
        """Give one of `layout.TABLES`, or ``aligned`` or ``provenance``."""

        def columns() -> Table:
            group = self.file[name]
            known = [column.name for column in layout.TABLES.get(name, ())]
            present = [key for key, item in group.items() if isinstance(item, h5py.Dataset)]
            return {key: values_of(group[key]) for key in known or present}

        return self._read(columns)

    def close(self) -> None:
        """Close the file."""
        self._by_rows.clear()
        self.file.close()

    def _attributes_at(self, path: str) -> dict[str, Any]:
        """Read all attributes of a group or a dataset once; they are asked for one by one."""
        if path not in self._attributes:
            self._attributes[path] = self._read(lambda: attributes_of(self.file[path]))
        return dict(self._attributes[path])

    def _read(self, action: Callable[[], T]) -> T:
        with readable(self.path):
            return action()


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what h5py raises for a damaged file into a `SessionError`."""
    try:
        yield
    except READ_ERRORS as error:
        raise SessionError(
            f"session {path}: it cannot be read ({_first_line(error)}), expected a sealed session "
            "as it was written. Run 'wban-dataset verify' on it and restore it from a copy."
        ) from error


def _recorded_streams(file: h5py.File) -> Iterator[str]:
    for name in file:
        if name not in layout.RESERVED_NAMES:
            found = file[name].attrs
            if "kind" in found and found["device"] != layout.ABSENT_DEVICE:
                yield name


def attributes_of(item: Any) -> dict[str, Any]:
    """Attributes as Python's own values, without those of HDF5's dimension scales."""
    return {name: _plain(value) for name, value in attributes(item.id).items()}


def values_of(dataset: Any) -> Values:
    """All rows of a dataset; strings as a list."""
    if h5py.check_string_dtype(dataset.dtype) is None:
        return dataset[:]
    return [text for rows in stored_rows(dataset.id) for text in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype == object:
        return value.tolist()
    if isinstance(value, bytes):
        return value.decode()
    return value.item() if isinstance(value, np.generic) else value


def _opened(path: Path) -> h5py.File:
    if not path.is_file():
        raise SessionError(
            f"session {path}: there is no such file, expected {layout.FILE_NAME} or the folder "
            "that holds it. Check the path."
        )
    try:
        return h5py.File(path, "r", rdcc_nbytes=CHUNK_CACHE_BYTES)
    except OSError as error:
        with path.open("rb") as file:
            is_hdf5 = file.read(8) == b"\x89HDF\r\n\x1a\n"
        found = "a truncated or damaged HDF5 file" if is_hdf5 else "not an HDF5 file"
        raise SessionError(
            f"session {path}: it is {found} of {path.stat().st_size} bytes, expected a sealed "
            "session. Restore it from a copy, or seal its journal again if that is still there."
        ) from error


def _check_format(path: Path, found: dict[str, Any]) -> None:
    name, version = found.get("format"), found.get("format_version")
    if name != layout.FORMAT:
        raise SessionError(
            f"session {path}: its format is {name!r}, expected {layout.FORMAT!r}. "
            "This HDF5 file was not written by wban; convert it first."
        )
    if version != layout.FORMAT_VERSION:
        raise SessionError(
            f"session {path}: its format version is {version!r}, expected "
            f"{layout.FORMAT_VERSION}. Open it with the newer wban that wrote it."
        )


def _first_line(error: BaseException) -> str:
    text = str(error).strip().splitlines()
    return text[0] if text else type(error).__name__
