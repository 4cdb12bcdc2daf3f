"""The sealer on a disk that is really full: nothing is lost, and it goes on when there is room."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from tests.integration.command_line import ROOT

PROGRAM = """
import json, os, shutil, sys
from pathlib import Path

from tests.integration.simulated_recording import record_unsealed
from wban_collect.keeping.sealer import Sealer

out = Path(sys.argv[1])
folder = record_unsealed(out, "session", 20.0)
journal = {path: path.read_bytes() for path in (folder / "journal").iterdir()}
filler = out / "filler"
left = sum(map(len, journal.values())) // 4
with filler.open("wb") as file:
    os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(out).free - left)

now_s, sealed = 0.0, []
sealer = Sealer(out, limit=1, on_sealed=sealed.append, monotonic=lambda: now_s)
sealer.find_left_over()
steps = [sealer.step()]
found = {
    "error": sealer.warnings[0],
    "failed": sealer.backlog.failed,
    "waiting": sealer.backlog.n_waiting,
    "intact": all(path.read_bytes() == content for path, content in journal.items()),
    "left": sorted(path.name for path in folder.iterdir()),
}
now_s += 3600
steps.append(sealer.step())
filler.unlink()
now_s += 60
steps.append(sealer.step())
found |= {"steps": steps, "sealed": [outcome.exit_code for outcome in sealed]}
found["after"] = sorted(path.name for path in folder.iterdir())
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory) -> dict[str, object]:
    """Run the program on a small file system of its own."""
    place = tmp_path_factory.mktemp("small")
    probe = ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", str(place)]
    if shutil.which("unshare") is None or subprocess.run(probe, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here: that needs root and unshare")
    script = 'mount -t tmpfs -o size=300m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script, "sh", str(place), sys.executable, PROGRAM],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_full_disk_costs_nothing_of_the_journal(found):
    assert "No space left on device" in found["error"]
    assert found["intact"]
    assert found["left"] == ["journal"]


def test_the_session_waits_for_room_rather_than_being_tried_in_vain(found):
    assert (found["waiting"], found["failed"]) == (1, [])
    assert found["steps"] == [True, False, True]


def test_it_is_sealed_once_there_is_room(found):
    assert found["sealed"] == [0]
    assert found["after"] == ["session.h5", "summary.json"]
