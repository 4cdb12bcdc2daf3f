"""Whether a sealed file can be opened at all: tried in a child process first.

Damage in the places where HDF5 keeps texts and references can make its library turn round for ever,
or end the process. The child reads just those; what becomes of it becomes a sentence.
"""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import h5py

from wban_dataset.recording.errors import SessionError

LIMIT_S = 6
"""CPU time; a file of any length has at most some thousand texts."""


def probe(path: Path) -> None:
    """Read a file's texts, attributes and references in a child process.

    Raises
    ------
    SessionError
        If that does not come to an end, or ends the child. Other damage is left to be found later.
    """
    command = [sys.executable, "-m", "wban_dataset.recording.probe", str(path)]
    done = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 - our own module
    if done.returncode < 0:
        endless = -done.returncode in (signal.SIGXCPU, signal.SIGKILL)
        what = "reading it does not come to an end" if endless else "it breaks the HDF5 library"
        raise SessionError(
            f"{path}: {what}, expected an intact sealed session; it is damaged. Take another copy "
            "of it, and check the disk."
        )


def _touch_all(path: str) -> None:
    """Read everything whose length stands in the file itself."""
    with h5py.File(path, "r") as opened:
        file = cast("Any", opened)
        names: list[str] = []
        file.visit(names.append)
        for name in ["/", *names]:
            item = file[name]
            for attribute in list(item.attrs):
                item.attrs[attribute]
            if hasattr(item, "dtype") and item.dtype.hasobject:
                item[...]


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CPU, (LIMIT_S, LIMIT_S + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with suppress(Exception):  # whoever opens it afterwards says it better
        _touch_all(sys.argv[1])
