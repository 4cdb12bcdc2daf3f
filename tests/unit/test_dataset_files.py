"""Columns in mapped files, and bytes copied from file to file."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from wban_dataset.dataset.column_files import ColumnFiles
from wban_dataset.dataset.file_bytes import copy_into
from wban_dataset.windows.mapped import let_go


def test_columns_grow_part_by_part_and_are_mapped_unless_held(tmp_path: Path):
    files = ColumnFiles(tmp_path)
    for part in (range(3), range(0), range(3, 5)):
        numbers = np.array(part, dtype=np.int64)
        files.append({"held": numbers.astype(np.int16), "first_row/accel": 2 * numbers})
    columns = files.columns(("held",))
    assert columns["held"].tolist() == [0, 1, 2, 3, 4]
    assert columns["held"].dtype == np.int16
    assert not isinstance(columns["held"], np.memmap)
    assert isinstance(columns["first_row/accel"], np.memmap)
    let_go(columns["first_row/accel"])
    let_go(columns["held"])
    assert columns["first_row/accel"].tolist() == [0, 2, 4, 6, 8]


def test_columns_without_a_row_are_empty(tmp_path: Path):
    files = ColumnFiles(tmp_path)
    files.append({"label": np.zeros(0, dtype=np.int16)})
    (column,) = files.columns(()).values()
    assert (column.shape, column.dtype) == ((0,), np.int16)


@pytest.mark.parametrize("by_the_system", [True, False])
def test_bytes_are_put_in_their_place(tmp_path: Path, monkeypatch, by_the_system: bool):
    if not by_the_system:

        def refuse(*arguments):
            raise OSError(errno.EXDEV, "another file system")

        monkeypatch.setattr(os, "copy_file_range", refuse, raising=False)
        monkeypatch.setattr("wban_dataset.dataset.file_bytes._BYTES_AT_ONCE", 7)
    (tmp_path / "source").write_bytes(bytes(range(100)))
    (tmp_path / "target").write_bytes(b"x" * 120)
    copy_into(tmp_path / "target", 10, tmp_path / "source")
    assert (tmp_path / "target").read_bytes() == b"x" * 10 + bytes(range(100)) + b"x" * 10
