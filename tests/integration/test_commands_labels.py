"""The commands wban-dataset labels, on sealed sessions."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from tests.integration import session_journal as made
from wban_dataset.cli.labels import labels
from wban_dataset.errors import DatasetError
from wban_dataset.labels.proposals import change_points, propose
from wban_dataset.labels.session_labels import annotations_of, labels_of, span_ns, timeline_of
from wban_dataset.labels.sidecar import COLUMNS, write_labels
from wban_dataset.labels.timeline import LabelError
from wban_dataset.recording.errors import SessionError
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.session import Session
from wban_dataset.recording.sidecars import read_labels
from wban_dataset.recording.streams import Label, SampleBlock

S = made.SECOND_NS
START = made.START_NS
SECONDS = 40
STILL_UNTIL_S = 23
ENDINGS = {"elan": ".eaf", "label-studio": ".json", "events": ".tsv"}


def run(*words, code=0):
    """Run a command; what it prints."""
    outcome = CliRunner().invoke(labels, [str(word) for word in words])
    if outcome.exception and not isinstance(outcome.exception, SystemExit):
        raise outcome.exception
    assert outcome.exit_code == code, outcome.output
    return outcome.output


def refused(*words):
    """Run a command that ends with a sentence; the sentence."""
    with pytest.raises((DatasetError, SessionError)) as error:
        run(*words)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert "expected" in sentence
    assert sentence.endswith(".")
    return sentence


def accelerometer_block(i, rng):
    """Still until a time, then lying the other way and moving."""
    block = made.accel_block(i)
    moving = i >= 10 * STILL_UNTIL_S
    counts = np.tile([0, 245, 0] if moving else [0, 0, 245], (10, 1))
    noisy = counts + rng.normal(0, 60 if moving else 1, counts.shape)
    return SampleBlock(
        block.stream, block.first_index, 0, noisy.round().astype(np.int16), block.read
    )


@pytest.fixture(scope="module")
def sealed_once(tmp_path_factory):
    """Eating, then walking, pressed live by Zoë 1.4 s after the change."""
    rng = np.random.default_rng(1)
    pressed_ns = START + STILL_UNTIL_S * S + 1_400_000_123
    items = [made.HEADER, made.accel_spec(), made.anchor(0)]
    items.append(Label(START, pressed_ns, "eating", "Zoë", uncertainty_ns=S))
    items.append(Label(pressed_ns, 0, "walking", "Zoë", uncertainty_ns=S))
    items += [accelerometer_block(i, rng) for i in range(10 * SECONDS)]
    items.append(made.SessionEnd(START + SECONDS * S, "asked to stop", {"accel": 0}))
    folder = made.write_journal(tmp_path_factory.mktemp("sealed") / "s", items)
    seal(folder)
    return folder


@pytest.fixture
def session(sealed_once, tmp_path):
    return shutil.copytree(sealed_once, tmp_path / "session")


def said(folder):
    with Session.open(folder) as found:
        return annotations_of(found)


def counted(folder):
    with Session.open(folder) as found:
        return labels_of(found)


def digest(folder):
    return hashlib.sha256((folder / "session.h5").read_bytes()).hexdigest()


def write_table(folder, *rows):
    text = [",".join(COLUMNS), *(",".join(map(str, row)) for row in rows)]
    (folder / "labels.csv").write_text("\n".join(text) + "\n", encoding="utf-8")


def test_show_lists_labels_from_the_first_sample_on(session):
    lines = run("show", session).splitlines()
    assert lines[0].split()[:6] == ["1", "0.005", "to", "24.405", "s", "eating"]
    assert "(Zoë, live, borders to 1 s)" in lines[0]
    assert lines[-1] == "2 labels"
    first = json.loads(run("show", session, "--json").splitlines()[0])
    assert (first["start_ns"], first["label"], first["uncertainty_ns"]) == (START, "eating", S)


@pytest.mark.parametrize("name", ENDINGS)
def test_an_unchanged_round_trip_changes_nothing(session, tmp_path, name):
    rows = [
        Label(START + S, START + 5 * S + 7, "speaking", "anna", "page", 0.5, 3),
        Label(START + 3 * S, START + 3 * S + 1_234_567, "essen — süß", "ben", "import"),
    ]
    write_labels(session / "labels.csv", rows)
    before, table, file = said(session), (session / "labels.csv").read_bytes(), digest(session)
    out = tmp_path / f"labels{ENDINGS[name]}"
    assert "4 labels by 3 annotators" in run("export", session, "--to", name, "-o", out)
    assert "4 labels as before, 0 removed, 0 added" in run("import", session, out)
    assert said(session) == before
    assert (session / "labels.csv").read_bytes() == table
    assert digest(session) == file


@pytest.mark.parametrize("name", ENDINGS)
def test_a_round_trip_into_an_empty_session_gives_what_the_format_holds(session, tmp_path, name):
    row = Label(START + S, START + 5 * S + 7, "speaking", "anna", "page", 0.5, 3)
    write_labels(session / "labels.csv", [row])
    out = tmp_path / f"labels{ENDINGS[name]}"
    run("export", session, "--to", name, "-o", out)
    (session / "labels.csv").unlink()
    changes = json.loads(run("import", session, out, "--json"))
    assert (changes["unchanged"], len(changes["removed"]), len(changes["added"])) == (2, 0, 1)
    (back,) = said(session)["anna"]
    if name == "elan":
        assert abs(back.start_ns - row.start_ns) <= 500_000
        assert abs(back.stop_ns - row.stop_ns) <= 500_000
        assert (back.label, back.annotator, back.source) == ("speaking", "anna", "import")
    else:
        assert back == row


@pytest.mark.parametrize("name", ENDINGS)
def test_export_says_what_the_format_cannot_hold(session, tmp_path, name):
    said = run("export", session, "--to", name, "-o", tmp_path / f"x{ENDINGS[name]}")
    assert "note: " in said


def test_a_border_moved_in_elan_comes_back_and_the_rest_stays_exact(session, tmp_path):
    out = tmp_path / "labels.eaf"
    run("export", session, "--to", "elan", "-o", out)
    moved = out.read_text("utf-8").replace('TIME_VALUE="24405"', 'TIME_VALUE="23000"')
    assert moved != out.read_text("utf-8")
    out.write_text(moved, "utf-8")
    told = run("import", session, out)
    assert "0 labels as before, 2 removed, 2 added" in told
    eating, walking = counted(session)
    with Session.open(session) as found:
        origin_ns = span_ns(found)[0]
        assert [x.label for x in found.labels] == ["eating", "walking"]
    assert eating.start_ns == START
    assert eating.stop_ns == walking.start_ns == origin_ns + 23 * S
    assert eating.source == walking.source == "import"


def test_a_label_removed_elsewhere_is_erased_here(session, tmp_path):
    out = tmp_path / "labels.tsv"
    run("export", session, "--to", "events", "-o", out)
    lines = out.read_text("utf-8").splitlines(keepends=True)
    out.write_text("".join(lines[:2]), "utf-8")
    assert "1 label as before, 1 removed, 0 added" in run("import", session, out)
    with Session.open(session) as found:
        assert [x.label for x in found.labels] == ["eating"]
        assert len(timeline_of(found, ["eating", "walking"])) == 1
    erasing = read_labels(session / "labels.csv")
    assert [(x.label, x.annotator) for x in erasing] == [("", "Zoë")]


def test_another_annotator_is_added_beside(session, tmp_path):
    out = tmp_path / "labels.tsv"
    out.write_text("onset\tduration\ttrial_type\n1\t2\tspeaking\n", "utf-8")
    told = run("import", session, out, "--annotator", "anna")
    assert "0 labels as before, 0 removed, 1 added" in told
    assert [x.label for x in said(session)["Zoë"]] == ["eating", "walking"]
    assert [x.label for x in counted(session)] == ["eating", "speaking", "eating", "walking"]


def test_a_file_of_another_session_is_refused(session, tmp_path):
    out = tmp_path / "labels.eaf"
    run("export", session, "--to", "elan", "-o", out)
    out.write_text(out.read_text("utf-8").replace("01J0", "01K0"), "utf-8")
    assert "was exported from the session 01K0" in refused("import", session, out)
    assert not (session / "labels.csv").exists()


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ("1\t2\teating\n2.5\t2\twalking\n", "overlaps"),
        ("1\t2\teating\n2.5\t2\twalking\tpage\n", "overlaps"),
        ("38\t9\teating\n", "labels.tsv, at 38.000 s: the label 'eating'"),
        ("-5\t9\teating\n", "is outside the session"),
        ("1\t2\tjuggling\n", "of no known class (nearest: "),
        ("1\t2\teating\tguess\n", "the source is 'guess'"),
    ],
)
def test_labels_that_cannot_be_are_refused_and_nothing_is_written(session, tmp_path, rows, why):
    out = tmp_path / "labels.tsv"
    out.write_text(f"onset\tduration\ttrial_type\tsource\n{rows}", "utf-8")
    assert why in refused("import", session, out, "--classes", "eating, walking")
    assert not (session / "labels.csv").exists()


def test_wrong_endings_are_refused(session, tmp_path):
    (tmp_path / "labels.txt").write_text("", "utf-8")
    assert "its ending is '.txt'" in refused("import", session, tmp_path / "labels.txt")
    said = run("export", session, "--to", "elan", "-o", tmp_path / "x.txt", code=2)
    assert "expected .eaf for elan" in said


def test_the_description_of_events_replaces_nothing_else(session, tmp_path):
    (tmp_path / "x.json").write_text("precious", "utf-8")
    said = run("export", session, "--to", "events", "-o", tmp_path / "x.tsv", code=2)
    assert "x.json is there already" in said
    assert (tmp_path / "x.json").read_text("utf-8") == "precious"
    assert not (tmp_path / "x.tsv").exists()


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        (
            [(START, START + S, "eating", "anna", "page", 1, 0),
             (START + S - 1, START + 2 * S, "walking", "anna", "page", 1, 0)],
            "labels.csv, line 3: the label 'walking'",
        ),
        ([(START + 99 * S, START + 100 * S, "eating", "", "", "", "")], "labels.csv, line 2: the"),
        ([(START, START + S, "juggling", "", "", "", "")], "line 2: the label 'juggling' is of no"),
        ([(START, START + S, "eatign", "", "", "", "")], "(nearest: 'eating')"),
        ([(START, START + S, "eating", "", "guess", "", "")], "line 2: the source is 'guess'"),
        ([(START, START + S, "eating", "", "", 7, "")], "line 2: the confidence is 7.0"),
        ([(START, START + S, "eating", "", "", "", -1)], "the uncertainty -1 ns"),
    ],
)  # fmt: skip
def test_rows_of_labels_csv_are_refused_with_their_line(session, rows, why):
    write_table(session, *rows)
    with Session.open(session) as found, pytest.raises(LabelError) as error:
        timeline_of(found, ["eating", "walking"])
    assert why in str(error.value)


def test_a_label_may_reach_beyond_the_samples_by_its_uncertainty(session):
    write_table(session, (START - S, START + S, "eating", "", "", "", ""))
    with Session.open(session) as found:
        assert timeline_of(found, ["eating", "walking"]).start_ns[0] == START - S


def test_an_empty_row_prevails_over_other_rows_of_labels_csv(session):
    write_table(
        session,
        (START, START + 10 * S, "eating", "anna", "import", 1, 0),
        (START + 2 * S, START + 3 * S, "", "ben", "page", 1, 0),
    )
    with Session.open(session) as found:
        made_of = timeline_of(found, ["eating", "walking"])
    assert made_of.at([START + S, START + 2 * S, START + 3 * S]).tolist() == [0, -1, 0]


def test_agreement_between_who_pressed_and_who_looked(session):
    live = said(session)["Zoë"]
    change = START + STILL_UNTIL_S * S
    looked = [
        replace(live[0], stop_ns=change, annotator="anna", source="page"),
        replace(live[1], start_ns=change, annotator="anna", source="page"),
    ]
    write_labels(session / "labels.csv", looked)
    result = json.loads(run("agree", session, "--between", "Zoë", "--and", "anna", "--json"))
    assert result["borders"]["n_matched"] == 3
    assert result["by_class"]["walking"]["onsets"]["median_ns"] == 1_400_000_123
    assert result["observed"] == pytest.approx(1 - 1.4 / SECONDS, abs=1e-3)
    told = run("agree", session, "--between", "Zoë", "--and", "anna")
    assert "walking: kappa 0.9" in told
    assert "no labels by 'bob', expected one of Zoë, anna" in refused(
        "agree", session, "--between", "Zoë", "--and", "bob"
    )


def test_agreement_without_time_in_common_says_so(session):
    write_table(session, (START, START, "eating", "anna", "page", 1, 0))
    told = run("agree", session, "--between", "Zoë", "--and", "anna")
    assert "there is no time that both labelled" in told


def test_proposals_move_a_late_key_press_and_are_accepted_by_a_person(session):
    file = digest(session)
    assert "2 proposals, 0 of them without a label" in run("propose", session)
    first, second = read_labels(session / "proposals.csv")
    assert first.stop_ns == second.start_ns
    assert abs(first.stop_ns - (START + STILL_UNTIL_S * S)) <= 300_000_000
    assert (first.label, second.label) == ("eating", "walking")
    assert (first.source, first.confidence, first.uncertainty_ns) == ("model", 0.3, 200_000_000)
    assert [x.source for x in counted(session)] == ["live", "live"]  # nothing counts yet
    assert "confidence 0.3" in run("show", session, "--proposals")

    assert "1 accepted, 1 proposal left" in run(
        "accept", session, "--annotator", "anna", "--only", "2"
    )
    assert said(session)["anna"] == [
        replace(second, annotator="anna", source="person", confidence=1.0)
    ]
    assert "1 accepted, 0 proposals left" in run("accept", session, "--annotator", "anna")
    assert not (session / "proposals.csv").exists()
    with Session.open(session) as found:
        assert timeline_of(found, ["eating", "walking"]).at([first.stop_ns - 1]).tolist() == [0]
        assert timeline_of(found, ["eating", "walking"]).at([first.stop_ns]).tolist() == [1]
    assert digest(session) == file


def test_proposals_without_labels_wait_for_one(session):
    write_table(session, (START, START + SECONDS * S, "", "", "", "", ""))
    assert "2 proposals, 2 of them without a label" in run("propose", session)
    told = run("accept", session, "--annotator", "anna")
    assert "0 accepted, 2 proposals left" in told
    assert "2 of them have no label yet" in told


def test_a_higher_penalty_gives_no_more_borders(session):
    with Session.open(session) as found:
        stream = found.stream("accel")
        few, usual = change_points(stream, 1e6), change_points(stream)
        assert [len(edges) for edges in few] == [2]
        assert [len(edges) for edges in usual] == [3]
        assert propose(found, stream) == propose(found, stream)


def test_accepting_what_is_not_there_is_refused(session):
    assert "there are no proposals" in refused("accept", session, "--annotator", "anna")
    run("propose", session)
    sentence = refused("accept", session, "--annotator", "anna", "--only", "9")
    assert "there is no proposal 9, expected 1 to 2" in sentence
    said = run("accept", session, "--annotator", "anna", "--only", "two", code=2)
    assert "expected e.g. 2,5-7" in said


def test_proposals_need_an_accelerometer(session):
    sentence = refused("propose", session, "--stream", "thermal")
    assert "stream" in sentence
