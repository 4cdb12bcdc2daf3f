"""Label Studio's tasks of time series (JSON): one annotation per annotator, times in seconds.

Format: https://labelstud.io/guide/task_format and the tags TimeSeries and TimeSeriesLabels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from wban_dataset.labels.document import (
    MOST_SECONDS,
    UNSTATED,
    Document,
    ExchangeError,
    ExchangeFormat,
)
from wban_dataset.labels.session_labels import Annotations
from wban_dataset.recording.streams import Label

FROM, TO = "label", "ts"
"""Names of the tags in the labelling configuration of docs/labels.md."""

_KIND = "timeserieslabels"
_DETAILS = ("annotator", "source", "confidence", "uncertainty_ns")


def write_label_studio(document: Document) -> bytes:
    """Write a document as a list with one task."""
    annotations = [
        {"result": [_region(i, label, document.origin_ns) for i, label in enumerate(labels)]}
        for _, labels in sorted(document.annotations.items())
    ]
    data = {"csv": f"{document.session_id}.csv", "session_id": document.session_id}
    tasks = [{"data": data, "annotations": annotations}]
    return json.dumps(tasks, indent=2, ensure_ascii=False).encode() + b"\n"


def read_label_studio(path: Path, content: bytes, session_id: str, origin_ns: int) -> Document:
    """Read the task of a session from an export of Label Studio ("JSON").

    Raises
    ------
    ExchangeError
        If there is no task of this session, or a region has no times in seconds and one label.
    """
    task = _task_of(path, _tasks(path, content), session_id)
    annotations: Annotations = {}
    n_cancelled = 0
    for number, annotation in enumerate(_dicts(task.get("annotations")), start=1):
        if annotation.get("was_cancelled"):
            n_cancelled += 1
            continue
        who = _annotator(annotation)
        for region in _dicts(annotation.get("result")):
            label = _label(f"{path}, annotation {number}", region, who, origin_ns)
            annotations.setdefault(label.annotator, []).append(label)
    notes = [f"{n_cancelled} skipped annotations"] if n_cancelled else []
    n_predictions = sum(1 for _ in _dicts(task.get("predictions")))
    notes += [f"{n_predictions} predictions"] if n_predictions else []
    stated = _dict(task.get("data")).get("session_id", "")
    return Document(annotations, origin_ns, str(stated), notes=tuple(notes))


def _region(number: int, label: Label, origin_ns: int) -> dict[str, Any]:
    return {
        "id": f"{label.annotator or 'label'}-{number}",
        "from_name": FROM,
        "to_name": TO,
        "type": _KIND,
        "value": {
            "start": (label.start_ns - origin_ns) / 1e9,
            "end": (label.stop_ns - origin_ns) / 1e9,
            "instant": False,
            _KIND: [label.label],
        },
        "meta": {name: getattr(label, name) for name in _DETAILS},
    }


def _tasks(path: Path, content: bytes) -> list[dict[str, Any]]:
    try:
        parsed: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ExchangeError(
            f"{path}: it cannot be read as JSON ({error}), expected an export of Label Studio. "
            "Export it again as JSON."
        ) from error
    return list(_dicts(parsed if isinstance(parsed, list) else [parsed]))


def _task_of(path: Path, tasks: list[dict[str, Any]], session_id: str) -> dict[str, Any]:
    own = [task for task in tasks if _dict(task.get("data")).get("session_id") == session_id]
    candidates = own or tasks
    if len(candidates) != 1 or not isinstance(candidates[0].get("annotations"), list):
        raise ExchangeError(
            f"{path}: it has {len(own)} tasks of the session {session_id} among {len(tasks)}, "
            "expected one with annotations. Export the task of this session as JSON, not JSON-MIN."
        )
    return candidates[0]


def _label(where: str, region: dict[str, Any], who: str, origin_ns: int) -> Label:
    where = f"{where}, region {region.get('id', '?')}"
    value = _dict(region.get("value"))
    names: Any = value.get(_KIND)
    if not isinstance(names, list) or len(cast("list[Any]", names)) != 1:
        raise ExchangeError(
            f"{where}: it has {names!r} as its {_KIND}, expected one label. Correct it in Label "
            "Studio."
        )
    start_ns = _nanoseconds(where, "start", value.get("start"))
    stop_ns = _nanoseconds(where, "end", value.get("end"))
    if stop_ns <= start_ns:
        raise ExchangeError(
            f"{where}: it goes from {value.get('start')} to {value.get('end')} s, expected a span. "
            "Correct it in Label Studio."
        )
    span = (origin_ns + start_ns, origin_ns + stop_ns)
    return Label(*span, str(cast("list[Any]", names)[0]), **_details(where, region, who))


def _details(where: str, region: dict[str, Any], who: str) -> dict[str, Any]:
    """Give what a region says beyond its span; an edited one may say nothing."""
    meta = _dict(region.get("meta"))
    if not all(name in meta for name in _DETAILS):
        return {"annotator": who, "source": UNSTATED}
    try:
        return {
            "annotator": str(meta["annotator"]),
            "source": str(meta["source"]),
            "confidence": float(meta["confidence"]),
            "uncertainty_ns": int(meta["uncertainty_ns"]),
        }
    except (TypeError, ValueError, OverflowError) as error:
        raise ExchangeError(
            f"{where}: its meta is {meta!r}, expected a confidence and an uncertainty in ns as "
            "numbers. Correct or remove its meta."
        ) from error


def _nanoseconds(where: str, edge: str, seconds: Any) -> int:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise ExchangeError(
            f"{where}: its {edge} is {seconds!r}, expected seconds from the first sample as a "
            "number. Use a time column in seconds, without a timeFormat."
        )
    if not abs(seconds) < MOST_SECONDS:
        raise ExchangeError(
            f"{where}: its {edge} is {seconds} s, expected less than {MOST_SECONDS}. Use a time "
            "column in seconds from the first sample."
        )
    return round(seconds * 1e9)


def _annotator(annotation: dict[str, Any]) -> str:
    """Name whose annotation it was when it was exported, else the account that made it."""
    for region in _dicts(annotation.get("result")):
        meta = _dict(region.get("meta"))
        if "annotator" in meta:
            return str(meta["annotator"])
    return _account(annotation.get("completed_by"))


def _account(completed_by: Any) -> str:
    """Name an account: its address, or its number."""
    if isinstance(completed_by, dict):
        account = cast("dict[str, Any]", completed_by)
        return str(account.get("email") or f"user {account.get('id', '')}".strip())
    return "" if completed_by is None else f"user {completed_by}"


def _dict(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _dicts(value: Any) -> Iterator[dict[str, Any]]:
    for item in cast("list[Any]", value) if isinstance(value, list) else []:
        if isinstance(item, dict):
            yield cast("dict[str, Any]", item)


LABEL_STUDIO = ExchangeFormat(
    name="label-studio",
    suffix=".json",
    write=write_label_studio,
    read=read_label_studio,
    held=lambda time_ns, origin_ns: time_ns,
    cannot_hold=(
        "annotator, source, confidence and uncertainty stand in the meta of each region, which an "
        "edited or a new region does not have",
        "an annotator without labels is not in the file",
    ),
)
