"""What the path of a file says: ``{subject}/{placement}_{recording}.csv``."""

from __future__ import annotations

import re

from wban_dataset.errors import DatasetError

FIELDS = ("subject", "recording", "placement", "activity", "stream")
_PIECE = re.compile(r"(\{[^{}]*\}|\*\*|\*|\?)")


class PathPattern:
    """A pattern of paths with named fields.

    ``{subject}``, ``{recording}``, ``{placement}``, ``{activity}`` and ``{stream}`` stand for as
    few characters of one folder's or file's name as will do; ``*`` for any characters of a name and
    ``**`` for any folders.

    Raises
    ------
    DatasetError
        If it has an unknown field, or one of them twice.
    """

    def __init__(self, pattern: str) -> None:
        self.pattern = pattern
        self.fields = tuple(re.findall(r"\{([^{}]*)\}", pattern))
        for field in self.fields:
            if field not in FIELDS or self.fields.count(field) > 1:
                raise DatasetError(
                    f"path pattern {pattern!r}: the field {{{field}}} is unknown or stands twice, "
                    f"expected each of {', '.join(FIELDS)} at most once. Correct the pattern."
                )
        parts = (_expression(piece) for piece in _PIECE.split(pattern))
        self._expression = re.compile("".join(parts))

    def match(self, path: str) -> dict[str, str] | None:
        """Give the fields of a path from the source's root; None where it does not fit."""
        found = self._expression.fullmatch(path)
        return None if found is None else found.groupdict()


def _expression(piece: str) -> str:
    if piece.startswith("{") and piece.endswith("}"):
        return f"(?P<{piece[1:-1]}>[^/]+?)"
    return {"**": ".*", "*": "[^/]*", "?": "[^/]"}.get(piece) or re.escape(piece)
