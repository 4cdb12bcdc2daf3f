"""Memory that is free, given back to the system.

The C library keeps what a session took for the next one, in pieces that do not fit together: with
it a build of many sessions in one process grows, though it holds nothing.
"""

from __future__ import annotations

import ctypes
import gc


def give_back() -> None:
    """Give back what is free, and what only refers to itself, as a session and its streams do.

    On systems without glibc the first is left to the library.
    """
    gc.collect()
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return
    trim(0)
