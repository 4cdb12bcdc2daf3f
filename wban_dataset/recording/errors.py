"""What can be wrong with a recorded session.

::

    RecordingError
    ├── JournalContentError   a journal from which no session can be made
    ├── SealingError          a journal could not be sealed; it is still there
    │   └── FolderInUseError      another process works on it
    ├── ReceiptError          a table of receipts that cannot be used
    └── SessionError          a file or folder that is no readable session

Every text names the thing, what was found, what was expected and the next step.
A caller's wrong argument stays `ValueError`.
"""

from __future__ import annotations

DAMAGE = (ArithmeticError, AttributeError, LookupError, MemoryError, TypeError, ValueError)
"""What values that nobody wrote lead to; what cannot be read at all `Session` tells by itself."""


def system_error(error: OSError) -> str:
    """Say in a sentence what the system refused, and what to look at."""
    where = f"{error.filename}: " if error.filename else ""
    reason = (error.strerror or str(error)).lower()
    return f"{where}{reason}; check the path and its permissions."


class RecordingError(Exception):
    """Base of everything that is wrong with a recorded session."""


class JournalContentError(RecordingError):
    """A journal from which no session can be made."""


class SealingError(RecordingError):
    """A journal could not be sealed; it is still there."""


class FolderInUseError(SealingError):
    """Another process records into a folder or seals it."""


class ReceiptError(RecordingError):
    """A table of receipts that cannot be used."""


class SessionError(RecordingError):
    """A file or folder that is no readable session."""


def damaged_inside(path: object, error: BaseException) -> SessionError:
    """Say that a file can be opened and holds what nobody wrote."""
    return SessionError(
        f"session {path}: it is damaged inside ({type(error).__name__}: {error}), expected a "
        "sealed session as it was written. Restore it from a copy."
    )
