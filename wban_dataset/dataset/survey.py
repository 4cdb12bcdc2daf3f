"""What has to be known of each session before any of its samples is read."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from wban_dataset.errors import DatasetError
from wban_dataset.labels.session_labels import labels_of
from wban_dataset.labels.timeline import Timeline, timeline
from wban_dataset.recording.errors import DAMAGE, SessionError, damaged_inside
from wban_dataset.recording.folder_tree import session_folders
from wban_dataset.recording.layout import FILE_NAME, LABELS_SIDECAR
from wban_dataset.recording.sealed import SealedStore
from wban_dataset.recording.session import Session, Stream
from wban_dataset.recording.streams import Label
from wban_dataset.session_info import SessionInfo
from wban_dataset.subjects import Subject

HYGIENE_SIDECAR = "hygiene.json"
MOTION_KINDS = ("accel", "gyro")


@dataclass(frozen=True, slots=True)
class SurveyedStream:
    """One stream of one session.

    Attributes
    ----------
    full_scale
        Largest value in `units`; 0 where unknown.
    """

    name: str
    kind: str
    units: str
    sampling_rate_hz: float
    placement: str
    device: str
    full_scale: float
    scale_factor: float
    sample_shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class SurveyedSession:
    """One session.

    Attributes
    ----------
    folder
        Of the session file.
    labels
        Those that count: ``labels.csv`` over the session's own.
    sidecars_sha256
        By file name, of what stands beside the session and counts for the dataset.
    """

    folder: Path
    info: SessionInfo
    streams: tuple[SurveyedStream, ...]
    labels: tuple[Label, ...]
    sidecars_sha256: dict[str, str]

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes that its labels have, sorted."""
        return tuple(sorted({label.label for label in self.labels} - {""}))


def find_sessions(places: Iterable[Path]) -> list[Path]:
    """Find the folders of the sessions at or below places, each once.

    Raises
    ------
    DatasetError
        If a place has none.
    """
    found: dict[Path, Path] = {}
    for place in places:
        folder = place.parent if place.name == FILE_NAME else place
        below = list(session_folders(folder)) if folder.is_dir() else []
        if not below:
            raise DatasetError(
                f"{place}: there is no session in it, expected a session's folder or a folder with "
                "sessions below. Check the path, or make some with 'wban-collect simulate-study'."
            )
        found |= {session.resolve(): session for session in below}
    return list(found.values())


def survey(folder: Path, classes: Sequence[str] = ()) -> SurveyedSession:
    """Look at a session without reading its samples.

    Parameters
    ----------
    classes
        Names that labels may have; (): any.

    Raises
    ------
    SessionError
        If it cannot be read.
    DatasetError
        If it is not sealed, or its labels cannot be used.
    """
    try:
        with Session.open(folder) as session:
            found = _surveyed(session, folder, classes)
    except DAMAGE as error:
        raise damaged_inside(folder, error) from error
    timeline_of(found, classes)  # refuses labels that contradict one another
    return found


def timeline_of(session: SurveyedSession, classes: Sequence[str] = ()) -> Timeline:
    """Decide between a session's labels; codes are places in `classes`, or in its own.

    Raises
    ------
    DatasetError
        If labels contradict one another, or are of an unknown class.
    """
    where = f"session {session.folder}"
    return timeline(session.labels, classes or session.classes, where=where)


def ordered(sessions: Iterable[SurveyedSession]) -> list[SurveyedSession]:
    """Put sessions in the order of the table ``sessions``.

    Raises
    ------
    DatasetError
        If one is there twice.
    """
    by_number = sorted(
        sessions, key=lambda s: (s.info.subject, s.info.start_utc, s.info.session_id)
    )
    by_id: dict[str, SurveyedSession] = {}
    for session in by_number:
        other = by_id.setdefault(session.info.session_id, session)
        if other is not session:
            raise DatasetError(
                f"session {session.info.session_id} is there twice, as {other.folder} and as "
                f"{session.folder}, expected each session once. Leave one of them out."
            )
    return by_number


def check_streams(sessions: Sequence[SurveyedSession], rate_hz: float | None) -> None:
    """Check that a stream's name means the same in every session; devices and ranges may differ.

    Raises
    ------
    DatasetError
        If kinds, units or channels differ, or rates where none is asked for.
    """
    first: dict[str, tuple[SurveyedSession, SurveyedStream]] = {}
    for session in sessions:
        for stream in session.streams:
            of, known = first.setdefault(stream.name, (session, stream))
            _check_same(stream, session, known, of, rate_hz)


def _check_same(
    stream: SurveyedStream,
    session: SurveyedSession,
    known: SurveyedStream,
    of: SurveyedSession,
    rate_hz: float | None,
) -> None:
    places = f"session {session.folder}: stream {stream.name}"
    if (stream.kind, stream.units) != (known.kind, known.units):
        raise DatasetError(
            f"{places} is of kind {stream.kind} in {stream.units}, expected {known.kind} in "
            f"{known.units} as in session {of.folder}. Build them apart."
        )
    is_motion = stream.kind in MOTION_KINDS
    if is_motion and stream.sample_shape != known.sample_shape:
        raise DatasetError(
            f"{places} has {stream.sample_shape[0]} channels, expected {known.sample_shape[0]} as "
            f"in session {of.folder}. Build them apart."
        )
    rates_differ = stream.sampling_rate_hz != known.sampling_rate_hz
    if rates_differ and not (is_motion and rate_hz is not None):
        remedy = (
            "Resample both with --rate HZ, or build them apart."
            if is_motion
            else "Build them apart."
        )
        raise DatasetError(
            f"{places} was recorded at {stream.sampling_rate_hz:g} Hz, expected "
            f"{known.sampling_rate_hz:g} Hz as in session {of.folder}. {remedy}"
        )


def with_subjects(
    sessions: Iterable[SurveyedSession], subjects: Mapping[str, Subject], licence: str
) -> list[SurveyedSession]:
    """Add licence and consent of each subject; `licence` where ``subjects.csv`` says nothing."""
    added: list[SurveyedSession] = []
    for session in sessions:
        row = subjects.get(session.info.subject)
        own, consent = (row.licence, row.consent) if row else ("", "")
        info = replace(session.info, licence=own or licence, consent=consent)
        added.append(replace(session, info=info))
    return added


def _surveyed(session: Session, folder: Path, classes: Sequence[str]) -> SurveyedSession:
    store = session.store
    if not isinstance(store, SealedStore):
        raise SessionError(
            f"session {session.path}: it is not sealed yet, expected a sealed one. "
            "Seal it with 'wban-collect seal'."
        )
    streams = tuple(_stream(session.stream(name), folder) for name in session.streams)
    info = SessionInfo(
        session_id=str(session.session_id),
        subject=str(session.subject),
        activity=str(session.activity),
        start_utc=str(session.start_utc),
        source=_source(session),
        content_sha256=store.content_sha256(),
        duration_ns=_duration_ns(store, [stream.name for stream in streams]),
    )
    labels = tuple(labels_of(session, classes or None))
    sidecars = {
        name: hashlib.sha256((session.path.parent / name).read_bytes()).hexdigest()
        for name in (LABELS_SIDECAR, HYGIENE_SIDECAR)
        if (session.path.parent / name).is_file()
    }
    return SurveyedSession(session.path.parent, info, streams, labels, sidecars)


def _stream(stream: Stream, folder: Path) -> SurveyedStream:
    if not (math.isfinite(stream.scale_factor) and math.isfinite(stream.add_offset)):
        raise DatasetError(
            f"session {folder}: stream {stream.name} has the scale factor {stream.scale_factor} "
            f"and the offset {stream.add_offset}, expected finite numbers. Import or record it "
            "again."
        )
    return SurveyedStream(
        name=stream.name,
        kind=stream.kind,
        units=stream.units,
        sampling_rate_hz=stream.sampling_rate_hz,
        placement=stream.placement,
        device=stream.device,
        full_scale=float(stream.attributes.get("range", 0.0)),
        scale_factor=stream.scale_factor,
        sample_shape=tuple(stream.sample_shape),
    )


def _source(session: Session) -> str:
    """Tell what the session was imported from, or how it came about."""
    stated = str(session.attributes.get("source", ""))
    return stated or ("simulated" if session.simulated else "recorded")


def _duration_ns(store: SealedStore, names: Sequence[str]) -> int:
    """From the first stamp of any stream to the last."""
    firsts: list[int] = []
    lasts: list[int] = []
    for name in names:
        n_rows = store.n_rows(name)
        if n_rows:
            firsts.append(int(store.rows(name, "monotonic_ns", 0, 1)[0]))
            lasts.append(int(store.rows(name, "monotonic_ns", n_rows - 1, n_rows)[0]))
    return max(lasts) - min(firsts) if firsts else 0
