"""What waits of one stream between the thread that delivers it and the one that publishes it."""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

Item = TypeVar("Item")


class LiveQueue(Generic[Item]):
    """Bounded by number and by bytes; the oldest go when it is full, and are counted.

    One thread puts, one takes, and there is no lock, so that neither ever waits for the other:
    deques are safe by themselves, and each counter is written by one of the two threads alone. What
    is being taken just now may still seem to wait; then one item too many goes, and is counted.

    Parameters
    ----------
    most_items, most_bytes
        What may wait; one item may be as large as it likes.

    Attributes
    ----------
    n_dropped
        Items that went because there was no room.
    """

    def __init__(self, most_items: int, most_bytes: int) -> None:
        self.n_dropped = 0
        self._most_items = most_items
        self._most_bytes = most_bytes
        self._waiting: deque[tuple[Item, int]] = deque()
        self._put_bytes = 0
        self._dropped_bytes = 0
        self._taken_bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def n_bytes(self) -> int:
        """Bytes that wait."""
        return self._put_bytes - self._dropped_bytes - self._taken_bytes

    def put(self, item: Item, n_bytes: int) -> None:
        """Add an item, in constant time: for each that comes at most as many go as ever came."""
        waiting = self._waiting
        self._put_bytes += n_bytes
        waiting.append((item, n_bytes))
        while len(waiting) > self._most_items or (
            self.n_bytes > self._most_bytes and len(waiting) > 1
        ):
            try:
                self._dropped_bytes += waiting.popleft()[1]
            except IndexError:  # it has just been taken
                return
            self.n_dropped += 1

    def take(self) -> Item | None:
        """Take the oldest item, if there is one."""
        try:
            item, n_bytes = self._waiting.popleft()
        except IndexError:
            return None
        self._taken_bytes += n_bytes
        return item
