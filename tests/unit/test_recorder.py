"""One recording above simulated chips, in virtual time: what it refuses, and what it survives."""

from __future__ import annotations

import dataclasses
import errno
import functools
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

from wban_collect import open_session as session_module
from wban_collect.assembly import Simulation, simulated_parts
from wban_collect.audience import Audience
from wban_collect.config import DEFAULT_LOAD, Config
from wban_collect.errors import DeviceError, DeviceNotFoundError, StorageError
from wban_collect.parts import CameraPart, Parts
from wban_collect.plan import Request, make_plan
from wban_collect.recorder import Plan, Recorder
from wban_collect.simulation import bus as simulated_bus
from wban_collect.simulation.bus import BusFaults, SimulatedI2CBus
from wban_collect.simulation.people import one_activity
from wban_dataset.recording.framing import RECORD_HEADER, SEGMENT_HEADER
from wban_dataset.recording.journal import JournalWriter
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.session import Session

SECOND_NS = 10**9
START_NS = 1000 * SECOND_NS
UTC_NS = 1_767_225_600 * SECOND_NS
EVER = (0, 10**6 * SECOND_NS)
MOTION, THERMAL = 0x68, 0x33


@pytest.fixture
def faulty(monkeypatch):
    """Make the simulated bus fail as asked for."""

    def use(**faults) -> None:
        bus = functools.partial(SimulatedI2CBus, faults=BusFaults(**faults))
        monkeypatch.setattr(simulated_bus, "SimulatedI2CBus", bus)

    return use


def prepare(
    out: Path, duration_s: float = 3.0, config: Config = DEFAULT_LOAD
) -> tuple[Parts, Plan]:
    simulation = Simulation(one_activity("eating", 3), 3, start_ns=START_NS, realtime_ns=UTC_NS)
    parts = simulated_parts(config, simulation)
    request = Request(
        "S01", "eating", out, int(duration_s * 1e9), simulated=True, virtual=True, folder="session"
    )
    return parts, make_plan(request, config, parts.clock)


def without_requiring(device: str) -> Config:
    """Give the default load, one device of which may be missing."""
    (entry,) = getattr(DEFAULT_LOAD, device)
    optional = msgspec.structs.replace(entry, required=False)
    return msgspec.structs.replace(DEFAULT_LOAD, **{device: [optional]})


def longest_pause_s(session: Session, stream: str) -> float:
    return float(np.diff(session.stream(stream).monotonic_ns).max()) / 1e9


# --- before it begins ----------------------------------------------------------------------------


def test_a_required_device_that_is_absent_is_named_and_nothing_is_left(tmp_path, faulty):
    faulty(unplugged_spans_ns={THERMAL: (EVER,)})
    out = tmp_path / "a" / "b"
    with pytest.raises(DeviceNotFoundError, match="0x33"):
        Recorder(*prepare(out)).run()
    assert not list(tmp_path.iterdir())


class SilentCamera:
    """Starts well and never brings a frame."""

    name = "camera"
    streams = ()
    stopped = False

    def start(self, deliver):
        pass

    def next_due_ns(self):
        return START_NS + 10 * SECOND_NS

    def check(self):
        pass

    def stop(self):
        self.stopped = True


def test_a_required_device_that_stays_silent_is_named_after_half_a_minute(tmp_path):
    parts, plan = prepare(tmp_path / "out")
    camera = SilentCamera()
    clock = parts.cameras[0].clock
    camera.next_due_ns = lambda: clock.monotonic_ns() + SECOND_NS
    parts = dataclasses.replace(parts, cameras=[CameraPart(camera, clock)], own_workers=[])
    with pytest.raises(DeviceError, match=r"camera delivers nothing after 30 s.*required = false"):
        Recorder(parts, plan).run()
    assert camera.stopped
    assert not list(tmp_path.iterdir())


def test_stopped_before_it_began_it_leaves_nothing(tmp_path, faulty):
    faulty(stuck_spans_ns=(EVER,))
    recorder = Recorder(*prepare(tmp_path / "out"))
    recorder.stop()
    with pytest.raises(Exception, match="nothing was recorded: asked to stop"):
        recorder.run()
    assert not list(tmp_path.iterdir())


def test_a_journal_that_cannot_be_begun_leaves_no_half_session(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(
        session_module, "JournalWriter", functools.partial(JournalWriter, sync=refuse)
    )
    with pytest.raises(StorageError, match="No space left"):
        Recorder(*prepare(tmp_path)).run()
    assert not list(tmp_path.iterdir())


def test_an_optional_device_that_is_absent_is_done_without(tmp_path, faulty):
    faulty(unplugged_spans_ns={THERMAL: (EVER,)})
    folder = Recorder(*prepare(tmp_path, config=without_requiring("thermal"))).run()
    with Session.open(folder) as session:
        assert set(session.streams) == {"accel", "gyro", "infrared"}
        assert session.stream("accel").n > 250


def test_an_optional_device_that_comes_later_is_recorded_from_then_on(tmp_path, faulty):
    faulty(unplugged_spans_ns={THERMAL: ((0, 2 * SECOND_NS),)})
    folder = Recorder(*prepare(tmp_path, 8.0, without_requiring("thermal"))).run()
    with Session.open(folder) as session:
        thermal = session.stream("thermal").monotonic_ns
        assert len(thermal) > 10
        # Its power comes back after 2 s, and it is asked again at most 5 s later.
        assert START_NS + 2 * SECOND_NS < thermal[0] < START_NS + 7 * SECOND_NS


# --- while it runs -------------------------------------------------------------------------------


def test_a_device_that_goes_and_comes_back_leaves_the_others_alone(tmp_path, faulty):
    faulty(unplugged_spans_ns={MOTION: ((4 * SECOND_NS, 6 * SECOND_NS),)})
    folder = Recorder(*prepare(tmp_path, 12.0)).run()
    with Session.open(folder) as session:
        gaps = session.gaps
        assert set(gaps["stream"]) == {"accel", "gyro"}
        assert longest_pause_s(session, "thermal") < 1.5 / 8
        assert longest_pause_s(session, "infrared") < 1.5 / 5
        for stream in ("accel", "gyro"):
            stamps = session.stream(stream).monotonic_ns
            segments = session.stream(stream).segment
            assert segments[0] == 0
            assert segments[-1] == 1
            last = int(np.searchsorted(segments, 1)) - 1
            # What was in the FIFO when the power went is lost as well, at most its 85 samples.
            assert START_NS + 3.1 * SECOND_NS < stamps[last] <= START_NS + 4 * SECOND_NS
            assert START_NS + 6 * SECOND_NS < stamps[last + 1] < START_NS + 11.5 * SECOND_NS
            row = list(gaps["stream"]).index(stream)
            missing_s = (stamps[last + 1] - stamps[last]) / 1e9
            assert gaps["n_missing"][row] == pytest.approx(missing_s * 100, rel=0.03)
            assert gaps["start_ns"][row] >= stamps[last]
            # The gap is told in instants of reading; a stamp is half a filter's length before.
            assert gaps["stop_ns"][row] <= stamps[last + 1] + SECOND_NS // 100
        assert session.quality["accel"]["n_lost"] > 150
        assert session.quality["thermal"]["n_lost"] == 0


def test_a_defect_in_one_driver_does_not_stop_the_others(tmp_path, monkeypatch):
    parts, plan = prepare(tmp_path, 6.0)
    (thermal,) = [d for d in parts.buses[0].devices if d.name == "mlx90640"]
    read = thermal.read

    def defective():
        if parts.buses[0].clock.monotonic_ns() > START_NS + 3 * SECOND_NS:
            raise ZeroDivisionError("a defect")
        yield from read()

    monkeypatch.setattr(thermal, "read", defective)
    recorder = Recorder(parts, plan)
    folder = recorder.run()
    assert recorder.stop_reason == "duration reached"
    with Session.open(folder) as session:
        assert START_NS + 2.5e9 < session.stream("thermal").monotonic_ns[-1] < START_NS + 3.2e9
        assert session.stream("accel").monotonic_ns[-1] > START_NS + 5.4e9
        assert longest_pause_s(session, "accel") < 0.03


def test_a_disk_that_fills_ends_the_recording_in_order(tmp_path, monkeypatch):
    room = [400_000]

    def write(descriptor, buffers, offset):
        n_bytes = sum(memoryview(buffer).nbytes for buffer in buffers)
        if n_bytes > room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        room[0] -= n_bytes
        return os.pwritev(descriptor, buffers, offset)

    monkeypatch.setattr(
        session_module, "JournalWriter", functools.partial(JournalWriter, write=write)
    )
    parts, plan = prepare(tmp_path, 600.0)
    commits = []
    plan = dataclasses.replace(plan, commit_interval_ns=SECOND_NS // 2)
    recorder = Recorder(parts, plan, Audience(commit=commits.append))
    given = []
    give = session_module.SpaceReservation.give_margin

    def give_margin(reservation):
        given.append(reservation)
        room[0] += 16 << 20
        give(reservation)

    monkeypatch.setattr(session_module.SpaceReservation, "give_margin", give_margin)
    folder = recorder.run()
    assert recorder.stop_reason == "disk full"
    assert len(given) == 1
    assert not (folder / ".reserved").exists()
    report = seal(folder)
    assert report.rows == commits[-1].n_rows  # what waited went into the margin
    # 400 kB of about 0.12 MB/s: three seconds and a bit, not the ten minutes that were asked for.
    assert 250 < report.rows["accel"] < 450
    with Session.open(folder) as session:
        assert session.attributes["end_reason"] == "disk full"
        assert session.verify().ok


def test_a_queue_that_overflows_is_counted_to_the_sample(tmp_path):
    whole = Recorder(*prepare(tmp_path / "whole", 12.0)).run()
    parts, plan = prepare(tmp_path / "narrow", 12.0)
    # The virtual disk is asked every 10 s: a second of pictures fits, the rest does not.
    narrow = Recorder(parts, dataclasses.replace(plan, queue_bytes=130_000)).run()
    with Session.open(whole) as expected, Session.open(narrow) as session:
        lost = 0
        for name in expected.streams:
            found = session.stream(name)
            n_lost = int(session.quality[name]["n_lost"])
            assert found.n + n_lost == expected.stream(name).n
            lost += n_lost
            assert np.all(np.diff(found.monotonic_ns) > 0)
        assert lost > 50
        assert "queue full" in set(session.gaps["cause"])


def test_a_wall_clock_that_steps_moves_no_sample(tmp_path):
    steady = Recorder(*prepare(tmp_path / "steady", 25.0)).run()
    parts, plan = prepare(tmp_path / "stepping", 25.0)
    read_anchor = parts.read_anchor

    def stepping():
        anchor = read_anchor()
        stepped_ns = 3600 * SECOND_NS if anchor.monotonic_ns > START_NS + 15 * SECOND_NS else 0
        return dataclasses.replace(anchor, realtime_ns=anchor.realtime_ns - stepped_ns)

    stepping = Recorder(dataclasses.replace(parts, read_anchor=stepping), plan).run()
    with Session.open(steady) as expected, Session.open(stepping) as session:
        offsets_ns = session.clock["realtime_ns"] - session.clock["monotonic_ns"]
        assert np.ptp(offsets_ns) == 3600 * SECOND_NS
        assert set(session.streams) == set(expected.streams)
        for name in expected.streams:
            np.testing.assert_array_equal(
                session.stream(name).monotonic_ns, expected.stream(name).monotonic_ns
            )
        assert [span.stop_ns for span in session.labels] == [s.stop_ns for s in expected.labels]


# --- what it leaves ------------------------------------------------------------------------------


def test_the_duration_counts_from_when_all_deliver_in_virtual_time_too(tmp_path):
    folder = Recorder(*prepare(tmp_path, 3.0)).run()
    with Session.open(folder) as session:
        (label,) = session.labels
        assert START_NS + 3 * SECOND_NS <= label.stop_ns < START_NS + 4 * SECOND_NS


def test_the_same_recording_made_twice_is_the_same_to_the_byte(tmp_path):
    def journal(out: Path) -> list[bytes]:
        parts, plan = prepare(out, 2.0)
        header = dataclasses.replace(plan.header, session_id="0" * 26)
        folder = Recorder(parts, dataclasses.replace(plan, header=header)).run()
        return [path.read_bytes() for path in sorted((folder / "journal").iterdir())]

    assert journal(tmp_path / "a") == journal(tmp_path / "b")


def test_no_single_record_of_the_journal_is_irreplaceable(tmp_path):
    folder = Recorder(*prepare(tmp_path, 2.0)).run()
    segment = folder / "journal" / "000000.wbj"
    damaged = bytearray(segment.read_bytes())
    with Session.open(folder) as session:
        rows = {name: session.stream(name).n for name in session.streams}
    # The first record says whose session it is.
    damaged[SEGMENT_HEADER.size + RECORD_HEADER.size + 5] ^= 0xFF
    segment.write_bytes(damaged)
    report = seal(folder)
    assert report.rows == rows
    with Session.open(folder) as session:
        assert (session.subject, session.activity) == ("S01", "eating")


def test_sealing_waits_for_the_recorder_to_let_go(tmp_path):
    parts, plan = prepare(tmp_path, 2.0)
    refused = []

    def try_to_seal(commit):
        with pytest.raises(Exception, match="another process is recording into it") as caught:
            seal(tmp_path / "session")
        refused.append(caught.value)

    plan = dataclasses.replace(plan, commit_interval_ns=SECOND_NS // 2)
    folder = Recorder(parts, plan, Audience(commit=try_to_seal)).run()
    assert len(refused) >= 2
    assert seal(folder).clean
