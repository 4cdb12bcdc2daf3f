"""Where the daemon's sockets are, for the daemon and for whoever wants to speak to it.

The service has its sockets in ``/run/wban``, which systemd makes for it; a daemon that a person
starts has them in that person's runtime folder. Only the standard library is needed here, so that
a command finds out at once that there is no daemon.
"""

from __future__ import annotations

import os
import re
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from wban_collect.errors import ConfigError, DaemonUnreachableError

if TYPE_CHECKING:
    from wban_collect.config import ControlConfig

SERVICE_FOLDER = Path("/run/wban")
OPEN_FOLDER = Path("/tmp")  # noqa: S108 - the owner of what is in it is checked
CONTROL_NAME, LIVE_NAME = "control.sock", "live.sock"
GROUP = "wban"
"""Whoever is in it may speak to the service."""

ADDRESS_VARIABLE = "WBAN_SOCKET"
LONGEST_PATH_BYTES = 107
"""Of a socket file: sun_path has 108 bytes, the last is zero (unix(7))."""

_TCP = re.compile(r"tcp://(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5}|\*)\Z")


def runtime_folder() -> Path:
    """Folder of the sockets of a daemon that runs as this user.

    Raises
    ------
    ConfigError
        If the folder below ``/tmp`` belongs to somebody else, or is open to others.
    """
    if os.access(SERVICE_FOLDER, os.W_OK | os.X_OK):
        return SERVICE_FOLDER
    return user_folder()


def user_folder() -> Path:
    """Folder of the sockets of a daemon that this user has started; see `runtime_folder`."""
    folder = os.environ.get("XDG_RUNTIME_DIR")
    if folder and Path(folder).is_absolute():
        return Path(folder) / "wban"
    return _private(OPEN_FOLDER / f"wban-{os.geteuid()}")


def control_socket(control: ControlConfig) -> Path:
    """Socket file at which the daemon answers: configured, from WBAN_SOCKET, or by default."""
    return usable_path(control.socket or _told_socket() or runtime_folder() / CONTROL_NAME)


def live_socket(control: ControlConfig) -> Path:
    """Socket file at which the daemon publishes live data; beside that of WBAN_SOCKET."""
    told = _told_socket()
    beside = told.with_name(f"live-{told.name}") if told else None
    return usable_path(control.live_socket or beside or runtime_folder() / LIVE_NAME)


def check_endpoints(control: ControlConfig) -> None:
    """Check the configured addresses as the daemon will, without opening any.

    Raises
    ------
    ConfigError
        If one is unusable; it names the key.
    """
    for key in ("socket", "live_socket", "tcp", "live_tcp"):
        configured: str = getattr(control, key)
        try:
            if configured:
                tcp_address(configured) if key.endswith("tcp") else usable_path(configured)
        except ConfigError as error:
            raise ConfigError(f"control.{key}: {error}") from error


def _told_socket() -> Path | None:
    """Socket file that WBAN_SOCKET names; None where it names none, or a daemon elsewhere."""
    told = os.environ.get(ADDRESS_VARIABLE, "").removeprefix("ipc://")
    return Path(told) if told and not told.startswith("tcp:") else None


def find_daemon(path: Path | None = None, host: str = "") -> str:
    """Address of the daemon: as given, from WBAN_SOCKET, the service's, or the user's own.

    Raises
    ------
    ConfigError
        If the address is none.
    DaemonUnreachableError
        If this user may not even look for the service's socket.
    """
    if host:
        return tcp_address(host)
    if path is not None:
        return ipc_address(path)
    told = os.environ.get(ADDRESS_VARIABLE, "")
    if told.startswith("tcp:"):
        return tcp_address(told)
    if told:
        return ipc_address(told.removeprefix("ipc://"))
    service = SERVICE_FOLDER / CONTROL_NAME
    if os.path.lexists(SERVICE_FOLDER) and not os.access(SERVICE_FOLDER, os.X_OK):
        raise _forbidden(SERVICE_FOLDER)
    return ipc_address(service if os.path.lexists(service) else user_folder() / CONTROL_NAME)


def socket_path(address: str) -> Path | None:
    """Socket file of an address; None for TCP."""
    return Path(address.removeprefix("ipc://")) if address.startswith("ipc://") else None


def is_served(address: str) -> bool:
    """Whether somebody listens at a socket file; of TCP it is not known before it is tried.

    Raises
    ------
    DaemonUnreachableError
        If somebody may listen there, but not to this user.
    """
    path = socket_path(address)
    if path is None:
        return True
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(path))
        except BlockingIOError:
            return True  # it has no room for one more connection just now
        except PermissionError as error:
            raise _forbidden(path) from error
        except OSError:
            return False
    return True


def ipc_address(path: Path | str) -> str:
    """Address of a socket file, as ZeroMQ writes it."""
    return f"ipc://{usable_path(path).absolute()}"


def usable_path(path: Path | str) -> Path:
    """Return the path of a socket file.

    Raises
    ------
    ConfigError
        If it is an address rather than a path, or too long for the system.
    """
    if "://" in str(path):
        raise ConfigError(
            f"socket {str(path)[:60]!r} is not usable: expected the path of a file, "
            "e.g. /run/wban/control.sock."
        )
    n_bytes = len(os.fsencode(Path(path).absolute()))
    if n_bytes > LONGEST_PATH_BYTES:
        raise ConfigError(
            f"socket {str(path)[:60]}...: its path has {n_bytes} bytes, the system takes at most "
            f"{LONGEST_PATH_BYTES}. Choose a shorter one."
        )
    return Path(path)


def tcp_address(text: str) -> str:
    """Return an address such as ``tcp://pi.local:7711``.

    Raises
    ------
    ConfigError
        If it is none.
    """
    match = _TCP.match(text)
    if match is None or (match["port"] != "*" and int(match["port"]) > 65_535):
        raise ConfigError(
            f"address {text[:80]!r} is not usable: expected tcp://HOST:PORT, "
            "e.g. tcp://raspberrypi.local:7711."
        )
    return text


def _private(folder: Path) -> Path:
    """Refuse a folder in a place open to all that somebody else has made; it may not exist yet."""
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return folder
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o027:
        raise ConfigError(
            f"folder {folder}: found {stat.filemode(found.st_mode)} of user {found.st_uid}, "
            f"expected a folder that user {os.geteuid()} alone may write. Remove it, or set "
            "XDG_RUNTIME_DIR."
        )
    return folder


def _forbidden(path: Path) -> DaemonUnreachableError:
    return DaemonUnreachableError(
        f"daemon at {path}: permission denied, expected a member of its group. Run "
        f"'sudo adduser $USER {GROUP}' and log in again."
    )
