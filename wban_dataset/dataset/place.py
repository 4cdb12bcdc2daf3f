"""Where a dataset stands, where it is made, and how it takes its place in a single step."""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from wban_dataset.dataset import layout
from wban_dataset.errors import DatasetError
from wban_dataset.recording.errors import FolderInUseError, RecordingError, system_error
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.journal import sync_directory

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2
"""Of renameat2(2)."""


def check_place(out: Path) -> None:
    """Refuse to replace what is no dataset, or holds what was not built.

    Raises
    ------
    DatasetError
        If a dataset cannot be put there.
    """
    if not out.parent.is_dir():
        raise DatasetError(
            f"{out.parent}: there is no such folder, expected one to put {out.name} into. "
            "Make it, or choose another place with --out."
        )
    if not out.exists() and not out.is_symlink():
        return
    is_folder = out.is_dir() and not out.is_symlink()
    names = {path.name for path in out.iterdir()} if is_folder else {out.name}
    foreign = sorted(names - set(layout.FILES))
    if foreign:
        raise DatasetError(
            f"{out}: it holds {foreign[0]}, which no build has made, expected a dataset or nothing "
            "there. Choose another place with --out."
        )


@contextmanager
def building_folder(out: Path) -> Generator[Path]:
    """Give the hidden folder beside OUT in which all is made.

    What an interrupted build had finished is still there. The folder goes when a build is done, and
    when it failed for a reason that it can tell, so that nothing half-written stays; one that is
    killed or stopped by Ctrl-C leaves it for the next.

    Raises
    ------
    DatasetError
        If another process builds there, or the disk refuses.
    """
    folder = out.with_name(f".{out.name}.building")
    try:
        folder.mkdir(exist_ok=True)
        with locked(folder):
            try:
                yield folder
            except (DatasetError, RecordingError, OSError):
                shutil.rmtree(folder, ignore_errors=True)
                raise
            shutil.rmtree(folder, ignore_errors=True)
    except FolderInUseError as error:
        raise DatasetError(
            f"{out}: another process is building it, expected one at a time. Wait for it to end."
        ) from error
    except OSError as error:
        raise DatasetError(
            f"{out}: it cannot be written, nothing was changed there; {system_error(error)}"
        ) from error


def fresh_folder(folder: Path) -> Path:
    """Make an empty folder, whatever an interrupted build had left there."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def put_in_place(finished: Path, place: Path) -> None:
    """Give a folder its name; what had the name is removed.

    There is no instant at which neither of them has it, on file systems that can exchange two
    names; on others there is one, between two renames.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    for path in finished.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
    sync_directory(finished)
    if not place.exists():
        finished.rename(place)
    elif _exchanged(finished, place):
        shutil.rmtree(finished)
    else:
        before = finished.with_name("before")
        place.rename(before)
        finished.rename(place)
        shutil.rmtree(before)
    sync_directory(place.parent)


def _exchanged(one: Path, other: Path) -> bool:
    """Exchange two names; False where system or file system cannot."""
    try:
        rename = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    names = os.fsencode(one), os.fsencode(other)
    return not rename(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE)
