"""Which sessions are exported, and which of their streams."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path

from wban_dataset.exports.errors import ExportError
from wban_dataset.recording.errors import DAMAGE, SessionError, damaged_inside
from wban_dataset.recording.folder_tree import is_sealed, session_folders
from wban_dataset.recording.recorded_stream import Stream
from wban_dataset.recording.session import Session

KINDS = ("accel", "gyro", "thermal", "infrared")


def chosen_sessions(paths: Iterable[Path]) -> list[Path]:
    """Folders of the sessions at or below each path, each once, in order.

    Raises
    ------
    ExportError
        If there is no session below a path, or two have folders of the same name.
    """
    chosen: dict[Path, None] = {}
    for path in paths:
        folder = path if path.is_dir() else path.parent
        found = list(session_folders(folder))
        if not found:
            raise ExportError(
                f"{path}: there is no session in it, expected a session's folder or a folder with "
                "sessions below. Check the path."
            )
        chosen.update(dict.fromkeys(found))
    by_name: dict[str, Path] = {}
    for folder in chosen:
        other = by_name.setdefault(folder.resolve().name, folder)
        if other != folder:
            raise ExportError(
                f"{folder}: its folder has the same name as {other}, expected a name of its own "
                "for each session. Export them into two places."
            )
    return list(chosen)


def sealed_only(folder: Path) -> None:
    """Refuse a session that is not sealed.

    Raises
    ------
    SessionError
        If a journal is still there.
    """
    if not is_sealed(folder):
        raise SessionError(
            f"session {folder}: it is not sealed yet, expected a sealed one. "
            "Seal it with 'wban-collect seal'."
        )


def check_without(names: Collection[str], folders: Iterable[Path]) -> None:
    """Refuse to leave out what is neither a kind of stream nor in any of the sessions.

    Raises
    ------
    ExportError
        If there is such a name, most likely misspelt: what was to stay private would be exported.
    """
    unknown = {name for name in names if name not in KINDS}
    found: set[str] = set()
    if unknown:
        for folder in folders:
            with opened(folder) as session:
                found.update(session.streams)
    for name in sorted(unknown - found):
        raise ExportError(
            f"--without {name}: no session has such a stream, expected one of "
            f"{', '.join((*KINDS, *sorted(found - set(KINDS))))}. Correct the name."
        )


def left_out(session: Session, without: Collection[str]) -> frozenset[str]:
    """Names of the streams of a session that are left out, by their name or their kind."""
    kinds = {name: session.stream(name).kind for name in session.streams}
    return frozenset(name for name, kind in kinds.items() if name in without or kind in without)


def kept(session: Session, without: Collection[str]) -> list[Stream]:
    """Streams of a session that are exported, by name."""
    out = left_out(session, without)
    return [session.stream(name) for name in session.streams if name not in out]


@contextmanager
def opened(folder: Path) -> Generator[Session]:
    """Open a session; what a file that is damaged inside leads to is a `SessionError` too."""
    try:
        with Session.open(folder) as session:
            yield session
    except DAMAGE as error:
        raise damaged_inside(folder, error) from error
