"""Small studies for splits and their audit: people who move, each in his own way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from wban_dataset.session_info import SessionInfo
from wban_dataset.splits.audited import AuditedDataset
from wban_dataset.splits.options import SplitOptions, Unit
from wban_dataset.splits.protocols import make_folds
from wban_dataset.splits.recording import Recording, Signal
from wban_dataset.windows.window_table import WindowTable

RATE_HZ = 50
WINDOW_ROWS, STRIDE_ROWS = 50, 20
PERIOD_NS = 10**9 // RATE_HZ
COUNT = 9.80665 / 720
CLASSES = ("lying", "sitting", "walking")


@dataclass
class Person:
    """One session of somebody."""

    subject: str
    session_id: str
    start_utc: str = ""
    accel: NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 3), np.float32))
    labels: Sequence[int] = (0, 1, 2)
    content_sha256: str = ""


def movement(seed: int, seconds: float = 60.0) -> NDArray[np.float32]:
    """Acceleration of somebody who walks unevenly, in whole counts, m s-2, (n, 3)."""
    generator = np.random.default_rng(seed)
    n = int(seconds * RATE_HZ)
    slowness = np.bartlett(24)
    slowness /= np.linalg.norm(slowness)
    noise = generator.normal(size=(n + 23, 3))
    smooth = np.stack([np.convolve(noise[:, i], slowness, "valid") for i in range(3)], axis=1)
    moved = 1.5 * smooth + np.array([9.8, 0.5, 1.0])
    return in_counts(moved)


def in_counts(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Round to whole counts, as a sensor does."""
    return (np.rint(values / COUNT) * COUNT).astype(np.float32)


def people(n_subjects: int, n_sessions: int = 1, seconds: float = 60.0) -> list[Person]:
    """Give different people, each with sessions of a different day."""
    return [
        Person(
            f"S{subject:02}",
            f"S{subject:02}_{number}",
            f"2026-03-{1 + number:02}T10:00:00Z",
            movement(100 * subject + number, seconds),
        )
        for subject in range(1, n_subjects + 1)
        for number in range(n_sessions)
    ]


def infos(persons: Sequence[Person]) -> list[SessionInfo]:
    """Give the table of sessions."""
    return [
        SessionInfo(
            p.session_id, p.subject, "", p.start_utc, "made", p.content_sha256, len(p.accel)
        )
        for p in persons
    ]


def windows_of(persons: Sequence[Person]) -> WindowTable:
    """Cut each session; labels follow each other in equal parts."""
    session, first, label = [], [], []
    for number, person in enumerate(persons):
        starts = np.arange(0, len(person.accel) - WINDOW_ROWS + 1, STRIDE_ROWS)
        share = starts * len(person.labels) // max(len(person.accel), 1)
        session.append(np.full(len(starts), number))
        first.append(starts)
        label.append(np.array(person.labels)[share])
    offset = np.cumsum([0, *(len(p.accel) for p in persons)])
    number, local = np.concatenate(session), np.concatenate(first)
    rows = local + offset[number]
    labels = np.concatenate(label).astype(np.int16)
    return WindowTable(
        session=number.astype(np.int32),
        start_ns=local * PERIOD_NS,
        stop_ns=(local + WINDOW_ROWS) * PERIOD_NS,
        label=labels,
        label_fraction=np.ones(len(rows), np.float32),
        previous_label=np.full(len(rows), -1, np.int16),
        next_label=np.full(len(rows), -1, np.int16),
        first_row={"accel": rows},
        last_row={"accel": rows + WINDOW_ROWS},
        present={"accel": np.ones(len(rows), np.bool_)},
    )


def signal(
    values: NDArray[np.generic], first_row: int = 0, scale: float = COUNT, **changes: object
) -> Signal:
    """Give an acceleration as the auditor reads it."""
    made = Signal(
        "accel",
        "m s-2",
        float(RATE_HZ),
        len(values),
        first_row,
        lambda start, stop: values[start:stop],
        scale,
    )
    return replace(made, **changes)


def recordings(persons: Sequence[Person]) -> list[Recording]:
    """Give all sessions as the auditor reads them."""
    offset = np.cumsum([0, *(len(p.accel) for p in persons)]).tolist()
    return [Recording(i, {"accel": signal(p.accel, offset[i])}) for i, p in enumerate(persons)]


def audited(persons: Sequence[Person], protocol: str = "loso", **options) -> AuditedDataset:
    """Divide a study by a protocol, ready for its audit."""
    windows = windows_of(persons)
    split = make_folds(infos(persons), windows, SplitOptions(protocol=protocol, **options), CLASSES)
    return AuditedDataset(
        infos(persons),
        windows,
        split.folds,
        Unit(split.unit),
        purge_ns=round(options.get("purge_s", 0.0) * 1e9),
        recordings=recordings(persons),
    )
