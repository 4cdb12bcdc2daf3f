"""What a person says to a daemon, and what comes back; the daemon's part is a script here."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.integration.command_line import ROOT, SCRIPTS, collect
from tests.unit.control_rig import GUARD_S, Script, serving
from wban_collect.assembly import Simulation, simulated_parts
from wban_collect.cli import start
from wban_collect.config import Config
from wban_collect.control import endpoints
from wban_collect.control.keys import Keys
from wban_collect.control.messages import (
    BacklogStatus,
    LabelRequest,
    MarkRequest,
    Reply,
    Request,
    SessionEntry,
    SessionsRequest,
    StartRequest,
    Status,
    StatusRequest,
    StopRequest,
)
from wban_collect.errors import ConfigError, WbanError
from wban_collect.recorder import Parts
from wban_collect.simulation.people import one_activity

WHO = ("--subject", "S01", "--activity", "eating")
IDLE = Status(
    "idle", "0.1.0", "pi4", "b" * 32, 812, 9_000_000_000_000, 9000.0, "/sessions", False, True,
    12_300_000_000, 134e6, 45.9, BacklogStatus(0, 12),
)  # fmt: skip
SESSIONS = [
    SessionEntry("20260102T090000Z_S01_eating", "waiting", 2_000_000),
    SessionEntry("20260101T090000Z_S01_eating", "sealed", 1_000_000, "01J", "S01", "eating"),
]


def answer(request: Request) -> Reply:
    """Do as an idle daemon does that has two sessions."""
    match request:
        case StatusRequest():
            return Reply(status=IDLE)
        case SessionsRequest(limit=limit):
            return Reply(sessions=SESSIONS[:limit])
        case LabelRequest(activity="flying"):
            raise ConfigError("activity: unknown activity 'flying'.")
        case LabelRequest() | MarkRequest():
            return Reply(folder="/sessions/a")
        case StopRequest():
            raise WbanError("nothing is being recorded; there is nothing to stop.")
        case StartRequest():
            return Reply(folder=f"/sessions/{request.subject}_{request.activity}")


@pytest.fixture
def own_folder(tmp_path, monkeypatch) -> Path:
    """Give the user's runtime folder, with no service beside it."""
    monkeypatch.setattr(endpoints, "SERVICE_FOLDER", tmp_path / "no-service")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("WBAN_SOCKET", raising=False)
    return tmp_path / "wban"


@pytest.fixture
def daemon(own_folder):
    """Give the script of a daemon that the user has started."""
    script = Script(answer)
    with serving(own_folder / "control.sock", script):
        yield script


# --- asking --------------------------------------------------------------------------------------


def test_status_is_a_page_for_people_and_one_object_for_programs(daemon):
    shown = collect("status")
    assert (shown.code, shown.err) == (0, "")
    assert "12.3 GB free in /sessions, enough for at least 1 d 21 h" in shown.out
    told = collect("status", "--json")
    assert told.code == 0
    status = json.loads(told.out)
    assert (status["state"], status["pid"], status["recording"]) == ("idle", 812, None)
    assert status["backlog"]["limit"] == 12
    assert daemon.heard() == [StatusRequest()] * 2


@pytest.mark.parametrize(
    "words", [("status",), ("stop",), ("label", "eating"), ("mark", "x"), ("sessions",)]
)
@pytest.mark.parametrize("more", [(), ("--json",)])
def test_without_a_daemon_every_command_says_so_with_exit_code_1(own_folder, words, more):
    done = collect(*words, *more)
    assert (done.code, done.out) == (1, "")
    assert f"daemon at ipc://{own_folder}/control.sock: nobody listens there" in done.error


def test_stop_label_and_mark_arrive_as_they_were_said(daemon):
    assert collect("label", "Speak and Walk").out == "from now on: speak_and_walk\n"
    assert collect("mark", " cup fell down ").out == "noted\n"
    done = collect("stop")
    assert (done.code, done.out) == (1, "")
    assert "there is nothing to stop" in done.error
    assert daemon.heard() == [
        LabelRequest("speak_and_walk"),
        MarkRequest("cup fell down"),
        StopRequest(),
    ]


def test_a_stop_names_what_was_recorded(own_folder):
    with serving(own_folder / "control.sock", lambda _: Reply(folder="/sessions/a")):
        assert collect("stop").out == "stopped: /sessions/a\n"


def test_programs_get_every_answer_as_an_object_and_the_same_exit_codes(daemon):
    done = collect("label", "eating", "--json")
    assert done.code == 0
    assert json.loads(done.out)["folder"] == "/sessions/a"
    for words, code in ((("label", "flying"), 2), (("stop",), 1)):
        done = collect(*words, "--json")
        told = json.loads(done.out)
        assert done.code == told["exit_code"] == code
        assert done.error == f"Error: {told['error']}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("label", "speak & walk"), "not a usable name"),
        (("label", "x" * 65), "at most 64 characters"),
        (("mark", "  "), "remark of 0 characters"),
        (("mark", "x" * 1001), "remark of 1001 characters"),
        (("sessions", "--limit", "0"), "--limit"),
        (("status", "--host", "pi"), "expected tcp://HOST:PORT"),
        (("status", "--host", "tcp://pi:1", "--socket", "x"), "exclude each other"),
        (("status", "--socket", "/" + "x" * 107), "the system takes at most 107"),
    ],
)
def test_unusable_values_are_refused_before_anybody_is_asked(daemon, words, said):
    done = collect(*words)
    assert done.code == 2
    assert said in done.error
    assert daemon.heard() == []


def test_a_stop_before_anything_was_recorded_says_so(own_folder):
    with serving(own_folder / "control.sock", lambda _: Reply()):
        assert collect("stop").out == "stopped; nothing was recorded\n"


def test_sessions_are_a_table_or_a_line_of_json_each(daemon):
    shown = collect("sessions")
    assert shown.code == 0
    assert [line.split()[0] for line in shown.out.splitlines()] == [
        "session",
        "20260102T090000Z_S01_eating",
        "20260101T090000Z_S01_eating",
    ]
    told = collect("sessions", "--json", "--limit", 1)
    assert [json.loads(line)["state"] for line in told.out.splitlines()] == ["waiting"]
    assert daemon.heard() == [SessionsRequest(20), SessionsRequest(1)]


def test_where_there_are_none_it_says_so(own_folder):
    with serving(own_folder / "control.sock", lambda _: Reply()):
        assert collect("sessions").out == "no session yet\n"
        assert collect("sessions", "--json").out == ""


def test_a_daemon_is_found_where_it_is_said_to_be(tmp_path, own_folder, monkeypatch):
    script = Script(answer)
    with serving(tmp_path / "elsewhere.sock", script):
        assert collect("status").code == 1
        assert collect("status", "--socket", tmp_path / "elsewhere.sock").code == 0
        monkeypatch.setenv("WBAN_SOCKET", str(tmp_path / "elsewhere.sock"))
        assert collect("status").code == 0
    assert len(script.heard()) == 2


def test_over_the_network_it_is_asked_with_keys(tmp_path, own_folder):
    keys = Keys(tmp_path / "keys")
    keys.make_server()
    keys.make_client("laptop", tmp_path / "laptop-keys")
    options = {"tcp": "tcp://127.0.0.1:*", "keys": tmp_path / "keys"}
    with serving(own_folder / "control.sock", answer, **options) as server:
        where = ("--host", server.tcp_address, "--keys")
        assert collect("status", *where, tmp_path / "laptop-keys").code == 0
        refused = collect("status", *where, tmp_path / "keys")
    assert refused.code == 2
    assert f"no key {tmp_path}/keys/client.key_secret" in refused.error


# --- starting ------------------------------------------------------------------------------------


def test_start_lets_the_daemon_record_and_says_where(daemon):
    done = collect("start", *WHO, "--duration", "5min")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("recording: /sessions/S01_eating\n")
    told = collect("start", *WHO, "--json")
    assert json.loads(told.out)["folder"] == "/sessions/S01_eating"
    assert daemon.heard() == [
        StartRequest("S01", "eating", 300_000_000_000),
        StartRequest("S01", "eating"),
    ]


@pytest.mark.parametrize(
    ("error", "code"),
    [(WbanError("thermal delivers nothing after 30 s."), 1), (ConfigError("activity: no."), 2)],
)
def test_a_start_that_fails_names_what_is_missing(own_folder, error, code):
    future: Future[Reply] = Future()
    future.set_exception(error)
    with serving(own_folder / "control.sock", lambda _: future):
        done = collect("start", *WHO)
    assert (done.code, done.out) == (code, "")
    assert done.error == f"Error: {error}"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--subject", "../x", "--activity", "eating"), "'../x'"),
        (("--subject", "S01", "--activity", ""), "not a usable name"),
        ((*WHO, "--simulate", "--host", "tcp://pi:7711"), "leave out one of them"),
    ],
)
def test_a_start_that_makes_no_sense_is_not_asked_for(daemon, words, said):
    done = collect("start", *words)
    assert done.code == 2
    assert said in done.error
    assert daemon.heard() == []


def test_what_a_daemon_cannot_do_is_recorded_in_the_foreground(daemon, tmp_path):
    out = tmp_path / "out"
    fast = ("--simulate", "--fast", "--duration", "1s", "--out", out)
    assert collect("start", *WHO, *fast).code == 0
    assert len(list(out.glob("*/session.h5"))) == 1
    assert daemon.heard() == []


@pytest.fixture
def chips(monkeypatch, tmp_path):
    """Put simulated chips where the machine's would be; give the folder to start in."""

    def parts(config: Config, _eeprom_folder: Path) -> Parts:
        return simulated_parts(config, Simulation(one_activity("eating", 1), seed=1))

    monkeypatch.setattr(start, "real_parts", parts)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "motion.toml").write_text("[[motion]]\n")
    return tmp_path


RECORDED = (0, 3)
"""In real time on a busy machine a thermal subpage is missed now and then, and counted."""


@pytest.mark.parametrize("own", [("--foreground",), ("--config", "motion.toml"), ("--out", "x")])
def test_asked_for_the_foreground_the_daemon_is_left_alone(daemon, chips, own):
    done = collect("start", *WHO, "--duration", "100ms", *own)
    assert done.code in RECORDED, done.err
    assert len(list(chips.glob("*/*/session.h5"))) == 1
    assert daemon.heard() == []


def test_without_a_daemon_it_records_in_the_foreground(own_folder, chips):
    done = collect("start", *WHO, "--duration", "100ms")
    assert done.code in RECORDED, done.err
    assert len(list(chips.glob("recordings/*/session.h5"))) == 1


def test_a_certain_daemon_that_is_not_there_is_not_replaced_by_the_foreground(own_folder, tmp_path):
    done = collect("start", *WHO, "--socket", tmp_path / "nobody.sock")
    assert done.code == 1
    assert "nobody listens there" in done.error


def test_while_it_waits_a_terminal_shows_how_long_it_has_been(own_folder):
    begun: Future[Reply] = Future()
    script = Script(lambda _: begun)
    terminal, its_end = pty.openpty()
    environment = os.environ | {"WBAN_SOCKET": str(own_folder / "control.sock")}
    with (
        serving(own_folder / "control.sock", script),
        subprocess.Popen(
            [SCRIPTS / "wban-collect", "start", *WHO],
            stdout=subprocess.PIPE, stderr=its_end, cwd=ROOT, env=environment, text=True,
        ) as command,
    ):  # fmt: skip
        os.close(its_end)
        script.requests.get(timeout=GUARD_S)
        shown = b""
        while b"waiting for the devices, 0 s" not in shown:
            shown += os.read(terminal, 1000)
        begun.set_result(Reply(folder="/sessions/a"))
        assert command.stdout is not None
        assert command.stdout.read().startswith("recording: /sessions/a\n")
    os.close(terminal)
    assert command.returncode == 0
