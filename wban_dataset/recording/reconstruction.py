"""From an index of a journal to the columns of the session: stamps, gaps, labels, flags.

Sealing writes what is made here; a session that is not sealed yet shows it. So both are the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording.evidence import Evidence
from wban_dataset.recording.framing import segment_paths
from wban_dataset.recording.journal_index import JournalIndex, StreamIndex
from wban_dataset.recording.layout import BLOCK_COLUMNS, TABLES, WARM_UP_NS, Column
from wban_dataset.recording.streams import ClockAnchor, Gap, Label, StreamSpec
from wban_dataset.recording.timebase import StampInputs, count_missing, stamp

Values = NDArray[Any] | list[str]
Table = dict[str, Values]

DEFAULT_COMMIT_INTERVAL_NS = 500_000_000
N_SEGMENTS = 1 << 16
PERIOD_ROWS = 64
MIN_PERIOD_STEPS = 8


@dataclass(frozen=True, slots=True)
class StreamStamps:
    """Times of one stream's rows, (n,) each."""

    monotonic_ns: NDArray[np.int64]
    time_unc_ns: NDArray[np.int32]


def stamp_inputs(
    spec_attributes: Mapping[str, Any],
    kind: Any,
    evidence_kind: Any,
    sampling_rate_hz: float,
    reads: Mapping[str, NDArray[Any]],
    segment_of_read: NDArray[np.int64],
    columns: Mapping[str, NDArray[Any]],
    n_picture_rows: int,
) -> StampInputs:
    """Gather what stamps are made from, whether it comes from a journal or from a sealed file."""
    return StampInputs(
        kind=kind,
        evidence=Evidence.from_columns(
            evidence_kind,
            1e9 / sampling_rate_hz,
            int(spec_attributes.get("watermark", 0)),
            segment=segment_of_read,
            **reads,
        ),
        columns=columns,
        rows=int(spec_attributes.get("sensor_rows", n_picture_rows)),
        line_time_ns=int(spec_attributes.get("line_time_ns", 0)),
    )


def index_stamp_inputs(stream: StreamIndex) -> StampInputs:
    """Gather what the stamps of a stream of a journal are made from."""
    spec = stream.spec
    return stamp_inputs(
        spec.attributes,
        spec.kind,
        spec.evidence,
        spec.sampling_rate_hz,
        {name: stream.evidence(name) for name in stream.reads},
        stream.segment_of_read(),
        {column.name: stream.column(column.name) for column in BLOCK_COLUMNS[spec.kind]},
        spec.sample_shape[0],
    )


def fit_stream(stream: StreamIndex) -> StreamStamps:
    """Fit the stamps of a stream's rows."""
    return StreamStamps(*stamp(index_stamp_inputs(stream)))


def unwrapped_segments(segments: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Undo the wrap of the 16 bit segment numbers, (n,)."""
    steps = np.diff(segments.astype(np.int64), prepend=0)
    return np.cumsum(steps % N_SEGMENTS)


def resolved_gaps(stream: StreamIndex, monotonic_ns: NDArray[np.int64]) -> list[Gap]:
    """Gaps of a stream, estimates replaced by what the stamps on both sides tell.

    Where several gaps stand between the same two samples, the numbers that were counted stay, and
    the longest of the others takes the rest. Pictures are not counted by time: a rule may keep few.
    """
    at_row: dict[int, list[Gap]] = defaultdict(list)
    for found in stream.gaps:
        at_row[found.row].append(found.gap)
    resolved: list[Gap] = []
    for row, gaps in at_row.items():
        before_ns = int(monotonic_ns[row - 1]) if row > 0 else 0
        after_ns = int(monotonic_ns[row]) if row < stream.n_rows else 0
        bounded = [_with_bounds(gap, before_ns, after_ns) for gap in gaps]
        countable = before_ns and after_ns and stream.spec.kind != "infrared"
        if countable and any(not gap.exact for gap in bounded):
            period_ns = _local_period_ns(monotonic_ns, row, stream.spec.period_ns)
            n_missing = count_missing(before_ns, after_ns, period_ns)
            bounded = _shared(bounded, n_missing)
        resolved += bounded
    return resolved


def _local_period_ns(monotonic_ns: NDArray[np.int64], row: int, nominal_ns: float) -> float:
    """Fitted period just before a row: the nominal one may be off by several per cent."""
    steps = np.diff(monotonic_ns[max(0, row - PERIOD_ROWS) : row])
    return float(np.median(steps)) if len(steps) >= MIN_PERIOD_STEPS else nominal_ns


def _with_bounds(gap: Gap, before_ns: int, after_ns: int) -> Gap:
    """Give bounds to a gap that was found by its numbers alone: the samples on both sides."""
    if gap.start_ns or gap.stop_ns:
        return gap
    start_ns = before_ns or after_ns
    return replace(gap, start_ns=start_ns, stop_ns=after_ns or start_ns)


def _shared(gaps: list[Gap], n_missing: int) -> list[Gap]:
    n_counted = sum(max(0, gap.n_missing) for gap in gaps if gap.exact)
    estimated = [gap for gap in gaps if not gap.exact]
    longest = max(estimated, key=lambda gap: gap.stop_ns - gap.start_ns)
    n_rest = max(0, n_missing - n_counted)
    return [
        gap if gap.exact else replace(gap, n_missing=n_rest if gap is longest else 0)
        for gap in gaps
    ]


def damage_gaps(index: JournalIndex) -> list[Gap]:
    """Damage of the journal as gaps of no certain stream."""
    return [
        Gap(
            stream="",
            start_ns=stretch.before_ns,
            stop_ns=stretch.after_ns or stretch.before_ns,
            n_missing=0 if stretch.damage.n_missing_records == 0 else -1,
            cause="journal damaged",
            n_bytes=stretch.damage.n_bytes,
        )
        for stretch in index.damages
    ]


def n_lost(stream: StreamIndex, gaps: Iterable[Gap], index: JournalIndex) -> int:
    """Samples that a stream has lost: those of its gaps, and those that only the end record tells."""
    n_stated = sum(max(0, found.gap.n_missing) for found in stream.gaps)
    n_at_end = index.end.n_lost.get(stream.spec.name, 0) if index.end else 0
    return sum(max(0, gap.n_missing) for gap in gaps) + max(0, n_at_end - n_stated)


def warmed_up(
    spec: StreamSpec, index: JournalIndex, gaps: Iterable[Gap], monotonic_ns: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether the thermal sensor had been powered for four minutes, (n,).

    Without a known power-up the recording's start is taken; a sensor that was missing begins anew.
    """
    power_up_ns = int(spec.attributes.get("power_up_ns", index.header.started_monotonic_ns))
    warm = monotonic_ns >= power_up_ns + WARM_UP_NS
    for gap in gaps:
        if gap.cause == "device missing":
            cold = (monotonic_ns >= gap.start_ns) & (monotonic_ns < gap.stop_ns + WARM_UP_NS)
            warm &= ~cold
    return warm


def lost_tail_ns(index: JournalIndex) -> int:
    """Bound on what a recording that was cut off has lost at its end; 0 if it ended in order.

    Two commit intervals (a block that just missed a commit waits for the next one, and may have
    waited before), and the slowest fsync that was seen.
    """
    if index.end is not None:
        return 0
    interval_ns = int(index.header.attributes.get("commit_interval_ns", DEFAULT_COMMIT_INTERVAL_NS))
    fsync_ns = max((sample.fsync_p99_ns for sample in index.health), default=0)
    return 2 * interval_ns + max(fsync_ns, 0)


def final_labels(labels: Iterable[Label], end_ns: int) -> list[Label]:
    """Labels as they ended: a later record of the same span replaces the earlier, none runs on."""
    newest: dict[tuple[int, str, str], Label] = {}
    for label in labels:
        newest[label.start_ns, label.label, label.annotator] = label
    ended = [
        label if label.stop_ns else replace(label, stop_ns=max(end_ns, label.start_ns))
        for label in newest.values()
    ]
    return sorted(ended, key=lambda label: (label.start_ns, label.stop_ns, label.label))


def rows_table(group: str, items: Iterable[Any]) -> Table:
    """Columns of one of `layout.TABLES` from objects with attributes of the same names."""
    return table(
        TABLES[group], [[getattr(item, column.name) for column in TABLES[group]] for item in items]
    )


def table(columns: Iterable[Column], rows: list[list[Any]]) -> Table:
    """Columns from rows of values."""
    made: Table = {}
    for i, column in enumerate(columns):
        values = [row[i] for row in rows]
        made[column.name] = values if column.is_text else np.array(values, dtype=column.dtype)
    return made


def iso_utc(realtime_ns: int) -> str:
    """Write a UTC time in ISO 8601 with nanoseconds."""
    seconds, rest_ns = divmod(realtime_ns, 1_000_000_000)
    start = datetime.fromtimestamp(seconds, tz=UTC)
    return f"{start:%Y-%m-%dT%H:%M:%S}.{rest_ns:09d}Z"


def root_attributes(index: JournalIndex, utc_start_ns: int | None) -> dict[str, Any]:
    """Attributes of the session that its journal tells; `utc_start_ns` None where not known."""
    header = index.header
    return {
        **header.attributes,
        "session_id": header.session_id,
        "boot_id": header.boot_id,
        "subject": header.subject,
        "activity": header.activity,
        "annotator": header.annotator,
        "host": header.host,
        "wban_version": header.wban_version,
        "started_monotonic_ns": header.started_monotonic_ns,
        "start_utc": "" if utc_start_ns is None else iso_utc(utc_start_ns),
        "clock_synchronised": utc_start_ns is not None,
        "complete": index.end is not None and not index.is_damaged,
        "recovered": index.end is None,
        "end_reason": index.end.reason if index.end else "",
        "lost_tail_ns": lost_tail_ns(index),
        "simulated": header.simulated,
        "replay_source": header.replay_source,
        "continues": header.continues,
    }


def is_synchronised(anchors: Iterable[ClockAnchor]) -> bool:
    """Whether the machine knew the true time at any moment."""
    return any(anchor.synchronised for anchor in anchors)


def segment_names(index: JournalIndex) -> list[str]:
    """File names of the journal's segments, in order."""
    return [path.name for _, path in segment_paths(index.directory)]
