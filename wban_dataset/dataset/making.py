"""Making the shard of one session: what a worker does, in this process or far away."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.dataset.changes import changes
from wban_dataset.dataset.configuration import StudyConfiguration, window_rule
from wban_dataset.dataset.converted import (
    Rows,
    converted,
    distinct,
    stored_dtype,
    stored_shape,
    times_of,
)
from wban_dataset.dataset.earlier import EarlierSession
from wban_dataset.dataset.freed_memory import give_back
from wban_dataset.dataset.layout import PICTURE_KINDS
from wban_dataset.dataset.merging import recording_of
from wban_dataset.dataset.shard import (
    Shard,
    is_whole,
    save_columns,
    save_sketch,
    save_transitions,
    window_arrays,
)
from wban_dataset.dataset.survey import SurveyedSession, timeline_of
from wban_dataset.dataset.threads import one_thread
from wban_dataset.errors import DatasetError
from wban_dataset.hygiene.findings import recorded_calibrations
from wban_dataset.labels.timeline import Timeline
from wban_dataset.recording.errors import DAMAGE, damaged_inside
from wban_dataset.recording.session import Session
from wban_dataset.splits.sketch import sketched
from wban_dataset.windows.cutting import StreamTimes, cut
from wban_dataset.windows.window_table import NO_FRAME, WindowTable


@dataclass(frozen=True, slots=True)
class ShardTask:
    """One session to be turned into a shard.

    Attributes
    ----------
    session
        As it was surveyed; codes in the shard are places in the names of its labels.
    shard
        The folder to be made; its name says what it is made from.
    earlier
        Where the same rows are already, so that nothing needs to be unpacked; None: nowhere.
    """

    session: SurveyedSession
    shard: Path
    study: StudyConfiguration
    earlier: EarlierSession | None = None


def make_shard(task: ShardTask) -> None:
    """Make a shard, whole or not at all; one that is there already stays.

    Raises
    ------
    SessionError
        If the session cannot be read.
    DatasetError
        If its labels or values cannot be used, or the disk refuses.
    """
    if not is_whole(task.shard):
        _make(task)
        give_back()


def _make(task: ShardTask) -> None:
    aside = task.shard.with_name(f".{task.shard.name}.{uuid.uuid4().hex}")
    try:
        aside.mkdir(parents=True)
        with Session.open(task.session.folder) as session:
            times = _convert(session, task, aside)
        shard = Shard(aside)
        with one_thread():
            found = changes(shard, times, timeline_of(task.session), task.study)
        save_transitions(aside, *found)
        save_sketch(aside, sketched(recording_of(task.session, shard, 0, task.study)))
        shutil.rmtree(task.shard, ignore_errors=True)  # one that a power cut left
        aside.rename(task.shard)
    except DAMAGE as error:
        raise damaged_inside(task.session.folder, error) from error
    except OSError as error:
        raise DatasetError(
            f"session {task.session.folder}: its part of the dataset cannot be written to "
            f"{task.shard.parent} ({(error.strerror or str(error)).lower()}), expected room for "
            "it there. Free some space and build again."
        ) from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _convert(session: Session, task: ShardTask, folder: Path) -> dict[str, StreamTimes]:
    """Write the rows of all streams, and the windows; give the times of all samples."""
    arrays: dict[str, NDArray[Any]] = {
        "classes/name": np.array(task.session.classes, dtype=np.str_)
    }
    all_times: dict[str, StreamTimes] = {}
    row_of: dict[str, NDArray[np.int64]] = {}
    for name in session.streams:
        times, keep = _write_stream(session, name, task, folder)
        stream = session.stream(name)
        dtype = stored_dtype(stream.kind)
        shape = stored_shape(stream.kind, stream.sample_shape, task.study)
        all_times[name] = times
        arrays |= {
            f"streams/{name}/dtype": np.array(dtype.str),
            f"streams/{name}/sample_shape": np.array(shape, dtype=np.int64),
            f"streams/{name}/monotonic_ns": times.stamps_ns[keep],
            f"streams/{name}/segment": times.segment[keep],
        }
        if stream.kind in PICTURE_KINDS:
            row_of[name] = np.cumsum(keep, dtype=np.int64) - 1
    windows = _on_rows(_cut(all_times, timeline_of(task.session), task), row_of)
    arrays |= {f"windows/{name}": values for name, values in window_arrays(windows).items()}
    save_columns(folder, arrays)
    return all_times


def _cut(streams: dict[str, StreamTimes], timeline: Timeline, task: ShardTask) -> WindowTable:
    try:
        windows = cut(streams, timeline, window_rule(task.study))
    except DatasetError as error:
        raise DatasetError(f"session {task.session.folder}: {error}") from error
    return windows if task.study.unlabelled else windows.take(windows.is_labelled)


def _write_stream(
    session: Session, name: str, task: ShardTask, folder: Path
) -> tuple[StreamTimes, NDArray[np.bool_]]:
    """Write the rows of a stream; give the times of all its samples, and which have a row."""
    stream = session.stream(name)
    if task.earlier is not None:
        times = times_of(stream)
        keep = np.isin(times.stamps_ns, task.earlier.stamps(name), assume_unique=True)
        _write(folder / f"{name}.data", task.earlier.blocks(name))
        return times, keep
    calibration = recorded_calibrations(session).get(name) if task.study.calibrate else None
    times, blocks = converted(session, name, task.study, calibration)
    if stream.kind not in PICTURE_KINDS:
        _write(folder / f"{name}.data", blocks)
        return times, np.ones(len(times.stamps_ns), dtype=np.bool_)
    kept: list[NDArray[np.bool_]] = [np.empty(0, dtype=np.bool_)]
    _write(folder / f"{name}.data", _noting(distinct(blocks, times.segment), kept))
    return times, np.concatenate(kept)


def _noting(
    blocks: Iterator[tuple[Rows, NDArray[np.bool_]]], kept: list[NDArray[np.bool_]]
) -> Iterator[Rows]:
    for block, keep in blocks:
        kept.append(keep)
        yield block


def _write(path: Path, blocks: Iterator[Rows]) -> None:
    with path.open("wb") as file:
        for block in blocks:
            file.write(np.ascontiguousarray(block).data)


def _on_rows(windows: WindowTable, row_of: dict[str, NDArray[np.int64]]) -> WindowTable:
    """Count rows instead of samples where equal pictures share one."""
    first_row, last_row = dict(windows.first_row), dict(windows.last_row)
    frame = dict(windows.frame)
    for name, rows in row_of.items():
        # One more at the end: the row after the last.
        after = np.append(rows, rows[-1] + 1 if len(rows) else 0)
        first, last = first_row[name], last_row[name]
        first_row[name] = after[first]
        last_row[name] = np.where(last > first, after[last - 1] + 1, after[first])
        frame[name] = np.where(frame[name] == NO_FRAME, NO_FRAME, after[frame[name]])
    return replace(windows, first_row=first_row, last_row=last_row, frame=frame)
