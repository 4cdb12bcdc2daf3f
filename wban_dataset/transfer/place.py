"""Where sessions are fetched from: a folder of this machine, or of a host that ssh reaches."""

from __future__ import annotations

import re
from dataclasses import dataclass

from wban_dataset.transfer.errors import TransferError

_HOST = re.compile(
    r"(?P<user>[A-Za-z0-9_][A-Za-z0-9._-]*@)?"
    r"(?P<name>[A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?\])"
)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Place:
    """A folder somewhere.

    Attributes
    ----------
    host
        As rsync takes it, ``user@host`` or ``user@[::1]``; "" for this machine.
    folder
        Its path there.
    """

    host: str
    folder: str

    @property
    def ssh_host(self) -> str:
        """The host as ssh takes it: without brackets."""
        return self.host.replace("[", "").replace("]", "")

    def __str__(self) -> str:
        """Write it as it was given."""
        return f"{self.host}:{self.folder}" if self.host else self.folder

    def below(self, relative: str) -> str:
        """Name a folder below, as rsync takes it: its content, not the folder itself."""
        path = self.folder if relative == "." else f"{self.folder.rstrip('/')}/{relative}"
        # A path of this machine must not look like HOST:DIR, nor any path like an option.
        path = path if self.host or path.startswith("/") else f"./{path}"
        return f"{self.host}:{path}/" if self.host else f"{path}/"


def parse_place(text: str) -> Place:
    """Understand ``HOST:DIR``, ``USER@HOST:DIR``, or a folder of this machine.

    Raises
    ------
    TransferError
        If it is none of them; what ssh or rsync could take for an option is refused.
    """
    if _UNPRINTABLE.search(text):
        raise _no_place(text, "it has control characters")
    before, colon, folder = _split(text)
    if not colon:
        if not text:
            raise _no_place(text, "it is empty")
        return Place("", text)
    if before == "rsync" and folder.startswith("//"):
        raise _no_place(text, "it names an rsync daemon")
    if folder.startswith(":"):
        raise _no_place(text, "it names an rsync daemon")
    if not _HOST.fullmatch(before):
        raise _no_place(text, f"{before!r} is no name of a host")
    if not folder or folder.startswith("-"):
        raise _no_place(text, f"{folder!r} is no folder")
    return Place(before, folder)


def _split(text: str) -> tuple[str, str, str]:
    """Part host and folder; a colon after a slash belongs to the folder."""
    bracketed = re.match(r"([^/\[:]*\[[^\]/]*\]):(.*)", text, re.DOTALL)
    if bracketed:
        return bracketed[1], ":", bracketed[2]
    before, colon, folder = text.partition(":")
    return (text, "", "") if "/" in before else (before, colon, folder)


def _no_place(text: str, what: str) -> TransferError:
    return TransferError(
        f"{text[:100]!r}: {what}, expected HOST:DIR, USER@HOST:DIR or a folder of this machine, "
        "e.g. pi@raspberrypi.local:/var/lib/wban/recordings. Correct it."
    )
