"""Lines in the Pi's config.txt, in a marked block; all other lines stay as they are."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wban_collect.installation.placed import (
    backup_of,
    difference,
    keep_copy,
    read_text,
    sync_folder,
    write_text,
)
from wban_collect.installation.step import Change, InstallationError

BEGIN = (
    "# >>> wban: 'wban-collect install' writes these lines; put your own after the end of the block"
)
END = "# <<< wban"
REBOOT = "Reboot: the firmware reads config.txt (I2C speed, core clock) when it starts."

PI_4_SECTIONS = {"", "all", "pi4", "pi400", "cm4", "cm4s"}
"""Sections of config.txt whose lines a Pi 4 reads; lines for other models contradict nothing."""

ALIASES = {
    "i2c": "i2c_arm",
    "i2c1": "i2c_arm",
    "i2c_baudrate": "i2c_arm_baudrate",
    "i2c1_baudrate": "i2c_arm_baudrate",
}
"""Other names that the firmware has for the parameters of the bus on pins 3 and 5."""

_SECTION = re.compile(r"\[(?P<name>[^\]]*)\]\Z")
_CAMERA = re.compile(r"(camera_auto_detect=1|dtoverlay=(imx|ov)\d+)\b")


@dataclass(frozen=True)
class Setting:
    """One setting of a config.txt, and the number of its line."""

    key: str
    value: str
    line: int


class BootConfigBlock:
    """The block at the end of config.txt, or where it stood before.

    Parameters
    ----------
    path
        The file; where there is none, this is no Pi, or its boot partition is not mounted.
    lines
        What stands in the block.
    """

    def __init__(self, path: Path, lines: str) -> None:
        self.path = path
        self._lines = lines

    def change(self) -> Change | None:
        """Say which lines would come."""
        before = read_text(self.path)
        if before is None:
            return None
        after = with_block(before, self._lines, self.path)
        if after == before:
            return None
        kept = backup_of(self.path)
        copy = "" if kept.exists() else f", a copy kept in {kept}"
        return Change(
            f"write a block of lines into {self.path}{copy}",
            difference(self.path, before, after),
            REBOOT,
        )

    def apply(self) -> None:
        """Write the block."""
        before = read_text(self.path) or ""
        keep_copy(self.path)
        write_text(self.path, with_block(before, self._lines, self.path))

    def remarks(self) -> list[str]:
        """Say what a person should know: no such file, lines that contradict, no camera."""
        text = read_text(self.path)
        if text is None:
            return [
                f"{self.path} is not there, so this is no Raspberry Pi, or its boot partition is "
                "not mounted; the I2C speed and the core clock are left as they are."
            ]
        remarks = contradictions(with_block(text, self._lines, self.path), str(self.path))
        if not any(_CAMERA.match(line.strip()) for line in text.splitlines()):
            remarks.append(
                f"{self.path} has neither camera_auto_detect=1 nor the overlay of a camera, so "
                "none will be found; the block of wban names the lines."
            )
        return remarks


class RemovedBootConfigBlock:
    """The block goes; where nothing else has changed since, the file is as it was, to the byte."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def change(self) -> Change | None:
        """Say which lines would go."""
        before = read_text(self.path)
        if before is None or BEGIN not in before:
            return None
        return Change(
            f"remove the block of wban from {self.path}",
            difference(self.path, before, self._after(before)),
            REBOOT,
        )

    def apply(self) -> None:
        """Remove the block; the copy stays where it says something that the file does not."""
        after = self._after(read_text(self.path) or "")
        write_text(self.path, after)
        if read_text(backup_of(self.path)) == after:
            backup_of(self.path).unlink()
            sync_folder(self.path.parent)

    def _after(self, text: str) -> str:
        without = without_block(text, self.path)
        copy = read_text(backup_of(self.path))
        # The block begins on a line of its own: a file that did not end in one got one.
        return (
            copy if copy is not None and copy.rstrip("\r\n") == without.rstrip("\r\n") else without
        )


def with_block(text: str, lines: str, path: Path) -> str:
    """Put the block where it stood, or at the end."""
    block = f"{BEGIN}\n{lines.rstrip()}\n{END}\n"
    place = _place(text, path)
    if place is None:
        joint = "" if not text or text.endswith("\n") else "\n"
        return f"{text}{joint}{block}"
    return text[: place.start] + block + text[place.stop :]


def without_block(text: str, path: Path) -> str:
    """Take the block out, if there is one."""
    place = _place(text, path)
    return text if place is None else text[: place.start] + text[place.stop :]


def contradictions(text: str, name: str) -> list[str]:
    """Say which lines outside the block want something else than it, and who wins."""
    place = _place(text, Path(name))
    if place is None:
        return []
    first = text.count("\n", 0, place.start) + 1
    last = text.count("\n", 0, place.stop)
    settings = list(parse_settings(text))
    wanted = {s.key: s.value for s in settings if first <= s.line <= last}
    remarks: list[str] = []
    for setting in settings:
        ours = wanted.get(setting.key)
        if first <= setting.line <= last or ours is None or ours == setting.value:
            continue
        found = f"{name}, line {setting.line}: {setting.key}={setting.value}, but wban wants {ours}"
        if setting.line < first:
            remarks.append(f"{found}; wban's block stands after it and wins.")
        else:
            remarks.append(f"{found}; the line stands after wban's block and wins. Remove it.")
    return remarks


def parse_settings(text: str) -> Iterator[Setting]:
    """Read the settings that a Pi 4 would take from a config.txt, parameters one by one."""
    section = ""
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.partition("#")[0].strip()
        header = _SECTION.match(line)
        if header:
            section = header["name"].strip().lower()
        elif "=" in line and section in PI_4_SECTIONS:
            key, _, value = line.partition("=")
            parameters = value.split(",") if key.strip() == "dtparam" else [line]
            for parameter in parameters:
                name, _, setting = parameter.partition("=")
                name = name.strip().lower()
                yield Setting(ALIASES.get(name, name), setting.strip() or "on", number)


@dataclass(frozen=True)
class _Place:
    """Where in a text the block stands: start of its first line, end of its last."""

    start: int
    stop: int


def _place(text: str, path: Path) -> _Place | None:
    start = text.find(BEGIN)
    if start < 0:
        return None
    end = text.find(END, start)
    if end < 0:
        raise InstallationError(
            f"{path}: the block of wban begins ('{BEGIN[:10]}...') and does not end, expected a "
            f"line '{END}'. Remove the block by hand, then run this command again."
        )
    newline = text.find("\n", end)
    return _Place(start, len(text) if newline < 0 else newline + 1)
