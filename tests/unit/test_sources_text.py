"""Numbers and words in rows of text, and what paths say."""

from __future__ import annotations

import numpy as np
import pytest

from wban_dataset.errors import DatasetError
from wban_dataset.sources.path_pattern import PathPattern
from wban_dataset.sources.text_table import TextTable, numbers


def test_numbers_in_rows():
    found = numbers(b"1 2.5 -3e-2\n\n 4  5 6\n", "acc.txt", n_columns=3)
    assert found.tolist() == [[1.0, 2.5, -0.03], [4.0, 5.0, 6.0]]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"1 2 3\n4 5\n", "acc.txt, row 2: it has 2 columns, expected 3"),
        (b"1 2 3\n\n4 5 6 7\n", "acc.txt, row 3: it has 4 columns, expected 3"),
        (b"1 2 3\n4 nan 6\n", "acc.txt, row 2: it says 'nan', expected a finite number"),
        (b"1 2 3\n4 x 6\n", "acc.txt, row 2: it says 'x', expected a finite number"),
        (b"1 2\n3 4\n", "acc.txt, row 1: it has 2 columns, expected 3"),
        (b"", "acc.txt: "),
    ],
)
def test_rows_that_are_not_numbers_are_told(text: bytes, says: str):
    with pytest.raises(DatasetError) as caught:
        numbers(text, "acc.txt", n_columns=3)
    assert says in str(caught.value)


def test_columns_go_by_name_or_number():
    table = TextTable(b"t; ax ;label\n1;0.5;walk\n2;;\n", "a.csv")
    assert table.columns == ("t", "ax", "label")
    assert table.plain_numbers("t").dtype == np.int64
    assert table.numbers(1).tolist() == [1.0, 2.0]
    assert table.words("label") == ["walk", ""]
    assert np.isnan(table.numbers("ax")[1])


def test_a_table_without_a_row_of_names():
    table = TextTable(b"5 6\n7 8\n", "a.txt", header=False)
    assert table.numbers("2").tolist() == [6.0, 8.0]
    assert table.row(1) == 2


def test_rows_are_counted_as_an_editor_does():
    table = TextTable(b"made by X\nt,x\n1,2\n\n3,oops\n", "a.csv", skip_rows=1)
    assert table.row(0) == 3
    with pytest.raises(DatasetError, match=r"a\.csv, row 5: column x says 'oops'"):
        table.numbers("x")


def test_whole_labels_keep_their_text_where_one_is_missing():
    assert TextTable(b"t,label\n1,4\n2,\n3,5\n", "a.csv").words("label") == ["4", "", "5"]


@pytest.mark.parametrize("column", ["az", 4, "0"])
def test_a_column_that_is_not_there_is_told_with_those_that_are(column: str | int):
    with pytest.raises(DatasetError, match=r"there is no column .*found: t, ax, ay"):
        TextTable(b"t,ax,ay\n1,2,3\n", "a.csv").numbers(column)


def test_fields_of_a_path():
    pattern = PathPattern("**/{subject}/{placement}_{recording}.csv")
    assert pattern.match("data/S1/wrist_walk_1.csv") == {
        "subject": "S1",
        "placement": "wrist",
        "recording": "walk_1",
    }
    assert pattern.match("S1/wrist_walk.csv") is None
    assert pattern.match("data/S1/wrist.csv") is None


@pytest.mark.parametrize("pattern", ["{person}.csv", "{subject}/{subject}.csv"])
def test_a_field_that_is_unknown_or_stands_twice(pattern: str):
    with pytest.raises(DatasetError, match="expected each of subject"):
        PathPattern(pattern)
