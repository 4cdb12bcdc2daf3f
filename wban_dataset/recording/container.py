# pyright: basic, reportIndexIssue=false, reportArgumentType=false, reportReturnType=false
# pyright: reportAttributeAccessIssue=false
# h5py's types are incomplete: whatever stands in a file is a Group | Dataset | Datatype.
"""Writing the datasets of ``session.h5`` as `layout` describes them, with their digests.

The bytes of the file depend on what is written and on nothing else: no times, no random numbers.
Every dataset is created with its final shape, so that nothing in the file is ever resized.
"""

from __future__ import annotations

import importlib.metadata
import math
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from h5py import h5d, h5ds, h5g, h5p, h5s
from numpy.typing import NDArray

from wban_dataset.recording.attributes import TEXT, set_attribute, stored_type
from wban_dataset.recording.content import (
    Content,
    ContentDigest,
    content_digest,
    hex_digests,
    selected_rows,
)
from wban_dataset.recording.layout import Column, chunk_rows
from wban_dataset.recording.picture_chunks import FAST_LEVEL, PictureDeflater

CHUNK_CACHE_BYTES = 1 << 20
"""Per open dataset; HDF5's own default grew to 8 MiB, which a dozen datasets would multiply."""


@dataclass(frozen=True, slots=True)
class NewDataset:
    """A dataset that waits for its rows.

    Attributes
    ----------
    path
        From the root without a leading slash.
    id
        Of h5py's low-level calls.
    n_chunk_rows
        0 where it is stored in one piece.
    """

    path: str
    id: h5d.DatasetID
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    n_chunk_rows: int

    @property
    def is_picture(self) -> bool:
        """Whether a row is a picture of bytes."""
        return self.dtype == np.uint8 and len(self.shape) == 3 and self.n_chunk_rows > 0


class RowWriter:
    """Fills one dataset from its first row to its last, whole chunks at a time."""

    def __init__(self, dataset: NewDataset) -> None:
        self.digest = ContentDigest()
        self._dataset = dataset
        n_buffered = dataset.n_chunk_rows or 1
        self._buffer = np.empty((n_buffered, *dataset.shape[1:]), dtype=dataset.dtype)
        self._n_pending = 0
        self._n_written = 0

    def append(self, rows: NDArray[Any]) -> None:
        """Take the next rows, (n, ...)."""
        taken = 0
        while taken < len(rows):
            n = min(len(rows) - taken, len(self._buffer) - self._n_pending)
            self._buffer[self._n_pending : self._n_pending + n] = rows[taken : taken + n]
            self._n_pending += n
            taken += n
            if self._n_pending == len(self._buffer):
                self._write()

    def finish(self) -> None:
        """Write what is left.

        Raises
        ------
        ValueError
            If the dataset did not get exactly its rows.
        """
        self._write()
        if self._n_written != self._dataset.shape[0]:
            raise ValueError(
                f"{self._dataset.path}: {self._n_written} rows were written, expected "
                f"{self._dataset.shape[0]}"
            )

    def _write(self) -> None:
        start, stop = self._n_written, self._n_written + self._n_pending
        if stop > start:
            self.digest.update(self._buffer[: self._n_pending])
            self._store(start, stop)
        self._n_written, self._n_pending = stop, 0

    def _store(self, start: int, stop: int) -> None:
        """Write the buffer's first rows as rows [start, stop) of the dataset."""
        rows = self._buffer[: stop - start]
        dataset = self._dataset.id
        dataset.write(
            h5s.create_simple(rows.shape), selected_rows(dataset, start, rows.shape), rows
        )


class PictureWriter(RowWriter):
    """Compresses whole chunks of pictures itself; see `picture_chunks`."""

    def __init__(self, dataset: NewDataset) -> None:
        super().__init__(dataset)
        self._deflater = PictureDeflater()

    def _store(self, start: int, stop: int) -> None:
        if stop - start < len(self._buffer):
            super()._store(start, stop)  # the last chunk is filled up by HDF5
        else:
            self._dataset.id.write_direct_chunk(
                (start, *(0 for _ in self._dataset.shape[1:])), self._deflater.stored(self._buffer)
            )


class ContainerWriter:
    """Writes one new file.

    Parameters
    ----------
    path
        Replaced if it exists.
    gzip_level
        0 (not compressed) to 9.
    """

    def __init__(self, path: Path, gzip_level: int) -> None:
        # The earliest format and no creation order: tools of 2008 read it.
        self._file = h5py.File(
            path, "w", libver=("earliest", "v110"), rdcc_nbytes=CHUNK_CACHE_BYTES
        )
        self._gzip_level = gzip_level
        self._digests: dict[str, ContentDigest] = {}
        self._attribute_texts: dict[str, dict[str, str]] = {}
        # Looking one up by its path costs as much as creating it. What is filled is let go of,
        # and its cache of chunks with it.
        self._unfilled: dict[str, NewDataset] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._unfilled.clear()
        self._file.close()

    @property
    def digests(self) -> dict[str, ContentDigest]:
        """Of every dataset written so far, by path from the root without a leading slash."""
        return dict(sorted(self._digests.items()))

    def content(self) -> Content:
        """Give the digests of all datasets and attributes so far."""
        datasets = self.digests
        return Content(datasets, content_digest(hex_digests(datasets), self._attribute_texts))

    def set_attributes(self, path: str, attributes: Mapping[str, Any]) -> None:
        """Set attributes of a group or a dataset that has none of them yet; "" is the root."""
        self._set_attributes(self._file[path or "/"].id, path, attributes)

    def create_group(
        self,
        group: str,
        columns: Sequence[Column],
        shapes: Mapping[str, tuple[int, ...]],
        attributes: Mapping[str, Any],
    ) -> None:
        """Create a group with all its datasets, still unfilled, every axis with its scale.

        Parameters
        ----------
        shapes
            Of each column, by name.
        """
        created = self._file.create_group(group).id
        scales: dict[str, h5d.DatasetID] = {}
        for column in sorted(columns, key=lambda column: not column.is_scale):
            path = f"{group}/{column.name}"
            dataset = self._create_dataset(created, path, column, shapes[column.name])
            if column.is_scale:
                scales[column.name] = dataset.id
                h5ds.set_scale(dataset.id, column.name.encode())
            else:
                for axis, scale in enumerate(column.axes):
                    h5ds.attach_scale(dataset.id, scales[scale], axis)
            self._set_attributes(dataset.id, path, column.attributes)
            self._unfilled[path] = dataset
        self._set_attributes(created, group, attributes)

    def write(self, path: str, values: NDArray[Any] | Sequence[str]) -> None:
        """Fill a whole dataset, ``group/column``."""
        if isinstance(values, np.ndarray):
            writer = self.rows(path)
            writer.append(values)
            writer.finish()
            return
        digest = self._digests[path] = ContentDigest()
        digest.update(values)
        dataset = self._unfilled.pop(path)
        if values:
            dataset.id.write(h5s.ALL, h5s.ALL, np.array(values, dtype=TEXT))

    def write_scalar_text(self, name: str, text: str) -> None:
        """Create a dataset at the root that holds one string."""
        self._file.create_dataset(name, data=text, dtype=h5py.string_dtype())
        digest = self._digests[name] = ContentDigest()
        digest.update([text])

    def rows(self, path: str) -> RowWriter:
        """Fill a dataset, ``group/column``, piece by piece."""
        dataset = self._unfilled.pop(path)
        fast = dataset.is_picture and self._gzip_level == FAST_LEVEL
        writer = PictureWriter(dataset) if fast else RowWriter(dataset)
        self._digests[path] = writer.digest
        return writer

    @property
    def file(self) -> h5py.File:
        """The open file, for reading back what was written."""
        return self._file

    def _set_attributes(self, item: Any, path: str, attributes: Mapping[str, Any]) -> None:
        texts = self._attribute_texts.setdefault(path, {})
        for name, value in attributes.items():
            texts[name] = set_attribute(item, name, value)

    def _create_dataset(
        self, group: h5g.GroupID, path: str, column: Column, shape: tuple[int, ...]
    ) -> NewDataset:
        dtype = TEXT if column.is_text else np.dtype(column.dtype)
        n_chunk_rows = 0
        if not column.is_text and 0 not in shape:  # HDF5 has no chunks of nothing
            row_bytes = dtype.itemsize * math.prod(shape[1:])
            n_chunk_rows = chunk_rows(row_bytes, shape[0])
        dataset = h5d.create(
            group,
            column.name.encode(),
            stored_type(dtype),
            h5s.create_simple(shape),
            self._storage((n_chunk_rows, *shape[1:]) if n_chunk_rows else None),
        )
        return NewDataset(path, dataset, dtype, shape, n_chunk_rows)

    def _storage(self, chunks: tuple[int, ...] | None) -> h5p.PropDCID:
        """Say how a dataset is stored: in one piece, or as compressed chunks with checksums."""
        properties = h5p.create(h5p.DATASET_CREATE)
        properties.set_obj_track_times(False)
        if chunks is not None:
            properties.set_chunk(chunks)
            properties.set_shuffle()
            if self._gzip_level:
                properties.set_deflate(self._gzip_level)
            properties.set_fletcher32()
        return properties


def software_versions() -> dict[str, str]:
    """Versions of what writes the file."""
    return {
        "sealed_with": f"wban {wban_version()}",
        "python_version": platform.python_version(),
        "numpy_version": np.__version__,
        "h5py_version": h5py.version.version,
        "hdf5_version": h5py.version.hdf5_version,
    }


@cache
def wban_version() -> str:
    """Version of this package; looking it up takes a millisecond."""
    try:
        return importlib.metadata.version("wban")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
