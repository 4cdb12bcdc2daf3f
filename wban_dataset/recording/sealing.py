"""Journal to ``session.h5``: written aside, read back and compared, renamed; only then it is gone.

Killed at any point and run again, the result is the same to the byte, because it depends on the
journal alone. As a command, which the recorder runs as a child process with low priority::

    python -m wban_dataset.recording.sealing DIR

It writes one line of JSON to stdout and ends with 0, with 3 if the session has losses, and with 1
if it could not be sealed.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wban_dataset.recording import layout
from wban_dataset.recording.errors import RecordingError, SealingError
from wban_dataset.recording.folder_lock import locked
from wban_dataset.recording.framing import JournalVersionError, segment_paths
from wban_dataset.recording.journal import sync_directory
from wban_dataset.recording.journal_index import JournalIndex, segment_sizes
from wban_dataset.recording.sealed import SealedStore
from wban_dataset.recording.session_writer import SessionWriter, file_digest
from wban_dataset.recording.unsealed import JournalStore
from wban_dataset.recording.verification import compare, verify

EXIT_CLEAN, EXIT_FAILED, EXIT_LOSSES = 0, 1, 3
NICENESS = 10

OOM_SCORE = Path("/proc/self/oom_score_adj")
FIRST_TO_GO = 500

# linux/ioprio.h: who = process, class 3 = idle is too weak on a busy card; best effort, lowest.
IOPRIO_WHO_PROCESS = 1
IOPRIO_LOWEST_BEST_EFFORT = 2 << 13 | 7
IOPRIO_SET_SYSCALL = {"x86_64": 251, "aarch64": 30, "armv7l": 314}

SealProgress = Callable[[int, int], None]
"""Told how many bytes of how many are done."""


@dataclass(frozen=True, slots=True)
class SealReport:
    """What was sealed.

    Attributes
    ----------
    end_reason
        Why the recording ended, as it says itself; "" where it was cut off.
    rows, n_lost
        Samples in the file, and samples known to be lost, by stream.
    was_sealed
        It had been sealed before.
    journal_bytes
        0 where the journal was gone already.
    """

    path: Path
    rows: dict[str, int]
    n_lost: dict[str, int]
    n_gaps: int
    complete: bool
    recovered: bool
    end_reason: str
    lost_tail_ns: int
    journal_bytes: int
    file_bytes: int
    was_sealed: bool = False
    warnings: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        """Whether nothing is missing."""
        return self.complete and not any(self.n_lost.values())


def seal(directory: Path | str, *, progress: SealProgress | None = None) -> SealReport:
    """Seal the session in a folder; does nothing where it is sealed already.

    Raises
    ------
    SealingError
        If there is no session, the disk is full or fails, or another process works on the folder.
        The journal is kept.
    JournalContentError
        If no session can be made of the journal.
    """
    folder = Path(directory)
    with locked(folder):
        (folder / layout.RESERVATION_NAME).unlink(missing_ok=True)
        (folder / layout.PARTIAL_NAME).unlink(missing_ok=True)
        journal = folder / layout.JOURNAL_NAME
        has_journal = journal.is_dir() and bool(segment_paths(journal))
        if (folder / layout.FILE_NAME).exists():
            return _finish_sealed(folder, journal, has_journal=has_journal)
        if not has_journal:
            raise SealingError(
                f"folder {folder}: there is neither a journal nor {layout.FILE_NAME} in it, "
                "expected a recorded session. Check the path."
            )
        return _seal_journal(folder, journal, progress or (lambda _done, _total: None))


def space_needed(directory: Path | str) -> int:
    """Bytes that sealing a folder takes at most, before compression; reads the journal once."""
    index = JournalIndex.scan(Path(directory) / layout.JOURNAL_NAME)
    total = 4 << 20
    newest_ns = oldest_ns = 0
    for stream in index.streams.values():
        spec = stream.spec
        columns = layout.stream_columns(spec.kind)
        lengths = {name: len(values) for name, values in layout.scales(spec).items()}
        total += sum(_row_bytes(c, lengths) for c in columns if "time" in c.axes) * stream.n_rows
        total += 8 * len(layout.READS) * len(stream.segment)
        ends_ns = stream.evidence("read_end_ns")
        if len(ends_ns):
            oldest_ns = min(oldest_ns or int(ends_ns[0]), int(ends_ns[0]))
            newest_ns = max(newest_ns, int(ends_ns[-1]))
    specs = {name: stream.spec for name, stream in index.streams.items()}
    tick_bytes = sum(_row_bytes(c, {"channel": 3}) for c in layout.aligned_columns(specs))
    total += int((newest_ns - oldest_ns) / 1e9 * index.header.aligned_rate_hz + 1) * tick_bytes
    total += 256 * (len(index.labels) + len(index.anchors) + len(index.health) + len(index.marks))
    # Chunks that do not compress grow by a few bytes, and each has an entry in an index.
    return total + total // 64


def _row_bytes(column: layout.Column, lengths: dict[str, int]) -> int:
    item = 16 if column.is_text else np.dtype(column.dtype).itemsize
    for axis in column.axes:
        item *= lengths.get(axis, 1)
    return item


def _seal_journal(folder: Path, journal: Path, progress: SealProgress) -> SealReport:
    total = 3 * sum(segment_sizes(journal).values())
    part = folder / layout.PARTIAL_NAME
    try:
        index = JournalIndex.scan(journal, lambda done: progress(done, total))
        n_bytes = index.n_bytes
        writer = SessionWriter(JournalStore(folder, index), part)
        content = writer.write(lambda done: progress(n_bytes + done, total))
        _sync_and_forget(part)
        compare(part, content)
        part.rename(folder / layout.FILE_NAME)
        sync_directory(folder)
    except RecordingError:
        part.unlink(missing_ok=True)
        raise
    except JournalVersionError as error:
        raise SealingError(str(error)) from error
    except (OSError, RuntimeError) as error:
        # h5py raises either when the disk is full; nothing of the journal was touched.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        part.unlink(missing_ok=True)
        raise SealingError(
            f"session {folder}: it could not be sealed ({reason}), expected about "
            f"{total // 3 / 1e6:.0f} MB of free space and a disk that works. "
            "The journal is untouched: free some space and seal again."
        ) from error
    report = _report(folder, journal_bytes=n_bytes, warnings=tuple(writer.warnings))
    _remove_journal(journal)
    progress(total, total)
    return report


def _finish_sealed(folder: Path, journal: Path, *, has_journal: bool) -> SealReport:
    """Remove the journal of a sealed session, if the file is whole and was made from it."""
    if not has_journal:
        if journal.is_dir():
            _remove_journal(journal)
        return _report(folder, was_sealed=True)
    sealed = folder / layout.FILE_NAME
    store = SealedStore.open(sealed)
    try:
        checked = verify(store)
        provenance = store.table(layout.PROVENANCE_GROUP)
    finally:
        store.close()
    if not checked.ok:
        raise SealingError(
            f"session {sealed}: {checked.problems[0]}, expected a whole file beside its journal. "
            "Move the file away and seal again; the journal is untouched."
        )
    sealed_from = dict(
        zip(provenance["journal_segment"], provenance["journal_sha256"], strict=True)
    )
    n_bytes = 0
    for _, path in segment_paths(journal):
        if sealed_from.get(path.name) != file_digest(path):
            raise SealingError(
                f"journal segment {path}: {layout.FILE_NAME} beside it was not made from it, "
                "expected the journal of the same session. Move one of them away; nothing was "
                "removed."
            )
        n_bytes += path.stat().st_size
    _remove_journal(journal)
    return _report(folder, journal_bytes=n_bytes, was_sealed=True)


def _report(
    folder: Path,
    *,
    journal_bytes: int = 0,
    was_sealed: bool = False,
    warnings: tuple[str, ...] = (),
) -> SealReport:
    """Say what the sealed file says of itself."""
    path = folder / layout.FILE_NAME
    store = SealedStore.open(path)
    try:
        root = store.root()
        names = store.stream_names()
        return SealReport(
            path=path,
            rows={name: store.n_rows(name) for name in names},
            n_lost={name: int(store.stream_attributes(name)["n_lost"]) for name in names},
            n_gaps=store.n_gaps(),
            complete=bool(root["complete"]),
            recovered=bool(root["recovered"]),
            end_reason=str(root["end_reason"]),
            lost_tail_ns=int(root["lost_tail_ns"]),
            journal_bytes=journal_bytes,
            file_bytes=path.stat().st_size,
            was_sealed=was_sealed,
            warnings=warnings,
        )
    finally:
        store.close()


def _sync_and_forget(path: Path) -> None:
    """Bring a file to the disk and drop it from memory, so that reading it back reads the disk."""
    fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


def _remove_journal(journal: Path) -> None:
    for _, path in segment_paths(journal):
        path.unlink()
    shutil.rmtree(journal)
    sync_directory(journal.parent)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m wban_dataset.recording.sealing")
    parser.add_argument("directory", type=Path, metavar="DIR", help="a session's folder")
    parser.add_argument("--progress", action="store_true", help="write 'done total' lines first")
    arguments = parser.parse_args(argv)
    try:
        report = seal(arguments.directory, progress=_write_progress if arguments.progress else None)
    except (RecordingError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return EXIT_FAILED
    plain = {**dataclasses.asdict(report), "path": str(report.path), "clean": report.clean}
    sys.stdout.write(json.dumps(plain) + "\n")
    return EXIT_CLEAN if report.clean else EXIT_LOSSES


def _write_progress(done: int, total: int) -> None:
    sys.stdout.write(f"{done} {total}\n")
    sys.stdout.flush()


def lower_priority() -> None:
    """Give way to the recorder in processor, disk and memory, as far as the system lets us."""
    with suppress(OSError):
        os.nice(NICENESS)
    with suppress(OSError):  # short of memory, the kernel ends this and not the recorder
        OOM_SCORE.write_text(f"{FIRST_TO_GO}\n", encoding="ascii")
    number = IOPRIO_SET_SYSCALL.get(platform.machine())
    if number is not None:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.syscall(number, IOPRIO_WHO_PROCESS, 0, IOPRIO_LOWEST_BEST_EFFORT)


if __name__ == "__main__":
    lower_priority()
    sys.exit(main())
