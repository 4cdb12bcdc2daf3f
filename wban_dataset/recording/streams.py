"""What a stream is, and a stretch of it.

A device declares its streams once (`StreamSpec`) and delivers them in blocks (`SampleBlock`), one
block for each drain of a FIFO. A block carries counts and the *evidence* of its time; the stamps
themselves are fitted from that evidence (`timebase`), so that they can be fitted again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

StreamKind = Literal["accel", "gyro", "thermal", "infrared"]
EvidenceKind = Literal["fifo", "ready", "sensor", "given"]
AttributeValue = str | int | float | bool


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """What a stream is; fixed before its first sample.

    Attributes
    ----------
    name
        Group of the stream in the session file, e.g. ``accel`` or ``wrist_accel``.
    dtype, sample_shape
        Of the counts as the journal keeps them: ``<i2`` and (3,) for an accelerometer, ``<u2`` and
        (834,) for a raw MLX90640 subpage, ``|u1`` and (height, width) for an infrared picture.
    units, scale_factor, add_offset
        Physical value = counts * scale_factor + add_offset, in UDUNITS. For a raw thermal stream
        the temperature is computed from the words instead.
    sampling_rate_hz
        The rate that was asked for; the true one is fitted.
    evidence
        How the times in `Read` bound the samples; see there.
    attributes
        Further scalar attributes of the group (``range``, ``group_delay_ns``, ``watermark``, ...).
    calibration
        Arrays that the samples cannot be understood without: ``eeprom`` uint16 (832,).
    """

    name: str
    kind: StreamKind
    device: str
    dtype: str
    sample_shape: tuple[int, ...]
    units: str
    sampling_rate_hz: float
    evidence: EvidenceKind
    scale_factor: float = 1.0
    add_offset: float = 0.0
    channels: tuple[str, ...] = ()
    placement: str = ""
    mounting: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict[str, AttributeValue])
    calibration: Mapping[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])

    @property
    def period_ns(self) -> float:
        """Nominal time between two samples in ns."""
        return 1e9 / self.sampling_rate_hz


@dataclass(frozen=True, slots=True)
class Read:
    """The evidence that one read gives about the time of its samples (CLOCK_MONOTONIC, ns).

    Let f be the index of the read's first sample, n their number, r = `fifo_level` the entries that
    stayed in the FIFO. What the two ends bound depends on the stream's kind of evidence:

    ``fifo``
        The transaction that told the fill level ran from `read_start_ns` to `read_end_ns`. Sample
        f+n+r-1 was latched by `read_end_ns`; sample f+n+r was not yet latched at `read_start_ns`.
        `edge_ns`, where not 0, is the kernel's stamp of the watermark interrupt: the instant at
        which sample f+watermark-1 was latched, plus an interrupt latency.
    ``ready``
        n = 1. The status poll that began at `read_start_ns` did not show the sample yet; the one
        that ended at `read_end_ns` did. `read_start_ns` is 0 when no earlier poll is known.
    ``sensor``
        n = 1. The hardware stamped the sample itself; `edge_ns` is that stamp, the block's columns
        hold what leads from it to the middle of the exposure, `read_start_ns` and `read_end_ns`
        bound the delivery.
    ``given``
        Imported: the stamps came with the samples and nothing is fitted. The block's column
        ``monotonic_ns`` int64 holds them; the read spans from its first to its last.

    `chip_ticks` is the chip's own time of sample f+n-1 where the chip has a clock, otherwise 0.
    """

    read_start_ns: int
    read_end_ns: int
    edge_ns: int = 0
    fifo_level: int = 0
    chip_ticks: int = 0


@dataclass(frozen=True, slots=True)
class SampleBlock:
    """A stretch of one stream without a gap: the currency from the driver to the disk.

    Attributes
    ----------
    first_index
        Index in the stream of the first sample. Counts recorded samples: it runs on without a jump
        over gaps, segments and restarts of the chip.
    segment
        Number of the stretch within which the chip's sampling was not interrupted. A new one after
        every gap, overflow, reset or reconnect.
    data
        Counts, (n, *sample_shape), of the stream's dtype.
    columns
        What else is known of each sample, (n, ...) each. Thermal: ``subpage`` uint8. Infrared:
        ``exposure_ns`` int64, ``gain`` float32, ``illuminated`` uint8, ``sensor_ns`` int64,
        ``frame_duration_ns`` int64, ``stamp_unc_ns`` int32. Evidence of kind "given":
        ``monotonic_ns`` int64.
    """

    stream: str
    first_index: int
    segment: int
    data: NDArray[Any]
    read: Read
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])

    @property
    def n_samples(self) -> int:
        """Number of samples in the block."""
        return len(self.data)


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of a stream that is missing, and why.

    Attributes
    ----------
    start_ns, stop_ns
        Bounds of the stretch, CLOCK_MONOTONIC.
    n_missing
        Samples lost as the source of the gap counts or estimates them; sealing replaces an estimate
        by the number that the fitted times on both sides give. -1: not known.
    n_bytes
        Bytes of the journal lost, for damage of the journal; otherwise 0.
    cause
        One of `GAP_CAUSES`.
    exact
        The number was counted rather than estimated.
    """

    stream: str
    start_ns: int
    stop_ns: int
    n_missing: int
    cause: str
    n_bytes: int = 0
    exact: bool = False


GAP_CAUSES: tuple[str, ...] = (
    "fifo overflow",
    "fifo misaligned",
    "missed",  # a subpage or frame came and went before it could be read
    "torn",  # a frame was overwritten while it was read
    "invalid data",
    "bus error",
    "device restarted",
    "device missing",
    "stalled",
    "queue full",
    "journal damaged",
    "disk full",
    "missing in the source",  # imported: the stamps jump, or values are not there
)


@dataclass(frozen=True, slots=True)
class ClockAnchor:
    """One simultaneous reading of the clocks, from which UTC is made."""

    monotonic_ns: int
    monotonic_raw_ns: int
    realtime_ns: int
    synchronised: bool
    est_error_ns: int


@dataclass(frozen=True, slots=True)
class Label:
    """An activity span, half-open, CLOCK_MONOTONIC; `stop_ns` 0 while it still runs."""

    start_ns: int
    stop_ns: int
    label: str
    annotator: str = ""
    source: str = "live"
    confidence: float = 1.0
    uncertainty_ns: int = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """A remark at one instant."""

    time_ns: int
    text: str


@dataclass(frozen=True, slots=True)
class HealthSample:
    """The recorder's own state at one instant."""

    monotonic_ns: int
    cpu_temp_c: float
    throttled: int
    free_bytes: int
    load1: float
    fsync_p99_ns: int


@dataclass(frozen=True, slots=True)
class SessionHeader:
    """What is known of a session before its first sample.

    A session that goes on where another ended without a gap names it in `continues`; `first_index`
    then tells by stream the index of its first sample, since indices run on.
    """

    session_id: str
    boot_id: str
    subject: str
    activity: str
    host: str
    wban_version: str
    started_monotonic_ns: int
    configuration: str
    annotator: str = ""
    simulated: bool = False
    replay_source: str = ""
    continues: str = ""
    boottime_offset_ns: int = 0
    aligned_rate_hz: float = 25.0
    gzip_level: int = 1
    emissivity: float = 0.95
    attributes: Mapping[str, AttributeValue] = field(default_factory=dict[str, AttributeValue])
    first_index: Mapping[str, int] = field(default_factory=dict[str, int])


NEXT_SESSION = "next session began"
SCHEDULE = "schedule"
ORDERLY_ENDS = ("asked to stop", "duration reached", "source ended", NEXT_SESSION, SCHEDULE)
"""Reasons to end that mean that everything that was wanted is there."""


@dataclass(frozen=True, slots=True)
class SessionEnd:
    """Written last when a recording ends in order; its absence means that it was cut off."""

    monotonic_ns: int
    reason: str
    n_lost: Mapping[str, int]
