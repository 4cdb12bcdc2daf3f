"""Windows that somebody else has cut: a folder like UCI-HAR's.

UCI-HAR (Anguita, Ghio, Oneto, Parra, Reyes-Ortiz, ESANN 2013) keeps ``train`` and ``test``, in each
``y_train.txt`` (a code a line), ``subject_train.txt`` and ``Inertial Signals/NAME_x_train.txt``
(a window a line); beside them ``activity_labels.txt``. Where a window lay in its recording is not
told, so that these can be trained and audited, and never cut again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wban_dataset.errors import DatasetError
from wban_dataset.recording.activities import slug
from wban_dataset.recording.streams import StreamKind
from wban_dataset.sources.archives import SourceTree, opened_tree
from wban_dataset.sources.text_table import numbers
from wban_dataset.sources.units import Unit, unit_of

SIGNALS_FOLDER = "Inertial Signals"
AXES = ("x", "y", "z")

# The order of the parts is the order of the windows; the values are those of `splits.fold.Role`,
# which lies in a layer above.
PARTS: Mapping[str, int] = {"train": 1, "validation": 2, "test": 3}

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class ReadyWindows:
    """Windows as they were given, in the order of the files, those for training first.

    Attributes
    ----------
    streams
        Values in `units` by name, float32 (w, n, channels).
    kinds, units
        By name; units in UDUNITS.
    classes
        Names; a class's code is its place.
    label
        Codes, int16 (w,).
    subject
        Whose each window is, (w,).
    role
        Of the given split, uint8 (w,): values of `splits.fold.Role`.
    """

    streams: Mapping[str, Floats]
    kinds: Mapping[str, StreamKind]
    units: Mapping[str, str]
    sampling_rate_hz: float
    classes: tuple[str, ...]
    label: NDArray[np.int16]
    subject: list[str]
    role: NDArray[np.uint8]
    source: str

    def __len__(self) -> int:
        """Count the windows."""
        return len(self.label)


def read_windows(
    path: Path, *, sampling_rate_hz: float, accel_unit: str = "g", source: str = "windows"
) -> ReadyWindows:
    """Read a folder or an archive of ready windows.

    Parameters
    ----------
    accel_unit
        Of signals that have ``acc`` in their name; those with ``gyro`` are in rad/s.

    Raises
    ------
    DatasetError
        If a part, a signal or a label is missing or does not fit the others.
    """
    accel = unit_of(accel_unit)
    with opened_tree(path) as tree:
        root = _root(tree)
        codes = _class_names(tree, f"{root}activity_labels.txt")
        parts = {name: _Part(tree, root, name) for name in PARTS if _has_part(tree, root, name)}
        if "train" not in parts or "test" not in parts:
            raise DatasetError(
                f"{path}: it has the parts {', '.join(parts) or 'none'}, expected y_train.txt in "
                "train and y_test.txt in test. Point to the folder that holds both."
            )
        signals = _signal_names(parts)
        streams = {name: _joined(list(parts.values()), name, accel) for name in signals}
        labels = np.concatenate([part.codes() for part in parts.values()])
        subjects = [subject for part in parts.values() for subject in part.subjects()]
    _check_counts(path, streams, len(labels), len(subjects))
    return ReadyWindows(
        streams=streams,
        kinds={name: _kind(name) for name in signals},
        units={name: "m s-2" if _kind(name) == "accel" else "rad s-1" for name in signals},
        sampling_rate_hz=sampling_rate_hz,
        classes=tuple(codes.values()),
        label=_places(path, labels, list(codes)),
        subject=subjects,
        role=np.concatenate(
            [np.full(part.n_windows, PARTS[name], dtype=np.uint8) for name, part in parts.items()]
        ),
        source=source,
    )


class _Part:
    """One of train, validation and test."""

    def __init__(self, tree: SourceTree, root: str, name: str) -> None:
        self._tree = tree
        self._folder = f"{root}{name}/"
        self.name = name
        pattern = re.compile(
            rf"{re.escape(self._folder + SIGNALS_FOLDER)}/(\w+)_([xyz])_{name}\.txt"
        )
        found = [match for match in map(pattern.fullmatch, tree.names) if match]
        self.signals = {(match[1], match[2]): match[0] for match in found}
        self._codes = self._column("y")

    @property
    def n_windows(self) -> int:
        return len(self._codes)

    def codes(self) -> NDArray[np.int64]:
        return self._codes

    def subjects(self) -> list[str]:
        return [f"{number:02d}" for number in self._column("subject").tolist()]

    def windows(self, signal: str) -> NDArray[np.float64]:
        """Values of the three axes as they stand in the files, (w, n, 3)."""
        axes = [self._axis(signal, axis) for axis in AXES]
        if len({axis.shape for axis in axes}) > 1:
            raise DatasetError(
                f"{self._folder}{SIGNALS_FOLDER}: {signal} has axes of "
                f"{', '.join(str(axis.shape) for axis in axes)} values, expected as many of each. "
                "Fetch the folder again."
            )
        return np.stack(axes, axis=-1)

    def _axis(self, signal: str, axis: str) -> NDArray[np.float64]:
        name = self.signals.get((signal, axis))
        if name is None:
            raise DatasetError(
                f"{self._folder}{SIGNALS_FOLDER}: {signal}_{axis}_{self.name}.txt is missing, "
                "expected x, y and z of every signal in every part. Fetch the folder again."
            )
        return numbers(self._tree.read(name), name)

    def _column(self, stem: str) -> NDArray[np.int64]:
        name = f"{self._folder}{stem}_{self.name}.txt"
        values = numbers(self._tree.read(name), name, n_columns=1)[:, 0]
        odd = np.flatnonzero(values != np.rint(values))
        if len(odd):
            raise DatasetError(
                f"{name}, row {odd[0] + 1}: it says {values[odd[0]]:g}, expected a whole number. "
                "Mend the row."
            )
        return values.astype(np.int64)


def _root(tree: SourceTree) -> str:
    """Find the folder that holds the parts; an archive often has one folder around them."""
    found = [name for name in tree.names if name.endswith("train/y_train.txt")]
    if not found:
        raise DatasetError(
            f"{tree.path}: it holds no train/y_train.txt, expected a folder of ready windows like "
            "UCI-HAR's. For recordings, use 'wban-dataset import delimited'."
        )
    return min(found, key=len).removesuffix("train/y_train.txt")


def _has_part(tree: SourceTree, root: str, name: str) -> bool:
    return f"{root}{name}/y_{name}.txt" in tree.names


def _class_names(tree: SourceTree, name: str) -> dict[int, str]:
    """Names of activities by their code, in the order of the codes."""
    names: dict[int, str] = {}
    for row, line in enumerate(tree.read(name).decode("utf-8", "replace").splitlines(), start=1):
        fields = line.split(maxsplit=1)
        if not fields:
            continue
        try:
            names[int(fields[0])] = slug(fields[1])
        except (ValueError, IndexError) as error:
            raise DatasetError(
                f"{name}, row {row}: it says {line[:60]!r}, expected a number and a name. "
                "Mend the row."
            ) from error
    return dict(sorted(names.items()))


def _signal_names(parts: Mapping[str, _Part]) -> list[str]:
    names = sorted({signal for part in parts.values() for signal, _ in part.signals})
    if not names:
        raise DatasetError(
            f"folder '{SIGNALS_FOLDER}': it holds no NAME_x_train.txt, expected the windows of "
            "each signal. Features alone cannot be audited; fetch the signals too."
        )
    return names


def _kind(signal: str) -> StreamKind:
    if "gyro" in signal:
        return "gyro"
    if "acc" in signal:
        return "accel"
    raise DatasetError(
        f"folder '{SIGNALS_FOLDER}': the signal {signal!r} is of no known kind, expected 'acc' or "
        "'gyro' in its name. Rename its files."
    )


def _joined(parts: list[_Part], signal: str, accel: Unit) -> Floats:
    factor = accel.factor if _kind(signal) == "accel" else 1.0
    return np.concatenate([(part.windows(signal) * factor).astype(np.float32) for part in parts])


def _check_counts(
    path: Path, streams: Mapping[str, Floats], n_labels: int, n_subjects: int
) -> None:
    counts = {"labels": n_labels, "subjects": n_subjects}
    counts |= {name: len(values) for name, values in streams.items()}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{n} of {name}" for name, n in counts.items())
        raise DatasetError(
            f"{path}: its files have {found}, expected one row a window in each. "
            "Fetch the folder again."
        )


def _places(path: Path, labels: NDArray[np.int64], codes: list[int]) -> NDArray[np.int16]:
    unknown = np.flatnonzero(~np.isin(labels, codes))
    if len(unknown):
        raise DatasetError(
            f"{path}: window {unknown[0] + 1} has the label {labels[unknown[0]]}, expected a code "
            "of activity_labels.txt. Add it there."
        )
    return np.searchsorted(codes, labels).astype(np.int16)
