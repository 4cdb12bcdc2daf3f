"""The kernel's out-of-memory killer, let loose on one process in a memory cgroup of its own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

V1, V2 = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
ROOM_BYTES = 192 << 20
PIECE_BYTES = 4 << 20
PATIENCE_S = 20.0


class MemoryCgroup:
    """A cgroup that may use so much memory and no more; swap does not count as a way out.

    Raises
    ------
    OSError
        If this machine lets nobody make one, or only root.
    """

    def __init__(self, name: str) -> None:
        self._is_v1 = (V1 / "memory.limit_in_bytes").exists()
        self.path = (V1 if self._is_v1 else V2) / name
        self.path.mkdir()
        try:
            limit = "memory.limit_in_bytes" if self._is_v1 else "memory.max"
            (self.path / limit).write_text(str(ROOM_BYTES))
        except OSError:
            self.remove()
            raise

    def take(self, pid: int) -> None:
        """Account a process here from now on."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def n_kills(self) -> int:
        """Count the processes that the kernel has killed here for want of memory."""
        events = "memory.oom_control" if self._is_v1 else "memory.events"
        lines = (self.path / events).read_text().splitlines()
        return int(dict(line.split() for line in lines)["oom_kill"])

    def remove(self) -> None:
        """Remove it; nobody is in it any more."""
        self.path.rmdir()


class OomKiller:
    """Lets a second process eat all memory that the first may have; the kernel kills the first."""

    def __init__(self, cgroup: MemoryCgroup) -> None:
        self._cgroup = cgroup

    def kill(self, pid: int) -> int:
        """Return once the kernel has killed the process, and tell when that was seen.

        Raises
        ------
        RuntimeError
            If it did not, although there was no memory left.
        """
        self._cgroup.take(pid)
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")  # before whoever eats the memory
        before = self._cgroup.n_kills()
        glutton = os.fork()
        if glutton == 0:
            _eat(self._cgroup)
        try:
            return self._wait(before)
        finally:
            os.kill(glutton, signal.SIGKILL)
            os.waitpid(glutton, 0)

    def _wait(self, before: int) -> int:
        until_s = time.monotonic() + PATIENCE_S
        while self._cgroup.n_kills() == before:
            if time.monotonic() > until_s:
                raise RuntimeError("memory is exhausted, and the kernel has killed nobody")
            time.sleep(0.005)
        return time.monotonic_ns()


@contextmanager
def oom_killer() -> Generator[OomKiller]:
    """Make a cgroup and what kills in it; both are gone afterwards."""
    cgroup = MemoryCgroup(f"wban-faults-{os.getpid()}")
    try:
        yield OomKiller(cgroup)
    finally:
        cgroup.remove()


def unavailable() -> str:
    """Say why the kernel cannot be made to kill here, or ""."""
    try:
        MemoryCgroup(f"wban-faults-probe-{os.getpid()}").remove()
    except OSError as error:
        return f"no memory cgroup can be made here ({error.strerror}); root can on most machines"
    return ""


def _eat(cgroup: MemoryCgroup) -> None:
    """Eat until somebody ends it; never returns."""
    try:
        cgroup.take(os.getpid())
        eaten: list[bytearray] = []
        while True:
            eaten.append(bytearray(b"x") * PIECE_BYTES)
    finally:
        os._exit(3)
