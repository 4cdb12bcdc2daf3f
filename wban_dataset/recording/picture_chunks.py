"""Chunks of pictures, compressed faster than HDF5 does it, for any HDF5 to read.

To deflate, a sensor's picture is mostly noise: looking for repeats takes most of the time of
sealing and gains little over Huffman codes alone, which deflate knows as well (zlib's
Z_HUFFMAN_ONLY). So both are tried on a chunk now and then, and the faster one is taken while it
costs little. What is written is the format's own pipeline, shuffle (which leaves single bytes as
they are), deflate, fletcher32.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

FAST_LEVEL = 1
TRIAL_CHUNKS = 64
"""How many chunks one trial decides for."""
MOST_EXTRA = 1.15
"""Huffman codes alone are taken while they need at most this much of what deflate needs."""

# Of the memory levels this gave the smallest and nearly the fastest code: a block of 4096 bytes, a
# dozen rows, has a Huffman code of its own.
HUFFMAN_MEMORY_LEVEL = 6
DEFLATE_MEMORY_LEVEL = 9

CHECKSUM_MODULUS = 65535


class PictureDeflater:
    """Makes the stored bytes of chunk after chunk of uint8 pictures."""

    def __init__(self) -> None:
        self._n_chunks = 0
        self._huffman_only = False

    def stored(self, chunk: NDArray[np.uint8]) -> bytes:
        """Give what HDF5 would have in the file for a whole chunk."""
        raw = np.ascontiguousarray(chunk).data
        if self._n_chunks % TRIAL_CHUNKS == 0:
            packed = self._try_both(raw)
        else:
            packed = _huffman(raw) if self._huffman_only else _deflate(raw)
        self._n_chunks += 1
        return packed + fletcher32(packed).to_bytes(4, "little")

    def _try_both(self, raw: memoryview) -> bytes:
        huffman, deflated = _huffman(raw), _deflate(raw)
        self._huffman_only = len(huffman) <= MOST_EXTRA * len(deflated)
        return huffman if self._huffman_only else deflated


def _huffman(raw: memoryview) -> bytes:
    return _compressed(raw, HUFFMAN_MEMORY_LEVEL, zlib.Z_HUFFMAN_ONLY)


def _deflate(raw: memoryview) -> bytes:
    return _compressed(raw, DEFLATE_MEMORY_LEVEL, zlib.Z_DEFAULT_STRATEGY)


def _compressed(raw: memoryview, memory_level: int, strategy: int) -> bytes:
    compressor = zlib.compressobj(FAST_LEVEL, zlib.DEFLATED, zlib.MAX_WBITS, memory_level, strategy)
    return compressor.compress(raw) + compressor.flush()


def fletcher32(data: bytes) -> int:
    """Checksum of HDF5's fletcher32 filter: big-endian 16 bit words, ones' complement sums."""
    padded = data + b"\0" if len(data) % 2 else data
    words = np.frombuffer(padded, dtype=">u2").astype(np.int64)
    low = _ones_complement(int(words.sum()))
    high = _ones_complement(int(np.dot(_weights(len(words)), words)))
    return high << 16 | low


def _ones_complement(total: int) -> int:
    """Fold a sum to 16 bits by end-around carry, which never turns a sum into 0."""
    return (total - 1) % CHECKSUM_MODULUS + 1 if total else 0


@lru_cache(maxsize=1)
def _capped_weights(n: int) -> NDArray[Any]:
    return np.arange(n, 0, -1, dtype=np.int64)


def _weights(n: int) -> NDArray[Any]:
    """How often each of n words is in the sum of sums: n, n - 1, ..., 1."""
    longest = _capped_weights(1 << (n - 1).bit_length() if n else 1)
    return longest[len(longest) - n :]
