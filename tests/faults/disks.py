"""A disk that fills, fails or becomes read-only at any one of the calls that a recording makes."""

from __future__ import annotations

import errno
import os
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from wban_dataset.recording.framing import Buffer
from wban_dataset.recording.journal import JournalWriter
from wban_dataset.recording.layout import RESERVATION_NAME

NEVER = 1 << 62


class FailingDisk:
    """The system's calls for writing, of which one and those after it fail.

    Only what happens below `root` counts and fails.

    Parameters
    ----------
    place
        Number of the first call that fails, from 0.
    code
        ENOSPC: until room is made by cutting the reservation, and never after that; a write that
        meets it is short first, as on a real disk. EROFS: whatever would change the disk, until
        `mend`.

    Attributes
    ----------
    calls
        Name of every call so far.
    n_before_room
        How many there were before room was made.
    met
        Name of the call that met the fault; "" where none did.
    """

    def __init__(self, root: Path, place: int = NEVER, code: int = errno.ENOSPC) -> None:
        self.calls: list[str] = []
        self.n_before_room = 0
        self.met = ""
        self._root = f"{root}{os.sep}"
        self._place = place
        self._code = code
        self._failing = False
        self._real_open, self._real_fsync, self._real_sync = os.open, os.fsync, os.fdatasync
        self._real_write, self._real_truncate = os.pwritev, os.ftruncate
        self._real_allocate, self._real_unlink = os.posix_fallocate, os.unlink

    @contextmanager
    def in_place(self) -> Generator[FailingDisk]:
        """Stand between this process and its disk."""
        journal_calls = JournalWriter.__init__.__kwdefaults__
        with ExitStack() as stack:
            stack.enter_context(
                mock.patch.dict(journal_calls, {"write": self._write, "sync": self._sync})
            )
            for name, replacement in {
                "open": self._open,
                "fsync": self._fsync,
                "posix_fallocate": self._allocate,
                "ftruncate": self._truncate,
                "unlink": self._unlink,
            }.items():
                stack.enter_context(mock.patch.object(os, name, replacement))
            yield self

    def mend(self) -> None:
        """Make it a disk that works."""
        self._failing, self._place = False, NEVER

    # The calls.

    def _write(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        was_failing = self._failing
        if not self._meets("write"):
            return self._real_write(fd, buffers, offset)
        if was_failing or self._code != errno.ENOSPC:
            raise self._error()
        whole = b"".join(bytes(buffer) for buffer in buffers)
        return self._real_write(fd, [whole[: len(whole) // 2]], offset)

    def _sync(self, fd: int) -> None:
        """Fail once: the kernel tells of what it could not write, then forgets it."""
        if self._meets("fsync") and self.met == "fsync" and len(self.calls) - 1 == self._place:
            raise self._error()
        self._real_sync(fd)

    def _fsync(self, fd: int) -> None:
        if self._is_below(_path_of(fd)) and self._meets("fsync of a folder"):
            raise self._error()
        self._real_fsync(fd)

    def _allocate(self, fd: int, offset: int, length: int) -> None:
        if self._meets("fallocate"):
            raise self._error()
        self._real_allocate(fd, offset, length)

    def _open(self, path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        creates = flags & os.O_CREAT and self._is_below(os.fspath(path))
        if creates and self._meets("open"):
            raise self._error()
        return self._real_open(path, flags, *arguments, **options)

    def _truncate(self, fd: int, length: int) -> None:
        self._refuse_if_read_only()
        if self._code == errno.ENOSPC and _path_of(fd).endswith(RESERVATION_NAME):
            self.n_before_room = len(self.calls)
            self.mend()
        self._real_truncate(fd, length)

    def _unlink(self, path: Any, **options: Any) -> None:
        if self._is_below(os.fspath(path)):
            self._refuse_if_read_only()
        self._real_unlink(path, **options)

    # The fault.

    def _meets(self, call: str) -> bool:
        """Count a call, and say whether it is to fail."""
        if len(self.calls) == self._place:
            self._failing, self.met = True, call
        self.calls.append(call)
        return self._failing

    def _refuse_if_read_only(self) -> None:
        if self._failing and self._code == errno.EROFS:
            raise self._error()

    def _error(self) -> OSError:
        return OSError(self._code, os.strerror(self._code))

    def _is_below(self, path: Any) -> bool:
        return isinstance(path, str) and path.startswith(self._root)


def _path_of(fd: int) -> str:
    try:
        return str(Path(f"/proc/self/fd/{fd}").readlink())
    except OSError:
        return ""
