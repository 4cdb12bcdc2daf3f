"""Files in folders and archives, and archives that mean no good."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
from pathlib import Path

import pytest

from wban_dataset.errors import DatasetError
from wban_dataset.sources import archives
from wban_dataset.sources.archives import opened_tree

CONTENT = {"S1/a.csv": b"1,2\n", "S2/b.csv": b"3,4\n"}


def zipped(path: Path, content: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return path


def tarred(path: Path, content: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:" + path.suffix[1:].replace("tar", "")) as archive:
        for name, text in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
    return path


@pytest.mark.parametrize("name", ["s.zip", "s.tar", "s.tar.gz", "s.tar.bz2", "s.tar.xz"])
def test_all_archives_hold_the_same_files(tmp_path: Path, name: str):
    make = zipped if name.endswith(".zip") else tarred
    with opened_tree(make(tmp_path / name, {**CONTENT, "__MACOSX/S1/._a.csv": b"x"})) as tree:
        assert tree.names == ("S1/a.csv", "S2/b.csv")
        assert {each: tree.read(each) for each in tree.names} == CONTENT


def test_compressed_files_of_a_folder_go_by_their_plain_names(tmp_path: Path):
    (tmp_path / "S1").mkdir()
    (tmp_path / "S1" / "a.csv.gz").write_bytes(gzip.compress(b"1"))
    (tmp_path / "S1" / "b.csv.bz2").write_bytes(bz2.compress(b"2"))
    (tmp_path / "S1" / "c.csv.xz").write_bytes(lzma.compress(b"3"))
    (tmp_path / "S1" / "d.csv").symlink_to("/etc/hostname")
    with opened_tree(tmp_path) as tree:
        assert tree.names == ("S1/a.csv", "S1/b.csv", "S1/c.csv")
        assert [tree.read(name) for name in tree.names] == [b"1", b"2", b"3"]


def test_a_single_file_is_a_source(tmp_path: Path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"1"))
    with opened_tree(tmp_path / "a.csv.gz") as tree:
        assert tree.names == ("a.csv",)
        assert tree.read("a.csv") == b"1"


@pytest.mark.parametrize("name", ["../a.csv", "/etc/a.csv", "S1/../../a.csv", "C:\\a.csv", "..\\a"])
@pytest.mark.parametrize("archive", ["s.zip", "s.tar"])
def test_a_member_that_leads_out_is_refused(tmp_path: Path, name: str, archive: str):
    make = zipped if archive.endswith(".zip") else tarred
    path = make(tmp_path / archive, {name: b"1"})
    with pytest.raises(DatasetError, match="expected names that stay within"), opened_tree(path):
        pass


def test_links_in_an_archive_are_left_out(tmp_path: Path):
    with tarfile.open(tmp_path / "s.tar", "w") as archive:
        link = tarfile.TarInfo("a.csv")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with opened_tree(tmp_path / "s.tar") as tree:
        assert tree.names == ()


@pytest.mark.parametrize("name", ["s.zip", "s.tar.xz", "s.tar.gz"])
def test_what_expands_beyond_measure_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    monkeypatch.setattr(archives, "ALWAYS_ALLOWED_BYTES", 1000)
    make = zipped if name.endswith(".zip") else tarred
    path = make(tmp_path / name, {"a.csv": bytes(4_000_000)})
    with pytest.raises(DatasetError, match="it expands to more than"), opened_tree(path):
        pass


def test_a_file_that_expands_beyond_measure_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(archives, "LARGEST_FILE_BYTES", 1000)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(bytes(2000)))
    with opened_tree(tmp_path) as tree, pytest.raises(DatasetError, match="it expands to more"):
        tree.read("a.csv")


@pytest.mark.parametrize("name", ["s.zip", "s.tar", "s.tar.xz"])
def test_a_damaged_archive_is_told(tmp_path: Path, name: str):
    (tmp_path / name).write_bytes(b"no archive at all" * 100)
    with pytest.raises(DatasetError, match="it cannot be read"), opened_tree(tmp_path / name):
        pass


def test_a_truncated_file_is_told(tmp_path: Path):
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(bytes(range(200)) * 50)[:-20])
    with opened_tree(tmp_path) as tree, pytest.raises(DatasetError, match="expected a whole file"):
        tree.read("a.csv")


def test_nothing_there(tmp_path: Path):
    with pytest.raises(DatasetError, match="there is nothing"), opened_tree(tmp_path / "none"):
        pass
