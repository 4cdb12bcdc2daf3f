"""Disk space for the second copy, taken while recording: sealing cannot fail for want of it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

STEP_BYTES = 16 << 20


def reserved_share(gzip_level: int) -> float:
    """Bytes of the sealed file for each byte of the journal, at the most.

    It holds the same samples, their stamps, and float32 copies on the common axis; measured at the
    default load, 1.17 uncompressed.
    """
    return 1.25 if gzip_level == 0 else 1.15


class SpaceReservation:
    """A file whose blocks are allocated as the journal grows, and given back before sealing.

    Parameters
    ----------
    path
        Of the file; on the same file system as the session.
    factor
        Bytes reserved for each byte of the journal, see `reserved_share`.
    """

    def __init__(self, path: Path, factor: float) -> None:
        self._path = path
        self._factor = factor
        self._reserved_bytes = 0
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self.grow(0)
        except OSError:
            self.release()
            raise

    def grow(self, journal_bytes: int) -> None:
        """Keep enough for a journal of `journal_bytes`, one step ahead.

        Raises
        ------
        OSError
            ENOSPC when the disk is full.
        """
        wanted = int(journal_bytes * self._factor) + STEP_BYTES
        if wanted > self._reserved_bytes:
            steps = -(-wanted // STEP_BYTES)
            os.posix_fallocate(self._file, 0, steps * STEP_BYTES)
            self._reserved_bytes = steps * STEP_BYTES

    def give_margin(self) -> None:
        """Give one step back, so that a session that met a full disk can still be ended."""
        margin_bytes = max(self._reserved_bytes - STEP_BYTES, 0)
        with suppress(OSError):  # a disk that takes nothing any more
            os.ftruncate(self._file, margin_bytes)
            self._reserved_bytes = margin_bytes

    def release(self) -> None:
        """Give the space back, just before sealing needs it; sealing does so where this cannot."""
        os.close(self._file)
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
