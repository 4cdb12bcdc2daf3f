"""The evidence of time that one stream's reads gave, as plain columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wban_dataset.recording.streams import EvidenceKind, Read

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Evidence:
    """All reads of a stream in the order in which they happened; every column is (r,).

    What the columns mean and bound is said in `streams.Read`. `first_index` may jump where the
    journal was damaged: the samples of a lost record keep their places in the chip's count.

    Attributes
    ----------
    first_index, n, segment
        First sample, number of samples and segment of each read.
    period_ns
        Nominal time between two samples; the true one may be off by 20 %.
    watermark
        FIFO entries at which the chip raises its interrupt; 0 where there is none.

    Raises
    ------
    ValueError
        If columns differ in length, a read has no sample, or indices or segments run backwards.
    """

    kind: EvidenceKind
    period_ns: float
    watermark: int
    first_index: Ints
    n: Ints
    segment: Ints
    read_start_ns: Ints
    read_end_ns: Ints
    edge_ns: Ints
    fifo_level: Ints
    chip_ticks: Ints

    def __post_init__(self) -> None:
        columns = (self.n, self.segment, self.read_start_ns, self.read_end_ns, self.edge_ns)
        lengths = [len(c) for c in (*columns, self.first_index, self.fifo_level, self.chip_ticks)]
        if len(set(lengths)) > 1:
            raise ValueError(f"columns of evidence must have one length, got {lengths}")
        if not self.period_ns > 0:
            raise ValueError(f"the nominal period must be positive, got {self.period_ns} ns")
        if np.any(self.n < 1):
            raise ValueError("a read of evidence has no sample; expected n of at least 1")
        if np.any(self.first_index[1:] < self.first_index[:-1] + self.n[:-1]):
            raise ValueError("first_index of evidence runs backwards; expected reads in order")
        if np.any(self.segment[1:] < self.segment[:-1]):
            raise ValueError("segment numbers of evidence run backwards; expected reads in order")

    @classmethod
    def from_columns(
        cls,
        kind: EvidenceKind,
        period_ns: float,
        watermark: int,
        *,
        first_index: ArrayLike,
        n: ArrayLike,
        segment: ArrayLike,
        read_start_ns: ArrayLike,
        read_end_ns: ArrayLike,
        edge_ns: ArrayLike,
        fifo_level: ArrayLike,
        chip_ticks: ArrayLike,
    ) -> Evidence:
        """Evidence from columns of any integer type, as the file keeps them."""
        columns = (first_index, n, segment, read_start_ns, read_end_ns, edge_ns)
        return cls(
            kind,
            float(period_ns),
            int(watermark),
            *(np.asarray(c, dtype=np.int64) for c in (*columns, fifo_level, chip_ticks)),
        )

    @classmethod
    def from_reads(
        cls,
        kind: EvidenceKind,
        period_ns: float,
        watermark: int,
        *,
        first_index: Sequence[int],
        n: Sequence[int],
        segment: Sequence[int],
        reads: Sequence[Read],
    ) -> Evidence:
        """Evidence from the blocks of a journal, one read each."""
        return cls.from_columns(
            kind,
            period_ns,
            watermark,
            first_index=first_index,
            n=n,
            segment=segment,
            read_start_ns=[r.read_start_ns for r in reads],
            read_end_ns=[r.read_end_ns for r in reads],
            edge_ns=[r.edge_ns for r in reads],
            fifo_level=[r.fifo_level for r in reads],
            chip_ticks=[r.chip_ticks for r in reads],
        )

    @property
    def n_reads(self) -> int:
        """Number of reads."""
        return len(self.n)

    @property
    def n_samples(self) -> int:
        """Number of samples, over all reads."""
        return int(self.n.sum())

    @property
    def newest_index(self) -> Ints:
        """Newest sample that each read saw latched, whether or not it was fetched, (r,)."""
        return self.first_index + self.n + self.fifo_level - 1

    @property
    def edge_index(self) -> Ints:
        """Sample whose latching raised each read's interrupt, (r,); only where `has_edge`."""
        return self.first_index + (self.watermark - 1)

    @property
    def has_edge(self) -> NDArray[np.bool_]:
        """Reads whose interrupt is known and can belong to what they saw, (r,)."""
        possible = (self.edge_index <= self.newest_index) & (self.edge_ns <= self.read_end_ns)
        return (self.edge_ns > 0) & (self.watermark > 0) & possible

    def segment_bounds(self) -> Ints:
        """Where in the reads each segment starts, and the number of reads last, (s + 1,)."""
        if not self.n_reads:
            return np.zeros(1, dtype=np.int64)
        starts = np.flatnonzero(np.diff(self.segment)) + 1
        return np.concatenate(([0], starts, [self.n_reads])).astype(np.int64)
