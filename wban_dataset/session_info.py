"""What a dataset knows of a session besides its samples."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """One row of the table ``sessions``; its place there is the session's number.

    Attributes
    ----------
    start_utc
        ISO 8601; "" where the date is unknown.
    source
        What it was imported from ("hapt"), "recorded" or "simulated".
    content_sha256
        Of everything in the session (`SealedStore.content_sha256`).
    duration_ns
        From the first stamp of any stream to the last.
    licence, consent
        From ``subjects.csv``; "" where nothing was said.
    """

    session_id: str
    subject: str
    activity: str
    start_utc: str
    source: str
    content_sha256: str
    duration_ns: int
    licence: str = ""
    consent: str = ""

    @property
    def date(self) -> str:
        """YYYY-MM-DD in UTC; "" where unknown."""
        return self.start_utc[:10]
