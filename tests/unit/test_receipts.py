"""Receipts: for a content, with all that stands beside it."""

from __future__ import annotations

import dataclasses

import pytest

from wban_dataset.recording.errors import ReceiptError
from wban_dataset.recording.receipts import (
    COLUMNS,
    Receipt,
    append_receipts,
    own_receipt,
    read_receipts,
    write_own_receipt,
)
from wban_dataset.recording.summary_file import SessionSummary

SUMMARY = SessionSummary(
    session_id="01J",
    boot_id="",
    subject="S01",
    activity="eating",
    start_utc="",
    started_monotonic_ns=0,
    duration_s=1.0,
    n_lost=0,
    rows={},
    complete=True,
    recovered=False,
    continues="",
    content_sha256="c0",
    n_bytes=1,
    clock_synchronised=True,
)


@pytest.fixture
def copy(tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    return folder


@pytest.fixture
def here(tmp_path):
    folder = tmp_path / "here"
    folder.mkdir()
    return folder


def test_a_copy_of_the_same_content_fits(copy, here):
    assert Receipt.now("01J", "c0", copy).misfit(SUMMARY, here) == ""


@pytest.mark.parametrize(
    ("session_id", "content_sha256", "expected"),
    [
        ("01K", "c0", "it is of session 01K"),
        ("01J", "c1", "the content of the copy is another"),
        ("01J", "", "the content of the copy is another"),
    ],
)
def test_another_session_or_content_does_not_fit(copy, here, session_id, content_sha256, expected):
    receipt = Receipt.now(session_id, content_sha256, copy)
    assert receipt.misfit(SUMMARY, here) == expected
    nothing = dataclasses.replace(SUMMARY, content_sha256="")
    assert Receipt.now("01J", "", copy).misfit(nothing, here)


@pytest.mark.parametrize("name", ["labels.csv", "clock.csv"])
def test_what_came_to_stand_beside_the_session_must_be_in_the_copy(copy, here, name):
    (here / name).write_text("later\n")
    assert Receipt.now("01J", "c0", copy).misfit(SUMMARY, here) == f"the copy had no {name}"
    (copy / name).write_text("earlier\n")
    assert Receipt.now("01J", "c0", copy).misfit(SUMMARY, here) == f"the copy had another {name}"
    (copy / name).write_text("later\n")
    assert Receipt.now("01J", "c0", copy).misfit(SUMMARY, here) == ""


def test_a_copy_may_have_more(copy, here):
    (copy / "labels.csv").write_text("labelled there\n")
    assert Receipt.now("01J", "c0", copy).misfit(SUMMARY, here) == ""


# --- the table -----------------------------------------------------------------------------------


def receipt(number: int) -> Receipt:
    return Receipt(f"01J{number}", "c" * 64, "2026-11-23T14:05:12Z", "", "d" * 64)


def test_rows_are_added_one_after_another(tmp_path):
    path = tmp_path / "receipt.csv"
    append_receipts(path, [])
    assert not path.exists()  # one that is there holds a receipt
    append_receipts(path, [receipt(1)])
    append_receipts(path, [receipt(2), receipt(1)])
    assert read_receipts(path) == [receipt(1), receipt(2), receipt(1)]
    assert path.read_text().splitlines()[1] == (f"01J1,{'c' * 64},2026-11-23T14:05:12Z,,{'d' * 64}")


def test_a_table_from_a_spreadsheet_is_read(tmp_path):
    path = tmp_path / "receipt.csv"
    text = ",".join(COLUMNS) + "\r\n01J1,cc,2026,,\r\n"
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert read_receipts(path) == [Receipt("01J1", "cc", "2026", "", "")]
    append_receipts(path, [receipt(2)])
    assert len(read_receipts(path)) == 2


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "its first line is ''"),
        (b"session,digest\n", "its first line is 'session,digest'"),
        (b"\xff\xfe", "cannot be used"),
        (",".join(COLUMNS).encode() + b"\n01J1,cc\n", "line 2: there are 2 values"),
        (",".join(COLUMNS).encode() + b"\n" + b"x" * 500 + b",,,,\n", "line 2"),
        (",".join(COLUMNS).encode() + b"\n" + b"x" * 200_000 + b",,,,\n", "cannot be used"),
    ],
)
def test_what_is_no_receipt_is_named(tmp_path, content, complaint):
    path = tmp_path / "receipt.csv"
    path.write_bytes(content)
    with pytest.raises(ReceiptError) as error:
        read_receipts(path)
    assert str(path) in str(error.value)
    assert complaint in str(error.value)


def test_nothing_is_added_to_another_table(tmp_path):
    path = tmp_path / "study.csv"
    path.write_text("subject,age\nS01,33\n")
    with pytest.raises(ReceiptError, match="Name another file"):
        append_receipts(path, [receipt(1)])
    assert path.read_text() == "subject,age\nS01,33\n"
    with pytest.raises(ReceiptError, match="cannot be used"):
        append_receipts(tmp_path / "none" / "receipt.csv", [receipt(1)])


# --- beside the session --------------------------------------------------------------------------


def test_the_receipt_beside_a_session_is_the_newest(here):
    assert own_receipt(here) is None
    write_own_receipt(here, receipt(1))
    write_own_receipt(here, receipt(2))
    assert own_receipt(here) == receipt(2)
    assert len(read_receipts(here / "verified.csv")) == 1


def test_a_damaged_receipt_beside_a_session_is_none(here):
    for content in (b"", b"yes\n", ",".join(COLUMNS).encode() + b"\n", b"\0" * 100):
        (here / "verified.csv").write_bytes(content)
        assert own_receipt(here) is None
