"""Small files that are there as a whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wban_dataset.recording.whole_file import is_written_aside, write_whole


def test_a_file_is_replaced_by_the_new_content(tmp_path):
    path = tmp_path / "a.json"
    write_whole(path, b"first, and longer")
    write_whole(path, b"second")
    assert path.read_bytes() == b"second"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_disk_that_refuses_leaves_the_old_content(tmp_path, monkeypatch, step):
    path = tmp_path / "a.json"
    write_whole(path, b"old")

    def refuse(*_):
        raise OSError(28, "No space left on device")

    owner = os if step == "fsync" else Path
    with monkeypatch.context() as patch:
        patch.setattr(owner, step, refuse)
        with pytest.raises(OSError, match="No space left"):
            write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]


def test_the_new_content_is_on_the_disk_before_it_has_the_name(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    write_whole(path, b"old")
    seen = []

    def fsync(fd):
        aside = [p for p in tmp_path.iterdir() if is_written_aside(p.name)]
        seen.append(([p.read_bytes() for p in aside], path.read_bytes()))

    monkeypatch.setattr(os, "fsync", fsync)
    write_whole(path, b"new")
    # The file aside first, then its directory.
    assert seen == [([b"new"], b"old"), ([], b"new")]
