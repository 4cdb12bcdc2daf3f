"""Sessions under other names, so that they do not tell who was recorded, when and by whom.

What is changed, and what a pseudonymised session still tells, is in docs/privacy.md.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from wban_dataset.exports.bids_names import label_of
from wban_dataset.exports.chosen import chosen_sessions, opened, sealed_only
from wban_dataset.exports.new_folder import new_folder
from wban_dataset.exports.session_copy import Changes, write_copy
from wban_dataset.exports.session_export import check_copy
from wban_dataset.labels.sidecar import write_labels
from wban_dataset.privacy.configuration import impersonal
from wban_dataset.privacy.errors import PrivacyError
from wban_dataset.privacy.key import Key, key_to_extend, write_key
from wban_dataset.recording import layout
from wban_dataset.recording.sealed import SealedStore
from wban_dataset.recording.session import Session
from wban_dataset.recording.sidecars import read_clock, read_labels
from wban_dataset.recording.store import Table, Values
from wban_dataset.subjects import REQUIRED_COLUMNS, SUBJECTS_NAME, subjects_beside

Dates = Literal["shift", "remove", "keep"]

DAY_NS = 86_400 * 1_000_000_000
PSEUDONYMISED = "pseudonymised"

KEPT_ROOT_TEXTS = frozenset(
    {
        *("Conventions", "NX_class", "activity", "default", "degraded", "end_reason", "format"),
        *("source", "start_utc", "wban_version", "subject", "session_id", "boot_id", "continues"),
    }
)
"""Attributes of a session whose texts are kept or given another name; other texts become ""."""

CHIP_SERIAL_WORDS = slice(7, 10)
"""Words of an MLX90640's EEPROM that are its serial number (data sheet, table of the EEPROM)."""


@dataclass(frozen=True, slots=True)
class Pseudonymised:
    """What was made: numbers of sessions and of people."""

    n_sessions: int
    n_subjects: int


def pseudonymise(
    paths: Sequence[Path],
    out: Path,
    key_path: Path,
    *,
    dates: Dates = "shift",
    progress: Callable[[int, int], None] | None = None,
) -> Pseudonymised:
    """Write sessions under other names into a new folder.

    Parameters
    ----------
    key_path
        Of the key; made where there is none, extended where people are new.
    dates
        ``shift``: all of a person's dates move back by one number of days; ``remove``: sessions
        have no date, as if the clock had never been set; ``keep``.
    progress
        Called with the number of sessions done, and of all.

    Raises
    ------
    DatasetError, RecordingError
        If something cannot be read or written; nothing is left at `out` then.
    """
    folders = chosen_sessions(paths)
    _check_apart(key_path, out)
    with key_to_extend(key_path) as key:
        facts = [_facts(folder) for folder in folders]
        key.add_subjects(subject for subject, _ in facts)
        with new_folder(out) as aside:
            for number, (folder, (subject, _)) in enumerate(zip(folders, facts, strict=True), 1):
                _write_session(folder, aside, subject, key, dates)
                if progress is not None:
                    progress(number, len(folders))
            _write_subjects(folders, aside, key)
            write_key(key_path, key)  # before anything that needs it has its name
    return Pseudonymised(len(folders), len({subject for subject, _ in facts}))


def _check_apart(key_path: Path, out: Path) -> None:
    if out.resolve() in key_path.resolve().parents:
        raise PrivacyError(
            f"key {key_path}: it would lie among what it is to protect, expected a place outside "
            f"{out}. Name another one, best on another disk."
        )


def _facts(folder: Path) -> tuple[str, str]:
    """Give the subject and the id of a sealed session."""
    sealed_only(folder)
    with opened(folder) as session:
        return str(session.subject), str(session.session_id)


def _write_session(folder: Path, out: Path, subject: str, key: Key, dates: Dates) -> None:
    with opened(folder) as session:
        shift_ns = key.subjects[subject].shift_days * DAY_NS if dates == "shift" else 0
        new_id = key.session(str(session.session_id))
        name = f"{key.subjects[subject].name}_{label_of(str(session.activity))}_{new_id}"
        target = out / name
        target.mkdir()
        store = session.store
        assert isinstance(store, SealedStore)  # noqa: S101 - `_facts` has seen to it
        changes = _changes(session, key, dates, shift_ns)
        write_copy(store, target / layout.FILE_NAME, changes)
    _write_sidecars(folder, target, key, dates, shift_ns)
    check_copy(target, folder)


def _changes(session: Session, key: Key, dates: Dates, shift_ns: int) -> Changes:
    def annotators(values: Values) -> Values:
        return [key.annotator(str(name)) for name in values]

    def no_texts(values: Values) -> Values:
        return [""] * len(values)

    def clock(table: Table) -> Table:
        if dates == "remove":
            return {name: values[:0] for name, values in table.items()}
        return {**table, "realtime_ns": np.asarray(table["realtime_ns"]) - shift_ns}

    def no_serial_number(values: Values) -> Values:
        words = np.array(values)
        words[CHIP_SERIAL_WORDS] = 0
        return words

    thermal = [name for name in session.streams if session.stream(name).kind == "thermal"]
    return Changes(
        root=lambda found: _root(found, key),
        stream=_without_serial,
        configuration=impersonal(session.configuration),
        columns={
            "labels/annotator": annotators,
            "marks/text": no_texts,
            **{f"{name}/{layout.EEPROM}": no_serial_number for name in thermal},
        },
        tables={"clock": clock},
        provenance={PSEUDONYMISED: True, "dates": {"shift": "shifted"}.get(dates, dates)},
        forget_journal=True,
    )


def _root(found: Mapping[str, Any], key: Key) -> dict[str, Any]:
    """Attributes of the session: numbers as they are, texts where they are known to be safe."""
    kept = {
        name: "" if isinstance(value, str) and name not in KEPT_ROOT_TEXTS else value
        for name, value in found.items()
    }
    return kept | {
        "subject": key.subjects[str(found["subject"])].name,
        "session_id": key.session(str(found["session_id"])),
        "continues": key.session(str(found["continues"])),
        "boot_id": key.boot(str(found["boot_id"])),
    }


def _without_serial(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: "" if "serial" in name.lower() else value for name, value in found.items()}


def _write_sidecars(folder: Path, target: Path, key: Key, dates: Dates, shift_ns: int) -> None:
    """Write ``labels.csv`` and ``clock.csv`` anew, with no columns but those that are known."""
    if (folder / layout.LABELS_SIDECAR).exists():
        labels = read_labels(folder / layout.LABELS_SIDECAR)
        renamed = [replace(label, annotator=key.annotator(label.annotator)) for label in labels]
        write_labels(target / layout.LABELS_SIDECAR, renamed)
    if (folder / layout.CLOCK_SIDECAR).exists() and dates != "remove":
        anchors = read_clock(folder / layout.CLOCK_SIDECAR)
        rows = [(a.monotonic_ns, a.realtime_ns - shift_ns, "") for a in anchors]
        columns = ("monotonic_ns", "realtime_ns", "source")
        _write_table(target / layout.CLOCK_SIDECAR, columns, rows)


def _write_subjects(folders: Sequence[Path], out: Path, key: Key) -> None:
    """Write ``subjects.csv`` with licence and consent; other columns may tell who somebody is."""
    known = subjects_beside(folders)
    rows = sorted(
        (key.subjects[name].name, row.licence, row.consent)
        for name, row in known.items()
        if name in key.subjects
    )
    if rows:
        _write_table(out / SUBJECTS_NAME, REQUIRED_COLUMNS, rows)


def _write_table(path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
