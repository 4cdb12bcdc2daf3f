"""The two coverage-guided fuzzers, for as many runs as take seconds."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    ("script", "n_runs"), [("fuzz_journal.py", 6_000), ("fuzz_messages.py", 60_000)]
)
def test_no_input_breaks_what_must_hold(tmp_path, script, n_runs):
    pytest.importorskip("atheris", reason="there is no atheris for this machine")
    command = [sys.executable, HERE / script, f"-runs={n_runs}", "-seed=1"]
    done = subprocess.run(
        [*command, f"-artifact_prefix={tmp_path}/"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    covered = re.search(rf"#{n_runs}\s+DONE\s+cov: (\d+)", done.stderr)
    assert covered is not None, done.stderr[-4000:]
    assert int(covered[1]) > 20
