"""The recorder as a service of an emulated Debian, and its power cuts.

The tests of one machine run in their order: each leaves the service recording, and the last ones
look at everything that all of them have recorded.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.system.vm.aftermath import Aftermath, Inspector, recordings_on
from tests.system.vm.machine import Machine
from tests.system.vm.powercuts import cut_power
from tests.system.vm.rig import (
    ACKNOWLEDGED,
    BOOT_S,
    RECORDINGS,
    RIG,
    cannot_run,
    copy_disk,
    installed_disk,
    shared_folder,
)
from tests.system.vm.service import Service
from wban_dataset.recording.layout import JOURNAL_NAME

pytestmark = [pytest.mark.system, pytest.mark.slow]

N_CUTS = int(os.environ.get("WBAN_POWER_CUTS", "8"))
"""Half of them on a disk with a cache of its own."""
SEED = int(os.environ.get("WBAN_POWER_CUT_SEED", "1"))

STREAMS = ("accel", "gyro", "thermal")
THERMAL_ADDRESS = 0x33
ACCEL_RATE_HZ = 50.3
"""50 Hz of a chip whose clock is 0.6 % fast, as chip_server.py has it."""
UNSEALED = f"{RECORDINGS}/*/{JOURNAL_NAME}"
WATCHDOG_S = 30.0
GRACE_S = 30.0

SYNCHRONISE = (
    "import ctypes, struct; "
    "timex = ctypes.create_string_buffer(struct.pack('IxxxxlllliI', 0x1C, 0, 0, 0, 0, 1, 0), 512); "
    "print(ctypes.CDLL(None).adjtimex(timex))"
)
"""What a time server's client does once it knows: ADJ_STATUS | ADJ_MAXERROR | ADJ_ESTERROR, both
errors 0, status STA_PLL without STA_UNSYNC."""


@pytest.fixture(scope="session")
def console(tmp_path_factory: pytest.TempPathFactory) -> Generator[Path]:
    """Give the file that all consoles are written to; its end is shown when something fails."""
    reason = cannot_run()
    if reason:
        pytest.skip(reason)
    path = tmp_path_factory.mktemp("vm") / "console.log"
    yield path
    sys.stdout.write(path.read_text(errors="replace")[-3000:])


@pytest.fixture(scope="module")
def disk(console: Path) -> Generator[Path]:
    """Give a disk with wban on it, installed by its own installer, for this module alone."""
    copy = RIG / "service.img"
    with console.open("a") as log:
        copy_disk(installed_disk(log), copy)
    yield copy
    copy.unlink()


@pytest.fixture(scope="module")
def share() -> Generator[Path]:
    """Give the folder that the machine sees as /host."""
    with shared_folder() as path:
        yield path


@pytest.fixture(scope="module")
def service(disk: Path, share: Path, console: Path) -> Generator[Service]:
    """Boot the machine once; nobody tells the recorder anything."""
    with console.open("a") as log, Machine(RIG, disk, share, log=log) as machine:
        machine.wait_for("RIG-BOOTED", BOOT_S)
        yield Service(machine, share / ACKNOWLEDGED)


@pytest.fixture(scope="module")
def recorded(service: Service, disk: Path) -> Aftermath:
    """Shut down in order, after all tests above, and give what is on the disk."""
    service.machine.check("wban-collect stop")
    service.wait_until(
        lambda: not service.machine.glance(UNSEALED).n_files, 600.0, "all sessions are sealed"
    )
    service.machine.power_off()
    with recordings_on(disk) as recordings:
        return Inspector().look(recordings)


def guest_ns(service: Service) -> int:
    glance = service.machine.glance()
    return glance.guest_ns(glance.host_s)


# --- one machine ---------------------------------------------------------------------------------


def test_the_service_starts_at_boot_and_delivers_every_stream(service, record_property):
    service.wait_until(lambda: bool(service.sessions()), 180.0, "the first acknowledged row")
    record_property("power_on_to_first_row_s", round(service.machine.age_s(), 1))
    for stream in STREAMS:
        service.wait_for_rows(stream, 4)
    assert service.show("Type") == "notify"
    assert service.show("ActiveState") == "active"
    assert service.show("StatusText").startswith("recording S01 sitting")
    status = service.status()
    assert (status["state"], status["unattended"], status["simulated"]) == (
        "recording",
        True,
        False,
    )
    assert {stream["name"] for stream in status["streams"]} >= set(STREAMS)
    assert not status["degraded"]
    # What systemd counts from: the start of the unit to its READY=1.
    began_us, ready_us = (
        int(service.show(f"{name}TimestampMonotonic")) for name in ("InactiveExit", "ActiveEnter")
    )
    record_property("service_start_s", (ready_us - began_us) / 1e6)
    assert ready_us - began_us < GRACE_S * 1e6, "ready only because the grace time was over"


def test_it_runs_as_its_own_user_shut_away_from_the_rest(service, record_property):
    pid = service.show("MainPID")
    assert service.machine.check(f"ps -o user= -p {pid}").strip() == "wban"
    security = service.machine.check("systemd-analyze security --no-pager wban-collect")
    exposure = float(security.split("exposure level for wban-collect.service: ")[1].split()[0])
    record_property("exposure", exposure)
    assert exposure <= 2.0
    assert service.machine.check("systemd-analyze verify wban-collect.service") == ""


def test_one_session_follows_another_by_itself(service):
    n_sessions = len(service.sessions())
    service.wait_until(lambda: len(service.sessions()) > n_sessions, 90.0, "the next session")
    assert service.show("NRestarts") == "0"


def test_a_failing_sensor_restarts_nothing_and_costs_the_others_nothing(service):
    before = service.status()
    service.machine.chips.unplug(THERMAL_ADDRESS)
    time.sleep(WATCHDOG_S + 15.0)  # longer than the watchdog waits
    during = service.status()
    assert service.show("NRestarts") == "0"
    assert "mlx90640" in service.show("StatusText")
    assert [trouble["device"] for trouble in during["troubles"]] == ["mlx90640"]
    assert during["pid"] == before["pid"]
    service.machine.chips.plug(THERMAL_ADDRESS)
    service.wait_for_rows("thermal", 4)
    service.wait_until(lambda: not service.status()["troubles"], 30.0, "the end of the trouble")
    assert service.show("NRestarts") == "0"


def test_a_stepped_wall_clock_disturbs_nothing(service):
    pid = service.status()["pid"]
    for step in ("+1 day", "-2 days"):
        service.machine.check(f"date --set='{step}'")
        service.wait_for_rows("accel", 100)
    service.machine.check("date --set='+1 day'")
    status = service.status()
    assert (status["pid"], status["state"]) == (pid, "recording")
    assert service.show("NRestarts") == "0"


def test_sessions_get_their_true_time_once_the_same_boot_learns_it(service):
    assert not service.status()["synchronised"]
    assert service.sessions()[-1].folder.startswith("boot-")
    service.machine.check(f'/opt/wban/bin/python -c "{SYNCHRONISE}"')
    assert service.status()["synchronised"]
    named = f"{RECORDINGS}/20*Z_S01_sitting*"
    service.wait_until(
        lambda: service.machine.glance(named).n_files > 0, 180.0, "a session named by UTC"
    )


def test_killed_it_comes_back_and_goes_on(service, record_property):
    service.wait_until(
        lambda: 100 < service.sessions()[-1].rows["accel"] < 1000, 60.0, "the middle of a session"
    )
    killed_ns = guest_ns(service)
    journal = f"{RECORDINGS}/{service.sessions()[-1].folder}/{JOURNAL_NAME}"
    service.machine.check("systemctl kill --kill-whom=main --signal=KILL wban-collect")
    back_s = (service.wait_for_restart(1, 120.0) - killed_ns) / 1e9
    record_property("kill_to_first_row_s", round(back_s, 1))
    # Looking costs the machine nothing; asking for the status would keep it from sealing.
    service.wait_until(
        lambda: not service.machine.glance(journal).n_files, 300.0, "the cut-off session sealed"
    )
    service.wait_until(lambda: bool(service.status()["recovered"]), 30.0, "word of it")


def test_stop_takes_less_than_two_seconds(service, record_property):
    service.wait_for_rows("accel", 100)
    service.machine.check("systemctl stop wban-collect")
    began_us, ended_us = (
        int(service.show(f"{name}TimestampMonotonic")) for name in ("ActiveExit", "InactiveEnter")
    )
    took_s = (ended_us - began_us) / 1e6  # the guest's time, of a processor that is emulated
    record_property("stop_s", round(took_s, 2))
    assert service.show("Result") == "success"
    assert took_s < 2.0


def test_without_a_required_sensor_it_is_ready_after_the_grace_time_and_says_so(service):
    service.machine.chips.unplug(THERMAL_ADDRESS)
    service.machine.check("systemctl start wban-collect", 180.0)
    began_us, ready_us = (
        int(service.show(f"{name}TimestampMonotonic")) for name in ("InactiveExit", "ActiveEnter")
    )
    assert ready_us - began_us > GRACE_S * 1e6
    service.wait_for_rows("accel", 50)
    assert "DEGRADED: mlx90640" in service.show("StatusText")
    assert service.status()["degraded"] == ["mlx90640"]
    service.machine.chips.plug(THERMAL_ADDRESS)
    service.wait_for_rows("thermal", 4)


def test_a_hung_recorder_is_restarted_by_the_watchdog(service, record_property):
    restarts = int(service.show("NRestarts"))
    hung_ns = guest_ns(service)
    service.machine.check(f"kill -STOP {service.show('MainPID')}")
    back_ns = service.wait_for_restart(restarts + 1, WATCHDOG_S + 120.0)
    record_property("hang_to_first_row_s", round((back_ns - hung_ns) / 1e9, 1))
    assert "Watchdog timeout" in service.log(200)


def test_every_acknowledged_row_of_all_that_is_there_and_verifies(service, recorded):
    assert not recorded.unreadable
    for said in service.sessions():
        session = recorded.sessions[said.session_id]
        assert session.is_sealed
        assert session.problems == (), session.folder
        for stream, n_rows in said.rows.items():
            assert session.rows[stream] >= n_rows, (session.folder, stream)


def test_two_runs_were_cut_off_and_say_so(recorded):
    cut_off = [session for session in recorded.sessions.values() if session.recovered]
    assert len(cut_off) == 2  # killed, hung
    for session in cut_off:
        assert not session.complete
        assert session.lost_tail_ns > 0


def test_between_sessions_no_sample_is_missing_but_what_is_counted(recorded):
    by_start = sorted(recorded.sessions.values(), key=lambda found: found.oldest_ns["accel"])
    pairs = [
        (one, next_)
        for one, next_ in itertools.pairwise(by_start)
        if next_.continues == one.session_id
    ]
    assert len(pairs) >= 3
    missing: list[int] = []
    for one, next_ in pairs:
        step_s = (next_.oldest_ns["accel"] - one.newest_ns["accel"]) / 1e9
        missing.append(round(step_s * ACCEL_RATE_HZ) - 1)
        # An emulated processor that gets no time for a while lets the FIFO overflow.
        assert missing[-1] <= one.lost["accel"] + next_.lost["accel"], (one.folder, next_.folder)
    assert min(missing) == 0


# --- power cuts ----------------------------------------------------------------------------------


def test_no_acknowledged_row_is_lost_when_the_power_is_cut(console, record_property):
    with console.open("a") as log:
        result = cut_power(
            N_CUTS,
            seed=SEED,
            is_volatile=lambda number: number % 2 == 0,
            log=log,
            out=sys.stdout,
        )
    found = result["summary"]
    print(json.dumps(found, indent=1))
    record_property("power_cuts", json.dumps(found))
    assert found["cuts"] == N_CUTS
    assert found["acknowledged_rows"] > 0
    assert found["acknowledged_rows_lost"] == 0
    assert found["problems"] == []
    assert {"recording", "rotating", "sealing"} <= set(found["phases"])
