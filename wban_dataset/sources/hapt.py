"""HAPT: daily activities and the transitions between them, 30 people with a phone at the waist.

Reyes-Ortiz, Oneto, Sama, Parra, Anguita, Neurocomputing 171, 2016. ``RawData``, a folder or a tar
archive, holds ``acc_expEE_userUU.txt`` and ``gyro_expEE_userUU.txt``: x y z a line, g and rad/s, at
50 Hz without stamps. ``labels.txt`` has experiment, user, activity, first and last sample (from 1,
inclusive); ``activity_labels.txt`` names the activities.
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wban_dataset.errors import DatasetError
from wban_dataset.recording.activities import slug
from wban_dataset.recording.streams import Label, StreamKind
from wban_dataset.sources.archives import SourceTree, opened_tree
from wban_dataset.sources.imported import LABEL_SOURCE, ImportedSession, ImportedStream
from wban_dataset.sources.text_table import numbers
from wban_dataset.sources.units import STANDARD_GRAVITY

SOURCE = "hapt"
SAMPLING_RATE_HZ = 50.0
PERIOD_NS = 20_000_000
PLACEMENT = "waist"
DEVICE = "Samsung Galaxy S II"
ARCHIVES = ("RawData.tar.xz", "RawData.tar.gz", "RawData.tar", "RawData.zip")

ACCEL_STEP = STANDARD_GRAVITY / 720
"""Every value of the recordings is a multiple of 1/720 g, ..."""
GYRO_STEP = math.radians(0.0175)
"""... and of 17.5 mdps, the resolution of the phone's gyroscope at 500 dps."""

Span = tuple[int, int, str, int]
"""First sample from 0, sample after the last, activity, row of ``labels.txt``."""

_SIGNAL = re.compile(r"(?:.*/)?(acc|gyro)_exp(\d{2,4})_user(\d{2,4})\.txt")


@dataclass(frozen=True, slots=True)
class HaptText:
    """One recording as its files have it.

    Attributes
    ----------
    files
        Name and content of the files ``acc`` and ``gyro``.
    spans
        Labels.
    """

    experiment: str
    user: str
    files: Mapping[str, tuple[str, bytes]]
    spans: tuple[Span, ...]


@contextmanager
def opened_recordings(path: Path) -> Generator[tuple[int, Iterator[HaptText]]]:
    """Give the number of recordings in a folder like HAPT's, and each, by experiment.

    Raises
    ------
    DatasetError
        If a file is missing, or the labels cannot be understood.
    """
    if not path.is_dir():
        raise DatasetError(
            f"{path}: it is no folder, expected one with RawData, labels.txt and "
            "activity_labels.txt. Unpack the data set there."
        )
    spans = _spans(path)
    with opened_tree(_raw_data(path)) as tree:
        names = _signal_names(tree)
        without = sorted(set(spans) - {int(experiment) for experiment, _ in names})
        if without:
            raise DatasetError(
                f"{path / 'labels.txt'}, row {spans[without[0]][0][3]}: it labels experiment "
                f"{without[0]}, expected one that {tree.path.name} holds. Fetch the data set again."
            )
        yield len(names), _texts(tree, names, spans)


def _texts(
    tree: SourceTree,
    names: Mapping[tuple[str, str], Mapping[str, str]],
    spans: Mapping[int, Sequence[Span]],
) -> Iterator[HaptText]:
    for (experiment, user), files in sorted(names.items()):
        texts = {kind: (name, tree.read(name)) for kind, name in files.items()}
        yield HaptText(experiment, user, texts, tuple(spans.get(int(experiment), ())))


def session_of(text: HaptText) -> ImportedSession:
    """Make the session of a recording.

    Raises
    ------
    DatasetError
        If a row is not three numbers, the files differ in length, or a label ends after them.
    """
    accel = numbers(text.files["acc"][1], text.files["acc"][0], n_columns=3) * STANDARD_GRAVITY
    gyro = numbers(text.files["gyro"][1], text.files["gyro"][0], n_columns=3)
    n_samples = len(accel)
    if len(gyro) != n_samples:
        raise DatasetError(
            f"recording exp{text.experiment}: it has {n_samples} rows of acceleration and "
            f"{len(gyro)} of angular rate, expected as many of both. Fetch the data set again."
        )
    stamps_ns = np.arange(n_samples, dtype=np.int64) * PERIOD_NS
    return ImportedSession(
        source=SOURCE,
        recording=f"exp{text.experiment}",
        subject=f"user{text.user}",
        streams=(
            _stream("accel", accel, stamps_ns, ACCEL_STEP),
            _stream("gyro", gyro, stamps_ns, GYRO_STEP),
        ),
        labels=tuple(_labels(text, n_samples)),
    )


def _stream(
    kind: StreamKind, values: NDArray[np.float64], stamps_ns: NDArray[np.int64], step: float
) -> ImportedStream:
    return ImportedStream(
        kind, kind, values, stamps_ns, SAMPLING_RATE_HZ, DEVICE, PLACEMENT, step=step
    )


def _labels(text: HaptText, n_samples: int) -> Iterator[Label]:
    for first, stop, name, row in text.spans:
        if stop > n_samples:
            raise DatasetError(
                f"labels.txt, row {row}: it ends at sample {stop}, expected at most {n_samples}, "
                f"the length of exp{text.experiment}. Mend the row."
            )
        yield Label(first * PERIOD_NS, stop * PERIOD_NS, name, SOURCE, LABEL_SOURCE)


def _raw_data(path: Path) -> Path:
    found = [path / name for name in ("RawData", *ARCHIVES) if (path / name).exists()]
    if not found:
        raise DatasetError(
            f"{path}: it has neither RawData nor {ARCHIVES[0]}, expected a folder like HAPT's. "
            "Point to the one that holds labels.txt."
        )
    return found[0]


def _signal_names(tree: SourceTree) -> dict[tuple[str, str], dict[str, str]]:
    """Names of the files ``acc`` and ``gyro`` by experiment and user."""
    names: dict[tuple[str, str], dict[str, str]] = {}
    for match in filter(None, map(_SIGNAL.fullmatch, tree.names)):
        names.setdefault((match[2], match[3]), {})[match[1]] = match[0]
    if not names:
        raise DatasetError(
            f"{tree.path}: it holds no acc_expEE_userUU.txt, expected at least one. "
            "Fetch the data set again."
        )
    for (experiment, user), files in names.items():
        for kind in {"acc", "gyro"} - set(files):
            raise DatasetError(
                f"{tree.path}: {kind}_exp{experiment}_user{user}.txt is missing, expected "
                "acceleration and angular rate of each recording. Fetch the data set again."
            )
    return names


def _spans(path: Path) -> dict[int, list[Span]]:
    """Labels of each experiment in the order of their start."""
    names = _activity_names(path / "activity_labels.txt")
    spans: dict[int, list[Span]] = {}
    file = path / "labels.txt"
    for row, line in _rows(file):
        fields = line.split()
        if len(fields) != 5 or not all(field.isdecimal() for field in fields):
            raise DatasetError(
                f"{file}, row {row}: it says {line[:60]!r}, expected five whole numbers. "
                "Mend the row."
            )
        experiment, _, activity, first, last = map(int, fields)
        if activity not in names or not 1 <= first <= last:
            raise DatasetError(
                f"{file}, row {row}: it gives activity {activity} to samples {first} to {last}, "
                "expected one of activity_labels.txt, and samples from 1 in order. Mend the row."
            )
        spans.setdefault(experiment, []).append((first - 1, last, names[activity], row))
    return {experiment: sorted(found) for experiment, found in spans.items()}


def _activity_names(file: Path) -> dict[int, str]:
    names: dict[int, str] = {}
    for row, line in _rows(file):
        fields = line.split()
        if len(fields) != 2 or not fields[0].isdecimal():
            raise DatasetError(
                f"{file}, row {row}: it says {line[:60]!r}, expected a number and a name. "
                "Mend the row."
            )
        names[int(fields[0])] = slug(fields[1])
    return names


def _rows(file: Path) -> Iterator[tuple[int, str]]:
    """Rows that are not empty, with their number from 1."""
    if not file.is_file():
        raise DatasetError(f"{file}: it is missing, expected it beside RawData. Fetch it again.")
    lines = file.read_text("utf-8", errors="replace").splitlines()
    return ((row, line) for row, line in enumerate(lines, start=1) if line.strip())
