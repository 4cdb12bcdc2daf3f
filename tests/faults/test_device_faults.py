"""A chip, a bus or a camera that fails while all default streams are recorded."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests.faults.scenarios import SCENARIOS, Hit, Outcome, run

PAUSE_S, SET_UP_S = 5.0, 0.5
"""The longest pause between two attempts at a device, and what setting it up takes at most."""
CAMERA_PAUSE_S = 8.0
"""A camera's fourth attempt comes 1 + 2 + 4 s after its first, and it takes a second to start."""


@dataclass(frozen=True)
class Expected:
    """What the file may say of one stream: causes, the samples missing, when it is back."""

    causes: set[str]
    least: int
    most: int
    back_s: float = PAUSE_S + SET_UP_S


# Of 30 s at 100/s, or 8/s, plus what is not back at once; a storm's few failures cost about 0.4 s.
STUCK_MOTION = Expected({"bus error"}, 2990, 3000 + 700, PAUSE_S + SET_UP_S + 1.0)
STUCK_THERMAL = Expected({"bus error"}, 238, 240 + 56, PAUSE_S + SET_UP_S + 1.0)
STORM_MOTION = Expected({"bus error"}, 20, 300)
STORM_THERMAL = Expected({"bus error"}, 2, 24)
PULLED = Expected({"bus error"}, 1000, 1000 + 560)

EXPECTED: dict[str, dict[str, Expected]] = {
    "nack storm, motion": {"accel": STORM_MOTION},
    "nack storm, thermal": {"thermal": STORM_THERMAL},
    "nack storm, shared bus": {"accel": STORM_MOTION, "thermal": STORM_THERMAL},
    "stuck bus, motion": {"accel": STUCK_MOTION},
    "stuck bus, thermal": {"thermal": STUCK_THERMAL},
    "stuck bus, shared": {"accel": STUCK_MOTION, "thermal": STUCK_THERMAL},
    "garbage, MPU-6050": {"accel": Expected({"device restarted", "fifo overflow"}, 0, 300)},
    "garbage, ADXL345": {"accel": Expected({"device restarted", "fifo overflow"}, 0, 300)},
    "garbage, MLX90640": {"thermal": Expected({"device restarted", "torn", "missed"}, 0, 24)},
    "unplugged, MPU-6050": {"accel": PULLED},
    "unplugged, ADXL345": {"accel": PULLED},
    # By this cause sealing knows that it has to warm up anew.
    "unplugged, MLX90640": {"thermal": Expected({"device missing"}, 80, 80 + 48)},
    # What the FIFO of 85 records holds after 3 s is out of step and thrown away.
    "FIFO overflow, MPU-6050": {"accel": Expected({"fifo overflow"}, 300, 320, 0.1)},
    # Its FIFO keeps the newest 32 or 33 in order; they are recorded.
    "FIFO overflow, ADXL345": {"accel": Expected({"fifo overflow"}, 260, 300, 0.1)},
    # About ten records are in it when its count is no multiple of 12 bytes.
    "alignment lost": {"accel": Expected({"fifo misaligned"}, 8, 14, 0.2)},
    "torn subpages": {"thermal": Expected({"torn"}, 76, 84, 0.5)},
    # Each is read again and again, about three times a period, until a clearing is taken.
    "stale subpages": {"thermal": Expected({"torn"}, 3, 10, 1.0)},
    "invalid subpages": {"thermal": Expected({"invalid data"}, 20, 20, 3.0)},
    "EEPROM misread": {"thermal": Expected({"device missing"}, 40, 80 + 48)},
    "camera raises, frames": {"infrared": Expected({"missed"}, 20, 20, 0.3)},
    "camera raises, start": {"infrared": Expected({"stalled"}, 5 * 7, 5 * 9, CAMERA_PAUSE_S + 1)},
    "camera stalls": {"infrared": Expected({"stalled"}, 4, 8, 2.0)},
    "camera vanishes": {"infrared": Expected({"device missing"}, 50, 5 * 19, CAMERA_PAUSE_S + 1)},
}


@pytest.fixture(scope="module", params=sorted(SCENARIOS))
def outcome(request: pytest.FixtureRequest) -> Outcome:
    return run(SCENARIOS[request.param])


def expected_hits(outcome: Outcome) -> list[tuple[Hit, Expected]]:
    """Pair what was found with what is expected; accel and gyro come from one FIFO."""
    expected = EXPECTED[outcome.name]
    return [(hit, expected["accel" if hit.stream == "gyro" else hit.stream]) for hit in outcome.hit]


def test_no_sample_of_another_bus_or_camera_is_lost_or_changed(outcome):
    assert set(outcome.untouched.values()) <= {0}, outcome.untouched
    assert outcome.stop_reason == "duration reached"
    assert outcome.problems == ()


def test_what_is_missing_is_what_is_counted(outcome):
    for hit in outcome.hit:
        assert hit.wrong == (), hit
        assert hit.n_missing == hit.n_counted, hit


def test_gaps_lie_where_samples_are_missing_and_say_why(outcome):
    for hit, expected in expected_hits(outcome):
        assert set(hit.causes) <= expected.causes, hit
        assert expected.least <= hit.n_counted <= expected.most, hit
        assert hit.n_astray == 0, hit


def test_it_is_recorded_again_soon_after_the_fault(outcome):
    for hit, expected in expected_hits(outcome):
        assert 0 <= hit.back_s <= expected.back_s, hit


def test_stamps_stay_true(outcome):
    # A stretch of few reads between two failures bounds a chip's clock to about a period.
    limit_ns = {"accel": 10_000_000, "gyro": 10_000_000, "thermal": 20_000_000}
    for hit in outcome.hit:
        assert hit.largest_error_ns <= limit_ns.get(hit.stream, 1_000_000), hit
