"""The daemon's inside without its process: what it does of room, and what it tells of itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.unit import small_sessions as small
from wban_collect.assembly import Simulation, simulated_parts
from wban_collect.clock import SystemClock
from wban_collect.config import Config, parse_config
from wban_collect.control.messages import LabelRequest, Reply, StartRequest, StopRequest
from wban_collect.errors import ConfigError, StorageError
from wban_collect.live.publisher import Publisher
from wban_collect.service import service as service_module
from wban_collect.service.service import Service, Surroundings
from wban_collect.service.unattended import OUTSIDE
from wban_collect.simulation.people import one_activity
from wban_dataset.recording.receipts import Receipt, write_own_receipt
from wban_dataset.recording.summary import summarise
from wban_dataset.recording.summary_file import SealedState, write_summary

PATIENCE_S = 60.0
MB = 10**6
KEEP = 20 * MB

CONFIG = """
[storage]
keep_free_mb = 20
when_full = "remove verified"
[unattended]
subject = "S07"
activity = "eating"
{more}
[[motion]]
"""

SOON_BYTES = int(30 * 1200 * 2.15) + 2 * (16 << 20)
"""What room is made for: 30 s of 1200 B/s and their copy, two steps of the reservation."""


def released(out: Path, name: str, number: int) -> Path:
    folder = small.sealed(out, name, number, synchronised=False)
    summary = summarise(folder)
    write_summary(folder, SealedState.of(folder), summary)
    write_own_receipt(folder, Receipt.now(summary.session_id, summary.content_sha256, folder))
    return folder


def service_of(out: Path, more: str = "") -> Service:
    config: Config = parse_config(CONFIG.format(more=more), "test")
    publisher = Publisher(out.parent / "live.sock", clock=SystemClock(), simulated=True)

    def parts(activity: str):
        return simulated_parts(config, Simulation(one_activity(activity, 1), seed=1))

    return Service(config, Surroundings(out, parts, publisher, simulated=True))


def asked(service: Service, request: StartRequest | StopRequest) -> Reply:
    answer = service.handle(request)
    return answer if isinstance(answer, Reply) else answer.result(PATIENCE_S)


@pytest.fixture
def out(tmp_path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.fixture
def service(out) -> Iterator[Service]:
    service = service_of(out)
    yield service
    service.close()


def n_free(out: Path, monkeypatch: pytest.MonkeyPatch, n_bytes: int) -> None:
    """Let so much of the disk be free now; what is removed comes to it, what is added goes off."""

    def used_bytes() -> int:
        return sum(path.stat().st_size for path in out.rglob("*") if path.is_file())

    size = n_bytes + used_bytes()
    monkeypatch.setattr(
        shutil, "disk_usage", lambda _: SimpleNamespace(total=size, free=size - used_bytes())
    )


# --- room ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("free_mb", [92, 21, 19, 0])
def test_an_idle_daemon_removes_nothing_however_full_the_disk_is(
    out, service, monkeypatch, free_mb
):
    folder = released(out, "a", 1)
    n_free(out, monkeypatch, free_mb * MB)
    service.supervise()
    service.keep_space()
    assert (folder / "session.h5").exists()


def test_a_recording_that_has_room_costs_no_session(out, service, monkeypatch):
    folder = released(out, "a", 1)
    n_free(out, monkeypatch, 92 * MB)
    assert asked(service, StartRequest()).exit_code == 0
    service.keep_space()
    assert (folder / "session.h5").exists()


def test_a_start_for_which_there_is_no_room_costs_as_many_sessions_as_it_needs(
    out, service, monkeypatch
):
    old, middle, new = (released(out, name, n) for n, name in enumerate("abc", 1))
    old_bytes = sum(path.stat().st_size for path in old.iterdir())
    # One session too little, by a byte.
    n_free(out, monkeypatch, KEEP + SOON_BYTES - old_bytes - 1)
    assert asked(service, StartRequest("S01", "walking")).exit_code == 0
    assert not old.exists()
    assert not middle.exists()
    assert new.exists()


def test_what_wants_to_record_by_itself_gets_room(out, monkeypatch):
    folder = released(out, "a", 1)
    service = service_of(out, "enabled = true")
    n_free(out, monkeypatch, KEEP - 1)
    service.supervise()  # it is full: it does not begin
    assert service.status().state == "idle"
    service.keep_space()
    assert not folder.exists()
    service.close()


def test_a_start_that_would_end_at_once_is_refused(out, service, monkeypatch):
    n_free(out, monkeypatch, KEEP + 2 * (16 << 20) - 1)
    with pytest.raises(StorageError, match="54 MB are free, expected at least 54 MB: "):
        asked(service, StartRequest("S01", "walking"))
    service.unattended.enabled = True
    service.supervise()
    status = service.status()
    assert status.state == "idle"
    assert "54 MB are free, expected at least 54 MB: " in status.warnings[0]


def test_a_start_is_refused_where_even_that_makes_no_room(out, service, monkeypatch):
    n_free(out, monkeypatch, KEEP - MB)
    with pytest.raises(Exception, match="19 MB are free, expected at least 54 MB: "):
        asked(service, StartRequest("S01", "walking"))
    end = service.status().last_end
    assert end is not None
    assert (end.folder, end.orderly) == ("", False)
    assert "19 MB are free" in end.reason


# --- what it tells -------------------------------------------------------------------------------


def test_how_the_last_recording_ended_is_told_with_its_folder_from_anywhere(
    out, monkeypatch, caplog
):
    monkeypatch.chdir(out.parent)
    service = service_of(Path("out"))
    caplog.set_level("INFO", logger="wban_collect")
    assert service.status().out == str(out)
    assert service.status().last_end is None
    folder = asked(service, StartRequest("S01", "walking")).folder
    assert Path(folder).parent == out
    assert asked(service, StopRequest()).folder == folder
    end = service.status().last_end
    assert end is not None
    assert (end.folder, end.reason, end.orderly) == (folder, "asked to stop", True)
    assert service.status().state == "idle"
    service.close()  # nobody has sealed it: `start` was not called
    assert caplog.messages[-1] == (
        f"{folder}: to be sealed at the next start, or by 'wban-collect recover {out}'"
    )


def test_without_names_those_of_the_configuration_are_taken_and_said(out, service, caplog):
    caplog.set_level("INFO", logger="wban_collect")
    folder = asked(service, StartRequest()).folder
    recording = service.status().recording
    assert recording is not None
    assert (recording.subject, recording.label) == ("S07", "eating")
    assert recording.label_configured
    expected = f"recording into {folder}, labelled eating (from the configuration)"
    assert expected in caplog.messages
    service.handle(LabelRequest("walking"))
    recording = service.status().recording
    assert recording is not None
    assert not recording.label_configured


@pytest.mark.parametrize(
    ("more", "session_ns"),
    [('enabled = true\nsession_length = "10min"', 600 * 10**9), ('session_length = "10min"', None)],
)
def test_a_session_started_by_hand_is_cut_where_it_also_records_by_itself(
    out, monkeypatch, more, session_ns
):
    asked_for = []
    make_plan = service_module.make_plan
    monkeypatch.setattr(
        service_module, "make_plan", lambda r, *rest: asked_for.append(r) or make_plan(r, *rest)
    )
    service = service_of(out, more)
    asked(service, StartRequest("S01", "walking"))
    service.close()
    assert [request.session_ns for request in asked_for] == [session_ns]


def test_that_it_records_outside_the_schedule_is_logged_once(out, monkeypatch, caplog):
    monkeypatch.setattr(service_module, "synchronisation", lambda: (False, 0))
    now = datetime.now().astimezone()
    begins, ends = now + timedelta(hours=2), now + timedelta(hours=3)
    schedule = f'enabled = true\nschedule = ["{begins:%H:%M}-{ends:%H:%M}"]'
    service = service_of(out, schedule)
    caplog.set_level("INFO", logger="wban_collect")
    for _ in range(3):
        service.supervise()
    assert service.status().unattended_note == OUTSIDE
    assert caplog.messages.count(OUTSIDE) == 1
    service.close()


def test_names_that_are_nowhere_are_asked_for(out):
    config = parse_config("[[motion]]", "test")
    publisher = Publisher(out / "live.sock", clock=SystemClock())
    service = Service(config, Surroundings(out, lambda _: pytest.fail("no parts"), publisher))
    with pytest.raises(ConfigError, match="subject: none was given, expected --subject or subject"):
        service.handle(StartRequest())
