"""What BIDS calls a subject, a session, a task and a tracking system."""

from __future__ import annotations

import re
from collections.abc import Iterable

from wban_dataset.exports.errors import ExportError

_NOT_ALPHANUMERIC = re.compile(r"[^A-Za-z0-9]+")


def label_of(name: str) -> str:
    """Write a name in letters and digits only: ``speak_and_walk`` becomes ``speakAndWalk``."""
    first, *others = [part for part in _NOT_ALPHANUMERIC.split(name) if part] or ["unknown"]
    return first + "".join(part[0].upper() + part[1:] for part in others)


def labels_of(names: Iterable[str], what: str) -> dict[str, str]:
    """Give each name its label.

    Raises
    ------
    ExportError
        If two names differ in other characters than letters and digits only, or in their case,
        which some file systems do not tell apart.
    """
    labels: dict[str, str] = {}
    taken: dict[str, str] = {}
    for name in sorted(set(names)):
        label = label_of(name)
        other = taken.setdefault(label.lower(), name)
        if other != name:
            raise ExportError(
                f"{what} {other!r} and {name!r} would both be {label!r} in BIDS, expected names "
                "that differ in their letters and digits. Rename one, or export them apart."
            )
        labels[name] = label
    return labels
