"""One process at a time works on a session's folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from wban_dataset.recording.errors import FolderInUseError, SealingError


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Hold the folder's lock; the kernel lets go of it when the process ends, however it ends.

    Raises
    ------
    FolderInUseError
        If another process holds it.
    SealingError
        If the folder cannot be opened, or its file system has no locks.
    """
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise SealingError(
            f"folder {folder}: {(error.strerror or str(error)).lower()}, expected a session's "
            "folder. Check the path."
        ) from error
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderInUseError(
                f"folder {folder}: another process is recording into it or sealing it, expected "
                "a finished recording. Wait for it to end, then seal again."
            ) from error
        except OSError as error:
            raise SealingError(
                f"folder {folder}: it cannot be locked ({(error.strerror or str(error)).lower()}), "
                "expected a file system with locks. Record to another disk."
            ) from error
        yield
    finally:
        os.close(fd)
