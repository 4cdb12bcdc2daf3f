"""A FIFO's watermark interrupt: which edge belongs to which sample."""

from __future__ import annotations

from wban_collect.gpio import EdgeSource

PATIENCE = 8
"""Reads in a row without an edge after which the line is no longer waited for."""


class WatermarkLine:
    """Edges of the interrupt line, and whether they can be trusted.

    The line rises when the FIFO reaches its watermark. While it is drained the level may cross the
    watermark several times; only an edge between two drains belongs to a sample that is known, and
    only if it is the only one.
    """

    def __init__(self, edges: EdgeSource) -> None:
        self._edges = edges
        self._stamps: list[int] = []
        self._earliest_ns = 0
        self._will_rise = False
        self._n_silent = 0

    @property
    def expected(self) -> bool:
        """Whether it is worth waiting for the edge."""
        return self._will_rise and self._n_silent < PATIENCE

    def edge_ns(self, until_ns: int) -> int:
        """Stamp of the edge since the last drain, 0 if there is none or more than one."""
        self._stamps += self._edges.edges_ns()
        usable = [stamp for stamp in self._stamps if self._earliest_ns <= stamp <= until_ns]
        return usable[0] if self._will_rise and len(usable) == 1 else 0

    def judge(self, *, edge_ns: int, above_watermark: bool) -> bool:
        """Count the reads whose edge should have come and did not.

        True when this one is once too often: the line is not wired, or to another pin.
        """
        if edge_ns:
            self._n_silent = 0
        elif self._will_rise and above_watermark:
            self._n_silent += 1
            return self._n_silent == PATIENCE
        return False

    def rearm(self, earliest_ns: int, *, will_rise: bool) -> None:
        """Begin the next wait: no edge before `earliest_ns` can belong to it."""
        self._edges.edges_ns()
        self._stamps.clear()
        self._earliest_ns = earliest_ns
        self._will_rise = will_rise
