"""What was found about a session's signals, and ``hygiene.json``, which records it.

Nothing here changes a sample: a calibration is applied where somebody asks for it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from wban_dataset.errors import DatasetError
from wban_dataset.hygiene.calibration import (
    STILL_WINDOW_NS,
    Calibration,
    NotCalibratedError,
    calibrate,
    still_points,
)
from wban_dataset.hygiene.clipping import Clipping, clipping
from wban_dataset.hygiene.epochs import epochs_of
from wban_dataset.hygiene.wear import STEP_NS, judged_hours, non_wear
from wban_dataset.recording.session import Session
from wban_dataset.recording.whole_file import write_whole

HYGIENE_NAME = "hygiene.json"
FORMAT = "wban-hygiene"
FORMAT_VERSION = 1


class HygieneError(DatasetError):
    """A ``hygiene.json`` that cannot be used."""


@dataclass(frozen=True, slots=True)
class Gravity:
    """Calibration of an accelerometer, or why there is none.

    Attributes
    ----------
    calibration
        None where gravity does not tell it.
    refusal
        Why, a sentence; "" where there is one.
    """

    calibration: Calibration | None
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Wear:
    """When an accelerometer was not worn.

    Attributes
    ----------
    judged_hours
        Hours, a quarter of an hour apart, that could be judged; 0: nothing is known.
    non_wear
        (start, stop) in ns.
    """

    judged_hours: int
    non_wear: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found about one stream; gravity and wear only of an accelerometer."""

    clipping: Clipping
    gravity: Gravity | None = None
    wear: Wear | None = None


def examine(session: Session) -> dict[str, Findings]:
    """Examine all streams of motion, by name; reads an hour at a time."""
    found: dict[str, Findings] = {}
    for name in session.streams:
        stream = session.stream(name)
        if stream.kind == "gyro":
            found[name] = Findings(clipping(stream))
        elif stream.kind == "accel":
            steps = epochs_of(stream, STEP_NS)
            wear = Wear(judged_hours(steps), tuple(non_wear(steps)))
            still = still_points(epochs_of(stream, STILL_WINDOW_NS))
            try:
                gravity = Gravity(calibrate(still))
            except NotCalibratedError as error:
                gravity = Gravity(None, str(error))
            found[name] = Findings(clipping(stream), gravity, wear)
    return found


def as_record(session: Session, found: Mapping[str, Findings]) -> dict[str, Any]:
    """Give what ``hygiene.json`` says, as JSON's own values."""
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "session_id": session.session_id,
        "streams": {name: asdict(findings) for name, findings in found.items()},
    }


def write_findings(session: Session, found: Mapping[str, Findings]) -> Path:
    """Write ``hygiene.json`` beside the session, replacing what stood there.

    Raises
    ------
    OSError
        If the disk refuses; what stood there before still does.
    """
    path = _path(session)
    text = json.dumps(as_record(session, found), indent=2, sort_keys=True, ensure_ascii=False)
    write_whole(path, text.encode() + b"\n")
    return path


def recorded_calibrations(session: Session) -> dict[str, Calibration]:
    """Read the calibrations in ``hygiene.json`` by stream; none where there is no such file.

    Raises
    ------
    HygieneError
        If it cannot be read, or is of another session.
    """
    path = _path(session)
    if not path.exists():
        return {}
    try:
        record: dict[str, Any] = json.loads(path.read_bytes())
        calibrations = {
            name: _calibration(findings["gravity"]["calibration"])
            for name, findings in cast("dict[str, Any]", record["streams"]).items()
            if findings["gravity"] and findings["gravity"]["calibration"]
        }
        stated = (record["format"], record["format_version"], record["session_id"])
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise _unusable(path, f"it cannot be read ({type(error).__name__}: {error})") from error
    if stated != (FORMAT, FORMAT_VERSION, session.session_id):
        raise _unusable(path, f"it is {stated[0]} {stated[1]} of the session {stated[2]}")
    return calibrations


def _path(session: Session) -> Path:
    folder = session.path if session.path.is_dir() else session.path.parent
    return folder / HYGIENE_NAME


def _calibration(values: dict[str, Any]) -> Calibration:
    sx, sy, sz = (float(value) for value in values["scale"])
    ox, oy, oz = (float(value) for value in values["offset"])
    return Calibration(
        (sx, sy, sz),
        (ox, oy, oz),
        error_before_g=float(values["error_before_g"]),
        error_after_g=float(values["error_after_g"]),
        n_points=int(values["n_points"]),
    )


def _unusable(path: Path, found: str) -> HygieneError:
    return HygieneError(
        f"{path}: {found}, expected {FORMAT} {FORMAT_VERSION} of the session beside it. Make it "
        "again with 'wban-dataset hygiene --write', or remove it."
    )
