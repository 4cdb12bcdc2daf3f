"""Which folders are sessions, by names alone."""

from __future__ import annotations

import pytest

from wban_dataset.recording.folder_tree import has_journal, is_sealed, session_folders


@pytest.fixture
def tree(tmp_path):
    def put(*paths: str) -> None:
        for path in paths:
            place = tmp_path / path
            if path.endswith("/"):
                place.mkdir(parents=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(b"")

    put.names = lambda: [str(f.relative_to(tmp_path)) for f in session_folders(tmp_path)]
    return put


def test_sealed_unsealed_and_just_begun_sessions_at_any_depth(tree, tmp_path):
    tree("b/session.h5", "a/journal/000000.wbj", "study/day1/c/session.h5", "cut/journal/")
    assert tree.names() == ["a", "b", "cut", "study/day1/c"]
    assert is_sealed(tmp_path / "b")
    assert not is_sealed(tmp_path / "a")
    assert has_journal(tmp_path / "cut")


def test_the_directory_itself_may_be_the_session(tree, tmp_path):
    tree("session.h5")
    assert list(session_folders(tmp_path)) == [tmp_path]


def test_a_sealed_session_with_its_journal_is_not_done(tree, tmp_path):
    tree("a/session.h5", "a/journal/000000.wbj")
    assert tree.names() == ["a"]
    assert not is_sealed(tmp_path / "a")


def test_folders_of_a_person_are_none(tree):
    tree("notes/journal/monday.txt", "diary/journal/", "diary/todo.txt", "x/session.h5/", "empty/")
    assert tree.names() == []


def test_hidden_and_put_aside_folders_and_links_are_not_looked_into(tree, tmp_path):
    tree(".removed-a/session.h5", "b.unreadable/journal/000000.wbj", "b.unreadable-2/session.h5")
    tree("real/session.h5")
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert tree.names() == ["real"]


def test_what_is_not_there_holds_nothing(tmp_path):
    assert list(session_folders(tmp_path / "none")) == []
    assert not is_sealed(tmp_path / "none")
