"""Stamps as other people's recordings have them: they jitter, repeat, run backwards and jump."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

JITTER_FRACTION = 0.1
"""A step that differs from the period by more is counted as jittering."""
RATE_DIGITS = 3

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class GivenStamps:
    """Stamps of a file's rows.

    Attributes
    ----------
    since_first_ns
        Of every row, since the earliest of the file, int64 (n,).
    origin_ns
        The earliest as the file states it.
    """

    since_first_ns: Ints
    origin_ns: int

    @property
    def n_backward(self) -> int:
        """Rows that are earlier than the row before."""
        return int(np.count_nonzero(np.diff(self.since_first_ns) < 0))

    @property
    def n_repeated(self) -> int:
        """Rows whose stamp another row has as well, but for one of each."""
        return len(self.since_first_ns) - len(np.unique(self.since_first_ns))

    @property
    def first_disorder(self) -> int:
        """First row that is not later than the row before; -1 where each is."""
        found = np.flatnonzero(np.diff(self.since_first_ns) <= 0)
        return int(found[0]) + 1 if len(found) else -1

    def in_order(self) -> Ints:
        """Rows sorted by their stamps, the first of those that repeat."""
        _, rows = np.unique(self.since_first_ns, return_index=True)
        return rows.astype(np.int64)


def from_column(values: NDArray[Any], ns_per_unit: int) -> GivenStamps:
    """Turn a column of finite numbers into stamps; whole numbers stay exact."""
    first = values.min()
    origin_ns = round(Fraction(first.item()) * ns_per_unit)
    # Taken off first: nanoseconds since 1970 are beyond what a float64 tells apart.
    since = values - first
    if values.dtype.kind == "f":
        return GivenStamps(np.rint(since * ns_per_unit).astype(np.int64), origin_ns)
    return GivenStamps(since.astype(np.int64) * ns_per_unit, origin_ns)


def from_rate(n_rows: int, rate_hz: float) -> GivenStamps:
    """Stamps of rows at a fixed rate, from 0; exact over any length."""
    period_ns = Fraction(10**9) / Fraction(rate_hz).limit_denominator(10**6)
    rows = np.arange(n_rows, dtype=np.int64)
    whole = rows // period_ns.denominator * period_ns.numerator
    rest = rows % period_ns.denominator * period_ns.numerator // period_ns.denominator
    return GivenStamps(whole + rest, 0)


def nominal_rate_hz(stamps_ns: Ints) -> float:
    """Rate that the median step of increasing stamps tells, to a thousandth of a hertz."""
    return round(1e9 / float(np.median(np.diff(stamps_ns))), RATE_DIGITS)


def stretch_rows(
    stamps_ns: Ints,
    rows: Ints,
    rate_hz: float,
    gap_periods: float,
    missing: Literal["refuse", "gap"],
) -> list[int]:
    """Places before which something is missing.

    Parameters
    ----------
    stamps_ns, rows
        Of the samples that are kept, and the place of each among all rows in order.
    """
    jumps = np.diff(stamps_ns) > gap_periods * 1e9 / rate_hz
    if missing == "gap":
        jumps |= np.diff(rows) > 1  # rows between them had no finite numbers
    return (np.flatnonzero(jumps) + 1).tolist()


def n_jittering(stamps_ns: Ints, rate_hz: float, gap_periods: float) -> int:
    """Count steps that are neither a period nor a gap."""
    steps = np.diff(stamps_ns) * rate_hz / 1e9
    return int(np.count_nonzero((np.abs(steps - 1) > JITTER_FRACTION) & (steps <= gap_periods)))
