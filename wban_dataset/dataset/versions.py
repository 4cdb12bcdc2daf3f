"""Versions of the software that a dataset's bytes may depend on."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from wban_dataset.recording import container


def software_versions() -> dict[str, str]:
    """Give versions by name; "" for what is not installed."""
    versions = container.software_versions()
    versions["wban"] = versions.pop("sealed_with").removeprefix("wban ")
    for package in ("scipy", "scikit-learn"):
        try:
            versions[f"{package}_version"] = version(package)
        except PackageNotFoundError:
            versions[f"{package}_version"] = ""
    return versions
