"""Work on many recordings, on one process or several, in the order of the recordings."""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")

JOBS_PER_WORKER = 2
"""Handed out in advance: bounds the memory of texts that wait."""


def in_order(
    work: Callable[[Job], Result], jobs: Iterable[Job], n_workers: int
) -> Iterator[Result]:
    """Give the result of each job in turn; what one raises is raised here.

    Parameters
    ----------
    work
        A function of a module, with arguments that can be sent to another process.
    jobs
        Made here, while others work.
    """
    if n_workers < 2:
        yield from map(work, jobs)
        return
    # Not forked: a thread of this process could hold a lock that would stay locked in the copy.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(n_workers, mp_context=context) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for job in jobs:
                waiting.append(pool.submit(work, job))
                if len(waiting) >= JOBS_PER_WORKER * n_workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
