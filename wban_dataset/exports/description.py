"""``session.json``: what an exported session is, beside its samples.

It is written first, so that whoever looks for a subject finds an unfinished export as well.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from wban_dataset.exports.chosen import kept, left_out
from wban_dataset.exports.pieces import resolution
from wban_dataset.recording.recorded_stream import Stream
from wban_dataset.recording.session import Session

DESCRIPTION_NAME = "session.json"
FORMAT = "wban-export"
FORMAT_VERSION = 1


def describe(session: Session, to: str, without: Collection[str]) -> dict[str, Any]:
    """Say what a session is, which streams were left out, and what those that stay hold."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "to": to,
        "subject": str(session.subject),
        "session_id": str(session.session_id),
        "attributes": {name: _plain(value) for name, value in sorted(session.attributes.items())},
        "left_out": sorted(left_out(session, without)),
        "streams": {stream.name: stream_facts(stream) for stream in kept(session, without)},
        "labels": [
            {name: getattr(label, name) for name in LABEL_COLUMNS} for label in session.labels
        ],
    }


LABEL_COLUMNS = (
    *("start_ns", "stop_ns", "label"),
    *("annotator", "source", "confidence", "uncertainty_ns"),
)


def stream_facts(stream: Stream) -> dict[str, Any]:
    """Say what a stream's samples are."""
    return {
        "kind": stream.kind,
        "device": stream.device,
        "placement": stream.placement,
        "units": stream.units,
        "resolution": resolution(stream),
        "sampling_rate_hz": stream.sampling_rate_hz,
        "effective_rate_hz": stream.effective_rate_hz,
        "n_samples": stream.n,
        "n_lost": int(stream.attributes["n_lost"]),
        "channels": list(stream.channels),
        "shape": [int(length) for length in stream.sample_shape],
    }


def write_description(folder: Path, description: Mapping[str, Any]) -> None:
    """Write ``session.json``."""
    write_json(folder / DESCRIPTION_NAME, description)


def write_json(path: Path, content: Any) -> None:
    """Write JSON that people can read."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _plain(value: object) -> object:
    if isinstance(value, np.generic | np.ndarray):
        return cast("NDArray[Any]", value).tolist()
    return value
