"""HAPT's windows as braindecode makes them, run by a Python that has it.

::

    python braindecode_windows.py INPUT.npz OUTPUT.npz

The input holds ``x<i>``, (6, n) of each recording; the output the windows (w, 6, 50), and the
seconds that the windower alone took and that it took with the windows read from it.
"""

from __future__ import annotations

import sys
import time

import mne
import numpy as np
from braindecode.datasets import BaseConcatDataset, RawDataset
from braindecode.preprocessing import create_fixed_length_windows


def main() -> None:
    mne.set_log_level("ERROR")
    given = np.load(sys.argv[1])
    info = mne.create_info(6, 50.0, "misc")
    raws = [mne.io.RawArray(given[f"x{i}"], info) for i in range(len(given.files))]
    dataset = BaseConcatDataset([RawDataset(raw, {"target": 0}) for raw in raws])
    started_s = time.perf_counter()
    windows = create_fixed_length_windows(
        dataset,
        start_offset_samples=0,
        stop_offset_samples=None,
        window_size_samples=50,
        window_stride_samples=20,
        on_last_window="drop",
    )
    windower_s = time.perf_counter() - started_s
    arrays = np.stack([windows[i][0] for i in range(len(windows))])
    np.savez(
        sys.argv[2],
        windows=arrays,
        windower_s=windower_s,
        total_s=time.perf_counter() - started_s,
    )


if __name__ == "__main__":
    main()
