"""The folder of a session: its name, its identity, and whether it can be written."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from wban_collect.errors import StorageError
from wban_dataset.recording.journal import sync_directory

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_session_id(realtime_ns: int, randomness: bytes | None = None) -> str:
    """Make a ULID: 48 bits of milliseconds, 80 random bits, in Crockford's base 32."""
    random_bits = int.from_bytes(randomness or secrets.token_bytes(10), "big") & ((1 << 80) - 1)
    value = (realtime_ns // 1_000_000 & ((1 << 48) - 1)) << 80 | random_bits
    return "".join(CROCKFORD[value >> shift & 31] for shift in range(125, -5, -5))


def folder_name(
    subject: str,
    activity: str,
    *,
    realtime_ns: int,
    synchronised: bool,
    boot_id: str,
    monotonic_ns: int,
) -> str:
    """Name a session by UTC where the clock is known to be right, otherwise by boot."""
    if synchronised:
        start = datetime.fromtimestamp(realtime_ns // 1_000_000_000, tz=UTC)
        return f"{start:%Y%m%dT%H%M%SZ}_{subject}_{activity}"
    return f"boot-{boot_id[:8]}_{monotonic_ns // 1_000_000_000}_{subject}_{activity}"


def create_folder(out: Path, name: str) -> Path:
    """Make the session's folder, with ``-2`` and so on where the name is taken.

    Raises
    ------
    StorageError
        If it cannot be made.
    """
    for number in range(1, 1000):
        folder = out / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not out.is_dir():
                break
        except OSError as error:
            raise unusable(out, error) from error
        else:
            return folder
    raise StorageError(
        f"output folder {out}: no free name for {name}; expected a folder that can take one more "
        "session. Choose another with --out."
    )


def rename_folder(folder: Path, name: str) -> Path:
    """Give a folder another name beside it, with ``-2`` and so on where that is taken.

    Raises
    ------
    StorageError
        If the disk refuses.
    """
    # An empty folder of the new name is made first, which the rename replaces: so the name of
    # another session is never taken.
    claimed = create_folder(folder.parent, name)
    try:
        folder.rename(claimed)
        sync_directory(claimed.parent)
    except OSError as error:
        with suppress(OSError):
            claimed.rmdir()
        raise StorageError(
            f"folder {folder}: it cannot be renamed to {claimed.name} "
            f"({(error.strerror or str(error)).lower()}), expected a folder that can be written. "
            "Mend its permissions."
        ) from error
    return claimed


def check_writable(out: Path, needed_bytes: int) -> int:
    """Return the free bytes of the output folder.

    Raises
    ------
    StorageError
        If it cannot be written, or has less than `needed_bytes` free.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out) as probe:
            probe.write(b"\0")
            probe.flush()
            os.fsync(probe.fileno())
        free_bytes = shutil.disk_usage(out).free
    except OSError as error:
        raise unusable(out, error) from error
    if free_bytes < needed_bytes:
        raise StorageError(
            f"output folder {out}: {free_bytes / 1e6:.0f} MB are free, expected at least "
            f"{needed_bytes / 1e6:.0f} MB. Free some space or choose another folder with --out."
        )
    return free_bytes


def missing_folders(out: Path) -> list[Path]:
    """Folders that have to be made for `out` to exist, innermost first."""
    folders = (out, *out.parents)
    return [folder for folder in folders if not os.path.lexists(folder)]


def remove_empty(folders: list[Path]) -> None:
    """Remove what `missing_folders` named, as far as nothing came to be in it."""
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def unusable(out: Path, error: OSError) -> StorageError:
    """Say why nothing can be written into the output folder."""
    return StorageError(
        f"output folder {out}: {(error.strerror or str(error)).lower()}; expected a folder that "
        "can be written. Choose another with --out, or mend its permissions."
    )
