"""Telling the recorder which of its sessions were copied and found intact."""

from __future__ import annotations

import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from wban_dataset.recording.receipts import Receipt, append_receipts
from wban_dataset.transfer.connection import Connection, last_line
from wban_dataset.transfer.errors import TransferError
from wban_dataset.transfer.place import Place

_SCRIPT = 'f=$(mktemp) && trap \'rm -f "$f"\' EXIT && cat > "$f" && chmod 644 "$f" && '
"""In a file of its own, since whoever releases may be another user than whoever logs in."""


def acknowledge(
    place: Place,
    connection: Connection | None,
    receipts: Sequence[Receipt],
    release_command: Sequence[str],
) -> str:
    """Hand receipts to ``wban-collect release`` where the sessions come from.

    Parameters
    ----------
    release_command
        What stands before ``release``: ``wban-collect``, or ``sudo -n -u wban wban-collect``.

    Returns
    -------
    str
        What it has said.

    Raises
    ------
    TransferError
        If it does not run there, or refuses a receipt.
    """
    with tempfile.TemporaryDirectory(prefix="wban-receipts-") as folder:
        table = Path(folder) / "receipts.csv"
        append_receipts(table, receipts)
        tail = ["release", "{}", "--out", place.folder]
        if connection is None:
            command = [*release_command, *(str(table) if w == "{}" else w for w in tail)]
        else:
            words = [shlex.quote(word) for word in (*release_command, *tail)]
            words[len(release_command) + 1] = '"$f"'
            script = f"sh -c {shlex.quote(_SCRIPT + ' '.join(words))}"
            command = [*connection.command(), "--", place.ssh_host, script]
        try:
            done = subprocess.run(  # noqa: S603 - a list; the other end's shell gets quoted words
                command,
                input=table.read_bytes(),
                capture_output=True,
                check=False,
            )
        except OSError as error:
            raise _not_acknowledged(place, f"{command[0]} cannot be started") from error
    if done.returncode:
        reason = last_line(done.stderr.decode(errors="replace"))
        raise _not_acknowledged(place, reason.removeprefix("Error: ") or f"code {done.returncode}")
    return done.stdout.decode(errors="replace")


def _not_acknowledged(place: Place, reason: str) -> TransferError:
    return TransferError(
        f"{place}: the copies are here and verified, but the recorder did not take their receipts "
        f"({reason}), expected that 'wban-collect release' works there. See --release-command."
    )
