"""What a file of another annotation tool says about one session."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wban_dataset.errors import DatasetError
from wban_dataset.labels.session_labels import Annotations

UNSTATED = ""
"""Source of a label whose source, confidence and uncertainty the file does not say."""

MOST_SECONDS = 10**9
"""What is longer than 31 years is no time in a session, and may not fit into 64 bits."""


class ExchangeError(DatasetError):
    """A file of another tool that cannot be read, or labels that it cannot hold."""


@dataclass(frozen=True, slots=True)
class Document:
    """Labels of one session on their way to or from another tool.

    Attributes
    ----------
    annotations
        By annotator; times on the session's own clock. A label of the source `UNSTATED` has no
        details.
    origin_ns
        The instant that the tool calls 0: the first sample of the session.
    session_id
        "" where the file does not say.
    start_utc
        ISO 8601; "" where unknown.
    notes
        What in the file was left aside, a few words each.
    """

    annotations: Annotations
    origin_ns: int
    session_id: str = ""
    start_utc: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ExchangeFormat:
    """A file format of another tool.

    Attributes
    ----------
    write
        A document as the bytes of a file.
    read
        The document in a file; takes the file's path for errors, its bytes, the session's id and
        the origin.
    held
        An instant as the format can hold it, from the instant and the origin.
    cannot_hold
        What is lost on the way there, a sentence each.
    description
        The bytes of a file that stands beside with the ending ``.json``, where there is one.
    """

    name: str
    suffix: str
    write: Callable[[Document], bytes]
    read: Callable[[Path, bytes, str, int], Document]
    held: Callable[[int, int], int]
    cannot_hold: tuple[str, ...]
    description: Callable[[], bytes] | None = None
