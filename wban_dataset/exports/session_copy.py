# pyright: basic, reportIndexIssue=false, reportAttributeAccessIssue=false
# pyright: reportArgumentType=false, reportReturnType=false
# h5py's types are incomplete: whatever stands in a file is a Group | Dataset | Datatype.
"""A sealed session written again with something left out or named otherwise, sealed again.

Samples, stamps and their evidence are copied as they are. What depends on what was changed is made
again: UTC from the clock anchors, the common axis ``aligned`` from the streams that stay, and all
digests, so that the copy verifies like any sealed session. The same changes give the same bytes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from wban_dataset.recording import layout
from wban_dataset.recording import reconstruction as made
from wban_dataset.recording.aligned import frames_of, signals_of
from wban_dataset.recording.alignment import Axis, aligned_chunks, span_of
from wban_dataset.recording.container import ContainerWriter, software_versions
from wban_dataset.recording.content import stored_rows
from wban_dataset.recording.sealed import SealedStore, readable
from wban_dataset.recording.store import Table, Values
from wban_dataset.recording.streams import ClockAnchor

Attributes = Mapping[str, Any]

_SCALE_ATTRIBUTES = frozenset({"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"})
SLACK_BYTES = 256 << 10
"""By how much a copy may be larger than its session: what is left out or changed is said in it."""

_BY_STREAM = ("gaps", "quality")
"""Tables with a column ``stream``."""


def _same(attributes: Attributes) -> Attributes:
    return attributes


@dataclass(frozen=True, slots=True)
class Changes:
    """What a copy has otherwise than its session.

    Attributes
    ----------
    left_out
        Names of streams.
    root, stream
        Make the attributes of the session, and of each stream's group, from those that it has.
    configuration
        Another text; None for its own.
    columns
        Make the values of a dataset from those that it has, by path: ``labels/annotator``.
    tables
        Make a whole table from the one that it has, by name: ``clock``.
    provenance
        What ``provenance`` says of the change.
    forget_journal
        Leave out what the session's journal was.
    """

    left_out: frozenset[str] = frozenset()
    root: Callable[[Attributes], Attributes] = _same
    stream: Callable[[Attributes], Attributes] = _same
    configuration: str | None = None
    columns: Mapping[str, Callable[[Values], Values]] = field(
        default_factory=dict[str, Callable[[Values], Values]]
    )
    tables: Mapping[str, Callable[[Table], Table]] = field(
        default_factory=dict[str, Callable[[Table], Table]]
    )
    provenance: Attributes = field(default_factory=dict[str, Any])
    forget_journal: bool = False


def write_copy(source: SealedStore, path: Path, changes: Changes) -> None:
    """Write the copy of a session to a new file.

    Raises
    ------
    SessionError
        If the session cannot be read.
    OSError
        If the disk refuses.
    """
    with readable(source.path):
        level = _gzip_level(source.file)
    _check_room(path, source.path.stat().st_size + SLACK_BYTES)
    with ContainerWriter(path, level) as file:
        _Copy(source, path, file, changes).write()


class _Copy:
    """One session on its way to one new file."""

    def __init__(
        self, source: SealedStore, path: Path, file: ContainerWriter, changes: Changes
    ) -> None:
        self._source = source
        self._path = path
        self._file = file
        self._changes = changes
        self._tables = {name: self._table(name) for name in layout.TABLES}
        clock = self._tables["clock"]
        rows = zip(*(np.asarray(clock[c.name]).tolist() for c in layout.CLOCK), strict=True)
        self._utc_map = made.utc_map(ClockAnchor(*row) for row in rows)

    def write(self) -> None:
        changes = self._changes
        text = self._source.configuration()
        text = text if changes.configuration is None else changes.configuration
        self._file.write_scalar_text(layout.CONFIGURATION, text)
        self._write_streams()
        self._write_root_attributes()
        self._write_aligned()
        for name, columns in layout.TABLES.items():
            self._write_table(name, columns, self._tables[name])
        self._write_provenance()

    def _table(self, name: str) -> Table:
        table = self._source.table(name)
        if name in _BY_STREAM:
            keep = [stream not in self._changes.left_out for stream in table["stream"]]
            table = {column: _chosen(values, keep) for column, values in table.items()}
        for column in table:
            change = self._changes.columns.get(f"{name}/{column}")
            if change is not None:
                table[column] = change(table[column])
        return self._changes.tables.get(name, _unchanged)(table)

    def _write_streams(self) -> None:
        groups = [name for name, item in self._source.file.items() if "kind" in item.attrs]
        stay = [name for name in groups if name not in self._changes.left_out]
        for name in stay:
            self._copy_stream(name)
        kinds = {str(self._source.file[name].attrs["kind"]) for name in stay}
        for kind, name in layout.DEFAULT_GROUPS.items():
            if kind not in kinds and name not in stay:
                self._write_absent(name, self._source.file[name])

    def _copy_stream(self, name: str) -> None:
        group = self._source.file[name]
        self._copy_group(name, self._changes.stream(_attributes(group)))
        self._copy_group(f"{name}/{layout.READS_GROUP}", _attributes(group[layout.READS_GROUP]))

    def _copy_group(self, name: str, attributes: Attributes) -> None:
        """Copy the datasets of one group; those in groups below it are not."""
        datasets = {k: v for k, v in self._source.file[name].items() if isinstance(v, h5py.Dataset)}
        shapes = {key: dataset.shape for key, dataset in datasets.items()}
        columns = [_column(key, dataset) for key, dataset in datasets.items()]
        self._file.create_group(name, columns, shapes, attributes)
        for key, dataset in datasets.items():
            self._copy_dataset(f"{name}/{key}", dataset)

    def _copy_dataset(self, path: str, dataset: h5py.Dataset) -> None:
        change = self._changes.columns.get(path)
        if h5py.check_string_dtype(dataset.dtype) is not None or change is not None:
            values = self._source.column(*path.split("/", 1))
            self._file.write(path, values if change is None else change(values))
            return
        is_time = path.endswith("/time")
        made_from = dataset.parent["monotonic_ns"] if is_time else dataset
        writer = self._file.rows(path)
        for rows in self._stored_rows(made_from):
            writer.append(made.to_utc(self._utc_map, rows) if is_time else rows)
        writer.finish()

    def _stored_rows(self, dataset: h5py.Dataset) -> Iterator[Any]:
        """Read a dataset in pieces; what is wrong with it is not taken for a full disk."""
        found = stored_rows(dataset.id)
        while True:
            with readable(self._source.path):
                rows = next(found, None)
            if rows is None:
                return
            yield rows

    def _write_absent(self, name: str, left_out: h5py.Group) -> None:
        """Write the empty group that stands in every file for a kind that was not recorded."""
        spec = layout.absent_stream(left_out.attrs["kind"])
        fixed = layout.scales(spec)
        lengths = {"time": 0, **{axis: len(values) for axis, values in fixed.items()}}
        columns = layout.stream_columns(spec.kind)
        shapes = {c.name: tuple(lengths[axis] for axis in c.axes) for c in columns}
        attributes = {
            **layout.default_attributes(spec, float(left_out.attrs.get("emissivity", 0.95))),
            **layout.stream_attributes(spec),
            "first_index": 0,
            "effective_rate_hz": 0.0,
            "n_lost": 0,
        }
        self._file.create_group(name, columns, shapes, attributes)
        self._file.set_attributes(f"{name}/data", layout.stream_data_attributes(spec))
        for column in columns:
            values = fixed.get(column.name)  # channels are the only texts
            nothing = np.zeros(shapes[column.name], None if column.is_text else column.dtype)
            self._file.write(f"{name}/{column.name}", nothing if values is None else values)
        reads = {column.name: layout.empty(column) for column in layout.READS}
        self._write_table(f"{name}/{layout.READS_GROUP}", layout.READS, reads)

    def _write_root_attributes(self) -> None:
        changes = self._changes
        found = dict(changes.root(_attributes(self._source.file)))
        for stream in changes.left_out:
            found.pop(layout.power_up_of(stream), None)
        found["start_utc"] = made.start_utc(self._utc_map, int(found["started_monotonic_ns"]))
        found["clock_synchronised"] = bool(self._utc_map and self._utc_map.synchronised)
        if found["default"] in changes.left_out:
            stay = [n for n in self._source.stream_names() if n not in changes.left_out]
            found["default"] = next(iter(stay), "accel")
        self._file.set_attributes("", found)

    def _write_aligned(self) -> None:
        """Resample what was just written, as sealing does; in pieces, whatever the length."""
        written = SealedStore(self._path, self._file.file)
        signals, frames = signals_of(written), frames_of(written)
        group = self._source.file[layout.ALIGNED]
        axis = Axis.covering(float(group.attrs["rate_hz"]), *(span_of(signals, frames) or (0, -1)))
        stay = {"time", "channel", "monotonic_ns", "valid"}
        stay |= {s.name for s in signals} | {f"{f.name}_index" for f in frames}
        columns = [_column(key, dataset) for key, dataset in group.items() if key in stay]
        lengths = {"time": axis.n_ticks, "channel": len(group["channel"])}
        shapes = {c.name: tuple(lengths[a] for a in c.axes) for c in columns}
        attributes = dict(_attributes(group))
        if attributes["signal"] not in stay:
            attributes["signal"] = next(iter([*(s.name for s in signals), "valid"]))
            attributes["axes"] = ["time", "channel"] if signals else ["time"]
        self._file.create_group(layout.ALIGNED, columns, shapes, attributes)
        self._file.write(f"{layout.ALIGNED}/channel", list(group["channel"].asstr()[:]))
        names = [column.name for column in columns if column.name != "channel"]
        rows = {name: self._file.rows(f"{layout.ALIGNED}/{name}") for name in names}
        for chunk in aligned_chunks(axis, signals, frames):
            rows["time"].append(made.to_utc(self._utc_map, chunk.times_ns))
            rows["monotonic_ns"].append(chunk.times_ns)
            rows["valid"].append(chunk.valid)
            for name, values in chunk.signals.items():
                rows[name].append(values)
            for name, index in chunk.frame_index.items():
                rows[f"{name}_index"].append(index)
        for writer in rows.values():
            writer.finish()

    def _write_table(self, name: str, columns: tuple[layout.Column, ...], table: Table) -> None:
        shapes = {column.name: (len(table[column.name]),) for column in columns}
        attributes = _attributes(self._source.file[name]) if name in self._source.file else {}
        self._file.create_group(name, columns, shapes, attributes)
        for column in columns:
            self._file.write(f"{name}/{column.name}", table[column.name])

    def _write_provenance(self) -> None:
        """Say what the copy was made from, and what is in it; comes last."""
        table = self._source.table(layout.PROVENANCE_GROUP)
        if self._changes.forget_journal:
            table["journal_segment"], table["journal_sha256"] = [], []
            table["journal_bytes"] = np.empty(0, dtype=np.int64)
        digests = self._file.digests
        table["dataset"] = list(digests)
        table["n_rows"] = np.array([d.n_rows for d in digests.values()], dtype=np.int64)
        table["sha256"] = [digest.hexdigest() for digest in digests.values()]
        name = layout.PROVENANCE_GROUP
        shapes = {column.name: (len(table[column.name]),) for column in layout.PROVENANCE}
        kept = dict(_attributes(self._source.file[name]))
        kept.pop(layout.CONTENT_DIGEST, None)
        kept |= {**software_versions(), **self._changes.provenance}
        self._file.create_group(name, layout.PROVENANCE, shapes, kept)
        for column in layout.PROVENANCE:
            self._file.write(f"{name}/{column.name}", table[column.name])
        self._file.set_attributes(name, {layout.CONTENT_DIGEST: self._file.content().sha256})


def _check_room(path: Path, n_bytes: int) -> None:
    """Take the room for a file and give it back: HDF5 does not survive a disk that fills."""
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, n_bytes)
    path.unlink()


def _unchanged(table: Table) -> Table:
    return table


def _chosen(values: Values, keep: list[bool]) -> Values:
    if isinstance(values, list):
        return [value for value, stays in zip(values, keep, strict=True) if stays]
    return values[np.array(keep, dtype=bool)]


def _attributes(item: Any) -> Attributes:
    """Attributes of a group or dataset, of the types that they have in the file."""
    found = {name: item.attrs[name] for name in item.attrs if name not in _SCALE_ATTRIBUTES}
    return {
        name: value.tolist() if isinstance(value, np.ndarray) and value.dtype == object else value
        for name, value in found.items()
    }


def _column(name: str, dataset: h5py.Dataset) -> layout.Column:
    """Describe a dataset as `layout` does."""
    is_text = h5py.check_string_dtype(dataset.dtype) is not None
    axes = tuple(str(dim[0].name).rpartition("/")[2] for dim in dataset.dims if len(dim))
    return layout.Column(
        name,
        layout.TEXT if is_text else dataset.dtype.str,
        (name,) if dataset.is_scale else axes,
        _attributes(dataset),
    )


def _gzip_level(file: h5py.File) -> int:
    """Level that the bulk of a session was compressed with."""
    levels: list[int] = []

    def visit(_name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.chunks is not None:
            levels.append(int(item.compression_opts or 0))

    file.visititems(visit)
    return max(levels, default=1)
