"""What was recorded, stamped as sealing stamps it and held against the simulator's truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from virtual_rig import Collected

from wban_dataset.recording.evidence import Evidence
from wban_dataset.recording.timebase import StampInputs, stamp

Instants = NDArray[np.int64]


def stamps(collected: Collected, stream: str) -> Instants:
    """Make the stamps of a stream (n,) from its evidence."""
    spec, blocks = collected.specs[stream], collected.blocks[stream]
    evidence = Evidence.from_reads(
        spec.evidence,
        spec.period_ns,
        int(spec.attributes.get("watermark", 0)),
        first_index=[block.first_index for block in blocks],
        n=[block.n_samples for block in blocks],
        segment=[block.segment for block in blocks],
        reads=[block.read for block in blocks],
    )
    columns = {
        name: np.concatenate([block.columns[name] for block in blocks])
        for name in blocks[0].columns
    }
    inputs = StampInputs(
        spec.kind,
        evidence,
        columns,
        rows=int(spec.attributes.get("sensor_rows", 0)),
        line_time_ns=int(spec.attributes.get("line_time_ns", 0)),
    )
    made = stamp(inputs)[0]
    if np.any(np.diff(made) <= 0):
        raise SystemExit(f"{stream}: a stamp is out of order")
    return made


def compare(made: Instants, truth: Instants, *, in_order: bool) -> tuple[Instants, int]:
    """Pair each stamp with the true instant that it belongs to.

    Parameters
    ----------
    truth
        Instants of what was read from the chip, in this order (`in_order`): what was lost leaves a
        hole there. Otherwise those of all that could be recorded; the nearest one counts.

    Returns
    -------
    errors_ns, n_expected
        Stamps less true instants, (n,); and how many samples there were from the first to the last.
    """
    places = np.arange(len(made))
    if not in_order:
        after = np.clip(np.searchsorted(truth, made), 1, len(truth) - 1)
        places = after - (made - truth[after - 1] < truth[after] - made)
    steps_ns = np.diff(truth[places[0] : places[-1] + 1])
    n_expected = int(np.rint(steps_ns / np.median(steps_ns)).sum()) + 1
    return made - truth[places], n_expected


def rms_ms(errors_ns: Instants) -> float:
    """Root mean square of stamp errors in ms."""
    return float(np.sqrt(np.mean((errors_ns / 1e6) ** 2)))
