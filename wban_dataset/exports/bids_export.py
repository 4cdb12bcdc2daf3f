"""Sessions as Motion-BIDS: the brain imaging data structure 1.11, its datatype ``motion``.

Each accelerometer and gyroscope is a tracking system of its own, with a channel ``latency`` of type
LATENCY that holds the true stamps: seconds with nine digits since the earliest sample of the
session, whose UTC is ``acq_time`` in ``scans.tsv``. BIDS knows no thermal or infrared pictures;
they are left out, and ``README.md`` says so.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from wban_dataset.exports.bids_names import label_of, labels_of
from wban_dataset.exports.chosen import kept, opened
from wban_dataset.exports.description import write_json
from wban_dataset.exports.pieces import decimals, pieces
from wban_dataset.recording.recorded_stream import Stream
from wban_dataset.recording.session import Session
from wban_dataset.subjects import Subject, subjects_beside

BIDS_VERSION = "1.11.0"
NOT_AVAILABLE = "n/a"
UNITS = {"m s-2": "m/s^2", "rad s-1": "rad/s"}
CHANNEL_COLUMNS = (
    *("name", "component", "type", "tracked_point", "units"),
    *("placement", "sampling_frequency"),
)
EVENT_COLUMNS = ("onset", "duration", "trial_type", "annotator", "label_source", "confidence")
SCAN_COLUMNS = ("filename", "acq_time")
SESSION_COLUMNS = ("session_id", "acq_time", "wban_session_id", "activity")
NS = 1_000_000_000


def write_bids(folders: Sequence[Path], out: Path, without: Collection[str]) -> list[str]:
    """Write sessions as one BIDS dataset into a folder that is there.

    Returns
    -------
    list of str
        Names of the streams that BIDS has no place for, sorted.

    Raises
    ------
    ExportError
        If two subjects would have one label.
    """
    by_subject: dict[str, list[tuple[str, str, Path]]] = {}
    for folder in folders:
        with opened(folder) as session:
            at = (str(session.start_utc), str(session.session_id), folder)
            by_subject.setdefault(str(session.subject), []).append(at)
    labels = labels_of(by_subject, "subjects")
    without_place: set[str] = set()
    for subject, label in labels.items():
        rows: list[Sequence[str]] = []
        for number, (_, _, folder) in enumerate(sorted(by_subject[subject]), 1):
            with opened(folder) as session:
                motion = _SessionWriter(session, out, label, f"{number:02d}", without)
                rows.append(motion.write())
                without_place |= motion.without_place
        _tsv(out / f"sub-{label}" / f"sub-{label}_sessions.tsv", SESSION_COLUMNS, rows)
    known = subjects_beside(folders)
    _write_participants(out, labels, known)
    _write_sessions_sidecar(out)
    _write_dataset(out, sorted(without_place), known, labels)
    return sorted(without_place)


class _SessionWriter:
    """Writes the folder ``ses-LABEL`` of one session."""

    def __init__(
        self, session: Session, out: Path, subject: str, label: str, without: Collection[str]
    ) -> None:
        streams = kept(session, without)
        self._session = session
        self._streams = [stream for stream in streams if stream.channels]
        self.without_place = {stream.name for stream in streams if not stream.channels}
        self._folder = out / f"sub-{subject}" / f"ses-{label}"
        self._label = label
        self._task = label_of(str(session.activity))
        self._prefix = f"sub-{subject}_ses-{label}"
        firsts = [int(stream.monotonic_ns[0]) for stream in self._streams if stream.n]
        self._origin_ns = min(firsts, default=int(session.started_monotonic_ns))

    def write(self) -> Sequence[str]:
        """Write all files of the session; return its row of ``sessions.tsv``."""
        (self._folder / "motion").mkdir(parents=True)
        acquired = self._acq_time()
        systems = labels_of((stream.name for stream in self._streams), "streams")
        scans: list[Sequence[str]] = []
        for stream in self._streams:
            name = f"{self._prefix}_task-{self._task}_tracksys-{systems[stream.name]}"
            self._write_stream(stream, name, systems[stream.name])
            scans.append((f"motion/{name}_motion.tsv", acquired))
        _tsv(self._folder / f"{self._prefix}_scans.tsv", SCAN_COLUMNS, scans)
        self._write_events()
        return (
            f"ses-{self._label}",
            acquired,
            str(self._session.session_id),
            str(self._session.activity),
        )

    def _acq_time(self) -> str:
        """UTC of the earliest sample, to the microsecond that BIDS allows."""
        if not self._session.start_utc:
            return NOT_AVAILABLE
        utc_ns = self._session.to_utc(np.array([self._origin_ns], dtype=np.int64))
        return f"{utc_ns.astype('datetime64[ns]').astype('datetime64[us]')[0]}Z"

    def _write_stream(self, stream: Stream, name: str, system: str) -> None:
        folder = self._folder / "motion"
        with (folder / f"{name}_motion.tsv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            for piece in pieces(stream):
                values = np.round(piece.values, decimals(stream)).tolist()
                latencies = (piece.monotonic_ns - self._origin_ns).tolist()
                writer.writerows(
                    (*sample, seconds(latency_ns))
                    for sample, latency_ns in zip(values, latencies, strict=True)
                )
        _tsv(folder / f"{name}_channels.tsv", CHANNEL_COLUMNS, _channels(stream))
        write_json(folder / f"{name}_motion.json", _sidecar(self._session, stream, system))

    def _write_events(self) -> None:
        rows = [
            (
                seconds(label.start_ns - self._origin_ns),
                seconds(label.stop_ns - label.start_ns),
                label.label,
                label.annotator or NOT_AVAILABLE,
                label.source or NOT_AVAILABLE,
                repr(label.confidence),
            )
            for label in self._session.labels
        ]
        name = f"{self._prefix}_task-{self._task}_events"
        _tsv(self._folder / "motion" / f"{name}.tsv", EVENT_COLUMNS, rows)
        write_json(self._folder / "motion" / f"{name}.json", _EVENTS)


def seconds(duration_ns: int) -> str:
    """Write nanoseconds as seconds, exactly."""
    sign = "-" if duration_ns < 0 else ""
    whole, rest_ns = divmod(abs(duration_ns), NS)
    return f"{sign}{whole}.{rest_ns:09d}"


def _channels(stream: Stream) -> list[Sequence[str]]:
    """One row a column of ``_motion.tsv``."""
    point = stream.placement or stream.name
    place = stream.placement or NOT_AVAILABLE
    rate_hz = repr(stream.sampling_rate_hz)
    units = UNITS.get(stream.units, stream.units)
    rows = [
        (f"{stream.name}_{channel}", channel, stream.kind.upper(), point, units, place, rate_hz)
        for channel in stream.channels
    ]
    return [*rows, ("latency", NOT_AVAILABLE, "LATENCY", point, "s", place, rate_hz)]


def _sidecar(session: Session, stream: Stream, system: str) -> dict[str, Any]:
    n_channels = len(stream.channels)
    return {
        "TaskName": str(session.activity),
        "TaskDescription": f"The wearer was asked for the activity {session.activity}.",
        "TrackingSystemName": system,
        "SamplingFrequency": stream.sampling_rate_hz,
        "SamplingFrequencyEffective": stream.effective_rate_hz,
        "MotionChannelCount": n_channels + 1,
        **{f"{kind}ChannelCount": 0 for kind in _CHANNEL_TYPES},
        f"{stream.kind.upper()}ChannelCount": n_channels,
        "LATENCYChannelCount": 1,
        "TrackedPointsCount": 1,
        "RecordingType": "continuous" if int(stream.attributes["n_lost"]) == 0 else "discontinuous",
        "RecordingDuration": _duration_s(stream),
        "MissingValues": "samples that were lost have no row; the channel latency shows where",
        "ManufacturersModelName": stream.device or NOT_AVAILABLE,
        "SoftwareVersions": f"wban {session.wban_version}",
    }


def _duration_s(stream: Stream) -> float:
    return int(stream.monotonic_ns[-1] - stream.monotonic_ns[0]) / NS if stream.n else 0.0


def _write_participants(out: Path, labels: Mapping[str, str], known: Mapping[str, Subject]) -> None:
    further = list(dict.fromkeys(name for row in known.values() for name in row.further))
    columns = ("participant_id", "subject", "licence", "consent", *further)
    rows: list[Sequence[str]] = []
    for subject, label in labels.items():
        row = known.get(subject, Subject(subject))
        values = (row.licence, row.consent, *(row.further.get(name, "") for name in further))
        rows.append((f"sub-{label}", subject, *(value or NOT_AVAILABLE for value in values)))
    _tsv(out / "participants.tsv", columns, rows)
    described = {
        "subject": {"Description": "name of the subject in the sessions"},
        "licence": {"Description": "under which the subject's recordings may be used"},
        "consent": {"Description": "what the subject has agreed to"},
        **{name: {"Description": f"column {name!r} of subjects.csv"} for name in further},
    }
    write_json(out / "participants.json", described)


def _write_dataset(
    out: Path,
    without_place: list[str],
    known: Mapping[str, Subject],
    labels: Mapping[str, str],
) -> None:
    licences = sorted({known[name].licence for name in labels if name in known} - {""})
    write_json(
        out / "dataset_description.json",
        {
            "Name": "Sessions recorded with wban",
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "raw",
            "License": ", ".join(licences) or NOT_AVAILABLE,
            "GeneratedBy": [{"Name": "wban", "Version": version("wban")}],
        },
    )
    lost = f"Streams that BIDS has no place for were left out: {', '.join(without_place)}.\n"
    (out / "README.md").write_text(_README + (lost if without_place else ""), encoding="utf-8")


def _write_sessions_sidecar(out: Path) -> None:
    described = {
        "wban_session_id": {"Description": "id of the session that was exported"},
        "activity": {"Description": "what the wearer was asked for"},
    }
    write_json(out / "sessions.json", described)


def _tsv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


_CHANNEL_TYPES = ("ACCEL", "ANGACCEL", "GYRO", "JNTANG", "MAGN", "MISC", "ORNT", "POS", "VEL")

_EVENTS: dict[str, Any] = {
    "trial_type": {"Description": "activity; spans are half-open"},
    "annotator": {"Description": "who gave the label"},
    "label_source": {"Description": "how the label was given: live, page, import, model"},
    "confidence": {"Description": "of the label, 0 to 1"},
}

_README = """\
# Sessions recorded with wban

Motion of people in activities, one tracking system for each accelerometer and gyroscope, in the
sensor's own frame. The last column of each `_motion.tsv` (type LATENCY) is the true time of each
sample, in seconds since `acq_time`; the uncertainty of the stamps is in the original sessions only.
Events are activities, their onset on the same time.

"""
