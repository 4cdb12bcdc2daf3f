"""Labels as files of other tools, and what such files may hold; no session is needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wban_dataset.cli import labels as command
from wban_dataset.labels.document import UNSTATED, Document, ExchangeError
from wban_dataset.labels.exchange import FORMATS, format_of
from wban_dataset.labels.proposals import PENALTY
from wban_dataset.labels.sidecar import write_labels
from wban_dataset.labels.timeline import LabelError
from wban_dataset.recording.streams import Label

ORIGIN_NS = 100_000_000_000
PATH = Path("given")
ANNA = [
    Label(ORIGIN_NS, ORIGIN_NS + 1_500_000_000, "eating", "anna", "page", 0.75, 20_000_000),
    Label(ORIGIN_NS + 1_500_000_000, ORIGIN_NS + 3_000_000_001, "speak & <walk>", "anna", "page"),
]
UNNAMED = [Label(ORIGIN_NS - 5, ORIGIN_NS + 987_654_321, "essen — süß", "", "live", 1.0, 10**9)]
DOCUMENT = Document({"anna": ANNA, "": UNNAMED}, ORIGIN_NS, "01J0SESSION")


def again(name, document=DOCUMENT, session_id="01J0SESSION"):
    form = FORMATS[name]
    return form.read(PATH, form.write(document), session_id, document.origin_ns)


@pytest.mark.parametrize("name", ["events", "label-studio"])
def test_formats_with_seconds_hold_all_of_a_label(name):
    assert again(name).annotations == {"anna": ANNA, "": UNNAMED}


def test_nanoseconds_survive_a_week_as_label_studios_numbers():
    week_ns = 7 * 86400 * 10**9
    label = Label(ORIGIN_NS + week_ns + 1, ORIGIN_NS + week_ns + 2, "eating", "anna", "page")
    document = Document({"anna": [label]}, ORIGIN_NS, "01J0SESSION")
    assert again("label-studio", document).annotations == {"anna": [label]}


def test_elan_holds_names_and_whole_milliseconds():
    read = again("elan")
    assert read.session_id == "01J0SESSION"
    assert [label.label for label in read.annotations["anna"]] == ["eating", "speak & <walk>"]
    assert read.annotations[""] == [
        Label(ORIGIN_NS, ORIGIN_NS + 988_000_000, "essen — süß", "", UNSTATED)
    ]
    assert {label.source for label in read.annotations["anna"]} == {UNSTATED}


def test_elan_says_what_it_holds():
    held = FORMATS["elan"].held
    times = [time for labels in DOCUMENT.annotations.values() for x in labels
             for time in (x.start_ns, x.stop_ns)]  # fmt: skip
    read = again("elan").annotations
    found = [t for labels in read.values() for x in labels for t in (x.start_ns, x.stop_ns)]
    assert sorted(held(time, ORIGIN_NS) for time in times) == sorted(found)


@pytest.mark.parametrize("name", FORMATS)
def test_writing_twice_gives_the_same_bytes(name):
    assert FORMATS[name].write(DOCUMENT) == FORMATS[name].write(DOCUMENT)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_what_it_cannot_hold(name):
    assert FORMATS[name].cannot_hold


def test_the_command_offers_what_there_is():
    assert tuple(FORMATS) == command.FORMAT_NAMES
    penalty = next(p for p in command.propose.params if p.name == "penalty")
    assert penalty.default == PENALTY


def test_a_tier_that_was_emptied_is_not_forgotten():
    read = again("elan", Document({"anna": []}, ORIGIN_NS, "s"))
    assert read.annotations == {"anna": []}


def test_events_are_a_table_that_bids_describes():
    lines = FORMATS["events"].write(DOCUMENT).decode().splitlines()
    assert lines[0].split("\t")[:3] == ["onset", "duration", "trial_type"]
    assert lines[1].split("\t") == [
        "-0.000000005", "0.987654326", "essen — süß", "n/a", "live", "1.0", "1.000000000",
    ]  # fmt: skip
    described = json.loads(FORMATS["events"].description())
    assert set(described) == set(lines[0].split("\t"))


def test_events_of_somebody_else_need_three_columns():
    content = b"onset\tduration\ttrial_type\textra\n1.5\t2\trest\tx\n4\t1\tn/a\ty\n"
    read = FORMATS["events"].read(PATH, content, "s", ORIGIN_NS)
    assert read.annotations == {
        "": [Label(ORIGIN_NS + 1_500_000_000, ORIGIN_NS + 3_500_000_000, "rest", "", UNSTATED)]
    }
    assert read.notes == ("1 rows without a trial_type",)


ELAN_BY_HAND = """<?xml version="1.0" encoding="UTF-8"?>
<ANNOTATION_DOCUMENT AUTHOR="" DATE="2026-01-05T08:00:00+01:00" FORMAT="3.0" VERSION="3.0">
  <HEADER MEDIA_FILE="" TIME_UNITS="milliseconds"/>
  <TIME_ORDER>
    <TIME_SLOT TIME_SLOT_ID="ts1" TIME_VALUE="10"/><TIME_SLOT TIME_SLOT_ID="ts2" {second}/>
  </TIME_ORDER>
  <TIER LINGUISTIC_TYPE_REF="default-lt" TIER_ID="ben">
    <ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a1" TIME_SLOT_REF1="ts1"
      TIME_SLOT_REF2="ts2"><ANNOTATION_VALUE>{name}</ANNOTATION_VALUE></ALIGNABLE_ANNOTATION>
    </ANNOTATION>
  </TIER>
  <TIER LINGUISTIC_TYPE_REF="note" PARENT_REF="ben" TIER_ID="remarks">
    <ANNOTATION><REF_ANNOTATION ANNOTATION_ID="a2" ANNOTATION_REF="a1">
      <ANNOTATION_VALUE>left hand</ANNOTATION_VALUE></REF_ANNOTATION></ANNOTATION>
  </TIER>
</ANNOTATION_DOCUMENT>
"""


def test_a_file_made_in_elan():
    content = ELAN_BY_HAND.format(second='TIME_VALUE="1210"', name=" eating ").encode()
    read = FORMATS["elan"].read(PATH, content, "s", ORIGIN_NS)
    span = (ORIGIN_NS + 10_000_000, ORIGIN_NS + 1_210_000_000)
    assert read.annotations == {"ben": [Label(*span, "eating", "ben", UNSTATED)]}
    assert read.notes == ("1 annotations without times of their own",)
    assert read.session_id == ""


LAUGHS = b'<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><x>&b;</x>'


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "cannot be read as XML"),
        (b"<a><b></a>", "cannot be read as XML"),
        (b"\xff\xfe\x00", "cannot be read as XML"),
        (b"<html/>", "begins with html, expected ANNOTATION_DOCUMENT"),
        (LAUGHS, "declares a document type"),
        (ELAN_BY_HAND.format(second="", name="x").encode(), "annotation a1 .* to None ms"),
        (ELAN_BY_HAND.format(second='TIME_VALUE="5"', name="x").encode(), "from 10 to 5 ms"),
        (ELAN_BY_HAND.format(second=f'TIME_VALUE="{"9" * 5000}"', name="x").encode(), "from 10"),
        (ELAN_BY_HAND.format(second='TIME_VALUE="99"', name="").encode(), "it is empty"),
    ],
)
def test_what_is_no_elan_file_is_refused(content, why):
    with pytest.raises(ExchangeError, match=why):
        FORMATS["elan"].read(PATH, content, "s", ORIGIN_NS)


def test_elan_refuses_a_label_that_it_cannot_hold():
    short = Label(ORIGIN_NS, ORIGIN_NS + 100_000, "eating", "anna", "page")
    with pytest.raises(ExchangeError, match="less than a millisecond"):
        FORMATS["elan"].write(Document({"anna": [short]}, ORIGIN_NS))


def test_elan_refuses_a_name_that_it_cannot_hold():
    label = Label(ORIGIN_NS, ORIGIN_NS + 10**9, "eat\x01ing", "anna", "page")
    with pytest.raises(ExchangeError, match="control character"):
        FORMATS["elan"].write(Document({"anna": [label]}, ORIGIN_NS))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"start,stop\n", "column onset is missing"),
        (b"onset\tduration\ttrial_type\nsoon\t1\teating\n", "line 2: the onset is 'soon'"),
        (b"onset\tduration\ttrial_type\nn/a\t1\teating\n", "line 2: the onset is 'n/a'"),
        (b"onset\tduration\ttrial_type\nnan\t1\teating\n", "line 2: the onset is 'nan'"),
        (b"onset\tduration\ttrial_type\n1e999999\t1\teating\n", "line 2: the onset"),
        (b"onset\tduration\ttrial_type\n1\t-inf\teating\n", "line 2: the duration"),
        (b"onset\tduration\ttrial_type\n1\t0\teating\n", "line 2: the duration is 0 s"),
        (b"onset\tduration\ttrial_type\n1\n", "line 2: .*"),
        (b"onset\tduration\ttrial_type\tconfidence\n1\t1\teating\thigh\n", "confidence is 'high'"),
        (b"onset\tduration\ttrial_type\n\xff\n", "not UTF-8"),
    ],
)
def test_what_is_no_table_of_events_is_refused(content, why):
    if content.endswith(b"\n1\n"):
        # a row without a trial_type is left aside
        assert FORMATS["events"].read(PATH, content, "s", 0).notes
        return
    with pytest.raises(ExchangeError, match=why):
        FORMATS["events"].read(PATH, content, "s", ORIGIN_NS)


def test_events_cannot_hold_a_tab():
    label = Label(ORIGIN_NS, ORIGIN_NS + 10**9, "eating\tsoup", "anna", "page")
    with pytest.raises(ExchangeError, match="tab or a line break"):
        FORMATS["events"].write(Document({"anna": [label]}, ORIGIN_NS))


def studio(*regions, session_id="s", **annotation):
    task = {"data": {"session_id": session_id}, "annotations": [{"result": regions, **annotation}]}
    return json.dumps([task]).encode()


def region(start=1, end=2.5, names=("eating",), **more):
    value = {"start": start, "end": end, "timeserieslabels": list(names)}
    return {"id": "r1", "type": "timeserieslabels", "value": value, **more}


@pytest.mark.parametrize(
    ("annotation", "who"),
    [
        ({"completed_by": 7}, "user 7"),
        ({"completed_by": {"id": 7, "email": "anna@example.org"}}, "anna@example.org"),
        ({}, ""),
    ],
)
def test_a_region_made_in_label_studio(annotation, who):
    read = FORMATS["label-studio"].read(PATH, studio(region(), **annotation), "s", ORIGIN_NS)
    span = (ORIGIN_NS + 10**9, ORIGIN_NS + 2_500_000_000)
    assert read.annotations == {who: [Label(*span, "eating", who, UNSTATED)]}


def test_a_region_added_to_somebodys_annotation_is_by_the_same_person():
    meta = {"annotator": "anna", "source": "page", "confidence": 1.0, "uncertainty_ns": 0}
    content = studio(region(), region(3, 4, meta=meta), completed_by=7)
    read = FORMATS["label-studio"].read(PATH, content, "s", ORIGIN_NS)
    assert [label.source for label in read.annotations["anna"]] == [UNSTATED, "page"]


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"{", "cannot be read as JSON"),
        (b"[]", "0 tasks of the session s among 0"),
        (b'[{"id": 1, "label": []}]', "as JSON, not JSON-MIN"),
        (studio(region("2026-01-05", 2)), "start is '2026-01-05', expected seconds"),
        (studio(region(1, 1e300)), "expected less than 1000000000"),
        (studio(region(2, 2)), "expected a span"),
        (studio(region(names=("eating", "sitting"))), "expected one label"),
        (studio({"id": "r1"}), "region r1: it has None"),
        (
            studio(region(meta=dict.fromkeys(
                ("annotator", "source", "confidence", "uncertainty_ns"), "x"))),
            "its meta is",
        ),
    ],
)  # fmt: skip
def test_what_is_no_export_of_label_studio_is_refused(content, why):
    with pytest.raises(ExchangeError, match=why):
        FORMATS["label-studio"].read(PATH, content, "s", ORIGIN_NS)


def test_formats_are_known_by_their_ending():
    assert format_of(Path("a.EAF")).name == "elan"
    with pytest.raises(ExchangeError, match=r"ending is '.txt', expected .eaf \(elan\)"):
        format_of(Path("a.txt"))


def test_an_annotator_who_commands_a_terminal_is_refused(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("as it was")
    label = Label(1, 2, "eating", "a\x1b[31mb")
    with pytest.raises(LabelError, match=r"annotator .* control character .* Leave it out\.$"):
        write_labels(path, [label])
    assert path.read_text() == "as it was"
    write_labels(path, [Label(1, 2, "eating", "Zoë")])
    assert "Zoë" in path.read_text(encoding="utf-8")
