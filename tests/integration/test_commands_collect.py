"""wban-collect and wban-dataset as their user meets them, where all is well."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import tomllib
from pathlib import Path

import click
import pytest

from tests.integration.command_line import ROOT, SCRIPTS, collect, dataset
from tests.integration.simulated_recording import record_unsealed
from wban_collect.cli.main import cli
from wban_dataset.cli.main import cli as dataset_cli
from wban_dataset.cli.verify import UNSEALED
from wban_dataset.recording.session import Session

WHO = ("--subject", "S01", "--activity", "eating")
FAST = ("--simulate", "--fast", "--duration", "2s")
STREAMS = {"accel", "gyro", "infrared", "thermal"}


def only_session(out: Path) -> Path:
    (folder,) = out.iterdir()
    return folder


# --- recording -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(tmp_path_factory) -> Path:
    """Give the folder of a session of five simulated seconds."""
    out = tmp_path_factory.mktemp("recordings")
    done = collect("start", *WHO, "--simulate", "--fast", "--duration", "5s", "--out", out)
    assert (done.code, done.err) == (0, "")
    assert "0 lost" in done.out
    folder = only_session(out)
    assert f"Next: wban-dataset inspect {folder}" in done.out
    return folder


def test_a_simulated_recording_is_sealed_whole_and_says_who_did_what(simulated):
    assert [path.name for path in simulated.iterdir()] == ["session.h5"]
    assert simulated.name.endswith("_S01_eating")
    with Session.open(simulated) as session:
        assert (session.subject, session.activity, session.simulated) == ("S01", "eating", True)
        assert (session.complete, session.recovered) == (True, False)
        assert set(session.streams) == STREAMS
        assert [label.label for label in session.labels] == ["eating"]
        assert session.verify().ok


def test_every_stream_is_as_long_as_was_asked_for(simulated):
    with Session.open(simulated) as session:
        (label,) = session.labels
        # The duration counts from when all deliver; chips that were ready earlier have more.
        assert 5.0 <= (label.stop_ns - label.start_ns) / 1e9 < 6.0
        for name in session.streams:
            stamps = session.stream(name).monotonic_ns
            # A FIFO is emptied, and a subpage is ready, only now and then.
            assert 4.7 < (stamps[-1] - stamps[0]) / 1e9 < 6.0


def test_json_lines_name_the_folder_the_fsyncs_and_the_result(tmp_path):
    done = collect("start", *WHO, *FAST, "--json", "--out", tmp_path)
    assert done.code == 0
    first, *commits, last = [json.loads(line) for line in done.out.splitlines()]
    assert first == {"recording": str(only_session(tmp_path))}
    assert commits
    assert all(set(commit["rows"]) <= STREAMS for commit in commits)
    assert commits[-1]["rows"] == last["rows"]
    assert (last["exit"], last["ended"], last["complete"]) == (0, "duration reached", True)


def test_the_next_recording_does_not_touch_the_one_before(tmp_path, monkeypatch):
    monkeypatch.setattr("wban_collect.plan.folder_name", lambda *_, **__: "same-second")
    for _ in range(2):
        assert collect("start", *WHO, *FAST, "--out", tmp_path).code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["same-second", "same-second-2"]


def test_spaced_activity_and_one_of_the_users_own_are_accepted(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text('[study]\nactivities = ["paper", "brushing teeth"]\n[[infrared]]\n')
    out = tmp_path / "out"
    for given, slug in (
        ("Speak and Walk", "speak_and_walk"),
        ("brushing  teeth", "brushing_teeth"),
    ):
        where = out / slug
        done = collect(
            "start", "--subject", "S01", "--activity", given, *FAST, "--out", where, "--config", own
        )
        assert done.code == 0, done.err
        with Session.open(only_session(where)) as session:
            assert session.activity == slug


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_and_seals_a_recording_in_order(tmp_path, number):
    command = [SCRIPTS / "wban-collect", "start", *WHO, "--simulate", "--json", "--out", tmp_path]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    ) as recorder:
        assert recorder.stdout is not None
        lines = [recorder.stdout.readline() for _ in range(3)]  # the folder, then two fsyncs
        recorder.send_signal(number)
        recorder.send_signal(number)  # the impatient press twice
        rest, complaint = recorder.communicate()
    assert recorder.returncode in (0, 3)  # a busy machine misses a thermal subpage
    assert complaint == ""
    last = json.loads(rest.splitlines()[-1])
    assert (last["ended"], last["complete"]) == ("asked to stop", True)
    acknowledged = json.loads(lines[-1])["rows"]
    assert all(last["rows"][name] >= n_rows for name, n_rows in acknowledged.items())
    assert [path.name for path in only_session(tmp_path).iterdir()] == ["session.h5"]


def test_whoever_reads_the_lines_may_go_away(tmp_path):
    command = [SCRIPTS / "wban-collect", "start", *WHO, "--simulate", "--json"]
    with subprocess.Popen(
        [*command, "--duration", "2s", "--out", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    ) as recorder:
        assert recorder.stdout is not None
        assert recorder.stderr is not None
        recorder.stdout.readline()
        recorder.stdout.close()
        complaint = recorder.stderr.read()
    assert "Traceback" not in complaint
    with Session.open(only_session(tmp_path)) as session:
        assert session.complete
        assert session.attributes["end_reason"] == "duration reached"


# --- studies -------------------------------------------------------------------------------------


def study_files(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.h5"))}


def test_a_study_is_the_same_to_the_byte_and_goes_on_where_it_was_interrupted(tmp_path):
    def simulate(out: Path) -> dict[str, bytes]:
        plan = ("--subjects", 2, "--minutes", 0.2, "--workers", 1)
        done = collect("simulate-study", *plan, "--out", out, "--json")
        assert done.code == 0, done.err
        kept.append(sum("kept" in json.loads(line) for line in done.out.splitlines()))
        return study_files(out)

    kept: list[int] = []
    first = simulate(tmp_path / "a")
    assert len(first) == 2
    for path in (tmp_path / "a").glob("*_S02_*/session.h5"):
        path.unlink()  # interrupted while the second was being recorded
        (path.parent / "journal").mkdir()
        (path.parent / "journal" / "000000.wbj").write_bytes(b"half a record")
    assert simulate(tmp_path / "a") == first
    assert kept == [0, 1]
    with Session.open(next((tmp_path / "a").glob("*_S01_*"))) as session:
        assert session.simulated
        assert {label.label for label in session.labels} <= {
            "eating", "sleeping", "staying", "standing", "sitting",
        }  # fmt: skip


# --- seal and recover ----------------------------------------------------------------------------


def test_sealing_twice_changes_nothing(simulated):
    before = (simulated / "session.h5").read_bytes()
    done = collect("seal", simulated)
    assert (done.code, done.err) == (0, "")
    assert (simulated / "session.h5").read_bytes() == before


def test_recover_seals_what_waits_and_only_that(tmp_path, simulated):
    for seed, name in ((1, "one"), (2, "below/two")):
        record_unsealed(tmp_path / Path(name).parent, Path(name).name, 2.0, seed)
    shutil.copytree(simulated, tmp_path / "sealed")
    (tmp_path / "notes").mkdir()
    done = collect("recover", tmp_path, "--json")
    assert done.code == 0, done.err
    sealed = {json.loads(line)["session"] for line in done.out.splitlines()}
    assert sealed == {str(tmp_path / "one"), str(tmp_path / "below" / "two")}
    assert not list(tmp_path.rglob("journal"))
    again = collect("recover", tmp_path)
    assert again.code == 0
    assert "no session waits" in again.out


def test_recover_goes_on_after_a_session_that_cannot_be_sealed(tmp_path):
    record_unsealed(tmp_path, "whole", 2.0)
    broken = record_unsealed(tmp_path, "broken", 2.0)
    (broken / "session.h5").write_bytes(b"not made from this journal")
    before = {path.name: path.read_bytes() for path in (broken / "journal").iterdir()}
    done = collect("recover", tmp_path)
    assert done.code == 1
    assert str(broken) in done.error
    assert (tmp_path / "whole" / "session.h5").exists()
    assert {path.name: path.read_bytes() for path in (broken / "journal").iterdir()} == before


def test_recover_clears_away_what_is_no_recording_once(tmp_path):
    (tmp_path / "cut" / "journal").mkdir(parents=True)
    nobody = tmp_path / "nobody" / "journal"
    nobody.mkdir(parents=True)
    (nobody / "000000.wbj").write_bytes(b"no journal at all")
    done = collect("recover", tmp_path)
    assert (done.code, done.err) == (3, "")
    first, second = done.out.splitlines()
    assert f"{tmp_path / 'cut'}: " in first
    assert "removed" in first
    assert str(tmp_path / "nobody.unreadable") in second
    kept = tmp_path / "nobody.unreadable" / "journal" / "000000.wbj"
    assert kept.read_bytes() == b"no journal at all"
    again = collect("recover", tmp_path)
    assert again.code == 0
    assert "no session waits" in again.out
    assert [path.name for path in tmp_path.iterdir()] == ["nobody.unreadable"]


def test_recover_tells_of_remains_as_json_too(tmp_path):
    (tmp_path / "cut" / "journal").mkdir(parents=True)
    done = collect("recover", tmp_path, "--json")
    assert done.code == 0
    assert json.loads(done.out) == {
        "session": str(tmp_path / "cut"),
        "exit": 0,
        "sealed": False,
        "moved_to": "",
    }


def test_a_recording_under_way_is_neither_sealed_nor_touched(tmp_path):
    command = [SCRIPTS / "wban-collect", "start", *WHO, "--simulate", "--json", "--out", tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as recorder:
        assert recorder.stdout is not None
        recorder.stdout.readline()
        recorder.stdout.readline()
        refused = collect("recover", tmp_path)
        recorder.terminate()
        last = json.loads(recorder.communicate()[0].splitlines()[-1])
    assert refused.code == 1
    assert "another process is recording into it" in refused.error
    assert (recorder.returncode, last["complete"], sum(last["n_lost"].values())) == (0, True, 0)


def test_sealing_a_folder_that_is_no_session_says_so(tmp_path):
    done = collect("seal", tmp_path)
    assert done.code == 1
    assert str(tmp_path) in done.error
    assert "was recorded" not in done.error
    assert not list(tmp_path.iterdir())


# --- configuration -------------------------------------------------------------------------------


def test_the_example_configuration_checks_and_shows_what_it_says(tmp_path):
    path = tmp_path / "mine.toml"
    assert collect("config", "init", path).code == 0
    checked = collect("config", "check", "--config", path)
    assert checked.code == 0
    assert "MB an hour" in checked.out
    shown = collect("config", "show", "--config", path)
    assert shown.code == 0
    again = tmp_path / "again.toml"
    again.write_text(shown.out)
    assert collect("config", "show", "--config", again).out == shown.out
    assert tomllib.loads(shown.out)["storage"]["commit_interval_s"] == 0.5


def test_init_never_writes_over_a_file_unless_told(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("precious")
    done = collect("config", "init", path)
    assert done.code == 2
    assert "--force" in done.error
    assert path.read_text() == "precious"
    assert collect("config", "init", path, "--force").code == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[storage]\ngzip_levle = 1\n", "did you mean gzip_level"),
        ("[storage]\ngzip_level = 99\n", "storage.gzip_level is 99"),
        ("[[motion]]\naccel_range_g = 3\n", "expected one of 2, 4, 8, 16"),
        ("[[motion]]\n[[motion]]\n", "two devices make the stream 'accel'"),
        ("[storage\n", "not valid TOML"),
        ("\x00\n", "not valid TOML"),
        ('[study]\nactivities = "papre"\n', "study.activities is 'papre'"),
    ],
)
def test_a_bad_configuration_is_refused_by_its_key(tmp_path, text, expected):
    path = tmp_path / "bad.toml"
    path.write_text(text)
    out = tmp_path / "out"
    for command in (
        ("config", "check", "--config", path),
        ("start", *WHO, *FAST, "--out", out, "--config", path),
    ):
        done = collect(*command)
        assert done.code == 2
        assert str(path) in done.error
        assert expected in done.error
    assert not out.exists()


def test_a_configuration_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "none.toml", tmp_path, tmp_path / "binary", tmp_path / ("n" * 300)):
        done = collect("config", "check", "--config", path)
        assert done.code == 2
        assert str(path)[:200] in done.error


# --- looking at it ------------------------------------------------------------------------------


def test_inspect_says_as_json_what_it_shows(simulated):
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    done = dataset("inspect", simulated, "--json")
    assert done.code == 0
    told = json.loads(done.out, parse_constant=refuse)
    assert set(told["streams"]) == STREAMS
    assert told["sealed"] is True
    shown = dataset("inspect", simulated)
    assert shown.code == 0
    assert all(name in shown.out for name in STREAMS)


def test_an_unsealed_session_is_shown_from_its_journal(tmp_path):
    folder = record_unsealed(tmp_path, "session", 2.0)
    assert "not sealed yet" in dataset("inspect", folder).out
    before = {path.name: path.read_bytes() for path in (folder / "journal").iterdir()}
    assert dataset("verify", folder).code == UNSEALED
    assert {path.name: path.read_bytes() for path in (folder / "journal").iterdir()} == before


# --- help ----------------------------------------------------------------------------------------


def commands(group: click.Group, *path: str) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for name, command in group.commands.items():
        found.append((*path, name))
        if isinstance(command, click.Group):
            found += commands(command, *path, name)
    return found


@pytest.mark.parametrize("command", commands(cli), ids=" ".join)
def test_help_of_wban_collect_explains_every_option(command):
    done = collect(*command, "--help")
    assert done.code == 0
    check_help(done.out)


@pytest.mark.parametrize("command", commands(dataset_cli), ids=" ".join)
def test_help_of_wban_dataset_explains_every_option(command):
    done = dataset(*command, "--help")
    assert done.code == 0
    check_help(done.out)


OPTION_ALONE = r"  -\S+(, --\S+)?( [A-Z]+)?"


def check_help(text: str) -> None:
    assert len(text.splitlines()[2].strip()) > 20  # a sentence on what it does
    options = text.partition("\nOptions:\n")[2]
    bare = [line for line in options.splitlines() if re.fullmatch(OPTION_ALONE, line)]
    assert not bare, f"options that are not explained: {bare}"


@pytest.mark.parametrize("command", ["start", "seal", "recover", "simulate-study"])
def test_help_tells_the_exit_codes(command):
    text = collect(command, "--help").out
    assert "Exit codes: 0" in text
    assert "3" in text.split("Exit codes:")[1]
