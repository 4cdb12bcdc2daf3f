"""A session that is not sealed yet, read straight from its journal."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording import layout, timebase
from wban_dataset.recording import reconstruction as made
from wban_dataset.recording.clock_anchors import UtcMap
from wban_dataset.recording.errors import JournalContentError, SessionError
from wban_dataset.recording.journal_blocks import BlockReader, all_counts
from wban_dataset.recording.journal_index import JournalIndex, StreamIndex
from wban_dataset.recording.quality import QualityAccumulator, clip_limits
from wban_dataset.recording.store import Table, Values
from wban_dataset.recording.streams import Gap, StreamSpec
from wban_dataset.recording.thermal_rows import BATCH_ROWS, IMAGE_SHAPE, ThermalRows


class JournalStore:
    """Reads samples from the journal when they are asked for; the rest is held in memory.

    Parameters
    ----------
    folder
        The session's folder.
    index
        Of its journal; scanned where it is not given.
    """

    is_sealed = False

    def __init__(self, folder: Path, index: JournalIndex | None = None) -> None:
        self.path = folder
        directory = folder / layout.JOURNAL_NAME
        self.index = JournalIndex.scan(directory) if index is None else index
        self._reader = BlockReader(directory)
        self._stamps: dict[str, timebase.StampedStream] = {}
        self._segment_columns: dict[str, NDArray[np.uint16]] = {}
        self._gaps: dict[str, list[Gap]] = {}

    @cached_property
    def utc_map(self) -> UtcMap | None:
        """CLOCK_MONOTONIC to UTC; None where no clock was ever read."""
        return made.utc_map(self.index.anchors)

    def root(self) -> dict[str, Any]:
        """Give the session's attributes."""
        return made.root_attributes(self.index, self.utc_map)

    def configuration(self) -> str:
        """Give the configuration that was recorded with, as TOML."""
        return self.index.header.configuration

    def stream_names(self) -> tuple[str, ...]:
        """Give the names of the streams that were recorded."""
        return tuple(sorted(self.index.streams))

    def spec(self, stream: str) -> StreamSpec:
        """Give what a stream was declared to be."""
        return self.index.streams[stream].spec

    def stream_attributes(self, stream: str) -> dict[str, Any]:
        """Give the attributes of a stream's group."""
        quality = QualityAccumulator()
        self._add_times(quality, stream)
        rate_hz = quality.result().effective_rate_hz
        gaps = self.gaps(stream)
        return made.stream_attributes(self.index, self.index.streams[stream], gaps, rate_hz)

    def n_rows(self, stream: str) -> int:
        """Give the number of a stream's samples."""
        return self.index.streams[stream].n_rows

    def sample_shape(self, stream: str) -> tuple[int, ...]:
        """Give the shape of one sample of ``data``."""
        spec = self.spec(stream)
        return IMAGE_SHAPE if spec.kind == "thermal" else spec.sample_shape

    def scaling(self, stream: str) -> tuple[str, float, float]:
        """Give units, scale factor and offset of ``data``."""
        spec = self.spec(stream)
        if spec.kind == "thermal":
            return "degC", layout.TEMPERATURE_SCALE_C, 0.0
        return spec.units, spec.scale_factor, spec.add_offset

    def stamps(self, stream: str) -> timebase.StampedStream:
        """Fit the stamps of a stream; kept until `forget`."""
        if stream not in self._stamps:
            inputs = made.stamp_inputs(self.index.streams[stream])
            self._stamps[stream] = timebase.stamped(inputs)
        return self._stamps[stream]

    def forget(self, stream: str) -> None:
        """Free the stamps of a stream."""
        self._stamps.pop(stream, None)
        self._segment_columns.pop(stream, None)

    def gaps(self, stream: str) -> list[Gap]:
        """Give the gaps of a stream, with what the stamps tell of them."""
        if stream not in self._gaps:
            monotonic_ns = self.stamps(stream).monotonic_ns
            self._gaps[stream] = made.resolved_gaps(self.index.streams[stream], monotonic_ns)
        return self._gaps[stream]

    def column(self, stream: str, name: str) -> Values:
        """Give a whole column that is not bulk."""
        index = self.index.streams[stream]
        fixed = layout.scales(index.spec)
        if name in fixed:
            return fixed[name]
        if name == "segment":
            return self._segment_column(index)
        if name in ("eeprom", "bad_pixel"):
            rows = ThermalRows(index.spec, self.index.header.emissivity)
            return rows.eeprom if name == "eeprom" else rows.bad_pixels
        if name in ("time", "monotonic_ns", "time_unc_ns", "warmed_up"):
            return self._time_column(index, name)
        return index.column(name)

    def _segment_column(self, index: StreamIndex) -> NDArray[np.uint16]:
        name = index.spec.name
        if name not in self._segment_columns:
            self._segment_columns[name] = index.segments()
        return self._segment_columns[name]

    def _time_column(self, index: StreamIndex, name: str) -> NDArray[Any]:
        stamps = self.stamps(index.spec.name)
        if name == "time":
            return made.to_utc(self.utc_map, stamps.monotonic_ns)
        if name == "warmed_up":
            gaps = self.gaps(index.spec.name)
            return made.warmed_up(index.spec, self.index, gaps, stamps.monotonic_ns)
        return stamps.monotonic_ns if name == "monotonic_ns" else stamps.time_unc_ns

    def reads(self, stream: str) -> dict[str, NDArray[Any]]:
        """Give the evidence of a stream's stamps."""
        index = self.index.streams[stream]
        return {name: index.evidence(name) for name in index.reads}

    def rows(self, stream: str, name: str, start: int, stop: int) -> NDArray[Any]:
        """Give rows [start, stop) of a column; those that are bulk from the journal."""
        index = self.index.streams[stream]
        start, stop = max(0, start), min(stop, index.n_rows)
        if name not in layout.BULK[index.spec.kind]:
            return np.asarray(self.column(stream, name)[start:stop])
        if index.spec.kind == "thermal" and name != "raw":
            return self._thermal_rows(index, name, start, stop)
        return self._counts(index, start, stop)

    def table(self, name: str) -> Table:
        """Give one of `layout.TABLES`."""
        if name == "gaps":
            gaps = [gap for stream in self.stream_names() for gap in self.gaps(stream)]
            return made.gaps_table(self.index, gaps)
        if name == "quality":
            return self._quality
        if name == "labels":
            return made.labels_table(self.index, self._end_ns())
        return made.plain_table(self.index, name)

    def close(self) -> None:
        """Close the segment that is open."""
        self._reader.close()

    def _add_times(self, quality: QualityAccumulator, stream: str) -> None:
        index = self.index.streams[stream]
        made.add_times(quality, index, self.stamps(stream), self.gaps(stream))

    @cached_property
    def _quality(self) -> Table:
        """Figures of all streams; takes a pass over the journal."""
        gathered = {
            name: QualityAccumulator(clip_limits(index.spec))
            for name, index in self.index.streams.items()
        }
        for name, counts in all_counts(self.index):
            gathered[name].add_counts(counts)
        for name, quality in gathered.items():
            self._add_times(quality, name)
        return made.quality_table({name: gathered[name].result() for name in self.stream_names()})

    def _end_ns(self) -> int:
        newest = (self.stamps(name).monotonic_ns[-1:] for name in self.stream_names())
        return made.end_ns(self.index, (int(stamp[0]) for stamp in newest if len(stamp)))

    def _counts(self, index: StreamIndex, start: int, stop: int) -> NDArray[Any]:
        spec = index.spec
        counts = np.empty((max(0, stop - start), *spec.sample_shape), dtype=spec.dtype)
        for row, data in self._blocks(index, start, stop):
            first, last = max(row, start), min(row + len(data), stop)
            counts[first - start : last - start] = data[first - row : last - row]
        return counts

    def _blocks(
        self, index: StreamIndex, start: int, stop: int
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """Blocks that overlap rows [start, stop): first row and counts of each."""
        first_rows = index.evidence("first_index")
        first = max(0, int(np.searchsorted(first_rows, start, side="right")) - 1)
        last = int(np.searchsorted(first_rows, stop, side="left"))
        try:
            for i in range(first, last):
                yield int(first_rows[i]), self._reader.counts(index, i)
        except JournalContentError as error:
            raise SessionError(str(error)) from error

    def _thermal_rows(self, index: StreamIndex, name: str, start: int, stop: int) -> NDArray[Any]:
        """Convert rows from the start of their segment on: images are completed row by row."""
        converter = ThermalRows(index.spec, self.index.header.emissivity)
        segments = self._segment_column(index)
        first = start
        if name == "data" and start < stop:
            other = np.flatnonzero(segments[:start] != segments[start])
            first = int(other[-1]) + 1 if len(other) else 0
        pieces: list[NDArray[Any]] = [
            np.empty((0, *IMAGE_SHAPE), np.int16) if name == "data" else np.empty(0, np.float32)
        ]
        for row in range(first, stop, BATCH_ROWS):
            end = min(row + BATCH_ROWS, stop)
            data, ambient_c = converter.convert(self._counts(index, row, end), segments[row:end])
            piece = data if name == "data" else ambient_c
            pieces.append(piece[max(0, start - row) :])
        return np.concatenate(pieces)
