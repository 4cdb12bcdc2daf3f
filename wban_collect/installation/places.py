"""Which file of wban goes where on a machine."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

SERVICE = "wban-collect.service"
ACCOUNT = "wban"
COMMANDS = ("wban-collect", "wban-dataset")

FILES = {
    "wban.sysusers.conf": "etc/sysusers.d/wban.conf",
    "wban.tmpfiles.conf": "etc/tmpfiles.d/wban.conf",
    "99-wban.rules": "etc/udev/rules.d/99-wban.rules",
    "modules-load.conf": "etc/modules-load.d/wban.conf",
    "limits.conf": "etc/security/limits.d/wban.conf",
    "wban-watchdog.conf": "etc/systemd/system.conf.d/wban-watchdog.conf",
    "wban-journald.conf": "etc/systemd/journald.conf.d/wban.conf",
    SERVICE: f"etc/systemd/system/{SERVICE}",
}
"""Files that are ours alone: name in the package, path on the machine."""

BOOT_CONFIG = "config.txt"
EXAMPLE = "example.toml"


@dataclass(frozen=True)
class Places:
    """Paths on the machine, or below the folder that stands for one."""

    root: Path = Path("/")

    @property
    def live(self) -> bool:
        """Whether this is the machine that runs, which is to be told of new files."""
        return self.root == Path("/")

    def file(self, name: str) -> Path:
        """Where a file of the package goes."""
        return self.root / FILES[name]

    @property
    def boot_config(self) -> Path:
        """Configuration of the Pi's firmware, since bookworm."""
        return self.root / "boot/firmware/config.txt"

    @property
    def environment(self) -> Path:
        """Python environment of the service; the unit names it."""
        return self.root / "opt/wban"

    @property
    def configuration(self) -> Path:
        """Folder of the recorder's configuration."""
        return self.root / "etc/wban"

    @property
    def keys(self) -> Path:
        """Folder of the keys for control over TCP."""
        return self.root / "var/lib/wban/keys"

    @property
    def recordings(self) -> Path:
        """Where the service records; nothing here ever removes it."""
        return self.root / "var/lib/wban/recordings"

    @property
    def mark(self) -> Path:
        """Is there while an installation is at work."""
        return self.root / "var/lib/wban/.installing"

    def links(self) -> dict[Path, str]:
        """Symbolic links: the service is enabled, the commands are found by their names."""
        wants = self.root / "etc/systemd/system/multi-user.target.wants" / SERVICE
        commands = {
            self.root / "usr/local/bin" / name: f"/opt/wban/bin/{name}" for name in COMMANDS
        }
        return {wants: f"/etc/systemd/system/{SERVICE}", **commands}


def packaged(name: str) -> str:
    """Text of a file that lies in the package."""
    folder = files("wban_collect")
    place = folder / name if name == EXAMPLE else folder / "installation" / "files" / name
    return place.read_text(encoding="utf-8")
