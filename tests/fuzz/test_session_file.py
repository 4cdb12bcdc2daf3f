"""A damaged session file: refused or reported in a sentence, and never a wrong value unnoticed."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.damage import damaged, damages
from tests.fuzz.effort import effort
from tests.fuzz.examiner import Examiner, Finding
from tests.integration import session_journal as made
from wban_dataset.recording.sealing import seal

SUPERBLOCK_BYTES = 4096
"""Where libhdf5 keeps what all else hangs on; damage elsewhere costs less."""


@pytest.fixture(scope="module")
def content(tmp_path_factory) -> bytes:
    folder = made.write_journal(tmp_path_factory.mktemp("whole") / "session", made.whole_session(1))
    seal(folder)
    return (folder / "session.h5").read_bytes()


@pytest.fixture(scope="module")
def examiner() -> Generator[Examiner]:
    with Examiner() as child:
        yield child


@pytest.fixture(scope="module")
def whole(tmp_path_factory, content, examiner) -> dict[str, str]:
    """Digests of all that the undamaged file says."""
    path = tmp_path_factory.mktemp("undamaged") / "session.h5"
    path.write_bytes(content)
    found = examiner.examine(path)
    assert (found.refusal, found.problems, found.died_of) == ("", (), 0)
    assert found.values is not None
    assert len(found.values) > 40
    return found.values


def check(found: Finding, whole: dict[str, str], path: Path) -> None:
    """Either somebody is told, or all is as it was."""
    if found.refusal:
        assert str(path) in found.refusal
        assert "\n" not in found.refusal
    elif not found.problems and not found.died_of:
        assert found.values == whole


@effort(60)
@given(data=st.data())
def test_damage_anywhere_is_noticed_or_harmless(tmp_path, content, whole, examiner, data):
    path = tmp_path / "session.h5"
    path.write_bytes(damaged(content, data.draw(damages(content))))
    check(examiner.examine(path), whole, path)


@effort(30)
@given(place=st.integers(0, SUPERBLOCK_BYTES - 1), bit=st.integers(0, 7))
def test_a_bit_of_what_all_hangs_on(tmp_path, content, whole, examiner, place, bit):
    changed = bytearray(content)
    changed[place] ^= 1 << bit
    path = tmp_path / "session.h5"
    path.write_bytes(changed)
    check(examiner.examine(path), whole, path)


@effort(10)
@given(length=st.floats(0, 1, exclude_max=True))
def test_a_file_that_was_cut_off_is_refused(tmp_path, content, examiner, length):
    path = tmp_path / "session.h5"
    path.write_bytes(content[: int(length * len(content))])
    found = examiner.examine(path)
    assert str(path) in found.refusal
