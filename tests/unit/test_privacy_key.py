"""The key: what it names stays named, and nobody else may read it."""

from __future__ import annotations

import json
import re
import stat

import pytest

from wban_dataset.privacy.configuration import impersonal
from wban_dataset.privacy.errors import PrivacyError
from wban_dataset.privacy.key import Key, key_to_extend, read_key, write_key


def test_people_get_numbers_that_they_keep():
    key = Key()
    key.add_subjects(["S02", "S01", "S03"])
    assert sorted(person.name for person in key.subjects.values()) == ["P001", "P002", "P003"]
    before = {subject: person.name for subject, person in key.subjects.items()}
    key.add_subjects(["S04", "S01"])
    assert {subject: key.subjects[subject].name for subject in before} == before
    assert key.subjects["S04"].name == "P004"
    assert all(1 <= person.shift_days <= 3650 for person in key.subjects.values())


def test_the_order_of_names_tells_nothing():
    orders: set[str] = set()
    for _ in range(40):
        key = Key()
        key.add_subjects(["S01", "S02"])
        orders.add(key.subjects["S01"].name)
    assert orders == {"P001", "P002"}


def test_ids_are_new_and_stay():
    key = Key()
    new = key.session("01J00000000000000000000000")
    assert re.fullmatch(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", new)
    assert key.session("01J00000000000000000000000") == new
    assert key.session("01J00000000000000000000001") != new
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", key.boot("a-boot"))
    assert (key.annotator("Zoë"), key.annotator("Max"), key.annotator("Zoë")) == (
        "A001",
        "A002",
        "A001",
    )
    assert (key.session(""), key.boot(""), key.annotator("")) == ("", "", "")


def test_it_is_written_for_its_owner_alone_and_read_again(tmp_path):
    key = Key()
    key.add_subjects(["S01"])
    key.session("old")
    path = tmp_path / "key.json"
    write_key(path, key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_key(path) == key
    assert [file.name for file in tmp_path.iterdir()] == ["key.json"]


def test_a_key_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "key.json"
    write_key(path, Key())
    path.chmod(0o640)
    with pytest.raises(PrivacyError, match=r"others may read it \(mode 640\), expected 600"):
        read_key(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b'{"subjects": 3}', b"\xff", b'{"format": "other", "format_version": 1}'],
)
def test_what_is_no_key_is_refused(tmp_path, content):
    path = tmp_path / "key.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(PrivacyError, match="it is no key"):
        read_key(path)


def test_a_key_has_one_user_at_a_time(tmp_path):
    path = tmp_path / "key.json"
    with (
        key_to_extend(path),
        pytest.raises(PrivacyError, match="another process"),
        key_to_extend(path),
    ):
        pytest.fail("both had it")
    with pytest.raises(PrivacyError, match="there is no folder"), key_to_extend(tmp_path / "a/b"):
        pytest.fail("there was none")


def test_a_configuration_keeps_how_and_loses_who():
    text = (
        '[study]\nactivities = ["eating"]\nannotator = "Zoë"\n'
        '[storage]\nout = "/home/zoe/recordings"\ngzip_level = 1\n'
        '[unattended]\nsubject = "S01"\n[control]\ntcp = "tcp://10.0.0.1:7711"\n'
        '[[motion]]\ndriver = "adxl345"\nplacement = "wrist"\nnote = "of Zoë"\nbus = 1\n'
        "mounting = [[1.0, 0.0], [0.0, 1.0]]\n"
    )
    kept = impersonal(text)
    assert 'driver = "adxl345"' in kept
    assert "gzip_level = 1" in kept
    assert 'placement = "wrist"' in kept
    assert "mounting" in kept
    for gone in ("Zoë", "zoe", "S01", "10.0.0.1"):
        assert gone not in kept
    assert impersonal("this = is no TOML") == ""
    assert json.dumps(kept)
