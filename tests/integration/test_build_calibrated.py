"""What hygiene found is applied where it is asked for, and only there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from tests.integration.motion_sessions import study, walk
from tests.unit.small_sessions import session_id
from wban_dataset import build, load_dataset
from wban_dataset.hygiene.findings import FORMAT, FORMAT_VERSION

STANDARD_GRAVITY = 9.80665


def write_calibration(folder: Path, number: int) -> None:
    calibration = {
        "scale": [1.1, 1.0, 0.9],
        "offset": [0.01, 0.0, -0.02],
        "error_before_g": 0.05,
        "error_after_g": 0.01,
        "n_points": 40,
    }
    record = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "session_id": session_id(number),
        "streams": {"accel": {"gravity": {"calibration": calibration, "refusal": ""}}},
    }
    (folder / "hygiene.json").write_text(json.dumps(record))


def test_a_calibration_is_applied_where_it_is_asked_for(tmp_path: Path):
    study(tmp_path / "s", 2)
    write_calibration(tmp_path / "s" / "S02_2", 2)
    raw = walk(2, 12) * 0.04
    offset = np.array([0.01, 0.0, -0.02]) * STANDARD_GRAVITY
    expected = {False: raw, True: raw * [1.1, 1.0, 0.9] + offset}
    for calibrate, values in expected.items():
        report = build(tmp_path / "s", tmp_path / "d", calibrate=calibrate)
        assert report.n_reused == 0
        with load_dataset(report.out) as dataset:
            accel = dataset.stream("accel")
            np.testing.assert_allclose(accel.rows(*accel.offset[1:3]), values, atol=1e-4)
            np.testing.assert_allclose(accel.rows(*accel.offset[:2]), walk(1, 12) * 0.04, atol=1e-4)
