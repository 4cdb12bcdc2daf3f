"""The samples of blocks whose places an index knows, read again without a search."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording.errors import JournalContentError
from wban_dataset.recording.framing import RECORD_HEADER, segment_paths
from wban_dataset.recording.journal_index import JournalIndex, Progress, StreamIndex

NOTHING_OPEN = -1


class BlockReader:
    """Reads blocks by their place; verifies each record's checksum again.

    One segment is kept open, so that reading in the journal's order opens each once.
    """

    def __init__(self, directory: Path) -> None:
        self._paths: dict[int, Path] = dict(segment_paths(directory))
        self._segment: int = NOTHING_OPEN
        self._fd: int = NOTHING_OPEN

    def counts(self, stream: StreamIndex, i: int) -> NDArray[Any]:
        """Give the counts of a stream's block number `i`, (n, *sample_shape).

        Raises
        ------
        JournalContentError
            If the record is not there any more, or does not verify.
        """
        places = stream.places
        segment, offset = places.segment[i], places.offset[i]
        size = RECORD_HEADER.size + places.n_bytes[i]
        try:
            raw = os.pread(self._opened(segment), size, offset)
        except (OSError, KeyError) as error:
            raise self._changed(segment, offset) from error
        if len(raw) < size or zlib.crc32(memoryview(raw)[RECORD_HEADER.size :]) != _crc_of(raw):
            raise self._changed(segment, offset)
        return np.frombuffer(
            raw,
            dtype=stream.dtype,
            count=stream.reads["n"][i] * stream.values_per_sample,
            offset=RECORD_HEADER.size + places.data_offset[i],
        ).reshape(-1, *stream.spec.sample_shape)

    def close(self) -> None:
        """Close the segment that is open; the next read opens one again."""
        if self._fd != NOTHING_OPEN:
            os.close(self._fd)
        self._fd, self._segment = NOTHING_OPEN, NOTHING_OPEN

    def _opened(self, segment: int) -> int:
        if segment != self._segment:
            self.close()
            self._fd = os.open(self._paths[segment], os.O_RDONLY | os.O_CLOEXEC)
            self._segment = segment
        return self._fd

    def _changed(self, segment: int, offset: int) -> JournalContentError:
        name = self._paths.get(segment, segment)
        return JournalContentError(
            f"journal segment {name}: the record at {offset} does not verify any more, expected "
            "the journal as it was a moment ago. If it was sealed meanwhile, open the session "
            "anew; otherwise check the disk."
        )


def all_counts(
    index: JournalIndex, progress: Progress | None = None
) -> Iterator[tuple[str, NDArray[Any]]]:
    """Give the counts of all blocks with their stream's name, in the journal's order.

    `progress` is told of bytes done after each segment.
    """
    names = list(index.streams)
    streams = [index.streams[name] for name in names]
    stream_of, block_of, segment_of = _journal_order(streams)
    sizes = {number: path.stat().st_size for number, path in segment_paths(index.directory)}
    reader = BlockReader(index.directory)
    n_done = 0
    try:
        for i in range(len(stream_of)):
            if progress is not None and i and segment_of[i] != segment_of[i - 1]:
                n_done += sizes.get(int(segment_of[i - 1]), 0)
                progress(n_done)
            k = int(stream_of[i])
            yield names[k], reader.counts(streams[k], int(block_of[i]))
    finally:
        reader.close()


def _journal_order(
    streams: list[StreamIndex],
) -> tuple[NDArray[np.uint16], NDArray[np.uint32], NDArray[np.uint32]]:
    """Stream, number of the block in it, and segment, for all blocks as the journal has them."""
    empty = np.empty(0, dtype=np.int64)
    segment = np.concatenate([empty, *(np.frombuffer(s.places.segment, np.int64) for s in streams)])
    offset = np.concatenate([empty, *(np.frombuffer(s.places.offset, np.int64) for s in streams)])
    order = np.lexsort((offset, segment))
    counts = [len(stream.segment) for stream in streams]
    stream_of = np.repeat(np.arange(len(streams), dtype=np.uint16), counts)[order]
    numbers = [np.arange(count, dtype=np.uint32) for count in counts]
    block_of = np.concatenate([np.empty(0, dtype=np.uint32), *numbers])[order]
    return stream_of, block_of, segment[order].astype(np.uint32)


def _crc_of(raw: bytes) -> int:
    """Checksum of the payload as the record's header states it."""
    fields = RECORD_HEADER.unpack_from(raw)
    return int(fields[-2])
