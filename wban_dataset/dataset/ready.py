"""A dataset of windows that somebody else has cut: kept, audited, never cut again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.dataset import layout
from wban_dataset.dataset.building import BuildReport
from wban_dataset.dataset.card import CardFacts
from wban_dataset.dataset.configuration import StudyConfiguration
from wban_dataset.dataset.dataset_file import Block, DatasetContent, StreamContent
from wban_dataset.dataset.place import building_folder, check_place, fresh_folder, put_in_place
from wban_dataset.dataset.threads import one_thread
from wban_dataset.dataset.writing import write_files
from wban_dataset.session_info import SessionInfo
from wban_dataset.sources.ready_windows import ReadyWindows
from wban_dataset.splits.audit import audit
from wban_dataset.splits.audited import AuditedDataset
from wban_dataset.splits.description import described_by_rows
from wban_dataset.splits.findings import AuditResult
from wban_dataset.splits.fingerprints import copy_rows_of_ready
from wban_dataset.splits.fold import Fold
from wban_dataset.splits.options import Unit
from wban_dataset.splits.recording import Recording, Signal
from wban_dataset.windows.window_table import UNLABELLED, WindowTable

PROTOCOL = "given"
FOLD = "given"


def write_ready_dataset(ready: ReadyWindows, out: Path) -> BuildReport:
    """Write ready windows as a dataset of timebase "none", under their given split.

    Each subject counts as one session. A split that shares people, or copies of windows, is written
    and marked leaky, since it is not ours to change.

    Raises
    ------
    DatasetError
        If the place holds something else, or the disk refuses.
    """
    check_place(out)
    ordered = _Ordered(ready)
    with one_thread():
        audited = ordered.audited()
    report = BuildReport(
        out=out,
        n_sessions=len(ordered.subjects),
        n_reused=0,
        n_subjects=len(ordered.subjects),
        n_windows=len(ready),
        classes=ready.classes,
        protocol=PROTOCOL,
        n_folds=1,
        leaky=not audited.clean,
        leaks=audited.counts(),
        warnings=(*audited.explain_warnings().splitlines(), *audited.unchecked),
    )
    with building_folder(out.absolute()) as folder:
        finished = fresh_folder(folder / "finished")
        _write(finished, ordered, report)
        put_in_place(finished, out.absolute())
    return report


class _Ordered:
    """Ready windows sorted by subject, as a dataset has them."""

    def __init__(self, ready: ReadyWindows) -> None:
        self.ready = ready
        self.subjects = sorted(set(ready.subject))
        number = {name: i for i, name in enumerate(self.subjects)}
        session = np.array([number[name] for name in ready.subject], dtype=np.int32)
        self.order = np.argsort(session, kind="stable")
        self.session = session[self.order]
        self.first_window = np.searchsorted(self.session, np.arange(len(self.subjects) + 1))
        self.fold = Fold(FOLD, ready.role[self.order].astype(np.uint8))

    @property
    def window_ns(self) -> int:
        """Length of a window, told by its number of samples."""
        return round(max(self._lengths().values()) * 1e9 / self.ready.sampling_rate_hz)

    def sessions(self) -> list[SessionInfo]:
        """Give one session a subject; it is as long as its windows side by side."""
        counts = np.diff(self.first_window)
        return [
            SessionInfo(
                session_id=f"{self.ready.source}_{subject}",
                subject=subject,
                activity="",
                start_utc="",
                source=self.ready.source,
                content_sha256=self._digest(i),
                duration_ns=int(counts[i]) * self.window_ns,
            )
            for i, subject in enumerate(self.subjects)
        ]

    def windows(self) -> WindowTable:
        """Give the table; without times."""
        n = len(self.order)
        number = np.arange(n, dtype=np.int64)
        zero, none = np.zeros(n, dtype=np.int64), np.full(n, UNLABELLED, dtype=np.int16)
        lengths = self._lengths()
        return WindowTable(
            session=self.session,
            start_ns=zero,
            stop_ns=zero,
            label=self.ready.label[self.order].astype(np.int16),
            label_fraction=np.ones(n, dtype=np.float32),
            previous_label=none,
            next_label=none,
            first_row={name: number * length for name, length in lengths.items()},
            last_row={name: (number + 1) * length for name, length in lengths.items()},
            frame={},
            present={name: np.ones(n, dtype=np.bool_) for name in lengths},
        )

    def streams(self) -> list[StreamContent]:
        """Give the windows' own samples one after another, without stamps."""
        n_sessions = len(self.subjects)
        return [
            StreamContent(
                name=name,
                kind=self.ready.kinds[name],
                units=self.ready.units[name],
                sampling_rate_hz=self.ready.sampling_rate_hz,
                placement="",
                dtype=np.dtype("<f4"),
                sample_shape=(self.ready.streams[name].shape[2],),
                offset=self._offset(name),
                devices=[""] * n_sessions,
                scale_factors=[0.0] * n_sessions,
                full_scales=[0.0] * n_sessions,
                blocks=lambda name=name: self._blocks(name),
            )
            for name in sorted(self.ready.streams)
        ]

    def audited(self) -> AuditResult:
        """Look for what the given parts share."""
        return audit(
            AuditedDataset(
                sessions=self.sessions(),
                windows=self.windows(),
                folds=[self.fold],
                unit=Unit.SUBJECT,
                has_times=False,
                recordings=[self._recording(i) for i in range(len(self.subjects))],
            )
        )

    def _recording(self, number: int) -> Recording:
        signals: dict[str, Signal] = {}
        for name in self.ready.streams:
            rows = self._rows(name, number)
            signals[name] = Signal(
                kind=self.ready.kinds[name],
                units=self.ready.units[name],
                sampling_rate_hz=self.ready.sampling_rate_hz,
                n_rows=len(rows),
                first_row=int(self._offset(name)[number]),
                read=lambda start, stop, rows=rows: rows[start:stop],
                copy_rows=copy_rows_of_ready(self._lengths()[name], self.ready.sampling_rate_hz),
            )
        return Recording(number, signals)

    def _rows(self, name: str, number: int) -> NDArray[np.float32]:
        own = self.order[self.first_window[number] : self.first_window[number + 1]]
        windows = self.ready.streams[name][own]
        return windows.reshape(-1, windows.shape[2])

    def _blocks(self, name: str) -> Iterator[Block]:
        for number in range(len(self.subjects)):
            rows = self._rows(name, number)
            n = len(rows)
            yield rows, np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int32)

    def _lengths(self) -> dict[str, int]:
        return {name: values.shape[1] for name, values in self.ready.streams.items()}

    def _offset(self, name: str) -> NDArray[np.int64]:
        return self.first_window.astype(np.int64) * self._lengths()[name]

    def _digest(self, number: int) -> str:
        digest = hashlib.sha256()
        for name in sorted(self.ready.streams):
            digest.update(name.encode() + b"\0")
            digest.update(np.ascontiguousarray(self._rows(name, number), dtype="<f4").data)
        own = self.order[self.first_window[number] : self.first_window[number + 1]]
        digest.update(np.ascontiguousarray(self.ready.label[own], dtype="<i2").data)
        return digest.hexdigest()


def _write(folder: Path, ordered: _Ordered, report: BuildReport) -> None:
    ready, unit = ordered.ready, Unit.SUBJECT.value
    independent = not report.leaky
    attributes = {
        "timebase": layout.TIMEBASE_NONE,
        "protocol": PROTOCOL,
        "independent": independent,
        "leaky": report.leaky,
        "seed": 0,
        "window_ns": ordered.window_ns,
        "stride_ns": 0,
        "label_rule": PROTOCOL,
        "min_coverage": 1.0,
        "reference": "",
    }
    sessions = ordered.sessions()
    content = DatasetContent(
        attributes, ready.classes, sessions, ordered.streams(), ordered.windows(), [ordered.fold]
    )
    study = StudyConfiguration(name=f"Ready windows of {ready.source}")
    inputs: list[dict[str, Any]] = [
        {"session_id": info.session_id, "subject": info.subject,
         "content_sha256": info.content_sha256, "sidecars_sha256": {}, "rows_key": ""}
        for info in sessions
    ]  # fmt: skip
    splits = {
        "protocol": PROTOCOL,
        "unit": unit,
        "independent": independent,
        "leaky": report.leaky,
        "seed": 0,
        "purge_s": 0.0,
        "validation": unit,
        "folds": described_by_rows([ordered.fold]),
    }
    write_files(
        folder,
        CardFacts(study, content, unit, report.leaks, report.warnings),
        splits=splits,
        configuration={"source": ready.source, "sampling_rate_hz": ready.sampling_rate_hz},
        inputs=inputs,
    )
