"""What a simulated chip is to the simulated bus.

Chips know their registers and the time of each byte; the bus knows the wire. A chip has no clock of
its own to ask: every call says when it happens, and instants never go backwards, so that a chip may
work out what it has sampled since the last call only when somebody looks.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable


class ChipNack(Exception):  # noqa: N818 - the name of the bus event
    """The chip does not acknowledge."""


class SimulatedChip(Protocol):
    """A chip on a `SimulatedI2CBus`; raises `ChipNack` where a real one would not acknowledge."""

    @property
    def address(self) -> int:
        """7-bit address."""
        ...

    def write(self, data: bytes, end_ns: int) -> None:
        """Take a write message whose last byte was acknowledged at `end_ns`.

        An empty message is a mere call of the address.
        """
        ...

    def read(self, n_bytes: int, byte_ns: float, start_ns: int) -> bytes:
        """Give the bytes of a read message that began at `start_ns`, one every `byte_ns` (9 bits).

        `start_ns` is the (repeated) start condition. The address byte goes first, so data byte i is
        taken from the chip at ``start_ns + (i + 1) * byte_ns`` and is on the wire for `byte_ns`
        after that.
        """
        ...

    def stop_condition(self) -> None:
        """Notice the STOP that ended a transaction with this chip.

        There is none between the write and the read of one transaction (repeated start).
        """
        ...


@runtime_checkable
class PluggableChip(SimulatedChip, Protocol):
    """A chip that can be pulled off the bus and put back while the simulation runs.

    Attributes
    ----------
    unplugged
        While true, `write` and `read` raise `ChipNack`.
    """

    unplugged: bool

    def power_cycle(self, now_ns: int) -> None:
        """Lose everything and start anew with the power-on values at `now_ns`."""
        ...
