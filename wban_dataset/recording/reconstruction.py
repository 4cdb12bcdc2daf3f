"""From an index of a journal to the columns of the session: stamps, gaps, labels, flags.

Sealing writes what is made here; a session that is not sealed yet shows it. So both are the same.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording import layout
from wban_dataset.recording.clock_anchors import UtcMap, utc_from_anchors
from wban_dataset.recording.evidence import Evidence
from wban_dataset.recording.journal_index import JournalIndex, StreamIndex
from wban_dataset.recording.quality import QualityAccumulator, StreamQuality
from wban_dataset.recording.store import Table
from wban_dataset.recording.streams import ClockAnchor, Gap, Label, StreamSpec
from wban_dataset.recording.timebase import StampedStream, StampInputs, count_missing

DEFAULT_COMMIT_INTERVAL_NS = 500_000_000
N_SEGMENT_NUMBERS = 1 << 16
CHUNK_ROWS = 1 << 16
"""Rows converted together: bounds the memory of what comes between."""
PERIOD_ROWS = 64
MIN_PERIOD_STEPS = 8


def stamp_inputs(stream: StreamIndex) -> StampInputs:
    """Gather what the stamps of a stream of a journal are made from."""
    spec = stream.spec
    return assembled_stamp_inputs(
        {**layout.stream_attributes(spec), **spec.attributes},
        {name: stream.evidence(name) for name in stream.reads},
        stream.segment_of_read(),
        {
            column.name: stream.column(column.name)
            for column in layout.block_columns(spec.kind, spec.evidence)
        },
        spec.sample_shape[0],
    )


def assembled_stamp_inputs(
    attributes: Mapping[str, Any],
    reads: Mapping[str, NDArray[Any]],
    segment_of_read: NDArray[np.int64],
    columns: Mapping[str, NDArray[Any]],
    n_picture_rows: int,
) -> StampInputs:
    """Gather what stamps are made from, whether it comes from a journal or from a sealed file."""
    return StampInputs(
        kind=attributes["kind"],
        evidence=Evidence.from_columns(
            attributes["evidence"],
            1e9 / float(attributes["sampling_rate_hz"]),
            int(attributes.get("watermark", 0)),
            first_index=reads["first_index"],
            n=reads["n"],
            segment=segment_of_read,
            read_start_ns=reads["read_start_ns"],
            read_end_ns=reads["read_end_ns"],
            edge_ns=reads["edge_ns"],
            fifo_level=reads["fifo_level"],
            chip_ticks=reads["chip_ticks"],
        ),
        columns=columns,
        rows=int(attributes.get("sensor_rows", n_picture_rows)),
        line_time_ns=int(attributes.get("line_time_ns", 0)),
    )


def unwrapped_segments(segments: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Undo the wrap of the file's 16 bit segment numbers, (n,)."""
    steps = np.diff(segments.astype(np.int64), prepend=0)
    return np.cumsum(steps % N_SEGMENT_NUMBERS)


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
            bounded = _shared(bounded, count_missing(before_ns, after_ns, period_ns))
        resolved += bounded
    return resolved


def _local_period_ns(monotonic_ns: NDArray[np.int64], row: int, nominal_ns: float) -> float:
    """Fitted period just before a row: the nominal one may be off by several per cent."""
    steps = np.diff(monotonic_ns[max(0, row - PERIOD_ROWS) : row])
    return float(np.median(steps)) if len(steps) >= MIN_PERIOD_STEPS else nominal_ns


def _with_bounds(gap: Gap, before_ns: int, after_ns: int) -> Gap:
    """Keep a gap between the samples on both sides; they bound it where nothing else does."""
    start_ns = max(gap.start_ns, before_ns) or after_ns
    stop_ns = min(gap.stop_ns or after_ns, after_ns or gap.stop_ns) or start_ns
    return replace(gap, start_ns=min(start_ns, stop_ns), stop_ns=stop_ns)


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
            start_ns=stretch.before_ns or stretch.after_ns,
            stop_ns=stretch.after_ns or stretch.before_ns,
            n_missing=0 if stretch.damage.n_missing_records == 0 else -1,
            cause="journal damaged",
            n_bytes=stretch.damage.n_bytes,
        )
        for stretch in index.damages
    ]


def n_lost(stream: StreamIndex, gaps: Iterable[Gap], index: JournalIndex) -> int:
    """Count what a stream has lost: its gaps, and what the end record tells beyond them."""
    n_stated = sum(max(0, found.gap.n_missing) for found in stream.gaps)
    n_at_end = index.end.n_lost.get(stream.spec.name, 0) if index.end else 0
    return sum(max(0, gap.n_missing) for gap in gaps) + max(0, n_at_end - n_stated)


def stream_attributes(
    index: JournalIndex, stream: StreamIndex, gaps: Iterable[Gap], effective_rate_hz: float
) -> dict[str, Any]:
    """Attributes of a stream's group."""
    spec = stream.spec
    return {
        **layout.default_attributes(spec, index.header.emissivity),
        **layout.stream_attributes(spec),
        "first_index": stream.first_index,
        "effective_rate_hz": effective_rate_hz,
        "n_lost": n_lost(stream, gaps, index),
    }


def add_times(
    quality: QualityAccumulator, stream: StreamIndex, stamps: StampedStream, gaps: Iterable[Gap]
) -> None:
    """Give a stream's quality everything but its counts."""
    segments = stream.segments()
    for start in range(0, stream.n_rows, CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        quality.add_stamps(stamps.monotonic_ns[part], stamps.time_unc_ns[part], segments[part])
    for start in range(0, len(stamps.lateness_ns), CHUNK_ROWS):
        quality.add_arrivals(stamps.lateness_ns[start : start + CHUNK_ROWS])
    for gap in gaps:
        quality.add_gap(gap)


def warmed_up(
    spec: StreamSpec, index: JournalIndex, gaps: Iterable[Gap], monotonic_ns: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Whether the thermal sensor had been powered for four minutes, (n,).

    Without a known power-up the recording's start is taken, of the first session where others went
    before; a sensor that was missing begins anew.
    """
    header = index.header
    run_ns = header.attributes.get(layout.RUN_STARTED, header.started_monotonic_ns)
    began_ns = header.attributes.get(layout.power_up_of(spec.name), run_ns)
    power_up_ns = int(spec.attributes.get("power_up_ns", began_ns))
    warm = monotonic_ns >= power_up_ns + layout.WARM_UP_NS
    for gap in gaps:
        if gap.cause == "device missing":
            warm_again_ns = gap.stop_ns + layout.WARM_UP_NS
            warm &= ~((monotonic_ns >= gap.start_ns) & (monotonic_ns < warm_again_ns))
    return warm


def lost_tail_ns(index: JournalIndex) -> int:
    """Bound on what a recording that was cut off has lost at its end; 0 if it ended in order.

    Two commit intervals (a block that just missed a commit waits for the next one, and may have
    waited before), and the slowest fsync that was seen.
    """
    if index.end is not None:
        return 0
    stated = index.header.attributes.get("commit_interval_ns", DEFAULT_COMMIT_INTERVAL_NS)
    fsync_ns = max((sample.fsync_p99_ns for sample in index.health), default=0)
    return 2 * int(stated) + max(fsync_ns, 0)


def end_ns(index: JournalIndex, newest_stamps_ns: Iterable[int]) -> int:
    """When the recording ended: as it says itself, otherwise just after its newest sample."""
    if index.end is not None:
        return index.end.monotonic_ns
    return max(newest_stamps_ns, default=index.header.started_monotonic_ns - 1) + 1


def final_labels(labels: Iterable[Label], ended_ns: int) -> list[Label]:
    """Labels as they ended: a later record replaces an earlier, none outlasts the recording."""
    newest: dict[tuple[int, str, str], Label] = {}
    for label in labels:
        newest[label.start_ns, label.label, label.annotator] = label
    ended = [
        replace(label, stop_ns=min(label.stop_ns or ended_ns, ended_ns))
        for label in newest.values()
        if label.start_ns < ended_ns
    ]
    return sorted(ended, key=lambda label: (label.start_ns, label.stop_ns, label.label))


def labels_table(index: JournalIndex, ended_ns: int) -> Table:
    """Labels as they ended; one that still ran ends with the recording."""
    return table_of(layout.LABELS, final_labels(index.labels, ended_ns))


def gaps_table(index: JournalIndex, of_streams: Iterable[Gap]) -> Table:
    """All gaps in the order of their start."""
    gaps = [*of_streams, *index.other_gaps, *damage_gaps(index)]
    gaps.sort(key=lambda gap: (gap.start_ns, gap.stop_ns, gap.stream))
    return table_of(layout.GAPS, gaps)


def plain_table(index: JournalIndex, name: str) -> Table:
    """Give a table that stands in the journal as it is: marks, clock or health."""
    items: dict[str, list[Any]] = {
        "marks": sorted(index.marks, key=lambda mark: mark.time_ns),
        "clock": sorted(index.anchors, key=lambda anchor: anchor.monotonic_ns),
        "health": sorted(index.health, key=lambda sample: sample.monotonic_ns),
    }
    return table_of(layout.TABLES[name], items[name])


def table_of(columns: Iterable[layout.Column], items: Iterable[Any]) -> Table:
    """Columns from objects with attributes of the same names."""
    listed, made = list(items), Table()
    for column in columns:
        values = [getattr(item, column.name) for item in listed]
        made[column.name] = values if column.is_text else np.array(values, dtype=column.dtype)
    return made


def quality_table(figures: Mapping[str, StreamQuality]) -> Table:
    """Quality of every stream, in the order given."""
    made = table_of(layout.QUALITY[1:], figures.values())
    return {"stream": list(figures), **made}


def utc_map(anchors: Iterable[ClockAnchor]) -> UtcMap | None:
    """Make the map to UTC from anchors in any order; None where there is no anchor."""
    by_time = {anchor.monotonic_ns: anchor for anchor in anchors}
    in_order = [by_time[monotonic_ns] for monotonic_ns in sorted(by_time)]
    return utc_from_anchors(in_order) if in_order else None


def to_utc(map_: UtcMap | None, monotonic_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """UTC of instants; without a map the monotonic time itself, which then says 1970."""
    if map_ is None:
        return monotonic_ns
    utc_ns = np.empty_like(monotonic_ns)
    for start in range(0, len(monotonic_ns), CHUNK_ROWS):
        part = slice(start, start + CHUNK_ROWS)
        utc_ns[part] = map_.to_utc(monotonic_ns[part])
    return utc_ns


def iso_utc(realtime_ns: int) -> str:
    """Write a UTC time in ISO 8601 with nanoseconds."""
    seconds, rest_ns = divmod(realtime_ns, 1_000_000_000)
    start = datetime.fromtimestamp(seconds, tz=UTC)
    return f"{start:%Y-%m-%dT%H:%M:%S}.{rest_ns:09d}Z"


def start_utc(map_: UtcMap | None, started_monotonic_ns: int) -> str:
    """When a session started, "" where the machine never knew the true time."""
    if map_ is None or not map_.synchronised:
        return ""
    return iso_utc(int(map_.to_utc(np.array([started_monotonic_ns], dtype=np.int64))[0]))


def root_attributes(index: JournalIndex, map_: UtcMap | None) -> dict[str, Any]:
    """Attributes of the session that its journal tells."""
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
        "aligned_rate_hz": header.aligned_rate_hz,
        "started_monotonic_ns": header.started_monotonic_ns,
        "start_utc": start_utc(map_, header.started_monotonic_ns),
        "clock_synchronised": map_ is not None and map_.synchronised,
        "complete": index.end is not None and not index.is_damaged,
        "recovered": index.end is None,
        "end_reason": index.end.reason if index.end else "",
        "lost_tail_ns": lost_tail_ns(index),
        "simulated": header.simulated,
        "replay_source": header.replay_source,
        "continues": header.continues,
    }
