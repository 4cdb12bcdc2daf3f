"""A recording that somebody else made, and the sealed session that it becomes.

It goes the way of every recording: into a journal, which is sealed. All that tells it apart are
the evidence of its stamps, which is "given", its attribute ``source``, and its id, which is made of
its content, so that importing twice gives the same bytes.
"""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wban_dataset.errors import DatasetError
from wban_dataset.recording import layout
from wban_dataset.recording.container import wban_version
from wban_dataset.recording.errors import SessionError
from wban_dataset.recording.framing import NONCE_BYTES
from wban_dataset.recording.journal import JournalWriter, sync_directory
from wban_dataset.recording.records import JournalItem, encode
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.session import Session
from wban_dataset.recording.streams import (
    ClockAnchor,
    Gap,
    Label,
    Read,
    SampleBlock,
    SessionEnd,
    SessionHeader,
    StreamKind,
    StreamSpec,
)
from wban_dataset.sources.counts import Counts, quantised

UNITS: Mapping[StreamKind, str] = {"accel": "m s-2", "gyro": "rad s-1"}
UNKNOWN_DEVICE = "unknown"
MIXED, UNLABELLED = "mixed", "unlabelled"
LABEL_SOURCE = "import"
GAP_CAUSE = "missing in the source"
SOURCE, RECORDING = "source", "recording"
"""Attributes of the session."""

BLOCK_ROWS = 1 << 16
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True, slots=True)
class ImportedStream:
    """Samples of one sensor.

    Attributes
    ----------
    values
        In the unit of `UNITS`, float64 (n, 3), finite.
    stamps_ns
        From the session's start, int64 (n,), strictly increasing.
    sampling_rate_hz
        Nominal.
    stretch_rows
        Rows before which samples are missing, increasing.
    step
        The sensor's resolution in the values' unit; 0 where it is not known.
    """

    name: str
    kind: StreamKind
    values: NDArray[np.float64]
    stamps_ns: NDArray[np.int64]
    sampling_rate_hz: float
    device: str = UNKNOWN_DEVICE
    placement: str = ""
    stretch_rows: Sequence[int] = ()
    step: float = 0.0

    @property
    def period_ns(self) -> int:
        """Nominal time from one sample to the next."""
        return round(1e9 / self.sampling_rate_hz)

    @property
    def stop_ns(self) -> int:
        """When it ends: one period after its last sample."""
        return int(self.stamps_ns[-1]) + self.period_ns

    def stretches(self) -> list[slice]:
        """Rows of each stretch without a gap."""
        bounds = [0, *self.stretch_rows, len(self.stamps_ns)]
        return [slice(start, stop) for start, stop in itertools.pairwise(bounds)]


@dataclass(frozen=True, slots=True)
class ImportedSession:
    """One recording.

    Attributes
    ----------
    source, recording, subject
        Where it is from, which it is there, and whose; together its name.
    labels
        Of the session's own time; sorted, none over another.
    start_realtime_ns
        UTC of its start, ns since 1970; None where there is no date.
    configuration
        How it was imported, TOML.
    """

    source: str
    recording: str
    subject: str
    streams: Sequence[ImportedStream]
    labels: Sequence[Label] = ()
    start_realtime_ns: int | None = None
    configuration: str = ""

    @property
    def activity(self) -> str:
        """What all its labels say; otherwise that they differ, or that there is none."""
        names = {label.label for label in self.labels}
        return next(iter(names)) if len(names) == 1 else MIXED if names else UNLABELLED

    @property
    def stop_ns(self) -> int:
        """When its last stream ends."""
        return max(stream.stop_ns for stream in self.streams)

    @property
    def folder_name(self) -> str:
        """Name of its folder: by date where there is one."""
        if self.start_realtime_ns is None:
            return f"{self.source}_{self.recording}_{self.subject}"
        start = datetime.fromtimestamp(self.start_realtime_ns // 1_000_000_000, tz=UTC)
        return f"{start:%Y%m%dT%H%M%SZ}_{self.subject}_{self.activity}_{self.recording}"


@dataclass(frozen=True, slots=True)
class WrittenSession:
    """What became of a recording.

    Attributes
    ----------
    was_there
        The same session had been imported before; nothing was done.
    n_samples, n_missing
        Rows of all streams, and samples that the gaps between them have no room for otherwise.
    rounding
        By stream that does not keep its values exactly: the largest error, in its unit.
    """

    folder: Path
    session_id: str
    subject: str
    n_samples: int
    n_missing: int
    n_labels: int
    duration_ns: int
    rounding: dict[str, float]
    was_there: bool = False


def write_session(session: ImportedSession, out: Path) -> WrittenSession:
    """Seal a recording as a session in a folder below `out`; whole or not at all.

    Raises
    ------
    DatasetError
        If it has no samples, a label cannot stand in it, or another session has its name.
    SealingError
        If the disk is full or fails.
    """
    check(session)
    counts = {stream.name: quantised(stream.values, stream.step) for stream in session.streams}
    digest = _content_digest(session, counts)
    written = _described(session, counts, out / session.folder_name, _session_id(session, digest))
    if written.folder.exists():
        return _found_again(written)
    aside = out / f".{session.folder_name}.part"
    shutil.rmtree(aside, ignore_errors=True)  # of an import that was killed
    aside.mkdir(parents=True)
    try:
        _write_journal(aside, _items(session, counts, written.session_id), digest)
        seal(aside)
        aside.rename(written.folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    sync_directory(out)
    return written


def check(session: ImportedSession) -> None:
    """Check that a session can be made.

    Raises
    ------
    DatasetError
        If a stream is too short, or a label is empty, outside or over another.
    """
    where = f"recording {session.recording} of {session.subject}"
    for stream in session.streams:
        if len(stream.stamps_ns) < 2:
            raise DatasetError(
                f"{where}: stream {stream.name} has {len(stream.stamps_ns)} samples, expected at "
                "least two. Leave the recording out."
            )
    stop_ns, before = session.stop_ns, None
    for label in sorted(session.labels, key=lambda label: (label.start_ns, label.stop_ns)):
        told = f"label {label.label!r} from {_seconds(label.start_ns)} to {_seconds(label.stop_ns)}"
        if not 0 <= label.start_ns < label.stop_ns <= stop_ns:
            raise DatasetError(
                f"{where}: the {told}, expected one within 0 and {_seconds(stop_ns)} that ends "
                "after it starts. Mend the labels."
            )
        if before is not None and label.start_ns < before.stop_ns:
            raise DatasetError(
                f"{where}: the {told} begins before {before.label!r} ends at "
                f"{_seconds(before.stop_ns)}, expected labels that do not overlap. Mend the labels."
            )
        before = label


def gaps(stream: ImportedStream) -> Iterator[Gap]:
    """Say what is missing between the stretches of a stream."""
    for row in stream.stretch_rows:
        before_ns, after_ns = stream.stamps_ns[row - 1 : row + 1].tolist()
        n_missing = max(1, round((after_ns - before_ns) / stream.period_ns) - 1)
        start_ns = min(before_ns + stream.period_ns, after_ns - 1)
        yield Gap(stream.name, start_ns, after_ns, n_missing, GAP_CAUSE, exact=True)


def _described(
    session: ImportedSession, counts: Mapping[str, Counts], folder: Path, session_id: str
) -> WrittenSession:
    return WrittenSession(
        folder=folder,
        session_id=session_id,
        subject=session.subject,
        n_samples=sum(len(stream.stamps_ns) for stream in session.streams),
        n_missing=sum(gap.n_missing for stream in session.streams for gap in gaps(stream)),
        n_labels=len(session.labels),
        duration_ns=session.stop_ns,
        rounding={name: c.largest_error for name, c in counts.items() if not c.is_exact},
    )


def _found_again(written: WrittenSession) -> WrittenSession:
    try:
        with Session.open(written.folder) as found:
            session_id = found.session_id if found.is_sealed else ""
    except SessionError:
        session_id = ""
    if session_id != written.session_id:
        raise DatasetError(
            f"folder {written.folder}: it holds something else already, expected nothing or the "
            "same recording. Choose another folder with --out, or move it away."
        )
    return replace(written, was_there=True)


def _session_id(session: ImportedSession, digest: bytes) -> str:
    """Make a ULID of the date, 0 where there is none, and the content."""
    ms = (session.start_realtime_ns or 0) // 1_000_000
    value = ms << 80 | int.from_bytes(digest[:10], "big")
    return "".join(_CROCKFORD[value >> shift & 31] for shift in range(125, -5, -5))


def _content_digest(session: ImportedSession, counts: Mapping[str, Counts]) -> bytes:
    whole = hashlib.sha256()
    told = (session.source, session.recording, session.subject, session.start_realtime_ns)
    whole.update(repr((told, session.configuration, list(session.labels))).encode())
    for stream in session.streams:
        whole.update(repr(_spec(stream, counts[stream.name])).encode())
        whole.update(repr(list(stream.stretch_rows)).encode())
        for array in (stream.stamps_ns.astype("<i8"), counts[stream.name].counts.astype("<i2")):
            whole.update(np.ascontiguousarray(array).data)
    return whole.digest()


def _write_journal(folder: Path, items: Iterable[JournalItem], digest: bytes) -> None:
    """Write the journal; it is not brought to the disk, for it is gone in an instant."""
    nonce = digest[:NONCE_BYTES]  # no random one: the sealed file tells the journal's SHA-256
    journal = folder / layout.JOURNAL_NAME
    with JournalWriter(journal, nonce, sync=lambda _fd: None) as writer:
        for item in items:
            writer.append(*encode(item), now_ns=0)


def _items(
    session: ImportedSession, counts: Mapping[str, Counts], session_id: str
) -> Iterator[JournalItem]:
    yield _header(session, session_id)
    for stream in session.streams:
        yield _spec(stream, counts[stream.name])
    if session.start_realtime_ns is not None:
        yield ClockAnchor(0, 0, session.start_realtime_ns, synchronised=True, est_error_ns=0)
    yield from session.labels
    for stream in session.streams:
        yield from _blocks(stream, counts[stream.name].counts)
    yield SessionEnd(session.stop_ns, "source ended", {})


def _header(session: ImportedSession, session_id: str) -> SessionHeader:
    return SessionHeader(
        session_id=session_id,
        boot_id="",
        subject=session.subject,
        activity=session.activity,
        host="",
        wban_version=wban_version(),
        started_monotonic_ns=0,
        configuration=session.configuration,
        attributes={SOURCE: session.source, RECORDING: session.recording},
    )


def _spec(stream: ImportedStream, counts: Counts) -> StreamSpec:
    return StreamSpec(
        name=stream.name,
        kind=stream.kind,
        device=stream.device,
        dtype="<i2",
        sample_shape=(3,),
        units=UNITS[stream.kind],
        sampling_rate_hz=stream.sampling_rate_hz,
        evidence="given",
        scale_factor=counts.scale_factor,
        channels=("x", "y", "z"),
        placement=stream.placement,
        attributes={"rounding_error": 0.0 if counts.is_exact else counts.largest_error},
    )


def _blocks(stream: ImportedStream, counts: NDArray[np.int16]) -> Iterator[SampleBlock | Gap]:
    gap = gaps(stream)
    for segment, rows in enumerate(stream.stretches()):
        if segment:
            yield next(gap)
        for start in range(rows.start, rows.stop, BLOCK_ROWS):
            part = slice(start, min(start + BLOCK_ROWS, rows.stop))
            stamps_ns = stream.stamps_ns[part]
            read = Read(int(stamps_ns[0]), int(stamps_ns[-1]))
            columns = {layout.GIVEN_STAMPS: stamps_ns}
            yield SampleBlock(stream.name, start, segment, counts[part], read, columns)


def _seconds(time_ns: int) -> str:
    return f"{time_ns / 1e9:.3f} s"
