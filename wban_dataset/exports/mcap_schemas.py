"""Schemas of the messages in an exported MCAP file, as JSON Schema.

Pictures and remarks are messages that Foxglove draws by the name of their schema
(``foxglove.RawImage``, ``foxglove.Log``; docs.foxglove.dev/docs/sdk/schemas), motion and labels
have schemas of their own. Every message says, besides, its stamp on the session's clock.
"""

from __future__ import annotations

from typing import Any

_INTEGER, _NUMBER, _STRING = {"type": "integer"}, {"type": "number"}, {"type": "string"}


def _object(title: str, **properties: Any) -> dict[str, Any]:
    return {"title": title, "type": "object", "properties": properties}


def _instant(title: str) -> dict[str, Any]:
    """Seconds and nanoseconds: JSON's own numbers hold no stamp in nanoseconds."""
    return _object(title, sec=_INTEGER, nsec=_INTEGER)


_TIMES = {
    "timestamp": _instant("UTC; the session's own clock where the date is unknown"),
    "monotonic": _instant("CLOCK_MONOTONIC of the session"),
}

MOTION = "wban.Motion"
LABEL = "wban.Label"
RAW_IMAGE = "foxglove.RawImage"
LOG = "foxglove.Log"

SCHEMAS: dict[str, dict[str, Any]] = {
    MOTION: _object(MOTION, **_TIMES, segment=_INTEGER, x=_NUMBER, y=_NUMBER, z=_NUMBER),
    LABEL: _object(
        LABEL,
        **_TIMES,
        duration=_instant("length"),
        label=_STRING,
        annotator=_STRING,
        source=_STRING,
        confidence=_NUMBER,
        uncertainty_ns=_INTEGER,
    ),
    RAW_IMAGE: _object(
        RAW_IMAGE,
        **_TIMES,
        segment=_INTEGER,
        frame_id=_STRING,
        width=_INTEGER,
        height=_INTEGER,
        encoding=_STRING,
        step=_INTEGER,
        data={"type": "string", "contentEncoding": "base64"},
    ),
    LOG: _object(
        LOG,
        **_TIMES,
        level=_INTEGER,
        message=_STRING,
        name=_STRING,
        file=_STRING,
        line=_INTEGER,
    ),
}

LEVEL_INFO = 2
"""Of ``foxglove.Log``."""

ENCODINGS = {"thermal": "32FC1", "infrared": "mono8"}
"""Of ``foxglove.RawImage``: degrees Celsius as float32, grey values as uint8."""
