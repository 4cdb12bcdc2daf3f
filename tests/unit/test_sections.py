"""The help of a group: each command below its heading, each sentence whole."""

from __future__ import annotations

from itertools import chain

import click
import pytest

from tests.integration.command_line import collect, dataset
from wban_dataset.cli.main import SECTIONS
from wban_dataset.cli.main import cli as dataset_cli
from wban_dataset.cli.sections import SectionedGroup


@pytest.fixture(autouse=True)
def width(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")


def test_commands_stand_below_their_headings_in_order():
    lines = dataset("--help").out.splitlines()
    places = [lines.index(f"{heading}:") for heading in SECTIONS]
    assert places == sorted(places)
    for place, commands in zip(places, SECTIONS.values(), strict=True):
        shown = [line.split()[0] for line in lines[place + 1 :] if line[2:3].strip()]
        assert shown[: len(commands)] == [command.name for command in commands]


def test_every_command_has_a_heading():
    placed = [command.name for commands in SECTIONS.values() for command in commands]
    assert sorted(placed) == sorted(dataset_cli.commands)


@pytest.mark.parametrize("command", [dataset_cli, *chain(*SECTIONS.values())], ids=lambda c: c.name)
def test_nothing_in_the_help_is_cut_and_no_example_wrapped(command):
    words = () if command is dataset_cli else (command.name,)
    usage, _, text = dataset(*words, "--help").out.partition("\n\n")
    assert usage.startswith("Usage: ")
    lines = text.splitlines()
    assert not [line for line in lines if line.endswith("...")]
    assert max(map(len, lines)) <= 80
    shown = {line.strip() for line in lines}
    examples = [line.strip() for line in (command.epilog or "").splitlines() if "wban-" in line]
    assert {" ".join(line.split()) for line in examples} <= {
        " ".join(line.split()) for line in shown
    }


def test_the_recorders_help_is_whole():
    out = collect("--help").out
    assert "..." not in out.partition("Commands:")[2]
    assert "\n    wban-collect start --subject S01 --activity eating \\\n" in out


def test_a_command_without_heading_stands_with_the_others():
    @click.command()
    def alone() -> None:
        """Stand alone."""

    group = SectionedGroup("group", sections={"First": ["gone"]})
    group.add_command(alone)
    shown = group.get_help(click.Context(group))
    assert "Others:\n  alone  Stand alone." in shown
    assert "First" not in shown
