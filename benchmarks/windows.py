"""All windows of HAPT as arrays, with majority labels, by four programs that must agree.

1 s every 0.4 s at 50 Hz: 56,019 windows of 50 samples, six channels, and the label most samples
have. Compared: this package from stamps and label spans; NumPy's `sliding_window_view`,
copied, its labels counted over windows of one label a sample; a loop over pandas slices; and
braindecode's windower, without labels, where ``--braindecode-python`` names a Python that has it.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hapt_archive import PERIOD_NS, Recording, class_names, read_recordings
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from report import report, row

from wban_dataset.labels.timeline import Timeline
from wban_dataset.windows.cutting import StreamTimes, cut
from wban_dataset.windows.materialised import StreamRows, materialise
from wban_dataset.windows.window_rule import WindowRule
from wban_dataset.windows.window_table import WindowTable, joined

SIZE, STRIDE = 50, 20
N_REPEATS = 9
RULE = WindowRule.parse("1s", overlap=0.6)
UNLABELLED_CODE = 12
"""The highest, so that in a tie the lower code wins as it does here."""


@dataclass(frozen=True)
class Study:
    """HAPT as each program takes it; making this is not timed."""

    recordings: list[Recording]
    timelines: list[Timeline]
    accel: NDArray[np.float32]
    gyro: NDArray[np.float32]
    stamps_ns: NDArray[np.int64]
    segment: NDArray[np.int32]
    offset: NDArray[np.int64]
    sample_labels: list[NDArray[np.int64]]


@dataclass(frozen=True)
class Windows:
    """Accelerometer and gyroscope (w, 50, 3) and labels (w,) with 12 for unlabelled."""

    accel: NDArray[np.floating]
    gyro: NDArray[np.floating]
    label: NDArray[np.integer] | None


def study() -> Study:
    recordings = read_recordings()
    names = class_names()
    lengths = [len(recording.accel) for recording in recordings]
    return Study(
        recordings,
        [_timeline(recording, names) for recording in recordings],
        np.concatenate([recording.accel for recording in recordings]),
        np.concatenate([recording.gyro for recording in recordings]),
        np.concatenate([recording.stamps_ns for recording in recordings]),
        np.zeros(sum(lengths), dtype=np.int32),
        np.concatenate(([0], np.cumsum(lengths))),
        [_sample_labels(recording) for recording in recordings],
    )


def _timeline(recording: Recording, names: tuple[str, ...]) -> Timeline:
    first, last, code = recording.spans.T
    uncertainty = np.zeros(len(code), dtype=np.int64)
    return Timeline(first * PERIOD_NS, last * PERIOD_NS, code.astype(np.int16), uncertainty, names)


def _sample_labels(recording: Recording) -> NDArray[np.int64]:
    labels = np.full(len(recording.accel), UNLABELLED_CODE)
    for first, last, code in recording.spans.tolist():
        labels[first:last] = code
    return labels


def cut_all(given: Study) -> WindowTable:
    """Cut every recording; rows of the table are rows of all recordings together."""
    tables: list[WindowTable] = []
    for number in range(len(given.recordings)):
        own = slice(int(given.offset[number]), int(given.offset[number + 1]))
        streams = {
            kind: StreamTimes(kind, given.stamps_ns[own], given.segment[own], PERIOD_NS)
            for kind in ("accel", "gyro")
        }
        tables.append(cut(streams, given.timelines[number], RULE, number))
    table = joined(tables)
    for name in ("accel", "gyro"):
        for rows in (table.first_row[name], table.last_row[name]):
            rows += given.offset[table.session]
    return table


def arrays_of(given: Study, table: WindowTable) -> Windows:
    made: list[NDArray[np.floating]] = []
    for name, values in (("accel", given.accel), ("gyro", given.gyro)):
        stream = StreamRows(_reader(values), given.stamps_ns, given.segment, given.offset, 3, 50.0)
        made.append(materialise(stream, table, name))
    return Windows(*made, np.where(table.label < 0, UNLABELLED_CODE, table.label))


def _reader(values: NDArray[np.float32]) -> Callable[[int, int], NDArray[np.float32]]:
    return lambda start, stop: values[start:stop]


def by_this_package(given: Study) -> Windows:
    return arrays_of(given, cut_all(given))


def by_numpy(given: Study) -> Windows:
    data = by_numpy_without_labels(given)
    labels = [
        np.stack([(own == code).sum(axis=1) for code in range(UNLABELLED_CODE + 1)], axis=1)
        for own in (sliding_window_view(x, SIZE)[::STRIDE] for x in given.sample_labels)
    ]
    return Windows(data.accel, data.gyro, np.concatenate(labels).argmax(axis=1))


def by_numpy_without_labels(given: Study) -> Windows:
    def windows(values: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
        views = [sliding_window_view(x, SIZE, axis=0)[::STRIDE] for x in values]
        return np.concatenate([view.transpose(0, 2, 1) for view in views])

    accel = windows([recording.accel for recording in given.recordings])
    return Windows(accel, windows([recording.gyro for recording in given.recordings]), None)


def by_pandas(given: Study) -> Windows:
    accel: list[NDArray[np.float32]] = []
    gyro: list[NDArray[np.float32]] = []
    labels: list[int] = []
    for recording, label in zip(given.recordings, given.sample_labels, strict=True):
        table = pd.DataFrame(np.hstack((recording.accel, recording.gyro)), columns=list("abcdef"))
        table["label"] = label
        for start in range(0, len(table) - SIZE + 1, STRIDE):
            window = table.iloc[start : start + SIZE]
            accel.append(window[["a", "b", "c"]].to_numpy())
            gyro.append(window[["d", "e", "f"]].to_numpy())
            labels.append(int(window["label"].mode()[0]))
    return Windows(np.stack(accel), np.stack(gyro), np.array(labels))


def by_braindecode(given: Study, python: Path) -> tuple[float, float, Windows]:
    """Seconds of the windower, of it and the reading of every window, and the windows."""
    script = Path(__file__).with_name("braindecode_windows.py")
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "in.npz", Path(folder) / "out.npz"
        np.savez(
            source,
            **{
                f"x{i}": np.hstack((recording.accel, recording.gyro)).T
                for i, recording in enumerate(given.recordings)
            },
        )
        subprocess.run([python, script, source, result], check=True)
        with np.load(result, allow_pickle=False) as found:
            windows = found["windows"].transpose(0, 2, 1)
            made = Windows(windows[..., :3], windows[..., 3:], None)
            return float(found["windower_s"]), float(found["total_s"]), made


def interleaved_s(programs: Sequence[Callable[[], object]]) -> list[float]:
    """Least seconds of each program; they take turns, so that what disturbs one disturbs all."""
    seconds: list[list[float]] = [[] for _ in programs]
    for _ in range(N_REPEATS):
        for own, program in zip(seconds, programs, strict=True):
            started_s = time.perf_counter()
            program()
            own.append(time.perf_counter() - started_s)
    return [min(own) for own in seconds]


def agree(one: Windows, other: Windows) -> bool:
    same = np.array_equal(one.accel, other.accel) and np.array_equal(one.gyro, other.gyro)
    if one.label is None or other.label is None:
        return same
    return same and np.array_equal(one.label, other.label)


def compared(
    what: str, asked: str, own_s: float, other_s: float, *, reached: bool | None, same: bool = True
) -> dict[str, Any]:
    """One line: both times; nothing is reached where the results are not the same."""
    outcome = "" if same else "; THE RESULTS DIFFER"
    return row(
        what,
        asked=asked,
        measured=f"{own_s * 1e3:.1f} ms against {other_s * 1e3:.1f} ms, "
        f"{other_s / own_s:.2f} times as fast{outcome}",
        reached=None if reached is None else reached and same,
        own_s=own_s,
        other_s=other_s,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="PATH", help="where the JSON file goes")
    parser.add_argument("--braindecode-python", type=Path, metavar="PATH")
    options = parser.parse_args()
    given = study()
    table = cut_all(given)
    ours = by_this_package(given)
    own_s, numpy_s, arrays_s, plain_s, cut_s = interleaved_s(
        [
            lambda: by_this_package(given),
            lambda: by_numpy(given),
            lambda: arrays_of(given, table),
            lambda: by_numpy_without_labels(given),
            lambda: cut_all(given),
        ]
    )
    started_s = time.perf_counter()
    looped = by_pandas(given)
    pandas_s = time.perf_counter() - started_s
    same_as_numpy, same_as_pandas = agree(ours, by_numpy(given)), agree(ours, looped)
    rows = [
        row("windows of 50 samples, stride 20", asked="56,019", measured=f"{len(table):,}",
            reached=len(table) == 56_019),
        compared("sliding_window_view and copy, labels counted", "at most 1.5 times as long",
                 own_s, numpy_s, reached=own_s <= 1.5 * numpy_s, same=same_as_numpy),
        compared("sliding_window_view and copy alone, the table given", "at most 1.5 times as long",
                 arrays_s, plain_s, reached=arrays_s <= 1.5 * plain_s, same=same_as_numpy),
        compared("sliding_window_view and copy alone, cutting and labels here", "", own_s, plain_s,
                 reached=None),
        compared("a loop over pandas slices", "50 times faster", own_s, pandas_s,
                 reached=pandas_s >= 50 * own_s, same=same_as_pandas),
    ]  # fmt: skip
    if options.braindecode_python is None:
        rows.append(row("braindecode", measured="left out: no --braindecode-python was given"))
    else:
        windower_s, total_s, theirs = by_braindecode(given, options.braindecode_python)
        rows += [
            compared("braindecode's windower, and its windows read", "4 times faster", own_s,
                     total_s, reached=total_s >= 4 * own_s, same=agree(ours, theirs)),
            compared("its windower alone, which makes a table; cutting alone here", "", cut_s,
                     windower_s, reached=None),
        ]  # fmt: skip
    return 0 if report("windows", rows, options.json) else 1


if __name__ == "__main__":
    raise SystemExit(main())
