"""Commands as a user runs them: within this process, which is quick, or in one of their own."""

from __future__ import annotations

import contextlib
import io
import logging
import subprocess
import sys
import sysconfig
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from wban_collect.cli.main import main as collect_main
from wban_dataset.cli.main import main as dataset_main

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(sysconfig.get_path("scripts"))


@dataclass(frozen=True)
class Outcome:
    """What a command left behind it."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one sentence it ended with; fails where there is more, or a traceback."""
        assert "Traceback" not in self.out + self.err, self.err
        lines = self.err.strip().splitlines()
        errors = [line for line in lines if line.startswith("Error: ")]
        assert len(errors) == 1, self.err
        assert lines[-1] == errors[0], self.err
        others = [line for line in lines if line and line != errors[0]]
        usage = [line for line in others if line.startswith(("Usage: ", "Try '", " "))]
        assert others == usage, self.err
        return errors[0]


def collect(*arguments: object) -> Outcome:
    """Run wban-collect within this process."""
    return _within(collect_main, "wban-collect", arguments)


def dataset(*arguments: object) -> Outcome:
    """Run wban-dataset within this process."""
    return _within(dataset_main, "wban-dataset", arguments)


def process(*command: object) -> Outcome:
    """Run wban-collect, or another command if it is an absolute path, as a process."""
    words = [str(word) for word in command]
    if not words[0].startswith("/"):
        words.insert(0, str(SCRIPTS / "wban-collect"))
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    return Outcome(done.returncode, done.stdout, done.stderr)


def _within(main: Callable[[], None], name: str, arguments: tuple[object, ...]) -> Outcome:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers.clear()  # so that the command sets its logging up, towards what is caught here
    out, err = io.StringIO(), io.StringIO()
    code = 0
    try:
        with (
            mock.patch.object(sys, "argv", [name, *map(str, arguments)]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except Exception:  # noqa: BLE001 - what the interpreter would print for the user to see
        code = 1
        err.write(traceback.format_exc())
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    return Outcome(code, out.getvalue(), err.getvalue())
