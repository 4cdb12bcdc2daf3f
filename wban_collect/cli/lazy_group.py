"""A group whose commands are imported when they are run: `status` need not wait for numpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from importlib import import_module
from typing import NamedTuple

import click


class Place(NamedTuple):
    """Where a command is (``module:attribute``), and the first sentence of its help."""

    target: str
    help: str


class LazyCommands(MutableMapping[str, click.Command]):
    """Commands by name; each is imported when it is first asked for."""

    def __init__(self, places: Mapping[str, Place]) -> None:
        self.places = dict(places)
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            module, _, attribute = self.places[name].target.partition(":")
            self._loaded[name] = getattr(import_module(module), attribute)
        return self._loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self.places[name] = Place("", command.get_short_help_str(limit=1000))
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self.places[name]
        self._loaded.pop(name, None)

    def __contains__(self, name: object) -> bool:
        return name in self.places

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


class LazyGroup(click.Group):
    """Lists its commands in the order of the table, and their help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which they were given."""
        return list(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands; a long sentence is wrapped, not cut."""
        if not isinstance(self.commands, LazyCommands):
            super().format_commands(ctx, formatter)
            return
        with formatter.section("Commands"):
            formatter.write_dl([(name, at.help) for name, at in self.commands.places.items()])
