"""``croissant.json``: the card for machines, Croissant 1.0 (mlcommons.org/croissant/1.0).

Croissant has no way to read HDF5, so that it describes the files, and the folds as a table that
stands in the description itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wban_dataset.dataset import layout
from wban_dataset.dataset.card import CardFacts
from wban_dataset.dataset.manifest import write_json
from wban_dataset.splits.fold import Role

_CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}

_FORMATS = {
    layout.DATASET_FILE: "application/x-hdf5",
    layout.TRANSITIONS_FILE: "application/x-hdf5",
    layout.SPLITS_FILE: "application/json",
    layout.CARD_FILE: "text/markdown",
}

_EXPLAINED = {
    layout.DATASET_FILE: "Samples, pictures, windows and folds.",
    layout.TRANSITIONS_FILE: "Changes from one activity to another, and their profiles.",
    layout.SPLITS_FILE: "Who is trained on, validated on and tested on.",
    layout.CARD_FILE: "The dataset card.",
}


def write_croissant(folder: Path, facts: CardFacts, sha256: Mapping[str, str]) -> None:
    """Describe the files that are in a folder already, by the digests of their bytes.

    Raises
    ------
    OSError
        If the disk refuses.
    """
    warnings = "; ".join(facts.warnings)
    description = facts.summary
    if facts.leaks:
        description += " LEAKY: what is trained on shares what is tested on."
    document: dict[str, Any] = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": facts.name,
        "description": description + (f" Warnings: {warnings}." if warnings else ""),
        "citeAs": facts.citation,
        "license": list(facts.licences) or ["not stated"],
        "isLiveDataset": False,
        "keywords": ["human activity recognition", "wearable sensors", *facts.content.classes],
        "version": "1.0.0",
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": name,
                "name": name,
                "description": _EXPLAINED[name],
                "contentUrl": name,
                "contentSize": f"{(folder / name).stat().st_size} B",
                "encodingFormat": encoding,
                "sha256": sha256[name],
            }
            for name, encoding in _FORMATS.items()
            if name in sha256
        ],
        "recordSet": [_classes(facts), _folds(facts)],
    }
    write_json(folder / layout.CROISSANT_FILE, document)


def _classes(facts: CardFacts) -> dict[str, Any]:
    windows = facts.content.windows
    counts = np.bincount(windows.label[windows.is_labelled], minlength=len(facts.content.classes))
    rows = [
        {"classes/code": code, "classes/name": name, "classes/n_windows": int(counts[code])}
        for code, name in enumerate(facts.content.classes)
    ]
    fields = {"code": "sc:Integer", "name": "sc:Text", "n_windows": "sc:Integer"}
    return _record_set("classes", "Names of the codes in windows/label.", fields, rows)


def _folds(facts: CardFacts) -> dict[str, Any]:
    rows: list[dict[str, Any]] = []
    for fold in facts.content.folds:
        counts = np.bincount(fold.role, minlength=len(Role)).tolist()
        by_role = {f"folds/n_{role.name.lower()}": counts[role] for role in Role}
        rows.append({"folds/name": fold.name, **by_role})
    fields = {"name": "sc:Text", **{f"n_{role.name.lower()}": "sc:Integer" for role in Role}}
    return _record_set("folds", "Windows of each role in each fold.", fields, rows)


def _record_set(
    name: str, description: str, fields: dict[str, str], rows: list[dict[str, Any]]
) -> dict[str, Any]:
    return {
        "@type": "cr:RecordSet",
        "@id": name,
        "name": name,
        "description": description,
        "field": [
            {"@type": "cr:Field", "@id": f"{name}/{field}", "name": field, "dataType": kind}
            for field, kind in fields.items()
        ],
        "data": rows,
    }
