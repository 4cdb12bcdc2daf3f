"""What the doctor finds on simulated chips and made-up machines."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.integration.command_line import collect
from wban_collect.assembly import Simulation, simulated_parts
from wban_collect.config import DEFAULT_LOAD, Config, MotionConfig, ThermalConfig, parse_config
from wban_collect.control.messages import BacklogStatus, DeviceTrouble, Status, StreamStatus
from wban_collect.doctor.cameras import judge_picture
from wban_collect.doctor.chips import ExaminedBus, examine_bus
from wban_collect.doctor.disk import examine_disk
from wban_collect.doctor.examination import examine_daemon
from wban_collect.doctor.finding import Finding
from wban_collect.doctor.machine import examine_machine
from wban_collect.doctor.report import report_page
from wban_collect.simulation.bus import BusFaults
from wban_collect.simulation.people import one_activity
from wban_collect.simulation.world import World

START_NS = 10**12
ON_THE_BUS = Config(motion=[MotionConfig()], thermal=[ThermalConfig()])


def examined(config: Config, *, effective: float = 1.0, **faults) -> list[Finding]:
    """Look at the simulated bus of a configuration, in virtual time."""
    text = f"[simulation]\nbus_effective = {effective}\n"
    simulated = parse_config(text, "test").simulation
    config = msgspec.structs.replace(config, simulation=simulated)
    world: World = one_activity("sitting", 1)
    parts = simulated_parts(config, Simulation(world, 1, start_ns=START_NS))
    (part,) = parts.buses
    if faults:
        part.bus._bus.suffer(BusFaults(**faults))
    addresses = {"mpu6050": 0x68, "mlx90640": 0x33}
    chips = [(device, addresses[device.name]) for device in part.devices]
    return list(examine_bus(config, ExaminedBus(1, part, chips, 400_000)))


def verdicts(found: list[Finding], area: str) -> list[str]:
    return [finding.verdict for finding in found if finding.area == area]


def test_good_chips_deliver_pass_their_self_test_and_the_bus_is_as_fast_as_it_should_be():
    found = examined(ON_THE_BUS)
    assert [finding.verdict for finding in found] == ["ok"] * len(found)
    assert any("self-test passes on 6 axes" in finding.text for finding in found)
    assert any("4" in f.text and "kHz measured" in f.text for f in found if f.area == "bus 1")


def test_a_bus_slowed_by_an_idle_core_clock_is_measured_and_the_remedy_named():
    found = examined(ON_THE_BUS, effective=0.4)
    (bus,) = [finding for finding in found if finding.area == "bus 1"]
    assert bus.verdict == "warning"
    assert "160 kHz measured of 400 kHz" in bus.text
    assert "core_freq_min=500" in bus.remedy


def test_a_chip_that_does_not_answer_is_named_and_the_other_is_examined():
    found = examined(ON_THE_BUS, unplugged_spans_ns={0x68: ((0, 1 << 60),)})
    assert verdicts(found, "mpu6050") == ["failure"]
    assert set(verdicts(found, "mlx90640")) == {"ok"}
    (failure,) = [finding for finding in found if finding.verdict == "failure"]
    assert "0x68" in failure.text
    assert failure.remedy


def test_a_bus_on_which_nobody_answers_says_so():
    everything = dict.fromkeys((104, 51), ((0, 1 << 60),))
    found = examined(ON_THE_BUS, unplugged_spans_ns=everything)
    assert verdicts(found, "bus 1") == ["failure"]


@pytest.mark.parametrize(
    ("picture", "verdict"),
    [
        (np.zeros((24, 32), np.uint8), "warning"),
        (np.full((24, 32), 255, np.uint8), "warning"),
        (np.linspace(20, 200, 768).reshape(24, 32).astype(np.uint8), "ok"),
    ],
)
def test_black_and_saturated_pictures_are_told_from_good_ones(picture, verdict):
    assert judge_picture("camera", picture).verdict == verdict


def test_under_voltage_heat_and_a_free_running_clock_are_warnings(tmp_path):
    hot = tmp_path / "temp"
    hot.write_text("81000\n")
    found = list(
        examine_machine(
            DEFAULT_LOAD,
            throttled=lambda: 0x50005,
            synchronised=lambda: (False, 0),
            temperature=hot,
        )
    )
    assert verdicts(found, "supply") == ["warning"]
    assert verdicts(found, "temperature") == ["warning"]
    assert verdicts(found, "clock") == ["warning"]
    assert all(finding.remedy for finding in found if finding.verdict != "ok")


def test_a_slow_card_is_told_by_its_slowest_fsync_and_nothing_is_left(tmp_path):
    ticks = iter(range(10_000))
    out = tmp_path / "recordings"
    found = list(examine_disk(DEFAULT_LOAD, out, timer=lambda: next(ticks) * 0.6))
    assert verdicts(found, "disk speed") == ["warning"]
    assert not out.exists()


def test_a_folder_that_cannot_be_written_is_a_failure(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    (found,) = examine_disk(DEFAULT_LOAD, file / "recordings")
    assert found.verdict == "failure"
    assert found.remedy


def status(**changes) -> Status:
    plain = {
        "state": "recording", "version": "0", "host": "pi", "boot_id": "b", "pid": 1, "now_ns": 1,
        "uptime_s": 1.0, "out": "o", "unattended": True, "synchronised": True, "free_bytes": 1,
        "bytes_per_hour": 1.0, "hours_left": 1.0, "backlog": BacklogStatus(0, 12),
    }  # fmt: skip
    return Status(**(plain | changes))


def test_a_daemon_that_records_is_asked_instead_of_its_chips():
    found = list(
        examine_daemon(
            status(
                streams=[StreamStatus("accel", 10, 10, 3, 1, 99.0, 0.1)],
                troubles=[DeviceTrouble("mlx90640", True, "not acknowledged.")],
                backlog=BacklogStatus(12, 12),
            )
        )
    )
    assert verdicts(found, "accel") == ["warning"]
    assert verdicts(found, "mlx90640") == ["failure"]
    assert verdicts(found, "sealing") == ["warning"]


def test_the_report_is_one_page_without_names_of_people():
    text = '[study]\nannotator = "Ada"\n[unattended]\nsubject = "S99"\n'
    page = report_page(
        [Finding("bus 1", "failure", "<nobody> answers", "check & wire")], parse_config(text, "t")
    )
    assert "Ada" not in page
    assert "S99" not in page
    assert "&lt;nobody&gt; answers" in page
    assert "src=" not in page
    assert "href=" not in page


def test_the_command_says_a_line_for_each_and_ends_with_the_worst(tmp_path):
    config = tmp_path / "c.toml"
    config.write_text("[storage]\nkeep_free_mb = 0\n[[motion]]\n")
    report = tmp_path / "report.html"
    out = tmp_path / "recordings"
    done = collect(
        "doctor", "--simulate", "--json", "--config", config, "--out", out, "--report", report
    )
    found = [json.loads(line) for line in done.out.splitlines()]
    verdict = {f["verdict"] for f in found}
    assert done.code == (3 if "warning" in verdict else 0)
    assert "mpu6050" in {f["area"] for f in found}
    assert report.read_text().startswith("<!doctype html>")
    assert not Path(out).exists()


def test_with_simulated_chips_it_says_that_no_daemon_was_looked_for(tmp_path):
    out = tmp_path / "recordings"
    file = tmp_path / "c.toml"
    file.write_text(
        '[storage]\nkeep_free_mb = 0\n[[motion]]\nname = "ankle"\ndriver = "lis3dh"\n'
        '[[motion]]\nname = "the_other_ankle"\n'
    )
    done = collect("doctor", "--simulate", "--config", file, "--out", out)
    lines = done.out.splitlines()
    (daemon,) = [line for line in lines if line.startswith("ok       daemon ")]
    assert daemon.endswith("not looked for: simulated chips are examined (--simulate)")
    # The column is as wide as the longest name, so that all texts begin in it.
    longest = "ok       the_other_ankle_mpu6050 "
    assert any(line.startswith(longest) for line in lines)
    assert daemon.index("not looked") == len(longest)


def test_a_daemons_folder_is_judged_by_the_daemons_limits(tmp_path):
    out = tmp_path / "recordings"
    out.mkdir()
    strict = parse_config("[storage]\nkeep_free_mb = 1000000000\n", "test")
    (refused,) = examine_disk(strict, out)
    assert refused.verdict == "failure"
    daemon = status(out=str(out), free_bytes=29_000_000, hours_left=0.5)
    room, _speed = examine_disk(strict, out, daemon)
    assert room.verdict == "ok"
    assert room.text.endswith("says the daemon")
    (elsewhere,) = examine_disk(strict, tmp_path / "other", daemon)
    assert elsewhere.verdict == "failure"
