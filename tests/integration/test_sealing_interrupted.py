"""Killed at any point and run again, sealing gives the same bytes; and it stays small."""

from __future__ import annotations

import dataclasses
import gc
import hashlib
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration import session_journal as made
from wban_dataset.recording import container, sealing
from wban_dataset.recording.journal_index import JournalIndex
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.streams import SessionEnd

ROOT = Path(__file__).resolve().parents[2]


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sealed_bytes(folder: Path) -> str:
    seal(folder)
    return digest(folder / "session.h5")


class Killed(BaseException):
    """Stands for the end of the process: nothing catches it."""


STEPS = (
    (container.ContainerWriter, "create_group"),
    (container.ContainerWriter, "write"),
    (container.RowWriter, "_write"),
    (sealing, "_sync_and_forget"),
    (sealing, "compare"),
    (Path, "rename"),
    (sealing, "sync_directory"),
    (Path, "unlink"),
    (shutil, "rmtree"),
)
"""Calls that change the disk or come between those that do."""


def count_steps(monkeypatch: pytest.MonkeyPatch, kill: Callable[[int], None]) -> None:
    """Call `kill` with the number of each step before it is taken."""
    number = 0

    def wrapped(original: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            nonlocal number
            kill(number)
            number += 1
            return original(*args, **kwargs)

        return step

    for owner, name in STEPS:
        monkeypatch.setattr(owner, name, wrapped(getattr(owner, name)))


def small_session(folder: Path) -> Path:
    items = made.whole_session(seconds=1)
    return made.write_journal(folder, items, segment_bytes=12_000)


def n_steps(tmp_path: Path) -> int:
    numbers: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        count_steps(patch, numbers.append)
        seal(small_session(tmp_path / "counted"))
    return len(numbers)


def test_sealing_killed_at_every_step_and_run_again_gives_the_same_bytes(tmp_path):
    template = small_session(tmp_path / "template")
    expected = sealed_bytes(Path(shutil.copytree(template, tmp_path / "whole")))
    total = n_steps(tmp_path)
    assert total > 150
    steps = [
        *range(0, total - 14, 29),
        *range(total - 14, total),
    ]  # the last ones touch the journal
    for step in steps:
        folder = Path(shutil.copytree(template, tmp_path / f"killed-{step}"))

        def kill(number: int, at: int = step) -> None:
            if number == at:
                raise Killed

        with pytest.MonkeyPatch.context() as patch:
            count_steps(patch, kill)
            with pytest.raises(Killed):
                seal(folder)
        assert sealed_bytes(folder) == expected, f"killed at step {step}"
        assert sorted(path.name for path in folder.iterdir()) == ["session.h5"]
        shutil.rmtree(folder)


KILLED_BY_SIGNAL = """
import os, signal, sys
from pathlib import Path
import pytest
from tests.integration import test_sealing_interrupted as interrupted
at, folder = int(sys.argv[1]), Path(sys.argv[2])
def kill(number):
    if number == at:
        os.kill(os.getpid(), signal.SIGKILL)
interrupted.count_steps(pytest.MonkeyPatch(), kill)
interrupted.seal(folder)
"""


@pytest.mark.parametrize("part", [0.3, 0.6, 0.97])
def test_a_real_sigkill_while_sealing_leaves_nothing_that_another_run_cannot_finish(tmp_path, part):
    template = small_session(tmp_path / "template")
    expected = sealed_bytes(Path(shutil.copytree(template, tmp_path / "whole")))
    step = int(part * n_steps(tmp_path))
    command = [sys.executable, "-c", KILLED_BY_SIGNAL, str(step), str(template)]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    assert sealed_bytes(template) == expected


def test_the_bytes_do_not_depend_on_where_or_when(tmp_path):
    one = sealed_bytes(small_session(tmp_path / "one"))
    other = sealed_bytes(small_session(tmp_path / "another" / "place"))
    assert one == other


PEAK = """
import sys
from wban_dataset.recording.sealing import main
code = main([sys.argv[1]])
with open("/proc/self/status") as file:  # ru_maxrss would count the parent that was forked
    (peak,) = [line.split()[1] for line in file if line.startswith("VmHWM")]
print(code, peak)
"""


def peak_mb(folder: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    code, kilobytes = done.stdout.splitlines()[-1].split()
    assert code == "0"
    return int(kilobytes) / 1024


def picture_session(folder: Path, n_frames: int) -> Path:
    """A journal of pictures of 77 kB that do not compress."""
    spec = dataclasses.replace(made.infrared_spec(), sample_shape=(240, 320))
    header = dataclasses.replace(made.HEADER, gzip_level=0)
    noise = np.random.default_rng(1).integers(0, 256, (1, 240, 320), dtype=np.uint8)
    blocks = [
        dataclasses.replace(made.frame_block(i), data=np.roll(noise, i)) for i in range(n_frames)
    ]
    end = SessionEnd(made.START_NS + n_frames * made.FRAME_PERIOD_NS, "", {})
    return made.write_journal(folder, [header, spec, *blocks, end], segment_bytes=16_000_000)


def test_memory_does_not_grow_with_the_pictures(tmp_path):
    small = peak_mb(picture_session(tmp_path / "small", 60))  # 5 MB
    large = peak_mb(picture_session(tmp_path / "large", 600))  # 46 MB
    assert large < 120
    assert large - small < 15


def test_the_index_of_a_journal_takes_little_per_block(tmp_path):
    n_frames = 4000
    spec = dataclasses.replace(made.infrared_spec(), sample_shape=(1, 1))
    pixel = np.zeros((1, 1, 1), np.uint8)
    blocks = [dataclasses.replace(made.frame_block(i), data=pixel) for i in range(n_frames)]
    folder = made.write_journal(
        tmp_path / "s", [made.HEADER, spec, *blocks], segment_bytes=16_000_000
    )
    JournalIndex.scan(folder / "journal")  # loads what is loaded once
    gc.collect()
    tracemalloc.start()
    try:
        index = JournalIndex.scan(folder / "journal")
        gc.collect()
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert index.streams["infrared"].n_rows == n_frames
    # 12 numbers of 8 bytes, 37 bytes of columns, and room to grow
    assert held_bytes / n_frames < 12 * 8 + 37 + 100
