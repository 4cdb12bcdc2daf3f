"""Gravity, wear and clipping, on signals whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from wban_collect.simulation.hapt import read_recording
from wban_dataset.hygiene.calibration import (
    Calibration,
    NotCalibratedError,
    apply_calibration,
    calibrate,
    still_points,
)
from wban_dataset.hygiene.clipping import clipping
from wban_dataset.hygiene.epochs import STANDARD_GRAVITY, epochs_of
from wban_dataset.hygiene.wear import STEP_NS, judged_hours, non_wear

MINUTE_NS = 60_000_000_000
TRUE_SCALE = np.array([1.03, 0.98, 1.01])
TRUE_OFFSET_G = np.array([0.04, -0.03, 0.02])


class SignalStream:
    """As much of a stream as is asked for here; values in g, on even stamps but where told."""

    def __init__(self, values_g, rate_hz=20.0, stamps=None, clip_counts=None):
        self.kind = "accel"
        self.n = len(values_g)
        self.sampling_rate_hz = rate_hz
        self.scale_factor = STANDARD_GRAVITY / 1000
        self.attributes = {} if clip_counts is None else {"clip_counts": clip_counts}
        even = np.arange(self.n) * round(1e9 / rate_hz) + 5 * MINUTE_NS
        self.monotonic_ns = even if stamps is None else stamps
        self._values = np.asarray(values_g) * STANDARD_GRAVITY
        self.read_calls = 0

    def span(self, start_ns, stop_ns):
        return slice(*np.searchsorted(self.monotonic_ns, (start_ns, stop_ns)).tolist())

    def read(self, start_ns, stop_ns):
        self.read_calls += 1
        return self._values[self.span(start_ns, stop_ns)]

    def read_counts(self, start_ns, stop_ns):
        return np.round(self.read(start_ns, stop_ns) / self.scale_factor).astype(np.int16)


def directions(n, rng):
    """n unit vectors, evenly over the sphere, (n, 3)."""
    vectors = rng.normal(size=(n, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def miscalibrated(true_g):
    """What a chip says whose corrected values are true: scale and offset undone."""
    return (true_g - TRUE_OFFSET_G) / TRUE_SCALE


def rests_and_walks(rng, n_rests=60, rate_hz=20):
    """A minute in each posture, still for half of it, in g, (n, 3)."""
    pieces = []
    for gravity in directions(n_rests, rng):
        still = np.tile(gravity, (30 * rate_hz, 1)) + rng.normal(0, 0.003, (30 * rate_hz, 3))
        moving = np.tile(gravity, (30 * rate_hz, 1)) + rng.normal(0, 0.4, (30 * rate_hz, 3))
        pieces += [still, moving]
    return np.concatenate(pieces)


def test_scale_and_offset_are_found_again_from_a_worn_sensor():
    rng = np.random.default_rng(1)
    stream = SignalStream(miscalibrated(rests_and_walks(rng)))
    found = calibrate(still_points(epochs_of(stream, 10_000_000_000)))
    np.testing.assert_allclose(found.scale, TRUE_SCALE, atol=0.002)
    np.testing.assert_allclose(found.offset, TRUE_OFFSET_G, atol=0.002)
    assert found.error_before_g > 0.02
    assert found.error_after_g < 0.001
    assert found.n_points >= 60


def test_calibrated_values_measure_one_g_when_still():
    rng = np.random.default_rng(2)
    points = miscalibrated(directions(200, rng))
    corrected = apply_calibration(points * STANDARD_GRAVITY, calibrate(points))
    lengths = np.linalg.norm(corrected, axis=1)
    np.testing.assert_allclose(lengths, STANDARD_GRAVITY, rtol=1e-4)


def test_windows_that_moved_slowly_count_little():
    rng = np.random.default_rng(3)
    true_g = directions(200, rng)
    true_g[::10] *= 1.05  # a tenth is not gravity alone
    found = calibrate(miscalibrated(true_g))
    np.testing.assert_allclose(found.scale, TRUE_SCALE, atol=0.005)
    np.testing.assert_allclose(found.offset, TRUE_OFFSET_G, atol=0.005)


def test_a_sensor_that_is_right_stays_as_it_is():
    rng = np.random.default_rng(4)
    found = calibrate(directions(300, rng) + rng.normal(0, 0.002, (300, 3)))
    np.testing.assert_allclose(found.scale, 1, atol=0.002)
    np.testing.assert_allclose(found.offset, 0, atol=0.002)


def test_too_few_still_pieces_are_refused():
    points = directions(11, np.random.default_rng(5))
    with pytest.raises(NotCalibratedError, match="there are 11 still pieces of 10 s, expected at"):
        calibrate(points)
    with pytest.raises(NotCalibratedError, match="there are 0 still pieces"):
        calibrate(np.zeros((0, 3)))


def test_a_sphere_seen_from_one_side_is_refused():
    points = directions(300, np.random.default_rng(6))
    with pytest.raises(NotCalibratedError, match=r"on axis z, expected below -0.3 and above 0.3 g"):
        calibrate(points[points[:, 2] > -0.2])


def test_what_is_no_gravity_is_refused():
    rng = np.random.default_rng(7)
    points = directions(300, rng) * rng.uniform(0.5, 1.5, (300, 1))
    with pytest.raises(NotCalibratedError, match="mg from 1 g before the fit and"):
        calibrate(points)


def test_epochs_are_cut_on_stamps_and_know_what_is_missing():
    stamps = np.concatenate([np.arange(200), np.arange(700, 750)]) * 50_000_000
    values = np.zeros((250, 3))
    values[:200, 0] = 1
    values[200:, 1] = np.tile([-1, 1], 25)
    epochs = epochs_of(SignalStream(values, 20.0, stamps), 10_000_000_000)
    assert epochs.start_ns.tolist() == [0, 30_000_000_000]
    assert epochs.n_samples.tolist() == [200, 50]
    assert epochs.complete.tolist() == [True, False]
    np.testing.assert_allclose(epochs.mean, [[1, 0, 0], [0, 0, 0]], atol=1e-12)
    np.testing.assert_allclose(epochs.sd, [[0, 0, 0], [0, 1, 0]], atol=1e-12)
    np.testing.assert_allclose(epochs.high[1] - epochs.low[1], [0, 2, 0], atol=1e-12)


def test_epochs_read_an_hour_at_a_time():
    stream = SignalStream(np.zeros((3 * 3600 + 5, 3)), 1.0)
    assert len(epochs_of(stream, STEP_NS)) == 13
    assert stream.read_calls == 4


def test_a_length_that_does_not_divide_an_hour_is_the_callers_mistake():
    with pytest.raises(ValueError, match="divide an hour"):
        epochs_of(SignalStream(np.zeros((1, 3))), 7_000_000_000)


def test_a_stream_without_samples_has_no_epochs():
    epochs = epochs_of(SignalStream(np.zeros((0, 3))), STEP_NS)
    assert len(epochs) == 0
    assert non_wear(epochs) == []
    assert still_points(epochs).shape == (0, 3)


def worn_and_on_a_table(minutes, rng, off=(60, 195), rate_hz=2):
    """In g; on a table from minute off[0] to off[1], with one axis noisy there."""
    n = minutes * 60 * rate_hz
    values = rng.normal(0, 0.3, (n, 3))
    table = slice(off[0] * 60 * rate_hz, off[1] * 60 * rate_hz)
    rest = rng.normal([0, 0, 1], [0.03, 0.002, 0.002], values[table].shape)
    values[table] = rest
    return values


def test_an_hour_on_a_table_is_not_worn():
    rng = np.random.default_rng(8)
    stream = SignalStream(worn_and_on_a_table(300, rng), 2.0)
    epochs = epochs_of(stream, STEP_NS)
    start = int(stream.monotonic_ns[0])
    assert non_wear(epochs) == [(start + 60 * MINUTE_NS, start + 195 * MINUTE_NS)]
    assert judged_hours(epochs) == 17


def test_less_than_an_hour_on_a_table_is_not_told_from_a_sleeper():
    rng = np.random.default_rng(9)
    stream = SignalStream(worn_and_on_a_table(300, rng, off=(60, 105)), 2.0)
    assert non_wear(epochs_of(stream, STEP_NS)) == []


def test_a_table_that_is_turned_over_is_worn():
    values = np.tile([0.0, 0.0, 1.0], (2 * 5400, 1))
    values[5400:] *= -1
    values += np.random.default_rng(10).normal(0, 0.001, values.shape)
    values[:, 1] += np.linspace(0, 0.5, len(values))
    assert non_wear(epochs_of(SignalStream(values, 2.0), STEP_NS)) == []


def test_a_short_recording_is_not_judged():
    epochs = epochs_of(SignalStream(np.zeros((55 * 60, 3)), 1.0), STEP_NS)
    assert judged_hours(epochs) == 0
    assert non_wear(epochs) == []


def test_clipped_samples_are_counted_with_their_spans():
    values = np.zeros((10, 3))
    values[2:4, 0] = 2.0
    values[9, 2] = -2.0
    found = clipping(SignalStream(values, 20.0, np.arange(10) * 50_000_000, clip_counts=2000))
    assert (found.n_samples, found.n_clipped, found.fraction) == (10, 3, 0.3)
    assert found.spans == ((100_000_000, 200_000_000), (450_000_000, 500_000_000))
    assert found.limit == pytest.approx(2 * STANDARD_GRAVITY)


def test_without_a_stated_limit_the_words_of_the_file_are_the_limit():
    values = np.full((4, 3), 2.0)
    found = clipping(SignalStream(values))
    assert (found.n_clipped, found.spans) == (0, ())
    assert found.limit == pytest.approx(32767 * STANDARD_GRAVITY / 1000)


def test_no_samples_are_not_clipped():
    assert clipping(SignalStream(np.zeros((0, 3)))).fraction == 0.0


def test_hapt_says_that_its_postures_do_not_tell_the_calibration(shared_data):
    """Standing, sitting and lying show one side of x alone."""
    recording = read_recording(shared_data / "hapt", "exp42")
    stream = SignalStream(recording.accel / STANDARD_GRAVITY, 50.0)
    points = still_points(epochs_of(stream, 10_000_000_000))
    assert len(points) == 13
    np.testing.assert_allclose(np.linalg.norm(points, axis=1), 1.0, atol=0.06)
    with pytest.raises(NotCalibratedError, match=r"from 0.18 to 1.03 g on axis x"):
        calibrate(points)


def test_a_calibration_is_plain_numbers():
    found = calibrate(miscalibrated(directions(50, np.random.default_rng(11))))
    assert isinstance(found, Calibration)
    assert all(type(value) is float for value in (*found.scale, *found.offset))
    assert found.n_points == 50
