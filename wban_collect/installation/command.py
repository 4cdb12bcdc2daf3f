"""Commands that tell the running system of new files; no shell is between."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Sequence

from wban_collect.installation.step import GO_ON, Change, InstallationError, Step


class Command:
    """A command that is due when one of its steps changes something, or when it is asked for.

    Parameters
    ----------
    words
        The command and its arguments.
    after
        Steps whose changes make it due.
    due
        Says whether it is due for a reason of its own.
    optional
        Whether the installation goes on where it is missing or fails.
    afterwards
        What a person has to do before it acts.
    """

    def __init__(
        self,
        words: Sequence[str],
        after: Sequence[Step] = (),
        due: Callable[[], bool] = lambda: False,
        *,
        optional: bool = False,
        afterwards: str = "",
    ) -> None:
        self.words = tuple(words)
        self._after = after
        self._due = due
        self._optional = optional
        self._afterwards = afterwards

    def change(self) -> Change | None:
        """Say that it would be run, where it is due."""
        if not (self._due() or any(step.change() for step in self._after)):
            return None
        if self._optional and shutil.which(self.words[0]) is None:
            return None
        return Change(f"run {' '.join(self.words)}", afterwards=self._afterwards)

    def apply(self) -> None:
        """Run it."""
        try:
            run(self.words)
        except InstallationError:
            if not self._optional:
                raise


def run(words: Sequence[str]) -> str:
    """Run a command and return what it wrote on stdout.

    Raises
    ------
    InstallationError
        If it is missing or fails; the sentence holds the last line of its complaint.
    """
    line = " ".join(words)
    try:
        done = subprocess.run(  # noqa: S603 - a list of words, none of them made by a shell
            list(words),
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            stdin=subprocess.DEVNULL,
            env=_environment(),
        )
    except FileNotFoundError as error:
        raise InstallationError(
            f"'{words[0]}' is missing, expected it on Raspberry Pi OS and Debian: '{line}' could "
            f"not be run. {GO_ON}"
        ) from error
    if done.returncode:
        raise InstallationError(
            f"'{line}' failed with {done.returncode}: {_complaint(done)}. {GO_ON}"
        )
    return done.stdout


def _environment() -> dict[str, str]:
    """Leave out what would lead another Python to this one's packages."""
    inherited = {name: value for name, value in os.environ.items() if name[:6] != "PYTHON"}
    return {**inherited, "LC_ALL": "C.UTF-8"}


def _complaint(done: subprocess.CompletedProcess[str]) -> str:
    """Return the line that says why: the last one that calls itself an error, or the last."""
    lines = [line.strip() for line in (done.stdout + "\n" + done.stderr).splitlines()]
    lines = [line for line in lines if line] or ["it said nothing"]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors or lines)[-1].rstrip(".")
