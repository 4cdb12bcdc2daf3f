"""All files of a dataset, written into a folder that nobody else sees yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wban_dataset.dataset import layout
from wban_dataset.dataset.card import CardFacts, write_card
from wban_dataset.dataset.croissant import write_croissant
from wban_dataset.dataset.dataset_file import write_dataset_file
from wban_dataset.dataset.manifest import sha256_of, write_json, write_manifest
from wban_dataset.dataset.versions import software_versions


def write_files(
    folder: Path,
    facts: CardFacts,
    *,
    splits: Mapping[str, Any],
    configuration: Mapping[str, Any],
    inputs: Sequence[Mapping[str, Any]],
) -> None:
    """Write the dataset, its card, splits and manifest.

    Parameters
    ----------
    facts
        The content of ``dataset.h5``, whose format and version are added here, and the card's.
    splits
        The content of ``splits.json``.
    inputs
        What each session's part was made from, for the manifest.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    stated = {
        "format": layout.FORMAT,
        "format_version": layout.FORMAT_VERSION,
        "wban_version": software_versions()["wban"],
    }
    content = replace(facts.content, attributes={**stated, **facts.content.attributes})
    write_dataset_file(folder / layout.DATASET_FILE, content)
    write_json(folder / layout.SPLITS_FILE, splits)
    write_card(folder / layout.CARD_FILE, facts)
    present = [name for name in layout.FILES if (folder / name).is_file()]
    sha256 = {name: sha256_of(folder / name) for name in present}
    write_croissant(folder, facts, sha256)
    sha256[layout.CROISSANT_FILE] = sha256_of(folder / layout.CROISSANT_FILE)
    leaky = bool(content.attributes["leaky"])
    write_manifest(folder / layout.MANIFEST_FILE, inputs, configuration, leaky, sha256)
