"""Windows of a dataset as NumPy arrays, with their table and the splits.

| file | holds |
| --- | --- |
| ``NAME.npy`` | a stream: motion float32 (w, n, channels), pictures (w, h, w); NaN where unknown |
| ``windows.csv`` | one row a window, in the order of the arrays |
| ``folds.npy`` | uint8 (folds, w): 0 unused, 1 train, 2 validation, 3 test |
| ``splits.json`` | as the dataset has it |
| ``dataset.json`` | classes, streams with units and rates, folds, whether the splits leak |
"""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.dataset.layout import SPLITS_FILE
from wban_dataset.dataset.opened import Dataset, load_dataset
from wban_dataset.dataset.window_arrays import windows_of_stream
from wban_dataset.exports.chosen import KINDS
from wban_dataset.exports.csv_export import write_rows
from wban_dataset.exports.description import FORMAT, FORMAT_VERSION, write_json
from wban_dataset.exports.errors import ExportError

DESCRIPTION_NAME = "dataset.json"
WINDOWS_NAME = "windows.csv"
FOLDS_NAME = "folds.npy"
WINDOWS_AT_ONCE = 4096
"""Bounds the memory, whatever the length of the dataset."""

PLAIN_COLUMNS = (
    *("session_id", "subject", "start_ns", "stop_ns"),
    *("label", "label_fraction", "previous_label", "next_label"),
)


def write_arrays(directory: Path, folder: Path, without: Collection[str]) -> bool:
    """Write a dataset's windows into a folder that is there.

    Returns
    -------
    bool
        Whether its splits leak; ``dataset.json`` says it too.

    Raises
    ------
    DatasetError
        If the dataset cannot be read, or has no stream that was to be left out.
    """
    with load_dataset(directory) as dataset:
        names = _kept(dataset, without)
        write_json(folder / DESCRIPTION_NAME, _description(dataset, names))
        write_rows(folder / WINDOWS_NAME, _columns(dataset, names), _rows(dataset, names))
        for name in names:
            _write_stream(dataset, name, folder)
        roles = [fold.role for fold in dataset.folds]
        shape = (0, len(dataset.windows))
        np.save(folder / FOLDS_NAME, np.stack(roles) if roles else np.empty(shape, np.uint8))
        splits = dataset.path / SPLITS_FILE
        if splits.is_file():
            shutil.copyfile(splits, folder / SPLITS_FILE)
        return dataset.leaky


def _kept(dataset: Dataset, without: Collection[str]) -> list[str]:
    unknown = sorted(set(without) - set(dataset.streams) - set(KINDS))
    if unknown:
        raise ExportError(
            f"--without {unknown[0]}: dataset {dataset.path} has no such stream, expected one of "
            f"{', '.join(dataset.streams)}. Correct the name."
        )
    kinds = {name: dataset.stream(name).kind for name in dataset.streams}
    return [name for name, kind in kinds.items() if not {name, kind} & set(without)]


def _description(dataset: Dataset, names: list[str]) -> dict[str, Any]:
    streams = {
        name: {
            "kind": dataset.stream(name).kind,
            "units": dataset.stream(name).units,
            "sampling_rate_hz": dataset.stream(name).sampling_rate_hz,
            "placement": dataset.stream(name).placement,
        }
        for name in names
    }
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "to": "arrays",
        "leaky": dataset.leaky,
        "protocol": dataset.protocol,
        "timebase": dataset.timebase,
        "window_ns": int(dataset.attributes["window_ns"]),
        "classes": list(dataset.classes),
        "folds": [fold.name for fold in dataset.folds],
        "n_windows": len(dataset.windows),
        "subjects": sorted({info.subject for info in dataset.sessions}),
        "streams": streams,
    }


def _columns(dataset: Dataset, names: list[str]) -> list[str]:
    present = [name for name in names if name in dataset.windows.present]
    return [*PLAIN_COLUMNS, *(f"{name}_present" for name in present)]


def _rows(dataset: Dataset, names: list[str]) -> Iterator[tuple[Any, ...]]:
    """Rows of ``windows.csv``; labels by name, "" where there is none."""
    windows = dataset.windows
    classes = np.array([*dataset.classes, ""], dtype=object)  # code -1 is the last
    session_id = np.array([info.session_id for info in dataset.sessions], dtype=object)
    columns: list[NDArray[Any]] = [
        session_id[windows.session],
        dataset.subject,
        windows.start_ns,
        windows.stop_ns,
        classes[windows.label],
        windows.label_fraction,
        classes[windows.previous_label],
        classes[windows.next_label],
    ]
    columns += [windows.present[name].astype(int) for name in names if name in windows.present]
    yield from zip(*(column.tolist() for column in columns), strict=True)


def _write_stream(dataset: Dataset, name: str, folder: Path) -> None:
    """Write one stream of all windows, a few thousand at a time."""
    stream, n_windows = dataset.stream(name), len(dataset.windows)
    with (folder / f"{name}.npy").open("wb") as file:
        for start in range(0, max(n_windows, 1), WINDOWS_AT_ONCE):
            windows = dataset.windows.take(slice(start, start + WINDOWS_AT_ONCE))
            values = windows_of_stream(stream, windows, None, dataset.timebase)
            if start == 0:
                shape = (n_windows, *values.shape[1:])
                header = {"descr": values.dtype.str, "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(np.ascontiguousarray(values).data)
