"""How fast each stream comes in: rows over the last few seconds."""

from __future__ import annotations

from collections import deque

OVER_NS = 5_000_000_000


class Rates:
    """Rates of streams, from counts that are looked at now and then."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[int, int]]] = {}

    def note(self, stream: str, newest_ns: int, n_rows: int) -> float:
        """Take a stream's count and the instant of its newest row; its rate in Hz."""
        seen = self._seen.setdefault(stream, deque())
        if seen and n_rows < seen[-1][1]:  # another session has begun
            seen.clear()
        if not seen or newest_ns > seen[-1][0]:
            seen.append((newest_ns, n_rows))
        while len(seen) > 2 and seen[-1][0] - seen[0][0] > OVER_NS:
            seen.popleft()
        elapsed_ns = seen[-1][0] - seen[0][0]
        return (seen[-1][1] - seen[0][1]) * 1e9 / elapsed_ns if elapsed_ns else 0.0
