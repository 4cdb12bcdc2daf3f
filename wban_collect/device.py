"""What the recorder asks of a device, and the running index that each stream keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from wban_dataset.recording.streams import Gap, Read, SampleBlock, StreamSpec

DeviceOutput = SampleBlock | Gap


@dataclass(frozen=True, slots=True)
class Identity:
    """What a device says it is."""

    model: str
    serial: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class SelfTestResult:
    """One axis of a chip's self-test: what the built-in excitation changed, and what is allowed."""

    axis: str
    change: float
    lowest: float
    highest: float
    units: str

    @property
    def passed(self) -> bool:
        """Whether the change is within what the data sheet allows."""
        return self.lowest <= self.change <= self.highest


class SelfTesting(Protocol):
    """A device whose chip can test itself. Used by `doctor` alone, never while recording."""

    def self_test(self) -> Iterator[SelfTestResult | None]:
        """Run the data sheet's self-test on a chip that rests still; afterwards it is in standby.

        Yields None where it waits (resume at `next_due_ns`), then one result per axis. `start` sets
        the chip up again. Raises as `start` does.
        """
        ...

    def next_due_ns(self) -> int:
        """When the test wants to be resumed (CLOCK_MONOTONIC)."""
        ...


class BusDevice(Protocol):
    """A chip on an I2C bus, driven by its bus's thread and by nobody else.

    The bus thread calls `start` once (and again after any error), then `read` whenever
    `next_due_ns` has come. `start` and `read` are generators: each ``yield None`` is a place where
    a more urgent device may use the bus. No stretch between two of them holds the bus longer than
    about 3 ms at 400 kHz. They raise `BusError` or `DeviceError`, after which the recorder calls
    `start` again; the device then opens a new segment.
    """

    @property
    def name(self) -> str:
        """Name in the configuration, e.g. ``mpu6050``."""
        ...

    @property
    def streams(self) -> tuple[StreamSpec, ...]:
        """Its streams; complete once `start` has finished."""
        ...

    def start(self) -> Iterator[None]:
        """Check that the right chip answers, set it up completely, and start sampling.

        Waits are yielded as well: a device that needs 100 ms after a reset records the instant in
        `next_due_ns` and yields; it is resumed no earlier than that.
        """
        ...

    def next_due_ns(self) -> int:
        """When the device wants to be resumed or read next (CLOCK_MONOTONIC)."""
        ...

    def deadline_ns(self) -> int:
        """By when it must be served so that nothing is lost; orders the devices that are due."""
        ...

    def read(self) -> Iterator[DeviceOutput | None]:
        """Drain what the chip has: yields blocks, gaps, and None where others may go first."""
        ...

    def stop(self) -> None:
        """Put the chip to rest; never raises for a chip that is gone."""
        ...


class FrameDevice(Protocol):
    """A camera that delivers by itself: `start` hands it the place where blocks go."""

    @property
    def name(self) -> str:
        """Name in the configuration, e.g. ``camera``."""
        ...

    @property
    def streams(self) -> tuple[StreamSpec, ...]:
        """Its streams; complete once `start` has returned."""
        ...

    def start(self, deliver: Callable[[DeviceOutput], None]) -> None:
        """Start the camera; `deliver` is called from the camera's own thread and never blocks."""
        ...

    def next_due_ns(self) -> int:
        """When `check` wants to be called next (CLOCK_MONOTONIC)."""
        ...

    def check(self) -> None:
        """Find a stall and restart the camera; called by the recorder's housekeeping."""
        ...

    def stop(self) -> None:
        """Stop the camera; returns also when it is stuck."""
        ...


class StreamCursor:
    """Running index and segment of one stream; outlives restarts of its chip."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.next_index = 0
        self.segment = 0
        self._segment_used = False

    def block(
        self, data: NDArray[Any], read: Read, columns: Mapping[str, NDArray[Any]] | None = None
    ) -> SampleBlock:
        """Wrap freshly read counts (n, *sample_shape) as the stream's next block."""
        block = SampleBlock(self.name, self.next_index, self.segment, data, read, columns or {})
        self.next_index += len(data)
        self._segment_used = True
        return block

    def gap(
        self, start_ns: int, stop_ns: int, n_missing: int, cause: str, *, exact: bool = False
    ) -> Gap:
        """Note that samples are missing here; what comes next belongs to a new segment."""
        self.new_segment()
        return Gap(self.name, start_ns, stop_ns, n_missing, cause, exact=exact)

    def new_segment(self) -> None:
        """Begin a new segment, unless the present one is still empty."""
        if self._segment_used:
            self.segment += 1
            self._segment_used = False
