"""What can be wrong with a recorded session.

::

    RecordingError
    ├── JournalContentError   a journal from which no session can be made
    ├── SealingError          a journal could not be sealed; it is still there
    └── SessionError          a file or folder that is no readable session

Every text names the thing, what was found, what was expected and the next step.
A caller's wrong argument stays `ValueError`.
"""

from __future__ import annotations


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


class SessionError(RecordingError):
    """A file or folder that is no readable session."""
