"""Sessions as plain tables: one folder a session, one CSV a stream.

Motion has a column for each channel, a thermal picture one for each pixel (``r00c00`` to
``r23c31``). Infrared pictures would be no use as text: their stamps are a CSV, the pictures
themselves ``NAME.npy`` beside it, row by row the same.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wban_dataset.exports.chosen import kept
from wban_dataset.exports.description import LABEL_COLUMNS, describe, write_description
from wban_dataset.exports.pieces import decimals, pieces
from wban_dataset.recording.recorded_stream import Stream
from wban_dataset.recording.session import Session
from wban_dataset.recording.store import Table

STAMP_COLUMNS = ("monotonic_ns", "time_ns", "time_unc_ns", "segment")
MARK_COLUMNS = ("time_ns", "text")
GAP_COLUMNS = ("stream", "start_ns", "stop_ns", "n_missing", "cause")


def write_csv(session: Session, folder: Path, without: Collection[str]) -> None:
    """Write a session into a folder that is there; values to a hundredth of their resolution."""
    write_description(folder, describe(session, "csv", without))
    streams = kept(session, without)
    for stream in streams:
        if stream.kind == "infrared":
            _write_pictures(stream, folder)
        else:
            _write_values(stream, folder)
    labels = ([getattr(label, name) for name in LABEL_COLUMNS] for label in session.labels)
    write_rows(folder / "labels.csv", LABEL_COLUMNS, labels)
    write_rows(folder / "marks.csv", MARK_COLUMNS, _rows(session.marks, MARK_COLUMNS))
    names = {"", *(stream.name for stream in streams)}
    gaps = [row for row in _rows(session.gaps, GAP_COLUMNS) if row[0] in names]
    write_rows(folder / "gaps.csv", GAP_COLUMNS, gaps)


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write a table with its names in the first line."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def value_columns(stream: Stream) -> list[str]:
    """Name the columns of one sample: its channels, or its pixels."""
    if stream.channels:
        return list(stream.channels)
    height, width = stream.sample_shape
    return [f"r{row:02d}c{column:02d}" for row in range(height) for column in range(width)]


def _write_values(stream: Stream, folder: Path) -> None:
    digits = decimals(stream)

    def rows() -> Iterable[Sequence[Any]]:
        for piece in pieces(stream):
            stamps = zip(*(getattr(piece, name).tolist() for name in STAMP_COLUMNS), strict=True)
            flat = piece.values.reshape(len(piece.values), -1).astype(np.float64)
            for stamp, sample in zip(stamps, np.round(flat, digits).tolist(), strict=True):
                yield (*stamp, *sample)

    write_rows(folder / f"{stream.name}.csv", (*STAMP_COLUMNS, *value_columns(stream)), rows())


def _write_pictures(stream: Stream, folder: Path) -> None:
    shape = (stream.n, *stream.sample_shape)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}

    def rows() -> Iterable[Sequence[Any]]:
        with (folder / f"{stream.name}.npy").open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            for piece in pieces(stream):
                file.write(np.ascontiguousarray(piece.values).data)
                yield from zip(*(getattr(piece, c).tolist() for c in STAMP_COLUMNS), strict=True)

    write_rows(folder / f"{stream.name}.csv", STAMP_COLUMNS, rows())


def _rows(table: Table, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    """Rows of one of a session's tables as Python's own values."""
    values: list[list[Any]] = [np.asarray(table[column], object).tolist() for column in columns]
    return list(zip(*values, strict=True))
