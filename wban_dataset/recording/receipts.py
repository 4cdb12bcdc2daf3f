"""Receipts: copies of sealed sessions that were read from end to end and found intact.

Where a copy is kept, ``wban-dataset verify COPY --receipt FILE`` adds a row to a table; on the
recorder ``wban-collect release FILE`` puts the row of each session that it fits to beside it, as
``verified.csv``. A receipt is for a content: labels or a clock that came later need a new one.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Self

from wban_dataset.recording.errors import ReceiptError
from wban_dataset.recording.layout import CLOCK_SIDECAR, LABELS_SIDECAR, RECEIPT_NAME
from wban_dataset.recording.summary_file import SessionSummary
from wban_dataset.recording.whole_file import write_whole
from wban_dataset.recording.wording import counted

MAX_FIELD_CHARS = 200


@dataclass(frozen=True, slots=True)
class Receipt:
    """A copy was intact, and when that was found.

    Attributes
    ----------
    content_sha256
        Digest of all that was sealed, computed from the copy.
    labels_sha256, clock_sha256
        Of the copy's ``labels.csv`` and ``clock.csv``; "" where it has none.
    """

    session_id: str
    content_sha256: str
    verified_utc: str
    labels_sha256: str
    clock_sha256: str

    @classmethod
    def now(cls, session_id: str, content_sha256: str, folder: Path) -> Self:
        """Make the receipt of a copy in `folder` that has just been found intact."""
        now = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
        labels_sha256 = _digest(folder / LABELS_SIDECAR)
        return cls(session_id, content_sha256, now, labels_sha256, _digest(folder / CLOCK_SIDECAR))

    def misfit(self, summary: SessionSummary, folder: Path) -> str:
        """Say what the session in `folder` has that the copy had not; "" where that is nothing.

        Raises
        ------
        OSError
            If what stands beside the session cannot be read.
        """
        if self.session_id != summary.session_id:
            return f"it is of session {self.session_id}"
        if not self.content_sha256 or self.content_sha256 != summary.content_sha256:
            return "the content of the copy is another"
        for name, of_copy in (
            (LABELS_SIDECAR, self.labels_sha256),
            (CLOCK_SIDECAR, self.clock_sha256),
        ):
            if _digest(folder / name) not in ("", of_copy):
                return f"the copy had {'another' if of_copy else 'no'} {name}"
        return ""


COLUMNS = tuple(field.name for field in fields(Receipt))


def read_receipts(path: Path) -> list[Receipt]:
    """Read a table of receipts, in its order.

    Raises
    ------
    ReceiptError
        If it cannot be read, or a column is missing, or a row is none.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file)
            _check_columns(path, next(reader, None))
            return [_receipt(path, reader.line_num, row) for row in reader if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unusable(path, error) from error


def check_appendable(path: Path) -> None:
    """Check that rows can be added to a table; it is not made where it is missing.

    Raises
    ------
    ReceiptError
        If the file is another table, or cannot be written, or its folder cannot.
    """
    try:
        if path.exists():
            with path.open("rb+") as file:
                _read_head(path, file)
        elif not os.access(path.parent, os.W_OK | os.X_OK):
            code = errno.EACCES if path.parent.exists() else errno.ENOENT
            raise OSError(code, os.strerror(code))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unusable(path, error) from error


def append_receipts(path: Path, receipts: Iterable[Receipt]) -> None:
    """Add rows to a table, which is made where it is missing; they are on the disk afterwards.

    Without rows no table is made: one that is there holds a receipt.

    Raises
    ------
    ReceiptError
        If the file is another table, or cannot be written.
    """
    rows = list(receipts)
    if not rows:
        check_appendable(path)
        return
    try:
        with path.open("ab+") as file:
            file.seek(0)
            has_head = _read_head(path, file)
            file.write(_table(rows, with_head=not has_head))
            file.flush()
            os.fsync(file.fileno())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unusable(path, error) from error


def _read_head(path: Path, file: BinaryIO) -> bool:
    """Check the first line of a table; an empty file has none yet."""
    head = file.readline(1024).decode("utf-8-sig")
    if head:
        _check_columns(path, next(csv.reader([head.rstrip()]), None))
    return bool(head)


def own_receipt(folder: Path) -> Receipt | None:
    """Give the receipt beside a session; None where there is none that can be read."""
    try:
        found = read_receipts(folder / RECEIPT_NAME)
    except ReceiptError:
        return None
    return found[-1] if found else None


def write_own_receipt(folder: Path, receipt: Receipt) -> None:
    """Put a receipt beside its session; raises `OSError` if the disk refuses."""
    write_whole(folder / RECEIPT_NAME, _table([receipt], with_head=True))


def _digest(path: Path) -> str:
    """SHA-256 of a file; "" where there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""


def _table(receipts: Iterable[Receipt], *, with_head: bool) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    if with_head:
        writer.writerow(COLUMNS)
    writer.writerows([getattr(receipt, name) for name in COLUMNS] for receipt in receipts)
    return text.getvalue().encode()


def _check_columns(path: Path, found: list[str] | None) -> None:
    if tuple(found or ()) != COLUMNS:
        raise ReceiptError(
            f"receipt {path}: its first line is {','.join(found or ())[:80]!r}, expected "
            f"{','.join(COLUMNS)}. Name another file."
        )


def _receipt(path: Path, line: int, row: list[str]) -> Receipt:
    if len(row) != len(COLUMNS) or max(map(len, row)) > MAX_FIELD_CHARS:
        raise ReceiptError(
            f"receipt {path}, line {line}: there are {counted(len(row), 'value')}, expected "
            f"{len(COLUMNS)} short ones. Remove the row, or verify the copies again into another "
            "file."
        )
    return Receipt(*row)


def _unusable(path: Path, error: Exception) -> ReceiptError:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return ReceiptError(
        f"receipt {path}: it cannot be used ({reason}), expected a table as "
        "'wban-dataset verify --receipt' makes it. Check the path and its permissions."
    )
