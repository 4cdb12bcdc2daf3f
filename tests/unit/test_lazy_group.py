"""Commands are imported when they are run, and the list of them says what each of them says."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from tests.integration.command_line import collect
from tests.unit.control_rig import serving
from wban_collect.cli.lazy_group import LazyCommands, LazyGroup, Place
from wban_collect.cli.main import COMMANDS

HEAVY = {"asyncio", "h5py", "numpy", "rich", "scipy"}
RECORDING = {"wban_collect.assembly", "wban_collect.recorder", "wban_collect.config"}


def loaded_by(*words: str) -> set[str]:
    """Modules that a fresh interpreter has loaded after a command that needs nothing to run."""
    script = (
        "import sys; from wban_collect.cli.main import main\n"
        f"sys.argv = {['wban-collect', *words]!r}\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print('\\n'.join(['---', *sys.modules]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=True
    )
    return set(done.stdout.partition("---\n")[2].split())


@pytest.mark.parametrize("words", [("status",), ("status", "--json"), ("label", "eating")])
def test_a_command_that_only_asks_loads_neither_numbers_nor_drawing(words, tmp_path, monkeypatch):
    monkeypatch.setenv("WBAN_SOCKET", str(tmp_path / "control.sock"))
    with serving(tmp_path / "control.sock"):
        loaded = loaded_by(*words)
    assert "zmq" in loaded  # it has asked
    assert not loaded & (HEAVY | RECORDING)


def test_the_list_of_commands_imports_none_of_them():
    loaded = loaded_by("--help")
    assert "wban_collect.cli.main" in loaded
    assert not loaded & (HEAVY | RECORDING | {"zmq", "msgspec"})
    assert not loaded & {place.target.partition(":")[0] for place in COMMANDS.values()}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says(name):
    command = LazyCommands(COMMANDS)[name]
    assert COMMANDS[name].help == command.get_short_help_str(limit=1000)
    assert command.name == name


def test_the_list_is_printed_whole_and_in_its_order():
    shown = collect("--help").out.partition("Commands:\n")[2].split()
    words = [word for name, place in COMMANDS.items() for word in (name, *place.help.split())]
    assert shown[: len(words)] == words


def test_a_command_that_is_not_there_is_named():
    done = collect("stauts")
    assert done.code == 2
    assert "stauts" in done.error


def test_commands_may_be_added_and_taken_away():
    @click.command()
    def there() -> None:
        """Be there. And more."""

    group = LazyGroup("group", LazyCommands({"gone": Place("nowhere:gone", "Be gone.")}))
    group.add_command(there)
    context = click.Context(group)
    assert group.list_commands(context) == ["gone", "there"]
    assert "Be there" in group.get_help(context)
    del group.commands["gone"]
    assert dict(group.commands) == {"there": there}
    assert len(group.commands) == 1
