"""The steps of putting wban on a machine, and of taking it off."""

from __future__ import annotations

import grp
import pwd
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from wban_collect.installation.boot_config import BootConfigBlock, RemovedBootConfigBlock
from wban_collect.installation.command import Command
from wban_collect.installation.environment import Environment, Source
from wban_collect.installation.placed import (
    PlacedFile,
    PlacedLink,
    Removed,
    RemovedFolder,
)
from wban_collect.installation.places import (
    ACCOUNT,
    BOOT_CONFIG,
    EXAMPLE,
    FILES,
    SERVICE,
    Places,
    packaged,
)
from wban_collect.installation.step import Step, UnfinishedMark


@dataclass(frozen=True)
class Plan:
    """Steps in their order, what a person should know, and the mark of unfinished work."""

    steps: list[Step]
    remarks: list[str]
    mark: UnfinishedMark


def installation(places: Places, source: Source | None, user: str = "") -> Plan:
    """Everything that makes a Pi record.

    Parameters
    ----------
    places
        The machine. Below another folder than ``/`` only files are put in place.
    source
        Where pip gets wban from; None where no environment is to be made.
    user
        Who may speak to the recorder besides root; empty for nobody.
    """
    mark = UnfinishedMark(places.mark)
    environment = Environment(places.environment, source) if source is not None else None
    boot_config = BootConfigBlock(places.boot_config, packaged(BOOT_CONFIG))
    configuration = PlacedFile(
        places.configuration / "config.toml", packaged(EXAMPLE), keep_existing=True
    )
    files = {name: PlacedFile(places.file(name), packaged(name)) for name in FILES}
    # What is likeliest to fail comes first, the link that enables the service last.
    steps: list[Step] = [environment] if environment else []
    steps += [boot_config, configuration, *files.values()]
    if places.live:
        folders = [files["wban.tmpfiles.conf"], configuration]
        steps += _accounts(places, files["wban.sysusers.conf"], folders, user, mark)
    steps += [PlacedLink(path, target) for path, target in places.links().items()]
    if places.live:
        # A kernel may have it built in, or be another than the installed modules are for.
        module = ("modprobe", "i2c-dev")
        steps.append(Command(module, [files["modules-load.conf"]], optional=True))
        steps += _notices(files, mark)
    remarks = boot_config.remarks() + (environment.remarks() if environment else [])
    return Plan(steps, remarks, mark)


def removal(places: Places, *, purge: bool = False) -> Plan:
    """Everything back as it was; recordings stay, and the account that they belong to."""
    mark = UnfinishedMark(places.mark)
    files = {name: Removed(places.file(name)) for name in FILES}
    steps: list[Step] = []
    if places.live and systemd_runs():
        steps.append(Command(("systemctl", "stop", SERVICE), [files[SERVICE]]))
    steps += [Removed(path, target) for path, target in places.links().items()]
    steps += [*files.values(), RemovedBootConfigBlock(places.boot_config)]
    if purge:
        steps += [RemovedFolder(places.configuration), RemovedFolder(places.keys)]
    if places.live:
        steps += _notices(files, mark)
    # The last, for this program may be running from it.
    steps.append(RemovedFolder(places.environment))
    return Plan(steps, [], mark)


def systemd_runs() -> bool:
    """Whether systemd is the running system's first process; in an image being built it is not."""
    return Path("/run/systemd/system").is_dir()


def _accounts(
    places: Places, accounts: Step, folders: Sequence[Step], user: str, mark: UnfinishedMark
) -> list[Step]:
    """Make accounts and folders, and let `user` into the recorder's group."""
    sysusers, tmpfiles = places.file("wban.sysusers.conf"), places.file("wban.tmpfiles.conf")
    steps: list[Step] = [
        Command(
            ("systemd-sysusers", str(sysusers)),
            [accounts],
            lambda: mark.present or not _known(lambda: pwd.getpwnam(ACCOUNT)),
        ),
        Command(
            ("systemd-tmpfiles", "--create", str(tmpfiles)),
            [accounts, *folders],
            lambda: mark.present or not places.recordings.is_dir(),
        ),
    ]
    if user:
        join = ("usermod", "--append", "--groups", ACCOUNT, user)
        later = f"{user}: log in again, to be in the group {ACCOUNT} and speak to the recorder."
        steps.append(Command(join, due=lambda: not _is_member(user), afterwards=later))
    return steps


def _notices(files: Mapping[str, Step], mark: UnfinishedMark) -> list[Step]:
    """Let the running system read the files that have changed."""

    def after(name: str, *words: str, optional: bool = False) -> Command:
        return Command(words, [files[name]], lambda: mark.present, optional=optional)

    steps: list[Step] = [
        after("99-wban.rules", "udevadm", "control", "--reload", optional=True),
        after("99-wban.rules", "udevadm", "trigger", optional=True),
    ]
    if systemd_runs():
        steps += [
            after(SERVICE, "systemctl", "daemon-reload"),
            after("wban-watchdog.conf", "systemctl", "daemon-reexec"),
            after("wban-journald.conf", "systemctl", "restart", "systemd-journald.service"),
        ]
    return steps


def _is_member(user: str) -> bool:
    return _known(lambda: grp.getgrnam(ACCOUNT)) and user in grp.getgrnam(ACCOUNT).gr_mem


def _known(look_up: Callable[[], object]) -> bool:
    try:
        look_up()
    except KeyError:
        return False
    return True
