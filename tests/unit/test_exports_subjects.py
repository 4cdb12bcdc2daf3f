"""subjects.csv: what it says, and what it is told when it cannot be used."""

from __future__ import annotations

import pytest

from wban_dataset.subjects import Subject, SubjectsError, read_subjects, subjects_beside

GOOD = 'subject,licence,consent,age\nS01,CC-BY-4.0,"motion, heat",34\nS02,,no pictures,\n'


def written(tmp_path, text, name="subjects.csv", encoding="utf-8"):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding=encoding)
    return path


def test_rows_are_given_by_subject_with_their_further_columns(tmp_path):
    found = read_subjects(written(tmp_path, GOOD))
    assert list(found) == ["S01", "S02"]
    assert found["S01"] == Subject("S01", "CC-BY-4.0", "motion, heat", {"age": "34"})
    assert found["S02"] == Subject("S02", "", "no pictures", {"age": ""})


def test_a_spreadsheets_byte_order_mark_and_empty_lines_do_no_harm(tmp_path):
    path = written(tmp_path, "consent,subject,licence\nyes, S01 ,CC0\n\n,,\n", encoding="utf-8-sig")
    assert read_subjects(path) == {"S01": Subject("S01", "CC0", "yes")}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the column subject is missing (found: none)"),
        ("subject,consent\nS01,yes\n", "the column licence is missing (found: subject, consent)"),
        ("subject,licence,consent,age,age\n", "that each has a name of its own"),
        ("subject,licence,consent\nS01,CC0\n", "line 2: there are 2 values, expected 3"),
        ("subject,licence,consent\nS01,CC0,yes,more\n", "line 2: there are 4 values, expected 3"),
        ("subject,licence,consent\n,CC0,yes\n", "line 2: it names no subject"),
        (
            "subject,licence,consent\nS01,CC0,yes\nS01,CC0,no\n",
            "line 3: subject 'S01' is named again after line 2",
        ),
        ('subject,licence,consent\nS01,"CC0,yes\n', "it cannot be read"),
    ],
)
def test_what_is_wrong_is_said_with_file_and_line(tmp_path, text, said):
    path = written(tmp_path, text)
    with pytest.raises(SubjectsError) as raised:
        read_subjects(path)
    assert said in str(raised.value)
    assert str(raised.value).startswith(str(path))


def test_another_encoding_is_refused(tmp_path):
    path = written(tmp_path, "subject,licence,consent\nS01,CC0,Zoë\n", encoding="latin-1")
    with pytest.raises(SubjectsError, match="expected a table in UTF-8"):
        read_subjects(path)


def test_tables_beside_sessions_and_in_their_folder_are_joined(tmp_path):
    written(tmp_path, GOOD, "a/subjects.csv")
    written(tmp_path, "subject,licence,consent\nS03,CC0,yes\n", "b/subjects.csv")
    (tmp_path / "a" / "session").mkdir()
    found = subjects_beside([tmp_path / "a" / "session", tmp_path / "b"])
    assert sorted(found) == ["S01", "S02", "S03"]
    assert subjects_beside([tmp_path / "c"]) == {}


def test_tables_that_contradict_each_other_are_refused(tmp_path):
    written(tmp_path, GOOD, "a/subjects.csv")
    written(tmp_path, "subject,licence,consent\nS01,CC0,yes\n", "b/subjects.csv")
    with pytest.raises(SubjectsError, match="its row of subject 'S01' is another"):
        subjects_beside([tmp_path / "a", tmp_path / "b"])
