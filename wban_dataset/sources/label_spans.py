"""Labels of other people's recordings: one in each row, or a table of spans."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from wban_dataset.errors import DatasetError
from wban_dataset.recording.activities import slug
from wban_dataset.recording.streams import Label
from wban_dataset.sources.delimited_format import SAMPLES, LabelFileFormat, delimiter_of
from wban_dataset.sources.imported import LABEL_SOURCE
from wban_dataset.sources.text_table import TextTable
from wban_dataset.sources.units import ns_per

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A row of a label file, as it stands there.

    Attributes
    ----------
    start, stop
        Samples or times as the format says; exact.
    """

    file: str
    row: int
    start: Fraction
    stop: Fraction
    label: str
    subject: str | None
    recording: str | None


@dataclass(frozen=True, slots=True)
class ClassNames:
    """What labels are called, and which mean none."""

    source: str
    classes: Mapping[str, str]
    unlabelled: Sequence[str]

    def name(self, label: str, where: str) -> str:
        """Give the activity's name; "" for none.

        Raises
        ------
        DatasetError
            If classes are listed and this is none, or it cannot be a name.
        """
        if not label or label in self.unlabelled:
            return ""
        if self.classes and label not in self.classes:
            raise DatasetError(
                f"{where}: the label {label!r} is none of the classes, expected one of "
                f"{', '.join(self.classes)}. Add it to the classes, or to what is unlabelled."
            )
        name = self.classes.get(label, label)
        try:
            return slug(name)
        except ValueError as error:
            raise DatasetError(f"{where}: {error}. Name it under [classes].") from error

    def span(self, start_ns: int, stop_ns: int, name: str) -> Label:
        """Make a label of the source's own."""
        return Label(start_ns, stop_ns, name, self.source, LABEL_SOURCE)


def from_rows(
    words: Sequence[str],
    stamps_ns: Ints,
    breaks: Sequence[int],
    period_ns: int,
    names: ClassNames,
    where: str,
) -> Iterator[Label]:
    """Spans of rows that follow each other and say the same; none over a gap.

    Parameters
    ----------
    words, stamps_ns
        In the order of time, (n,) each.
    breaks
        Rows before which something is missing.
    """
    codes, code_of = np.unique(np.array(words, dtype=str), return_inverse=True)
    named = [names.name(str(code), where) for code in codes]
    change = np.diff(code_of) != 0
    change[np.asarray(breaks, dtype=np.int64) - 1] = True
    starts = np.concatenate(([0], np.flatnonzero(change) + 1))
    stops = np.concatenate((starts[1:], [len(words)]))
    broken = set(breaks)
    for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
        name = named[code_of[start]]
        if name:
            ends = stop == len(words) or stop in broken
            stop_ns = int(stamps_ns[stop - 1]) + period_ns if ends else int(stamps_ns[stop])
            yield names.span(int(stamps_ns[start]), stop_ns, name)


def read_label_file(text: bytes, name: str, format_: LabelFileFormat) -> list[LabelRow]:
    """Read all rows of a label file.

    Raises
    ------
    DatasetError
        If a column is missing, or a row does not say from where to where.
    """
    table = TextTable(text, name, delimiter=delimiter_of(format_.delimiter), header=format_.header)
    starts, stops = table.plain_numbers(format_.start), table.plain_numbers(format_.stop)
    labels = table.words(format_.label)
    subjects = None if format_.subject is None else table.words(format_.subject)
    recordings = None if format_.recording is None else table.words(format_.recording)
    rows: list[LabelRow] = []
    for i, label in enumerate(labels):
        if not (np.isfinite(starts[i]) and np.isfinite(stops[i])):
            raise DatasetError(
                f"{name}, row {table.row(i)}: it goes from {starts[i]} to {stops[i]}, expected two "
                "numbers. Mend or remove the row."
            )
        rows.append(
            LabelRow(
                file=name,
                row=table.row(i),
                start=Fraction(starts[i].item()),
                stop=Fraction(stops[i].item()),
                label=label,
                subject=subjects[i] if subjects else None,
                recording=recordings[i] if recordings else None,
            )
        )
    return rows


def concerns(row: LabelRow, subject: str, recording: str) -> bool:
    """Whether a row is about a recording; ``1`` and ``01`` are the same."""
    return _is(row.subject, subject) and _is(row.recording, recording)


def from_label_rows(
    rows: Sequence[LabelRow],
    format_: LabelFileFormat,
    stamps_ns: Ints,
    origin_ns: int,
    period_ns: int,
    names: ClassNames,
) -> Iterator[Label]:
    """Spans of a recording.

    Parameters
    ----------
    stamps_ns
        Of the rows of its file as they stand there, in session time, (n,).
    origin_ns
        Time of the session's start as the source counts it.

    Raises
    ------
    DatasetError
        If a row ends before it starts, or outside the recording.
    """
    end_ns = int(stamps_ns.max()) + period_ns
    for row in rows:
        name = names.name(row.label, f"{row.file}, row {row.row}")
        if not name:
            continue
        if format_.counts == SAMPLES:
            start_ns, stop_ns = _of_samples(row, format_, stamps_ns, period_ns)
        else:
            ns = ns_per(format_.counts)
            start_ns, stop_ns = (round(time * ns) - origin_ns for time in (row.start, row.stop))
            stop_ns += format_.stop_included
        if not 0 <= start_ns < stop_ns <= end_ns:
            raise DatasetError(
                f"{row.file}, row {row.row}: it goes from {float(row.start):g} to "
                f"{float(row.stop):g}, which is {start_ns / 1e9:.3f} s to {stop_ns / 1e9:.3f} s, "
                f"expected a span within 0 and {end_ns / 1e9:.3f} s. Mend the row, or say what its "
                "numbers count."
            )
        yield names.span(start_ns, stop_ns, name)


def _of_samples(
    row: LabelRow, format_: LabelFileFormat, stamps_ns: Ints, period_ns: int
) -> tuple[int, int]:
    first = int(row.start) - format_.first
    stop = int(row.stop) - format_.first + format_.stop_included
    if not 0 <= first < stop <= len(stamps_ns):
        raise DatasetError(
            f"{row.file}, row {row.row}: it goes from sample {row.start} to {row.stop}, expected "
            f"samples of the {len(stamps_ns)} that there are, counted from {format_.first}. "
            "Mend the row, or say from what it counts."
        )
    last_ns = int(stamps_ns[stop - 1])
    after_ns = int(stamps_ns[stop]) if stop < len(stamps_ns) else last_ns + period_ns
    return int(stamps_ns[first]), after_ns


def _is(stated: str | None, wanted: str) -> bool:
    if stated is None or stated == wanted:
        return True
    return stated.isdecimal() and wanted.isdecimal() and int(stated) == int(wanted)
