"""Sealed sessions without some of their streams, sealed again."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from wban_dataset.exports.chosen import left_out, sealed_only
from wban_dataset.exports.errors import ExportError
from wban_dataset.exports.session_copy import Changes, write_copy
from wban_dataset.recording.layout import CLOCK_SIDECAR, FILE_NAME, LABELS_SIDECAR
from wban_dataset.recording.sealed import SealedStore
from wban_dataset.recording.session import Session

LEFT_OUT = "left_out"
DERIVED_FROM = "derived_from_sha256"


def write_session(session: Session, folder: Path, without: Collection[str]) -> None:
    """Write a session into a folder that is there, with the labels and the clock beside it.

    ``provenance`` says in `LEFT_OUT` which streams are missing, and in `DERIVED_FROM` the content
    digest of the session; where nothing was left out, the copy's content digest is that digest.

    Raises
    ------
    SessionError
        If the session is not sealed, or cannot be read.
    ExportError
        If the copy does not verify.
    """
    sealed_only(session.path.parent)
    store = session.store
    assert isinstance(store, SealedStore)  # noqa: S101 - `sealed_only` has just seen to it
    names = left_out(session, without)
    provenance = {LEFT_OUT: ",".join(sorted(names)), DERIVED_FROM: store.content_sha256()}
    changes = Changes(left_out=names, provenance=provenance if names else {})
    write_copy(store, folder / FILE_NAME, changes)
    for name in (LABELS_SIDECAR, CLOCK_SIDECAR):
        beside = session.path.parent / name
        if beside.exists():
            (folder / name).write_bytes(beside.read_bytes())
    check_copy(folder, session.path)


def check_copy(folder: Path, source: Path) -> None:
    """Verify a copy that was just written.

    Raises
    ------
    ExportError
        If something is wrong with it.
    """
    with Session.open(folder) as copy:
        problems = copy.verify().problems
    if problems:
        raise ExportError(
            f"session {source}: its copy does not verify ({problems[0]}), expected one that does. "
            "Run 'wban-dataset verify' on the session; if it is intact, check memory and disk."
        )
