"""One drain of an LSM6DSOX's FIFO: what was taken, and the look that told how much there was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wban_collect.devices.lsm6dsox_registers import FIFO_WORDS, WORD_BYTES, WORDS_PER_SLOT
from wban_collect.devices.lsm6dsox_slots import Counts, SlotReader, Slots
from wban_dataset.recording.streams import Read

BURST_WORDS = 12
"""Four slots, 2.0 ms at 400 kHz; with the looks before and after it less than 3 ms."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one read of FIFO_STATUS told, and when it began and ended."""

    start_ns: int
    end_ns: int
    n_words: int
    overrun: bool

    @property
    def uncertain(self) -> bool:
        """Whether the oldest words may not be there any more when they are read."""
        return self.overrun or self.n_words > FIFO_WORDS - 2 * WORDS_PER_SLOT


class Drain:
    """Slots without a gap between them, taken from a FIFO of which only so much is promised.

    Bursts end where a slot ends, so that whatever is overwritten between two of them cannot mix
    two slots.

    Attributes
    ----------
    look
        Evidence of all that is taken.
    unplanned
        It began with a look that told nothing about when to look next.
    spoiled
        The last burst held words that cannot be true.
    """

    def __init__(self, look: Look, reader: SlotReader) -> None:
        self._reader = reader
        self._n_promised = look.n_words
        self.begin(look)

    def begin(self, look: Look) -> None:
        """Begin with nothing taken; no more is promised than has been, or a drain might not end."""
        self.look = look
        self.unplanned = look.uncertain
        self.spoiled = False
        self._parts: list[Slots] = []
        self._promise(look)
        # Words known at the look, counted from the first word of the first slot taken.
        self._n_known = self._reader.n_partial_words + look.n_words

    @property
    def begun(self) -> bool:
        """Whether anything has been read."""
        return bool(self._parts)

    @property
    def n_samples(self) -> int:
        """Samples taken."""
        return sum(part.n_samples for part in self._parts)

    @property
    def n_unsettled(self) -> int:
        """Samples left out because the filters had not settled."""
        return sum(part.n_unsettled for part in self._parts)

    @property
    def n_skipped(self) -> int:
        """Samples lost before the first of these; -1: not known."""
        return next((part.n_skipped for part in self._parts if part.n_samples), -1)

    @property
    def n_latched(self) -> int:
        """Samples that were latched at the look, from the first of these on."""
        return -(-self._n_known // WORDS_PER_SLOT)

    @property
    def n_bytes(self) -> int:
        """Size of the next burst; 0: all that was promised is taken."""
        n_partial = self._reader.n_partial_words
        n_words = min(BURST_WORDS - n_partial, self._n_promised)
        return max(n_words - (n_partial + n_words) % WORDS_PER_SLOT, 0) * WORD_BYTES

    def add(self, raw: bytes) -> None:
        """Take a burst."""
        slots = self._reader.take(raw)
        self._parts.append(slots)
        self.spoiled = slots.spoiled
        self._n_promised -= len(raw) // WORD_BYTES
        self._n_known -= slots.n_torn_words + WORDS_PER_SLOT * slots.n_unsettled

    def look_again(self, look: Look) -> None:
        """Rely on another look, made behind what has been taken."""
        self.look = look
        self._promise(look)
        n_taken = WORDS_PER_SLOT * self.n_samples + self._reader.n_partial_words
        self._n_known = n_taken + look.n_words

    def _promise(self, look: Look) -> None:
        """Promise to the end of a slot: the one begun, if it is there, or else the one before."""
        n_partial = self._reader.n_partial_words
        n_words = n_partial + min(self._n_promised, look.n_words)
        n_to_end = n_words + -n_words % WORDS_PER_SLOT - n_partial
        n_to_start = n_words - n_words % WORDS_PER_SLOT - n_partial
        self._n_promised = n_to_end if n_to_end <= look.n_words else max(n_to_start, 0)

    def counts(self) -> tuple[Counts, Counts]:
        """Give the counts taken, accelerometer and gyroscope, (n, 3) each."""
        accel = [part.accel for part in self._parts]
        return np.concatenate(accel), np.concatenate([part.gyro for part in self._parts])

    def read(self) -> Read:
        """Make the evidence of what was taken, at least one sample."""
        ticks = next(int(part.ticks[-1]) for part in reversed(self._parts) if part.n_samples)
        n_behind = max(self.n_latched - self.n_samples, 0)
        return Read(self.look.start_ns, self.look.end_ns, fifo_level=n_behind, chip_ticks=ticks)
