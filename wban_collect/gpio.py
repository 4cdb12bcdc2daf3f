"""Edges of interrupt lines, stamped by the kernel."""

from __future__ import annotations

from typing import Protocol


class EdgeSource(Protocol):
    """An interrupt line whose edges the kernel stamps with CLOCK_MONOTONIC."""

    def edges_ns(self) -> list[int]:
        """Stamps of all edges since the last call, oldest first; never waits."""
        ...

    def close(self) -> None:
        """Give the line back."""
        ...
