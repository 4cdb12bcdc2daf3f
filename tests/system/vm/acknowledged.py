"""What the recorder said was safe, kept outside the machine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class AcknowledgedSession:
    """The rows of a session that its recorder had fsynced, and when (the guest's monotonic ns)."""

    session_id: str
    folder: str
    first_ns: int
    newest_ns: int = 0
    longest_fsync_ns: int = 0
    rows: dict[str, int] = field(default_factory=dict[str, int])

    @property
    def n_rows(self) -> int:
        """All rows of all streams."""
        return sum(self.rows.values())


def read_acknowledged(path: Path) -> list[AcknowledgedSession]:
    """Read the lines of one run, the oldest session first; a line that was cut off is left out."""
    if not path.exists():
        return []
    text = path.read_text(encoding="utf-8", errors="replace")
    return summarised(json.loads(line) for line in _whole_lines(text))


def summarised(lines: Iterable[dict[str, Any]]) -> list[AcknowledgedSession]:
    """Put the lines of each session together."""
    sessions: dict[str, AcknowledgedSession] = {}
    for line in lines:
        session = sessions.setdefault(
            line["session_id"],
            AcknowledgedSession(line["session_id"], line["folder"], line["monotonic_ns"]),
        )
        session.folder = line["folder"]
        session.newest_ns = line["monotonic_ns"]
        session.longest_fsync_ns = max(session.longest_fsync_ns, line["fsync_ns"])
        session.rows = {
            stream: max(n, session.rows.get(stream, 0)) for stream, n in line["rows"].items()
        }
    return list(sessions.values())


def _whole_lines(text: str) -> list[str]:
    return text.split("\n")[:-1]
