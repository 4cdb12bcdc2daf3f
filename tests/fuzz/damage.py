"""What can happen to the bytes of a file: bits flip, blocks are overwritten, the end is cut off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

BLOCK_BYTES = 512


@dataclass(frozen=True)
class Damage:
    """One thing that happened: bytes from `start` on are replaced, or all from there is cut off."""

    start: int
    replacement: bytes | None

    def apply(self, content: bytearray) -> None:
        """Do it; the length stays unless the end is cut off."""
        if self.replacement is None:
            del content[self.start :]
        else:
            stop = min(self.start + len(self.replacement), len(content))
            content[self.start : stop] = self.replacement[: max(0, stop - self.start)]


@st.composite
def damages(draw: Any, content: bytes, *, misplaced: bool = True) -> list[Damage]:
    """Draw one to four damages of these bytes.

    With `misplaced` a block of the same file may have come to stand in another one's place.
    """
    kinds = ["flip", "zeros", "junk", "cut", *(["old"] if misplaced else [])]
    places = st.integers(0, len(content) - 1)
    found: list[Damage] = []
    for _ in range(draw(st.integers(1, 4))):
        start = draw(places)
        kind = draw(st.sampled_from(kinds))
        if kind == "flip":
            replacement: bytes | None = bytes([content[start] ^ 1 << draw(st.integers(0, 7))])
        elif kind == "zeros":
            replacement = bytes(draw(st.integers(1, BLOCK_BYTES)))
        elif kind == "junk":
            replacement = draw(st.binary(min_size=1, max_size=64))
        elif kind == "old":  # a block that belongs elsewhere in the same file
            start -= start % BLOCK_BYTES
            other = draw(places)
            replacement = content[other : other + BLOCK_BYTES]
        else:
            replacement = None
        found.append(Damage(start, replacement))
    return found


def damaged(content: bytes, happened: Sequence[Damage]) -> bytes:
    """Give the bytes after all that happened."""
    changed = bytearray(content)
    for damage in happened:
        damage.apply(changed)
    return bytes(changed)


def untouched(content: bytes, changed: bytes, start: int, stop: int) -> bool:
    """Whether a stretch of the file is as it was."""
    return stop <= len(changed) and content[start:stop] == changed[start:stop]
