"""Files and links that an installation puts in place, and what stood there before."""

from __future__ import annotations

import difflib
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from wban_collect.installation.step import Change

BACKUP_SUFFIX = ".wban-backup"
"""Of the copy of what stood there before, in the same folder; no program reads such names."""

MARK = "put here by 'wban-collect install'"
"""Stands in the first lines of every file that is ours alone."""

N_MARKED_LINES = 2


def backup_of(path: Path) -> Path:
    """Where the copy of what stood at `path` before is kept."""
    return path.with_name(path.name + BACKUP_SUFFIX)


def is_ours(text: str) -> bool:
    """Whether a file's text says that an installation of wban put it there."""
    return any(MARK in line for line in text.splitlines()[:N_MARKED_LINES])


def read_text(path: Path) -> str | None:
    """Text of a file, every byte kept; None where there is none."""
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_text(path: Path, text: str) -> None:
    """Replace a file at once, its mode and owner kept; after a power cut it is old or new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
            _adopt(file.fileno(), path)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder safe from a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_copy(path: Path) -> None:
    """Copy what stands at `path` beside it, unless an earlier copy is there."""
    copy = backup_of(path)
    if os.path.lexists(copy):
        return
    if path.is_symlink():
        copy.symlink_to(path.readlink())
        return
    unfinished = copy.with_name(f".{copy.name}")
    shutil.copy2(path, unfinished)
    unfinished.replace(copy)
    sync_folder(copy.parent)


def difference(path: Path, before: str | None, after: str | None) -> str:
    """Return the change of a file as ``diff -u`` writes it."""
    lines = difflib.unified_diff(
        (before or "").splitlines(),
        (after or "").splitlines(),
        "/dev/null" if before is None else str(path),
        "/dev/null" if after is None else str(path),
        lineterm="",
    )
    return "\n".join(lines).encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class PlacedFile:
    """A file whose whole content is ours; another one that stood there is kept as a copy."""

    def __init__(self, path: Path, text: str, *, keep_existing: bool = False) -> None:
        self.path = path
        self._text = text
        self._keep_existing = keep_existing

    def change(self) -> Change | None:
        """Say what the file's content would become."""
        before = read_text(self.path)
        if before == self._text or (before is not None and self._keep_existing):
            return None
        how = "write" if before is None else "update" if is_ours(before) else "replace"
        kept = f", its old content kept in {backup_of(self.path)}" if how == "replace" else ""
        return Change(f"{how} {self.path}{kept}", difference(self.path, before, self._text))

    def apply(self) -> None:
        """Write it."""
        before = read_text(self.path)
        if before is not None and not is_ours(before):
            keep_copy(self.path)
        write_text(self.path, self._text)


class PlacedLink:
    """A symbolic link; what stood there before is kept as a copy."""

    def __init__(self, path: Path, target: str) -> None:
        self.path = path
        self._target = target

    def change(self) -> Change | None:
        """Say whether the link would be made."""
        if self.path.is_symlink() and str(self.path.readlink()) == self._target:
            return None
        kept = f", what is there kept in {backup_of(self.path)}"
        before = kept if os.path.lexists(self.path) else ""
        return Change(f"link {self.path} to {self._target}{before}")

    def apply(self) -> None:
        """Make it."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if os.path.lexists(self.path):
            keep_copy(self.path)
        unfinished = self.path.with_name(f".{self.path.name}.wban")
        unfinished.unlink(missing_ok=True)
        unfinished.symlink_to(self._target)
        unfinished.replace(self.path)


class Removed:
    """A file or link that was put in place goes; what stood there before comes back.

    Parameters
    ----------
    target
        Where the link leads to, if it is one; another link or file at its place is left alone.
    """

    def __init__(self, path: Path, target: str | None = None) -> None:
        self.path = path
        self._target = target

    def change(self) -> Change | None:
        """Say what would become of it."""
        if not self._is_ours():
            return None
        if os.path.lexists(backup_of(self.path)):
            return Change(f"put {self.path} back as it was", self._difference())
        return Change(f"remove {self.path}", self._difference())

    def apply(self) -> None:
        """Remove it, or put the copy in its place."""
        if os.path.lexists(backup_of(self.path)):
            backup_of(self.path).replace(self.path)
        else:
            self.path.unlink()
        sync_folder(self.path.parent)

    def _is_ours(self) -> bool:
        if self._target is not None:
            return self.path.is_symlink() and str(self.path.readlink()) == self._target
        text = read_text(self.path)
        return text is not None and is_ours(text)

    def _difference(self) -> str:
        if self._target is not None:
            return ""
        return difference(self.path, read_text(self.path), read_text(backup_of(self.path)))


class RemovedFolder:
    """A folder that goes with all that is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def change(self) -> Change | None:
        """Say that it would go, where it is there."""
        return Change(f"remove {self.path} and all that is in it") if self.path.is_dir() else None

    def apply(self) -> None:
        """Remove it."""
        shutil.rmtree(self.path)


def _adopt(descriptor: int, path: Path) -> None:
    """Give a new file the mode and the owner of the one that it replaces."""
    try:
        before = path.stat()
    except FileNotFoundError:
        os.fchmod(descriptor, 0o644)
        return
    # The boot partition is FAT: it has one owner and one mode for all.
    with suppress(PermissionError):
        os.fchmod(descriptor, before.st_mode & 0o7777)
        os.fchown(descriptor, before.st_uid, before.st_gid)
