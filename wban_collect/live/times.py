"""About when the newest sample of a block was taken, as far as its one read tells.

Sealing fits the stamps of a whole recording to all reads (`timebase`) and is some hundred times
better; whoever watches cannot wait for it.
"""

from __future__ import annotations

import numpy as np

from wban_dataset.recording.streams import SampleBlock, StreamSpec
from wban_dataset.recording.timebase import camera_midpoints


def newest_sample_ns(spec: StreamSpec, block: SampleBlock) -> tuple[int, int]:
    """Instant of the block's newest sample and how far off it may be (CLOCK_MONOTONIC, ns).

    What the instant means is said in `timebase`: latched, the middle of the integration, the middle
    of the exposure.
    """
    if spec.evidence == "fifo":
        return _latched_ns(spec, block)
    if spec.evidence == "ready":
        return _integrated_ns(spec, block)
    return _exposed_ns(spec, block)


def _latched_ns(spec: StreamSpec, block: SampleBlock) -> tuple[int, int]:
    """By the interrupt where there is one; otherwise within the bounds of the fill level."""
    read, period_ns = block.read, spec.period_ns
    watermark = int(spec.attributes.get("watermark", 0))
    latched_before_ns = read.edge_ns + round((block.n_samples - watermark) * period_ns)
    if read.edge_ns and watermark and latched_before_ns <= read.read_end_ns:
        return latched_before_ns, round(period_ns / 2)
    # The newest entry seen was latched by the end of the read, and its follower not at its start.
    newest_seen_ns = (read.read_start_ns + read.read_end_ns - period_ns) / 2
    within_ns = (read.read_end_ns - read.read_start_ns + period_ns) / 2
    return round(newest_seen_ns - read.fifo_level * period_ns), round(within_ns)


def _integrated_ns(spec: StreamSpec, block: SampleBlock) -> tuple[int, int]:
    """Half a period before it was ready, which is between two polls."""
    read, period_ns = block.read, spec.period_ns
    earliest_ns = read.read_start_ns or read.read_end_ns - period_ns
    ready_ns = (earliest_ns + read.read_end_ns) / 2
    return round(ready_ns - period_ns / 2), round((read.read_end_ns - earliest_ns) / 2)


def _exposed_ns(spec: StreamSpec, block: SampleBlock) -> tuple[int, int]:
    """As the camera stamped it; by the delivery where it gave no stamp to work with."""
    columns, read = block.columns, block.read
    if "sensor_ns" not in columns or "exposure_ns" not in columns:
        return read.read_end_ns - round(spec.period_ns / 2), round(spec.period_ns / 2)
    middle_ns = camera_midpoints(
        columns["sensor_ns"][-1:].astype(np.int64),
        columns["exposure_ns"][-1:].astype(np.int64),
        int(spec.attributes.get("sensor_rows", spec.sample_shape[0])),
        int(spec.attributes.get("line_time_ns", 0)),
    )
    within_ns = int(columns["stamp_unc_ns"][-1]) if "stamp_unc_ns" in columns else 0
    return int(middle_ns[0]), within_ns
