"""The tagged FIFO of a simulated LSM6DSOX (data sheet, sections 6.5 and 9.56)."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

WORD_BYTES = 7
DEPTH_WORDS = 512
EMPTY_WORD = bytes(WORD_BYTES)

GYRO, ACCEL, TIMESTAMP = 1, 2, 4

# A slot's words come one after the other. Neither the pace nor the order is documented.
WORD_NS = 5_000


@dataclass(frozen=True, slots=True)
class Word:
    """One word, when it gets into the FIFO, and the instant of its slot if it is the last of it."""

    raw: bytes
    due_ns: int
    completes_ns: int | None


class TaggedFifo:
    """Words with tags; overwrites the oldest, or stops, when it is full.

    Attributes
    ----------
    depth
        Words it holds: fewer with STOP_ON_WTM.
    overwrites
        Continuous mode; False: it stops when full.
    overrun, overrun_latched
        It was completely full: until something is taken, and until the status is read.
    """

    def __init__(self) -> None:
        self.depth = DEPTH_WORDS
        self.overwrites = True
        self.clear()

    def clear(self) -> None:
        """Empty it, and begin the counter of slots anew."""
        self._words: deque[Word] = deque()
        self._coming: deque[Word] = deque()
        self._open: Word | None = None
        self._torn = False
        self.overrun = False
        self.overrun_latched = False

    def __len__(self) -> int:
        return len(self._words)

    def expect(self, slot: int, instant_ns: int, data: list[tuple[int, bytes]]) -> None:
        """Take what a slot brings: sensor and six bytes each, from its instant on."""
        last = len(data) - 1
        for place, (sensor, six_bytes) in enumerate(data):
            raw = bytes((tag(sensor, slot),)) + six_bytes
            due_ns = instant_ns + (place + 1) * WORD_NS
            self._coming.append(Word(raw, due_ns, instant_ns if place == last else None))

    def skip(self) -> None:
        """Note that slots came and were overwritten which nobody needs to see."""
        self._words.clear()
        self._coming.clear()
        self._torn = False
        self.overrun = self.overrun_latched = True

    def advance(self, now_ns: int) -> None:
        """Take the words that are due."""
        while self._coming and self._coming[0].due_ns <= now_ns:
            word = self._coming.popleft()
            if len(self._words) < self.depth or self.overwrites:
                self._words.append(word)
            while len(self._words) > self.depth:
                self._torn = self._words.popleft().completes_ns is None
            if len(self._words) == self.depth:
                self.overrun = self.overrun_latched = True

    def peek(self) -> bytes:
        """Give the oldest word, as its tag is read; it is kept until it is taken."""
        self._open = self._words[0] if self._words else None
        return self._open.raw if self._open else EMPTY_WORD

    def take(self) -> int | None:
        """Remove the word peeked at, as its last byte is read.

        Gives the instant of a slot of which this was the last word and all others were taken too.
        """
        word, self._open = self._open, None
        if word is None or not self._words or self._words[0] is not word:
            return None  # the FIFO was empty, or this word was overwritten meanwhile
        self._words.popleft()
        self.overrun = self.overrun and len(self._words) >= self.depth
        if word.completes_ns is None or not self._torn:
            return word.completes_ns
        self._torn = False
        return None


def tag(sensor: int, slot: int) -> int:
    """Give a tag: sensor, two bits of the slot's number, and a bit that makes the parity even."""
    high = sensor << 3 | (slot & 3) << 1
    return high | high.bit_count() & 1
