# pyright: basic, reportIndexIssue=false, reportArgumentType=false
# pyright: reportAttributeAccessIssue=false
# h5py's types are incomplete: whatever stands in a file is a Group | Dataset | Datatype.
"""``transitions.h5``: fixed settings, so that the same transitions give the same bytes.

::

    /             attrs format="wban-transitions" format_version=1
    /classes      name (c)
    /transitions  one row a transition: session_id subject and the columns of `TransitionTable`
    /profiles     time_s (points); signal units (signals); quantile_level (q)
                  from_label to_label n_transitions (p); n mean sd (p, points, signals)
                  quantiles (p, q, points, signals)
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from wban_dataset.errors import DatasetError
from wban_dataset.recording.journal import sync_directory
from wban_dataset.session_info import SessionInfo
from wban_dataset.transitions.profiles import QUANTILES, SIGNALS, TIME_S, UNITS, Profile
from wban_dataset.transitions.transition_table import COLUMN_TYPES, TransitionTable

FORMAT = "wban-transitions"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class TransitionsFile:
    """What a ``transitions.h5`` holds.

    Attributes
    ----------
    session_id, subject
        Of each row of the table, (t,).
    """

    classes: tuple[str, ...]
    table: TransitionTable
    profiles: list[Profile]
    session_id: tuple[str, ...]
    subject: tuple[str, ...]


def write_transitions(
    path: Path,
    table: TransitionTable,
    profiles: Sequence[Profile],
    classes: Sequence[str],
    sessions: Sequence[SessionInfo],
) -> None:
    """Write the file whole or not at all.

    Parameters
    ----------
    sessions
        By number; who and which session a transition is of.

    Raises
    ------
    OSError
        If the disk refuses; what stood there before still does.
    """
    aside = path.with_name(f".{path.name}.part")
    try:
        # The earliest format and no times: the bytes depend on the content alone.
        with h5py.File(aside, "w", libver=("earliest", "v110")) as file:
            file.attrs["format"] = FORMAT
            file.attrs["format_version"] = FORMAT_VERSION
            _write_group(file, "classes", {"name": list(classes)})
            own = [sessions[number] for number in table.session.tolist()]
            names = {
                "session_id": [session.session_id for session in own],
                "subject": [session.subject for session in own],
            }
            columns = {name: getattr(table, name) for name in COLUMN_TYPES}
            _write_group(file, "transitions", names | columns)
            _write_group(file, "profiles", _profile_columns(profiles))
        with aside.open("rb") as written:
            os.fsync(written.fileno())
        aside.rename(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def read_transitions(path: Path) -> TransitionsFile:
    """Read a ``transitions.h5``.

    Raises
    ------
    DatasetError
        If it cannot be read, or is something else.
    """
    try:
        with h5py.File(path, "r") as file:
            _check_format(path, file)
            transitions, profiles = file["transitions"], file["profiles"]
            return TransitionsFile(
                tuple(file["classes/name"].asstr()[:].tolist()),
                TransitionTable(**{name: transitions[name][:] for name in COLUMN_TYPES}),
                [_profile(profiles, row) for row in range(len(profiles["from_label"]))],
                tuple(transitions["session_id"].asstr()[:].tolist()),
                tuple(transitions["subject"].asstr()[:].tolist()),
            )
    except (OSError, KeyError, TypeError, AttributeError) as error:
        raise DatasetError(
            f"{path}: it cannot be read ({error}), expected a transitions.h5 as build writes it; "
            "build the dataset again."
        ) from error


def _check_format(path: Path, file: h5py.File) -> None:
    found = file.attrs.get("format"), file.attrs.get("format_version")
    if found != (FORMAT, FORMAT_VERSION):
        raise DatasetError(
            f"{path}: found format {found[0]!r} version {found[1]}, expected {FORMAT!r} version "
            f"{FORMAT_VERSION}; read it with the wban that wrote it, or build the dataset again."
        )


def _write_group(file: h5py.File, name: str, columns: Mapping[str, Any]) -> None:
    group = file.create_group(name)
    for column, values in columns.items():
        if isinstance(values, list):
            dtype = h5py.string_dtype()
            dataset = group.create_dataset(column, (len(values),), dtype=dtype, track_times=False)
            if values:
                dataset[...] = np.array(values, dtype=object)
        else:
            group.create_dataset(column, data=values, track_times=False)


def _profile_columns(profiles: Sequence[Profile]) -> dict[str, Any]:
    points = (len(TIME_S), len(SIGNALS))
    return {
        "time_s": TIME_S,
        "signal": list(SIGNALS),
        "units": list(UNITS),
        "quantile_level": np.array(QUANTILES),
        "from_label": np.array([p.from_label for p in profiles], dtype=np.int16),
        "to_label": np.array([p.to_label for p in profiles], dtype=np.int16),
        "n_transitions": np.array([p.n_transitions for p in profiles], dtype=np.int32),
        "n": _stacked([p.n for p in profiles], points, np.int32),
        "mean": _stacked([p.mean for p in profiles], points, np.float32),
        "sd": _stacked([p.sd for p in profiles], points, np.float32),
        "quantiles": _stacked(
            [p.quantiles for p in profiles], (len(QUANTILES), *points), np.float32
        ),
    }


def _stacked(parts: Sequence[Any], shape: tuple[int, ...], dtype: type[np.generic]) -> Any:
    return np.array(parts, dtype=dtype).reshape(len(parts), *shape)


def _profile(profiles: h5py.Group, row: int) -> Profile:
    return Profile(
        int(profiles["from_label"][row]),
        int(profiles["to_label"][row]),
        int(profiles["n_transitions"][row]),
        *(profiles[name][row] for name in ("n", "mean", "sd", "quantiles")),
    )
