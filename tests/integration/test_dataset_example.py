"""The worked example of the documentation runs as it stands there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.command_line import ROOT, SCRIPTS
from wban_dataset import load_dataset


def test_the_example_goes_from_a_study_to_a_score(tmp_path: Path):
    for package in ("sklearn", "pandas", "xarray"):
        pytest.importorskip(package, reason="the extra analysis is not installed")
    done = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "notebook_example.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}"},
    )
    assert done.returncode == 0, done.stderr
    assert "4 folds, leaky: False" in done.stdout
    assert "macro-F1 on people never seen: 0." in done.stdout
    with load_dataset(tmp_path / "dataset") as dataset:
        assert [fold.name for fold in dataset.folds] == ["S01", "S02", "S03", "S04"]
