"""Values on the command line: durations, subjects, activities."""

from __future__ import annotations

from collections.abc import Callable

import click

from wban_collect.durations import parse_duration
from wban_dataset.recording.activities import known_activity, subject_id


class Duration(click.ParamType[int]):
    """A length of time such as 30s, 5min, 1.5h; a bare number is seconds. In ns."""

    name = "duration"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Parse a duration to ns."""
        if isinstance(value, int):
            return value
        try:
            return parse_duration(value)
        except ValueError as error:
            self.fail(f"{error}.", param, ctx)


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
