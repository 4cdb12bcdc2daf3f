"""One thread for linear algebra, whatever the machine has.

Its matrices are small: more threads wait for each other, at twice the CPU time, and could sum in
another order.
"""

from __future__ import annotations

import importlib
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any


@contextmanager
def one_thread() -> Generator[None]:
    """Keep linear algebra to one thread; without threadpoolctl it is as it was."""
    try:
        threadpoolctl: Any = importlib.import_module("threadpoolctl")
    except ModuleNotFoundError:
        yield
        return
    with threadpoolctl.threadpool_limits(1):
        yield
