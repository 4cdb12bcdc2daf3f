"""What a journal says, without the samples themselves: one pass, small columns in memory.

The index decides once which block becomes which rows of the session, so that sealing and reading a
session that is not sealed yet agree. It needs about 100 bytes per block.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording.errors import JournalContentError
from wban_dataset.recording.framing import Damage, Record, segment_paths
from wban_dataset.recording.journal_reader import JournalReader
from wban_dataset.recording.layout import GIVEN_STAMPS, RESERVED_NAMES, block_columns
from wban_dataset.recording.records import JournalItem, RecordError, decode
from wban_dataset.recording.streams import (
    ClockAnchor,
    Gap,
    HealthSample,
    Label,
    Mark,
    SampleBlock,
    SessionEnd,
    SessionHeader,
    StreamSpec,
)
from wban_dataset.recording.wording import counted

DROPPED_CAUSES = frozenset({"queue full", "disk full"})
"""Causes of gaps whose samples were numbered before they were lost."""

Progress = Callable[[int], None]
"""Told how many bytes of the journal are done."""


class BlockPlaces:
    """Where the blocks of a stream stand, an entry per block.

    Attributes
    ----------
    segment, offset
        Of the record in the journal.
    n_bytes
        Length of the record's payload.
    data_offset
        Where in the payload the counts begin.
    """

    def __init__(self) -> None:
        self.segment: array[int] = array("q")
        self.offset: array[int] = array("q")
        self.n_bytes: array[int] = array("q")
        self.data_offset: array[int] = array("q")

    def add(self, record: Record, data: NDArray[Any]) -> None:
        """Note the place of a record's counts, which are a view of its payload."""
        self.segment.append(record.segment)
        self.offset.append(record.offset)
        self.n_bytes.append(len(record.payload))
        self.data_offset.append(_address(data) - _address(np.frombuffer(record.payload, np.uint8)))


def _address(values: NDArray[Any]) -> int:
    return int(values.__array_interface__["data"][0])


@dataclass(frozen=True, slots=True)
class StreamGap:
    """A gap and the row of the stream before which it stands."""

    row: int
    gap: Gap


@dataclass(frozen=True, slots=True)
class DamagedStretch:
    """Damage, with the newest time known before it and the oldest after it; 0 where none is."""

    damage: Damage
    before_ns: int
    after_ns: int


class StreamIndex:
    """The blocks of one stream in order, as rows of the session.

    A jump of the blocks' own index means that samples were lost after the driver had numbered them:
    rows close up, a new segment begins, and the jump is noted as a gap where no other gap explains
    it.

    Parameters
    ----------
    first_index
        The blocks' own index of the first sample: 0, or where the session before ended.

    Attributes
    ----------
    reads
        Evidence, one entry per block: ``first_index`` (row), ``n``, and the fields of `Read`.
    segment
        One entry per block; begins with the first block's own number and counts up.
    places
        Where the blocks stand.
    gaps
        As told by the source, and those found here.
    """

    def __init__(self, spec: StreamSpec, first_index: int = 0) -> None:
        self.spec = spec
        self.first_index = first_index
        self.n_rows = 0
        self.n_refused = 0
        self.gaps: list[StreamGap] = []
        self.reads: dict[str, array[int]] = {name: array("q") for name in READ_FIELDS}
        self.segment: array[int] = array("q")
        self.places = BlockPlaces()
        self.dtype = np.dtype(spec.dtype)
        self.values_per_sample = math.prod(spec.sample_shape)
        # Raw bytes: an array object per block would take many times the values' own size.
        self._columns = {column.name: bytearray() for column in self._declared}
        self._next_index = first_index
        self._source_segment: int = -1
        self._segment = -1
        self._n_explained = 0

    @property
    def _declared(self) -> tuple[Any, ...]:
        return block_columns(self.spec.kind, self.spec.evidence)

    def accepts(self, block: SampleBlock) -> bool:
        """Whether a block is what its stream was declared to be."""
        data = block.data
        return (
            data.shape[1:] == self.spec.sample_shape
            and data.dtype == self.dtype
            and len(data) > 0
            and all(column.shape == (len(data),) for column in block.columns.values())
            and (self.spec.evidence != "given" or GIVEN_STAMPS in block.columns)
        )

    def add_block(self, block: SampleBlock, record: Record, *, damaged: bool) -> None:
        """Give a block its rows; `damaged`: the journal was, somewhere before it."""
        n_jumped = max(0, block.first_index - self._next_index)
        n_unexplained = n_jumped - self._n_explained
        if n_unexplained > 0:
            cause = "journal damaged" if damaged else "missed"
            gap = Gap(self.spec.name, 0, 0, n_unexplained, cause, exact=True)
            self.gaps.append(StreamGap(self.n_rows, gap))
        if not self.n_rows:
            self._segment = block.segment
        elif n_jumped or block.segment != self._source_segment or self._n_explained:
            self._segment += 1
        self._source_segment, self._n_explained = block.segment, 0
        self._next_index = block.first_index + block.n_samples
        self._note(block, record)
        self.n_rows += block.n_samples

    def add_gap(self, gap: Gap) -> None:
        """Note a gap that the source tells of."""
        self.gaps.append(StreamGap(self.n_rows, gap))
        if gap.cause in DROPPED_CAUSES:
            self._n_explained += max(0, gap.n_missing)

    def column(self, name: str) -> NDArray[Any]:
        """Give a column that blocks bring beside their counts, (n_rows,)."""
        declared = next(column for column in self._declared if column.name == name)
        return np.frombuffer(self._columns[name], dtype=declared.dtype)

    def evidence(self, name: str) -> NDArray[np.int64]:
        """Give one of `READ_FIELDS`, an entry per block."""
        return np.frombuffer(self.reads[name], dtype=np.int64)

    def segment_of_read(self) -> NDArray[np.int64]:
        """Give the segment of every block."""
        return np.frombuffer(self.segment, dtype=np.int64)

    def segments(self) -> NDArray[np.uint16]:
        """Give the segment of every row modulo 65536, as the file keeps it, (n_rows,)."""
        return np.repeat(self.segment_of_read().astype(np.uint16), self.evidence("n"))

    def _note(self, block: SampleBlock, record: Record) -> None:
        read = block.read
        values = (
            self.n_rows,
            block.n_samples,
            read.read_start_ns,
            read.read_end_ns,
            read.edge_ns,
            read.fifo_level,
            read.chip_ticks,
        )
        for column, value in zip(self.reads.values(), values, strict=True):
            column.append(value)
        self.segment.append(self._segment)
        self.places.add(record, block.data)
        for declared in self._declared:
            values_of = block.columns.get(declared.name)
            if values_of is None:
                values_of = np.zeros(block.n_samples, dtype=declared.dtype)
            self._columns[declared.name] += values_of.astype(declared.dtype).tobytes()


READ_FIELDS = (
    "first_index",
    "n",
    "read_start_ns",
    "read_end_ns",
    "edge_ns",
    "fifo_level",
    "chip_ticks",
)


@dataclass
class JournalIndex:
    """Everything in a journal but the samples.

    Raises
    ------
    JournalContentError
        From `scan`, if nothing in the journal says whose session it is.
    """

    directory: Path
    header: SessionHeader
    streams: dict[str, StreamIndex] = field(default_factory=dict[str, StreamIndex])
    anchors: list[ClockAnchor] = field(default_factory=list[ClockAnchor])
    labels: list[Label] = field(default_factory=list[Label])
    marks: list[Mark] = field(default_factory=list[Mark])
    health: list[HealthSample] = field(default_factory=list[HealthSample])
    damages: list[DamagedStretch] = field(default_factory=list[DamagedStretch])
    other_gaps: list[Gap] = field(default_factory=list[Gap])
    end: SessionEnd | None = None
    segment_bytes: dict[str, int] = field(default_factory=dict[str, int])
    warnings: list[str] = field(default_factory=list[str])

    @classmethod
    def scan(cls, directory: Path, progress: Progress | None = None) -> JournalIndex:
        """Read a journal from end to end."""
        sizes = segment_sizes(directory)
        scanner = _Scanner(directory)
        for found in with_progress(directory, progress):
            scanner.take(found)
        index = scanner.finish()
        index.segment_bytes = sizes
        return index

    @property
    def n_bytes(self) -> int:
        """Size of the journal when it was scanned."""
        return sum(self.segment_bytes.values())

    @property
    def is_damaged(self) -> bool:
        """Whether records are missing that once stood before others."""
        return any(stretch.damage.n_missing_records != 0 for stretch in self.damages)


class _Scanner:
    """Sorts the items of a journal into an index."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._header: SessionHeader | None = None
        self._before_header: list[StreamSpec] = []
        self._orphans: dict[str, list[tuple[SampleBlock | Gap, Record]]] = {}
        self._n_unknown = 0
        self._newest_ns = 0
        self._open_damage: list[Damage] = []
        self._index = JournalIndex(directory, header=_NO_HEADER)

    def take(self, found: Record | Damage) -> None:
        """Take the next thing that the reader finds."""
        item = decoded(found)
        if isinstance(item, Damage):
            self._open_damage.append(item)
            return
        if item is None or isinstance(found, Damage):
            self._n_unknown += 1
            return
        self._close_damage(_time_of(item))
        self._newest_ns = max(self._newest_ns, _time_of(item))
        self._sort(item, found)

    def finish(self) -> JournalIndex:
        """Give the index of all that was taken."""
        self._close_damage(0, force=True)
        if self._header is None:
            raise JournalContentError(
                f"journal {self._directory}: no intact record says whose session it is, "
                "expected a session header. Keep the folder; nothing in it can be sealed."
            )
        index = self._index
        index.header = self._header
        for name, left in self._orphans.items():
            n_samples = sum(b.n_samples for b, _ in left if isinstance(b, SampleBlock))
            index.other_gaps += [b for b, _ in left if isinstance(b, Gap)]
            if n_samples:
                self._refuse(name, n_samples, "whose stream was never declared")
        for name, stream in index.streams.items():
            if stream.n_refused:
                self._refuse(name, stream.n_refused, "not being as the stream was declared")
        if self._n_unknown:
            index.warnings.append(
                f"{counted(self._n_unknown, 'record')} of a kind that this version does not know"
            )
        return index

    def _refuse(self, name: str, n_samples: int, why: str) -> None:
        were = "was" if n_samples == 1 else "were"
        samples = counted(n_samples, "sample")
        self._index.warnings.append(f"stream {name}: {samples} {were} left out, {why}")
        self._index.other_gaps.append(
            Gap(name, self._newest_ns, self._newest_ns, n_samples, "invalid data", exact=True)
        )

    def _close_damage(self, time_ns: int, *, force: bool = False) -> None:
        """Damage ends where the next item has a time."""
        if not self._open_damage or not (time_ns or force):
            return
        for damage in self._open_damage:
            self._index.damages.append(DamagedStretch(damage, self._newest_ns, time_ns))
        self._open_damage.clear()

    def _sort(self, item: JournalItem, record: Record) -> None:
        index = self._index
        match item:
            case SampleBlock():
                self._take_block(item, record)
            case Gap():
                self._take_gap(item, record)
            case SessionHeader():
                self._identify(item)
            case StreamSpec():
                self._take_spec(item)
            case ClockAnchor():
                index.anchors.append(item)
            case Label():
                index.labels.append(item)
            case Mark():
                index.marks.append(item)
            case HealthSample():
                index.health.append(item)
            case SessionEnd():
                index.end = item

    def _identify(self, header: SessionHeader) -> None:
        """Take the header; streams that came before it, it being damaged, are declared now."""
        if self._header is None:
            self._header = header
            for spec in self._before_header:
                self._declare(spec, header)

    def _take_spec(self, spec: StreamSpec) -> None:
        if self._header is None:
            self._before_header.append(spec)
        else:
            self._declare(spec, self._header)

    def _declare(self, spec: StreamSpec, header: SessionHeader) -> None:
        if spec.name in self._index.streams:
            return
        if spec.name in RESERVED_NAMES or "/" in spec.name or not spec.name:
            raise JournalContentError(
                f"journal {self._directory}: a stream is named {spec.name!r}, expected a name "
                "that no other group of the session has. Keep the folder and report this."
            )
        self._index.streams[spec.name] = StreamIndex(spec, header.first_index.get(spec.name, 0))
        # A declaration lost to damage is repeated at the head of the next segment.
        for item, record in self._orphans.pop(spec.name, []):
            if isinstance(item, Gap):
                self._take_gap(item, record)
            else:
                self._take_block(item, record)

    def _take_block(self, block: SampleBlock, record: Record) -> None:
        stream = self._index.streams.get(block.stream)
        if stream is None:
            self._orphans.setdefault(block.stream, []).append((block, record))
        elif stream.accepts(block):
            damaged = bool(self._index.damages or self._open_damage)
            stream.add_block(block, record, damaged=damaged)
        else:
            stream.n_refused += block.n_samples

    def _take_gap(self, gap: Gap, record: Record) -> None:
        stream = self._index.streams.get(gap.stream)
        if stream is None:
            self._orphans.setdefault(gap.stream, []).append((gap, record))
        else:
            stream.add_gap(gap)


_NO_HEADER = SessionHeader("", "", "", "", "", "", 0, "")


def decoded(found: Record | Damage) -> JournalItem | Damage | None:
    """Make an item of what the reader found; a record that makes no sense is damage as well."""
    if isinstance(found, Damage):
        return found
    try:
        return decode(found.kind, found.payload)
    except RecordError:
        n_bytes = len(found.payload)
        return Damage(found.segment, found.offset, n_bytes, found.sequence, 1)


def _time_of(item: JournalItem) -> int:
    """When an item was put into the journal, as near as it says; 0 where it does not."""
    match item:
        case SampleBlock():
            return item.read.read_end_ns
        case Gap():
            return item.stop_ns
        case ClockAnchor() | HealthSample() | SessionEnd():
            return item.monotonic_ns
        case _:
            return 0


def segment_sizes(directory: Path) -> dict[str, int]:
    """Size of every segment of a journal by its file name, in order."""
    return {path.name: path.stat().st_size for _, path in segment_paths(directory)}


def with_progress(directory: Path, progress: Progress | None) -> Iterator[Record | Damage]:
    """All that the reader finds, and `progress` told after each segment."""
    sizes = {number: path.stat().st_size for number, path in segment_paths(directory)}
    n_done, current = 0, -1
    for found in JournalReader(directory):
        if found.segment != current:
            if progress is not None and current >= 0:
                n_done += sizes.get(current, 0)
                progress(n_done)
            current = found.segment
        yield found
    if progress is not None:
        progress(sum(sizes.values()))
