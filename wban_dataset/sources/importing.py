"""From a source to a folder of sealed sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wban_dataset.errors import DatasetError
from wban_dataset.recording.whole_file import write_whole
from wban_dataset.sources import delimited, hapt
from wban_dataset.sources.archives import opened_tree
from wban_dataset.sources.delimited import Recording
from wban_dataset.sources.delimited_format import DelimitedFormat, to_toml
from wban_dataset.sources.hapt import HaptText
from wban_dataset.sources.imported import WrittenSession, write_session
from wban_dataset.sources.workers import in_order

FORMAT_NAME = "import.toml"
"""Written beside the sessions, so that the import can be repeated."""


@dataclass(frozen=True, slots=True)
class ImportedRecording:
    """A session that was made.

    Attributes
    ----------
    notes
        What was odd in its files, and what was done about it.
    """

    written: WrittenSession
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _DelimitedJob:
    recording: Recording
    texts: dict[str, bytes]
    format_: DelimitedFormat
    out: Path


def import_hapt(
    path: Path, out: Path, *, n_workers: int = 1, started: Callable[[int], None] | None = None
) -> Iterator[ImportedRecording]:
    """Import HAPT, a recording at a time.

    Parameters
    ----------
    started
        Told how many recordings there are, before the first.

    Raises
    ------
    DatasetError
        If a file is missing or makes no sense; sessions that were made before stay.
    """
    _make_folder(out)
    with hapt.opened_recordings(path) as (n_recordings, texts):
        if started is not None:
            started(n_recordings)
        yield from in_order(_write_hapt, ((text, out) for text in texts), n_workers)


def import_delimited(
    path: Path,
    out: Path,
    format_: DelimitedFormat,
    *,
    n_workers: int = 1,
    started: Callable[[int, tuple[str, ...]], None] | None = None,
) -> Iterator[ImportedRecording]:
    """Import recordings as delimited text, a session at a time, and keep the format beside them.

    Parameters
    ----------
    started
        Told how many sessions there are, and which files were left out, before the first.

    Raises
    ------
    DatasetError
        If a file is not as the format says; sessions that were made before stay.
    """
    _make_folder(out)
    with opened_tree(path) as tree:
        found = delimited.find_recordings(tree, format_)
        if started is not None:
            started(len(found.recordings), found.left_out)
        jobs = (
            _DelimitedJob(
                recording,
                {file.name: tree.read(file.name) for file in recording.files},
                format_,
                out,
            )
            for recording in found.recordings
        )
        yield from in_order(_write_delimited, jobs, n_workers)
    write_whole(out / FORMAT_NAME, to_toml(format_).encode())


def _write_hapt(job: tuple[HaptText, Path]) -> ImportedRecording:
    text, out = job
    return ImportedRecording(write_session(hapt.session_of(text), out))


def _write_delimited(job: _DelimitedJob) -> ImportedRecording:
    session, notes = delimited.session_of(job.recording, job.texts, job.format_)
    return ImportedRecording(write_session(session, job.out), tuple(notes))


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DatasetError(
            f"folder {out}: it cannot be made ({(error.strerror or str(error)).lower()}), expected "
            "a place to write to. Choose another with --out."
        ) from error
