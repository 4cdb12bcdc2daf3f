"""Values on the command line: durations, subjects, activities."""

from __future__ import annotations

import re
from collections.abc import Callable

import click

from wban_dataset.recording.activities import known_activity, subject_id

_DURATION = re.compile(r"(?P<number>\d+(\.\d+)?)\s*(?P<unit>ms|s|min|m|h|d)?\Z")
_UNIT_NS = {
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}


class Duration(click.ParamType[int]):
    """A length of time such as 30s, 5min, 1.5h; a bare number is seconds. In ns."""

    name = "duration"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Parse a duration to ns."""
        if isinstance(value, int):
            return value
        match = _DURATION.match(value.strip())
        nanoseconds = float(match["number"]) * _UNIT_NS[match["unit"] or "s"] if match else 0.0
        if not 1 <= nanoseconds < 366 * _UNIT_NS["d"]:
            self.fail(
                f"{value[:40]!r} is not a duration: expected a positive length of time such as "
                "30s, 5min or 1.5h.",
                param,
                ctx,
            )
        return int(nanoseconds)


def usable(check: Callable[[], str], option: str) -> str:
    """Run a check of a command-line value; what it complains of is a usage error (exit 2)."""
    try:
        return check()
    except ValueError as error:
        raise click.BadParameter(f"{error}.", param_hint=option) from error


def usable_subject(subject: str) -> str:
    """Return the subject id, or end with a usage error."""
    return usable(lambda: subject_id(subject), "--subject")


def usable_activity(activity: str, known: tuple[str, ...]) -> str:
    """Return the activity's slug, or end with a usage error that names the nearest known one."""
    return usable(lambda: known_activity(activity, known), "--activity")
