"""From a journal to the bytes of ``session.h5``; `sealing` decides when and where."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording import layout
from wban_dataset.recording import reconstruction as made
from wban_dataset.recording.aligned import frames_of, signals_of
from wban_dataset.recording.alignment import METHOD, Axis, aligned_chunks, span_of
from wban_dataset.recording.container import ContainerWriter, RowWriter, software_versions
from wban_dataset.recording.content import Content
from wban_dataset.recording.errors import SealingError
from wban_dataset.recording.journal_blocks import all_counts
from wban_dataset.recording.journal_index import Progress, segment_sizes
from wban_dataset.recording.quality import QualityAccumulator, StreamQuality, clip_limits
from wban_dataset.recording.sealed import SealedStore
from wban_dataset.recording.store import Table, Values
from wban_dataset.recording.streams import StreamKind, StreamSpec
from wban_dataset.recording.thermal_rows import BATCH_ROWS, ThermalRows
from wban_dataset.recording.unsealed import JournalStore

HASH_BYTES = 1 << 20


class SessionWriter:
    """Writes one session from its journal, in two passes; the index was the first.

    Parameters
    ----------
    store
        The journal, indexed.
    path
        Of the file to write.
    """

    def __init__(self, store: JournalStore, path: Path) -> None:
        self.warnings = list(store.index.warnings)
        self._store = store
        self._path = path
        self._newest_ns: list[int] = []
        self._quality = {
            name: QualityAccumulator(clip_limits(index.spec))
            for name, index in store.index.streams.items()
        }

    def write(self, progress: Progress | None = None) -> Content:
        """Write everything; return its digests as the journal gave it."""
        with ContainerWriter(self._path, self._store.index.header.gzip_level) as file:
            file.write_scalar_text(layout.CONFIGURATION, self._store.configuration())
            for spec in self._specs():
                self._write_stream(file, spec)
            self._write_bulk(file, progress)
            figures = self._write_stream_attributes(file)
            self._write_root_attributes(file)
            self._write_aligned(file)
            self._write_tables(file, figures)
            self._write_provenance(file)
            return file.content()

    def _specs(self) -> list[StreamSpec]:
        """Streams that were recorded, and an empty one of each kind that every file has."""
        recorded = [self._store.spec(name) for name in self._store.stream_names()]
        names = {spec.name for spec in recorded}
        kinds = {spec.kind for spec in recorded}
        missing: list[StreamKind] = [
            kind
            for kind, name in layout.DEFAULT_GROUPS.items()
            if kind not in kinds and name not in names
        ]
        return recorded + [layout.absent_stream(kind) for kind in missing]

    def _write_stream(self, file: ContainerWriter, spec: StreamSpec) -> None:
        """Create a stream's groups and fill all but its bulk columns."""
        recorded = spec.name in self._store.index.streams
        n_rows = self._store.index.streams[spec.name].n_rows if recorded else 0
        columns = layout.stream_columns(spec.kind)
        fixed = layout.scales(spec)
        lengths = {"time": n_rows, **{name: len(values) for name, values in fixed.items()}}
        shapes = {c.name: tuple(lengths[axis] for axis in c.axes) for c in columns}
        file.create_group(spec.name, columns, shapes, {})
        file.set_attributes(f"{spec.name}/data", layout.stream_data_attributes(spec))
        for column in columns:
            if column.name not in layout.BULK[spec.kind]:
                values = self._column(spec, column) if recorded else _nothing(column, fixed)
                file.write(f"{spec.name}/{column.name}", values)
        self._write_reads(file, spec, recorded=recorded)
        if recorded:
            self._take_times(spec.name)
        else:
            for name in layout.BULK[spec.kind]:
                file.rows(f"{spec.name}/{name}").finish()

    def _column(self, spec: StreamSpec, column: layout.Column) -> Values:
        values = self._store.column(spec.name, column.name)
        return values if isinstance(values, list) else values.astype(column.dtype, copy=False)

    def _write_reads(self, file: ContainerWriter, spec: StreamSpec, *, recorded: bool) -> None:
        empty = {column.name: np.empty(0, dtype=column.dtype) for column in layout.READS}
        reads = self._store.reads(spec.name) if recorded else empty
        _write_table(file, f"{spec.name}/{layout.READS_GROUP}", layout.READS, dict(reads))

    def _take_times(self, name: str) -> None:
        """Keep what is needed of a stream's stamps, and free them."""
        index, stamps = self._store.index.streams[name], self._store.stamps(name)
        made.add_times(self._quality[name], index, stamps, self._store.gaps(name))
        self._newest_ns += stamps.monotonic_ns[-1:].tolist()
        self._store.forget(name)

    def _write_bulk(self, file: ContainerWriter, progress: Progress | None) -> None:
        """Second pass: the samples themselves."""
        writers = {name: self._bulk_writer(file, name) for name in self._store.stream_names()}
        for name, counts in all_counts(self._store.index, progress):
            self._quality[name].add_counts(counts)
            writers[name].append(counts)
        for writer in writers.values():
            writer.finish()

    def _bulk_writer(self, file: ContainerWriter, name: str) -> _CountsWriter | _ThermalWriter:
        index = self._store.index.streams[name]
        if index.spec.kind != "thermal":
            return _CountsWriter(file.rows(f"{name}/data"))
        converter = ThermalRows(index.spec, self._store.index.header.emissivity)
        if converter.problem:
            self.warnings.append(converter.problem)
        rows = [file.rows(f"{name}/{column}") for column in ("raw", "data", "ambient")]
        return _ThermalWriter(converter, index.segments(), rows)

    def _write_stream_attributes(self, file: ContainerWriter) -> dict[str, StreamQuality]:
        index = self._store.index
        figures = {name: self._quality[name].result() for name in self._store.stream_names()}
        for spec in self._specs():
            if spec.name in figures:
                stream, rate_hz = index.streams[spec.name], figures[spec.name].effective_rate_hz
                gaps = self._store.gaps(spec.name)
                attributes = made.stream_attributes(index, stream, gaps, rate_hz)
            else:
                attributes = {
                    **layout.default_attributes(spec, index.header.emissivity),
                    **layout.stream_attributes(spec),
                    "first_index": 0,
                    "effective_rate_hz": 0.0,
                    "n_lost": 0,
                }
            file.set_attributes(spec.name, attributes)
        return figures

    def _write_root_attributes(self, file: ContainerWriter) -> None:
        names = self._store.stream_names()
        file.set_attributes(
            "",
            {
                **self._store.root(),
                "format": layout.FORMAT,
                "format_version": layout.FORMAT_VERSION,
                "Conventions": layout.CONVENTIONS,
                "NX_class": "NXroot",
                "default": "accel" if "accel" in names else next(iter(names), "accel"),
            },
        )

    def _write_aligned(self, file: ContainerWriter) -> None:
        """Resample what was just written; reads it back from the file, a stretch at a time."""
        written = SealedStore(self._path, file.file)
        signals, frames = signals_of(written), frames_of(written)
        rate_hz = self._store.index.header.aligned_rate_hz
        axis = Axis.covering(rate_hz, *(span_of(signals, frames) or (0, -1)))
        columns = layout.aligned_columns({n: self._store.spec(n) for n in written.stream_names()})
        shape = {"time": axis.n_ticks, "channel": 3}
        shapes = {c.name: tuple(shape[axis_name] for axis_name in c.axes) for c in columns}
        signal = next(iter([*(s.name for s in signals), "valid"]))
        file.create_group(
            layout.ALIGNED,
            columns,
            shapes,
            {
                "NX_class": "NXdata",
                "signal": signal,
                "axes": ["time", "channel"] if signals else ["time"],
                "rate_hz": float(axis.rate),
                "method": METHOD,
            },
        )
        file.write(f"{layout.ALIGNED}/channel", ["x", "y", "z"])
        rows = {
            c.name: file.rows(f"{layout.ALIGNED}/{c.name}") for c in columns if c.name != "channel"
        }
        for chunk in aligned_chunks(axis, signals, frames):
            rows["time"].append(made.to_utc(self._store.utc_map, chunk.times_ns))
            rows["monotonic_ns"].append(chunk.times_ns)
            rows["valid"].append(chunk.valid)
            for name, values in chunk.signals.items():
                rows[name].append(values)
            for name, index in chunk.frame_index.items():
                rows[f"{name}_index"].append(index)
        for writer in rows.values():
            writer.finish()

    def _write_tables(self, file: ContainerWriter, figures: dict[str, StreamQuality]) -> None:
        index = self._store.index
        gaps = [gap for name in self._store.stream_names() for gap in self._store.gaps(name)]
        tables = {
            "labels": made.labels_table(index, made.end_ns(index, self._newest_ns)),
            "gaps": made.gaps_table(index, gaps),
            "quality": made.quality_table(figures),
            **{name: made.plain_table(index, name) for name in ("marks", "clock", "health")},
        }
        for name, columns in layout.TABLES.items():
            _write_table(file, name, columns, tables[name])
        file.set_attributes("clock", {"boottime_offset_ns": index.header.boottime_offset_ns})

    def _write_provenance(self, file: ContainerWriter) -> None:
        """Say what the file was made from, and what is in it; comes last."""
        segments = self._store.index.segment_bytes
        digests = file.digests
        table: Table = {
            "journal_segment": list(segments),
            "journal_bytes": np.array(list(segments.values()), dtype=np.int64),
            "journal_sha256": segment_digests(self._store.index.directory),
            "dataset": list(digests),
            "n_rows": np.array([d.n_rows for d in digests.values()], dtype=np.int64),
            "sha256": [digest.hexdigest() for digest in digests.values()],
        }
        if segment_sizes(self._store.index.directory) != segments:
            raise SealingError(
                f"journal {self._store.index.directory}: it grew while it was sealed, expected a "
                "finished recording. Stop the recorder, then seal again."
            )
        _write_table(file, layout.PROVENANCE_GROUP, layout.PROVENANCE, table)
        file.set_attributes(layout.PROVENANCE_GROUP, software_versions())
        digest = {layout.CONTENT_DIGEST: file.content().sha256}
        file.set_attributes(layout.PROVENANCE_GROUP, digest)


class _CountsWriter:
    """Counts go to the file as they are."""

    def __init__(self, data: RowWriter) -> None:
        self._data = data

    def append(self, counts: NDArray[Any]) -> None:
        self._data.append(counts)

    def finish(self) -> None:
        self._data.finish()


class _ThermalWriter:
    """Words go to the file as they are, and their temperatures beside them."""

    def __init__(
        self, converter: ThermalRows, segments: NDArray[Any], rows: Sequence[RowWriter]
    ) -> None:
        self._converter = converter
        self._segments = segments
        self._raw, self._data, self._ambient = rows
        self._waiting: list[NDArray[Any]] = []
        self._n_waiting = 0
        self._n_done = 0

    def append(self, counts: NDArray[Any]) -> None:
        self._waiting.append(counts)
        self._n_waiting += len(counts)
        if self._n_waiting >= BATCH_ROWS:
            self._convert()

    def finish(self) -> None:
        if self._n_waiting:
            self._convert()
        for writer in (self._raw, self._data, self._ambient):
            writer.finish()

    def _convert(self) -> None:
        raw = np.concatenate(self._waiting)
        stop = self._n_done + len(raw)
        data, ambient_c = self._converter.convert(raw, self._segments[self._n_done : stop])
        self._raw.append(raw)
        self._data.append(data)
        self._ambient.append(ambient_c)
        self._waiting, self._n_waiting, self._n_done = [], 0, stop


def _nothing(column: layout.Column, fixed: dict[str, Any]) -> Values:
    """Fill a column of an absent stream: its scale, or zeros along its fixed axes."""
    if column.name in fixed:
        return fixed[column.name]
    shape = tuple(len(fixed[axis]) if axis in fixed else 0 for axis in column.axes)
    return np.zeros(shape, dtype=column.dtype)


def _write_table(
    file: ContainerWriter, group: str, columns: Sequence[layout.Column], table: Table
) -> None:
    shapes = {column.name: (len(table[column.name]),) for column in columns}
    file.create_group(group, columns, shapes, {"NX_class": "NXcollection"})
    for column in columns:
        file.write(f"{group}/{column.name}", table[column.name])


def segment_digests(directory: Path) -> list[str]:
    """SHA-256 of every segment of a journal, in order."""
    return [file_digest(directory / name) for name in segment_sizes(directory)]


def file_digest(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
