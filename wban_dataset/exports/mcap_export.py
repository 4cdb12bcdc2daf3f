"""Sessions as MCAP: one folder a session with ``session.mcap``; needs the extra ``exports``.

Messages are JSON, in the order of their time, each stream a topic. ``log_time`` and
``publish_time`` are UTC in nanoseconds, or the session's own clock where the date is unknown.
"""

from __future__ import annotations

import base64
import heapq
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from wban_dataset.exports import mcap_schemas as schemas
from wban_dataset.exports.chosen import kept
from wban_dataset.exports.description import describe, write_description
from wban_dataset.exports.parquet_export import needed
from wban_dataset.exports.pieces import pieces
from wban_dataset.recording.recorded_stream import Stream
from wban_dataset.recording.session import Session

MCAP_NAME = "session.mcap"
CHUNK_BYTES = 1 << 20
NS = 1_000_000_000

Message = tuple[int, int, dict[str, Any]]
"""Time to sort by, number of its channel, content."""


def write_mcap(session: Session, folder: Path, without: Collection[str]) -> None:
    """Write a session into a folder that is there.

    Raises
    ------
    ExportError
        If mcap is not installed.
    """
    module = needed("mcap.writer")
    description = describe(session, "mcap", without)
    write_description(folder, description)
    with (folder / MCAP_NAME).open("wb") as file:
        writer = module.Writer(file, chunk_size=CHUNK_BYTES)
        writer.start(profile="", library="wban")
        _write_messages(writer, session, kept(session, without))
        writer.add_metadata(
            "session",
            {
                "session_id": description["session_id"],
                "subject": description["subject"],
                "description": json.dumps(description, ensure_ascii=False),
            },
        )
        writer.finish()


def _write_messages(writer: Any, session: Session, streams: list[Stream]) -> None:
    ids = {
        name: writer.register_schema(name, "jsonschema", json.dumps(content).encode())
        for name, content in schemas.SCHEMAS.items()
    }

    def channel(topic: str, schema: str, **metadata: str) -> int:
        return writer.register_channel(topic, "json", ids[schema], metadata)

    sources = [_labels(session, channel("/labels", schemas.LABEL))]
    sources.append(_marks(session, channel("/marks", schemas.LOG)))
    for stream in streams:
        schema = schemas.MOTION if stream.channels else schemas.RAW_IMAGE
        number = channel(
            f"/{stream.name}",
            schema,
            units=stream.units,
            placement=stream.placement,
            device=stream.device,
        )
        sources.append(_samples(stream, number))
    sequence: dict[int, int] = {}
    for time_ns, number, content in heapq.merge(*sources, key=lambda message: message[:2]):
        data = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
        at = sequence[number] = sequence.get(number, 0) + 1
        writer.add_message(number, time_ns, data, time_ns, at)


def _samples(stream: Stream, number: int) -> Iterator[Message]:
    for piece in pieces(stream):
        times = zip(
            piece.time_ns.tolist(),
            piece.monotonic_ns.tolist(),
            piece.segment.tolist(),
            piece.values,
            strict=True,
        )
        for time_ns, monotonic_ns, segment, values in times:
            content = {**_times(time_ns, monotonic_ns), "segment": segment}
            if stream.channels:
                content |= zip(stream.channels, values.tolist(), strict=True)
            else:
                content |= _picture(stream, values)
            yield time_ns, number, content


def _picture(stream: Stream, values: Any) -> dict[str, Any]:
    height, width = values.shape
    little = values.astype(values.dtype.newbyteorder("<"), copy=False)
    return {
        "frame_id": stream.placement or stream.name,
        "width": width,
        "height": height,
        "encoding": schemas.ENCODINGS[stream.kind],
        "step": width * values.dtype.itemsize,
        "data": base64.b64encode(little.tobytes()).decode(),
    }


def _labels(session: Session, number: int) -> Iterator[Message]:
    for label in session.labels:
        time_ns = int(session.to_utc(np.array([label.start_ns]))[0])
        content = {
            **_times(time_ns, label.start_ns),
            "duration": _instant(label.stop_ns - label.start_ns),
            "label": label.label,
            "annotator": label.annotator,
            "source": label.source,
            "confidence": label.confidence,
            "uncertainty_ns": label.uncertainty_ns,
        }
        yield time_ns, number, content


def _marks(session: Session, number: int) -> Iterator[Message]:
    marks = session.marks
    texts: list[str] = list(marks["text"])
    for monotonic_ns, text in zip(np.asarray(marks["time_ns"]).tolist(), texts, strict=True):
        time_ns = int(session.to_utc(np.array([monotonic_ns]))[0])
        content = {
            **_times(time_ns, monotonic_ns),
            "level": schemas.LEVEL_INFO,
            "message": text,
            "name": "mark",
            "file": "",
            "line": 0,
        }
        yield time_ns, number, content


def _times(time_ns: int, monotonic_ns: int) -> dict[str, Any]:
    return {"timestamp": _instant(time_ns), "monotonic": _instant(monotonic_ns)}


def _instant(time_ns: int) -> dict[str, int]:
    return {"sec": time_ns // NS, "nsec": time_ns % NS}
