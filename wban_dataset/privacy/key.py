"""The key: which new name stands for which person, recording and machine.

Whoever has it can tell who is who, so it is a file of its own that its owner alone may read, and it
is never written where the recordings go. It grows with every run; what was named keeps its name.
"""

from __future__ import annotations

import json
import os
import secrets
import stat
import uuid
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from wban_dataset.privacy.errors import PrivacyError
from wban_dataset.recording.errors import FolderInUseError
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.journal import sync_directory

FORMAT = "wban-pseudonyms"
FORMAT_VERSION = 1
MODE = 0o600
LONGEST_SHIFT_DAYS = 3650
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Person(msgspec.Struct, forbid_unknown_fields=True):
    """A subject's new name, and by how many days all of its dates are moved back."""

    name: str
    shift_days: int


class Key(msgspec.Struct, forbid_unknown_fields=True):
    """New names by old ones; made when they are first asked for."""

    format: str = FORMAT
    format_version: int = FORMAT_VERSION
    subjects: dict[str, Person] = {}
    annotators: dict[str, str] = {}
    sessions: dict[str, str] = {}
    boots: dict[str, str] = {}

    def add_subjects(self, subjects: Iterable[str]) -> None:
        """Name those that have no name yet, in an order that tells nothing."""
        new = sorted(set(subjects) - set(self.subjects))
        secrets.SystemRandom().shuffle(new)
        numbers = _free_numbers({person.name for person in self.subjects.values()}, "P")
        for subject, name in zip(new, numbers, strict=False):
            shift_days = 1 + secrets.randbelow(LONGEST_SHIFT_DAYS)
            self.subjects[subject] = Person(name, shift_days)

    def annotator(self, name: str) -> str:
        """Give the new name of an annotator; "" stays."""
        if name and name not in self.annotators:
            self.annotators[name] = next(_free_numbers(set(self.annotators.values()), "A"))
        return self.annotators.get(name, "")

    def session(self, session_id: str) -> str:
        """Give the new id of a session, a ULID without a time in it; "" stays."""
        if session_id and session_id not in self.sessions:
            digits = [secrets.choice(_CROCKFORD) for _ in range(25)]
            self.sessions[session_id] = secrets.choice(_CROCKFORD[:8]) + "".join(digits)
        return self.sessions.get(session_id, "")

    def boot(self, boot_id: str) -> str:
        """Give the new id of a run of the recorder's machine; "" stays."""
        if boot_id and boot_id not in self.boots:
            self.boots[boot_id] = str(uuid.uuid4())
        return self.boots.get(boot_id, "")


def read_key(path: Path) -> Key:
    """Read a key.

    Raises
    ------
    PrivacyError
        If there is none, others may read it, or it is no key.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        content = path.read_bytes()
    except OSError as error:
        raise PrivacyError(
            f"key {path}: it cannot be read ({(error.strerror or str(error)).lower()}), expected "
            "the file that 'wban-dataset pseudonymise --key' made. Check the path."
        ) from error
    if mode & 0o077:
        raise PrivacyError(
            f"key {path}: others may read it (mode {mode:03o}), expected 600. "
            f"Run: chmod 600 {path}, and ask who has read it."
        )
    try:
        key = msgspec.json.decode(content, type=Key)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _no_key(path, str(error)) from error
    if (key.format, key.format_version) != (FORMAT, FORMAT_VERSION):
        raise _no_key(path, f"its format is {key.format!r} {key.format_version}")
    return key


@contextmanager
def key_to_extend(path: Path) -> Generator[Key]:
    """Give the key, or a new one where there is none, and nobody else meanwhile.

    Raises
    ------
    PrivacyError
        If it cannot be read, or another process works with it.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise PrivacyError(
            f"key {path}: there is no folder {folder}, expected one to keep the key in. Make it."
        )
    try:
        with locked(folder):
            yield read_key(path) if path.exists() or path.is_symlink() else Key()
    except FolderInUseError as error:
        raise PrivacyError(
            f"key {path}: another process works in its folder, expected one at a time. "
            "Wait for it to end."
        ) from error


def write_key(path: Path, key: Key) -> None:
    """Write a key whole, readable for its owner alone from its first byte.

    Raises
    ------
    OSError
        If the disk refuses; what stood there before still does.
    """
    content: Any = msgspec.to_builtins(key)
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    aside = path.with_name(f".{path.name}.part")
    aside.unlink(missing_ok=True)
    try:
        fd = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, MODE)
        with os.fdopen(fd, "wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        aside.rename(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    sync_directory(path.absolute().parent)


def _free_numbers(taken: set[str], letter: str) -> Iterator[str]:
    number = 1
    while True:
        name = f"{letter}{number:03d}"
        if name not in taken:
            yield name
        number += 1


def _no_key(path: Path, what: str) -> PrivacyError:
    return PrivacyError(
        f"key {path}: it is no key ({what}), expected the file that "
        "'wban-dataset pseudonymise --key' made. Name another file."
    )
