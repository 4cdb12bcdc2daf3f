# pyright: basic, reportIndexIssue=false, reportArgumentType=false, reportReturnType=false
# pyright: reportAttributeAccessIssue=false
# h5py's types are incomplete: whatever stands in a file is a Group | Dataset | Datatype.
"""Writing the datasets of ``session.h5`` as `layout` describes them, and their digests.

The bytes of the file depend on what is written and on nothing else: no times, no random numbers.
Every dataset is created with its final shape, so that nothing in the file is ever resized.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording.layout import CONTENT_DIGEST, Column, chunk_rows
from wban_dataset.recording.picture_chunks import FAST_LEVEL, PictureDeflater

READ_BYTES = 2 << 20
CHUNK_CACHE_BYTES = 1 << 20
"""Per open dataset; HDF5's own default grew to 8 MiB, which a dozen datasets would multiply."""

_SCALE_ATTRIBUTES = frozenset({"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"})


class ContentDigest:
    """SHA-256 of a dataset's values: little-endian in C order; strings in UTF-8, ended by 0."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.n_rows = 0

    def update(self, rows: NDArray[Any] | Sequence[str]) -> None:
        """Take the next rows."""
        self.n_rows += len(rows)
        if isinstance(rows, np.ndarray):
            little = rows.astype(rows.dtype.newbyteorder("<"), copy=False)
            self._sha256.update(np.ascontiguousarray(little).data)
        else:
            self._sha256.update(b"".join(text.encode() + b"\0" for text in rows))

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return self._sha256.hexdigest()


class RowWriter:
    """Fills one dataset from its first row to its last, whole chunks at a time."""

    def __init__(self, dataset: h5py.Dataset) -> None:
        self.digest = ContentDigest()
        self._dataset = dataset
        n_buffered = dataset.chunks[0] if dataset.chunks else 1
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
        if self._n_written != len(self._dataset):
            raise ValueError(
                f"{self._dataset.name}: {self._n_written} rows were written, expected "
                f"{len(self._dataset)}"
            )

    def _write(self) -> None:
        start, stop = self._n_written, self._n_written + self._n_pending
        if stop > start:
            self.digest.update(self._buffer[: self._n_pending])
            self._store(start, stop)
        self._n_written, self._n_pending = stop, 0

    def _store(self, start: int, stop: int) -> None:
        """Write the buffer's first rows as rows [start, stop) of the dataset."""
        self._dataset.write_direct(self._buffer, np.s_[: stop - start], np.s_[start:stop])


class PictureWriter(RowWriter):
    """Compresses whole chunks of pictures itself; see `picture_chunks`."""

    def __init__(self, dataset: h5py.Dataset) -> None:
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
        # Looking one up by its path costs as much as creating it. What is filled is let go of,
        # and its cache of chunks with it.
        self._unfilled: dict[str, h5py.Dataset] = {}

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

    def set_attributes(self, group: str, attributes: Mapping[str, Any]) -> None:
        """Set attributes of a group; "" is the root."""
        target = self._file[group or "/"].attrs
        for name, value in attributes.items():
            target[name] = value

    def content_digest(self) -> str:
        """SHA-256 over the digests of all datasets and all attributes so far."""
        return content_digest(
            self._file, {name: digest.hexdigest() for name, digest in self.digests.items()}
        )

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
        created = self._file.create_group(group)
        scales: dict[str, h5py.Dataset] = {}
        for column in sorted(columns, key=lambda column: not column.is_scale):
            dataset = self._create_dataset(created, column, shapes[column.name])
            self._unfilled[f"{group}/{column.name}"] = dataset
            if column.is_scale:
                scales[column.name] = dataset
                dataset.make_scale(column.name)
            else:
                for axis, scale in enumerate(column.axes):
                    h5py.h5ds.attach_scale(dataset.id, scales[scale].id, axis)
            attributes_of_column = dataset.attrs
            for name, value in column.attributes.items():
                attributes_of_column[name] = value
        self.set_attributes(group, attributes)

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
            dataset[...] = np.array(list(values), dtype=object)

    def write_scalar_text(self, name: str, text: str) -> None:
        """Create a dataset at the root that holds one string."""
        self._file.create_dataset(name, data=text, dtype=h5py.string_dtype())
        digest = self._digests[name] = ContentDigest()
        digest.update([text])

    def rows(self, path: str) -> RowWriter:
        """Fill a dataset, ``group/column``, piece by piece."""
        dataset = self._unfilled.pop(path)
        is_picture = dataset.dtype == np.uint8 and dataset.ndim == 3 and dataset.chunks is not None
        fast = is_picture and self._gzip_level == FAST_LEVEL
        writer = PictureWriter(dataset) if fast else RowWriter(dataset)
        self._digests[path] = writer.digest
        return writer

    @property
    def file(self) -> h5py.File:
        """The open file, for reading back what was written."""
        return self._file

    def _create_dataset(
        self, group: h5py.Group, column: Column, shape: tuple[int, ...]
    ) -> h5py.Dataset:
        if column.is_text:
            return group.create_dataset(
                column.name, shape, dtype=h5py.string_dtype(), track_times=False
            )
        dtype = np.dtype(column.dtype)
        if 0 in shape:  # HDF5 has no chunks of nothing
            return group.create_dataset(column.name, shape, dtype=dtype, track_times=False)
        row_bytes = dtype.itemsize * int(np.prod(shape[1:], dtype=np.int64))
        gzip: dict[str, Any] = (
            {"compression": "gzip", "compression_opts": self._gzip_level}
            if self._gzip_level
            else {}
        )
        return group.create_dataset(
            column.name,
            shape,
            dtype=dtype,
            chunks=(chunk_rows(row_bytes, shape[0]), *shape[1:]),
            shuffle=True,
            fletcher32=True,
            track_times=False,
            **gzip,
        )


def stored_rows(dataset: h5py.Dataset) -> Iterator[NDArray[Any] | list[str]]:
    """All rows of a dataset, in pieces of a few MB; a scalar string is one row."""
    if dataset.shape == ():
        yield [dataset.asstr()[()]]
    elif dataset.shape[0] == 0:
        return
    elif h5py.check_string_dtype(dataset.dtype) is not None:
        yield list(dataset.asstr()[:])
    else:
        row_bytes = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:], dtype=np.int64))
        chunk = dataset.chunks[0] if dataset.chunks else 1
        step = max(chunk, READ_BYTES // max(1, row_bytes) // chunk * chunk)
        for start in range(0, len(dataset), step):
            yield dataset[start : start + step]


def stored_digest(dataset: h5py.Dataset) -> ContentDigest:
    """Digest of a dataset as it stands in the file."""
    digest = ContentDigest()
    for rows in stored_rows(dataset):
        digest.update(rows)
    return digest


def datasets(file: h5py.File) -> dict[str, h5py.Dataset]:
    """Every dataset of a file by its path from the root without a leading slash, sorted."""
    found: dict[str, h5py.Dataset] = {}

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        if isinstance(item, h5py.Dataset):
            found[name] = item

    file.visititems(visit)
    return dict(sorted(found.items()))


def dataset_paths(file: h5py.File) -> list[str]:
    """Path of every dataset of a file, from the root without a leading slash, sorted."""
    return list(datasets(file))


def content_digest(file: h5py.File, digests: Mapping[str, str]) -> str:
    """SHA-256 over digests of datasets and every attribute, except the digest itself.

    What HDF5 keeps for its dimension scales is left out: references are addresses.
    """
    whole = hashlib.sha256()
    for name in sorted(digests):
        whole.update(f"{name} {digests[name]}\n".encode())

    told: dict[str, bytes] = {}

    def visit(name: str, item: Any) -> None:
        attributes = item.attrs
        lines = [
            f"{name}@{key}={attribute_text(attributes[key])}\n"
            for key in sorted(attributes)
            if key not in _SCALE_ATTRIBUTES and key != CONTENT_DIGEST
        ]
        told[name] = "".join(lines).encode()

    visit("", file)
    file.visititems(visit)
    for name in sorted(told):
        whole.update(told[name])
    return whole.hexdigest()


def attribute_text(value: Any) -> str:
    """Exact text of an attribute's value."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray):
        return "[" + ",".join(attribute_text(item) for item in value.ravel().tolist()) + "]"
    if isinstance(value, np.generic):
        return attribute_text(value.item())
    return repr(value)


def software_versions() -> dict[str, str]:
    """Versions of what writes the file."""
    try:
        wban_version = importlib.metadata.version("wban")
    except importlib.metadata.PackageNotFoundError:
        wban_version = "unknown"
    return {
        "sealed_with": f"wban {wban_version}",
        "python_version": platform.python_version(),
        "numpy_version": np.__version__,
        "h5py_version": h5py.version.version,
        "hdf5_version": h5py.version.hdf5_version,
    }
