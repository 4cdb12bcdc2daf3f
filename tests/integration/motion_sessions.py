"""Small sealed sessions of made-up motion, pictures and labels, quick to make."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tests.integration import session_journal as made
from tests.unit.small_sessions import BOOT, session_id
from wban_dataset.recording.sealing import seal
from wban_dataset.recording.streams import Label, Read, SampleBlock, SessionEnd

SECOND_NS = 1_000_000_000
START_NS = made.START_NS
HALVES = (("sitting", 0.0, 0.5), ("walking", 0.5, 1.0))
"""Labels as (name, from, to), in parts of the session."""


def motion_session(
    out: Path,
    subject: str,
    number: int = 1,
    *,
    seconds: int = 12,
    labels: Sequence[tuple[str, float, float]] = HALVES,
    seed: int | None = None,
    sampling_rate_hz: float = 100.0,
    scale_factor: float = 0.04,
    frames: bool = False,
) -> Path:
    """Seal a session; the same seed makes the same motion."""
    spec = dataclasses.replace(
        made.accel_spec(), sampling_rate_hz=sampling_rate_hz, scale_factor=scale_factor
    )
    header = dataclasses.replace(
        made.HEADER,
        session_id=session_id(number),
        boot_id=BOOT,
        subject=subject,
        activity="mixed",
    )
    specs = [spec, made.infrared_spec()] if frames else [spec]
    counts = walk(number if seed is None else seed, seconds, sampling_rate_hz)
    blocks = [*_blocks(counts, sampling_rate_hz)]
    if frames:
        blocks += [
            dataclasses.replace(made.frame_block(i), data=picture(number, i)[None])
            for i in range(seconds * 5)
        ]
    items = [header, *specs, made.anchor(0), *sorted(blocks, key=lambda b: b.read.read_end_ns)]
    length_ns = seconds * SECOND_NS
    for name, start, stop in labels:
        span = START_NS + int(start * length_ns), START_NS + int(stop * length_ns)
        items.append(Label(*span, name, "Ann", source="page"))
    items += [made.anchor(seconds), SessionEnd(START_NS + length_ns, "asked to stop", {})]
    folder = made.write_journal(out / f"{subject}_{number}", items)
    seal(folder)
    return folder


def walk(seed: int, seconds: int, sampling_rate_hz: float = 100.0) -> np.ndarray:
    """Give counts that no other seed has, int16 (n, 3)."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(0, 40, (round(seconds * sampling_rate_hz), 3))
    smooth = np.apply_along_axis(lambda x: np.convolve(x, np.ones(5) / 5, "same"), 0, steps)
    return (smooth + np.array([0, 0, 245])).round().astype(np.int16)


def picture(number: int, i: int) -> np.ndarray:
    """Give picture i of a session; each one comes twice."""
    return np.random.default_rng([number, i // 2]).integers(0, 256, (6, 8), dtype=np.uint8)


def study(out: Path, n_subjects: int = 3, **session: object) -> Path:
    """Seal one session for each of some subjects."""
    for number in range(1, n_subjects + 1):
        motion_session(out, f"S{number:02d}", number, **session)
    return out


def _blocks(counts: np.ndarray, sampling_rate_hz: float) -> list[SampleBlock]:
    period_ns = round(SECOND_NS / sampling_rate_hz)
    blocks = []
    for first in range(0, len(counts), 10):
        data = counts[first : first + 10]
        newest_ns = START_NS + (first + len(data) - 1) * period_ns
        read = Read(newest_ns + 300_000, newest_ns + 400_000)
        blocks.append(SampleBlock("accel", first, 0, data, read))
    return blocks
