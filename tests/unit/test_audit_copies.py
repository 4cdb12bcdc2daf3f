"""Copies of recordings under another name: planted in every disguise, and found."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.split_studies import (
    COUNT,
    RATE_HZ,
    Person,
    audited,
    in_counts,
    movement,
    people,
    signal,
)
from wban_dataset.splits.audit import audit
from wban_dataset.splits.findings import LeakKind
from wban_dataset.splits.fold import Role
from wban_dataset.splits.landmarks import landmarks
from wban_dataset.splits.near_duplicates import near_duplicates
from wban_dataset.splits.near_pairs import near_pairs
from wban_dataset.splits.recording import Recording
from wban_dataset.splits.sketch import Sketch, sketched
from wban_dataset.splits.spilled import Spilled

SHIFT_ROWS = int(3.7 * RATE_HZ)


def generator():
    return np.random.default_rng(11)


def noisy(values, share):
    """Add noise of a share of the movement's standard deviation."""
    deviation = np.linalg.norm(values, axis=1).std()
    return values + generator().normal(0, share * deviation, values.shape)


def turned(values):
    rotation, _ = np.linalg.qr(generator().normal(size=(3, 3)))
    return values @ rotation


def at_rate(values, rate_hz):
    times = np.arange(0.013, (len(values) - 1) / RATE_HZ, 1 / rate_hz)
    at = np.arange(len(values)) / RATE_HZ
    return np.stack([np.interp(times, at, values[:, i]) for i in range(3)], axis=1)


def pair(first, second, **changes):
    """Two recordings, the second with other attributes."""
    return [
        Recording(0, {"accel": signal(first)}),
        Recording(1, {"accel": signal(second, **changes)}),
    ]


def copies(first, second, **changes):
    return [d for d in near_duplicates(pair(first, second, **changes)) if not d.is_warning]


DISGUISES = {
    "shifted by 3.7 s": lambda v: v[SHIFT_ROWS:],
    "shifted, small noise": lambda v: in_counts(noisy(v[SHIFT_ROWS:], 0.05)),
    "shifted, gain 1.1": lambda v: v[SHIFT_ROWS:] * 1.1,
    "shifted, gain 1.1, noise": lambda v: noisy(v[SHIFT_ROWS:] * 1.1, 0.05),
    "gain 0.2, whose own deviation is small": lambda v: v * 0.2,
    "an offset on each axis": lambda v: v + np.array([0.5, -0.3, 0.2]),
    "turned": turned,
    "axes exchanged and mirrored": lambda v: -v[:, [2, 0, 1]],
    "between the samples": lambda v: at_rate(v, RATE_HZ),
    "only 20 s of it": lambda v: np.concatenate(
        [movement(901, 40), noisy(v[700 : 700 + 20 * RATE_HZ], 0.05), movement(902, 40)]
    ),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_copy_in_disguise_is_found(disguise):
    original = movement(1, 120)
    changed = DISGUISES[disguise](original).astype(np.float32)
    found = copies(original, changed, scale_factor=0.0)
    assert found
    for duplicate in found:
        assert (duplicate.first.session, duplicate.second.session) == (0, 1)
        assert duplicate.correlation > 0.995


@pytest.mark.parametrize("rate_hz", [25.0, 62.5, 100.0])
def test_copy_at_another_rate_is_found(rate_hz):
    original = movement(1, 120)
    changed = at_rate(original, rate_hz).astype(np.float32)
    (found,) = copies(original, changed, scale_factor=0.0, sampling_rate_hz=rate_hz)
    first = found.first.first_row / RATE_HZ, found.first.last_row / RATE_HZ
    second = found.second.first_row / rate_hz, found.second.last_row / rate_hz
    assert first[1] - first[0] > 100
    np.testing.assert_allclose(np.subtract(first, second), 0.013, atol=0.05)


def test_equal_counts_are_found_from_5_s_on_at_any_place():
    random = generator()
    original, other = movement(1, 60), movement(2, 60)
    for n_rows, is_copy in ((5 * RATE_HZ, True), (5 * RATE_HZ - 1, False)):
        for _ in range(20):
            at, source = random.integers(0, len(other) - n_rows, 2)
            planted = other.copy()
            planted[at : at + n_rows] = original[source : source + n_rows]
            found = copies(original, planted)
            assert bool(found) == is_copy
            if is_copy:
                (duplicate,) = found
                assert duplicate.same_counts
                assert duplicate.first.first_row <= source
                assert duplicate.first.last_row >= source + n_rows
                assert duplicate.second.first_row - duplicate.first.first_row == at - source


def test_equal_counts_are_found_whatever_rates_are_said():
    """5 s of the slower stream are not enough, 5 s of the faster one are."""
    random = generator()
    original, other = movement(1, 60), movement(2, 60)
    for n_rows, is_copy in ((500, True), (499, False)):
        for _ in range(10):
            at, source = random.integers(0, len(other) - n_rows, 2)
            planted = other.copy()
            planted[at : at + n_rows] = original[source : source + n_rows]
            found = near_duplicates(pair(original, planted, sampling_rate_hz=100.0))
            assert any(d.same_counts for d in found) == is_copy


def test_equal_counts_are_found_under_another_scale_and_another_stream():
    original = movement(1, 30)
    other = {"wrist_gyro": signal(original * 2, kind="gyro", scale_factor=2 * COUNT)}
    (found,) = near_duplicates([Recording(0, {"accel": signal(original)}), Recording(1, other)])
    assert found.same_counts
    assert (found.first.stream, found.second.stream) == ("accel", "wrist_gyro")
    assert found.duration_s == 30.0


def test_equal_pictures_are_found():
    random = generator()
    pictures = random.integers(0, 255, (150, 6, 8)).astype(np.uint8)
    shifted = pictures[33:]
    made = [
        Recording(
            number,
            {"infrared": signal(values, 0, 0.0, kind="infrared", sampling_rate_hz=15.0)},
        )
        for number, values in enumerate((pictures, shifted))
    ]
    (found,) = near_duplicates(made)
    assert found.same_counts
    assert (found.first.first_row, found.second.first_row) == (33, 0)
    assert found.first.last_row == 150


def test_a_sensor_that_lies_still_is_nobodys_copy():
    still = np.tile(np.float32([0, 0, 9.8]), (60 * RATE_HZ, 1))
    still[::40] += COUNT  # a count flickers now and then, at the same pace for everybody
    assert near_duplicates(pair(still, still.copy())) == []


def test_people_who_walk_alike_are_no_copies():
    seconds = np.arange(0, 60, 1 / RATE_HZ)
    random = generator()
    walks = []
    for _ in range(2):
        stride = np.sin(2 * np.pi * 1.9 * seconds + random.uniform(0, 6))
        own = np.convolve(random.normal(size=len(seconds) + 8), np.ones(9) / 3, "valid")
        walks.append(np.stack([9.8 + 3 * stride + own, 0.3 * own, stride], 1).astype(np.float32))
    assert copies(*walks) == []


def test_less_similarity_is_a_warning():
    original = movement(1, 120)
    found = near_duplicates(pair(original, noisy(original, 0.14).astype(np.float32)))
    assert found
    assert all(d.is_warning for d in found if d.correlation <= 0.995)
    assert any(d.is_warning for d in found)
    quiet = (original - original.mean(axis=0)) * 0.15 + np.float32([0, 0, 9.8])
    assert near_duplicates(pair(quiet, quiet * 1.1, scale_factor=0.0)) == [] or all(
        d.is_warning for d in near_duplicates(pair(quiet, quiet * 1.1, scale_factor=0.0))
    )


def test_a_gap_of_unknown_values_does_not_hide_a_copy():
    original = movement(1, 120)
    holed = original[SHIFT_ROWS:] * np.float32(1.1)
    holed[2000:2050] = np.nan
    assert copies(original, holed, scale_factor=0.0)


def test_memory_and_answer_do_not_depend_on_the_pieces(monkeypatch):
    original = movement(1, 300)
    whole = sketched(Recording(0, {"accel": signal(original)}))
    monkeypatch.setattr("wban_dataset.splits.sketch.BYTES_AT_ONCE", 1)
    read = []
    piecewise = replace(signal(original), read=lambda a, b: read.append(b - a) or original[a:b])
    in_pieces = sketched(Recording(0, {"accel": piecewise}))
    assert max(read) < 3000 < len(original)
    expected, found = whole.counts["accel"], in_pieces.counts["accel"]
    assert found.row.tolist() == expected.row.tolist()
    assert found.value.tolist() == expected.value.tolist()
    rows = [
        sorted(zip(s.shapes["accel"].row.tolist(), s.shapes["accel"].place.tolist(), strict=True))
        for s in (whole, in_pieces)
    ]
    assert rows[0] == rows[1]


def test_sketch_survives_being_kept():
    made = sketched(Recording(3, {"accel": signal(movement(1, 60))}))
    kept = Sketch.from_arrays(8, made.to_arrays())
    assert kept.session == 8
    for name, values in made.to_arrays().items():
        np.testing.assert_array_equal(kept.to_arrays()[name], values)
    small = sum(values.nbytes for values in made.to_arrays().values())
    assert small < 0.5 * movement(1, 60).nbytes


def test_recordings_of_nothing_and_of_less_than_a_window_have_empty_sketches():
    for n_rows in (0, 1, 40):
        made = sketched(Recording(0, {"accel": signal(movement(1, 60)[:n_rows])}))
        assert len(made.counts["accel"].row) == 0
        assert len(made.shapes["accel"].row) == 0
        assert near_duplicates([Recording(0, {})]) == []


def test_near_pairs_agree_with_every_pair():
    values = np.linalg.norm(movement(1, 600), axis=1)
    found = landmarks(values, RATE_HZ, 0, len(values))
    random = generator()
    again = np.concatenate([found.profile, found.profile[::3]])
    again = (again + random.integers(-300, 300, again.shape)).astype(np.int16)
    shape = np.concatenate([found.shape, found.shape[::3]])
    cosine = shape.astype(int) @ shape.T.astype(int)
    apart = np.abs(again[:, None].astype(int) - again).max(axis=2)
    expected = np.argwhere(np.triu((cosine > 0.975 * 127**2) & (apart <= 400), 1))
    found_pairs = np.concatenate(list(near_pairs(again, shape)))
    assert sorted(map(tuple, found_pairs)) == sorted(map(tuple, expected))
    assert len(expected) >= 50


def study_with_copy(change, protocol="loso"):
    persons = people(4, seconds=60)
    stolen = np.asarray(change(persons[0].accel), dtype=np.float32)
    persons.append(Person("S09", "S09_0", "2026-04-01T10:00:00Z", stolen))
    return audited(persons, protocol)


@pytest.mark.parametrize(
    "change",
    [lambda v: v[SHIFT_ROWS:], lambda v: noisy(v, 0.03) * 1.1],
    ids=["shifted", "noise and gain"],
)
def test_copy_under_another_name_leaks_in_every_fold_that_parts_them(change):
    given = study_with_copy(change)
    result = audit(given)
    assert {f.kind for f in result.leaks} == {LeakKind.DUPLICATE}
    for fold in given.folds:
        role = {int(fold.role[given.windows.session == number][0]) for number in (0, 4)}
        expected = len(role) == 2
        assert any(leak.fold == fold.name for leak in result.leaks) == expected
    (first, *_) = [leak for leak in result.leaks if leak.fold == "S09"]
    assert first.roles[0] == Role.TEST
    assert first.sessions == (0, 4)
    assert "S01_0 (S01) and S09_0 (S09)" in first.detail
    n_windows = int((given.windows.session == 4).sum())
    assert 0.6 * n_windows < len(first.rows) <= n_windows


def test_same_content_under_two_names_leaks_even_if_nothing_moves():
    persons = people(3, seconds=30)
    for person in persons:
        person.accel = np.zeros_like(person.accel)
        person.content_sha256 = person.subject
    persons[2].content_sha256 = persons[0].content_sha256
    result = audit(audited(persons))
    assert {f.kind for f in result.leaks} == {LeakKind.DUPLICATE}
    assert "all content of S01_0 (S01) and S03_0 (S03) is equal" in result.explain()


def test_sessions_of_one_person_at_one_time_are_a_warning():
    persons = people(1, 4, seconds=30)
    given = audited(persons, "session", folds=4)
    during = [replace(s, start_utc="2026-03-01T10:00:10Z") for s in given.sessions[1:2]]
    sessions = [
        replace(s, duration_ns=30 * 10**9)
        for s in (given.sessions[0], *during, *given.sessions[2:])
    ]
    result = audit(replace(given, sessions=sessions))
    assert result.clean
    (line,) = result.explain_warnings().splitlines()
    assert line.startswith("S01_0 (S01) and S01_1 (S01) were recorded at one time (in ")
    assert audit(given).findings == ()


def test_sketches_made_before_give_the_same_answer():
    given = study_with_copy(lambda v: v[SHIFT_ROWS:])
    sketches = [sketched(recording) for recording in given.recordings]
    told = []
    fresh = audit(given, progress=lambda done, total: told.append((done, total)))
    assert told == [(i + 1, 5) for i in range(5)]
    assert audit(given, sketches=sketches).as_json() == fresh.as_json()


def test_what_could_not_be_looked_for_is_said():
    given = audited(people(3, seconds=30))
    assert audit(given).unchecked == ()
    (sentence,) = audit(replace(given, recordings=None)).unchecked
    assert "near-duplicate recordings were not looked for" in sentence
    unknown = [
        Recording(r.session, {"accel": replace(r.streams["accel"], units="count")})
        for r in given.recordings
    ]
    (sentence,) = audit(replace(given, recordings=unknown)).unchecked
    assert "3 of 3 recordings have no acceleration in known units" in sentence


def test_sketches_compared_in_parts_give_the_same_answer(monkeypatch):
    original = movement(7, 300)
    others = [movement(8, 300), original[2000:9000] * np.float32(1.1), original.copy()]
    made = [Recording(i, {"accel": signal(v)}) for i, v in enumerate([original, *others])]
    at_once = near_duplicates(made)
    assert {d.same_counts for d in at_once} == {True, False}
    n_whole = largest_read(monkeypatch, lambda: near_duplicates(made))
    monkeypatch.setattr("wban_dataset.splits.spilled.MOST_HELD", 100)
    results = []
    n_part = largest_read(monkeypatch, lambda: results.append(near_duplicates(made)))
    assert results[0] == at_once
    assert n_part < n_whole


def largest_read(monkeypatch, do):
    """Records that were held at most at a time."""
    sizes = [0]
    whole = Spilled.whole

    def noting(self):
        sizes.append(self.n_records)
        return whole(self)

    monkeypatch.setattr(Spilled, "whole", noting)
    do()
    monkeypatch.setattr(Spilled, "whole", whole)
    return max(sizes)
