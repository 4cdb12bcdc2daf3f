"""The commands audit and leak-meter, on datasets as written and on other people's lists."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner

from tests.unit.split_studies import (
    CLASSES,
    COUNT,
    PERIOD_NS,
    RATE_HZ,
    Person,
    audited,
    infos,
    movement,
    people,
    windows_of,
)
from wban_dataset.cli.audit import audit, leak_meter
from wban_dataset.dataset.dataset_file import DatasetContent, StreamContent, write_dataset_file
from wban_dataset.errors import DatasetError
from wban_dataset.splits.audit import audit as audit_of
from wban_dataset.splits.findings import LeakKind
from wban_dataset.splits.fold import Fold, Role
from wban_dataset.splits.options import SplitOptions
from wban_dataset.splits.protocols import make_folds


def dataset_of(folder, persons, protocol="loso", given_folds=None, timebase="monotonic", **options):
    """Write what a build would."""
    windows = windows_of(persons)
    split = make_folds(infos(persons), windows, SplitOptions(protocol=protocol, **options), CLASSES)
    offset = np.cumsum([0, *(len(p.accel) for p in persons)])

    def blocks():
        for person in persons:
            n = len(person.accel)
            yield person.accel, np.arange(n) * PERIOD_NS, np.zeros(n, np.int32)

    folder.mkdir()
    content = DatasetContent(
        attributes={
            "format": "wban-dataset",
            "format_version": 1,
            "wban_version": "0.1.0",
            "timebase": timebase,
            "protocol": protocol,
            "independent": split.independent,
            "leaky": not split.independent,
            "seed": 0,
            "window_ns": 10**9,
        },
        classes=CLASSES,
        sessions=infos(persons),
        streams=[
            StreamContent(
                name="accel",
                kind="accel",
                units="m s-2",
                sampling_rate_hz=RATE_HZ,
                placement="wrist",
                dtype=np.dtype(np.float32),
                sample_shape=(3,),
                offset=offset,
                devices=["adxl345"] * len(persons),
                scale_factors=[COUNT] * len(persons),
                full_scales=[39.2] * len(persons),
                blocks=blocks,
            )
        ],
        windows=windows,
        folds=given_folds or split.folds,
    )
    write_dataset_file(folder / "dataset.h5", content)
    (folder / "splits.json").write_text(json.dumps(split.as_json(leaky=not split.independent)))
    return folder


def run(command, *arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def refused(command, *arguments):
    """The one sentence of a refusal, which the command's group prints."""
    result = run(command, *arguments)
    assert isinstance(result.exception, DatasetError), result.output
    return str(result.exception)


def test_clean_dataset_exits_0(tmp_path):
    folder = dataset_of(tmp_path / "clean", people(4, seconds=30))
    result = run(audit, folder)
    assert result.exit_code == 0, result.output
    assert result.output.startswith("clean: 4 folds of ")
    assert "by subject" in result.output


def test_random_dataset_exits_3_with_the_counts(tmp_path):
    persons = people(3, seconds=30)
    folder = dataset_of(tmp_path / "random", persons, "random")
    result = run(audit, folder, "--limit", 2)
    assert result.exit_code == 3
    *lines, last = result.output.strip().splitlines()
    assert lines[0].startswith("fold 1, test and train: shared sample")
    assert last.startswith("leaky: 5 folds of ")
    counts = audit_of(audited(persons, "random")).counts()
    for kind, n in counts.items():
        assert f"{kind} {n}" in last
    found = json.loads(run(audit, folder, "--json").output)
    assert found["clean"] is False
    assert found["counts"] == counts


def test_copied_recording_in_a_dataset_is_found(tmp_path):
    persons = people(3, seconds=40)
    persons.append(Person("S09", "S09_0", accel=persons[0].accel[185:]))
    result = run(audit, dataset_of(tmp_path / "copy", persons))
    assert result.exit_code == 3
    assert "S01_0 (S01) and S09_0 (S09) have the same raw counts over 36.3 s" in result.output


def test_dataset_of_one_person_by_session_is_clean_but_not_by_subject(tmp_path):
    folder = dataset_of(tmp_path / "one", people(1, 4, seconds=30), "session", folds=2)
    assert run(audit, folder).exit_code == 0
    result = run(audit, folder, "--unit", "subject")
    assert result.exit_code == 3
    assert "shared subject" in result.output


def test_statistic_in_the_dataset_fitted_on_test_windows_is_found(tmp_path):
    persons = people(3, seconds=30)
    folder = dataset_of(tmp_path / "fitted", persons)
    train = audited(persons).folds[0].rows(Role.TRAIN)
    with h5py.File(folder / "dataset.h5", "r+") as file:
        group = file.create_group("statistics/accel_mean_S01")
        group.attrs["fold"] = "S01"
        group["rows"] = train
    assert run(audit, folder).exit_code == 0
    with h5py.File(folder / "dataset.h5", "r+") as file:
        del file["statistics/accel_mean_S01/rows"]
        file["statistics/accel_mean_S01/rows"] = np.arange(len(windows_of(persons)))
    result = run(audit, folder)
    assert result.exit_code == 3
    assert "statistic fitted outside training" in result.output


def test_ready_windows_are_clean_only_if_people_are_apart(tmp_path):
    persons = people(4, seconds=30)
    folder = dataset_of(tmp_path / "ready", persons, timebase="none")
    assert run(audit, folder).exit_code == 0
    role = audited(persons).folds[0].role.copy()
    role[0] = Role.TRAIN
    mixed = dataset_of(tmp_path / "mixed", persons, given_folds=[Fold("1", role)], timebase="none")
    result = run(audit, mixed)
    assert result.exit_code == 3
    assert "without times an overlap is not excluded" in result.output


def test_a_folder_without_a_dataset_cannot_be_audited(tmp_path):
    assert "there is no dataset.h5" in refused(audit, tmp_path)


def test_splits_json_that_claims_nonsense_cannot_be_audited(tmp_path):
    folder = dataset_of(tmp_path / "odd", people(3, seconds=30))
    (folder / "splits.json").write_text('{"unit": "planet"}')
    assert "its unit is 'planet'" in refused(audit, folder)


def test_a_dataset_that_is_damaged_inside_cannot_be_audited(tmp_path):
    folder = dataset_of(tmp_path / "damaged", people(3, seconds=30))
    with h5py.File(folder / "dataset.h5", "r+") as file:
        del file["windows/accel_last_row"]
    for command in (audit, leak_meter):
        assert "it is damaged inside" in refused(command, folder)


def write_lists(tmp_path, lines, folds):
    table, split = tmp_path / "windows.csv", tmp_path / "folds.json"
    table.write_text("session,subject,start,stop\n" + "".join(f"{line}\n" for line in lines))
    split.write_text(json.dumps(folds))
    return "--windows", table, "--split", split


LINES = ("a,Ann,0,2.56", "a,Ann,1.28,3.84", "a,Ann,3.84,6.4", "b,Bob,0,2.56", "c,Cem,0,2.56")


def test_other_peoples_split_by_person_is_clean(tmp_path):
    lists = write_lists(tmp_path, LINES, {"train": [0, 1, 2], "val": [4], "test": [3]})
    result = run(audit, *lists)
    assert result.exit_code == 0, result.output
    assert "note: near-duplicate recordings were not looked for" in result.output


def test_other_peoples_overlapping_windows_are_found(tmp_path):
    lists = write_lists(tmp_path, LINES, {"train": [0, 3], "test": [1, 2]})
    found = json.loads(run(audit, *lists, "--json").output)
    by_kind = {leak["kind"]: leak["rows"] for leak in found["leaks"]}
    assert by_kind == {
        "shared sample": [1],
        "shared session": [1, 2],
        "shared subject": [1, 2],
    }
    assert run(audit, *lists).exit_code == 3


def test_samples_serve_as_well_as_seconds(tmp_path):
    lines = ("a,Ann,0,128", "a,Ann,64,192", "a,Ann,192,320", "b,Bob,0,128")
    lists = write_lists(tmp_path, lines, [{"train": [0, 3], "test": [2]}])
    found = json.loads(run(audit, *lists, "--json").output)
    assert "shared sample" not in found["counts"]
    lists = write_lists(tmp_path, lines, [{"train": [1, 3], "test": [0]}])
    assert json.loads(run(audit, *lists, "--json").output)["counts"]["shared sample"] == 1


def test_a_window_listed_twice_is_a_leak_with_its_own_number(tmp_path):
    folds = {"folds": [{"name": "x", "train": [0, 3, 4], "validation": [3], "test": [3, 2]}]}
    found = json.loads(run(audit, *write_lists(tmp_path, LINES, folds), "--json").output)
    shared = {tuple(f["roles"]): f["rows"] for f in found["leaks"] if f["kind"] == "shared sample"}
    assert shared == {
        ("test", "train"): [3],
        ("test", "validation"): [3],
        ("validation", "train"): [3],
    }


def test_gap_that_others_promised_is_proved(tmp_path):
    lists = write_lists(tmp_path, LINES, {"train": [0, 3], "test": [2]})
    result = run(audit, *lists, "--unit", "session", "--purge", "2")
    assert "within the purge gap" in result.output
    result = run(audit, *lists, "--unit", "session", "--purge", "1")
    assert "within the purge gap" not in result.output


def test_lists_in_a_folder_for_each_fold(tmp_path):
    table = write_lists(tmp_path, LINES, {})[1]
    for name, test, train in (("1", "3", "0\n1\n2\n"), ("2", "4", "0\n1\n3\n")):
        folder = tmp_path / "lists" / name
        folder.mkdir(parents=True)
        (folder / "train.txt").write_text(train)
        (folder / "test.txt").write_text(f"{test}\n")
    result = run(audit, "--windows", table, "--split", tmp_path / "lists")
    assert result.exit_code == 0
    assert "clean: 2 folds of 5 windows" in result.output


@pytest.mark.parametrize(
    ("lines", "folds", "words"),
    [
        ((), {}, "it has no row"),
        (("a,Ann,0,x",), {}, "line 2: stop is 'x', expected a number"),
        (("a,Ann,0,nan",), {}, "line 2: stop is 'nan', expected a number"),
        (("a,Ann,3,3",), {}, "line 2: stop 3 is not after start 3"),
        ((",Ann,0,1",), {}, "line 2: session is empty"),
        (("a,Ann,0,1", "a,Bob,1,2"), {}, "line 3: session a is of subject 'Bob' here"),
        (LINES, {"train": [0], "test": [5]}, "names window 5, expected 0 to 4"),
        (LINES, {"train": [0], "test": [1.5]}, "1.5 is no whole number"),
        (LINES, {"train": [0], "test": []}, "has no windows to test on"),
        (LINES, {"training set": [0]}, "has no windows to train on"),
        (LINES, {"train": 3, "test": [0]}, "its shape is not known"),
        (LINES, [1, 2], "its shape is not known"),
    ],
)
def test_lists_that_cannot_be_audited_are_refused(tmp_path, lines, folds, words):
    text = refused(audit, *write_lists(tmp_path, lines, folds))
    assert words in text
    assert "\n" not in text


def test_a_table_without_its_columns_is_refused(tmp_path):
    lists = write_lists(tmp_path, LINES, {"train": [0], "test": [3]})
    lists[1].write_text("subject,begin,end\nAnn,0,1\n")
    assert "the column session is missing" in refused(audit, *lists)
    lists[1].write_bytes(b"session,start,stop\n\xff\xfe,0,1\n")
    assert "it cannot be read" in refused(audit, *lists)
    lists = write_lists(tmp_path, LINES, {})
    lists[3].write_text("{")
    assert "it cannot be read" in refused(audit, *lists)
    (tmp_path / "empty").mkdir()
    assert "no train.txt or test.txt" in refused(audit, *lists[:3], tmp_path / "empty")


def test_dataset_and_lists_together_are_a_usage_error(tmp_path):
    lists = write_lists(tmp_path, LINES, {"train": [0], "test": [3]})
    for arguments in ((tmp_path, *lists), lists[:2], ()):
        assert run(audit, *arguments).exit_code == 2


def personal(n_subjects):
    """People of whom each does everything in a way of his own, which random windows give away."""
    persons = people(n_subjects, seconds=60)
    for number, person in enumerate(persons):
        third = len(person.accel) // 3
        order = np.roll(np.arange(3), number)  # what one does like another does another thing
        for part, level in enumerate(order):
            person.accel[part * third : (part + 1) * third] += np.float32(
                [4 * level, 4 * number, 0]
            )
    return persons


def test_leak_meter_shows_what_random_windows_add(tmp_path):
    folder = dataset_of(tmp_path / "study", personal(4))
    options = ("--max-windows", 400)
    found = json.loads(run(leak_meter, folder, *options, "--json").output)
    assert found["own"]["protocol"] == "loso"
    assert len(found["own"]["accuracy"]) == 4
    difference = found["inflation"]["macro_f1"]["difference"]
    expected = np.mean(found["random"]["macro_f1"]) - np.mean(found["own"]["macro_f1"])
    assert difference == pytest.approx(expected)
    # By construction one person's way says nothing of another's: chance is 1/3.
    assert np.mean(found["random"]["macro_f1"]) > 0.9
    assert np.mean(found["own"]["macro_f1"]) < 0.6
    assert found == json.loads(run(leak_meter, folder, *options, "--json").output)
    text = run(leak_meter, folder, *options).output
    assert "inflation by random windows: macro-F1 +" in text
    assert "loso" in text


def test_leak_meter_of_a_random_dataset_compares_with_loso(tmp_path):
    folder = dataset_of(tmp_path / "study", personal(3), "random")
    found = json.loads(run(leak_meter, folder, "--json", "--max-windows", 200).output)
    assert found["own"]["protocol"] == "loso"
    assert 150 <= found["n_windows"] <= 200


def hapt(folder: Path) -> list[Person]:
    """Read the recordings of HAPT: acceleration in counts, 1/720 g each."""
    persons: list[Person] = []
    with tarfile.open(folder / "RawData.tar.xz") as archive:
        for member in archive:
            name = Path(member.name).name
            if name.startswith("acc_"):
                text = archive.extractfile(member).read().decode()
                values = np.fromstring(text, sep=" ").reshape(-1, 3)
                accel = (np.rint(values * 720) * COUNT).astype(np.float32)
                subject = name.removesuffix(".txt").rpartition("_")[2]
                persons.append(Person(subject, name, accel=accel))
    return sorted(persons, key=lambda p: p.session_id)


def test_hapt_whole_by_person_is_clean_and_a_planted_copy_is_not(shared_data):
    """61 real recordings of 30 people: no false alarm, and no copy among them."""
    persons = hapt(shared_data / "hapt")
    assert (len(persons), len({p.subject for p in persons})) == (61, 30)
    result = audit_of(audited(persons))
    assert result.clean, result.explain()
    # One pair of walkers, alike over 20 s with 0.984, in every fold that parts them.
    assert len({warning.sessions for warning in result.warnings}) <= 1
    generator = np.random.default_rng(1)
    stolen = persons[7].accel[185:] * np.float32(1.1)
    stolen += generator.normal(0, 0.1, stolen.shape).astype(np.float32)
    persons.append(Person("user99", "stolen", accel=stolen))
    result = audit_of(audited(persons))
    assert {leak.kind for leak in result.leaks} == {LeakKind.DUPLICATE}
    assert {leak.sessions for leak in result.leaks} == {(7, 61)}
    assert {leak.fold for leak in result.leaks} >= {"user99", persons[7].subject}


def test_movement_of_two_seeds_is_of_two_people():
    """The other tests stand on this."""
    assert not np.array_equal(movement(1), movement(2))


def test_audit_keeps_linear_algebra_to_one_thread(tmp_path, monkeypatch):
    threadpoolctl = pytest.importorskip("threadpoolctl")
    dataset_of(tmp_path / "d", people(3))
    seen = []

    def noting(*arguments, **named):
        seen.extend(pool["num_threads"] for pool in threadpoolctl.threadpool_info())
        return audit_of(*arguments, **named)

    monkeypatch.setattr("wban_dataset.splits.audit.audit", noting)
    assert CliRunner().invoke(audit, [str(tmp_path / "d")]).exit_code == 0
    assert set(seen) == {1}
