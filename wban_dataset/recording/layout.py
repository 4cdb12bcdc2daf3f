"""Names, units and attributes of ``session.h5``; the only place where they stand.

This module says what the file looks like and touches no file. A group is a tuple of `Column`: a
dataset with the names of its axes. Each name of an axis is itself a column of the same group (its
dimension scale), because xarray refuses a dataset on which only some axes have one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording.streams import EvidenceKind, StreamKind, StreamSpec

FILE_NAME = "session.h5"
PARTIAL_NAME = "session.h5.part"
JOURNAL_NAME = "journal"
RESERVATION_NAME = ".reserved"
"""Space that a recorder sets aside for sealing; one that was killed leaves it behind."""
LABELS_SIDECAR = "labels.csv"
CLOCK_SIDECAR = "clock.csv"
SUMMARY_NAME = "summary.json"
"""What the sealed file says of itself, for whoever lists many; it can be made again any time."""
RECEIPT_NAME = "verified.csv"
"""Says that a copy elsewhere was compared with this session: see `receipts`."""
UNREADABLE_ENDING = ".unreadable"
"""Of a folder with remains from which no session can be made."""

FORMAT = "wban-session"
FORMAT_VERSION = 1
CONVENTIONS = "CF-1.11"
CONFIGURATION = "configuration"
RUN_STARTED = "run_started_monotonic_ns"
"""Of a session that continues another: when the first of them began."""
DEGRADED = "degraded"
"""Required devices that did not deliver when the session began without them, by comma."""

TIME_UNITS = "nanoseconds since 1970-01-01T00:00:00"
CALENDAR = "proleptic_gregorian"

TEMPERATURE_SCALE_C = 0.01
TEMPERATURE_FILL = -32768
REFLECTED_OFFSET_C = 8.0
WARM_UP_NS = 240_000_000_000
"""MLX90640 data sheet: full accuracy is reached four minutes after power-up."""

TEXT = "text"
CHUNK_BYTES = 192 * 1024
"""Bytes of a chunk before compression; the format asks for 64 to 256 KiB."""

GIVEN_STAMPS = "monotonic_ns"
"""Column of a block whose stamps came with its samples: evidence of kind "given"."""

EEPROM = "eeprom"
"""Calibration that has a dataset of its own; other arrays are attributes of the group."""

DEFAULT_GROUPS: Mapping[StreamKind, str] = {
    "accel": "accel",
    "thermal": "thermal",
    "infrared": "infrared",
}
"""Groups that stand in every file, empty where no stream of the kind was recorded."""

ABSENT_DEVICE = ""
"""Attribute ``device`` of a group that stands for a kind of stream that was not recorded."""


@dataclass(frozen=True, slots=True)
class Column:
    """One dataset of the file.

    Attributes
    ----------
    dtype
        NumPy's, or `TEXT` for strings in UTF-8.
    axes
        Names of the columns, in the same group, that are the scales of its axes.
    """

    name: str
    dtype: str
    axes: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict[str, Any])

    @property
    def is_scale(self) -> bool:
        """Whether the column is the scale of its own, only axis."""
        return self.axes == (self.name,)

    @property
    def is_text(self) -> bool:
        """Whether it holds strings."""
        return self.dtype == TEXT


def _column(name: str, dtype: str, *axes: str, **attributes: Any) -> Column:
    return Column(name, dtype, axes, attributes)


def _stamps() -> tuple[Column, ...]:
    return (
        _column(
            "time",
            "<i8",
            "time",
            units=TIME_UNITS,
            calendar=CALENDAR,
            standard_name="time",
            axis="T",
            long_name="UTC as known at sealing",
        ),
        _column("monotonic_ns", "<i8", "time", long_name="CLOCK_MONOTONIC of boot_id, nanoseconds"),
        _column(
            "time_unc_ns",
            "<i4",
            "time",
            long_name="standard uncertainty of the stamp, nanoseconds",
        ),
        _column("segment", "<u2", "time", long_name="a new number after each gap"),
    )


READS: tuple[Column, ...] = (
    _column("first_index", "<i8", "first_index", long_name="row of the read's first sample"),
    _column("n", "<i8", "first_index", long_name="number of samples read"),
    _column("read_start_ns", "<i8", "first_index", long_name="transaction began"),
    _column("read_end_ns", "<i8", "first_index", long_name="transaction ended"),
    _column("edge_ns", "<i8", "first_index", long_name="interrupt or hardware stamp, 0: none"),
    _column("fifo_level", "<i8", "first_index", long_name="entries that stayed in the FIFO"),
    _column("chip_ticks", "<i8", "first_index", long_name="the chip's own time, 0: none"),
)

_CHANNELS = _column("channel", TEXT, "channel")

_MOTION: tuple[Column, ...] = (_CHANNELS, _column("data", "<i2", "time", "channel"))

_THERMAL: tuple[Column, ...] = (
    _column("row", "<i4", "row", long_name="row of the sensor"),
    _column("column", "<i4", "column", long_name="column of the sensor"),
    _column("word", "<i4", "word", long_name="0-831 RAM, 832 control register, 833 subpage"),
    _column("eeprom_word", "<i4", "eeprom_word", long_name="word of the EEPROM from 0x2400"),
    _column(
        "data",
        "<i2",
        "time",
        "row",
        "column",
        units="degC",
        scale_factor=TEMPERATURE_SCALE_C,
        add_offset=0.0,
        _FillValue=np.int16(TEMPERATURE_FILL),
        long_name="object temperature, one row per subpage, the other half from the one before",
        interpretation="image",
    ),
    _column("subpage", "|u1", "time"),
    _column("raw", "<u2", "time", "word", long_name="RAM words, control register, subpage"),
    _column("eeprom", "<u2", "eeprom_word"),
    _column("bad_pixel", "|u1", "row", "column", long_name="1 where the EEPROM says broken"),
    _column("ambient", "<f4", "time", units="degC", long_name="temperature of the sensor"),
    _column("warmed_up", "|b1", "time", long_name="four minutes after power-up"),
)

INFRARED_COLUMNS: tuple[Column, ...] = (
    _column("exposure_ns", "<i8", "time"),
    _column("gain", "<f4", "time", units="1"),
    _column("illuminated", "|u1", "time"),
    _column("sensor_ns", "<i8", "time", long_name="start of the frame as the camera gave it"),
    _column("frame_duration_ns", "<i8", "time"),
    _column("stamp_unc_ns", "<i4", "time", long_name="uncertainty as the driver stated it"),
)

_INFRARED: tuple[Column, ...] = (
    _column("y", "<i4", "y"),
    _column("x", "<i4", "x"),
    _column("data", "|u1", "time", "y", "x", units="1", interpretation="image"),
    *INFRARED_COLUMNS,
)

_BLOCK_COLUMNS: Mapping[StreamKind, tuple[Column, ...]] = {
    "accel": (),
    "gyro": (),
    "thermal": tuple(c for c in _THERMAL if c.name == "subpage"),
    "infrared": INFRARED_COLUMNS,
}

_OF_KIND: Mapping[StreamKind, tuple[Column, ...]] = {
    "accel": _MOTION,
    "gyro": _MOTION,
    "thermal": _THERMAL,
    "infrared": _INFRARED,
}

BULK: Mapping[StreamKind, tuple[str, ...]] = {
    "accel": ("data",),
    "gyro": ("data",),
    "thermal": ("data", "raw", "ambient"),
    "infrared": ("data",),
}
"""Columns made from the counts themselves: written block by block, never held whole."""

LABELS: tuple[Column, ...] = (
    _column("start_ns", "<i8", "start_ns", long_name="CLOCK_MONOTONIC, included"),
    _column("stop_ns", "<i8", "start_ns", long_name="CLOCK_MONOTONIC, excluded"),
    _column("label", TEXT, "start_ns"),
    _column("annotator", TEXT, "start_ns"),
    _column("source", TEXT, "start_ns"),
    _column("confidence", "<f8", "start_ns"),
    _column("uncertainty_ns", "<i8", "start_ns"),
)

MARKS: tuple[Column, ...] = (
    _column("time_ns", "<i8", "time_ns", long_name="CLOCK_MONOTONIC"),
    _column("text", TEXT, "time_ns"),
)

GAPS: tuple[Column, ...] = (
    _column("start_ns", "<i8", "start_ns", long_name="CLOCK_MONOTONIC"),
    _column("stop_ns", "<i8", "start_ns", long_name="CLOCK_MONOTONIC"),
    _column("stream", TEXT, "start_ns", long_name="empty: not known which"),
    _column("n_missing", "<i8", "start_ns", long_name="samples, -1: not known"),
    _column("n_bytes", "<i8", "start_ns", long_name="bytes of the journal lost"),
    _column("cause", TEXT, "start_ns"),
)

CLOCK: tuple[Column, ...] = (
    _column("monotonic_ns", "<i8", "monotonic_ns"),
    _column("monotonic_raw_ns", "<i8", "monotonic_ns"),
    _column("realtime_ns", "<i8", "monotonic_ns"),
    _column("synchronised", "|b1", "monotonic_ns"),
    _column("est_error_ns", "<i8", "monotonic_ns"),
)

HEALTH: tuple[Column, ...] = (
    _column("monotonic_ns", "<i8", "monotonic_ns"),
    _column("cpu_temp_c", "<f4", "monotonic_ns", units="degC"),
    _column("throttled", "<i8", "monotonic_ns", long_name="bits of vcgencmd get_throttled"),
    _column("free_bytes", "<i8", "monotonic_ns"),
    _column("load1", "<f4", "monotonic_ns", units="1"),
    _column("fsync_p99_ns", "<i8", "monotonic_ns"),
)

QUALITY: tuple[Column, ...] = (
    _column("stream", TEXT, "stream"),
    _column("effective_rate_hz", "<f8", "stream", units="Hz"),
    _column("jitter_p50_ns", "<i8", "stream"),
    _column("jitter_p99_ns", "<i8", "stream"),
    _column("n_gaps", "<i8", "stream"),
    _column("n_lost", "<i8", "stream"),
    _column("clipped_fraction", "<f8", "stream", units="1"),
    _column("unc_p99_ns", "<i8", "stream"),
)

PROVENANCE: tuple[Column, ...] = (
    _column("journal_segment", TEXT, "journal_segment"),
    _column("journal_bytes", "<i8", "journal_segment"),
    _column("journal_sha256", TEXT, "journal_segment"),
    _column("dataset", TEXT, "dataset", long_name="every dataset outside this group"),
    _column("n_rows", "<i8", "dataset"),
    _column("sha256", TEXT, "dataset", long_name="of little-endian values in C order"),
)

TABLES: Mapping[str, tuple[Column, ...]] = {
    "labels": LABELS,
    "marks": MARKS,
    "gaps": GAPS,
    "clock": CLOCK,
    "health": HEALTH,
    "quality": QUALITY,
}
ALIGNED = "aligned"
PROVENANCE_GROUP = "provenance"
READS_GROUP = "reads"
CONTENT_DIGEST = "content_sha256"
RESERVED_NAMES = frozenset({*TABLES, ALIGNED, PROVENANCE_GROUP, CONFIGURATION})
"""Names that no stream may have."""

_SIGNAL_AXES: Mapping[StreamKind, tuple[str, ...]] = {
    "accel": ("time", "channel"),
    "gyro": ("time", "channel"),
    "thermal": ("time", "row", "column"),
    "infrared": ("time", "y", "x"),
}


def power_up_of(stream: str) -> str:
    """Attribute of a session: when a stream's device had power again, in a session before it."""
    return f"{stream}_power_up_ns"


def block_columns(kind: StreamKind, evidence: EvidenceKind) -> tuple[Column, ...]:
    """Columns that blocks bring beside their counts; stamps that were given are one of them."""
    given = tuple(c for c in _stamps() if c.name == GIVEN_STAMPS) if evidence == "given" else ()
    return (*given, *_BLOCK_COLUMNS[kind])


def stream_columns(kind: StreamKind) -> tuple[Column, ...]:
    """Columns of a stream's group, scales first."""
    columns = (*_stamps(), *_OF_KIND[kind])
    return tuple(sorted(columns, key=lambda column: not column.is_scale))


def stream_data_attributes(spec: StreamSpec) -> dict[str, Any]:
    """Say what turns the counts of a motion stream into physical values (CF)."""
    if spec.kind not in ("accel", "gyro"):
        return {}
    return {
        "units": spec.units,
        "scale_factor": spec.scale_factor,
        "add_offset": spec.add_offset,
    }


def stream_attributes(spec: StreamSpec) -> dict[str, Any]:
    """Attributes of a stream's group that are known before its first sample."""
    matrices = {name: array for name, array in spec.calibration.items() if name != EEPROM}
    return {
        **matrices,
        **spec.attributes,
        "NX_class": "NXdata",
        "signal": "data",
        "axes": list(_SIGNAL_AXES[spec.kind]),
        "kind": spec.kind,
        "device": spec.device,
        "placement": spec.placement,
        "sampling_rate_hz": spec.sampling_rate_hz,
        "evidence": spec.evidence,
        "mounting": np.asarray(spec.mounting, dtype="<f8").reshape(3, 3),
    }


def default_attributes(spec: StreamSpec, emissivity: float) -> dict[str, Any]:
    """Attributes that every group of a kind has, where the device does not state them."""
    if spec.kind == "thermal":
        return {
            "emissivity": emissivity,
            "reflected_offset_c": REFLECTED_OFFSET_C,
            "refresh_hz": spec.sampling_rate_hz,
            "pattern": "",
            "adc_bits": 0,
        }
    if spec.kind == "infrared":
        return {"rule": "every frame", "line_time_ns": 0}
    return {"group_delay_ns": 0, "range": float(np.iinfo(np.int16).max * spec.scale_factor)}


def scales(spec: StreamSpec) -> dict[str, Any]:
    """Values of the fixed axes of a stream: channels, rows, columns, words."""
    if spec.kind in ("accel", "gyro"):
        n_channels = spec.sample_shape[0]
        named = spec.channels or tuple("xyz"[:n_channels])
        return {"channel": list(named)}
    if spec.kind == "thermal":
        lengths = {"row": 24, "column": 32, "word": spec.sample_shape[0], "eeprom_word": 832}
    else:
        lengths = {"y": spec.sample_shape[0], "x": spec.sample_shape[1]}
    return {name: np.arange(length, dtype="<i4") for name, length in lengths.items()}


def absent_stream(kind: StreamKind) -> StreamSpec:
    """Describe the empty group of a kind of stream that was not recorded."""
    dtype, shape, units = {
        "accel": ("<i2", (3,), "m s-2"),
        "gyro": ("<i2", (3,), "rad s-1"),
        "thermal": ("<u2", (834,), "degC"),
        "infrared": ("|u1", (0, 0), "1"),
    }[kind]
    return StreamSpec(
        name=DEFAULT_GROUPS.get(kind, kind),
        kind=kind,
        device=ABSENT_DEVICE,
        dtype=dtype,
        sample_shape=shape,
        units=units,
        sampling_rate_hz=0.0,
        evidence="ready",
    )


def aligned_columns(specs: Mapping[str, StreamSpec]) -> tuple[Column, ...]:
    """Columns of ``/aligned``: one per stream, on one axis."""
    time = _column(
        "time",
        "<i8",
        "time",
        units=TIME_UNITS,
        calendar=CALENDAR,
        standard_name="time",
        axis="T",
    )
    monotonic = _column(
        "monotonic_ns", "<i8", "time", long_name="CLOCK_MONOTONIC of boot_id, nanoseconds"
    )
    columns = [time, _CHANNELS, monotonic]
    for name, spec in specs.items():
        if spec.kind in ("accel", "gyro"):
            columns.append(_column(name, "<f4", "time", "channel", units=spec.units))
        else:
            columns.append(
                _column(
                    f"{name}_index", "<i4", "time", long_name="last frame at or before, -1: none"
                )
            )
    return (*columns, _column("valid", "|b1", "time", long_name="every signal is real here"))


def chunk_rows(row_bytes: int, n_rows: int) -> int:
    """Rows of a chunk of about `CHUNK_BYTES`, at least one and at most all."""
    return max(1, min(n_rows, CHUNK_BYTES // max(1, row_bytes)))


def empty(column: Column) -> NDArray[Any] | list[str]:
    """No rows of a one-dimensional column."""
    return [] if column.is_text else np.empty(0, dtype=column.dtype)
