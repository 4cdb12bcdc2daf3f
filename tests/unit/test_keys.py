"""Keys: who may speak to the daemon over TCP."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tests.integration.command_line import Outcome, collect
from wban_collect.control import keys as keys_module
from wban_collect.control.keys import Keys, keys_folder
from wban_collect.errors import ConfigError


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def keys(tmp_path) -> Keys:
    """Give a folder with a server's key."""
    made = Keys(tmp_path / "etc" / "keys")
    made.make_server()
    return made


def test_a_client_and_the_server_know_each_other(keys, tmp_path):
    keys.make_client("lab-laptop", tmp_path / "carried")
    carried = Keys(tmp_path / "carried")
    assert keys.clients() == {"lab-laptop": carried.client().public}
    assert carried.server_public() == keys.server().public
    assert carried.client().secret != keys.server().secret


def test_secrets_are_for_their_owner_alone_whatever_the_umask_is(tmp_path):
    before = os.umask(0)
    try:
        made = Keys(tmp_path / "keys")
        made.make_server()
        made.make_client("a", tmp_path / "a-keys")
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {str(path.relative_to(tmp_path)): mode(path) for path in files} == {
        "keys/server.key_secret": 0o600,
        "keys/server.key": 0o644,
        "keys/clients/a.key": 0o644,
        "a-keys/client.key_secret": 0o600,
        "a-keys/server.key": 0o644,
    }
    assert mode(tmp_path / "keys") == mode(tmp_path / "a-keys") == 0o700


def test_no_secret_of_a_client_stays_with_the_server(keys, tmp_path):
    keys.make_client("a", tmp_path / "a-keys")
    secret = Keys(tmp_path / "a-keys").client().secret
    for path in keys.folder.rglob("*"):
        assert path.is_dir() or secret not in path.read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes keys for another user")
def test_keys_that_root_makes_belong_to_the_owner_of_their_folder(tmp_path):
    state = tmp_path / "wban"
    state.mkdir()
    os.chown(state, 4711, 4712)
    made = Keys(state / "keys")
    made.make_server()
    made.make_client("a", tmp_path / "a-keys")
    owners = {(path.stat().st_uid, path.stat().st_gid) for path in state.rglob("*")}
    assert owners == {(4711, 4712)}


def test_a_secret_is_not_shown_where_its_pair_is(keys):
    assert keys.server().secret.decode() not in repr(keys.server())


def test_a_second_server_key_is_refused_for_the_clients_sake(keys):
    before = keys.server()
    with pytest.raises(ConfigError, match="is there already, and clients may know it"):
        keys.make_server()
    assert keys.server() == before


def test_a_taken_name_or_folder_is_refused_and_nothing_changes(keys, tmp_path):
    keys.make_client("a", tmp_path / "a-keys")
    before = keys.clients()
    with pytest.raises(ConfigError, match="client a has a key already"):
        keys.make_client("a", tmp_path / "again")
    with pytest.raises(ConfigError, match="a-keys is there already"):
        keys.make_client("b", tmp_path / "a-keys")
    assert keys.clients() == before
    assert not (tmp_path / "again").exists()


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", ".a", "a\n", "x" * 33])
def test_a_name_that_is_no_file_name_is_refused(keys, tmp_path, name):
    for call in (lambda: keys.make_client(name, tmp_path / "out"), lambda: keys.revoke(name)):
        with pytest.raises(ConfigError, match="expected 1 to 32 letters, digits or hyphens"):
            call()
    assert not (tmp_path / "out").exists()


def test_a_client_needs_the_servers_key_first(tmp_path):
    with pytest.raises(ConfigError, match="run 'wban-collect keys server --keys"):
        Keys(tmp_path / "none").make_client("a", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_revoked_client_is_known_no_longer(keys, tmp_path):
    keys.make_client("a", tmp_path / "a-keys")
    keys.make_client("b", tmp_path / "b-keys")
    keys.revoke("a")
    assert list(keys.clients()) == ["b"]
    with pytest.raises(ConfigError, match=r"client a is not known in .* expected one of b"):
        keys.revoke("a")


@pytest.mark.parametrize("text", [b"", b"curve\n    public-key\n", b"\xff\xfe", b'public-key="x"'])
def test_a_damaged_file_admits_nobody_and_leaves_the_others(keys, tmp_path, caplog, text):
    keys.make_client("a", tmp_path / "a-keys")
    (keys.folder / "clients" / "damaged.key").write_bytes(text)
    assert list(keys.clients()) == ["a"]
    assert "damaged.key" in caplog.text


def test_a_secret_that_others_may_read_is_refused(keys):
    path = keys.folder / "server.key_secret"
    path.chmod(0o640)
    with pytest.raises(ConfigError, match=r"others may read it \(mode 0640\), expected 0600"):
        keys.server()


def test_a_public_file_in_place_of_a_secret_is_refused(keys):
    path = keys.folder / "server.key_secret"
    path.write_bytes((keys.folder / "server.key").read_bytes())
    with pytest.raises(ConfigError, match="found no secret key in it"):
        keys.server()


def test_the_folder_is_the_configured_the_services_or_the_users(tmp_path, monkeypatch):
    monkeypatch.setattr(keys_module, "SERVICE_STATE_FOLDER", tmp_path / "state")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert keys_folder() == tmp_path / ".config/wban/keys"
    (tmp_path / "state").mkdir()
    assert keys_folder() == tmp_path / "state" / "keys"
    assert keys_folder("~/mine") == tmp_path / "mine"


# --- the commands --------------------------------------------------------------------------------


def run(*arguments: object) -> Outcome:
    return collect("keys", *arguments)


def test_the_commands_make_list_and_revoke_without_a_secret_on_the_screen(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    where = ("--keys", tmp_path / "keys")
    made = [run("server", *where), run("client", "lab-laptop", *where)]
    listed = run("list", *where)
    assert [done.code for done in (*made, listed)] == [0, 0, 0]
    carried = Keys(tmp_path / "lab-laptop-keys")
    assert listed.out == f"lab-laptop  {carried.client().public.decode()}\n"
    shown = "".join(done.out + done.err for done in (*made, listed))
    for pair in (carried.client(), Keys(tmp_path / "keys").server()):
        assert pair.secret.decode() not in shown
    assert "--keys lab-laptop-keys" in made[1].out
    assert run("revoke", "lab-laptop", *where).code == 0
    assert "no client is admitted" in run("list", *where).out


def test_the_commands_refuse_with_exit_code_2(tmp_path):
    where = ("--keys", tmp_path / "keys")
    for words in (("client", "a"), ("client", "../a"), ("revoke", "a")):
        done = run(*words, *where, *(("--out", tmp_path / "o") if words[0] == "client" else ()))
        assert done.code == 2
        assert done.error
    assert list(tmp_path.iterdir()) == []
