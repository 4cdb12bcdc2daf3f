"""The simulated person: schedule, transitions, and motion that obeys mechanics."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from wban_collect.simulation.activities import ARCHETYPES, GENERIC, archetype_of
from wban_collect.simulation.cell_noise import bump, events, held, held_at, smooth_step, uniform
from wban_collect.simulation.schedule import Bout, Schedule
from wban_collect.simulation.wearer import (
    STANDARD_GRAVITY,
    SimulatedWearer,
    SubjectParameters,
    _body_rates,
    _into_body,
)
from wban_collect.simulation.world import ActivitySpan

PAPER = tuple(ARCHETYPES)
START_NS = 5_000_000_000_000


def wearer(*activities: tuple[str, float], seed: int = 3, begun: bool = True) -> SimulatedWearer:
    made = SimulatedWearer(SubjectParameters.draw(seed), Schedule.of(activities), seed)
    if begun:
        made.begin(START_NS)
    return made


def instants_ns(start_s: float, stop_s: float, rate_hz: float = 100.0):
    return START_NS + np.rint(np.arange(start_s, stop_s, 1 / rate_hz) * 1e9).astype(np.int64)


ALL_IN_TURN = tuple((activity, 15.0) for activity in PAPER)


# --- who and when -------------------------------------------------------------------------------


def test_a_person_is_the_same_for_the_same_seed_and_another_for_another():
    assert SubjectParameters.draw(7) == SubjectParameters.draw(7)
    drawn = [SubjectParameters.draw(seed) for seed in range(40)]
    assert len({person.hand_hz + person.stride_hz for person in drawn}) == 40
    assert all(1.5 < person.height_m < 1.95 for person in drawn)
    assert all(0.75 < person.stride_hz < 1.1 for person in drawn)
    assert {person.right_handed for person in drawn} == {True, False}


def test_the_papers_activities_are_their_own_archetype():
    assert set(PAPER) == {
        "eating", "sleeping", "staying", "standing", "sitting",
        "speaking", "walking", "speak_and_walk",
    }  # fmt: skip
    assert archetype_of("Speak and Walk").slug == "speak_and_walk"


@pytest.mark.parametrize(
    ("activity", "slug"),
    [
        ("walking_upstairs", "walking"),
        ("jogging", "walking"),
        ("talking while walking", "speak_and_walk"),
        ("laying", "sleeping"),
        ("drinking-coffee", "eating"),
        ("reading", "sitting"),
        ("standng", "standing"),
        ("juggling", GENERIC.slug),
    ],
)
def test_other_activities_map_onto_the_nearest(activity, slug):
    assert archetype_of(activity).slug == slug


def test_every_activity_comes_several_times_in_twenty_minutes():
    for seed in range(8):
        subject = SubjectParameters.draw(seed)
        schedule = Schedule.draw(subject, PAPER, 1200.0, seed)
        counts = [sum(b.activity == a for b in schedule.bouts) for a in PAPER]
        assert min(counts) >= 2
        assert schedule.duration_s == 1200.0
        pairs = {(a.activity, b.activity) for a, b in itertools.pairwise(schedule.bouts)}
        assert len(pairs) >= 12
        assert all(a != b for a, b in pairs)


@pytest.mark.parametrize("activities", [PAPER, PAPER[:5]])
def test_a_minute_holds_at_least_three_activities(activities):
    for seed in range(20):
        schedule = Schedule.draw(SubjectParameters.draw(seed), activities, 60.0, seed)
        assert len({bout.activity for bout in schedule.bouts}) >= 3
        assert min(bout.stop_s - bout.start_s for bout in schedule.bouts) >= 6.99


def test_habits_show_in_the_shares_of_time():
    subject = SubjectParameters.draw(1)
    schedule = Schedule.draw(subject, PAPER[:5], 8 * 3600.0, 1)
    spent = dict.fromkeys(PAPER[:5], 0.0)
    for bout in schedule.bouts:
        spent[bout.activity] += bout.stop_s - bout.start_s
    assert max(spent, key=spent.__getitem__) == max(PAPER[:5], key=subject.share_of)
    assert min(spent, key=spent.__getitem__) == min(PAPER[:5], key=subject.share_of)


def test_a_second_is_one_bout_and_one_activity_is_one_too():
    subject = SubjectParameters.draw(1)
    assert len(Schedule.draw(subject, PAPER, 1.0, 1).bouts) == 1
    assert Schedule.draw(subject, ["eating"], 600.0, 1).bouts == (Bout("eating", 0.0, 600.0),)
    assert Schedule.single("eating", 30).bouts == (Bout("eating", 0.0, 30.0),)


def test_unusable_schedules_are_refused():
    subject = SubjectParameters.draw(1)
    with pytest.raises(ValueError, match="at least one bout"):
        Schedule(())
    with pytest.raises(ValueError, match=r"expected a start at 5\.0 s"):
        Schedule((Bout("eating", 0.0, 5.0), Bout("sitting", 6.0, 9.0)))
    with pytest.raises(ValueError, match="a later stop"):
        Schedule.single("eating", -1)
    with pytest.raises(ValueError, match="expected at least one, and each once"):
        Schedule.draw(subject, ["eating", "eating"], 60.0, 1)
    with pytest.raises(ValueError, match="The duration is 0 s; expected more than 0"):
        Schedule.draw(subject, PAPER, 0, 1)


# --- time ---------------------------------------------------------------------------------------


def test_spans_touch_and_start_where_the_first_caller_says():
    person = wearer(("eating", 10.0), ("sitting", 5.5), begun=False)
    assert person.spans() == []
    person.begin(1000)
    person.begin(99)
    assert person.spans() == [
        ActivitySpan(1000, 10_000_001_000, "eating"),
        ActivitySpan(10_000_001_000, 15_500_001_000, "sitting"),
    ]
    assert person.end_ns is None


def test_an_instant_is_the_same_alone_in_a_block_and_in_any_order():
    person, twin = wearer(*ALL_IN_TURN), wearer(*ALL_IN_TURN)
    times_ns = instants_ns(0.0, 120.0, 20.0)
    accel, gyro = person.acceleration(times_ns), person.angular_rate(times_ns)
    shuffled = np.random.default_rng(0).permutation(len(times_ns))
    np.testing.assert_allclose(twin.acceleration(times_ns[shuffled]), accel[shuffled], atol=1e-9)
    for k in (0, 299, 300, 301, 1777):
        one = times_ns[k : k + 1]
        np.testing.assert_allclose(person.acceleration(one)[0], accel[k], atol=1e-9)
        np.testing.assert_allclose(twin.angular_rate(one)[0], gyro[k], atol=1e-9)


def test_before_begin_the_world_stands_still_and_after_the_schedule_it_goes_on():
    person = wearer(("standing", 10.0), ("walking", 10.0), begun=False)
    early = person.acceleration(np.array([0, 10**12], dtype=np.int64))
    np.testing.assert_array_equal(early[0], early[1])
    person.begin(START_NS)
    late = person.acceleration(instants_ns(3600.0, 3605.0))
    assert np.linalg.norm(late, axis=1).std() > 0.5  # still walking
    assert person.acceleration(np.empty(0, dtype=np.int64)).shape == (0, 3)


# --- mechanics ----------------------------------------------------------------------------------


def test_upright_and_at_rest_the_sensor_feels_one_g_along_the_spine():
    angles = np.zeros((1, 4))
    np.testing.assert_allclose(_into_body(np.array([[0.0, 0.0, 9.8]]), angles), [[0, 0, 9.8]])


@pytest.mark.parametrize(
    ("angles", "expected"),
    [
        ((-math.pi / 2, 0, 0, 0), (1, 0, 0)),  # on the back: up is where the chest points
        ((math.pi / 2, 0, 0, 0), (-1, 0, 0)),  # bent forward to the floor
        ((0, math.pi / 2, 0, 0), (0, 1, 0)),  # leaning right by 90 degrees: left is up
        ((0, 0, 0, 2.0), (0, 0, 1)),  # which way one faces makes no difference
        ((-math.pi / 2, 0, math.pi / 2, 0), (0, -1, 0)),  # turned over to the left: right is up
    ],
)
def test_gravity_in_the_trunk(angles, expected):
    felt = _into_body(np.array([[0.0, 0.0, 1.0]]), np.array([angles]))
    np.testing.assert_allclose(felt[0], expected, atol=1e-12)


def test_angular_rate_is_what_turns_gravity():
    """Without linear acceleration the felt g turns by d(g)/dt = -omega x g, in the trunk."""
    person = wearer(*ALL_IN_TURN)
    h = 1e-4
    for t in (5.0, 14.8, 15.2, 22.0, 30.1, 97.0, 104.6, 112.0):
        three = person.movement_at(np.array([t - h, t, t + h]))
        up = np.tile([0.0, 0.0, STANDARD_GRAVITY], (3, 1))
        before, now, after = _into_body(up, three.angles)
        omega = _body_rates(three)[1]
        np.testing.assert_allclose((after - before) / (2 * h), -np.cross(omega, now), atol=2e-4)


def test_turning_about_the_vertical_is_felt_along_the_spine():
    three = wearer(("walking", 60.0)).movement_at(np.arange(0.0, 20.0, 0.01))
    turned = np.sum((three.rates[1:, 3] + three.rates[:-1, 3]) / 2) * 0.01
    np.testing.assert_allclose(turned, three.angles[-1, 3] - three.angles[0, 3], atol=0.02)
    assert abs(turned) > 2 * math.pi  # a walker in a room turns about every few seconds


def test_every_rate_is_the_derivative_of_its_angle_through_all_transitions():
    person = wearer(*ALL_IN_TURN)
    t = np.arange(1.0, 119.0, 0.002)
    movement = person.movement_at(t)
    slopes = (movement.angles[2:] - movement.angles[:-2]) / 0.004
    np.testing.assert_allclose(slopes, movement.rates[1:-1], atol=0.02)


def test_standing_up_lifts_the_belt_as_far_as_the_accelerometer_says():
    """The upward acceleration of the change alone, integrated twice, is the rise of the hips."""
    person = wearer(("sitting", 20.0), ("standing", 20.0))
    change = person._changes[0]
    t = np.arange(16.0, 24.0, 0.001)
    u = (t - change.middle_s) / change.duration_s
    weight, _, _ = smooth_step(u + 0.5)
    value, _, _ = bump(2 * u)
    shocks = change.effort * value * np.sin(2 * math.pi * 3.1 * (t - change.middle_s) + 4.1)
    before, after = (person._local(k, t).acceleration[:, 2] for k in (0, 1))
    lift = person.movement_at(t).acceleration[:, 2]
    lift = lift - before * (1 - weight) - after * weight - shocks
    speed = np.cumsum(lift) * 0.001
    # Hips of a standing person at 0.53 of the height, of a sitting one 0.45 m plus 0.055 of it.
    rise_m = 0.475 * person.subject.height_m - 0.45
    assert np.cumsum(speed)[-1] * 0.001 == pytest.approx(rise_m, abs=0.002)
    assert speed[-1] == pytest.approx(0.0, abs=0.002)


def test_transitions_last_one_to_four_seconds_and_are_half_done_when_the_label_changes():
    person = wearer(*ALL_IN_TURN)
    for index, change in enumerate(person._changes):
        assert 1.0 <= change.duration_s <= 4.0
        middle = np.array([change.middle_s])
        weight, _, _ = person._weight(index, middle)
        assert weight is not None
        assert weight[0, 0] == pytest.approx(0.5)
        assert change.middle_s == 15.0 * (index + 1)


def test_a_transition_fits_into_short_bouts():
    person = wearer(("sleeping", 0.5), ("standing", 0.5), ("sleeping", 0.5))
    assert all(change.duration_s <= 0.45 for change in person._changes)


def test_sleeping_lies_standing_stands_and_walking_shakes():
    person = wearer(*((a, 30.0) for a in ("sleeping", "standing", "walking")))
    lying, standing, walking = (
        person.acceleration(instants_ns(30.0 * k + 4, 30.0 * k + 26)) for k in range(3)
    )
    assert abs(lying[:, 2].mean()) < 0.35 * STANDARD_GRAVITY
    assert standing[:, 2].mean() > 0.9 * STANDARD_GRAVITY
    assert walking[:, 2].std() > 5 * standing[:, 2].std()
    assert lying.std(axis=0).max() < 0.4
    for felt in (lying, standing, walking):
        assert np.linalg.norm(felt.mean(axis=0)) == pytest.approx(STANDARD_GRAVITY, rel=0.03)


def test_steps_come_at_twice_the_stride_rate():
    person = wearer(("walking", 60.0))
    felt = person.acceleration(instants_ns(2.0, 58.0))[:, 2]
    power = np.abs(np.fft.rfft((felt - felt.mean()) * np.hanning(len(felt)))) ** 2
    peak_hz = power[6:].argmax() / 56.0 + 6 / 56.0
    assert peak_hz == pytest.approx(2 * person._bouts[0].stride_hz, abs=0.1)


def test_signals_stay_within_what_a_4_g_500_dps_chip_measures():
    for seed in range(6):
        person = wearer(*ALL_IN_TURN, seed=seed)
        times_ns = instants_ns(0.0, 120.0, 50.0)
        assert np.abs(person.acceleration(times_ns)).max() < 3.5 * STANDARD_GRAVITY
        assert np.abs(person.angular_rate(times_ns)).max() < math.radians(450.0)


# --- randomness by time -------------------------------------------------------------------------


def test_hashed_numbers_are_uniform_and_belong_to_their_cell():
    drawn = uniform(5, np.arange(-5000, 5000, dtype=np.int64), 4)
    np.testing.assert_allclose(drawn.mean(axis=0), 0.5, atol=0.02)
    np.testing.assert_allclose(drawn.var(axis=0), 1 / 12, atol=0.004)
    assert abs(np.corrcoef(drawn.T)[0, 1]) < 0.05
    np.testing.assert_array_equal(uniform(5, np.array([7], dtype=np.int64), 4)[0], drawn[5007])
    assert not np.array_equal(uniform(6, np.array([7], dtype=np.int64), 4)[0], drawn[5007])


def test_smooth_shapes_by_hand():
    value, rate, curve = smooth_step(np.array([-1.0, 0.0, 0.5, 1.0, 2.0]))
    assert value.tolist() == [0.0, 0.0, 0.5, 1.0, 1.0]
    assert rate.tolist() == [0.0, 0.0, 1.875, 0.0, 0.0]  # 30 * 0.5**4
    assert curve.tolist() == [0.0, 0.0, 0.0, 0.0, 0.0]
    value, rate, curve = bump(np.array([-2.0, 0.0, 0.5]))
    assert value.tolist() == [0.0, 1.0, 0.421875]  # 0.75**3
    assert rate.tolist() == [0.0, 0.0, -1.6875]  # -6 * 0.5 * 0.75**2
    assert curve.tolist() == [0.0, -6.0, 1.125]  # 0.75 * (24 * 0.25 - 6 * 0.75)


def test_held_levels_and_events_carry_their_true_derivatives():
    t = np.arange(-20.0, 60.0, 0.001)
    levels, rates = held(9, t, 7.0, 1.5, 2)
    np.testing.assert_allclose(np.gradient(levels, 0.001, axis=0)[1:-1], rates[1:-1], atol=1e-3)
    assert (rates == 0).mean() > 0.7  # held for 5.5 s of 7
    for k in (0, 12345, 79999):
        np.testing.assert_allclose(held_at(9, float(t[k]), 7.0, 1.5, 2), levels[k], atol=1e-9)
    found = events(9, t, 4.0, 0.5, 1)
    assert found is not None
    value, rate, curve = found
    np.testing.assert_allclose(np.gradient(value, 0.001, axis=0)[1:-1], rate[1:-1], atol=1e-3)
    np.testing.assert_allclose(np.gradient(rate, 0.001, axis=0)[1:-1], curve[1:-1], atol=2e-2)
    assert events(9, t, 4.0, 0.0, 1) is None
