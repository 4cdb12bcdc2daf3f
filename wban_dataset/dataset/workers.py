"""Shards made side by side: in this process, on local processes, or on a dask cluster.

A worker that dies costs the shards that it was making, which are made again.
"""

from __future__ import annotations

import importlib
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from importlib.metadata import version
from multiprocessing import active_children, get_context
from typing import Any

from wban_dataset.dataset.making import ShardTask, make_shard
from wban_dataset.errors import DatasetError

Done = Callable[[], None]
"""Called after each shard."""

MOST_BREAKS = 3
"""How often in a row workers may die without a single shard being finished."""

CONNECT_TIMEOUT_S = 10


def make_shards(
    tasks: Sequence[ShardTask], n_workers: int, scheduler: str | None, done: Done
) -> None:
    """Make all shards; the result does not depend on where.

    Parameters
    ----------
    scheduler
        Address of a dask scheduler, e.g. ``tcp://127.0.0.1:8786``; None: `n_workers` processes.

    Raises
    ------
    SessionError, DatasetError
        What `make_shard` raises, or if workers die again and again.
    """
    if scheduler is not None:
        _on_cluster(tasks, scheduler, done)
    elif n_workers == 1 or len(tasks) <= 1:
        for task in tasks:
            make_shard(task)
            done()
    else:
        _on_processes(tasks, n_workers, done)


def _on_processes(tasks: Sequence[ShardTask], n_workers: int, done: Done) -> None:
    waiting = list(tasks)
    n_breaks = 0
    while waiting:
        finished = _one_pool(waiting, n_workers, done)
        n_breaks = 0 if finished else n_breaks + 1
        waiting = [task for task in waiting if task.shard.name not in finished]
        if n_breaks == MOST_BREAKS:
            raise DatasetError(
                f"session {waiting[0].session.folder}: the worker that read it, or one beside it, "
                f"died {MOST_BREAKS} times, expected it to end. Check that memory suffices, and "
                "try --workers 1."
            )


def _one_pool(tasks: Sequence[ShardTask], n_workers: int, done: Done) -> set[str]:
    """Run a pool until all is done or a worker has died; give the names of finished shards."""
    finished: set[str] = set()
    context = get_context("forkserver")
    context.set_forkserver_preload([make_shard.__module__])
    with ProcessPoolExecutor(
        min(n_workers, len(tasks)), mp_context=context, initializer=_leave_ctrl_c
    ) as pool:
        futures: dict[Future[None], ShardTask] = {}
        try:
            futures |= {pool.submit(make_shard, task): task for task in tasks}
            for future in as_completed(futures):
                future.result()
                finished.add(futures[future].shard.name)
                done()
        except BrokenProcessPool:
            pass  # whoever called begins another pool with the rest
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in active_children():
                process.terminate()
            raise
    return finished


def _leave_ctrl_c() -> None:
    """Let the process that was started by hand answer Ctrl-C; it ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _on_cluster(tasks: Sequence[ShardTask], address: str, done: Done) -> None:
    try:
        distributed: Any = importlib.import_module("distributed")
    except ModuleNotFoundError as error:
        raise DatasetError(
            f"--scheduler needs {error.name}, which is not installed; install it with: "
            "pip install 'wban[scale]'."
        ) from error
    try:
        client = distributed.Client(address, timeout=CONNECT_TIMEOUT_S)
    except (OSError, ValueError, TimeoutError) as error:
        raise DatasetError(
            f"scheduler {address}: it does not answer ({error}), expected a dask scheduler such "
            "as tcp://127.0.0.1:8786. Check the address, or use --workers."
        ) from error
    with client:
        _check_versions(client, address)
        futures = client.map(make_shard, tasks, pure=False)
        try:
            for future in distributed.as_completed(futures):
                future.result()
                done()
        except distributed.KilledWorker as error:
            raise DatasetError(
                f"scheduler {address}: its workers died again and again ({error}), expected them "
                "to end. Check that memory suffices there."
            ) from error
        finally:
            client.cancel(futures)
    for task in tasks:
        if not task.shard.is_dir():
            raise DatasetError(
                f"scheduler {address}: its workers wrote {task.shard} where it cannot be seen "
                "from here, expected the same file system. Build on a disk that all of them share."
            )


def _check_versions(client: Any, address: str) -> None:
    """Check that all workers run this wban; another one might make other bytes."""
    here = version("wban")
    for worker, there in client.run(version, "wban").items():
        if there != here:
            raise DatasetError(
                f"scheduler {address}: worker {worker} has wban {there}, expected {here}. "
                "Install the same version there."
            )
