"""Small files that are there as a whole or not at all, whenever the power is cut."""

from __future__ import annotations

import os
from pathlib import Path

from wban_dataset.recording.journal import sync_directory


def write_whole(path: Path, content: bytes) -> None:
    """Write a file aside, bring it to the disk, and give it its name, replacing what had it.

    Raises
    ------
    OSError
        If the disk refuses; what stood there before still does.
    """
    aside = path.with_name(f".{path.name}.part")
    try:
        with aside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def is_written_aside(name: str) -> bool:
    """Whether a name is that of a file that `write_whole` could not finish."""
    return name.startswith(".") and name.endswith(".part")
