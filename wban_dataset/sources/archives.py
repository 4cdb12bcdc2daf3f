"""Files of a source, wherever they are: in a folder, in an archive, compressed or not.

Nothing of an archive is ever unpacked under a name of its own. What claims to lie outside of it is
refused, links are left out, and what expands beyond any recording is not read to its end.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from wban_dataset.errors import DatasetError

LARGEST_FILE_BYTES = 2 << 30
"""Of one file, after decompression: a day of nine signals at 100 Hz is 0.9 GB of text."""
LARGEST_RATIO = 200
"""Of all, to the bytes of the archive; numbers as text reach 30."""
ALWAYS_ALLOWED_BYTES = 64 << 20
"""Small archives may expand as they like."""
COPY_BYTES = 1 << 20

_DECOMPRESSORS: dict[str, Callable[[IO[bytes]], IO[bytes]]] = {
    ".gz": lambda file: cast("IO[bytes]", gzip.GzipFile(fileobj=file)),
    ".bz2": lambda file: cast("IO[bytes]", bz2.BZ2File(file)),
    ".xz": lambda file: cast("IO[bytes]", lzma.LZMAFile(file)),  # noqa: SIM115
}
_TAR_ENDINGS = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_READ_ERRORS = (
    *(tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error),
    *(EOFError, OSError, RuntimeError),
)
"""`zipfile` raises RuntimeError for a password, and a subclass for an unknown compression."""


class SourceTree:
    """Files by their path from the root, with ``/`` between folders.

    Attributes
    ----------
    path
        Of the folder, archive or single file.
    names
        Of all files, sorted, without the endings of compression.
    """

    def __init__(self, path: Path, files: dict[str, Callable[[], IO[bytes]]]) -> None:
        self.path = path
        self._files = {_plain_name(name): (name, opener) for name, opener in files.items()}
        self.names: tuple[str, ...] = tuple(sorted(self._files))

    def read(self, name: str) -> bytes:
        """Read a whole file, decompressed.

        Raises
        ------
        DatasetError
            If there is no such file, or it is damaged or too large.
        """
        if name not in self._files:
            raise DatasetError(
                f"{self.path}: it holds no {name}, expected it there. Check the path, or fetch the "
                "source again."
            )
        stored_name, opener = self._files[name]
        decompress = _DECOMPRESSORS.get(PurePosixPath(stored_name).suffix.lower())
        try:
            with opener() as file:
                text = (decompress(file) if decompress else file).read(LARGEST_FILE_BYTES + 1)
        except _READ_ERRORS as error:
            raise DatasetError(
                f"{self.path}, {stored_name}: it cannot be read ({error}), expected a whole file. "
                "Fetch it again."
            ) from error
        if len(text) > LARGEST_FILE_BYTES:
            raise _too_large(f"{self.path}, {stored_name}", LARGEST_FILE_BYTES)
        return text


@contextmanager
def opened_tree(path: Path) -> Generator[SourceTree]:
    """Open a folder, a zip or tar archive, or a single file.

    Raises
    ------
    DatasetError
        If there is nothing, the archive is damaged, or a member of it has a name that leads out.
    """
    if path.is_dir():
        yield SourceTree(path, _folder_files(path))
    elif not path.is_file():
        raise DatasetError(
            f"{path}: there is nothing, expected a folder or a file. Check the path."
        )
    elif path.name.lower().endswith(".zip"):
        with ExitStack() as stack:
            archive = stack.enter_context(_opened_zip(path))
            yield SourceTree(path, _zip_files(path, archive))
    elif path.name.lower().endswith(_TAR_ENDINGS):
        with tempfile.TemporaryFile() as spool, _opened_tar(path, spool) as archive:
            yield SourceTree(path, _tar_files(path, archive))
    else:
        yield SourceTree(path, {path.name: lambda: path.open("rb")})


def _plain_name(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return name[: -len(suffix)] if suffix.lower() in _DECOMPRESSORS else name


def _folder_files(root: Path) -> dict[str, Callable[[], IO[bytes]]]:
    files: dict[str, Callable[[], IO[bytes]]] = {}
    for folder, _, names in os.walk(root):
        for name in names:
            file = Path(folder) / name
            relative = file.relative_to(root).as_posix()
            if not file.is_symlink() and not _is_litter(relative):
                files[relative] = _opener(file)
    return files


def _opener(file: Path) -> Callable[[], IO[bytes]]:
    return lambda: file.open("rb")


def _opened_zip(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except _READ_ERRORS as error:
        raise _damaged(path, error) from error


def _zip_files(path: Path, archive: zipfile.ZipFile) -> dict[str, Callable[[], IO[bytes]]]:
    members = [info for info in archive.infolist() if not info.is_dir()]
    _check_total(path, sum(info.file_size for info in members))
    return {
        name: _zip_opener(archive, info)
        for info in members
        if not _is_zipped_link(info) and not _is_litter(name := _checked(path, info.filename))
    }


def _zip_opener(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return lambda: archive.open(info)


def _is_zipped_link(info: zipfile.ZipInfo) -> bool:
    # The upper half is the mode where a Unix made the archive; 0o12 in it is a link.
    return (info.external_attr >> 16) >> 12 == 0o12


@contextmanager
def _opened_tar(path: Path, spool: IO[bytes]) -> Generator[tarfile.TarFile]:
    """Open a tar archive; a compressed one is first decompressed into `spool`, which is nameless.

    The files of a session may lie far apart in it, and compressed bytes are read in order only.
    """
    try:
        with path.open("rb") as file:
            decompress = _DECOMPRESSORS.get(_compression(path.name.lower()))
            if decompress is not None:
                _copy_bounded(path, decompress(file), spool)
                spool.seek(0)
            archive = tarfile.open(fileobj=spool if decompress else file, mode="r:")  # noqa: SIM115
            with archive:
                yield archive
    except _READ_ERRORS as error:
        raise _damaged(path, error) from error


def _compression(name: str) -> str:
    short = {".tgz": ".gz", ".tbz2": ".bz2", ".txz": ".xz"}
    suffix = PurePosixPath(name).suffix
    return short.get(suffix, suffix)


def _copy_bounded(path: Path, source: IO[bytes], target: IO[bytes]) -> None:
    n_allowed = _allowed_bytes(path)
    n_copied = 0
    while piece := source.read(COPY_BYTES):
        n_copied += len(piece)
        if n_copied > n_allowed:
            raise _too_large(str(path), n_allowed)
        target.write(piece)


def _tar_files(path: Path, archive: tarfile.TarFile) -> dict[str, Callable[[], IO[bytes]]]:
    members = [member for member in archive if member.isreg()]
    return {
        name: _tar_opener(archive, member)
        for member in members
        if not _is_litter(name := _checked(path, member.name))
    }


def _tar_opener(archive: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    return lambda: cast("IO[bytes]", archive.extractfile(member))


def _checked(path: Path, name: str) -> str:
    """Give a member's name without a leading ``./``; refuse one that leads out of the archive."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or parts[0] == "/" or ".." in parts or ":" in parts[0] or "\0" in name:
        raise DatasetError(
            f"archive {path}: a member is named {name[:80]!r}, expected names that stay within the "
            "archive. Do not use it; fetch it from its publisher."
        )
    return "/".join(parts)


def _is_litter(name: str) -> bool:
    """Whether a file is what systems leave behind: ``.DS_Store``, ``__MACOSX/._x.csv``."""
    return any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))


def _allowed_bytes(path: Path) -> int:
    return max(ALWAYS_ALLOWED_BYTES, LARGEST_RATIO * path.stat().st_size)


def _check_total(path: Path, n_bytes: int) -> None:
    n_allowed = _allowed_bytes(path)
    if n_bytes > n_allowed:
        raise _too_large(str(path), n_allowed)


def _too_large(what: str, n_allowed: int) -> DatasetError:
    return DatasetError(
        f"{what}: it expands to more than {n_allowed / 1e6:.0f} MB, expected recordings as text. "
        "If it is no mistake, unpack it yourself and import the folder."
    )


def _damaged(path: Path, error: Any) -> DatasetError:
    return DatasetError(
        f"archive {path}: it cannot be read ({error}), expected a whole archive. Fetch it again."
    )
