"""Workers that die, builds that are interrupted, and a dask cluster: the same bytes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.motion_sessions import study
from tests.unit.small_sessions import content
from wban_dataset import build
from wban_dataset.dataset.shard import is_whole
from wban_dataset.errors import DatasetError

MOST_S = 60.0
BUILD = """
import sys
from wban_dataset import build
if __name__ == "__main__":
    build(sys.argv[1], sys.argv[2], workers=int(sys.argv[3]))
"""


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study(tmp_path_factory.mktemp("sessions"), 6, frames=True)


@pytest.fixture(scope="module")
def expected(sessions: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return content(build(sessions, tmp_path_factory.mktemp("one") / "dataset").out)


def children(pid: int) -> list[int]:
    try:
        return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def until(found: Callable[[], object]) -> object:
    """Wait for something; what it takes is not what is tested."""
    end = time.monotonic() + MOST_S
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.002)
    raise AssertionError("waited in vain")


def started(tmp_path: Path, sessions: Path, n_workers: int) -> subprocess.Popen[str]:
    script = tmp_path / "script.py"
    script.write_text(BUILD)
    words = [sys.executable, str(script), str(sessions), str(tmp_path / "dataset"), str(n_workers)]
    return subprocess.Popen(words, stderr=subprocess.PIPE, text=True)


def test_a_worker_that_is_killed_costs_a_retry(sessions, expected, tmp_path):
    running = started(tmp_path, sessions, 2)

    def a_worker() -> int | None:
        """A grandchild: the child that forks them is no worker."""
        assert running.poll() is None, running.communicate()
        found = [worker for child in children(running.pid) for worker in children(child)]
        return found[0] if found else None

    os.kill(until(a_worker), signal.SIGKILL)
    _, said = running.communicate(timeout=MOST_S)
    assert running.returncode == 0, said
    assert content(tmp_path / "dataset") == expected
    assert not (tmp_path / ".dataset.building").exists()


def test_an_interrupted_build_goes_on_where_it_was(sessions, expected, tmp_path):
    running = started(tmp_path, sessions, 1)
    folder = tmp_path / ".dataset.building"

    def shards() -> list[Path]:
        if not folder.is_dir():
            return []
        return [path for path in folder.iterdir() if not path.name.startswith(".")]

    until(shards)
    running.kill()
    running.communicate(timeout=MOST_S)
    kept = {path.name: path.stat().st_mtime_ns for path in shards() if is_whole(path)}
    assert kept
    assert not (tmp_path / "dataset").exists()
    seen: dict[str, int] = {}

    def look(stage: str, done: int, total: int) -> None:
        if stage == "auditing":
            seen.update({path.name: path.stat().st_mtime_ns for path in shards()})

    build(sessions, tmp_path / "dataset", progress=look)
    assert kept.items() <= seen.items()
    assert content(tmp_path / "dataset") == expected


def test_a_second_build_of_the_same_dataset_waits_its_turn(sessions, tmp_path):
    def build_again(stage: str, done: int, total: int) -> None:
        if stage == "auditing" and done == 0:
            with pytest.raises(DatasetError, match="another process is building it"):
                build(sessions, tmp_path / "dataset")

    build(sessions, tmp_path / "dataset", progress=build_again)


def test_a_scheduler_that_is_not_there_is_a_sentence(sessions, tmp_path):
    pytest.importorskip("distributed", reason="the extra scale is not installed")
    with pytest.raises(DatasetError, match="it does not answer"):
        build(sessions, tmp_path / "dataset", scheduler="tcp://127.0.0.1:9")
    assert not list(tmp_path.iterdir())


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Start a scheduler and two workers, each a process of its own, on loopback."""
    file = folder / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    scheduler = [sys.executable, "-W", "ignore", "-m", "distributed.cli.dask_scheduler"]
    scheduler += ["--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show"]
    scheduler += ["--scheduler-file", str(file)]
    worker = [sys.executable, "-W", "ignore", "-m", "distributed.cli.dask_worker"]
    worker += ["--scheduler-file", str(file), "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    worker += ["--host", "127.0.0.1", "--local-directory", str(folder)]
    processes = [subprocess.Popen(scheduler, **quiet)]
    try:
        until(file.is_file)
        processes += [subprocess.Popen(worker, **quiet) for _ in range(2)]
        yield json.loads(file.read_text())["address"], processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_dask_cluster_gives_the_same_bytes_also_if_a_worker_is_killed(
    sessions, expected, tmp_path
):
    distributed = pytest.importorskip("distributed", reason="the extra scale is not installed")
    folder = tmp_path / "cluster"
    folder.mkdir()
    with cluster(folder) as (address, workers):
        with distributed.Client(address) as client:
            client.wait_for_workers(2, timeout=MOST_S)
        killed: list[int] = []

        def kill_one(stage: str, done: int, total: int) -> None:
            if stage == "converting" and done == 1:
                workers[0].kill()
                killed.append(workers[0].wait())

        build(sessions, tmp_path / "dataset", scheduler=address, progress=kill_one)
        assert killed == [-signal.SIGKILL]
    assert content(tmp_path / "dataset") == expected
