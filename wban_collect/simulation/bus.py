"""A simulated I2C bus: true transfer times, the Pi controller's rules, and faults on request."""

from __future__ import annotations

import errno
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from wban_collect.clock import Clock
from wban_collect.errors import BusError
from wban_collect.simulation.chip import ChipNack, PluggableChip, SimulatedChip

Message = tuple[int, bytes | int]
"""(address, bytes to send), or (address, number of bytes to read)."""

# i2c-dev refuses longer messages.
MESSAGE_LIMIT_BYTES = 8192
# The adapter gives a transfer up after this (i2c core default); a stuck bus costs it every time.
ADAPTER_TIMEOUT_NS = 1_000_000_000
BITS_PER_BYTE = 9


@dataclass(frozen=True, slots=True)
class BusFaults:
    """What goes wrong, reproducibly from the bus's seed.

    Times count from when the faults began: from the bus's making, or from `SimulatedI2CBus.suffer`.

    Attributes
    ----------
    nack_probability
        Of a transaction whose chip does not acknowledge its address (errno 121).
    clock_timeout_probability
        Of a transaction that the controller breaks off (errno 5).
    garbage_probability
        Of each byte read to arrive as a random one; nobody notices, I2C has no checksum.
    stuck_spans_ns
        SDA is held low in [start, stop): every transaction takes 1 s and fails (errno 110).
    unplugged_spans_ns
        By address, when the chip is off the bus and without power. It comes back with its power-on
        values (`PluggableChip.power_cycle`).
    """

    nack_probability: float = 0.0
    clock_timeout_probability: float = 0.0
    garbage_probability: float = 0.0
    stuck_spans_ns: tuple[tuple[int, int], ...] = ()
    unplugged_spans_ns: Mapping[int, tuple[tuple[int, int], ...]] = field(
        default_factory=dict[int, tuple[tuple[int, int], ...]]
    )


class SimulatedI2CBus:
    """Implements `wban_collect.i2c.I2CBus` over simulated chips; for one thread.

    A byte takes 9 bit times, start, repeated start and stop one each: writing one register address
    and reading 6 bytes makes 84 bits, 0.21 ms at 400 kHz. Chips are asked for the instants at which
    their bytes are on the wire; then the clock is slept to the end of the transaction.

    Parameters
    ----------
    effective
        Fraction of the nominal rate that SCL really has, fixed or as a function of the time in ns.
        On a Pi 4 the divisor is set once for the top core clock, so 0.4 of the rate remains while
        the core idles; asked at the start of each transaction.
    overhead_ns
        System call, interrupt and Python on a Pi 4, besides the wire; half before and half after.

    Attributes
    ----------
    simulation_thread_time_ns
        Thread time spent in here and in the chips, falling asleep and waking included: not the
        collector's own.
    n_transactions
        Transactions begun, failed ones included.
    """

    def __init__(
        self,
        clock: Clock,
        chips: Sequence[SimulatedChip],
        *,
        nominal_hz: int = 400_000,
        effective: float | Callable[[int], float] = 1.0,
        overhead_ns: int = 100_000,
        seed: int = 0,
        faults: BusFaults | None = None,
    ) -> None:
        if not callable(effective) and not 0.0 < effective <= 1.0:
            raise ValueError(f"effective rate is {effective} of nominal; expected 0 < rate <= 1")
        self._clock = clock
        self._chips = {chip.address: chip for chip in chips}
        if len(self._chips) != len(chips):
            raise ValueError("two simulated chips have the same address; each needs its own")
        self.nominal_hz = nominal_hz
        self._effective = effective
        self._half_overhead_ns = overhead_ns // 2
        self._random = random.Random(seed)
        self._open = True
        self._plug_events: list[_PlugEvent] = []
        self.suffer(faults or BusFaults())
        self.simulation_thread_time_ns = 0
        self.n_transactions = 0

    def suffer(self, faults: BusFaults) -> None:
        """Let other things go wrong from now on; a chip that is off the bus stays so."""
        now_ns = self._clock.monotonic_ns()
        self._plug(now_ns)
        self._faults, self._faulty_since_ns = faults, now_ns
        self._plug_events = _plug_events(faults, self._chips, now_ns)

    def write(self, address: int, data: bytes) -> None:
        """Send `data` to the chip at 7-bit `address`."""
        self.transfer(((address, data),))

    def write_read(self, address: int, data: bytes, n_bytes: int) -> bytes:
        """Send `data`, repeat the start, read `n_bytes`; nothing else gets in between."""
        return self.transfer(((address, data), (address, n_bytes)))

    def reopen(self) -> None:
        """Open the bus again; a stuck bus stays stuck."""
        self._open = True

    def close(self) -> None:
        """Give the bus back; further transfers fail until `reopen`."""
        self._open = False

    def transfer(self, messages: Sequence[Message]) -> bytes:
        """Do one transaction with one chip as the kernel's ``i2c_rdwr`` does on bcm2835.

        Raises
        ------
        BusError
            errno 121 not acknowledged, 110 stuck, 5 broken off, 95 for a read message that is not
            the only one and last, 22 for a message above 8192 bytes, 9 after `close`.
        """
        began = time.thread_time_ns()
        self.n_transactions += 1
        now_ns = self._clock.monotonic_ns()
        received = b""
        try:
            end_ns, failure = self._refusal(messages, now_ns)
            if failure == 0:
                received, end_ns, failure = self._run(messages, now_ns)
            self._clock.sleep_until_ns(end_ns)
        finally:
            self.simulation_thread_time_ns += time.thread_time_ns() - began
        if failure:
            raise _bus_error(messages, failure)
        return received

    def _refusal(self, messages: Sequence[Message], now_ns: int) -> tuple[int, int]:
        """Why nothing goes over the wire: end of the attempt and errno, 0 if it may."""
        if not self._open:
            return now_ns, errno.EBADF
        for place, (_, content) in enumerate(messages, start=1):
            reading = isinstance(content, int)
            if reading and place != len(messages):
                return now_ns, errno.EOPNOTSUPP
            if (content if reading else len(content)) > MESSAGE_LIMIT_BYTES:
                return now_ns, errno.EINVAL
        if self._plug_events:
            self._plug(now_ns)
        since_ns = now_ns - self._faulty_since_ns
        for start_ns, stop_ns in self._faults.stuck_spans_ns:
            if start_ns <= since_ns < stop_ns:
                return now_ns + ADAPTER_TIMEOUT_NS, errno.ETIMEDOUT
        return now_ns, 0

    def _run(self, messages: Sequence[Message], now_ns: int) -> tuple[bytes, int, int]:
        """Move the messages: bytes received, end of the transaction, errno or 0."""
        effective = self._effective
        fraction = effective(now_ns) if callable(effective) else effective
        bit_ns = 1e9 / (self.nominal_hz * fraction)
        byte_ns = BITS_PER_BYTE * bit_ns
        wire_ns = float(now_ns + self._half_overhead_ns)
        failure = self._random_failure()
        received = b""
        chip: SimulatedChip | None = None
        for address, content in messages:
            wire_ns += bit_ns
            chip = None if failure else self._chips.get(address)
            try:
                if chip is None:
                    raise ChipNack
                if isinstance(content, int):
                    received = chip.read(content, byte_ns, round(wire_ns))
                    wire_ns += (1 + content) * byte_ns
                else:
                    end_ns = wire_ns + (1 + len(content)) * byte_ns
                    chip.write(content, round(end_ns))
                    wire_ns = end_ns
            except ChipNack:
                failure = failure or errno.EREMOTEIO
                wire_ns += byte_ns
                break
        if chip is not None:
            chip.stop_condition()
        end_ns = round(wire_ns + bit_ns) + self._half_overhead_ns
        if self._faults.garbage_probability:
            received = self._garbled(received)
        return received, end_ns, failure

    def _random_failure(self) -> int:
        faults = self._faults
        if faults.nack_probability and self._random.random() < faults.nack_probability:
            return errno.EREMOTEIO
        timeout = faults.clock_timeout_probability
        return errno.EIO if timeout and self._random.random() < timeout else 0

    def _garbled(self, received: bytes) -> bytes:
        """Replace bytes at random; jumps from one to the next, so that long reads cost little."""
        probability = self._faults.garbage_probability
        if probability >= 1.0:
            return self._random.randbytes(len(received))
        garbled = bytearray(received)
        log_good = math.log1p(-probability)
        place = int(math.log(1.0 - self._random.random()) / log_good)
        while place < len(garbled):
            garbled[place] = self._random.randrange(256)
            place += 1 + int(math.log(1.0 - self._random.random()) / log_good)
        return bytes(garbled)

    def _plug(self, now_ns: int) -> None:
        """Pull chips off the bus and put them back, as far as it is due."""
        while self._plug_events and self._plug_events[0].time_ns <= now_ns:
            event = self._plug_events.pop(0)
            event.chip.unplugged = event.unplugged
            if not event.unplugged:
                event.chip.power_cycle(event.time_ns)


@dataclass(frozen=True, slots=True)
class _PlugEvent:
    time_ns: int
    chip: PluggableChip
    unplugged: bool


def _plug_events(
    faults: BusFaults, chips: Mapping[int, SimulatedChip], since_ns: int
) -> list[_PlugEvent]:
    """All pulls and returns of chips in the order of time."""
    events: list[_PlugEvent] = []
    for address, spans in faults.unplugged_spans_ns.items():
        chip = chips.get(address)
        if not isinstance(chip, PluggableChip):
            raise ValueError(
                f"unplugged_spans_ns names 0x{address:02x}, where no chip that can be unplugged "
                "is on this simulated bus; name one that is"
            )
        for start_ns, stop_ns in spans:
            events.append(_PlugEvent(since_ns + start_ns, chip, unplugged=True))
            events.append(_PlugEvent(since_ns + stop_ns, chip, unplugged=False))
    return sorted(events, key=lambda event: event.time_ns)


_FAILURE_TEXTS = {
    errno.EREMOTEIO: "the chip did not acknowledge. Check its wiring, power and address pin",
    errno.ETIMEDOUT: "the transfer timed out after 1 s. Check for a line held low",
    errno.EIO: "the controller broke the transfer off. Try again, then check the pull-ups",
    errno.EOPNOTSUPP: "a read message must be the only one and last. Split the transaction",
    errno.EINVAL: f"a message is longer than {MESSAGE_LIMIT_BYTES} bytes. Split it",
    errno.EBADF: "the bus is closed. Call reopen() first",
}


def _bus_error(messages: Sequence[Message], failure: int) -> BusError:
    address = messages[0][0]
    return BusError(
        f"Simulated I2C bus, address 0x{address:02x}: {_FAILURE_TEXTS[failure]} (errno {failure}).",
        failure,
    )
