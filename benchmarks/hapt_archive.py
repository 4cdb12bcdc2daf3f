"""HAPT read straight from its archive: what the benchmarks of windows and transitions work on."""

from __future__ import annotations

import io
import re
import tarfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

HAPT = Path(__file__).parents[2] / "shared" / "data" / "hapt"
PERIOD_NS = 20_000_000
STANDARD_GRAVITY = 9.80665
MEMBER = re.compile(r"RawData/(?P<kind>acc|gyro)_exp(?P<recording>\d\d)_user(?P<user>\d\d)\.txt\Z")


@dataclass(frozen=True)
class Recording:
    """One recording of HAPT.

    Attributes
    ----------
    accel, gyro
        m s-2 and rad s-1, float32 (n, 3).
    spans
        First and last sample, half-open from 0, and code, int64 (k, 3).
    """

    number: int
    user: int
    accel: NDArray[np.float32]
    gyro: NDArray[np.float32]
    spans: NDArray[np.int64]

    @property
    def stamps_ns(self) -> NDArray[np.int64]:
        """One sample every 20 ms from 0, (n,)."""
        return np.arange(len(self.accel), dtype=np.int64) * PERIOD_NS


def class_names(folder: Path = HAPT) -> tuple[str, ...]:
    """Names in the order of HAPT's numbers; a class's code is its number less one."""
    lines = (folder / "activity_labels.txt").read_text(encoding="utf-8").split("\n")
    return tuple(line.split()[1].lower() for line in lines if line.strip())


def read_recordings(folder: Path = HAPT) -> list[Recording]:
    """Read all 61, in the order of their numbers."""
    values: dict[tuple[str, int], tuple[int, NDArray[np.float32]]] = {}
    with tarfile.open(folder / "RawData.tar.xz", "r:xz") as archive:
        for member in archive:
            match = MEMBER.match(member.name)
            text = archive.extractfile(member) if match and member.isreg() else None
            if match is None or text is None:
                continue
            table = pd.read_csv(io.BytesIO(text.read()), sep=" ", header=None, dtype=np.float32)
            key = match["kind"], int(match["recording"])
            values[key] = int(match["user"]), table.to_numpy()[:, :3]
    labels = np.loadtxt(folder / "labels.txt", dtype=np.int64)
    recordings: list[Recording] = []
    for number in sorted({number for _, number in values}):
        user, accel = values["acc", number]
        own = labels[labels[:, 0] == number][:, 2:]
        spans = np.column_stack((own[:, 1] - 1, own[:, 2], own[:, 0] - 1))
        recordings.append(
            Recording(
                number,
                user,
                np.ascontiguousarray(accel * np.float32(STANDARD_GRAVITY)),
                np.ascontiguousarray(values["gyro", number][1]),
                spans[np.argsort(spans[:, 0], kind="stable")],
            )
        )
    return recordings
