"""What stands on the machine's disk after its power went, read from outside."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.system.vm.rig import RECORDINGS, copy_disk
from wban_dataset.recording.errors import SessionError
from wban_dataset.recording.layout import FILE_NAME, UNREADABLE_ENDING
from wban_dataset.recording.session import Session

CLEAN_OR_MENDED = (0, 1)
"""e2fsck(8): nothing wrong, or the journal was replayed and what it left was put right."""


@dataclass(frozen=True)
class FoundSession:
    """One session as it stands on the disk, sealed or not.

    Attributes
    ----------
    rows
        By stream.
    oldest_ns, newest_ns
        Stamps of the first and last sample by stream, the guest's monotonic ns; empty streams left
        out.
    problems
        Of a sealed session, that `verify` names.
    """

    session_id: str
    folder: str
    is_sealed: bool
    recovered: bool
    complete: bool
    continues: str
    lost_tail_ns: int
    rows: dict[str, int]
    lost: dict[str, int]
    oldest_ns: dict[str, int]
    newest_ns: dict[str, int]
    problems: tuple[str, ...] = ()


@dataclass
class Aftermath:
    """Everything that was found.

    Attributes
    ----------
    unreadable
        Folders without a readable session, and why.
    """

    sessions: dict[str, FoundSession] = field(default_factory=dict[str, FoundSession])
    unreadable: dict[str, str] = field(default_factory=dict[str, str])


@contextmanager
def recordings_on(disk: Path) -> Generator[Path]:
    """Give a copy of the machine's recordings; the image itself is left as the cut left it.

    Raises
    ------
    AssertionError
        If the file system is damaged beyond what its journal mends.
    """
    with tempfile.TemporaryDirectory(prefix="wban-vm-disk-", dir=disk.parent) as folder:
        copy, out = Path(folder) / "disk.img", Path(folder) / "out"
        copy_disk(disk, copy)
        check = subprocess.run(
            ["/sbin/e2fsck", "-fp", str(copy)], capture_output=True, text=True, check=False
        )
        assert check.returncode in CLEAN_OR_MENDED, f"e2fsck: {check.stdout}{check.stderr}"
        out.mkdir()
        subprocess.run(
            ["/sbin/debugfs", "-R", f"rdump {RECORDINGS} {out}", str(copy)],
            capture_output=True,
            check=True,
        )
        copy.unlink()
        yield out / Path(RECORDINGS).name


class Inspector:
    """Looks at recordings again and again; a sealed file that has not changed is read once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[bytes, FoundSession]] = {}

    def look(self, recordings: Path) -> Aftermath:
        """Read every session that is there."""
        found = Aftermath()
        for folder in sorted(recordings.iterdir()) if recordings.is_dir() else []:
            if not folder.is_dir() or folder.name.endswith(UNREADABLE_ENDING):
                continue
            try:
                session = self._session(folder)
            except SessionError as error:
                found.unreadable[folder.name] = str(error)
            else:
                assert session.session_id not in found.sessions, f"{folder.name}: a second copy"
                found.sessions[session.session_id] = session
        return found

    def _session(self, folder: Path) -> FoundSession:
        sealed = folder / FILE_NAME
        content = sealed.read_bytes() if sealed.exists() else b""
        known = self._known.get(folder.name)
        if known is not None and content and known[0] == content:
            return known[1]
        session = _read(folder)
        if session.is_sealed:
            self._known[folder.name] = (content, session)
        return session


def _read(folder: Path) -> FoundSession:
    with Session.open(folder) as session:
        stamps = {name: session.stream(name).monotonic_ns for name in session.streams}
        return FoundSession(
            session_id=session.session_id,
            folder=folder.name,
            is_sealed=session.is_sealed,
            recovered=bool(session.recovered),
            complete=bool(session.complete),
            continues=session.continues,
            lost_tail_ns=int(session.lost_tail_ns),
            rows={name: len(values) for name, values in stamps.items()},
            lost={name: int(session.stream(name).attributes["n_lost"]) for name in stamps},
            oldest_ns={name: int(v[0]) for name, v in stamps.items() if len(v)},
            newest_ns={name: int(v[-1]) for name, v in stamps.items() if len(v)},
            problems=session.verify().problems if session.is_sealed else (),
        )
