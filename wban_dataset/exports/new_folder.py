"""Folders that are there as a whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from wban_dataset.exports.errors import ExportError
from wban_dataset.recording.journal import sync_directory

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def new_folder(path: Path) -> Generator[Path]:
    """Give a folder aside to be filled, which takes its name when the block ends in order.

    Whatever goes wrong in the block, nothing is left of it; what a killed run left is removed.

    Raises
    ------
    ExportError
        If there is something at `path` already, or the disk is full.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - "." and ".." have no name to write beside
    if path.is_symlink() or (path.exists() and not (path.is_dir() and _is_empty(path))):
        raise ExportError(
            f"{path}: there is something already, expected a new or an empty folder. "
            "Choose another place with -o, or remove it."
        )
    aside = aside_of(path)
    try:
        _remove(aside)
        aside.mkdir(parents=True)
        yield aside
        _sync_all(aside)
        aside.rename(path)
        sync_directory(path.parent)
    except BaseException as error:
        _remove(aside)
        if isinstance(error, OSError) and is_full(error):
            raise ExportError(
                f"{path}: the disk is full, expected room for the whole export; nothing of it was "
                "left. Make room, or choose another place with -o."
            ) from error
        raise


def aside_of(path: Path) -> Path:
    """Name of the folder that is filled before it becomes `path`."""
    return path.with_name(f".{path.name}.part")


def is_full(error: OSError) -> bool:
    """Whether the disk had no room left; HDF5 and Arrow say it in their text only."""
    return error.errno in FULL or os.strerror(errno.ENOSPC).lower() in str(error).lower()


def _is_empty(folder: Path) -> bool:
    return next(folder.iterdir(), None) is None


def _remove(folder: Path) -> None:
    if folder.is_symlink():
        folder.unlink()
    elif folder.exists():
        shutil.rmtree(folder)


def _sync_all(folder: Path) -> None:
    """Bring every file and folder below to the disk."""
    for directory, _, names in os.walk(folder):
        for name in names:
            with (Path(directory) / name).open("rb") as file:
                os.fsync(file.fileno())
        sync_directory(Path(directory))
