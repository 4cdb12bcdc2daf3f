"""Streams of accelerometers and gyroscopes: three signed 16-bit counts per sample."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from wban_dataset.recording.streams import AttributeValue, StreamSpec

STANDARD_GRAVITY = 9.80665
"""m/s^2 (3rd CGPM, 1901); what data sheets mean by g."""

IDENTITY_MOUNTING = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)


def motion_spec(
    stream: str,
    kind: Literal["accel", "gyro"],
    device: str,
    *,
    sampling_rate_hz: float,
    counts_per_unit: float,
    full_scale: float,
    placement: str,
    mounting: tuple[float, ...],
    attributes: Mapping[str, AttributeValue],
) -> StreamSpec:
    """Describe a stream by its data sheet's figures.

    Parameters
    ----------
    counts_per_unit, full_scale
        In g for an accelerometer, in degrees per second for a gyroscope. The attributes get
        ``range``, the full scale in the stream's units, and ``clip_counts``, the magnitude at
        which a sample is clipped.
    """
    unit = STANDARD_GRAVITY if kind == "accel" else math.radians(1.0)
    return StreamSpec(
        name=stream,
        kind=kind,
        device=device,
        dtype="<i2",
        sample_shape=(3,),
        units="m s-2" if kind == "accel" else "rad s-1",
        sampling_rate_hz=sampling_rate_hz,
        evidence="fifo",
        scale_factor=unit / counts_per_unit,
        channels=("x", "y", "z"),
        placement=placement,
        mounting=mounting,
        attributes={
            "range": full_scale * unit,
            "clip_counts": min(round(full_scale * counts_per_unit), 32768) - 1,
            **attributes,
        },
    )
