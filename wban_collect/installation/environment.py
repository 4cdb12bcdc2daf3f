"""The Python environment of the service: it sees the system's packages, and holds wban."""

from __future__ import annotations

import filecmp
import json
import sys
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wban_collect.installation.command import run
from wban_collect.installation.step import Change, InstallationError

DISTRIBUTION = "wban"
PACKAGES = ("wban_collect", "wban_dataset")
SYSTEM_PYTHON = "/usr/bin/python3"
KEPT = "numpy"
"""Package of the system that the camera stack was built for; another must not hide it."""

_VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"
_KEPT_VERSION = (
    "import importlib.metadata as m\n"
    "try: print(m.version({name!r}))\n"
    "except m.PackageNotFoundError: pass"
)
_HAS_CAMERA = "from importlib.util import find_spec; print(bool(find_spec('picamera2')))"


@dataclass(frozen=True)
class Source:
    """Where pip gets wban from: a requirement, and the options that lead to it."""

    requirement: str
    options: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.requirement


class Environment:
    """An environment with ``--system-site-packages``, with the wban that runs this program.

    Debian's Python is externally managed: pip does not install into it. The system's numpy and
    picamera2 are seen from inside and kept.
    """

    def __init__(self, folder: Path, source: Source, python: str = SYSTEM_PYTHON) -> None:
        self._folder = folder
        self._source = source
        self._system_python = python

    def change(self) -> Change | None:
        """Say what would be made or installed."""
        ours = version(DISTRIBUTION)
        if not self._usable():
            return Change(
                f"make the environment {self._folder} with {self._system_python}, and install wban "
                f"{ours} from {self._source} into it"
            )
        if not self._current():
            return Change(f"install wban {ours} from {self._source} into {self._folder}")
        return None

    def apply(self) -> None:
        """Make it where it is missing or broken, and install."""
        if not self._usable():
            self._make()
        with tempfile.TemporaryDirectory() as scratch:
            constraints = Path(scratch) / "constraints.txt"
            constraints.write_text(self._kept())
            pip = (
                self._python,
                "-m",
                "pip",
                "install",
                "--disable-pip-version-check",
                "--no-input",
            )
            pip = (*pip, "--constraint", str(constraints), *self._source.options)
            if self._has_this_version():
                # pip would say that this version is there already.
                run((*pip, "--force-reinstall", "--no-deps", self._source.requirement))
            run((*pip, self._source.requirement))
        if not self._current():
            raise InstallationError(
                f"{self._source} is not the wban {version(DISTRIBUTION)} that runs this program, "
                "expected the same files. Run the 'wban-collect install' of that wban instead."
            )

    def remarks(self) -> list[str]:
        """Say what is missing of the system's packages."""
        try:
            if run((self._system_python, "-c", _HAS_CAMERA)).strip() == "True":
                return []
        except InstallationError:
            return []
        return [
            "the camera's software is not installed, needed for an infrared camera alone: "
            "'sudo apt install python3-picamera2'."
        ]

    @property
    def _python(self) -> str:
        return str(self._folder / "bin" / "python")

    def _usable(self) -> bool:
        settings = self._folder / "pyvenv.cfg"
        if not settings.is_file() or self._site() is None:
            return False
        lines = {line.replace(" ", "") for line in settings.read_text().lower().splitlines()}
        return "include-system-site-packages=true" in lines

    def _site(self) -> Path | None:
        """Folder of the environment's packages; None where its Python is gone or another's."""
        try:
            running = run((self._python, "-I", "-c", _VERSION)).strip()
        except (InstallationError, OSError):
            return None
        site = self._folder / "lib" / f"python{running}" / "site-packages"
        return site if site.is_dir() else None

    def _make(self) -> None:
        if Path(sys.prefix).resolve() == self._folder.resolve():
            raise InstallationError(
                f"{self._folder}, which runs this program, does not see the system's packages, "
                "expected an environment made with --system-site-packages. Make it anew: 'sudo "
                f"{self._system_python} -m venv --clear --system-site-packages {self._folder}', "
                "install wban into it, and run this command again."
            )
        options = ("--clear", "--system-site-packages")
        try:
            run((self._system_python, "-m", "venv", *options, str(self._folder)))
        except InstallationError as error:
            raise InstallationError(
                f"{error} Python's environments are a package of their own: "
                "'sudo apt install python3-venv'."
            ) from error

    def _kept(self) -> str:
        """Constraints that keep the system's numpy."""
        found = run((self._system_python, "-c", _KEPT_VERSION.format(name=KEPT))).strip()
        return f"{KEPT}=={found}\n" if found else ""

    def _has_this_version(self) -> bool:
        site = self._site()
        return site is not None and (site / f"wban-{version(DISTRIBUTION)}.dist-info").is_dir()

    def _current(self) -> bool:
        """Whether every file of the wban in it is the same as in the wban that runs this."""
        site = self._site()
        if site is None or not (self._folder / "bin" / "wban-collect").is_file():
            return False
        return self._has_this_version() and all(
            _same(running_package(name), site / name) for name in PACKAGES
        )


def running_package(name: str) -> Path:
    """Folder of a package of the wban that runs this program."""
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise InstallationError(
            f"the package {name} is not installed, expected it beside this one."
        )
    return Path(spec.origin).parent


def wheel_source(folder: Path) -> Source:
    """Offline, from a folder of wheels that holds this very version and all that it needs."""
    ours = version(DISTRIBUTION)
    wheels = sorted(folder.glob(f"wban-{ours}-*.whl"))
    if not wheels:
        others = sorted(wheel.name for wheel in folder.glob("wban-*.whl"))
        raise InstallationError(
            f"{folder}: {f'holds {others[0]}' if others else 'holds no wheel of wban'}, expected "
            f"wban-{ours}-py3-none-any.whl, for an installer installs its own version. Fill the "
            "folder with 'pip wheel', or install the other version and run its 'wban-collect "
            "install'."
        )
    return Source(str(wheels[-1]), ("--no-index", "--find-links", str(folder)))


def running_source() -> Source:
    """Where the running wban was installed from: a folder, a file, a repository, or the index."""
    try:
        text = distribution(DISTRIBUTION).read_text("direct_url.json")
    except PackageNotFoundError:
        text = None
    if text is None:
        return Source(f"{DISTRIBUTION}=={version(DISTRIBUTION)}")
    origin: dict[str, Any] = json.loads(text)
    url = str(origin["url"])
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        return Source(f"{DISTRIBUTION} @ {vcs['vcs']}+{url}@{vcs['commit_id']}")
    return Source(f"{DISTRIBUTION} @ {url}")


def _same(one: Path, other: Path) -> bool:
    """Whether two packages hold the same files."""
    if one.resolve() == other.resolve():
        return True
    names = _files(one)
    if names != _files(other):
        return False
    return all(filecmp.cmp(one / name, other / name, shallow=False) for name in names)


def _files(package: Path) -> set[Path]:
    found = (path for path in package.rglob("*") if "__pycache__" not in path.parts)
    return {path.relative_to(package) for path in found if path.is_file()}
