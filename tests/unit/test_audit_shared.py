"""What roles must not share: each leak is planted and must be found, with its windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.unit.split_studies import audited, infos, people
from wban_dataset.errors import DatasetError
from wban_dataset.splits.audit import audit
from wban_dataset.splits.findings import LeakKind
from wban_dataset.splits.fold import Fold, Role
from wban_dataset.splits.intervals import spans_on_one_axis, touched
from wban_dataset.splits.options import Unit


def kinds(result):
    return {finding.kind for finding in result.leaks}


def moved(given, fold_number, row, role):
    """Give one window of a fold another role."""
    folds = list(given.folds)
    roles = folds[fold_number].role.copy()
    roles[row] = role
    folds[fold_number] = Fold(folds[fold_number].name, roles)
    return replace(given, folds=folds)


@pytest.mark.parametrize("protocol", ["loso", "lnso", "group-kfold", "session", "date"])
def test_folds_of_different_people_are_clean(protocol):
    result = audit(audited(people(5, 2, seconds=30), protocol))
    assert result.clean
    assert result.findings == ()
    assert result.counts() == {}
    assert result.explain() == ""


def test_random_windows_share_samples_sessions_and_subjects():
    given = audited(people(3, seconds=30), "random")
    result = audit(given)
    assert not result.clean
    assert kinds(result) == {LeakKind.SAMPLE, LeakKind.SESSION, LeakKind.SUBJECT}
    # By brute force: windows of validation or test of which a sample is also in another role.
    start, stop = given.windows.first_row["accel"], given.windows.last_row["accel"]
    overlapping = (start[:, None] < stop) & (start < stop[:, None])
    n_leaking = 0
    for fold in given.folds:
        for_train = overlapping & (fold.role == Role.TRAIN)
        for_validation = overlapping & (fold.role == Role.VALIDATION)
        tested = fold.role == Role.TEST
        n_leaking += (tested & (for_train | for_validation).any(axis=1)).sum()
        n_leaking += ((fold.role == Role.VALIDATION) & for_train.any(axis=1)).sum()
    assert result.counts()["shared sample"] == n_leaking


def test_one_window_of_a_test_subject_in_training_is_found():
    given = audited(people(4, seconds=30))
    row = int(given.folds[0].rows(Role.TEST)[5])
    result = audit(moved(given, 0, row, Role.TRAIN))
    assert kinds(result) == {LeakKind.SAMPLE, LeakKind.SESSION, LeakKind.SUBJECT}
    (shared,) = [f for f in result.leaks if f.kind is LeakKind.SAMPLE]
    assert shared.fold == "S01"
    assert shared.roles == (Role.TEST, Role.TRAIN)
    # 50 rows every 20: a window overlaps two before it and two after it.
    assert shared.rows.tolist() == [row - 2, row - 1, row + 1, row + 2]
    assert shared.sessions == (0,)
    assert "rows of accel" in shared.detail


def test_a_window_between_validation_and_test_is_found():
    given = audited(people(4, seconds=30))
    row = int(given.folds[0].rows(Role.TEST)[5])
    result = audit(moved(given, 0, row, Role.VALIDATION))
    assert {f.roles for f in result.leaks} == {(Role.TEST, Role.VALIDATION)}


def test_windows_that_only_meet_share_nothing_but_their_session():
    given = audited(people(2, seconds=30), "session", folds=2, validation_fraction=0)
    role = np.zeros(len(given.windows), np.uint8)
    role[0], role[5] = Role.TRAIN, Role.TEST  # rows [0, 50) and [100, 150)
    result = audit(replace(given, folds=[Fold("1", role)]))
    assert kinds(result) == {LeakKind.SESSION}
    role[5], role[2] = Role.UNUSED, Role.TEST  # rows [40, 90)
    result = audit(replace(given, folds=[Fold("1", role)]))
    assert kinds(result) == {LeakKind.SESSION, LeakKind.SAMPLE}


def test_same_subject_in_two_sessions_is_found_where_subjects_are_claimed():
    given = audited(people(4, 2, seconds=30), "session", folds=4)
    assert audit(given).clean
    result = audit(replace(given, unit=Unit.SUBJECT))
    assert kinds(result) == {LeakKind.SUBJECT}
    assert all("S0" in finding.detail for finding in result.leaks)


def test_sessions_whose_subject_is_unknown_count_as_one_subjects():
    persons = people(3, seconds=30)
    given = audited(persons)
    for person in persons[:2]:
        person.subject = ""
    result = audit(replace(given, sessions=infos(persons)))
    assert kinds(result) == {LeakKind.SUBJECT}
    assert any(finding.detail == "unknown" for finding in result.leaks)


def test_same_date_is_found_where_dates_are_claimed():
    persons = people(3, 2, seconds=30)
    given = audited(persons, "session", folds=6)
    result = audit(replace(given, unit=Unit.DATE))
    assert kinds(result) == {LeakKind.DATE}
    assert any("2026-03-01" in finding.detail for finding in result.leaks)


def test_picture_that_two_windows_both_have_is_a_shared_sample():
    """A slow stream's nearest picture may lie outside both windows."""
    given = audited(people(2, seconds=30), "session", folds=2, validation_fraction=0)
    role = np.zeros(len(given.windows), np.uint8)
    role[0], role[5] = Role.TRAIN, Role.TEST
    frame = np.full(len(given.windows), -1)
    frame[[0, 5]] = 7
    empty = np.zeros(len(given.windows), np.int64)
    windows = replace(
        given.windows,
        first_row={**given.windows.first_row, "thermal": empty},
        last_row={**given.windows.last_row, "thermal": empty},
        frame={"thermal": frame},
    )
    result = audit(replace(given, windows=windows, folds=[Fold("1", role)], recordings=None))
    (shared,) = [f for f in result.leaks if f.kind is LeakKind.SAMPLE]
    assert shared.rows.tolist() == [5]
    assert "frames of thermal" in shared.detail


def test_rows_that_two_sessions_both_name_are_shared_samples():
    """A wrong table of windows is not trusted: sessions 0 and 1 point to the same rows."""
    given = audited(people(3, seconds=30))
    first = given.windows.first_row["accel"].copy()
    second = given.windows.session == 1
    first[second] -= first[second][0]
    windows = replace(given.windows, first_row={"accel": first}, last_row={"accel": first + 50})
    result = audit(replace(given, windows=windows, recordings=None))
    assert LeakKind.SAMPLE in kinds(result)


def test_windows_nearer_than_the_promised_gap_are_found():
    persons = people(2, seconds=60)
    made = audited(persons, "random", folds=60, purge_s=0.5, validation_fraction=0)
    result = audit(made)
    assert LeakKind.PURGE not in kinds(result)
    assert LeakKind.SAMPLE not in kinds(result)
    result = audit(replace(made, purge_ns=900_000_000))
    assert LeakKind.PURGE in kinds(result)
    assert "nearer than 0.9 s" in result.explain()


def test_statistic_fitted_on_a_test_window_is_found():
    given = audited(people(3, seconds=30))
    train, test = (given.folds[0].rows(role) for role in (Role.TRAIN, Role.TEST))
    assert audit(replace(given, statistics={"S01": train})).clean
    result = audit(replace(given, statistics={"S01": np.append(train, test[:3])}))
    assert kinds(result) == {LeakKind.STATISTIC}
    assert result.leaks[0].rows.tolist() == test[:3].tolist()
    assert result.counts() == {"statistic fitted outside training": 3}


def test_ready_windows_of_one_person_count_as_shared():
    given = audited(people(4, 2, seconds=30))
    ready = replace(given, has_times=False)
    assert audit(ready).clean
    session = audited(people(4, 2, seconds=30), "session", folds=4)
    result = audit(replace(session, has_times=False))
    assert LeakKind.SAMPLE in kinds(result)
    assert "without times an overlap is not excluded" in result.explain()


def test_explanation_lists_windows_by_session_and_time_up_to_a_limit():
    given = audited(people(4, seconds=30), "random")
    result = audit(given)
    lines = result.explain(limit=2).splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("fold 1, test and train: shared sample")
    assert "of S01_0 at" in lines[0]
    assert lines[2] == f"... and {len(result.leaks) - 2} findings more"


def test_json_has_every_row():
    given = audited(people(4, seconds=30))
    row = int(given.folds[0].rows(Role.TEST)[5])
    found = audit(moved(given, 0, row, Role.TRAIN)).as_json()
    assert found["clean"] is False
    (shared,) = [leak for leak in found["leaks"] if leak["kind"] == "shared sample"]
    assert shared["rows"] == [row - 2, row - 1, row + 1, row + 2]
    assert shared["sessions"] == ["S01_0"]
    assert shared["roles"] == ["test", "train"]


def test_folds_of_another_dataset_are_refused():
    given = audited(people(3, seconds=30))
    with pytest.raises(DatasetError, match="fold 1 has 5 roles"):
        audit(replace(given, folds=[Fold("1", np.ones(5, np.uint8))]))
    with pytest.raises(DatasetError, match="there is no fold"):
        audit(replace(given, folds=[]))
    with pytest.raises(DatasetError, match="windows name session number 2, expected 0 to 1"):
        audit(replace(given, sessions=given.sessions[:2]))
    with pytest.raises(DatasetError, match="statistics are declared for fold 'X'"):
        audit(replace(given, statistics={"X": np.arange(3)}))
    with pytest.raises(DatasetError, match="declared on window 99999"):
        audit(replace(given, statistics={"S01": np.array([99999])}))


def test_touched_agrees_with_every_pair():
    generator = np.random.default_rng(5)
    for _ in range(50):
        start = generator.integers(0, 60, 20)
        stop = start + generator.integers(0, 9, 20)
        others = generator.integers(0, 60, 12)
        others_stop = others + generator.integers(0, 9, 12)
        expected = [
            any(max(a, c) < min(b, d) for c, d in zip(others, others_stop, strict=True))
            for a, b in zip(start, stop, strict=True)
        ]
        assert touched(start, stop, others, others_stop).tolist() == expected


def test_sessions_lie_apart_on_the_common_axis():
    given = audited(people(3, seconds=30))
    shifted = replace(
        given.windows,
        start_ns=given.windows.start_ns + 10**15,
        stop_ns=given.windows.stop_ns + 10**15,
    )
    start, stop = spans_on_one_axis(shifted, apart_ns=7)
    session = given.windows.session
    assert (stop - start == 10**9).all()
    for number in (0, 1):
        gap = start[session == number + 1].min() - stop[session == number].max()
        assert gap >= 7


def test_findings_are_counted_whole_and_listed_up_to_a_limit(monkeypatch):
    given = audited(people(4, seconds=60), "random", folds=3)
    whole = audit(given)
    monkeypatch.setattr("wban_dataset.splits.findings.MOST_ROWS", 2)
    monkeypatch.setattr("wban_dataset.splits.findings.MOST_FINDINGS", 3)
    some = audit(given)
    assert some.counts() == whole.counts() != {}
    assert len(some.leaks) == 3
    assert some.n_left_out == (len(whole.leaks) - 3, 0)
    for short, long in zip(some.leaks, whole.leaks, strict=False):
        assert short.rows.tolist() == long.rows[:2].tolist()
        assert short.n_windows == len(long.rows)
    assert some.explain(limit=1).splitlines()[-1] == f"... and {len(whole.leaks) - 1} findings more"
    assert some.as_json()["left_out"] == {"leaks": len(whole.leaks) - 3, "warnings": 0}


def test_looking_in_pieces_gives_the_same_answer(monkeypatch):
    given = audited(people(3, seconds=60), "random", folds=3, purge_s=1.0)
    whole = audit(given).as_json()
    monkeypatch.setattr("wban_dataset.splits.shared.WINDOWS_AT_ONCE", 7)
    assert audit(given).as_json() == whole
