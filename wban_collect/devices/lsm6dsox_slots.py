"""The tagged words of an LSM6DSOX's FIFO, put together to samples.

All words of one instant make a slot. They share a counter of two bits, and a parity bit guards each
tag. The order of the words within a slot is not documented, and nothing here depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wban_collect.devices.lsm6dsox_registers import (
    ACCEL_TAG,
    FIRST_INVALID_COUNT,
    GYRO_TAG,
    TIMESTAMP_TAG,
    WORD_BYTES,
    WORDS_PER_SLOT,
)

Counts = NDArray[np.int16]
Words = NDArray[np.uint8]

TICK_MODULUS = 1 << 32
"""The timestamp runs over after 29.8 hours."""

_SENSORS = (GYRO_TAG, ACCEL_TAG, TIMESTAMP_TAG)
_IS_TAG = np.array([tag.bit_count() % 2 == 0 and tag >> 3 in _SENSORS for tag in range(256)])
"""Tags with even parity of a sensor that is batched."""


@dataclass(frozen=True, slots=True)
class Slots:
    """Samples that follow on one another without a gap.

    Attributes
    ----------
    accel, gyro
        Counts, (n, 3) each; row i of both is of the same instant.
    ticks
        The chip's own time of each since its reset, (n,); does not run over.
    n_skipped
        Samples lost between the last one given before and the first of these, counted by the
        chip's time; -1: not known, because nothing was given since the reset.
    n_unsettled
        Samples left out before the first of these because the filters had not settled.
    n_torn_words
        Words left out before those because the rest of their slot had been overwritten.
    spoiled
        Words that cannot be true ended them.
    """

    accel: Counts
    gyro: Counts
    ticks: NDArray[np.int64]
    n_skipped: int
    n_unsettled: int
    n_torn_words: int
    spoiled: bool

    @property
    def n_samples(self) -> int:
        """Number of samples."""
        return len(self.ticks)


@dataclass(frozen=True, slots=True)
class _WholeSlots:
    """Slots as the FIFO gave them."""

    counters: NDArray[np.int64]
    gyro: Counts
    accel: Counts
    ticks: NDArray[np.int64]

    @classmethod
    def of(cls, words: Words) -> _WholeSlots:
        """Take words apart, three to a slot, (3 n, 7)."""
        grouped = words.reshape(-1, WORDS_PER_SLOT, WORD_BYTES)
        order = np.argsort(grouped[:, :, 0] >> 3, axis=1)
        gyro, accel, timestamp = np.moveaxis(
            np.take_along_axis(grouped[:, :, 1:], order[:, :, None], axis=1), 1, 0
        )
        ticks = np.ascontiguousarray(timestamp[:, :4]).view("<u4")[:, 0]
        return cls(
            counters=(grouped[:, 0, 0].astype(np.int64) >> 1) & 3,
            gyro=np.ascontiguousarray(gyro).view("<i2"),
            accel=np.ascontiguousarray(accel).view("<i2"),
            ticks=ticks.astype(np.int64),
        )

    def n_following(self, ticks_per_sample: int) -> int:
        """Slots from the first on that follow on one another, by counter and by time."""
        steps = np.diff(self.ticks) % TICK_MODULUS
        in_time = np.abs(steps - ticks_per_sample) <= ticks_per_sample // 4
        in_turn = np.diff(self.counters) % 4 == 1
        return min(1 + _length_of_truth(in_time & in_turn), len(self.ticks))

    def n_unsettled(self) -> int:
        """Slots from the first on in which the chip marks a value as not settled."""
        invalid = np.maximum(self.gyro, self.accel).max(axis=1, initial=0) >= FIRST_INVALID_COUNT
        return _length_of_truth(invalid)

    def part(self, start: int, stop: int) -> _WholeSlots:
        """Slots start .. stop - 1."""
        part = slice(start, stop)
        return _WholeSlots(self.counters[part], self.gyro[part], self.accel[part], self.ticks[part])


class SlotReader:
    """Puts words together, wherever the bounds between two reads lie.

    Parameters
    ----------
    ticks_per_sample
        By how much the chip's time advances from slot to slot.
    """

    def __init__(self, ticks_per_sample: int) -> None:
        self._ticks_per_sample = ticks_per_sample
        self.begin_run()

    def begin_run(self) -> None:
        """Forget everything: the chip was reset."""
        self._last_ticks: int | None = None
        self._last_counter = 0
        self._settled = False
        self.realign()

    def realign(self) -> None:
        """Expect a slot that need not follow on the last, and perhaps the rest of one before it.

        The FIFO was emptied, or its oldest words were overwritten.
        """
        self._partial = b""
        self._aligned = False

    @property
    def n_partial_words(self) -> int:
        """Words that wait for the rest of their slot."""
        return len(self._partial) // WORD_BYTES

    def take(self, raw: bytes) -> Slots:
        """Put words together with those that waited for the rest of their slot."""
        words = np.frombuffer(self._partial + raw, dtype=np.uint8).reshape(-1, WORD_BYTES)
        n_torn, n_whole = _whole_slots(words[:, 0], aligned=self._aligned)
        slots = _WholeSlots.of(words[n_torn : n_torn + WORDS_PER_SLOT * n_whole])
        n_skipped = self._n_skipped(slots)
        n_good = 0 if n_skipped is None else slots.n_following(self._ticks_per_sample)
        if not self._aligned and n_good < min(n_whole, 2):
            n_good = 0  # the first says how many were lost: believed if the second follows on it
        rest = words[n_torn + WORDS_PER_SLOT * n_good :]
        spoiled = not _is_part_of_slot(rest[:, 0])
        self._partial = b"" if spoiled else rest.tobytes()
        n_unsettled = 0 if self._settled else slots.part(0, n_good).n_unsettled()
        good = slots.part(n_unsettled, n_good)
        ticks = self._noted(good, follows=n_skipped != -1)
        return Slots(good.accel, good.gyro, ticks, n_skipped or 0, n_unsettled, n_torn, spoiled)

    def _n_skipped(self, slots: _WholeSlots) -> int | None:
        """Count the samples lost before the first slot; -1: not known; None: it cannot be next."""
        if not len(slots.ticks):
            return 0
        if self._last_ticks is None:
            return -1
        step = (int(slots.ticks[0]) - self._last_ticks) % TICK_MODULUS
        if not self._aligned:
            backwards = step > TICK_MODULUS // 2
            return -1 if backwards else max(round(step / self._ticks_per_sample) - 1, 0)
        in_turn = (int(slots.counters[0]) - self._last_counter) % 4 == 1
        in_time = abs(step - self._ticks_per_sample) <= self._ticks_per_sample // 4
        return 0 if in_time and in_turn else None

    def _noted(self, good: _WholeSlots, *, follows: bool) -> NDArray[np.int64]:
        """Remember where the next slot has to follow on; give the ticks without their overruns."""
        if not len(good.ticks):
            return good.ticks
        first = int(good.ticks[0])
        last = self._last_ticks if follows else None
        start = first if last is None else last + (first - last) % TICK_MODULUS
        ticks = start + (good.ticks - first) % TICK_MODULUS
        self._last_ticks, self._last_counter = int(ticks[-1]), int(good.counters[-1])
        self._settled = self._aligned = True
        return ticks


def _whole_slots(tags: Words, *, aligned: bool) -> tuple[int, int]:
    """Find the first word and the number of whole slots that stand one after another.

    If not `aligned`, what is left of a slot may stand before them. Where there is none that is
    whole, the first word is that of the slot that may become so.
    """
    tags = tags[: _length_of_truth(_IS_TAG[tags])]
    if not len(tags):
        return 0, 0
    starts = np.concatenate(([0], np.flatnonzero(np.diff(tags >> 1 & 3)) + 1))
    sizes = np.diff(starts, append=len(tags))
    # Three different ones of 1, 2 and 4 are the only ones that make 7.
    sums = np.add.reduceat((tags >> 3).astype(np.int64), starts)
    whole = (sizes == WORDS_PER_SLOT) & (sums == sum(_SENSORS))
    first = 0
    if not aligned:
        first = int(np.argmax(whole)) if whole.any() else len(whole) - 1
    return int(starts[first]), _length_of_truth(whole[first:])


def _is_part_of_slot(tags: Words) -> bool:
    """Whether these words, if any, can be the beginning of one slot."""
    one_counter = not np.diff(tags >> 1 & 3).any()
    return len(tags) < WORDS_PER_SLOT and one_counter and bool(_IS_TAG[tags].all())


def _length_of_truth(values: NDArray[np.bool_]) -> int:
    """Count the true values before the first that is not."""
    return len(values) if values.all() else int(np.argmin(values))
