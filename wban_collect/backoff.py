"""Pauses between attempts to set a failed device up again."""

from __future__ import annotations

import logging

FIRST_PAUSE_NS = 100_000_000
LONGEST_PAUSE_NS = 5_000_000_000
TOLD_AT_FAILURE = 5


class Backoff:
    """Doubles the pause with every failure in a row, up to 5 s."""

    def __init__(self) -> None:
        self.n_failures = 0

    def pause_ns(self) -> int:
        """Count a failure; the pause before the next attempt, ns."""
        self.n_failures += 1
        return min(FIRST_PAUSE_NS << min(self.n_failures - 1, 30), LONGEST_PAUSE_NS)

    def reset(self) -> None:
        """Note a success."""
        self.n_failures = 0


def failure_level(ever_started: bool, n_failures: int) -> int:
    """How loudly to log a failure.

    A device that has worked is missed at once. One that never did is refused by the preflight with
    a sentence of its own, or does without being required: then it is told once.
    """
    loud = ever_started or n_failures == TOLD_AT_FAILURE
    return logging.WARNING if loud else logging.INFO
