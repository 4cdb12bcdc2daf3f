# pyzmq's annotations say PathLike without saying of what.
# pyright: reportUnknownMemberType=false
"""The folder of keys for control over TCP: the daemon's own pair, and whom it admits.

::

    KEYS/server.key_secret      the daemon's secret, for its user alone
    KEYS/server.key             its public half; every client has a copy
    KEYS/clients/NAME.key       public key of each client that is admitted
    NAME-keys/client.key_secret, server.key      what a client carries away

The files are ZeroMQ certificates.
"""

from __future__ import annotations

import logging
import os
import re
import shutil
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import zmq.auth

from wban_collect.errors import ConfigError

log = logging.getLogger(__name__)

SERVICE_STATE_FOLDER = Path("/var/lib/wban")
USER_FOLDER = Path(".config/wban/keys")
"""Under the home folder."""

SERVER, CLIENT, CLIENTS = "server", "client", "clients"
PUBLIC, SECRET = ".key", ".key_secret"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}\Z")


@dataclass(frozen=True)
class KeyPair:
    """A public key and its secret, in Z85; the secret is never shown."""

    public: bytes
    secret: bytes = field(repr=False)


class Keys:
    """The keys in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make_server(self) -> Path:
        """Make the daemon's own pair; return the file of its public key.

        Raises
        ------
        ConfigError
            If there is one: every client would lose its daemon.
        """
        public = self.folder / f"{SERVER}{PUBLIC}"
        if public.exists() or (self.folder / f"{SERVER}{SECRET}").exists():
            raise ConfigError(
                f"{public} is there already, and clients may know it. Remove it and "
                f"{SERVER}{SECRET} for a new one; every client then needs a copy of that."
            )
        _make_pair(self.folder, self.folder, SERVER)
        return public

    def make_client(self, name: str, out: Path) -> None:
        """Make a pair for a client in the new folder `out`, and admit it.

        Raises
        ------
        ConfigError
            If the name is unusable or taken, `out` exists, or the server has no key yet.
        """
        admitted = self._client_file(name)
        if admitted.exists():
            raise ConfigError(
                f"client {name} has a key already ({admitted}). Choose another name, or run "
                f"'wban-collect keys revoke {name}' first."
            )
        self.server()
        try:
            out.mkdir(mode=0o700, parents=True)
        except FileExistsError as error:
            raise ConfigError(
                f"{out} is there already, expected a folder that can be made. "
                "Choose another with --out."
            ) from error
        _make_pair(out, self.folder / CLIENTS, name, secret_name=CLIENT)
        known = out / f"{SERVER}{PUBLIC}"
        shutil.copyfile(self.folder / f"{SERVER}{PUBLIC}", known)
        known.chmod(0o644)

    def revoke(self, name: str) -> None:
        """Admit a client no longer; raises `ConfigError` if it is not known."""
        try:
            self._client_file(name).unlink()
        except FileNotFoundError as error:
            known = ", ".join(self.clients()) or "none"
            raise ConfigError(
                f"client {name} is not known in {self.folder}: expected one of {known}."
            ) from error

    def clients(self) -> dict[str, bytes]:
        """Public keys of the clients that are admitted, by name."""
        clients: dict[str, bytes] = {}
        for path in sorted((self.folder / CLIENTS).glob(f"*{PUBLIC}")):
            try:
                clients[path.name.removesuffix(PUBLIC)] = _load(path)[0]
            except ConfigError as error:
                log.warning("nobody is admitted by a damaged file: %s", error)
        return clients

    def server(self) -> KeyPair:
        """Return the daemon's own pair.

        Raises
        ------
        ConfigError
            If there is none, or others may read its secret.
        """
        return self._pair(SERVER, f"run 'wban-collect keys server --keys {self.folder}'")

    def client(self) -> KeyPair:
        """Return the pair of the client that this folder was made for; raises like `server`."""
        return self._pair(
            CLIENT, "make one with 'wban-collect keys client NAME' where the daemon runs, bring it"
        )

    def server_public(self) -> bytes:
        """Public key by which the daemon is known; raises `ConfigError` if it is missing."""
        return _load(self.folder / f"{SERVER}{PUBLIC}")[0]

    def _pair(self, name: str, remedy: str) -> KeyPair:
        path = self.folder / f"{name}{SECRET}"
        if not os.path.lexists(path):
            raise ConfigError(f"no key {path}: {remedy}, or name another folder of keys.")
        public, secret = _load(path)
        mode = path.stat().st_mode & 0o777
        if mode & 0o077:
            raise ConfigError(
                f"key {path}: others may read it (mode {mode:04o}), expected 0600. It may be known "
                "to them: make a new one, or run chmod if you know better."
            )
        if secret is None:
            raise ConfigError(f"key {path}: found no secret key in it. Make a new one.")
        return KeyPair(public, secret)

    def _client_file(self, name: str) -> Path:
        if not _NAME.match(name):
            raise ConfigError(
                f"client name {name[:40]!r} is not usable: expected 1 to 32 letters, digits or "
                "hyphens, e.g. 'lab-laptop'."
            )
        return self.folder / CLIENTS / f"{name}{PUBLIC}"


def keys_folder(configured: str = "") -> Path:
    """Folder of the keys: the configured one, the service's for it and root, or the user's."""
    if configured:
        return Path(configured).expanduser()
    if os.access(SERVICE_STATE_FOLDER, os.W_OK):
        return SERVICE_STATE_FOLDER / "keys"
    return Path.home() / USER_FOLDER


def _make_pair(
    secret_folder: Path, public_folder: Path, name: str, *, secret_name: str = ""
) -> None:
    """Make a pair of files; the secret is never readable by others, not even for an instant."""
    for folder in (secret_folder, public_folder):
        _make_folder(folder)
    # mkdtemp gives mode 0700 whatever the umask is.
    workshop = Path(tempfile.mkdtemp(prefix=".new-", dir=secret_folder))
    try:
        public, secret = map(Path, zmq.auth.create_certificates(workshop, name))
        secret.chmod(0o600)
        public.chmod(0o644)
        _give(secret, secret_folder)
        _give(public, public_folder)
        secret.rename(secret_folder / f"{secret_name or name}{SECRET}")
        public.rename(public_folder / f"{name}{PUBLIC}")
    finally:
        shutil.rmtree(workshop)


def _make_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    if not folder.parent.is_dir():
        _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _give(folder, folder.parent)


def _give(path: Path, folder: Path) -> None:
    """Let a file belong to whom its folder belongs: root makes the service's keys."""
    owner = folder.stat()
    with suppress(PermissionError):
        os.chown(path, owner.st_uid, owner.st_gid)


def _load(path: Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = zmq.auth.load_certificate(path)
    except (OSError, ValueError, IndexError) as error:  # IndexError: a line cut off at its "="
        reason = error.strerror if isinstance(error, OSError) and error.strerror else "no key in it"
        raise ConfigError(
            f"key {path}: {reason.lower()}, expected a ZeroMQ certificate. Make one with "
            "'wban-collect keys'."
        ) from error
    if len(public) != 40 or (secret is not None and len(secret) != 40):
        raise ConfigError(
            f"key {path}: damaged, expected 40 characters in each key. Make one with "
            "'wban-collect keys'."
        )
    return public, secret
