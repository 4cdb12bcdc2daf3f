"""Bytes of one file copied into another, by the system alone where it can."""

from __future__ import annotations

import os
from pathlib import Path

_BYTES_AT_ONCE = 8 << 20


def copy_into(target: Path, place: int, source: Path) -> None:
    """Put all bytes of a file into another one from a place on.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    with source.open("rb") as read, target.open("r+b") as written:
        n_bytes = os.fstat(read.fileno()).st_size
        done = 0
        while done < n_bytes:
            n_copied = _copied(read.fileno(), written.fileno(), done, place + done, n_bytes - done)
            if not n_copied:
                raise OSError(f"{source} ended after {done} of {n_bytes} bytes")
            done += n_copied


def _copied(source: int, target: int, start: int, place: int, n_bytes: int) -> int:
    try:
        return os.copy_file_range(source, target, n_bytes, start, place)
    except (OSError, AttributeError):
        # Another file system, or another system: through memory. A full disk says so there, too.
        return os.pwrite(target, os.pread(source, min(n_bytes, _BYTES_AT_ONCE), start), place)
