"""From evidence to stamps: sample index to CLOCK_MONOTONIC, in integer nanoseconds.

The chips' clocks are fitted in `clock_fit`; here stands what a stamp of each kind of stream means,
and `stamp`, the one way to it that sealing and `refit` share:

- accelerometer and gyroscope: the instant at which the sample was latched. The filter's group delay
  is stored with the stream and not taken off;
- thermal: the middle of the subpage's integration, half a fitted period before it was ready;
- infrared: the middle row at the middle of its exposure;
- imported: as the source gave it; how uncertain, it does not say, so that 0 stands there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording.clock_fit import fit_clock
from wban_dataset.recording.evidence import Evidence, Ints
from wban_dataset.recording.fitted_clock import ClockFit
from wban_dataset.recording.streams import StreamKind

__all__ = [
    "ClockFit",
    "Evidence",
    "RefitSource",
    "StampInputs",
    "StampedStream",
    "camera_midpoints",
    "count_missing",
    "fit",
    "fit_clock",
    "refit",
    "stamp",
    "stamped",
    "thermal_midpoints",
]

CHUNK_SAMPLES = 1 << 16  # bounds the memory of intermediate results

Uncertainties = NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class StampInputs:
    """All that the stamps of one stream are made from; everything of it stands in the file.

    Attributes
    ----------
    columns
        Infrared: ``sensor_ns``, ``exposure_ns`` int64 (n,), ``stamp_unc_ns`` int32 (n,). Imported:
        ``monotonic_ns`` int64 (n,).
    rows, line_time_ns
        Infrared: rows of the picture and the time from one row to the next, in the same rows.
    boottime_offset_ns
        CLOCK_BOOTTIME less CLOCK_MONOTONIC, for a camera whose stamps are in BOOTTIME; otherwise 0.
    """

    kind: StreamKind
    evidence: Evidence
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
    rows: int = 0
    line_time_ns: int = 0
    boottime_offset_ns: int = 0


@dataclass(frozen=True, slots=True)
class StampedStream:
    """Stamps of a stream.

    Attributes
    ----------
    monotonic_ns, time_unc_ns
        Times and their 1-sigma uncertainties, (n,) each.
    lateness_ns
        How much later than the fitted time the evidence of each read came, (r,): the interrupt if
        one was stamped, otherwise the end of the read that saw the newest sample.
    """

    monotonic_ns: Ints
    time_unc_ns: Uncertainties
    lateness_ns: Ints


class RefitSource(Protocol):
    """An opened session, as far as its stamps are concerned."""

    def stream_names(self) -> tuple[str, ...]:
        """Names of all streams."""
        ...

    def stamp_inputs(self, stream: str) -> StampInputs:
        """Return what the stamps of a stream were made from, as the file keeps it."""
        ...


def refit(session: RefitSource) -> dict[str, Ints]:
    """Make ``monotonic_ns`` of every stream again from the stored evidence, exactly."""
    return {name: stamp(session.stamp_inputs(name))[0] for name in session.stream_names()}


def stamp(inputs: StampInputs) -> tuple[Ints, Uncertainties]:
    """Stamps of a stream and their 1-sigma uncertainties in ns, (n,) each; strictly increasing."""
    stamped_stream = stamped(inputs)
    return stamped_stream.monotonic_ns, stamped_stream.time_unc_ns


def stamped(inputs: StampInputs) -> StampedStream:
    """Stamp a stream, and tell how late the evidence of each read was."""
    evidence = inputs.evidence
    if evidence.kind == "sensor":
        return _stamped_by_sensor(inputs)
    if evidence.kind == "given":
        return _stamped_as_given(inputs)
    clock = fit_clock(evidence)
    midpoints = inputs.kind == "thermal"
    monotonic_ns, time_unc_ns = _all_stamps(clock, midpoints=midpoints)
    if midpoints:
        monotonic_ns = _increasing(monotonic_ns)
    index = np.where(evidence.has_edge, evidence.edge_index, evidence.newest_index)
    arrived_ns = np.where(evidence.has_edge, evidence.edge_ns, evidence.read_end_ns)
    reads = np.arange(evidence.n_reads, dtype=np.int64)
    return StampedStream(monotonic_ns, time_unc_ns, arrived_ns - clock.instants(index, reads))


def fit(evidence: Evidence) -> tuple[Ints, Uncertainties]:
    """Fit the instant of every sample and its 1-sigma uncertainty in ns, (n,) each.

    "fifo": when the sample was latched; "ready": when the subpage was. Strictly increasing.

    Raises
    ------
    ValueError
        For evidence of kind "sensor" or "given", whose stamps need no fit.
    """
    return _all_stamps(fit_clock(evidence), midpoints=False)


def thermal_midpoints(ready_ns: Ints, period_ns: NDArray[np.float64]) -> Ints:
    """Middle of each subpage's integration in ns, (n,).

    Subpage k integrates over [ready - period, ready], by the sensor's own clock: `period_ns` is the
    fitted one, (n,), not the nominal.
    """
    return ready_ns - np.rint(period_ns / 2).astype(np.int64)


def camera_midpoints(
    sensor_ns: Ints,
    exposure_ns: Ints,
    rows: int,
    line_time_ns: int,
    boottime_offset_ns: int = 0,
) -> Ints:
    """Instant of the middle row at the middle of its exposure, CLOCK_MONOTONIC ns, (n,).

    The sensor's stamp is taken when the first row starts to be read, which is the end of that row's
    exposure; row r follows r line times later.
    """
    middle_row_ns = rows * line_time_ns // 2
    return sensor_ns - boottime_offset_ns - exposure_ns // 2 + middle_row_ns


def count_missing(last_ns: int, first_ns: int, period_ns: float) -> int:
    """Count the samples missing between the last stamp before a gap and the first after."""
    return max(round((first_ns - last_ns) / period_ns) - 1, 0)


def _stamped_by_sensor(inputs: StampInputs) -> StampedStream:
    monotonic_ns = _increasing(
        camera_midpoints(
            inputs.columns["sensor_ns"].astype(np.int64),
            inputs.columns["exposure_ns"].astype(np.int64),
            inputs.rows,
            inputs.line_time_ns,
            inputs.boottime_offset_ns,
        )
    )
    newest_row = np.cumsum(inputs.evidence.n) - 1
    return StampedStream(
        monotonic_ns,
        inputs.columns["stamp_unc_ns"].astype(np.int32),
        inputs.evidence.read_end_ns - monotonic_ns[newest_row],
    )


def _stamped_as_given(inputs: StampInputs) -> StampedStream:
    monotonic_ns = _increasing(inputs.columns["monotonic_ns"].astype(np.int64))
    return StampedStream(
        monotonic_ns,
        np.zeros(len(monotonic_ns), dtype=np.int32),
        np.zeros(inputs.evidence.n_reads, dtype=np.int64),
    )


def _all_stamps(clock: ClockFit, *, midpoints: bool) -> tuple[Ints, Uncertainties]:
    n = clock.n_samples
    monotonic_ns, time_unc_ns = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int32)
    for start in range(0, n, CHUNK_SAMPLES):
        part = slice(start, min(start + CHUNK_SAMPLES, n))
        times_ns, time_unc_ns[part] = clock.stamps(part.start, part.stop)
        if midpoints:
            times_ns = thermal_midpoints(times_ns, clock.periods_ns(part.start, part.stop))
        monotonic_ns[part] = times_ns
    return monotonic_ns, time_unc_ns


def _increasing(times_ns: Ints) -> Ints:
    """Push stamps that are not later than the one before them to 1 ns after it."""
    steps = np.arange(len(times_ns), dtype=np.int64)
    return np.maximum.accumulate(times_ns - steps) + steps
