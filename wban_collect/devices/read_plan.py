"""When a FIFO is read next: at its watermark's edge where a line is wired, else by polling."""

from __future__ import annotations

import logging

from wban_collect.clock import Clock
from wban_collect.devices.fifo_streams import FifoStreams
from wban_collect.devices.watermark_line import WatermarkLine
from wban_collect.gpio import EdgeSource

log = logging.getLogger(__name__)

EDGE_PATIENCE_NS = 5_000_000
"""How long after its time an edge is waited for: interrupts are rarely later than 3 ms."""


class ReadPlan:
    """The instants at which a driver reads its FIFO.

    Parameters
    ----------
    name
        The device's name, for the log.
    edges
        The line that the chip's watermark interrupt is wired to; None: the FIFO is polled.

    Attributes
    ----------
    due_ns
        When to read next.
    """

    def __init__(
        self, name: str, fifo: FifoStreams, clock: Clock, edges: EdgeSource | None
    ) -> None:
        self._name = name
        self._fifo = fifo
        self._clock = clock
        self._line = WatermarkLine(edges) if edges is not None else None
        self.due_ns = 0
        self._give_up_ns = 0

    @property
    def has_line(self) -> bool:
        """Whether an interrupt line is wired."""
        return self._line is not None

    def wait_until(self, due_ns: int) -> None:
        """Ask to be resumed at an instant: a wait of the set-up or the self-test."""
        self.due_ns = due_ns

    def edge_ns(self) -> int | None:
        """Stamp of the edge that this read follows, 0 without one; None: it is still waited for.

        Where it is waited for, `due_ns` has moved on.
        """
        if self._line is None:
            return 0
        now_ns = self._clock.monotonic_ns()
        edge_ns = self._line.edge_ns(now_ns)
        if not edge_ns and self._line.expected and now_ns < self._give_up_ns:
            pause_ns = int(self._fifo.pace.period_ns / 4)
            self.due_ns = min(now_ns + pause_ns, self._give_up_ns)
            return None
        return edge_ns

    def judge(self, edge_ns: int, *, above_watermark: bool) -> None:
        """Notice a line whose edges do not come."""
        if self._line is not None and self._line.judge(
            edge_ns=edge_ns, above_watermark=above_watermark
        ):
            log.warning(
                "%s: no edge on the interrupt line although the watermark was reached; polling "
                "instead. Check that INT1 is wired to the configured line.",
                self._name,
            )

    def plan(self, level: int) -> None:
        """Say when to read next, `level` entries being left in the FIFO."""
        if self._line is not None:
            now_ns = self._clock.monotonic_ns()
            n_to_come = self._fifo.watermark - level - 1
            # An edge of the drain itself, or one stamped late, cannot be the next one.
            earliest_ns = now_ns + int(max(n_to_come, 0) * 0.9 * self._fifo.pace.period_ns)
            self._line.rearm(earliest_ns, will_rise=n_to_come > 0)
        if self._line is not None and self._line.expected:
            self.due_ns = self._fifo.edge_due_ns()
            patience_ns = max(int(2 * self._fifo.pace.period_ns), EDGE_PATIENCE_NS)
            self._give_up_ns = min(self.due_ns + patience_ns, self._fifo.deadline_ns())
        else:
            self.due_ns = self._fifo.poll_due_ns()
