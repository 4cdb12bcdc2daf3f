"""``manifest.json``: what a dataset was made from, so that it can be made again and checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wban_dataset.dataset import layout
from wban_dataset.dataset.versions import software_versions

FORMAT = "wban-dataset-manifest"


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON whose bytes depend on its content alone."""
    text = json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False)
    path.write_bytes(text.encode() + b"\n")


def write_manifest(
    path: Path,
    inputs: Sequence[Mapping[str, Any]],
    configuration: Mapping[str, Any],
    leaky: bool,
    outputs_sha256: Mapping[str, str],
) -> None:
    """Write the manifest.

    Parameters
    ----------
    inputs
        What each session's part was made from, in the order of the table ``sessions``.
    outputs_sha256
        By name, of all other files.
    """
    content = {
        "format": FORMAT,
        "format_version": layout.FORMAT_VERSION,
        "configuration": configuration,
        "leaky": leaky,
        "outputs_sha256": outputs_sha256,
        "sessions": list(inputs),
        "versions": software_versions(),
    }
    write_json(path, content)


def earlier_rows(folder: Path) -> dict[str, int]:
    """Give the numbers of a dataset's sessions by what names their rows.

    {} where there is no dataset, or its file is not as it was written.
    """
    file = folder / layout.DATASET_FILE
    try:
        manifest = json.loads((folder / layout.MANIFEST_FILE).read_bytes())
        rows = {str(row["rows_key"]): number for number, row in enumerate(manifest["sessions"])}
        stated = manifest["outputs_sha256"][layout.DATASET_FILE]
        intact = manifest["format"] == FORMAT and sha256_of(file) == stated
    except (OSError, ValueError, LookupError, TypeError):
        return {}
    return rows if intact else {}


def sha256_of(path: Path) -> str:
    """Digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
