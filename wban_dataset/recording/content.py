# pyright: basic, reportAttributeAccessIssue=false, reportArgumentType=false
# h5py has no types for its low-level calls.
"""What stands in an HDF5 file, read through h5py's low-level calls, and digests of it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5o, h5s
from numpy.typing import NDArray

from wban_dataset.recording.attributes import attribute_texts
from wban_dataset.recording.layout import CONTENT_DIGEST

READ_BYTES = 2 << 20


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


@dataclass(frozen=True, slots=True)
class Content:
    """What is in a file: a digest by dataset, and one over them and all attributes."""

    datasets: dict[str, ContentDigest]
    sha256: str


def stored_rows(dataset: h5d.DatasetID) -> Iterator[NDArray[Any] | list[str]]:
    """All rows of a dataset, in pieces of a few MB; a scalar string is one row."""
    shape, dtype = dataset.shape, dataset.dtype
    if shape and shape[0] == 0:
        return
    if h5py.check_string_dtype(dtype) is not None:
        texts = np.zeros(shape, dtype=dtype)
        dataset.read(h5s.ALL, h5s.ALL, texts)
        yield [text.decode() for text in texts.flat]
        return
    step = _rows_at_once(dataset)
    for start in range(0, shape[0], step):
        rows = np.empty((min(step, shape[0] - start), *shape[1:]), dtype=dtype)
        dataset.read(h5s.create_simple(rows.shape), selected_rows(dataset, start, rows.shape), rows)
        yield rows


def _rows_at_once(dataset: h5d.DatasetID) -> int:
    """Give the rows of a few MB; of whole chunks, which are unpacked once."""
    row_bytes = dataset.dtype.itemsize * math.prod(dataset.shape[1:])
    n_rows = max(1, READ_BYTES // max(1, row_bytes))
    if n_rows >= dataset.shape[0]:
        return dataset.shape[0]
    chunks = h5py.Dataset(dataset).chunks
    n_chunk_rows = chunks[0] if chunks else 1
    return max(1, n_rows // n_chunk_rows) * n_chunk_rows


def selected_rows(dataset: h5d.DatasetID, start: int, shape: tuple[int, ...]) -> h5s.SpaceID:
    """Select rows of a dataset from `start` on."""
    place = dataset.get_space()
    place.select_hyperslab((start, *(0 for _ in shape[1:])), shape)
    return place


def stored_digest(dataset: h5d.DatasetID) -> ContentDigest:
    """Digest of a dataset as it stands in the file."""
    digest = ContentDigest()
    for rows in stored_rows(dataset):
        digest.update(rows)
    return digest


def stored_objects(file: h5py.File) -> Iterator[tuple[str, Any]]:
    """Path and low-level id of everything in a file, "" for its root, one at a time.

    What is let go of before the next is taken gives its cache of chunks back.
    """
    paths: list[bytes] = []
    h5o.visit(file.id, paths.append)
    yield "", file.id
    for path in paths:
        yield path.decode(), h5o.open(file.id, path)


def dataset_paths(file: h5py.File) -> list[str]:
    """Path of every dataset of a file, from the root without a leading slash, sorted."""
    return sorted(path for path, item in stored_objects(file) if isinstance(item, h5d.DatasetID))


def stored_attribute_texts(file: h5py.File) -> dict[str, dict[str, str]]:
    """Text of every attribute of a file by path and name, without those of dimension scales."""
    return {path: attribute_texts(item) for path, item in stored_objects(file)}


def stored_content(file: h5py.File) -> Content:
    """Digests of all that stands in a file; reads it once."""
    datasets: dict[str, ContentDigest] = {}
    texts: dict[str, dict[str, str]] = {}
    for path, item in stored_objects(file):
        texts[path] = attribute_texts(item)
        if isinstance(item, h5d.DatasetID):
            datasets[path] = stored_digest(item)
    return Content(datasets, content_digest(hex_digests(datasets), texts))


def hex_digests(datasets: Mapping[str, ContentDigest]) -> dict[str, str]:
    """Digests of datasets as text."""
    return {path: digest.hexdigest() for path, digest in datasets.items()}


def content_digest(datasets: Mapping[str, str], attributes: Mapping[str, Mapping[str, str]]) -> str:
    """SHA-256 over digests of datasets and every attribute, except the digest itself.

    Parameters
    ----------
    datasets
        Digest by path.
    attributes
        Text by path and name.
    """
    whole = hashlib.sha256()
    for path, digest in sorted(datasets.items()):
        whole.update(f"{path} {digest}\n".encode())
    for path, texts in sorted(attributes.items()):
        for name, text in sorted(texts.items()):
            if name != CONTENT_DIGEST:
                whole.update(f"{path}@{name}={text}\n".encode())
    return whole.hexdigest()
