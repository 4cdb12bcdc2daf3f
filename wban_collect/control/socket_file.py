"""A socket file that one process alone serves, and that a group may speak to."""

from __future__ import annotations

import fcntl
import grp
import os
import socket
import stat
from contextlib import suppress
from pathlib import Path

from wban_collect.control.endpoints import GROUP, usable_path
from wban_collect.errors import ConfigError, WbanError

SOCKET_MODE, FOLDER_MODE = 0o660, 0o750
_BACKLOG = 64


class SocketFile:
    """Listens at a path; a lock beside it, which ends with the process, tells dead from alive."""

    def __init__(self, path: Path) -> None:
        self.path = usable_path(path)
        self._lock_fd = -1
        self._inode = 0

    def listen(self) -> int:
        """Take the path and listen there; return the descriptor, which the caller closes.

        Nobody can connect before the file's group and mode are right. What a dead process left at
        the path is replaced.

        Raises
        ------
        ConfigError
            If something else is at the path, or it cannot be written.
        WbanError
            If another process serves it.
        """
        try:
            _make_folder(self.path.parent)
            self._take_lock()
            self._remove_stale()
            return self._bound()
        except OSError as error:
            self.close()
            raise ConfigError(
                f"socket {self.path}: {(error.strerror or str(error)).lower()}, expected a place "
                "where a file can be made. Choose another under [control], or mend its permissions."
            ) from error
        except WbanError:
            self.close()
            raise

    def close(self) -> None:
        """Take the file away, unless it is no longer this one, and let go of the lock."""
        if self._inode:
            with suppress(OSError):
                if self.path.lstat().st_ino == self._inode:
                    self.path.unlink()
            self._inode = 0
        if self._lock_fd >= 0:
            os.close(self._lock_fd)
            self._lock_fd = -1

    def _take_lock(self) -> None:
        """Hold the lock; its file stays, for removing it would let two hold it."""
        path = self.path.with_name(f"{self.path.name}.lock")
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._lock_fd = os.open(path, flags, 0o600)
        try:
            fcntl.flock(self._lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._lock_fd, 20, 0).decode("ascii", "replace").strip()
            raise WbanError(
                f"socket {self.path}: process {holder or 'unknown'} serves it, expected no other "
                "daemon. Speak to that one ('wban-collect status'), or end it first."
            ) from error
        os.ftruncate(self._lock_fd, 0)
        os.pwrite(self._lock_fd, f"{os.getpid()}\n".encode(), 0)

    def _remove_stale(self) -> None:
        try:
            found = self.path.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(found.st_mode):
            raise ConfigError(
                f"socket {self.path}: found {stat.filemode(found.st_mode)}, expected a socket or "
                "nothing. Choose another path under [control]."
            )
        self.path.unlink()

    def _bound(self) -> int:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listener:
            listener.bind(os.fspath(self.path))
            self._inode = self.path.lstat().st_ino
            self.path.chmod(SOCKET_MODE)
            _give_to_group(self.path)
            listener.listen(_BACKLOG)
            return listener.detach()


def _make_folder(folder: Path) -> None:
    """Make what is missing; the group may enter the last one, others nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        if _give_to_group(folder):
            folder.chmod(FOLDER_MODE)


def _give_to_group(path: Path) -> bool:
    """Let the file belong to the group, where there is one and this user may."""
    try:
        os.chown(path, -1, grp.getgrnam(GROUP).gr_gid)
    except (KeyError, PermissionError):
        return False
    return True
