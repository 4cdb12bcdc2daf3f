"""wban-dataset build as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.integration.command_line import collect, dataset
from tests.integration.motion_sessions import motion_session, study
from tests.unit.small_sessions import content
from wban_dataset import load_dataset


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return study(tmp_path_factory.mktemp("sessions"), 3)


def test_it_says_what_it_built_and_where_to_read_on(sessions, tmp_path):
    done = dataset("build", sessions, "--out", tmp_path / "d")
    assert done.code == 0
    assert "84 windows of 3 sessions, 3 subjects, 2 classes; loso, 3 folds." in done.out
    assert done.out.strip().endswith("README.md")
    assert sorted(content(tmp_path / "d")) == [
        *("README.md", "croissant.json", "dataset.h5", "manifest.json"),
        *("splits.json", "transitions.h5"),
    ]


def test_random_windows_are_built_with_a_warning_and_exit_code_0(sessions, tmp_path):
    done = dataset("build", sessions, "--out", tmp_path / "d", "--protocol", "random")
    assert done.code == 0
    assert "leaky" in done.out
    assert "shared subject" in done.out
    audited = dataset("audit", tmp_path / "d")
    assert audited.code == 3


def test_a_leak_fails_with_exit_code_1_lists_rows_and_leaves_nothing(sessions, tmp_path):
    motion_session(tmp_path / "copy", "S04", 4, seed=2)
    done = dataset("build", sessions, tmp_path / "copy", "--out", tmp_path / "d")
    assert done.code == 1
    assert "near-duplicate recording" in done.err
    assert "rows " in done.err
    assert "Traceback" not in done.err
    assert {path.name for path in tmp_path.iterdir()} == {"copy"}


def test_a_clean_dataset_audits_with_exit_code_0(sessions, tmp_path):
    dataset("build", sessions, "--out", tmp_path / "d")
    assert dataset("audit", tmp_path / "d").code == 0


def test_options_stand_in_a_file_and_those_given_prevail(sessions, tmp_path):
    config = tmp_path / "study.toml"
    config.write_text('name = "Mine"\nwindow = "2s"\noverlap = 0.5\nseed = 7\n')
    done = dataset("build", sessions, "--config", config, "--out", tmp_path / "d", "--seed", 8)
    assert done.code == 0
    manifest = json.loads((tmp_path / "d" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["configuration"]["name"] == "Mine"
    assert manifest["configuration"]["seed"] == 8
    with load_dataset(tmp_path / "d") as built:
        assert built.attributes["window_ns"] == 2 * 10**9
        assert built.attributes["stride_ns"] == 10**9


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("windw = '1s'", "the key windw is unknown (did you mean window?)"),
        ("overlap = 1.5", "overlap is 1.5: expected float < 1.0"),
        ("protocol = 'lose'", "protocol is 'lose': invalid enum value 'lose'"),
        ("thermal_size = [24]", "thermal_size is [24]: expected array of length 2"),
        ("window = ", "it cannot be read"),
        ("window = 'a while'", "window length: found 'a while'"),
    ],
)
def test_a_file_that_cannot_be_used_is_one_sentence(sessions, tmp_path, line, said):
    config = tmp_path / "study.toml"
    config.write_text(line)
    done = dataset("build", sessions, "--config", config, "--out", tmp_path / "d")
    assert done.code == 1
    assert said in done.error
    assert not (tmp_path / "d").exists()


def test_official_subjects_are_read_from_a_list(sessions, tmp_path):
    listed = tmp_path / "test.txt"
    listed.write_text("S02  # the one with the hat\n")
    done = dataset(
        "build", sessions, "--protocol", "official", "--official", listed, "--out", tmp_path / "d"
    )
    assert done.code == 0
    with load_dataset(tmp_path / "d") as built:
        (fold,) = built.folds
        assert set(built.subject[fold.role == 3]) == {"S02"}


def test_json_for_scripts(sessions, tmp_path):
    done = dataset("build", sessions, "--out", tmp_path / "d", "--json")
    said = json.loads(done.out)
    assert (said["n_windows"], said["leaky"], said["protocol"]) == (84, False, "loso")


def test_what_simulate_study_records_needs_no_configuration(tmp_path):
    words = ("--subjects", 2, "--minutes", 0.25, "--workers", 1, "--out", tmp_path / "s")
    assert collect("simulate-study", *words).code == 0
    done = dataset("build", tmp_path / "s", "--out", tmp_path / "d")
    assert done.code == 0, done.err
    with load_dataset(tmp_path / "d") as built:
        assert built.streams == ("accel", "gyro", "infrared", "thermal")
        assert built.stream("thermal").sample_shape == (24, 32)
        assert built.stream("infrared").sample_shape == (60, 80)
        assert {info.source for info in built.sessions} == {"simulated"}
