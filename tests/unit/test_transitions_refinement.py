"""Onset and offset found on signals whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.posture_changes import SECOND_NS, recording
from wban_dataset.errors import DatasetError
from wban_dataset.transitions.built_in_settings import built_in
from wban_dataset.transitions.motion import STEP_NS, Motion
from wban_dataset.transitions.refinement import RefinementSettings, example, fit, refine

PAIR = ("standing", "sitting")


def person(seed, *, with_gyro=True):
    """Ten changes of 2 to 4 s, 20 s apart: their motion, onsets and offsets in s."""
    generator = np.random.default_rng(seed)
    onset_s = 15 + 20 * np.arange(10) + generator.uniform(-1, 1, 10)
    offset_s = onset_s + generator.uniform(2, 4, 10)
    stamps_ns, accel, gyro = recording(np.column_stack((onset_s, offset_s)), 230, seed)
    motion = Motion.of(stamps_ns, accel, *((stamps_ns, gyro) if with_gyro else ()))
    return motion, onset_s, offset_s


def errors_s(settings, seed, *, with_gyro=True):
    """Errors of onset and offset in s, boundaries moved by up to 2 s, (10, 2)."""
    motion, onset_s, offset_s = person(seed, with_gyro=with_gyro)
    moved_s = np.random.default_rng(seed + 100).uniform(-2, 2, 10)
    made = []
    for onset, offset, moved in zip(onset_s, offset_s, moved_s, strict=True):
        found = refine(motion, PAIR, round(((onset + offset) / 2 + moved) * 1e9), settings)
        made.append((found.onset_ns / 1e9 - onset, found.offset_ns / 1e9 - offset))
    return np.array(made)


def fitted(seeds, **options):
    examples = []
    for seed in seeds:
        motion, onset_s, offset_s = person(seed, **options)
        moved_s = np.random.default_rng(seed + 200).uniform(-2, 2, 10)
        examples += [
            example(
                motion,
                PAIR,
                round(((on + off) / 2 + moved) * 1e9),
                round(on * 1e9),
                round(off * 1e9),
            )
            for on, off, moved in zip(onset_s, offset_s, moved_s, strict=True)
        ]
    return fit(examples)


@pytest.mark.parametrize("with_gyro", [True, False])
def test_settings_of_other_people_find_onset_and_offset(with_gyro):
    settings = fitted([1, 2, 3], with_gyro=with_gyro)
    away = np.abs(errors_s(settings, 4, with_gyro=with_gyro))
    assert np.median(away) < 0.2
    assert away.max() < 1.0
    own = settings.by_pair[PAIR]
    assert 0 < own.onset_uncertainty_s < 0.5
    assert own.log_duration_mean == pytest.approx(np.log(3), abs=0.2)


@pytest.mark.parametrize("with_gyro", [True, False])
def test_built_in_settings_are_of_use_without_any_fit(with_gyro):
    away = np.abs(errors_s(built_in(with_gyro=with_gyro), 5, with_gyro=with_gyro))
    assert np.median(away) < 0.5


def test_a_pair_with_too_few_examples_takes_the_settings_of_all():
    settings = fitted([1, 2])
    assert settings.of(("sitting", "lying")) is settings.pooled
    assert settings.of(PAIR) is not settings.pooled


def test_too_few_examples_in_all_are_refused():
    with pytest.raises(DatasetError, match="found 10 known changes to fit settings to, expected"):
        fitted([1])


def test_where_nothing_moves_or_all_moves_nothing_is_distinct():
    stamps_ns, accel, gyro = recording([], 60)
    settings = built_in(with_gyro=True)
    assert not refine(
        Motion.of(stamps_ns, accel, stamps_ns, gyro), PAIR, 30 * SECOND_NS, settings
    ).is_distinct
    swing = 2 * np.sin(2 * np.pi * 2 * stamps_ns / 1e9)
    walking = Motion.of(stamps_ns, accel + swing[:, None], stamps_ns, gyro + swing[:, None])
    assert not refine(walking, PAIR, 30 * SECOND_NS, settings).is_distinct


def test_a_change_is_distinct_and_lies_in_the_session():
    stamps_ns, accel, gyro = recording([(12, 15)], 30)
    motion = Motion.of(stamps_ns, accel, stamps_ns, gyro)
    found = refine(motion, PAIR, 14 * SECOND_NS, built_in(with_gyro=True))
    assert found.is_distinct
    assert 0 < found.onset_ns < found.offset_ns < 30 * SECOND_NS
    assert refine(motion, PAIR, 31 * SECOND_NS, built_in(with_gyro=True)) is None
    assert refine(motion, PAIR, -SECOND_NS, built_in(with_gyro=True)) is None


def test_the_ends_of_a_recording_are_no_obstacle():
    stamps_ns, accel, gyro = recording([(1, 3)], 4)
    motion = Motion.of(stamps_ns, accel, stamps_ns, gyro)
    for boundary_ns in (0, 2 * SECOND_NS, int(stamps_ns[-1])):
        found = refine(motion, PAIR, boundary_ns, built_in(with_gyro=True))
        assert found.onset_ns <= found.offset_ns
    single = Motion.of(stamps_ns[:1], accel[:1])
    assert refine(single, PAIR, 0, built_in(with_gyro=False)) is not None


def test_settings_of_other_sensors_are_refused():
    stamps_ns, accel, _ = recording([(12, 15)], 30)
    settings = RefinementSettings(built_in(with_gyro=True).pooled, {})
    with pytest.raises(DatasetError, match="settings are of 15 inputs, the signal gives 12"):
        refine(Motion.of(stamps_ns, accel), PAIR, 14 * SECOND_NS, settings)


def test_the_grid_takes_the_mean_of_faster_and_fills_slower_streams():
    fast_ns = np.arange(4000) * 2_500_000
    fast = np.column_stack((fast_ns / 1e9, np.ones(4000), np.zeros(4000)))
    slow_ns = np.arange(100) * 100_000_000
    slow = np.column_stack((slow_ns / 1e9,) * 3)
    motion = Motion.of(fast_ns, fast, slow_ns, slow)
    grid_s = np.arange(len(motion)) * STEP_NS / 1e9
    inside = slice(5, 480)
    np.testing.assert_allclose(motion.accel[inside, 0], grid_s[inside], atol=0.0013)
    np.testing.assert_allclose(motion.gyro[inside, 2], grid_s[inside], atol=1e-9)
    assert motion.place(motion.instant_ns(7)) == 7
