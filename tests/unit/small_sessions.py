"""Sessions of one second, made by hand, sealed or not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tests.integration import session_journal as made
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.streams import ClockAnchor, SessionHeader

BOOT = "197821f3-0000-4000-8000-000000000000"
OTHER_BOOT = "197821f3-1111-4000-8000-000000000000"
"""Begins like `BOOT`, as a name would."""


def session_id(number: int) -> str:
    """Give an id that was made `number` seconds after 1970, so that they sort by number."""
    digits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    ms = 1000 * number
    return "".join(digits[ms >> shift & 31] for shift in range(45, -5, -5)) + "0" * 16


def unsealed(
    out: Path, name: str, number: int = 1, *, synchronised: bool = True, **header: object
) -> Path:
    """Write the journal of a session that began `number` seconds after 1970."""
    items = made.whole_session(1)
    for i, item in enumerate(items):
        if isinstance(item, SessionHeader):
            items[i] = dataclasses.replace(
                item, session_id=session_id(number), boot_id=BOOT, **header
            )
        elif isinstance(item, ClockAnchor):
            items[i] = dataclasses.replace(item, synchronised=synchronised)
    return made.write_journal(out / name, items, segment_bytes=12_000)


def sealed(
    out: Path, name: str, number: int = 1, *, synchronised: bool = True, **header: object
) -> Path:
    """Seal such a session."""
    folder = unsealed(out, name, number, synchronised=synchronised, **header)
    seal(folder)
    return folder


def headerless(out: Path, name: str) -> Path:
    """Write a journal of samples that nothing says the owner of."""
    return made.write_journal(out / name, made.whole_session(1)[1:])


def unsealable(out: Path, name: str, number: int = 1) -> Path:
    """Make a session that cannot be sealed before a person has looked at it."""
    folder = unsealed(out, name, number)
    (folder / "session.h5").write_bytes(b"not what was made from its journal")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    """Give all files at and below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
