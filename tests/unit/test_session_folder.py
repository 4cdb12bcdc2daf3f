"""Names of sessions, and folders that cannot be written."""

from __future__ import annotations

import pytest

from wban_collect.errors import StorageError
from wban_collect.session_folder import check_writable, create_folder, folder_name, new_session_id

NAME = {"realtime_ns": 1795442712 * 10**9, "boot_id": "197821f3-2591", "monotonic_ns": 42 * 10**9}


def test_name_is_utc_when_the_clock_is_right():
    # 1795442712 s after 1970 is 2026-11-23 14:05:12 UTC
    assert folder_name("S01", "eating", synchronised=True, **NAME) == "20261123T140512Z_S01_eating"


def test_name_is_the_boot_when_the_clock_is_not_known_to_be_right():
    assert folder_name("S01", "eating", synchronised=False, **NAME) == "boot-197821f3_42_S01_eating"


def test_collision_gets_a_number(tmp_path):
    names = [create_folder(tmp_path / "out", "a").name for _ in range(3)]
    assert names == ["a", "a-2", "a-3"]


def test_session_id_is_a_ulid_that_sorts_by_time():
    # 1 ms = last character of the ten that hold the time; randomness 0
    assert new_session_id(1_000_000, bytes(10)) == "0000000001" + "0" * 16
    assert new_session_id(0, b"\xff" * 10) == "0000000000" + "Z" * 16
    assert len(new_session_id(1795442712 * 10**9)) == 26


def test_too_little_space_says_how_much_there_is(tmp_path):
    with pytest.raises(StorageError, match=r"MB are free, expected at least 1000000000000 MB"):
        check_writable(tmp_path, 10**18)


def test_output_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="--out"):
        check_writable(tmp_path / "file", 0)
    with pytest.raises(StorageError, match="--out"):
        create_folder(tmp_path / "file", "a")
