"""Who trains and who tests, under every protocol; what cannot be divided is refused in words."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest

from tests.unit.split_studies import CLASSES, infos, people, windows_of
from wban_dataset.errors import DatasetError
from wban_dataset.splits.fold import Role
from wban_dataset.splits.options import SplitOptions, Unit, read_official_subjects
from wban_dataset.splits.protocols import PROTOCOLS, make_folds

BY_SUBJECT = ("loso", "lnso", "group-kfold", "official")


def split(persons, **options):
    return make_folds(infos(persons), windows_of(persons), SplitOptions(**options), CLASSES)


def names_by_role(fold, persons, windows, what="subject"):
    """Names of subjects or sessions of each role."""
    of_window = np.array([getattr(p, what) for p in persons])[windows.session]
    return {role: set(of_window[fold.rows(role)].tolist()) for role in Role}


def options_of(protocol):
    return {"official_test": ("S02", "S05")} if protocol == "official" else {}


@pytest.mark.parametrize("protocol", BY_SUBJECT)
def test_no_subject_has_two_roles(protocol):
    persons = people(7, 2, seconds=12)
    windows = windows_of(persons)
    made = split(persons, protocol=protocol, **options_of(protocol))
    for fold in made.folds:
        found = names_by_role(fold, persons, windows)
        train, validation, test = (found[r] for r in (Role.TRAIN, Role.VALIDATION, Role.TEST))
        assert train
        assert validation
        assert test
        assert not train & test
        assert not train & validation
        assert not validation & test
        assert train | validation | test == {p.subject for p in persons}
    assert made.independent
    assert made.unit is Unit.SUBJECT


@pytest.mark.parametrize("protocol", ["loso", "lnso", "group-kfold", "session", "date", "random"])
def test_every_labelled_window_is_tested_exactly_once(protocol):
    persons = people(6, 3, seconds=12)
    made = split(persons, protocol=protocol, folds=3)
    times = np.sum([fold.role == Role.TEST for fold in made.folds], axis=0)
    assert (times == 1).all()


def test_loso_names_each_fold_after_the_one_left_out():
    persons = people(3, seconds=12)
    made = split(persons, protocol="loso")
    assert [fold.name for fold in made.folds] == ["S01", "S02", "S03"]
    described = made.as_json(leaky=False)
    first = described["folds"][0]
    assert first["test"] == {"subjects": ["S01"]}
    assert len(first["validation"]["subjects"]) == 1
    n_each = len(windows_of(persons)) // 3
    assert first["n_windows"] == {
        "train": n_each,
        "validation": n_each,
        "test": n_each,
        "unused": 0,
    }
    assert described["unit"] == "subject"
    assert described["independent"] is True
    assert described["leaky"] is False
    json.dumps(described)


def test_lnso_leaves_two_out_at_a_time_and_the_rest_last():
    made = split(people(5, seconds=12), protocol="lnso", n_test_subjects=2)
    tested = [len(fold["test"]["subjects"]) for fold in made.description["folds"]]
    assert tested == [2, 2, 1]


def test_sessions_of_one_person_may_be_divided_by_session_and_by_date():
    persons = people(2, 3, seconds=12)
    windows = windows_of(persons)
    for protocol, what, unit in (
        ("session", "session_id", Unit.SESSION),
        ("date", "start_utc", Unit.DATE),
    ):
        made = split(persons, protocol=protocol, folds=3)
        assert made.unit is unit
        for fold in made.folds:
            found = names_by_role(fold, persons, windows, what)
            assert not found[Role.TRAIN] & found[Role.TEST]
            assert not found[Role.VALIDATION] & (found[Role.TRAIN] | found[Role.TEST])


def test_folds_do_not_depend_on_the_order_of_sessions():
    persons = people(8, 2, seconds=12)
    mixed = persons.copy()
    random.Random(3).shuffle(mixed)
    for protocol in (*BY_SUBJECT, "session", "date"):
        options = {"protocol": protocol, "folds": 2, **options_of(protocol)}
        assert split(persons, **options).description == split(mixed, **options).description


def test_a_seed_gives_the_same_folds_and_another_seed_others():
    persons = people(12, seconds=12)
    for protocol in ("lnso", "group-kfold", "session", "random"):
        same = [split(persons, protocol=protocol, seed=4).description for _ in range(2)]
        assert same[0] == same[1]
        assert same[0]["folds"] != split(persons, protocol=protocol, seed=5).description["folds"]


def test_the_order_of_a_seed_is_fixed_for_good():
    """These are the raw bits of PCG64: a change would silently change published splits."""
    from wban_dataset.splits.dealing import seeded_order

    raw = np.random.PCG64(np.random.SeedSequence([7, 0])).random_raw(5)
    assert seeded_order(5, 7).tolist() == np.argsort(raw).tolist() == EXPECTED_ORDER_OF_SEED_7


EXPECTED_ORDER_OF_SEED_7 = [3, 4, 0, 2, 1]


def test_group_k_fold_spreads_a_rare_class_over_the_folds():
    persons = people(10, seconds=12)
    for person in persons:
        person.labels = (0, 1)
    for rare in (1, 4, 6, 9):
        persons[rare].labels = (0, 1, 2)
    windows = windows_of(persons)
    made = split(persons, protocol="group-kfold", folds=4, validation_fraction=0)
    rare_windows = [int((windows.label[fold.rows(Role.TEST)] == 2).sum()) for fold in made.folds]
    assert len(set(rare_windows)) == 1  # one of the four in each of the four folds
    assert rare_windows[0] > 0


def test_validation_leaves_training_all_its_classes():
    persons = people(6, seconds=12)
    for person in persons:
        person.labels = (0, 1)
    persons[2].labels = (0, 1, 2)
    windows = windows_of(persons)
    for seed in range(20):
        for fold in split(persons, protocol="loso", seed=seed).folds:
            if fold.name != "S03":
                assert 2 in windows.label[fold.rows(Role.TRAIN)]


def test_unlabelled_windows_are_unused():
    persons = people(3, seconds=12)
    windows = windows_of(persons)
    label = windows.label.copy()
    label[::3] = -1
    for protocol in ("loso", "random"):
        made = make_folds(
            infos(persons), replace(windows, label=label), SplitOptions(protocol=protocol), CLASSES
        )
        for fold in made.folds:
            assert (fold.role[::3] == Role.UNUSED).all()
            assert not (fold.role[label >= 0] == Role.UNUSED).any()


def test_random_windows_claim_nothing():
    made = split(people(3, seconds=12), protocol="random", folds=4)
    assert not made.independent
    assert made.description["independent"] is False
    assert made.description["unit"] == "window"
    assert made.as_json(leaky=True)["leaky"] is True
    listed = made.description["folds"][0]["test"]["rows"]
    rows = [n for first, last in listed for n in range(first, last + 1)]
    assert rows == made.folds[0].rows(Role.TEST).tolist()


def test_purge_gap_takes_training_windows_next_to_a_test_window():
    persons = people(2, seconds=60)
    windows = windows_of(persons)
    made = split(persons, protocol="random", folds=60, purge_s=0.5, validation_fraction=0)
    for fold in made.folds:
        test, train = fold.rows(Role.TEST), fold.rows(Role.TRAIN)
        for row in test:
            same = train[windows.session[train] == windows.session[row]]
            gap = np.maximum(
                windows.start_ns[same] - windows.stop_ns[row],
                windows.start_ns[row] - windows.stop_ns[same],
            )
            assert (gap >= 500_000_000).all()
        assert (fold.role == Role.UNUSED).any()


def test_official_list_takes_names_and_bare_numbers():
    persons = people(12, seconds=12)
    made = split(
        persons, protocol="official", official_test=("2", "S11"), official_validation=("03",)
    )
    (fold,) = made.description["folds"]
    assert fold["test"] == {"subjects": ["S02", "S11"]}
    assert fold["validation"] == {"subjects": ["S03"]}
    assert len(fold["train"]["subjects"]) == 9


def test_official_list_is_read_from_text_and_json(tmp_path):
    text = tmp_path / "test.txt"
    text.write_text("2 4, 9  # those of the paper\n10\n")
    assert read_official_subjects(text) == (("2", "4", "9", "10"), ())
    file = tmp_path / "split.json"
    file.write_text('{"test": ["S01", 2], "validation": ["S03"]}')
    assert read_official_subjects(file) == (("S01", "2"), ("S03",))
    file.write_text('{"test": "S01"}')
    with pytest.raises(DatasetError, match="is no list of names"):
        read_official_subjects(file)
    text.write_text("# nobody\n")
    with pytest.raises(DatasetError, match="names nobody"):
        read_official_subjects(text)


def test_subjects_with_one_class_are_listed_under_loso():
    persons = people(3, seconds=12)
    persons[1].labels = (2,)
    made = split(persons, protocol="loso")
    assert any("1 of 3 subjects have windows of one class only" in w for w in made.warnings)
    assert any(w.endswith(": S02") for w in made.warnings)


def test_class_that_training_lacks_is_told():
    persons = people(4, seconds=12)
    for person in persons[:3]:
        person.labels = (0, 1)
    made = split(persons, protocol="loso")
    assert "fold S04 tests what it never trained on: walking" in made.warnings


def test_subject_without_a_labelled_window_is_told_and_in_no_fold():
    persons = people(4, seconds=12)
    windows = windows_of(persons)
    label = windows.label.copy()
    label[windows.session == 2] = -1
    made = make_folds(infos(persons), replace(windows, label=label), SplitOptions(), CLASSES)
    assert [fold.name for fold in made.folds] == ["S01", "S02", "S04"]
    assert any("1 subjects have no labelled window" in w and "S03" in w for w in made.warnings)


def test_options_that_a_protocol_has_no_use_for_are_told():
    made = split(people(3, seconds=12), protocol="loso", purge_s=1.0, folds=2)
    assert made.warnings[:2] == (
        "the purge gap is ignored: loso never cuts inside a subject",
        "the number of folds is ignored: loso has as many as it has",
    )
    assert split(people(4, seconds=12), protocol="session", folds=2).warnings == ()


def test_subjects_that_differ_in_writing_only_are_told():
    persons = people(3, seconds=12)
    persons[2].subject = "s-01"
    made = split(persons, protocol="loso")
    assert any(w.startswith("subjects S01, s-01 differ in writing only") for w in made.warnings)


def refusal(persons, **options):
    with pytest.raises(DatasetError) as caught:
        split(persons, **options)
    return str(caught.value)


def test_more_folds_than_subjects_are_refused():
    text = refusal(people(4, seconds=12), protocol="group-kfold", folds=5)
    assert "5 folds were asked for, but there are 4 subjects" in text
    assert "--folds 4" in text


def test_one_subject_cannot_be_divided():
    text = refusal(people(1, 3, seconds=12), protocol="loso")
    assert "only S01 has labelled windows, expected at least 2 subjects" in text


def test_a_class_of_one_person_cannot_be_stratified():
    persons = people(5, seconds=12)
    for person in persons[1:]:
        person.labels = (0, 1)
    text = refusal(persons, protocol="group-kfold")
    assert "class 'walking' was recorded of subject S01 alone" in text
    assert split(persons, protocol="group-kfold", stratified=False).folds


def test_sessions_without_a_date_cannot_be_divided_by_date():
    persons = people(3, seconds=12)
    persons[0].start_utc = ""
    text = refusal(persons, protocol="date")
    assert "1 of 3 sessions have no known date (S01_0)" in text
    assert "--protocol session" in text


def test_a_session_without_a_subject_cannot_be_divided_by_subject():
    persons = people(3, seconds=12)
    persons[1].subject = ""
    assert "1 of 3 sessions have no known subject (S02_0)" in refusal(persons, protocol="loso")


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ((), "has no list of subjects"),
        (("S99",), "names subject 'S99', expected one of S01"),
        (("S01", "1"), "names S01 twice"),
        (("S01", "S02", "S03"), "takes all 3 subjects"),
    ],
)
def test_official_list_that_does_not_fit_is_refused(listed, words):
    text = refusal(people(3, seconds=12), protocol="official", official_test=listed)
    assert words in text


def test_no_label_at_all_is_refused():
    persons = people(2, seconds=12)
    windows = windows_of(persons)
    nothing = replace(windows, label=np.full(len(windows), -1, np.int16))
    for protocol in ("loso", "random"):
        with pytest.raises(DatasetError, match="label"):
            make_folds(infos(persons), nothing, SplitOptions(protocol=protocol), CLASSES)


def test_a_purge_gap_that_leaves_nothing_is_refused():
    text = refusal(people(2, seconds=12), protocol="random", purge_s=60.0)
    assert "has no window to train on" in text
    assert "shorter purge gap" in text


def test_leaving_everybody_out_is_refused():
    text = refusal(people(3, seconds=12), protocol="lnso", n_test_subjects=3)
    assert "3 subjects were to be left out of 3" in text


def test_an_unknown_protocol_is_refused():
    text = refusal(people(2, seconds=12), protocol="k-fold")
    assert "protocol 'k-fold' is unknown, expected one of loso" in text


@pytest.mark.parametrize(
    "options",
    [
        {"folds": 1},
        {"n_test_subjects": 0},
        {"validation_fraction": 1.0},
        {"purge_s": float("nan")},
        {"seed": -1},
    ],
)
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(DatasetError, match="expected"):
        SplitOptions(**options)


def test_every_protocol_says_what_it_claims():
    assert {name for name, p in PROTOCOLS.items() if not p.independent} == {"random"}
    assert all(p.claims for p in PROTOCOLS.values())
