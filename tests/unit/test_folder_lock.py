"""One process at a time works on a session's folder."""

from __future__ import annotations

import errno
import fcntl

import pytest

from wban_dataset.recording.errors import FolderInUseError, SealingError
from wban_dataset.recording.folder_lock import locked


def test_a_folder_that_is_held_is_in_use_until_it_is_let_go(tmp_path):
    with (
        locked(tmp_path),
        pytest.raises(FolderInUseError, match="another process"),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):
        pass


def test_a_folder_that_is_not_there_is_not_in_use(tmp_path):
    with pytest.raises(SealingError, match="no such file") as error, locked(tmp_path / "none"):
        pass
    assert not isinstance(error.value, FolderInUseError)


def test_a_file_system_without_locks_is_named(tmp_path, monkeypatch):
    def refuse(_fd, _operation):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(SealingError, match="no locks available") as error, locked(tmp_path):
        pass
    assert not isinstance(error.value, FolderInUseError)
