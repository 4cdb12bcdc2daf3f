"""Recordings as delimited text, in whatever folders and columns other people keep them.

The files of one subject and recording make one session, each file one or several of its streams.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from wban_dataset.errors import DatasetError
from wban_dataset.recording.activities import slug, subject_id
from wban_dataset.recording.streams import Label
from wban_dataset.sources import given_stamps, label_spans
from wban_dataset.sources.archives import SourceTree
from wban_dataset.sources.delimited_format import (
    DelimitedFormat,
    StreamFormat,
    delimiter_of,
    to_toml,
)
from wban_dataset.sources.given_stamps import GivenStamps
from wban_dataset.sources.imported import ImportedSession, ImportedStream
from wban_dataset.sources.label_spans import ClassNames, LabelRow
from wban_dataset.sources.path_pattern import PathPattern
from wban_dataset.sources.text_table import TextTable
from wban_dataset.sources.units import ns_per, unit_of

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of a recording and what its path says of it."""

    name: str
    placement: str
    stream: str


@dataclass(frozen=True, slots=True)
class Recording:
    """The files that make one session, and the rows of a label file that are about it."""

    subject: str
    recording: str
    activity: str
    files: tuple[SourceFile, ...]
    label_rows: tuple[LabelRow, ...] = ()


@dataclass(frozen=True, slots=True)
class FoundRecordings:
    """What a source holds.

    Attributes
    ----------
    left_out
        Files whose path does not fit.
    """

    recordings: tuple[Recording, ...]
    left_out: tuple[str, ...]


@dataclass(slots=True)
class _ReadFile:
    """A file with its stamps and streams."""

    file: SourceFile
    table: TextTable
    stamps: GivenStamps
    rows: Ints  # in the order of time, one for each stamp
    rate_hz: float
    notes: list[str] = field(default_factory=list[str])

    @property
    def stamps_ns(self) -> Ints:
        """Of `rows`, since the file's earliest."""
        return self.stamps.since_first_ns[self.rows]

    @property
    def period_ns(self) -> int:
        return round(1e9 / self.rate_hz)


def find_recordings(tree: SourceTree, format_: DelimitedFormat) -> FoundRecordings:
    """Say which files make which sessions, by their paths alone; labels of a file beside them.

    Raises
    ------
    DatasetError
        If no path fits, two files make the same streams, or a subject's name cannot be used.
    """
    pattern = PathPattern(format_.path)
    labels = format_.labels.file if format_.labels else None
    left_out: list[str] = []
    grouped: dict[tuple[str, str], list[tuple[SourceFile, str]]] = {}
    for name in tree.names:
        fields = pattern.match(name)
        if name == labels:
            continue
        if fields is None:
            left_out.append(name)
            continue
        key, file = _named(name, fields, format_)
        grouped.setdefault(key, []).append((file, fields.get("activity") or ""))
    if not grouped:
        shown = ", ".join(tree.names[:3]) or "no file"
        raise DatasetError(
            f"{tree.path}: no path in it fits {format_.path!r} (found: {shown}), expected at least "
            "one. Correct the pattern with --path."
        )
    rows = _label_rows(tree, format_)
    found = [_recording(key, files, rows) for key, files in sorted(grouped.items())]
    _check_all_rows_used(found, rows)
    return FoundRecordings(tuple(found), tuple(left_out))


def session_of(
    recording: Recording, texts: Mapping[str, bytes], format_: DelimitedFormat
) -> tuple[ImportedSession, list[str]]:
    """Make the session of a recording, and say what was found odd in it.

    Raises
    ------
    DatasetError
        If a file has other columns, stamps or values than the format allows.
    """
    read = [_read(file, texts[file.name], format_) for file in recording.files]
    has_stamps = format_.time is not None
    origin_ns = min(file.stamps.origin_ns for file in read) if has_stamps else 0
    streams: list[ImportedStream] = []
    for file in read:
        for stream in _streams_of(file, format_):
            shift_ns = file.stamps.origin_ns - origin_ns
            streams.append(replace(stream, stamps_ns=stream.stamps_ns + shift_ns))
    notes = [note for file in read for note in file.notes]
    session = ImportedSession(
        source=format_.source,
        recording=recording.recording,
        subject=recording.subject,
        streams=tuple(sorted(streams, key=lambda stream: stream.name)),
        labels=(),
        start_realtime_ns=origin_ns if format_.epoch == "unix" else None,
        configuration=to_toml(format_),
    )
    labels = sorted(
        _labels(recording, read, session, origin_ns, format_, notes),
        key=lambda label: (label.start_ns, label.stop_ns),
    )
    return replace(session, labels=tuple(labels)), notes


def _named(
    name: str, fields: Mapping[str, str], format_: DelimitedFormat
) -> tuple[tuple[str, str], SourceFile]:
    """Say whose and which recording a file belongs to."""
    subject = re.sub(r"[_\s]+", "-", fields.get("subject") or format_.subject)
    stem = PurePosixPath(name).name.split(".")[0]
    recording = fields.get("recording") or format_.recording or stem
    stream = fields.get("stream") or ""
    known = [entry.name for entry in format_.streams]
    if stream and stream not in known:
        raise DatasetError(
            f"{name}: its path names the stream {stream!r}, expected one of {', '.join(known)}. "
            "Name the streams as the paths do, or leave such files out with the pattern."
        )
    try:
        key = subject_id(subject), re.sub(r"[^A-Za-z0-9-]+", "-", recording).strip("-") or "1"
        placement = slug(fields["placement"]) if fields.get("placement") else ""
    except ValueError as error:
        raise DatasetError(
            f"{name}: {error}. Correct --path, or name it with --subject."
        ) from error
    return key, SourceFile(name, placement, stream)


def _recording(
    key: tuple[str, str], files: Sequence[tuple[SourceFile, str]], rows: Sequence[LabelRow]
) -> Recording:
    subject, name = key
    made: dict[tuple[str, str], str] = {}
    for file, _ in files:
        other = made.setdefault((file.placement, file.stream), file.name)
        if other != file.name:
            raise DatasetError(
                f"{file.name}: it makes the same streams of recording {name} of {subject} as "
                f"{other}, expected paths that tell them apart. Let the pattern say {{recording}}, "
                "{placement} or {stream}."
            )
    activities = {activity for _, activity in files}
    return Recording(
        subject,
        name,
        activities.pop() if len(activities) == 1 else "",
        tuple(file for file, _ in files),
        tuple(row for row in rows if label_spans.concerns(row, subject, name)),
    )


def _label_rows(tree: SourceTree, format_: DelimitedFormat) -> list[LabelRow]:
    if format_.labels is None:
        return []
    text = tree.read(format_.labels.file)
    return label_spans.read_label_file(text, format_.labels.file, format_.labels)


def _check_all_rows_used(recordings: Sequence[Recording], rows: Sequence[LabelRow]) -> None:
    used = {row.row for recording in recordings for row in recording.label_rows}
    for row in rows:
        if row.row not in used:
            raise DatasetError(
                f"{row.file}, row {row.row}: it is about recording {row.recording or 'any'} of "
                f"{row.subject or 'anybody'}, expected one that the paths name. Mend the row, or "
                "correct the pattern."
            )


def _read(file: SourceFile, text: bytes, format_: DelimitedFormat) -> _ReadFile:
    table = TextTable(
        text,
        file.name,
        delimiter=delimiter_of(format_.delimiter),
        header=format_.header,
        skip_rows=format_.skip_rows,
    )
    if format_.time is None:
        rate_hz = format_.rate_hz or 0.0
        stamps = given_stamps.from_rate(len(table), rate_hz)
        return _ReadFile(file, table, stamps, np.arange(len(table), dtype=np.int64), rate_hz)
    values = table.plain_numbers(format_.time)
    bad = np.flatnonzero(~np.isfinite(values))
    if len(bad):
        raise DatasetError(
            f"{file.name}, row {table.row(int(bad[0]))}: it has no time, expected a number in "
            f"column {format_.time}. Mend or remove the row."
        )
    stamps = given_stamps.from_column(values, ns_per(format_.time_unit))
    _refuse_disorder(stamps, table, format_)
    rows = stamps.in_order()
    if len(rows) < 2:
        raise DatasetError(
            f"{file.name}: it has {len(rows)} different stamp, expected at least two. "
            "Leave the file out."
        )
    rate_hz = format_.rate_hz or given_stamps.nominal_rate_hz(stamps.since_first_ns[rows])
    read = _ReadFile(file, table, stamps, rows, rate_hz)
    read.notes += _notes_of_stamps(read, format_)
    return read


def _refuse_disorder(stamps: GivenStamps, table: TextTable, format_: DelimitedFormat) -> None:
    if stamps.first_disorder >= 0 and format_.stamps == "refuse":
        raise DatasetError(
            f"{table.name}, row {table.row(stamps.first_disorder)}: its stamp is not later "
            f"than the one before ({stamps.n_repeated} stamps repeat, {stamps.n_backward} run "
            "backwards), expected stamps that increase. Mend the file, or sort and drop repeats "
            "with --stamps sort."
        )


def _notes_of_stamps(read: _ReadFile, format_: DelimitedFormat) -> Iterator[str]:
    stamps = read.stamps
    if stamps.first_disorder >= 0:
        yield (
            f"{read.file.name}: {stamps.n_repeated} repeated stamps dropped but for the first of "
            f"each, {stamps.n_backward} backward steps sorted; the first at row "
            f"{read.table.row(stamps.first_disorder)}"
        )
    n = given_stamps.n_jittering(read.stamps_ns, read.rate_hz, format_.gap_periods)
    if n:
        percent = 100 * n / len(read.rows)
        yield (
            f"{read.file.name}: {n} steps ({percent:.1f} %) are more than 10 % off the period of "
            f"{read.period_ns / 1e6:.3f} ms; the stamps are kept as they are"
        )


def _streams_of(read: _ReadFile, format_: DelimitedFormat) -> Iterator[ImportedStream]:
    for stream in format_.streams:
        if read.file.stream in ("", stream.name):
            yield _stream(read, stream, format_)


def _stream(read: _ReadFile, stream: StreamFormat, format_: DelimitedFormat) -> ImportedStream:
    """One stream of a file, in the file's own time; notes on what is missing go with the file."""
    unit = unit_of(stream.unit)
    columns = [read.table.numbers(signal) for signal in stream.signals]
    values = np.stack(columns, axis=1)[read.rows] * unit.factor
    finite = np.isfinite(values).all(axis=1)
    if not finite.all():
        _take_missing(read, stream, np.flatnonzero(~finite), format_)
    kept = np.flatnonzero(finite)
    stamps_ns = read.stamps_ns[kept]
    placement = read.file.placement
    return ImportedStream(
        name=f"{placement}_{stream.name}" if placement else stream.name,
        kind=unit.kind,
        values=values[kept],
        stamps_ns=stamps_ns,
        sampling_rate_hz=read.rate_hz,
        device=stream.device,
        placement=placement or stream.placement,
        stretch_rows=given_stamps.stretch_rows(
            stamps_ns, kept, read.rate_hz, format_.gap_periods, format_.missing
        ),
    )


def _take_missing(
    read: _ReadFile, stream: StreamFormat, missing: Ints, format_: DelimitedFormat
) -> None:
    row = read.table.row(int(read.rows[missing[0]]))
    if format_.missing == "refuse":
        raise DatasetError(
            f"{read.file.name}, row {row}: stream {stream.name} has no finite number in "
            f"{len(missing)} rows, of which this is the first, expected one in each column. "
            "Mend the file, or take such rows for gaps with --missing gap."
        )
    if len(missing) > len(read.rows) - 2:
        raise DatasetError(
            f"{read.file.name}: stream {stream.name} has no finite numbers, expected at least two "
            "rows of them. Leave the stream or the file out."
        )
    read.notes.append(
        f"{read.file.name}: {len(missing)} rows of {stream.name} without finite numbers became "
        f"gaps; the first is row {row}"
    )


def _labels(
    recording: Recording,
    read: Sequence[_ReadFile],
    session: ImportedSession,
    origin_ns: int,
    format_: DelimitedFormat,
    notes: list[str],
) -> Iterator[Label]:
    """Spans of a session; where several files have labels, those of the first."""
    names = ClassNames(format_.source, format_.classes, format_.unlabelled)
    first = read[0]
    shift_ns = first.stamps.origin_ns - origin_ns
    if format_.labels is not None:
        yield from label_spans.from_label_rows(
            recording.label_rows,
            format_.labels,
            first.stamps.since_first_ns + shift_ns,
            origin_ns,
            first.period_ns,
            names,
        )
    elif format_.label is not None:
        words = first.table.words(format_.label)
        stamps_ns = first.stamps_ns
        breaks = given_stamps.stretch_rows(
            stamps_ns, first.rows, first.rate_hz, format_.gap_periods, "refuse"
        )
        rows: list[int] = first.rows.tolist()
        ordered = [words[row] for row in rows]
        yield from label_spans.from_rows(
            ordered, stamps_ns + shift_ns, breaks, first.period_ns, names, first.file.name
        )
        if len(read) > 1:
            notes.append(
                f"{first.file.name}: its labels are the session's; those of "
                f"{len(read) - 1} other files were not used"
            )
    elif recording.activity:
        name = names.name(recording.activity, first.file.name)
        if name:
            yield names.span(0, session.stop_ns, name)
