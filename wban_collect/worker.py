"""Who does work when: one thread per worker in real time, one loop over all in virtual time."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Protocol

from wban_collect.clock import Clock

log = logging.getLogger(__name__)


QUESTION_NS = 50_000_000
"""How often, in virtual time, it is asked whether the end is reached."""

STOP_PATIENCE_S = 1.2
"""A transfer on a bus that is stuck takes a second until the kernel gives it up."""

REAL_TIME_PRIORITY = 10
"""Of SCHED_RR: before every ordinary program, after the kernel's interrupt threads (50)."""


class Worker(Protocol):
    """Something that wants to be called at certain instants of its own clock."""

    @property
    def name(self) -> str:
        """Name of its thread."""
        ...

    @property
    def clock(self) -> Clock:
        """The clock that its instants are read from."""
        ...

    def next_due_ns(self) -> int:
        """When `step` wants to be called next (CLOCK_MONOTONIC)."""
        ...

    def step(self) -> None:
        """Do what is due, a short piece of it; never raises for a failing device."""
        ...


class ThreadedRunner:
    """Runs each worker in a thread of its own, on the machine's clock.

    Attributes
    ----------
    cpu_ns
        CPU time that each thread has taken, by its name; known once it has ended.
    """

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self.cpu_ns: dict[str, int] = {}
        self._threads = [
            threading.Thread(target=self._run, args=(worker,), name=worker.name, daemon=True)
            for worker in workers
        ]

    def run_until(self, done: Callable[[], bool], poll_s: float = 0.05) -> None:
        """Return when `done()` holds; raises what a worker could not handle."""
        with _before_ordinary_programs():
            for thread in self._threads:
                if thread.ident is None:
                    thread.start()
            while not done():
                if self._failure is not None:
                    raise self._failure
                self._stop.wait(poll_s)

    def stop(self, wait_for: Worker | None = None) -> None:
        """End all threads; a transfer under way is finished first, unless it takes too long.

        `wait_for` is ended when this returns, whatever it takes.
        """
        self._stop.set()
        for worker in self._workers:
            worker.clock.wake()
        give_up_s = time.monotonic() + STOP_PATIENCE_S
        for worker, thread in zip(self._workers, self._threads, strict=True):
            if thread.ident is not None:
                patience_s = max(give_up_s - time.monotonic(), 0.0)
                thread.join(None if worker is wait_for else patience_s)

    def has_ended(self, worker: Worker) -> bool:
        """Whether a worker's thread is gone."""
        place = list(self._workers).index(worker)
        return not self._threads[place].is_alive()

    def _run(self, worker: Worker) -> None:
        try:
            while not self._stop.is_set():
                worker.clock.sleep_until_ns(worker.next_due_ns())
                if not self._stop.is_set():
                    worker.step()
        except BaseException as error:
            log.debug("%s ended", worker.name, exc_info=True)
            self._failure = error
        finally:
            self.cpu_ns[worker.name] = time.thread_time_ns()


class VirtualRunner:
    """Steps all workers in one thread, always the one whose time is earliest."""

    def __init__(self, workers: Sequence[Worker]) -> None:
        self._workers = workers
        # A step can change when those are due that share the worker's clock, and no others.
        self._beside = [
            [place for place, other in enumerate(workers) if other.clock is worker.clock]
            for worker in workers
        ]

    def run_until(self, done: Callable[[], bool], poll_s: float = 0.0) -> None:
        """Return when `done()` holds; asked every 50 ms of virtual time."""
        next_question_ns = 0
        instants = [_next_instant_ns(worker) for worker in self._workers]
        while True:
            due_ns = min(instants)
            if due_ns >= next_question_ns:
                # Nobody has anything to do before: time passes for all, so that all clocks agree.
                for other in self._workers:
                    other.clock.sleep_until_ns(due_ns)
                if done():
                    return
                next_question_ns = due_ns + QUESTION_NS
                instants = [_next_instant_ns(worker) for worker in self._workers]
                continue  # a camera at rest is due 50 ms from whenever it is asked
            place = instants.index(due_ns)
            worker = self._workers[place]
            worker.clock.sleep_until_ns(due_ns)
            worker.step()
            for other in self._beside[place]:
                instants[other] = _next_instant_ns(self._workers[other])

    def stop(self, wait_for: Worker | None = None) -> None:
        """Nothing runs between two calls."""

    def has_ended(self, worker: Worker) -> bool:
        """Nothing runs between two calls."""
        return True


@contextmanager
def _before_ordinary_programs() -> Generator[None]:
    """Give this thread, and those that it starts, real-time priority where that is allowed.

    A thermal subpage takes more than a dozen transfers and is overwritten after one period; after
    each of them a busy machine would let the bus's thread wait for some milliseconds. It must be
    all threads, or one of ordinary priority is made to wait while it holds the interpreter's lock.
    """
    try:
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(REAL_TIME_PRIORITY))
    except OSError as error:
        log.info("no real-time priority: %s", error.strerror)
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)


def _next_instant_ns(worker: Worker) -> int:
    return max(worker.clock.monotonic_ns(), worker.next_due_ns())
