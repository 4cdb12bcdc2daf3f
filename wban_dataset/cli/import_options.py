"""Options of 'wban-dataset import delimited': the same as its format file says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wban_dataset.errors import DatasetError

if TYPE_CHECKING:
    from wban_dataset.sources.delimited_format import DelimitedFormat

PLAIN_OPTIONS: dict[str, tuple[str, Any, str]] = {
    "--source": ("source", str, "Short name of the data set; part of the sessions' names."),
    "--path": ("path", str, "Pattern, e.g. '{subject}/{placement}_{recording}.csv'."),
    "--subject": ("subject", str, "Whose it is, where the path does not say."),
    "--recording": ("recording", str, "Which it is, where the path does not say."),
    "--delimiter": ("delimiter", str, "comma, semicolon, tab, space or a character.  [auto]"),
    "--skip-rows": ("skip_rows", click.IntRange(0), "Rows to leave out at the top."),
    "--time": ("time", str, "Column of stamps: a name, or a number from 1. Or give --rate."),
    "--time-unit": ("time_unit", str, "s, ms, us or ns.  [s]"),
    "--epoch": ("epoch", str, "'unix' if stamps count from 1970, UTC.  [none: no date]"),
    "--rate": ("rate_hz", float, "Samples a second.  [as the median step tells]"),
    "--label": ("label", str, "Column with a label in each row."),
    "--stamps": ("stamps", str, "Stamps that repeat or run backwards: refuse, or sort.  [refuse]"),
    "--missing": ("missing", str, "Rows without finite numbers: refuse, or gap.  [refuse]"),
    "--gap-periods": ("gap_periods", float, "A longer step between stamps is a gap.  [1.5]"),
}
"""By option: field of the format, type, help."""

LABEL_OPTIONS: dict[str, tuple[str, Any, str]] = {
    "--labels": ("file", str, "File of labelled spans, by its path below PATH."),
    "--label-columns": (
        "columns",
        str,
        "Its columns: START,STOP,LABEL[,SUBJECT[,RECORDING]].  [start,stop,label]",
    ),
    "--label-counts": ("counts", str, "START and STOP are samples, s, ms, us or ns.  [samples]"),
    "--label-first": ("first", click.Choice(["0", "1"]), "Number of the first sample.  [0]"),
    "--label-stop": (
        "stop",
        click.Choice(["excluded", "included"]),
        "Whether STOP belongs to the span.  [excluded]",
    ),
    "--label-header": ("header", bool, "Whether its first row names the columns.  [true]"),
}
LABEL_COLUMNS = ("start", "stop", "label", "subject", "recording")
LABEL_PREFIX = "labels_"


def format_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a format; it gets them as keywords for `format_of`."""
    options = [
        click.option(
            "--stream",
            "streams",
            multiple=True,
            metavar="NAME=X,Y,Z:UNIT[@PLACEMENT]",
            help="Columns of a sensor, and g, mg, m/s2, deg/s or rad/s; one for each sensor.",
        ),
        *(click.option(o, name, type=t, help=h) for o, (name, t, h) in PLAIN_OPTIONS.items()),
        click.option("--header/--no-header", default=None, help="The first row names the columns."),
        *(
            click.option(o, LABEL_PREFIX + name, type=t, help=h)
            for o, (name, t, h) in LABEL_OPTIONS.items()
        ),
        click.option(
            "--class",
            "classes",
            multiple=True,
            metavar="CODE=NAME",
            help="Name of a label that is a code; one for each class.",
        ),
        click.option(
            "--unlabelled", multiple=True, metavar="LABEL", help="A label that means none."
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def format_of(file: Path | None, options: dict[str, Any]) -> DelimitedFormat:
    """Make the format of a file and of options, which take priority.

    Raises
    ------
    DatasetError
        If they make no sense.
    """
    import msgspec

    from wban_dataset.sources.delimited_format import DelimitedFormat, checked, read_format

    fields: dict[str, Any] = msgspec.to_builtins(read_format(file)) if file else {"streams": []}
    given = {name: value for name, value in options.items() if value not in (None, ())}
    of_labels = {name: given.pop(name) for name in list(given) if name.startswith(LABEL_PREFIX)}
    fields |= {name: value for name, value in given.items() if name not in _PARSED}
    fields |= {name: parse(given[name]) for name, parse in _PARSED.items() if name in given}
    if of_labels:
        fields["labels"] = _label_file(of_labels, fields.get("labels"))
    try:
        return checked(msgspec.convert(fields, DelimitedFormat))
    except msgspec.ValidationError as error:
        raise DatasetError(
            f"import format: {error}, expected what 'wban-dataset import delimited --help' "
            "describes. Correct the option."
        ) from error


def _stream(text: str) -> dict[str, Any]:
    name, equals, rest = text.partition("=")
    columns, colon, unit = rest.rpartition(":")
    unit, _, placement = unit.partition("@")
    if not (equals and colon and name and unit):
        raise click.BadParameter(
            f"{text!r} does not say what it consists of; expected e.g. accel=ax,ay,az:g or "
            "gyro=4,5,6:deg/s@wrist.",
            param_hint="--stream",
        )
    signals = [column.strip() for column in columns.split(",")]
    return {"name": name, "signals": signals, "unit": unit, "placement": placement}


def _class(text: str) -> tuple[str, str]:
    code, equals, name = text.partition("=")
    if not equals:
        raise click.BadParameter(
            f"{text!r} names nothing; expected e.g. 1=walking.", param_hint="--class"
        )
    return code, name


_PARSED: dict[str, Callable[[Any], Any]] = {
    "streams": lambda texts: [_stream(text) for text in texts],
    "classes": lambda texts: dict(_class(text) for text in texts),
    "unlabelled": list,
}


def _label_file(given: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    """Fields of the label file's format, on top of those that a file gave."""
    given = {name.removeprefix(LABEL_PREFIX): value for name, value in given.items()}
    fields: dict[str, Any] = before or {name: name for name in LABEL_COLUMNS[:3]}
    columns = given.pop("columns", None)
    if columns is not None:
        names = [name.strip() for name in columns.split(",")]
        if not 3 <= len(names) <= len(LABEL_COLUMNS):
            raise click.BadParameter(
                f"{columns!r} names {len(names)} columns; expected start, stop and label, and "
                "perhaps subject and recording.",
                param_hint="--label-columns",
            )
        fields |= {
            name: column for name, column in zip(LABEL_COLUMNS, names, strict=False) if column
        }
    if "stop" in given:
        fields["stop_included"] = given.pop("stop") == "included"
    if "first" in given:
        fields["first"] = int(given.pop("first"))
    return fields | given
