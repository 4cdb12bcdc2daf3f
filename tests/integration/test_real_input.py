"""The main job on real input: real motion through the chips, a real sensor's frames to degrees.

(Real libcamera frames go through the camera device in tests/system/camera.)
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.integration.command_line import collect
from wban_collect.clock import VirtualClock
from wban_collect.config import Config
from wban_collect.devices.mlx90640 import Mlx90640
from wban_collect.keeping.sealing import seal_session
from wban_collect.parts import BusPart, Parts
from wban_collect.plan import Request, make_plan
from wban_collect.recorder import Recorder
from wban_collect.simulation.bus import SimulatedI2CBus
from wban_collect.simulation.hapt import read_recording
from wban_dataset.recording.session import Session
from wban_dataset.recording.streams import ClockAnchor

DATA = Path(__file__).resolve().parents[1] / "data"
START_NS = 1_000_000_000_000
SUBPAGE_NS = 125_000_000
STATUS, CONTROL = 0x8000, 0x800D


class RecordedMlx90640:
    """Serves a real sensor's EEPROM and its two recorded subpages, in turn, for ever."""

    address = 0x33

    def __init__(self, eeprom, frames):
        self._eeprom = eeprom
        self._frames = frames
        self._control = int(frames[0][832])
        self._cleared = -1
        self._pointer = 0

    def write(self, data, end_ns):
        self._pointer = int.from_bytes(data[:2], "big")
        if len(data) == 4 and self._pointer == STATUS:
            self._cleared = self._newest(end_ns)
        elif len(data) == 4 and self._pointer == CONTROL:
            self._control = int.from_bytes(data[2:], "big")

    def read(self, n_bytes, byte_ns, start_ns):
        words = [self._word(self._pointer + i, start_ns) for i in range(n_bytes // 2)]
        return b"".join(int(word).to_bytes(2, "big") for word in words)

    def stop_condition(self):
        self._pointer = 0

    def _newest(self, now_ns):
        return (now_ns - START_NS) // SUBPAGE_NS

    def _word(self, address, now_ns):
        newest = self._newest(now_ns)
        if address == STATUS:
            return newest % 2 | (8 if newest > self._cleared else 0)
        if address == CONTROL:
            return self._control
        if 0x2400 <= address < 0x2740:
            return self._eeprom[address - 0x2400]
        return self._frames[newest % 2][address - 0x0400]


def test_real_motion_is_recorded_sample_for_sample(tmp_path):
    source = read_recording(DATA / "hapt", None)
    assert collect("start", "--replay", DATA / "hapt", "--fast", "--out", tmp_path).code == 0
    with Session.open(next(tmp_path.iterdir())) as session:
        accel, gyro = session.stream("accel"), session.stream("gyro")
        assert accel.n == gyro.n == len(source.accel) == 15038
        # half an LSB: 4096 LSB/g at 8 g, 32.8 LSB/dps at 1000 dps
        np.testing.assert_allclose(accel.read(), source.accel, atol=0.5001 * 9.80665 / 4096)
        np.testing.assert_allclose(gyro.read(), source.gyro, atol=0.5001 * np.pi / 180 / 32.8)
        errors_ns = accel.monotonic_ns - (START_NS + 20_000_000 * np.arange(accel.n))
        assert np.std(errors_ns) < 300_000  # the stated 0.3 ms of polling, but for one offset
        first_ns = int(accel.monotonic_ns[0])
        spans = [
            (round((span.start_ns - first_ns) / 2e7), round((span.stop_ns - first_ns) / 2e7))
            for span in session.labels
        ]
        assert spans == [(start, stop) for start, stop, _ in source.spans]
        assert [span.label for span in session.labels] == [name for *_, name in source.spans]
        assert session.replay_source == "HAPT exp10 user05"


def test_whole_public_set_can_be_replayed_by_name(shared_data, tmp_path):
    outcome = collect(
        "start", "--replay", shared_data / "hapt", "--recording", "exp21", "--duration", "10s",
        "--fast", "--out", tmp_path,
    )  # fmt: skip
    assert outcome.code == 0
    with Session.open(next(tmp_path.iterdir())) as session:
        assert session.subject == "user10"
        assert session.stream("accel").n == pytest.approx(500, abs=15)


def test_real_sensor_gives_the_temperatures_that_its_maker_states(tmp_path):
    example = json.loads((DATA / "mlx90640" / "melexis_example.json").read_text())
    chip = RecordedMlx90640(example["eeprom"], example["frames"])
    clock = VirtualClock(START_NS)
    bus = SimulatedI2CBus(clock, [chip])
    device = Mlx90640("mlx90640", bus, clock, refresh_hz=8.0, emissivity=1.0)

    def anchor():
        now_ns = clock.monotonic_ns()
        return ClockAnchor(now_ns, now_ns, clock.realtime_ns(), True, 0)

    parts = Parts(
        buses=[BusPart("i2c-1", bus, [device], clock)],
        cameras=[],
        clock=clock,
        storage_clock=VirtualClock(START_NS),
        read_anchor=anchor,
        required_devices=frozenset({"mlx90640"}),
        virtual=True,
    )
    request = Request("S01", "sitting", tmp_path, 5_000_000_000, virtual=True)
    folder = Recorder(parts, make_plan(request, Config(), clock)).run()
    assert seal_session(folder).exit_code == 0
    expected = np.reshape(example["expected_to_after_frame1"], (24, 32))
    with Session.open(folder) as session:
        thermal = session.stream("thermal")
        pictures = thermal.read()
        subpages = thermal.column("subpage")
        assert thermal.n > 30
        # Ambient temperature is of the two frames' own aux words, so each half of a picture is
        # what its own subpage gives: the maker's picture, to 0.01 degC of storage.
        assert np.abs(pictures[2:] - expected).max() < 0.006
        assert set(np.diff(subpages.astype(int)).tolist()) == {-1, 1}
