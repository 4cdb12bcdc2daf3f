"""The recorder and its sealing, killed with -9: what was acknowledged is there, each time."""

from __future__ import annotations

import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.integration.simulated_recording import record_unsealed
from wban_dataset.recording.session import Session

ROOT = Path(__file__).resolve().parents[2]
COLLECT = str(Path(sysconfig.get_path("scripts")) / "wban-collect")
SEALING = [sys.executable, "-m", "wban_dataset.recording.sealing"]

N_KILLS = int(os.environ.get("WBAN_KILLS", "10"))
"""50 for the figure in the README; 10 here."""
SEED = int(os.environ.get("WBAN_KILL_SEED", "1"))
N_AT_ONCE = 3
LATEST_KILL_S = 2.6

SECOND_NS = 1_000_000_000
UNDELIVERED_NS = {"accel": SECOND_NS // 2, "gyro": SECOND_NS // 2, "thermal": 3 * SECOND_NS // 8}
"""What a chip may still hold: half of a FIFO of 85 at 100 Hz; a subpage under way and one ready."""
UNDELIVERED_FRAME_NS = 3 * SECOND_NS // 5
"""A frame being exposed, one being read out, one being handed over, at 5/s."""


@dataclass
class Killed:
    """What a recorder said before it was killed."""

    out: Path
    killed_ns: int = 0
    folder: Path | None = None
    acknowledged: dict[str, int] = field(default_factory=dict)
    longest_fsync_ns: int = 0
    n_commits: int = 0
    complaint: str = ""

    def hear(self, line: dict[str, Any]) -> None:
        """Take in one line of what it says."""
        if "recording" in line:
            self.folder = Path(line["recording"])
        elif "acknowledged" in line:
            self.acknowledged = line["rows"]
            self.longest_fsync_ns = max(self.longest_fsync_ns, line["fsync_ns"])
            self.n_commits += 1


def record_and_kill(out: Path, seed: int, kill_after_s: float) -> Killed:
    """Record in real time; kill -9 so long after the recording has begun."""
    command = [COLLECT, "start", "--simulate", "--json", "--subject", "S01"]
    command += ["--activity", "eating", "--seed", str(seed), "--out", str(out)]
    found = Killed(out)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as recorder:
        assert recorder.stdout is not None
        assert recorder.stderr is not None
        first = recorder.stdout.readline()
        if first:
            found.hear(json.loads(first))
            said = listen(recorder.stdout.fileno(), kill_after_s)
            found.killed_ns = time.monotonic_ns()
            recorder.kill()
            said += os.read(recorder.stdout.fileno(), 1 << 16)  # what it said just before
            for line in said.splitlines(keepends=True):
                if line.endswith(b"\n"):
                    found.hear(json.loads(line))
        found.complaint = recorder.stderr.read().decode()
    return found


def listen(descriptor: int, duration_s: float) -> bytes:
    """Take what is said within so much time."""
    said = b""
    until_s = time.monotonic() + duration_s
    while (left_s := until_s - time.monotonic()) > 0:
        if select.select([descriptor], [], [], left_s)[0]:
            piece = os.read(descriptor, 1 << 16)
            assert piece, "the recorder ended by itself"
            said += piece
    return said


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


@pytest.fixture(scope="module")
def killed(tmp_path_factory) -> list[Killed]:
    """Kill N_KILLS recorders, some at once, at moments spread over the first seconds."""
    chance = random.Random(SEED)
    folder = tmp_path_factory.mktemp("killed")
    jobs = [
        (folder / f"{number:02d}", number + 1, chance.uniform(0.0, LATEST_KILL_S))
        for number in range(N_KILLS)
    ]
    with ThreadPoolExecutor(N_AT_ONCE) as pool:
        return list(pool.map(lambda job: record_and_kill(*job), jobs))


@pytest.fixture(scope="module")
def sealed(killed: list[Killed]) -> list[tuple[Killed, dict[str, Any]]]:
    """Recover each, and what that said."""

    def recover(one: Killed) -> dict[str, Any]:
        done = run([COLLECT, "recover", str(one.out), "--json"])
        assert done.returncode == 3, f"killed after {one.n_commits} commits: {done.stderr}"
        return json.loads(done.stdout)

    with ThreadPoolExecutor(2) as pool:
        return list(zip(killed, pool.map(recover, killed), strict=True))


def test_the_kills_came_at_different_moments_of_a_recording(killed):
    assert len(killed) == N_KILLS
    assert all(one.folder is not None for one in killed), [one.complaint for one in killed]
    assert len({one.n_commits for one in killed}) > 1
    assert not any("Traceback" in one.complaint for one in killed)


def test_every_acknowledged_row_of_every_stream_is_sealed(sealed):
    for one, report in sealed:
        for stream, n_rows in one.acknowledged.items():
            assert report["rows"][stream] >= n_rows, (one, report)


def test_what_is_missing_besides_is_at_most_a_second_and_an_fsync(sealed, record_property):
    missing_ns: dict[str, list[int]] = {}
    for one, _ in sealed:
        assert one.folder is not None
        with Session.open(one.folder) as session:
            for name in session.streams:
                stamps = session.stream(name).monotonic_ns
                if not len(stamps):
                    assert not one.acknowledged.get(name)
                    continue
                tail_ns = one.killed_ns - int(stamps[-1])
                undelivered_ns = UNDELIVERED_NS.get(name, UNDELIVERED_FRAME_NS)
                limit_ns = SECOND_NS + one.longest_fsync_ns + undelivered_ns
                assert tail_ns <= limit_ns, f"{name}: {tail_ns / 1e9:.3f} s, {one}"
                missing_ns.setdefault(name, []).append(tail_ns)
    worst_s = {name: max(tails) / 1e9 for name, tails in missing_ns.items()}
    record_property("longest_missing_s", worst_s)
    print(f"{len(sealed)} kills; longest from the newest sample to the kill, s: {worst_s}")


def test_a_recovered_session_says_what_happened_to_it(sealed):
    for one, report in sealed:
        assert one.folder is not None
        assert (report["recovered"], report["complete"]) == (True, False)
        # Two commit intervals of 0.5 s, as promised, not the time that a virtual one would take.
        assert SECOND_NS <= report["lost_tail_ns"] < 3 * SECOND_NS
        assert sorted(path.name for path in one.folder.iterdir()) == ["session.h5"]
        with Session.open(one.folder) as session:
            check = session.verify()
            assert check.ok, check.problems
            assert [label.label for label in session.labels] == ["eating"]
            for name in session.streams:
                assert np.all(np.diff(session.stream(name).monotonic_ns) > 0), name


# --- sealing is killed ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def journal(tmp_path_factory) -> Path:
    """Give the folder of a recording of ten virtual seconds that nobody has sealed."""
    return record_unsealed(tmp_path_factory.mktemp("unsealed"), "session", 10.0)


def test_sealing_killed_at_random_moments_and_run_again_gives_the_same_bytes(journal, tmp_path):
    whole = Path(shutil.copytree(journal, tmp_path / "whole"))
    begun_s = time.monotonic()
    assert run([*SEALING, str(whole)]).returncode == 0
    took_s = time.monotonic() - begun_s
    expected = (whole / "session.h5").read_bytes()
    chance = random.Random(SEED)
    left_unsealed = 0
    for number in range(max(3, N_KILLS // 4)):
        folder = Path(shutil.copytree(journal, tmp_path / f"killed-{number}"))
        kill_while_sealing(folder, chance.uniform(0.2, 1.0) * took_s)
        left_unsealed += not (folder / "session.h5").exists()
        done = run([COLLECT, "seal", str(folder)])
        assert done.returncode == 0, done.stderr
        assert [path.name for path in folder.iterdir()] == ["session.h5"]
        assert (folder / "session.h5").read_bytes() == expected
    assert left_unsealed, "every kill came too late to hit anything"


def kill_while_sealing(folder: Path, after_s: float) -> None:
    with subprocess.Popen([*SEALING, str(folder), "--progress"], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        until_s = time.monotonic() + after_s
        while (left_s := until_s - time.monotonic()) > 0:
            ready = select.select([child.stdout], [], [], left_s)[0]
            if ready and not os.read(child.stdout.fileno(), 1 << 16):
                break  # it was faster
        child.kill()


def test_a_killed_sealing_child_is_a_clear_failure_and_the_journal_stays(journal, tmp_path):
    folder = Path(shutil.copytree(journal, tmp_path / "session"))
    site = tmp_path / "site"
    site.mkdir()
    # The child dies as it begins to work; the folder is on its path alone.
    (site / "sitecustomize.py").write_text(
        "import os, sys\n"
        "if '--progress' in sys.orig_argv:\n"
        f"    os.kill(os.getpid(), {int(signal.SIGKILL)})\n"
    )
    done = subprocess.run(
        [COLLECT, "seal", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(site)},
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {folder} was recorded but not sealed: ")
    assert "signal 9" in done.stderr
    assert f"wban-collect seal {folder}" in done.stderr
    assert len(list((folder / "journal").iterdir())) >= 1
