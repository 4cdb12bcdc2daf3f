"""A group whose help lists its commands under headings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

ALL, OTHERS = "Commands", "Others"


class SectionedGroup(click.Group):
    """Lists each command below its heading, in the order given; a long sentence is wrapped.

    Parameters
    ----------
    sections
        Names of commands by heading. One that is not there is left out, and one that is nowhere
        stands below `OTHERS`; without sections all stand below `ALL`.
    """

    def __init__(
        self, *arguments: Any, sections: Mapping[str, Sequence[str]] | None = None, **options: Any
    ) -> None:
        super().__init__(*arguments, **options)
        self.sections = dict(sections or {})

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands by heading."""
        placed = {name for names in self.sections.values() for name in names}
        others = [name for name in self.list_commands(ctx) if name not in placed]
        rest = OTHERS if self.sections else ALL
        width = max(map(len, self.commands), default=0)
        for heading, names in [*self.sections.items(), (rest, others)]:
            rows = [(f"{name:<{width}}", self._sentence(name)) for name in names if self._is(name)]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)

    def _is(self, name: str) -> bool:
        return name in self.commands and not self.commands[name].hidden

    def _sentence(self, name: str) -> str:
        return self.commands[name].get_short_help_str(limit=1000)
