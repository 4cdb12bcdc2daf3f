"""One step of an installation: what it would change, and how it changes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from wban_collect.errors import WbanError


class InstallationError(WbanError):
    """A step cannot be done."""


@dataclass(frozen=True)
class Change:
    """What a step would change.

    Attributes
    ----------
    summary
        One line, e.g. ``write /etc/modules-load.d/wban.conf``.
    diff
        Of the file, as ``diff -u`` writes it; empty where no file's content changes.
    afterwards
        What a person has to do before it acts; empty where it acts at once.
    """

    summary: str
    diff: str = ""
    afterwards: str = ""


class Step(Protocol):
    """Looks first, changes then; a step that was done has nothing to change any more."""

    def change(self) -> Change | None:
        """Say what would change; None where all is as it should be. Changes nothing."""
        ...

    def apply(self) -> None:
        """Do it, a file at once or not at all; raises `InstallationError` or `OSError`."""
        ...


class UnfinishedMark:
    """A file that is there while an installation is at work, and after it was cut off.

    Then all commands are run again: nobody knows which of them had seen the new files.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def present(self) -> bool:
        """Whether an earlier run did not come to its end."""
        return self._path.is_file()

    def set(self) -> None:
        """Note that the work begins."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text("An installation of wban is at work, or was cut off.\n")

    def clear(self) -> None:
        """Note that all is done."""
        self._path.unlink(missing_ok=True)


def planned(steps: Iterable[Step]) -> list[tuple[Step, Change]]:
    """Choose the steps that would change something, with what they would change.

    Raises
    ------
    InstallationError
        If this user may not look.
    """
    try:
        return [(step, change) for step in steps if (change := step.change()) is not None]
    except PermissionError as error:
        raise InstallationError(
            f"{error.filename} may not be read by this user: put 'sudo' before the command."
        ) from error


def carry_out(plan: Sequence[tuple[Step, Change]]) -> Iterable[Change]:
    """Apply the steps in order; yields each one's change before it is done.

    Raises
    ------
    InstallationError
        If a step fails; the steps before it are done, the others are not.
    """
    for step, change in plan:
        yield change
        try:
            step.apply()
        except OSError as error:
            place = f"{error.filename}: " if error.filename else ""
            raise InstallationError(
                f"could not {change.summary}: {place}{error.strerror or error}. {GO_ON}"
            ) from error


GO_ON = (
    "What was done before it stays; once the cause is mended, the same command does the rest, and "
    "'wban-collect uninstall' takes all of it back."
)
