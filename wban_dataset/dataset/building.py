"""From sessions to a dataset: what `wban-dataset build` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wban_dataset.dataset import layout
from wban_dataset.dataset.card import CardFacts
from wban_dataset.dataset.configuration import (
    StudyConfiguration,
    read_configuration,
    split_options,
    window_rule,
)
from wban_dataset.dataset.dataset_file import DatasetContent
from wban_dataset.dataset.earlier import EarlierSession
from wban_dataset.dataset.keys import rows_key, shard_key
from wban_dataset.dataset.making import ShardTask
from wban_dataset.dataset.manifest import earlier_rows
from wban_dataset.dataset.merging import Merged, merged
from wban_dataset.dataset.place import building_folder, check_place, fresh_folder, put_in_place
from wban_dataset.dataset.shard import Shard
from wban_dataset.dataset.survey import (
    SurveyedSession,
    check_streams,
    find_sessions,
    ordered,
    survey,
    with_subjects,
)
from wban_dataset.dataset.threads import one_thread
from wban_dataset.dataset.workers import make_shards
from wban_dataset.dataset.writing import write_files
from wban_dataset.errors import DatasetError, LeakError
from wban_dataset.splits.audit import audit
from wban_dataset.splits.audited import AuditedDataset
from wban_dataset.splits.findings import AuditResult
from wban_dataset.splits.options import Split
from wban_dataset.splits.protocols import make_folds
from wban_dataset.subjects import subjects_beside
from wban_dataset.transitions.file import write_transitions

Progress = Callable[[str, int, int], None]
"""Told what is done at present, how much of it is done, of how much."""


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What was built.

    Attributes
    ----------
    n_reused
        Sessions whose rows were taken from the dataset that stood there before.
    leaky
        Parts of a fold share what would make a result look better than it is; `leaks` says what.
    warnings
        Sentences on what makes the dataset weaker than it looks.
    """

    out: Path
    n_sessions: int
    n_reused: int
    n_subjects: int
    n_windows: int
    classes: tuple[str, ...]
    protocol: str
    n_folds: int
    leaky: bool
    leaks: Mapping[str, int]
    warnings: tuple[str, ...]


def build(
    sessions: Path | str | Sequence[Path | str],
    out: Path | str,
    *,
    config: StudyConfiguration | Path | str | None = None,
    workers: int = 1,
    scheduler: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> BuildReport:
    """Build a dataset, whole or not at all; one that stands there is replaced.

    Parameters
    ----------
    sessions
        Sessions, or folders with sessions below.
    config
        A `StudyConfiguration`, or a ``study.toml``.
    workers
        Processes; the result is the same with any number of them.
    scheduler
        Address of a dask scheduler to use instead.
    options
        Keys of `StudyConfiguration`, which prevail over `config`.

    Raises
    ------
    DatasetError
        If something is wrong with sessions, labels, options or the place; nothing is left then.
    LeakError
        If parts of a fold share what the protocol claims that they do not.
    RecordingError
        If a session cannot be read.
    """
    study = _study(config).changed(**options)
    window_rule(study)
    split_options(study)
    places = [sessions] if isinstance(sessions, Path | str) else list(sessions)
    out = Path(out).absolute()
    report = progress or _silent
    check_place(out)
    found = _surveyed([Path(place) for place in places], study, report)
    with building_folder(out) as folder, one_thread():
        return _build(found, out, folder, study, workers, scheduler, report)


def _build(
    sessions: list[SurveyedSession],
    out: Path,
    folder: Path,
    study: StudyConfiguration,
    workers: int,
    scheduler: str | None,
    progress: Progress,
) -> BuildReport:
    tasks = _tasks(sessions, out, folder, study)
    n_done = 0

    def done() -> None:
        nonlocal n_done
        n_done += 1
        progress("converting", n_done, len(tasks))

    progress("converting", 0, len(tasks))
    make_shards(tasks, workers, scheduler, done)
    classes = study.classes or tuple(sorted({name for s in sessions for name in s.classes}))
    shards = [Shard(task.shard) for task in tasks]
    whole = merged(sessions, shards, classes, study, fresh_folder(folder / "windows"))
    split, audited = _split_and_audited(whole, study, progress)
    report = BuildReport(
        out=out,
        n_sessions=len(sessions),
        n_reused=sum(task.earlier is not None for task in tasks),
        n_subjects=len({session.info.subject for session in sessions}),
        n_windows=len(whole.windows),
        classes=classes,
        protocol=split.protocol,
        n_folds=len(split.folds),
        leaky=not audited.clean,
        leaks=audited.counts(),
        warnings=(*split.warnings, *audited.explain_warnings().splitlines(), *audited.unchecked),
    )
    progress("writing", 0, 1)
    finished = fresh_folder(folder / "finished")
    _write(finished, whole, split, report)
    put_in_place(finished, out)
    progress("writing", 1, 1)
    return report


def _write(folder: Path, whole: Merged, split: Split, report: BuildReport) -> None:
    """Write all files of the dataset."""
    rule = window_rule(whole.study)
    attributes = {
        "timebase": layout.TIMEBASE_MONOTONIC,
        "protocol": split.protocol,
        "independent": split.independent,
        "leaky": report.leaky,
        "seed": whole.study.seed,
        "window_ns": rule.length_ns,
        "stride_ns": rule.stride_ns,
        "label_rule": whole.study.label_rule,
        "min_coverage": whole.study.min_coverage,
        "reference": whole.study.reference,
    }
    content = DatasetContent(
        attributes=attributes,
        classes=whole.classes,
        sessions=[session.info for session in whole.sessions],
        streams=whole.contents(),
        windows=whole.windows,
        folds=split.folds,
    )
    write_transitions(
        folder / layout.TRANSITIONS_FILE,
        whole.transitions,
        list(whole.profiles()),
        whole.classes,
        content.sessions,
    )
    write_files(
        folder,
        CardFacts(whole.study, content, split.unit.value, report.leaks, report.warnings),
        splits=split.as_json(leaky=report.leaky),
        configuration=whole.study.as_json(),
        inputs=[_input(session, whole.study) for session in whole.sessions],
    )


def _input(session: SurveyedSession, study: StudyConfiguration) -> dict[str, Any]:
    """Say what a session's part was made from, for the manifest."""
    return {
        "session_id": session.info.session_id,
        "subject": session.info.subject,
        "content_sha256": session.info.content_sha256,
        "sidecars_sha256": session.sidecars_sha256,
        "rows_key": rows_key(session, study),
    }


def _split_and_audited(
    whole: Merged, study: StudyConfiguration, progress: Progress
) -> tuple[Split, AuditResult]:
    """Divide the windows and prove that the parts are strangers.

    Raises
    ------
    LeakError
        If they are not, and the protocol claims that they are.
    """
    infos = [session.info for session in whole.sessions]
    if not np.any(whole.windows.is_labelled):
        raise DatasetError(
            f"none of the {len(infos)} sessions has a labelled window, expected some to train and "
            "test on. Label the sessions (labels.csv), or choose a shorter --window."
        )
    progress("auditing", 0, 1)
    split = make_folds(infos, whole.windows, split_options(study), whole.classes)
    recordings = whole.recordings()
    sketches = (shard.sketch(number) for number, shard in enumerate(whole.shards))
    result = audit(
        AuditedDataset(
            sessions=infos,
            windows=whole.windows,
            folds=split.folds,
            unit=split.unit,
            purge_ns=round(study.purge_s * 1e9) if not split.independent else 0,
            recordings=recordings,
        ),
        sketches,
    )
    if split.independent and not result.clean:
        raise LeakError(
            f"protocol {split.protocol}: parts of its folds share what it claims to keep apart, "
            "expected nothing in common. Leave the copies out, or correct the subjects' names:\n"
            f"{result.explain()}"
        )
    progress("auditing", 1, 1)
    return split, result


def _tasks(
    sessions: Sequence[SurveyedSession], out: Path, folder: Path, study: StudyConfiguration
) -> list[ShardTask]:
    """Say what is to be made of each session, and what is there already."""
    # Resampled rows have other stamps than the session, by which rows are found again.
    numbers = earlier_rows(out) if study.rate is None else {}
    tasks: list[ShardTask] = []
    for session in sessions:
        number = numbers.get(rows_key(session, study))
        earlier = None if number is None else EarlierSession(out / layout.DATASET_FILE, number)
        tasks.append(ShardTask(session, folder / shard_key(session, study), study, earlier))
    return tasks


def _surveyed(
    places: Sequence[Path], study: StudyConfiguration, progress: Progress
) -> list[SurveyedSession]:
    """Look at all sessions without reading their samples; say first what cannot work."""
    folders = find_sessions(places)
    sessions: list[SurveyedSession] = []
    for number, folder in enumerate(folders):
        progress("looking at sessions", number, len(folders))
        sessions.append(survey(folder, study.classes))
    sessions = with_subjects(ordered(sessions), subjects_beside(places), study.licence)
    check_streams(sessions, study.rate)
    return sessions


def _study(config: StudyConfiguration | Path | str | None) -> StudyConfiguration:
    if config is None:
        return StudyConfiguration()
    return config if isinstance(config, StudyConfiguration) else read_configuration(Path(config))


def _silent(stage: str, done: int, total: int) -> None:
    """Tell nobody."""
