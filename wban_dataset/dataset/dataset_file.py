# pyright: basic, reportIndexIssue=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportArgumentType=false
# h5py's types are incomplete: whatever stands in a file is a Group | Dataset | Datatype.
"""Writing ``dataset.h5``, one stream after the other, a few MB at a time.

Nothing is compressed and every column lies in one piece: sessions are kept compressed anyway, and a
dataset is read again and again, window by window. The bytes depend on the content alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from wban_dataset.dataset import layout
from wban_dataset.dataset.file_bytes import copy_into
from wban_dataset.session_info import SessionInfo
from wban_dataset.splits.fold import Fold
from wban_dataset.windows.mapped import let_go
from wban_dataset.windows.window_table import BY_STREAM, PLAIN_COLUMNS, WindowTable

ROWS_AT_ONCE = 1 << 16

Block = tuple[NDArray[Any] | Path, NDArray[np.int64], NDArray[np.int32]]
"""Some rows of a stream, or the file whose bytes they are; their stamps, and the numbers of their
segments."""

_Copy = tuple[Path, int]
"""A file whose bytes are rows, and their place in the dataset's file."""


@dataclass(frozen=True, slots=True)
class StreamContent:
    """One stream of all sessions.

    Attributes
    ----------
    offset
        Rows of session i are offset[i] to offset[i + 1], int64 (s + 1,).
    devices, scale_factors, full_scales
        By session; "" and 0 where it has no such stream.
    blocks
        Gives all rows in order.
    """

    name: str
    kind: str
    units: str
    sampling_rate_hz: float
    placement: str
    dtype: np.dtype[Any]
    sample_shape: tuple[int, ...]
    offset: NDArray[np.int64]
    devices: Sequence[str]
    scale_factors: Sequence[float]
    full_scales: Sequence[float]
    blocks: Callable[[], Iterator[Block]]


@dataclass(frozen=True, slots=True)
class DatasetContent:
    """Everything in ``dataset.h5``; `attributes` are those of its root."""

    attributes: Mapping[str, Any]
    classes: Sequence[str]
    sessions: Sequence[SessionInfo]
    streams: Sequence[StreamContent]
    windows: WindowTable
    folds: Sequence[Fold]


def write_dataset_file(path: Path, content: DatasetContent) -> None:
    """Write a new file; see docs/dataset-file.md.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    copies: list[_Copy] = []
    with h5py.File(path, "w", libver=("earliest", "v110")) as file:
        for name, value in content.attributes.items():
            file.attrs[name] = value
        _write_texts(file, "classes/name", content.classes)
        _write_sessions(file.create_group("sessions"), content.sessions)
        streams = file.create_group("streams")
        for stream in content.streams:
            copies += _write_stream(streams.create_group(stream.name), stream)
        _write_windows(file.create_group("windows"), content.windows)
        _write_folds(file.create_group("folds"), content.folds, len(content.windows))
    for source, place in copies:
        copy_into(path, place, source)


def _write_sessions(group: h5py.Group, sessions: Sequence[SessionInfo]) -> None:
    for name in layout.SESSION_TEXTS:
        _write_texts(group, name, [getattr(info, name) for info in sessions])
    _write(group, "duration_ns", np.array([info.duration_ns for info in sessions], dtype="<i8"))


def _write_stream(group: h5py.Group, stream: StreamContent) -> list[_Copy]:
    """Write a stream; rows that are bytes of files only get their place, which is returned."""
    group.attrs["kind"] = stream.kind
    group.attrs["units"] = stream.units
    group.attrs["sampling_rate_hz"] = float(stream.sampling_rate_hz)
    group.attrs["placement"] = stream.placement
    if stream.kind in layout.PICTURE_KINDS:
        group.attrs["height"], group.attrs["width"] = stream.sample_shape
    else:
        group.attrs["n_channels"] = stream.sample_shape[0]
    n_rows = int(stream.offset[-1])
    shape = (n_rows, *stream.sample_shape)
    data = group.create_dataset(
        "data", shape, dtype=stream.dtype, track_times=False, dcpl=_in_place()
    )
    row_bytes = stream.dtype.itemsize * math.prod(stream.sample_shape)
    data.attrs["units"] = stream.units
    if stream.kind == "thermal":
        data.attrs["scale_factor"] = layout.TEMPERATURE_SCALE_C
        data.attrs["_FillValue"] = np.int16(layout.TEMPERATURE_FILL)
    stamps = group.create_dataset("monotonic_ns", (n_rows,), dtype="<i8", track_times=False)
    segment = group.create_dataset("segment", (n_rows,), dtype="<i4", track_times=False)
    done = 0
    copies: list[_Copy] = []
    for rows, stamps_ns, numbers in stream.blocks():
        stop = done + len(stamps_ns)
        if isinstance(rows, Path):
            if rows.stat().st_size != (stop - done) * row_bytes:
                raise ValueError(f"{rows}: it does not hold {stop - done} rows of {row_bytes} B")
            if stop > done:
                copies.append((rows, data.id.get_offset() + done * row_bytes))
        else:
            data[done:stop] = rows
        stamps[done:stop] = stamps_ns
        segment[done:stop] = numbers
        done = stop
    if done != n_rows:
        raise ValueError(f"stream {stream.name}: {done} rows were written, expected {n_rows}")
    _write(group, "offset", stream.offset.astype("<i8"))
    _write_texts(group, "device", stream.devices)
    _write(group, "scale_factor", np.array(stream.scale_factors, dtype="<f8"))
    _write(group, "range", np.array(stream.full_scales, dtype="<f8"))
    return copies


def _in_place() -> h5py.h5p.PropDCID:
    """Say that rows have their place in the file before there are any, and that all will come."""
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    properties.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    return properties


def _write_windows(group: h5py.Group, windows: WindowTable) -> None:
    for name in PLAIN_COLUMNS:
        _write(group, name, getattr(windows, name))
    for column in BY_STREAM:
        for stream, values in sorted(getattr(windows, column).items()):
            _write(group, f"{stream}_{column}", values)


def _write_folds(group: h5py.Group, folds: Sequence[Fold], n_windows: int) -> None:
    _write_texts(group, "name", [fold.name for fold in folds])
    role = group.create_dataset("role", (len(folds), n_windows), dtype="|u1", track_times=False)
    for number, fold in enumerate(folds):
        for start in range(0, n_windows, ROWS_AT_ONCE):
            stop = start + ROWS_AT_ONCE
            role[number, start:stop] = fold.role[start:stop]


def _write(group: h5py.Group, name: str, values: NDArray[Any]) -> None:
    """Write a column in pieces, since it may be a mapped file that is not to be held whole."""
    little = values.dtype.newbyteorder("<")
    dataset = group.create_dataset(name, values.shape, dtype=little, track_times=False)
    for start in range(0, len(values), ROWS_AT_ONCE):
        stop = start + ROWS_AT_ONCE
        dataset[start:stop] = values[start:stop]
        let_go(values)


def _write_texts(group: h5py.Group, name: str, texts: Sequence[str]) -> None:
    dataset = group.create_dataset(
        name, (len(texts),), dtype=h5py.string_dtype(), track_times=False
    )
    if texts:
        dataset[...] = np.array(list(texts), dtype=object)
