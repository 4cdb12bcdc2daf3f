"""How other people's recordings lie in text: the format that ``import delimited`` is given.

The same as options of the command line and as TOML. Columns go by name, or by number from 1.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, cast

import msgspec
import tomli_w

from wban_dataset.errors import DatasetError
from wban_dataset.recording.layout import RESERVED_NAMES
from wban_dataset.sources.path_pattern import PathPattern
from wban_dataset.sources.text_table import AUTOMATIC, WHITESPACE
from wban_dataset.sources.units import ns_per, unit_of

Column = str | int
SAMPLES = "samples"
DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "space": WHITESPACE}
_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


class StreamFormat(msgspec.Struct, forbid_unknown_fields=True):
    """The three signals of one sensor.

    Attributes
    ----------
    signals
        Columns of x, y and z.
    unit
        g, mg, m/s2, deg/s or rad/s, which also says what the sensor measures.
    """

    name: str
    signals: list[Column]
    unit: str
    placement: str = ""
    device: str = "unknown"


class LabelFileFormat(msgspec.Struct, forbid_unknown_fields=True):
    """A table of labelled spans.

    Attributes
    ----------
    file
        Its path from the source's root.
    start, stop, label, subject, recording
        Columns; without the last two, all rows belong to every recording.
    counts
        "samples", or the unit of time that start and stop are in.
    first
        Number of the first sample, 0 or 1.
    stop_included
        Whether the span includes what `stop` names, or ends before it.
    """

    file: str
    start: Column
    stop: Column
    label: Column
    counts: str = SAMPLES
    first: Literal[0, 1] = 0
    stop_included: bool = False
    subject: Column | None = None
    recording: Column | None = None
    delimiter: str = AUTOMATIC
    header: bool = True


class DelimitedFormat(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Everything that an import needs to know.

    Attributes
    ----------
    source
        Short name of the data set.
    path
        Pattern of paths, see `PathPattern`; files that do not fit are left out.
    subject, recording
        Where the path does not tell; without both, a recording is named after its file.
    time, time_unit
        Column of stamps, and what they are in; without it, samples come at `rate_hz`.
    epoch
        "unix": stamps count from 1970, UTC, so that the date is known; otherwise it is not.
    rate_hz
        Nominal; without it, the median step tells.
    label, labels
        A column with a label in each row, or a file of spans.
    classes
        Names of labels that are codes.
    unlabelled
        Labels that mean none.
    stamps
        What is done with stamps that repeat or run backwards: "refuse" them, or "sort" the rows by
        time and keep the first of each that repeat.
    missing
        What is done with a row without a finite number: "refuse" it, or take it for a "gap".
    gap_periods
        A step of more periods than that is a gap.
    """

    streams: list[StreamFormat]
    source: str = "imported"
    path: str = "**"
    subject: str = ""
    recording: str = ""
    delimiter: str = AUTOMATIC
    header: bool = True
    skip_rows: int = 0
    time: Column | None = None
    time_unit: str = "s"
    epoch: Literal["none", "unix"] = "none"
    rate_hz: float | None = None
    label: Column | None = None
    labels: LabelFileFormat | None = None
    classes: dict[str, str] = {}
    unlabelled: list[str] = []
    stamps: Literal["refuse", "sort"] = "refuse"
    missing: Literal["refuse", "gap"] = "refuse"
    gap_periods: float = 1.5


def read_format(path: Path) -> DelimitedFormat:
    """Read a format from TOML.

    Raises
    ------
    DatasetError
        If it cannot be read, or says what makes no sense.
    """
    try:
        text = path.read_text("utf-8")
        found = msgspec.toml.decode(text, type=DelimitedFormat)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        raise DatasetError(
            f"format {path}: {str(error)[:200]}, expected what "
            "'wban-dataset import delimited --help' describes, as TOML. Correct it."
        ) from error
    return checked(found)


def to_toml(format_: DelimitedFormat) -> str:
    """Write a format as TOML, without what is not set."""
    return tomli_w.dumps(_without_none(msgspec.to_builtins(format_)))


def checked(format_: DelimitedFormat) -> DelimitedFormat:
    """Give the format back if it makes sense.

    Raises
    ------
    DatasetError
        If it does not.
    """
    complaint = _complaint(format_)
    if complaint:
        raise DatasetError(f"import format: {complaint}")
    PathPattern(format_.path)
    ns_per(format_.time_unit)
    if format_.labels is not None and format_.labels.counts != SAMPLES:
        ns_per(format_.labels.counts)
    for stream in format_.streams:
        unit_of(stream.unit)
    return format_


def delimiter_of(name: str) -> str:
    """Give the delimiter that a name or a character stands for.

    Raises
    ------
    DatasetError
        If it is neither.
    """
    found = DELIMITERS.get(name, WHITESPACE if name == " " else name)
    if found not in (AUTOMATIC, WHITESPACE) and len(found) != 1:
        raise DatasetError(
            f"delimiter {name!r}: it is not known, expected one character, or one of auto, "
            f"{', '.join(DELIMITERS)}. Correct the format."
        )
    return found


def _complaint(format_: DelimitedFormat) -> str:
    """Say what makes no sense, what was expected and what to do, or nothing."""
    if not _NAME.fullmatch(format_.source):
        return (
            f"the source is {format_.source!r}, expected a short name of letters a-z, digits and "
            "'_'. Correct it."
        )
    if not format_.streams:
        return "it has no streams, expected at least one. Name its columns with --stream."
    for stream in format_.streams:
        if not _NAME.fullmatch(stream.name) or stream.name in RESERVED_NAMES:
            return (
                f"a stream is named {stream.name!r}, expected a name of a-z, digits and '_' that "
                "nothing else in a session has. Rename it."
            )
        if len(stream.signals) != 3:
            return (
                f"stream {stream.name} has {len(stream.signals)} signals, expected x, y and z. "
                "Name three columns."
            )
    names = [stream.name for stream in format_.streams]
    if len(set(names)) < len(names):
        return f"streams are named {', '.join(names)}, expected each once. Rename one."
    return _complaint_of_time(format_)


def _complaint_of_time(format_: DelimitedFormat) -> str:
    if format_.time is None and format_.rate_hz is None:
        return (
            "it has neither a time column nor a rate, expected one of them. "
            "Give --time COLUMN or --rate HZ."
        )
    if format_.rate_hz is not None and not 0 < format_.rate_hz <= 1e6:
        return f"the rate is {format_.rate_hz} Hz, expected a positive number. Correct it."
    if format_.epoch == "unix" and format_.time is None:
        return (
            "stamps are to count from 1970 and there is no time column, expected one. "
            "Give --time COLUMN."
        )
    if format_.gap_periods < 1:
        return f"gap_periods is {format_.gap_periods}, expected at least 1. Correct it."
    if format_.label is not None and format_.labels is not None:
        return "it has a label column and a file of labels, expected one of them. Leave one out."
    return ""


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        found = cast("dict[str, Any]", value)
        return {key: _without_none(item) for key, item in found.items() if item is not None}
    if isinstance(value, list):
        return [_without_none(item) for item in cast("list[Any]", value)]
    return value
