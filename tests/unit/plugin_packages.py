"""Packages with entry points as pip would leave them, in a folder to be put on sys.path."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "example_plugin"


def register(folder: Path, package: str, groups: Mapping[str, Mapping[str, str]]) -> None:
    """Write the .dist-info of a package that registers `groups` (name to "module:object")."""
    info = folder / f"{package.replace('-', '_')}-1.0.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0.0\n")
    lines: list[str] = []
    for group, points in groups.items():
        lines += [f"[{group}]", *(f"{name} = {place}" for name, place in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def register_example(folder: Path) -> None:
    """Register the package of docs/example_plugin as its own pyproject.toml says."""
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    register(folder, project["name"], project["entry-points"])
