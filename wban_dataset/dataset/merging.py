"""Shards put together, session after session, in the order of the table ``sessions``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.dataset.column_files import ColumnFiles
from wban_dataset.dataset.configuration import StudyConfiguration
from wban_dataset.dataset.converted import stored_dtype, stored_shape
from wban_dataset.dataset.dataset_file import Block, StreamContent
from wban_dataset.dataset.layout import PICTURE_KINDS
from wban_dataset.dataset.shard import Shard, StreamShard, window_arrays, windows_of
from wban_dataset.dataset.stream import physical
from wban_dataset.dataset.survey import MOTION_KINDS, SurveyedSession, SurveyedStream
from wban_dataset.splits.recording import Recording, Signal
from wban_dataset.transitions.profiles import Profile, profiles
from wban_dataset.transitions.transition_table import TransitionTable
from wban_dataset.transitions.transition_table import joined as joined_transitions
from wban_dataset.windows.window_table import NO_FRAME, UNLABELLED, WindowTable

HELD_COLUMNS = ("session", "label")
"""What folds and the card are made from."""


@dataclass(frozen=True, slots=True)
class Merged:
    """All sessions of a dataset, their rows still in their shards.

    Attributes
    ----------
    sessions, shards
        In the order of the table ``sessions``.
    streams
        By name, as the first session that has it says.
    offset
        By stream: rows of session i are offset[i] to offset[i + 1].
    windows
        All but `HELD_COLUMNS` are mapped files.
    """

    study: StudyConfiguration
    classes: tuple[str, ...]
    sessions: Sequence[SurveyedSession]
    shards: Sequence[Shard]
    streams: Mapping[str, SurveyedStream]
    offset: Mapping[str, NDArray[np.int64]]
    windows: WindowTable
    transitions: TransitionTable

    def profiles(self) -> Iterator[Profile]:
        """Aggregate the transitions by pair, sorted; only those of one pair are held at a time."""
        table = self.transitions
        first = np.searchsorted(table.session, np.arange(len(self.shards) + 1))
        for before, after in table.pairs:
            own = np.flatnonzero((table.from_label == before) & (table.to_label == after))
            cut = [
                shard.clips(own[(own >= first[i]) & (own < first[i + 1])] - first[i])
                for i, shard in enumerate(self.shards)
            ]
            yield from profiles(table.take(own), np.concatenate(cut))

    def contents(self) -> list[StreamContent]:
        """Give the streams as they are to be written, sorted by name."""
        return [self._content(name) for name in sorted(self.streams)]

    def recordings(self) -> list[Recording]:
        """Give the sessions as the auditor reads them."""
        return [
            recording_of(session, shard, number, self.study, self.offset)
            for number, (session, shard) in enumerate(zip(self.sessions, self.shards, strict=True))
        ]

    def _content(self, name: str) -> StreamContent:
        stream = self.streams[name]
        own = [_stream_of(session, name) for session in self.sessions]
        return StreamContent(
            name=name,
            kind=stream.kind,
            units=stream.units,
            sampling_rate_hz=_rate_hz(stream, self.study),
            placement=stream.placement,
            dtype=stored_dtype(stream.kind),
            sample_shape=stored_shape(stream.kind, stream.sample_shape, self.study),
            offset=self.offset[name],
            devices=[s.device if s else "" for s in own],
            scale_factors=[s.scale_factor if s else 0.0 for s in own],
            full_scales=[s.full_scale if s else 0.0 for s in own],
            blocks=lambda: self._blocks(name),
        )

    def _blocks(self, name: str) -> Iterator[Block]:
        for shard in self.shards:
            stream = shard.stream(name)
            if stream is None:
                continue
            yield shard.data_file(name), *shard.times(name)


def merged(
    sessions: Sequence[SurveyedSession],
    shards: Sequence[Shard],
    classes: tuple[str, ...],
    study: StudyConfiguration,
    folder: Path,
) -> Merged:
    """Count rows and windows of all sessions through.

    Parameters
    ----------
    folder
        An empty folder for the table of windows, which stays there while it is used.
    """
    streams: dict[str, SurveyedStream] = {}
    for session in sessions:
        for stream in session.streams:
            streams.setdefault(stream.name, stream)
    offset = {name: np.zeros(len(shards) + 1, dtype=np.int64) for name in streams}
    columns = ColumnFiles(folder)
    changes: list[TransitionTable] = []
    for number, shard in enumerate(shards):
        for name in streams:
            stream = shard.stream(name)
            n_rows = stream.n_rows if stream else 0
            offset[name][number + 1] = offset[name][number] + n_rows
        windows = _numbered(shard, number, classes, streams, offset)
        columns.append(window_arrays(windows))
        changes.append(_numbered_transitions(shard, number, classes))
    table = windows_of(columns.columns(HELD_COLUMNS))
    transitions = joined_transitions(changes)
    return Merged(study, classes, sessions, shards, streams, offset, table, transitions)


def recording_of(
    session: SurveyedSession,
    shard: Shard,
    number: int,
    study: StudyConfiguration,
    offset: Mapping[str, NDArray[np.int64]] | None = None,
) -> Recording:
    """Give one session as the auditor reads it; without offsets its rows count from 0."""
    signals: dict[str, Signal] = {}
    for stream in session.streams:
        found = shard.stream(stream.name)
        if found is None:
            continue

        signals[stream.name] = Signal(
            kind=stream.kind,
            units=stream.units,
            sampling_rate_hz=_rate_hz(stream, study),
            n_rows=found.n_rows,
            first_row=int(offset[stream.name][number]) if offset is not None else 0,
            read=_reader(shard, stream, found),
            scale_factor=_counts_scale(stream, study),
        )
    return Recording(number, signals)


def _reader(
    shard: Shard, stream: SurveyedStream, found: StreamShard
) -> Callable[[int, int], NDArray[Any]]:
    def read(start: int, stop: int) -> NDArray[Any]:
        return physical(stream.kind, shard.rows(stream.name, found, start, stop))

    return read


def _counts_scale(stream: SurveyedStream, study: StudyConfiguration) -> float:
    """Physical value of one count; 0 where rows are no counts any more."""
    kept = stream.kind in MOTION_KINDS and study.rate is None and not study.calibrate
    return stream.scale_factor if kept else 0.0


def _rate_hz(stream: SurveyedStream, study: StudyConfiguration) -> float:
    if study.rate is not None and stream.kind in MOTION_KINDS:
        return study.rate
    return stream.sampling_rate_hz


def _stream_of(session: SurveyedSession, name: str) -> SurveyedStream | None:
    return next((stream for stream in session.streams if stream.name == name), None)


def _numbered(
    shard: Shard,
    number: int,
    classes: tuple[str, ...],
    streams: Mapping[str, SurveyedStream],
    offset: Mapping[str, NDArray[np.int64]],
) -> WindowTable:
    """Give a shard's windows with numbers of the whole dataset; absent streams are masked."""
    windows = shard.windows()
    n = len(windows)
    code = _codes(shard, classes)
    none, absent = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.bool_)
    no_frame = np.full(n, NO_FRAME, dtype=np.int64)
    frame: dict[str, NDArray[np.int64]] = {}
    for name, stream in streams.items():
        if stream.kind in PICTURE_KINDS:
            own = windows.frame.get(name, no_frame)
            frame[name] = np.where(own == NO_FRAME, NO_FRAME, own + offset[name][number])
    return replace(
        windows,
        session=np.full(n, number, dtype=np.int32),
        label=code[windows.label],
        previous_label=code[windows.previous_label],
        next_label=code[windows.next_label],
        first_row={s: windows.first_row.get(s, none) + offset[s][number] for s in streams},
        last_row={s: windows.last_row.get(s, none) + offset[s][number] for s in streams},
        present={s: windows.present.get(s, absent) for s in streams},
        frame=frame,
    )


def _numbered_transitions(shard: Shard, number: int, classes: tuple[str, ...]) -> TransitionTable:
    """Give a shard's transitions with numbers of the whole dataset."""
    table = shard.transitions()
    code = _codes(shard, classes)
    return replace(
        table,
        session=np.full(len(table), number, dtype=np.int32),
        from_label=code[table.from_label],
        to_label=code[table.to_label],
        transition_label=code[table.transition_label],
    )


def _codes(shard: Shard, classes: tuple[str, ...]) -> NDArray[np.int16]:
    """Give the codes of the shard's own classes, and of UNLABELLED, which is the last."""
    return np.array([*map(classes.index, shard.classes), UNLABELLED], dtype=np.int16)
