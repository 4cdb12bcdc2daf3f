"""A small session's journal, made by hand: every kind of item, two segments, a gap."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording.journal import JournalWriter
from wban_dataset.recording.records import JournalItem, encode
from wban_dataset.recording.streams import (
    ClockAnchor,
    Gap,
    HealthSample,
    Label,
    Mark,
    Read,
    SampleBlock,
    SessionEnd,
    SessionHeader,
    StreamSpec,
)

SECOND_NS = 1_000_000_000
START_NS = 100 * SECOND_NS
UTC_NS = 1_795_000_000 * SECOND_NS
"""Realtime less monotonic time of the hand-made session."""

ACCEL_PERIOD_NS = 10_000_000
ACCEL_PER_BLOCK = 10
THERMAL_PERIOD_NS = 125_000_000
FRAME_PERIOD_NS = 200_000_000
EXAMPLE = Path(__file__).parents[1] / "data" / "mlx90640" / "melexis_example.json"

HEADER = SessionHeader(
    session_id="01J00000000000000000000000",
    boot_id="0f0e0d0c-0000-4000-8000-000000000000",
    subject="S01",
    activity="eating",
    host="pi",
    wban_version="0.1.0",
    started_monotonic_ns=START_NS,
    configuration='[study]\nannotator = "Zoë"\n',
    annotator="Zoë",
    simulated=True,
    boottime_offset_ns=17,
    aligned_rate_hz=25.0,
    attributes={"commit_interval_ns": 500_000_000},
)


def accel_spec(name: str = "accel") -> StreamSpec:
    return StreamSpec(
        name=name,
        kind="accel",
        device="adxl345",
        dtype="<i2",
        sample_shape=(3,),
        units="m s-2",
        sampling_rate_hz=100.0,
        evidence="fifo",
        scale_factor=0.04,
        channels=("x", "y", "z"),
        placement="wrist",
        attributes={"range": 156.9, "group_delay_ns": 5_000_000, "clip_counts": 4095},
    )


def thermal_spec() -> StreamSpec:
    return StreamSpec(
        name="thermal",
        kind="thermal",
        device="MLX90640",
        dtype="<u2",
        sample_shape=(834,),
        units="degC",
        sampling_rate_hz=8.0,
        evidence="ready",
        attributes={"pattern": "chess", "adc_bits": 18, "power_up_ns": START_NS - 239 * SECOND_NS},
        calibration={"eeprom": example()["eeprom"]},
    )


def infrared_spec() -> StreamSpec:
    return StreamSpec(
        name="infrared",
        kind="infrared",
        device="imx219",
        dtype="|u1",
        sample_shape=(6, 8),
        units="1",
        sampling_rate_hz=5.0,
        evidence="sensor",
        attributes={"rule": "every frame", "line_time_ns": 20_000, "sensor_rows": 480},
        calibration={"thermal_to_infrared": np.array([[0.2, 0.0, 1.0], [0.0, 0.2, 2.0]])},
    )


@cache
def example() -> dict[str, NDArray[np.uint16]]:
    """EEPROM (832,) and two subpages (2, 834) of the vendor's example."""
    read = json.loads(EXAMPLE.read_text(encoding="utf-8"))
    return {name: np.array(read[name], dtype=np.uint16) for name in ("eeprom", "frames")}


def accel_counts(n: int) -> NDArray[np.int16]:
    """Row i holds i, -i, 100 (standing still would be 245 of 0.04 m/s2)."""
    i = np.arange(n)
    return np.stack([i, -i, np.full(n, 100)], axis=1).astype(np.int16)


def accel_block(i: int, segment: int = 0, shift_ns: int = 0, name: str = "accel") -> SampleBlock:
    """Block i of a perfect chip: read just after its last sample was latched."""
    first = i * ACCEL_PER_BLOCK
    newest_ns = START_NS + shift_ns + (first + ACCEL_PER_BLOCK - 1) * ACCEL_PERIOD_NS
    read = Read(newest_ns + 300_000, newest_ns + 400_000)
    data = accel_counts(first + ACCEL_PER_BLOCK)[first:]
    return SampleBlock(name, first, segment, data, read)


def thermal_block(i: int, segment: int = 0) -> SampleBlock:
    ready_ns = START_NS + (i + 1) * THERMAL_PERIOD_NS
    raw = thermal_words(i)[None]
    read = Read(ready_ns - 2_000_000, ready_ns + 1_000_000)
    columns = {"subpage": np.array([i & 1], dtype=np.uint8)}
    return SampleBlock("thermal", i, segment, raw, read, columns)


def thermal_words(i: int) -> NDArray[np.uint16]:
    """Return a subpage of the vendor's example, a little warmer in each of seven rows."""
    words = example()["frames"][i & 1].copy()
    words[:768] += np.uint16(i % 7)
    return words


def picture(i: int) -> NDArray[np.uint8]:
    return ((np.arange(48).reshape(6, 8) + i) % 256).astype(np.uint8)


def frame_block(i: int, segment: int = 0) -> SampleBlock:
    sensor_ns = START_NS + i * FRAME_PERIOD_NS
    columns = {
        "exposure_ns": np.array([8_000_000], dtype=np.int64),
        "gain": np.array([2.0], dtype=np.float32),
        "illuminated": np.array([1], dtype=np.uint8),
        "sensor_ns": np.array([sensor_ns], dtype=np.int64),
        "frame_duration_ns": np.array([FRAME_PERIOD_NS], dtype=np.int64),
        "stamp_unc_ns": np.array([20_000], dtype=np.int32),
    }
    read = Read(sensor_ns, sensor_ns + 20_000_000, edge_ns=sensor_ns)
    return SampleBlock("infrared", i, segment, picture(i)[None], read, columns)


def anchor(seconds: int, *, synchronised: bool = True) -> ClockAnchor:
    monotonic_ns = START_NS + seconds * SECOND_NS
    return ClockAnchor(monotonic_ns, monotonic_ns - 5, monotonic_ns + UTC_NS, synchronised, 1000)


def health(seconds: int) -> HealthSample:
    return HealthSample(START_NS + seconds * SECOND_NS, 48.5, 0, 10**9, 0.25, 12_000_000)


def whole_session(seconds: int = 4) -> list[JournalItem]:
    """Give all items of a session without losses, in the order in which they are recorded."""
    items: list[JournalItem] = [HEADER, accel_spec(), thermal_spec(), infrared_spec(), anchor(0)]
    items.append(Label(START_NS, 0, "eating", "Zoë", uncertainty_ns=SECOND_NS))
    blocks = [accel_block(i) for i in range(seconds * 10)]
    blocks += [thermal_block(i) for i in range(seconds * 8)]
    blocks += [frame_block(i) for i in range(seconds * 5)]
    items += sorted(blocks, key=lambda block: block.read.read_end_ns)
    items += [Mark(START_NS + SECOND_NS, "dropped the fork — twice"), health(2), anchor(seconds)]
    items.append(SessionEnd(START_NS + seconds * SECOND_NS, "asked to stop", {"accel": 0}))
    return items


def write_journal(
    folder: Path, items: Iterable[JournalItem], *, segment_bytes: int = 60_000
) -> Path:
    """Write a session's folder; small segments, so that there are several."""
    folder.mkdir(parents=True, exist_ok=True)
    items = list(items)
    described = [item for item in items if isinstance(item, (SessionHeader, StreamSpec))]
    with JournalWriter(folder / "journal", b"n" * 16, segment_bytes=segment_bytes) as journal:
        segment = 0
        for item in items:
            journal.append(*encode(item), 0)
            if journal.written.segment != segment:
                segment = journal.written.segment
                for again in described:
                    journal.append(*encode(again), 0)
    return folder


def gap_of_accel(start_ns: int, stop_ns: int, n_missing: int, *, exact: bool = False) -> Gap:
    return Gap("accel", start_ns, stop_ns, n_missing, "fifo overflow", exact=exact)
