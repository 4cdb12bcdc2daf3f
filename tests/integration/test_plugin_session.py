"""The package of docs/example_plugin, installed beside wban: a simulated session end to end."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.integration.command_line import ROOT, SCRIPTS, Outcome
from tests.unit.plugin_packages import EXAMPLE, register_example
from wban_dataset.recording.session import Session

DEVICE = """
[[motion]]

[[device]]
driver = "mma8451"
name = "ankle_accel"
address = 0x1d
placement = "left ankle"
options = { sampling_rate_hz = 50.0, range_g = 4 }
"""


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    path = tmp_path / "wban.toml"
    path.write_text(DEVICE)
    return path


def collect(*words: object, installed: Path | None) -> Outcome:
    """Run wban-collect with the example's package installed in a folder, or without it."""
    paths = [] if installed is None else [str(installed), str(EXAMPLE)]
    done = subprocess.run(
        [SCRIPTS / "wban-collect", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def test_a_session_with_a_third_party_chip_is_sealed_and_read_without_its_package(
    tmp_path: Path, configuration: Path
) -> None:
    register_example(tmp_path / "site")
    out = tmp_path / "out"
    words = ("--subject", "S01", "--activity", "walking", "--simulate", "--fast")
    done = collect(
        *("start", *words, "--duration", "20s", "--out", out, "--config", configuration),
        installed=tmp_path / "site",
    )
    assert (done.code, done.err) == (0, "")
    (folder,) = out.iterdir()
    with Session.open(folder) as session:
        assert session.verify().ok
        assert {"accel", "gyro", "ankle_accel"} <= set(session.streams)
        ankle, accel = session.stream("ankle_accel"), session.stream("accel")
        assert (ankle.device, ankle.placement) == ("MMA8451Q", "left ankle")
        assert ankle.n == pytest.approx(1000, abs=40)
        # Both chips are on one person: what they measure differs by their errors and filters.
        at_ns = ankle.monotonic_ns[50:-50]
        there = np.interp(at_ns, accel.monotonic_ns, accel.read()[:, 2])
        assert np.corrcoef(there, ankle.read()[50:-50, 2])[0, 1] > 0.95


def test_config_check_names_the_streams_that_the_plug_in_makes(
    tmp_path: Path, configuration: Path
) -> None:
    register_example(tmp_path / "site")
    done = collect("config", "check", "--config", configuration, installed=tmp_path / "site")
    assert done.code == 0
    assert done.out.startswith("ok: streams accel, gyro, ankle_accel\n")


@pytest.mark.parametrize("command", ["check", "start"])
def test_without_the_package_the_configuration_is_refused(
    tmp_path: Path, configuration: Path, command: str
) -> None:
    words: tuple[object, ...] = ("config", "check", "--config", configuration)
    if command == "start":
        words = ("start", "--subject", "S01", "--activity", "walking", "--simulate", "--fast")
        words += ("--duration", "1s", "--out", tmp_path / "out", "--config", configuration)
    done = collect(*words, installed=None)
    assert done.code == 2
    assert "ankle_accel: no installed package brings the driver 'mma8451'; none" in done.error


def test_what_the_chip_cannot_do_is_refused_in_its_drivers_words(
    tmp_path: Path, configuration: Path
) -> None:
    register_example(tmp_path / "site")
    configuration.write_text(DEVICE.replace("50.0", "60.0"))
    done = collect("config", "check", "--config", configuration, installed=tmp_path / "site")
    assert done.code == 2
    assert "MMA8451Q: sampling_rate_hz is 60; allowed are 100, 50, 12.5, 6.25" in done.error


def test_the_page_shows_the_package_as_it_is() -> None:
    """Every code block of docs/plugins.md that names a file of the example is in that file."""
    page = (ROOT / "docs" / "plugins.md").read_text()
    blocks = re.findall(r"`(\S+)`:\n\n```\w+\n(.*?)```", page, re.DOTALL)
    shown = [(name, text) for name, text in blocks if (EXAMPLE / name).exists()]
    assert {name for name, _ in shown} == {"pyproject.toml", "wban_mma8451.py"}
    for name, text in shown:
        for piece in text.split("...\n"):
            assert piece.strip("\n") in (EXAMPLE / name).read_text(), f"{name}: {piece}"
