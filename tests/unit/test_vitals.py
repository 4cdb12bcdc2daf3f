"""A hung recorder is told from one whose sensor has failed."""

from __future__ import annotations

from wban_collect.storage import Commit
from wban_collect.vitals import FreshRows, Vitals

S = 1_000_000_000


def vitals(now_s: int, fsync_s: int, fresh_s: dict[str, int], attempt_s: dict[str, int]) -> str:
    fresh = {stream: second * S for stream, second in fresh_s.items()}
    attempt = {stream: second * S for stream, second in attempt_s.items()}
    return Vitals(now_s * S, fsync_s * S, fresh, attempt).complaint()


def test_a_recorder_whose_rows_reach_the_disk_lives():
    assert vitals(100, 99, {"accel": 99}, {"accel": 1}) == ""


def test_a_sensor_that_fails_and_is_tried_again_is_life_enough():
    assert vitals(100, 99, {"accel": 99, "thermal": 20}, {"accel": 1, "thermal": 95}) == ""


def test_a_stream_without_rows_and_without_attempts_hangs():
    assert "thermal" in vitals(100, 99, {"accel": 99, "thermal": 80}, {"accel": 1, "thermal": 80})


def test_a_writer_that_brings_nothing_to_the_disk_hangs():
    assert "fsynced" in vitals(100, 70, {"accel": 99}, {"accel": 99})


def test_only_rows_that_are_new_and_fsynced_count():
    fresh = FreshRows(0)
    fresh.note(Commit("a", 1 * S, 5, 1, {"accel": 10}))
    fresh.note(Commit("a", 2 * S, 5, 2, {"accel": 10}))
    assert fresh.by_stream == {"accel": 1 * S}
    fresh.note(Commit("b", 3 * S, 5, 1, {"accel": 4}))  # the next session counts from 0
    assert fresh.by_stream == {"accel": 3 * S}
    assert fresh.fsync_ns == 3 * S
