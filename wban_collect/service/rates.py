"""How each stream does: what was counted, and how fast it comes in over the last few seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

from wban_collect.control.messages import StreamStatus
from wban_collect.storage import StreamCount

OVER_NS = 5_000_000_000


class Rates:
    """Rates of streams, from counts that are looked at now and then."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[int, int]]] = {}

    def statuses(self, counts: Mapping[str, StreamCount], now_ns: int) -> list[StreamStatus]:
        """Tell of every stream, in the order of their names."""
        return [
            StreamStatus(
                name=name,
                n_rows=count.n_rows,
                n_acknowledged=count.n_acknowledged,
                n_lost=count.n_lost,
                n_gaps=count.n_gaps,
                rate_hz=self.note(name, count.newest_ns, count.n_rows),
                age_s=(now_ns - count.newest_ns) / 1e9 if count.newest_ns else -1.0,
            )
            for name, count in sorted(counts.items())
        ]

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
