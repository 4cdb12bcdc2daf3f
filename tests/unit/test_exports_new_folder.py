"""A new folder is there as a whole or not at all."""

from __future__ import annotations

import errno

import pytest

from wban_dataset.exports.errors import ExportError
from wban_dataset.exports.new_folder import aside_of, is_full, new_folder


def test_it_takes_its_name_when_it_is_full(tmp_path):
    with new_folder(tmp_path / "deep" / "out") as aside:
        (aside / "file").write_text("content")
        assert not (tmp_path / "deep" / "out").exists()
    assert (tmp_path / "deep" / "out" / "file").read_text() == "content"
    assert not aside.exists()


def test_an_empty_folder_may_be_there(tmp_path):
    with new_folder(tmp_path) as aside:
        (aside / "file").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("found", ["file", "folder", "link"])
def test_what_is_there_is_never_replaced(tmp_path, found):
    out = tmp_path / "out"
    if found == "folder":
        out.mkdir()
        (out / "mine").write_text("mine")
    elif found == "link":
        out.symlink_to(tmp_path / "elsewhere")
    else:
        out.write_text("mine")
    with pytest.raises(ExportError, match="there is something already"), new_folder(out):
        pytest.fail("it was not refused")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_nothing_is_left_where_something_goes_wrong(tmp_path):
    out = tmp_path / "out"

    def half_of_it():
        with new_folder(out) as aside:
            (aside / "half").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        half_of_it()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_run_left_is_removed(tmp_path):
    out = tmp_path / "out"
    aside_of(out).mkdir()
    (aside_of(out) / "stale").touch()
    with new_folder(out) as aside:
        (aside / "new").touch()
    assert [path.name for path in out.iterdir()] == ["new"]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError("Can't write data (file write failed: errno = 28, No space left on device)"),
    ],
)
def test_a_full_disk_is_one_sentence(tmp_path, error):
    assert is_full(error)
    with (
        pytest.raises(ExportError, match="the disk is full, expected room"),
        new_folder(tmp_path / "out"),
    ):
        raise error
    assert list(tmp_path.iterdir()) == []
