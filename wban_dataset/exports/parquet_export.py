"""Sessions as Parquet: one folder a session, one file a stream; needs the extra ``exports``.

Values are exactly those that `Stream.read` gives. Units stand in the metadata of each column, what
else is known of the stream and the session in the metadata of the file. A picture is a list of
pixels, row by row; the metadata say its ``shape``.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.exports.chosen import kept
from wban_dataset.exports.description import (
    LABEL_COLUMNS,
    describe,
    stream_facts,
    write_description,
)
from wban_dataset.exports.errors import ExportError
from wban_dataset.exports.pieces import Piece, pieces
from wban_dataset.recording.recorded_stream import Stream
from wban_dataset.recording.session import Session


def write_parquet(session: Session, folder: Path, without: Collection[str]) -> None:
    """Write a session into a folder that is there.

    Raises
    ------
    ExportError
        If pyarrow is not installed.
    """
    arrow, parquet = needed("pyarrow"), needed("pyarrow.parquet")
    description = describe(session, "parquet", without)
    write_description(folder, description)
    of_session = {"session_id": description["session_id"], "subject": description["subject"]}
    for stream in kept(session, without):
        schema = _schema(arrow, stream, of_session)
        path = folder / f"{stream.name}.parquet"
        with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            for piece in pieces(stream):
                writer.write_table(arrow.table(_columns(arrow, stream, piece), schema=schema))
    labels = {name: [getattr(label, name) for label in session.labels] for name in LABEL_COLUMNS}
    table = arrow.table(labels, schema=_labels_schema(arrow, of_session))
    parquet.write_table(table, folder / "labels.parquet", compression="zstd")


def needed(module: str) -> Any:
    """Import what an export needs.

    Raises
    ------
    ExportError
        If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ExportError(
            f"this export needs {error.name}, which is not installed; "
            "install it with: pip install 'wban[exports]'."
        ) from error


def _schema(arrow: Any, stream: Stream, of_session: Mapping[str, str]) -> Any:
    nanoseconds, units = {"units": "ns"}, {"units": stream.units}
    fields = [
        arrow.field("monotonic_ns", arrow.int64(), False, nanoseconds),
        arrow.field("time", arrow.timestamp("ns", "UTC"), False),
        arrow.field("time_unc_ns", arrow.int32(), False, nanoseconds),
        arrow.field("segment", arrow.uint16(), False),
    ]
    if stream.channels:
        fields += [arrow.field(name, arrow.float64(), False, units) for name in stream.channels]
    else:
        pixel = arrow.uint8() if stream.kind == "infrared" else arrow.float32()
        n_pixels = int(np.prod(stream.sample_shape))
        shape = {"shape": json.dumps([int(length) for length in stream.sample_shape])}
        fields.append(arrow.field("data", arrow.list_(pixel, n_pixels), False, units | shape))
    facts = {"wban_stream": json.dumps({"name": stream.name, **stream_facts(stream)})}
    return arrow.schema(fields, {**of_session, **facts})


def _columns(arrow: Any, stream: Stream, piece: Piece) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "monotonic_ns": piece.monotonic_ns,
        "time": piece.time_ns.astype("datetime64[ns]"),
        "time_unc_ns": piece.time_unc_ns,
        "segment": piece.segment,
    }
    if stream.channels:
        return columns | {name: piece.values[:, i] for i, name in enumerate(stream.channels)}
    flat: NDArray[Any] = np.ascontiguousarray(piece.values).reshape(-1)
    n_pixels = int(np.prod(stream.sample_shape))
    columns["data"] = arrow.FixedSizeListArray.from_arrays(arrow.array(flat), n_pixels)
    return columns


def _labels_schema(arrow: Any, of_session: Mapping[str, str]) -> Any:
    types = {"confidence": arrow.float64(), "label": arrow.string()}
    types |= dict.fromkeys(("annotator", "source"), arrow.string())
    fields = [arrow.field(name, types.get(name, arrow.int64())) for name in LABEL_COLUMNS]
    return arrow.schema(fields, of_session)
