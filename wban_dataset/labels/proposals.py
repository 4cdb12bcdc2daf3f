"""Borders where the signal changes, as labels that a person accepts or not.

Change points: optimal partition under a penalty (PELT; Killick, Fearnhead and Eckley, Journal of
the American Statistical Association 107, 2012) of the posture and the liveliness of the movement,
found by ruptures. Proposals stand in ``proposals.csv`` and count for nothing until accepted.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.errors import DatasetError
from wban_dataset.labels.exchange import sidecar_rows
from wban_dataset.labels.session_labels import annotations_of, folder_of, labels_of
from wban_dataset.labels.sidecar import write_labels
from wban_dataset.labels.timeline import LabelError, timeline
from wban_dataset.recording.layout import LABELS_SIDECAR
from wban_dataset.recording.recorded_stream import Stream
from wban_dataset.recording.session import Session
from wban_dataset.recording.sidecars import overlaid, read_labels
from wban_dataset.recording.streams import Label

PROPOSALS = "proposals.csv"
CONFIDENCE = 0.3
"""Of a proposal: on HAPT half of them are at no labelled border (docs/labels.md)."""

PENALTY = 2.0
"""Default price of a change point, in units of log(n) for each feature."""

BIN_S = 0.2
LEAST_SAMPLES = 4
SHORTEST_BINS = 5
MOST_BINS = 9000
"""Half an hour."""
POSTURE_STEP = 0.98
"""m/s2; a change of gravity by this much (6 degrees) weighs as much as `LIVELINESS_STEP`."""
LIVELINESS_STEP = 0.2
"""Of the logarithm to base 10 of the standard deviation within a bin."""
QUIET = 0.05
"""m/s2; what moves less than this is not told from noise."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What was accepted.

    Attributes
    ----------
    accepted
        Labels as they stand in ``labels.csv`` now.
    left, unnamed
        Proposals that remain, and how many of those that were asked for have no label yet.
    """

    accepted: tuple[Label, ...]
    left: int
    unnamed: int


def accelerometer(session: Session, name: str | None = None) -> Stream:
    """Give the stream that borders are looked for in: by default the first accelerometer.

    Raises
    ------
    DatasetError
        If there is none with samples, or the one that is named is none.
    """
    streams = [session.stream(name)] if name else map(session.stream, session.streams)
    for stream in streams:
        if stream.kind == "accel" and stream.n:
            return stream
    raise DatasetError(
        f"session {session.path}: it has no {name or 'accelerometer'} with samples among "
        f"{', '.join(session.streams) or 'its no streams'}, expected an accelerometer's stream. "
        "Name another with --stream."
    )


def change_points(stream: Stream, penalty: float = PENALTY) -> list[tuple[int, ...]]:
    """Find where posture or liveliness change, by stretches without a gap.

    Returns
    -------
    list
        For each stretch its start, the change points within it, and its end, in ns.
    """
    return [
        tuple(int(edge) for edge in edges[_borders(features, penalty)])
        for edges, features in _stretches(stream)
    ]


def propose(session: Session, stream: Stream, penalty: float = PENALTY) -> list[Label]:
    """Propose labels between change points.

    A span has the label that covers at least half of it at present; neighbours of one label are one
    proposal. Where there is none it has an empty label, for a person to fill in.
    """
    spans = [span for edges in change_points(stream, penalty) for span in pairwise(edges)]
    present = labels_of(session)
    classes = sorted({label.label for label in present if label.label})
    if not spans:
        return []
    starts, stops = np.array(spans, dtype=np.int64).T
    now = timeline(present, classes, where=f"session {session.path}")
    covered = np.concatenate([now.fraction(starts, stops), np.zeros((len(spans), 1))], axis=1)
    best = covered.argmax(axis=1)
    enough = covered.max(axis=1) >= 0.5
    names = [classes[int(code)] if named else "" for code, named in zip(best, enough, strict=True)]
    bin_ns = round(1e9 * _bin_samples(stream) / stream.sampling_rate_hz)
    return _joined(spans, names, bin_ns)


def read_proposals(session: Session) -> list[Label]:
    """Read ``proposals.csv``; none where there is no such file.

    Raises
    ------
    SessionError
        If it cannot be read as labels.
    """
    path = proposals_path(session)
    return read_labels(path) if path.exists() else []


def proposals_path(session: Session) -> Path:
    """Say where a session's proposals stand."""
    return folder_of(session) / PROPOSALS


def accept(session: Session, annotator: str, numbers: Collection[int] | None = None) -> Acceptance:
    """Take proposals into ``labels.csv`` as labels of a person, over what that person said before.

    Parameters
    ----------
    numbers
        Which, from 1 in the order of ``proposals.csv``; by default all that have a label.

    Raises
    ------
    LabelError
        If there is no such proposal.
    """
    proposals = read_proposals(session)
    _check_numbers(session, proposals, numbers)
    chosen = [i for i in range(len(proposals)) if numbers is None or i + 1 in numbers]
    named = [i for i in chosen if proposals[i].label]
    accepted = [
        replace(proposals[i], annotator=annotator, source="person", confidence=1.0) for i in named
    ]
    if accepted:
        said = overlaid(annotations_of(session).get(annotator, []), accepted)
        rows = sidecar_rows(session, {annotator: said})
        write_labels(folder_of(session) / LABELS_SIDECAR, rows)
    left = [label for i, label in enumerate(proposals) if i not in named]
    _write_left(session, left)
    return Acceptance(tuple(accepted), len(left), len(chosen) - len(named))


def _check_numbers(
    session: Session, proposals: Sequence[Label], numbers: Collection[int] | None
) -> None:
    path = proposals_path(session)
    if not proposals:
        raise LabelError(
            f"{path}: there are no proposals, expected some. Make them with "
            "'wban-dataset labels propose'."
        )
    beyond = [number for number in numbers or () if not 1 <= number <= len(proposals)]
    if beyond:
        raise LabelError(
            f"{path}: there is no proposal {beyond[0]}, expected 1 to {len(proposals)}. "
            "See 'wban-dataset labels show --proposals'."
        )


def _write_left(session: Session, left: Sequence[Label]) -> None:
    if left:
        write_labels(proposals_path(session), left)
    else:
        proposals_path(session).unlink()


def _bin_samples(stream: Stream) -> int:
    """Count the samples of a bin: enough for a standard deviation."""
    return max(LEAST_SAMPLES, round(BIN_S * stream.sampling_rate_hz))


def _stretches(stream: Stream) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """For each stretch without a gap the edges of its bins (n + 1,) in ns, features (n, 6)."""
    first: list[int] = np.flatnonzero(np.diff(stream.segment.astype(np.int64), prepend=-1)).tolist()
    size = _bin_samples(stream)
    for row, end in pairwise([*first, stream.n]):
        stamps = stream.monotonic_ns[row:end]
        n_bins = (len(stamps) - 1) // size
        if n_bins < 2 * SHORTEST_BINS:
            continue
        edges = stamps[: n_bins * size + 1 : size]
        values = stream.read(int(edges[0]), int(edges[-1]))
        yield edges, _features(values.reshape(n_bins, size, 3))


def _features(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Posture and liveliness of bins (n, size, 3) in m/s2, in steps that weigh the same, (n, 6)."""
    liveliness = np.log10(np.maximum(values.std(axis=1), QUIET))
    return np.hstack([values.mean(axis=1) / POSTURE_STEP, liveliness / LIVELINESS_STEP])


def _borders(features: NDArray[np.float64], penalty: float) -> list[int]:
    """Numbers of the bins at which something begins, the first and the end included.

    The search takes time by the square of what does not change, so it goes on by half an hour at
    most, each time from the last change.
    """
    price = penalty * features.shape[1] * float(np.log(len(features)))
    borders = [0]
    start = 0
    while len(features) - start > MOST_BINS:
        inner = _searched(features[start : start + MOST_BINS], price)
        borders += [start + border for border in inner]
        start += inner[-1] if inner else MOST_BINS // 2
    borders += [start + border for border in _searched(features[start:], price)]
    return [*borders, len(features)]


def _searched(features: NDArray[np.float64], price: float) -> list[int]:
    """Bins within at which something else begins, at a price for each."""
    try:
        ruptures: Any = importlib.import_module("ruptures")
    except ModuleNotFoundError as error:
        raise DatasetError(
            "proposals need the package ruptures, which is not installed, expected the extra "
            "analysis. Install it with: pip install 'wban[analysis]'."
        ) from error
    if len(features) < 2 * SHORTEST_BINS:
        return []
    search = ruptures.KernelCPD(kernel="linear", min_size=SHORTEST_BINS).fit(features)
    return search.predict(pen=price)[:-1]


def _joined(spans: Sequence[tuple[int, int]], names: Sequence[str], unc_ns: int) -> list[Label]:
    """Make labels, one of neighbours that touch and have the same name."""
    joined: list[Label] = []
    for (start_ns, stop_ns), name in zip(spans, names, strict=True):
        before = joined[-1] if joined else None
        if before and name and before.label == name and before.stop_ns == start_ns:
            joined[-1] = replace(before, stop_ns=stop_ns)
        else:
            joined.append(Label(start_ns, stop_ns, name, "", "model", CONFIDENCE, unc_ns))
    return joined
