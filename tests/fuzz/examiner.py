"""A child process that opens damaged session files, since libhdf5 may not survive one.

As a program it reads paths from stdin and writes one line of JSON for each. Its CPU time for a file
is limited: a file that libhdf5 turns round in for ever ends the child, as does one that it breaks
down at, and the next file gets another child.
"""

from __future__ import annotations

import hashlib
import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from wban_dataset.recording.errors import RecordingError
from wban_dataset.recording.session import Session

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 3


@dataclass(frozen=True)
class Finding:
    """What was found about a file.

    Attributes
    ----------
    refusal
        The sentence that opening or reading it was refused with; "" where it was not.
    problems
        What verifying it found.
    values
        A digest of all that was read, by its name.
    died_of
        The signal that ended the process inside libhdf5: that of the limit of CPU time where it did
        not come back, or what it gives itself for damaging its own memory; 0 where it lived.
    """

    refusal: str = ""
    problems: tuple[str, ...] = ()
    values: dict[str, str] | None = None
    died_of: int = 0


class Examiner:
    """Examines files, one after the other, in a child that may end at any of them."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[str] | None = None

    def examine(self, path: Path) -> Finding:
        """Open, verify and read a session's file.

        Raises
        ------
        RuntimeError
            If the child ended by an exception of ours: not even a damaged file may raise one.
        """
        child = self._running()
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(f"{path}\n")
        child.stdin.flush()
        line = child.stdout.readline()
        if line:
            found: dict[str, Any] = json.loads(line)
            return Finding(found["refusal"], tuple(found["problems"]), found["values"])
        self._child = None
        with child:  # closes its pipes and waits
            pass
        if child.returncode >= 0:
            raise RuntimeError(f"{path}: the process that read it ended with {child.returncode}")
        return Finding(died_of=-child.returncode)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._child is not None:
            self._child.communicate()  # it ends with its input

    def _running(self) -> subprocess.Popen[str]:
        if self._child is None:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "tests.fuzz.examiner"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
            )
        return self._child


def look_at(path: Path) -> dict[str, Any]:
    """Open, verify and read a file; only sentences are raised."""
    values: dict[str, str] = {}
    problems: tuple[str, ...] = ()
    refusal = ""
    try:
        with Session.open(path) as session:
            problems = session.verify().problems
            values = dict(everything(session))
    except RecordingError as error:
        refusal = str(error)
    return {"refusal": refusal, "problems": problems, "values": values}


def everything(session: Session) -> Iterator[tuple[str, str]]:
    """Give a digest of all that a session says, by name."""
    for name, value in session.attributes.items():
        yield f"@{name}", _digest(value)
    yield "configuration", _digest(session.configuration)
    yield "labels", _digest(session.labels)
    tables = {"marks": session.marks, "gaps": session.gaps, "clock": session.clock}
    for table, columns in {**tables, "health": session.health}.items():
        for name, column in columns.items():
            yield f"{table}/{name}", _digest(column)
    yield "quality", _digest(session.quality)
    for stream in map(session.stream, session.streams):
        yield f"{stream.name}@", _digest(sorted(stream.attributes.items()))
        yield f"{stream.name}/units", _digest((stream.units, stream.scale_factor))
        for name in ("monotonic_ns", "time", "time_unc_ns", "segment"):
            yield f"{stream.name}/{name}", _digest(getattr(stream, name))
        yield f"{stream.name}/data", _digest(stream.read())
        yield f"{stream.name}/counts", _digest(stream.read_counts())


def _digest(value: Any) -> str:
    raw = value.tobytes() if isinstance(value, np.ndarray) else repr(value).encode()
    return hashlib.sha256(raw).hexdigest()[:16]


def main() -> None:
    """Look at the files that stdin names."""
    for line in sys.stdin:
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = int(used.ru_utime + used.ru_stime) + LIMIT_S
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        sys.stdout.write(json.dumps(look_at(Path(line.rstrip("\n")))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
