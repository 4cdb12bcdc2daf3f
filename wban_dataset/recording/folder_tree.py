"""Which folders below a directory are sessions; told by their names, nothing is opened.

A session has a ``session.h5``, or a folder ``journal`` with segments, or nothing but an empty one,
as a recording leaves it that was cut off in its first instant. Hidden folders, what was put aside
as unreadable, and links are not looked into.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from wban_dataset.recording.framing import SEGMENT_NAME
from wban_dataset.recording.layout import (
    FILE_NAME,
    JOURNAL_NAME,
    PARTIAL_NAME,
    RESERVATION_NAME,
    UNREADABLE_ENDING,
)

RECORDERS_OWN = frozenset({JOURNAL_NAME, PARTIAL_NAME, RESERVATION_NAME})
"""What a recorder itself makes in the folder of a session that is not sealed."""

_PUT_ASIDE = re.compile(rf".*{re.escape(UNREADABLE_ENDING)}(-\d+)?", re.DOTALL)


def session_folders(directory: Path) -> Iterator[Path]:
    """Sessions at or below a directory, those in one folder by name; none within another.

    What vanishes meanwhile, or may not be entered, is left out.
    """
    waiting = [directory]
    while waiting:
        folder = waiting.pop()
        entries = _entries(folder)
        if _is_session(folder, entries):
            yield folder
            continue
        below = [name for name, is_folder in entries.items() if is_folder and _looked_into(name)]
        waiting += [folder / name for name in sorted(below, reverse=True)]


def is_sealed(folder: Path) -> bool:
    """Whether a session has its file, and nothing of its journal is left."""
    return (folder / FILE_NAME).is_file() and not has_journal(folder)


def has_journal(folder: Path) -> bool:
    """Whether a session is not sealed yet, or its sealing was not finished."""
    return (folder / JOURNAL_NAME).is_dir()


def _is_session(folder: Path, entries: dict[str, bool]) -> bool:
    if entries.get(FILE_NAME) is False:
        return True
    if not entries.get(JOURNAL_NAME):
        return False
    segments = _entries(folder / JOURNAL_NAME)
    if any(SEGMENT_NAME.fullmatch(name) for name in segments):
        return True
    return not segments and set(entries) <= RECORDERS_OWN


def _looked_into(name: str) -> bool:
    return not name.startswith(".") and not _PUT_ASIDE.fullmatch(name)


def _entries(folder: Path) -> dict[str, bool]:
    """Names in a folder, and whether each is a folder itself; a link is none."""
    try:
        with os.scandir(folder) as found:
            return {entry.name: entry.is_dir(follow_symlinks=False) for entry in found}
    except OSError:
        return {}
