"""ELAN's annotation files (.eaf, EAF 3.0): one tier per annotator, whole milliseconds.

Format: https://www.mpi.nl/tools/elan/EAF_Annotation_Format_3.0_and_ELAN.pdf
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from xml.parsers import expat

from wban_dataset.labels.document import UNSTATED, Document, ExchangeError, ExchangeFormat
from wban_dataset.labels.session_labels import UNNAMED, Annotations
from wban_dataset.labels.timeline import described
from wban_dataset.recording.streams import Label

MS_NS = 1_000_000
SESSION_PROPERTY = "wban-session-id"
MOST_DIGITS = 12
"""Of milliseconds: 31 years."""
NO_DATE = "1970-01-01T00:00:00+00:00"
"""ELAN requires a date; the day of making would differ each time."""

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_TYPE = "activity"


def held_ns(time_ns: int, origin_ns: int) -> int:
    """Give the instant as ELAN holds it: whole milliseconds, none before the origin."""
    return origin_ns + _milliseconds(time_ns, origin_ns) * MS_NS


def write_elan(document: Document) -> bytes:
    """Write a document as .eaf.

    Raises
    ------
    ExchangeError
        If a label is shorter, or a name other, than ELAN can hold.
    """
    root = ET.Element("ANNOTATION_DOCUMENT")
    root.attrib = {
        "AUTHOR": "",
        "DATE": document.start_utc or NO_DATE,
        "FORMAT": "3.0",
        "VERSION": "3.0",
        "xmlns:xsi": _INSTANCE,
        "xsi:noNamespaceSchemaLocation": _SCHEMA,
    }
    header = ET.SubElement(root, "HEADER", MEDIA_FILE="", TIME_UNITS="milliseconds")
    ET.SubElement(header, "PROPERTY", NAME=SESSION_PROPERTY).text = document.session_id
    times = ET.SubElement(root, "TIME_ORDER")
    slots = _slots(document)
    for milliseconds, slot in slots.items():
        ET.SubElement(times, "TIME_SLOT", TIME_SLOT_ID=slot, TIME_VALUE=str(milliseconds))
    _write_tiers(root, document, slots)
    ET.SubElement(
        root,
        "LINGUISTIC_TYPE",
        GRAPHIC_REFERENCES="false",
        LINGUISTIC_TYPE_ID=_TYPE,
        TIME_ALIGNABLE="true",
    )
    ET.indent(root, space="    ")
    return ET.tostring(root, encoding="UTF-8", xml_declaration=True) + b"\n"


def read_elan(path: Path, content: bytes, session_id: str, origin_ns: int) -> Document:
    """Read an .eaf.

    Raises
    ------
    ExchangeError
        If it is no .eaf, or an annotation has no times of its own.
    """
    root = _parsed(path, content)
    if root.tag != "ANNOTATION_DOCUMENT":
        raise ExchangeError(
            f"{path}: it is XML that begins with {root.tag}, expected ANNOTATION_DOCUMENT as ELAN "
            "writes it. Check the path."
        )
    times = {
        slot.get("TIME_SLOT_ID", ""): slot.get("TIME_VALUE") for slot in root.iter("TIME_SLOT")
    }
    annotations: Annotations = {}
    for tier in root.iter("TIER"):
        annotator = _annotator(tier)
        labels = list(_labels_of(path, tier, annotator, times, origin_ns))
        if not (annotator in annotations or labels or _holds_activities(tier)):
            continue
        annotations.setdefault(annotator, []).extend(labels)
    n_references = sum(1 for _ in root.iter("REF_ANNOTATION"))
    notes = (f"{n_references} annotations without times of their own",) if n_references else ()
    stated = [p.text or "" for p in root.iter("PROPERTY") if p.get("NAME") == SESSION_PROPERTY]
    return Document(annotations, origin_ns, stated[0] if stated else "", notes=notes)


def _milliseconds(time_ns: int, origin_ns: int) -> int:
    return max(0, (time_ns - origin_ns + MS_NS // 2) // MS_NS)


def _slots(document: Document) -> dict[int, str]:
    """Time slots by their milliseconds, in order."""
    edges = {
        _milliseconds(edge, document.origin_ns)
        for labels in document.annotations.values()
        for label in labels
        for edge in (label.start_ns, label.stop_ns)
    }
    return {milliseconds: f"ts{i}" for i, milliseconds in enumerate(sorted(edges), start=1)}


def _write_tiers(root: ET.Element, document: Document, slots: dict[int, str]) -> None:
    if "" in document.annotations and UNNAMED in document.annotations:
        raise ExchangeError(
            f"an annotator is called {UNNAMED!r}, which is how ELAN's tier of labels without an "
            "annotator is called, expected another name. Rename the annotator in labels.csv."
        )
    number = 0
    _check_characters(document)
    for annotator, labels in sorted(document.annotations.items()):
        tier = ET.SubElement(root, "TIER", LINGUISTIC_TYPE_REF=_TYPE, TIER_ID=annotator or UNNAMED)
        if annotator:
            tier.set("ANNOTATOR", annotator)
        for label in labels:
            number += 1
            start = _milliseconds(label.start_ns, document.origin_ns)
            stop = _milliseconds(label.stop_ns, document.origin_ns)
            if stop <= start:
                raise ExchangeError(
                    f"the label {described(label)} has less than a millisecond after the first "
                    "sample, expected at least one, since ELAN holds whole milliseconds. "
                    "Shorten or remove it in labels.csv, or export to events."
                )
            alignable = ET.SubElement(
                ET.SubElement(tier, "ANNOTATION"),
                "ALIGNABLE_ANNOTATION",
                ANNOTATION_ID=f"a{number}",
                TIME_SLOT_REF1=slots[start],
                TIME_SLOT_REF2=slots[stop],
            )
            ET.SubElement(alignable, "ANNOTATION_VALUE").text = label.label


def _check_characters(document: Document) -> None:
    """XML holds no control characters."""
    names = {label.label for own in document.annotations.values() for label in own}
    for name in sorted(names | set(document.annotations)):
        if any(ord(character) < ord(" ") for character in name):
            raise ExchangeError(
                f"the name {name!r} has a control character, which an .eaf cannot hold, expected "
                "none. Rename it in labels.csv."
            )


def _parsed(path: Path, content: bytes) -> ET.Element:
    """Parse XML that declares no document type, hence no entities."""
    builder = ET.TreeBuilder()
    parser = expat.ParserCreate()

    def refuse(name: str, *_: object) -> None:
        raise ExchangeError(
            f"{path}: it declares a document type ({name}), expected none as ELAN writes it. "
            "Save it again in ELAN."
        )

    parser.StartDoctypeDeclHandler = refuse
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.data
    try:
        parser.Parse(content, True)
        return builder.close()
    except (expat.ExpatError, ValueError, AssertionError) as error:
        raise ExchangeError(
            f"{path}: it cannot be read as XML ({error}), expected a file as ELAN writes it. "
            "Save it again in ELAN."
        ) from error


def _annotator(tier: ET.Element) -> str:
    name = tier.get("ANNOTATOR") or tier.get("TIER_ID", "")
    return "" if name == UNNAMED else name


def _holds_activities(tier: ET.Element) -> bool:
    """Whether the tier was written here, so that its emptiness means that all was removed."""
    return tier.get("LINGUISTIC_TYPE_REF") == _TYPE


def _labels_of(
    path: Path,
    tier: ET.Element,
    annotator: str,
    times: dict[str, str | None],
    origin_ns: int,
) -> Iterator[Label]:
    for annotation in tier.iter("ALIGNABLE_ANNOTATION"):
        number = annotation.get("ANNOTATION_ID", "")
        edges = [times.get(annotation.get(f"TIME_SLOT_REF{i}", "")) for i in (1, 2)]
        start, stop = (_time_value(edge) for edge in edges)
        name = (annotation.findtext("ANNOTATION_VALUE") or "").strip()
        if start < 0 or stop <= start:
            raise ExchangeError(
                f"{path}, annotation {number} ({name!r}): it goes from {edges[0]} to {edges[1]} "
                "ms, expected two times in order. Align it in ELAN, or remove it."
            )
        if not name:
            raise ExchangeError(
                f"{path}, annotation {number} (from {start} to {stop} ms): it is empty, expected "
                "the name of an activity. Name it in ELAN, or remove it."
            )
        times_ns = (origin_ns + start * MS_NS, origin_ns + stop * MS_NS)
        yield Label(*times_ns, name, annotator, source=UNSTATED)


def _time_value(text: str | None) -> int:
    """Milliseconds of a time slot; -1 for one that is not aligned or that no session has."""
    return int(text) if text and text.isdecimal() and len(text) <= MOST_DIGITS else -1


ELAN = ExchangeFormat(
    name="elan",
    suffix=".eaf",
    write=write_elan,
    read=read_elan,
    held=held_ns,
    cannot_hold=(
        "times are whole milliseconds, and none is before the first sample",
        "source, confidence and uncertainty of labels are not in the file",
    ),
)
