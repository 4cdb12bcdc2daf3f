"""I2C: the border to the kernel, and the one place that knows its rules.

bcm2835 (the Pi's controller) takes one read message per transaction, and it must be the last;
"register, then read" is one transaction with a repeated start.
"""

from __future__ import annotations

from typing import Protocol


class I2CBus(Protocol):
    """One I2C bus. Every method is one transaction; failures raise `BusError` with the errno."""

    def write(self, address: int, data: bytes) -> None:
        """Send `data` to the chip at 7-bit `address`."""
        ...

    def write_read(self, address: int, data: bytes, n_bytes: int) -> bytes:
        """Send `data`, repeat the start, read `n_bytes`; nothing else gets in between."""
        ...

    def reopen(self) -> None:
        """Close and open the bus again, for recovery after errors."""
        ...

    def close(self) -> None:
        """Give the bus back."""
        ...
