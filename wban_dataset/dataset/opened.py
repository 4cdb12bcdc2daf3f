# pyright: basic, reportIndexIssue=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportArgumentType=false, reportOperatorIssue=false
# h5py's types are incomplete: whatever stands in a file is a Group | Dataset | Datatype.
"""A built dataset, opened for reading.

Examples
--------
>>> with load_dataset("study-dataset") as dataset:  # doctest: +SKIP
...     train = dataset.arrays("S01", "train", normalise="train")
...     test = dataset.arrays("S01", "test", normalise="train")
...     train.data["accel"].shape, train.label.shape
((2400, 100, 3), (2400,))
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from wban_dataset.dataset import layout
from wban_dataset.dataset.normalisation import Normalisation
from wban_dataset.dataset.stream import DatasetStream
from wban_dataset.dataset.window_arrays import WindowArrays, training_parts, windows_of_stream
from wban_dataset.errors import DatasetError
from wban_dataset.recording.sealed import attributes_of
from wban_dataset.session_info import SessionInfo
from wban_dataset.splits.fold import Fold, Role
from wban_dataset.windows.window_table import BY_STREAM, PLAIN_COLUMNS, WindowTable

RoleName = Literal["train", "validation", "test", "unused"]

_READ_ERRORS = (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError)


def load_dataset(directory: Path | str) -> Dataset:
    """Open the folder that `build` made, or its ``dataset.h5``.

    Raises
    ------
    DatasetError
        If there is no dataset, it cannot be read, or a newer wban wrote it.
    """
    path = Path(directory)
    path = path / layout.DATASET_FILE if path.is_dir() else path
    if not path.is_file():
        raise DatasetError(
            f"dataset {directory}: there is no {layout.DATASET_FILE} in it, expected the folder "
            "that 'wban-dataset build' made. Check the path."
        )
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise _unreadable(path, error) from error
    try:
        _check_format(path, file)
        return Dataset(path, file)
    except BaseException:
        file.close()
        raise


class Dataset:
    """Sessions cut into windows, and folds of them; see docs/dataset-file.md.

    Made by `load_dataset`. Samples are read when they are asked for.

    Attributes
    ----------
    path
        The folder.
    """

    def __init__(self, path: Path, file: h5py.File) -> None:
        self.path = path.parent
        self._file = file
        self._streams: dict[str, DatasetStream] = {}
        self._normalisations: dict[tuple[str, str], Normalisation] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        """Say in a line what is in it."""
        return (
            f"<Dataset {self.path.name}: {len(self.sessions)} sessions, {len(self.windows)} "
            f"windows, {len(self.classes)} classes, {self.protocol} with {len(self.folds)} folds>"
        )

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    @cached_property
    def attributes(self) -> dict[str, Any]:
        """All attributes of the dataset by name, e.g. ``window_ns``."""
        return attributes_of(self._file)

    @property
    def timebase(self) -> str:
        """``monotonic``, or ``none`` for ready windows whose time was never known."""
        return str(self.attributes["timebase"])

    @property
    def protocol(self) -> str:
        """How the windows are divided, e.g. ``loso``."""
        return str(self.attributes["protocol"])

    @property
    def leaky(self) -> bool:
        """Whether parts of a fold share what would make a result look better than it is."""
        return bool(self.attributes["leaky"])

    @cached_property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes; a class's code is its place."""
        return tuple(self._file["classes/name"].asstr()[:])

    @cached_property
    def sessions(self) -> tuple[SessionInfo, ...]:
        """What is known of each session, in the order of their numbers."""
        group = self._file["sessions"]
        texts = {name: group[name].asstr()[:] for name in layout.SESSION_TEXTS}
        return tuple(
            SessionInfo(
                **{name: str(values[i]) for name, values in texts.items()},
                duration_ns=int(duration_ns),
            )
            for i, duration_ns in enumerate(group["duration_ns"][:])
        )

    @cached_property
    def subject(self) -> NDArray[Any]:
        """The subject of each window, text (w,)."""
        return np.array([info.subject for info in self.sessions])[self.windows.session]

    @cached_property
    def windows(self) -> WindowTable:
        """All windows; their rows are those of `stream`."""
        group = self._file["windows"]
        columns: dict[str, Any] = {name: group[name][:] for name in PLAIN_COLUMNS}
        for column in BY_STREAM:
            names = [stream for stream in self.streams if f"{stream}_{column}" in group]
            columns[column] = {stream: group[f"{stream}_{column}"][:] for stream in names}
        return WindowTable(**columns)

    @cached_property
    def folds(self) -> list[Fold]:
        """The folds, in the order of the file."""
        roles = self._file["folds/role"]
        names = self._file["folds/name"].asstr()[:]
        return [Fold(str(name), roles[i]) for i, name in enumerate(names)]

    @cached_property
    def fitted_windows(self) -> dict[str, NDArray[np.int64]]:
        """By fold, numbers of the windows that statistics were fitted on; {} without statistics."""
        fitted: dict[str, list[NDArray[np.int64]]] = {}
        for group in self._file["statistics"].values() if "statistics" in self._file else ():
            fitted.setdefault(str(group.attrs["fold"]), []).append(group["rows"][:])
        return {fold: np.concatenate(rows) for fold, rows in fitted.items()}

    def fold(self, name: str) -> Fold:
        """Give a fold by its name.

        Raises
        ------
        DatasetError
            If there is none of this name.
        """
        for fold in self.folds:
            if fold.name == str(name):
                return fold
        raise DatasetError(
            f"dataset {self.path}: it has no fold {name!r}, expected one of "
            f"{', '.join(fold.name for fold in self.folds) or 'none'}."
        )

    @cached_property
    def streams(self) -> tuple[str, ...]:
        """Names of the streams, sorted."""
        return tuple(sorted(self._file["streams"]))

    def stream(self, name: str) -> DatasetStream:
        """Give a stream by its name.

        Raises
        ------
        DatasetError
            If there is none of this name.
        """
        if name not in self.streams:
            raise DatasetError(
                f"dataset {self.path}: it has no stream {name!r}, expected one of "
                f"{', '.join(self.streams) or 'none'}."
            )
        if name not in self._streams:
            self._streams[name] = DatasetStream(self._file[f"streams/{name}"])
        return self._streams[name]

    def rows(self, fold: str | None = None, role: RoleName | Role | None = None) -> NDArray[Any]:
        """Give the numbers of the windows of a role in a fold; of all windows without a fold.

        Raises
        ------
        DatasetError
            If there is no such fold, or a role is asked for without a fold.
        ValueError
            If `role` is none.
        """
        if fold is None:
            if role is not None:
                raise DatasetError(
                    f"dataset {self.path}: the role {_role(role).name.lower()} was asked for "
                    "without a fold, expected both or neither. Name one of dataset.folds."
                )
            return np.arange(len(self.windows))
        chosen = self.fold(fold)
        if role is None:
            return np.flatnonzero(chosen.role != Role.UNUSED)
        return chosen.rows(_role(role))

    def normalisation(self, fold: str, stream: str) -> Normalisation:
        """Take mean and spread of a stream from the training windows of a fold, once."""
        key = (fold, stream)
        if key not in self._normalisations:
            train = self.windows.take(self.rows(fold, Role.TRAIN))
            parts = training_parts(self.stream(stream), train)
            self._normalisations[key] = Normalisation.fit(parts)
        return self._normalisations[key]

    def arrays(
        self,
        fold: str | None = None,
        role: RoleName | Role | None = None,
        *,
        streams: Sequence[str] | None = None,
        normalise: Literal["train"] | None = None,
    ) -> WindowArrays:
        """Copy windows into arrays of equal length.

        Parameters
        ----------
        fold, role
            Which windows: all, those of a fold that are used, or those of one role in it.
        streams
            Which streams; all by default.
        normalise
            ``"train"``: subtract the mean of the fold's training rows and divide by their standard
            deviation, whatever role is asked for. No other rows can be fitted to.

        Raises
        ------
        DatasetError
            If there is no such fold or stream, or normalising is asked for without a fold, or by
            other rows.
        """
        rows = self.rows(fold, role)
        statistics: dict[str, Normalisation] = {}
        names = tuple(self.streams if streams is None else streams)
        if normalise not in (None, "train"):
            raise DatasetError(
                f"dataset {self.path}: normalise is {normalise!r}, expected 'train' or None. "
                "There is no way to fit to other rows."
            )
        if normalise is not None:
            if fold is None:
                raise DatasetError(
                    f"dataset {self.path}: normalising was asked for without a fold, expected one, "
                    "since the statistics come from its training windows. Name one of "
                    "dataset.folds."
                )
            statistics = {name: self.normalisation(fold, name) for name in names}
        windows = self.windows.take(rows)
        return WindowArrays(
            data={
                name: windows_of_stream(
                    self.stream(name), windows, statistics.get(name), self.timebase
                )
                for name in names
            },
            label=windows.label,
            mask={name: windows.present[name] for name in names},
            rows=rows,
            classes=self.classes,
            normalisation=statistics,
        )

    def to_pandas(self, fold: str | None = None) -> Any:
        """Give the table of windows as a ``pandas.DataFrame``; needs the extra ``analysis``.

        One row a window, with its session's id and subject, and labels by name; "" where there is
        none. With a fold it has the column ``role``.
        """
        pandas = importlib.import_module("pandas")
        windows = self.windows
        names = np.array([*self.classes, ""], dtype=object)  # -1, unlabelled, is the last
        columns: dict[str, Any] = {
            "session": windows.session,
            "session_id": np.array([s.session_id for s in self.sessions], object)[windows.session],
            "subject": self.subject.astype(object),
            "start_ns": windows.start_ns,
            "stop_ns": windows.stop_ns,
            "label": names[windows.label],
            "label_fraction": windows.label_fraction,
            "previous_label": names[windows.previous_label],
            "next_label": names[windows.next_label],
        }
        for column in BY_STREAM:
            by_stream = getattr(windows, column)
            columns |= {f"{stream}_{column}": values for stream, values in by_stream.items()}
        if fold is not None:
            roles = np.array([role.name.lower() for role in Role], dtype=object)
            columns["role"] = roles[self.fold(fold).role]
        return pandas.DataFrame(columns)

    def to_xarray(
        self,
        fold: str | None = None,
        role: RoleName | Role | None = None,
        *,
        streams: Sequence[str] | None = None,
        normalise: Literal["train"] | None = None,
    ) -> Any:
        """Give what `arrays` gives as an ``xarray.Dataset``; needs the extra ``analysis``."""
        xarray = importlib.import_module("xarray")
        found = self.arrays(fold, role, streams=streams, normalise=normalise)
        names = np.array([*self.classes, ""])
        variables: dict[str, Any] = {}
        coordinates: dict[str, Any] = {
            "window": found.rows,
            "label": ("window", names[found.label]),
            "subject": ("window", self.subject[found.rows]),
            "start_ns": ("window", self.windows.start_ns[found.rows]),
        }
        for name, values in found.data.items():
            stream = self.stream(name)
            axes = ("row", "column") if stream.is_pictures else ("sample", "channel")
            units = "1" if normalise else stream.units
            dims = ("window", *(f"{name}_{axis}" for axis in axes))
            variables[name] = (dims, values, {"units": units})
            coordinates[f"{name}_present"] = ("window", found.mask[name])
        attributes = {"fold": fold or "", "role": "" if role is None else _role(role).name.lower()}
        return xarray.Dataset(variables, coordinates, attributes)


def _role(role: RoleName | Role) -> Role:
    if isinstance(role, Role):
        return role
    try:
        return Role[role.upper()]
    except KeyError:
        expected = ", ".join(known.name.lower() for known in Role)
        raise ValueError(f"role {role!r} is unknown, expected one of {expected}") from None


def _check_format(path: Path, file: h5py.File) -> None:
    try:
        found = attributes_of(file)
    except _READ_ERRORS as error:
        raise _unreadable(path, error) from error
    name, version = found.get("format"), found.get("format_version")
    if name != layout.FORMAT:
        raise DatasetError(
            f"dataset {path}: its format is {name!r}, expected {layout.FORMAT!r}. "
            "It was not made by 'wban-dataset build'; check the path."
        )
    if version != layout.FORMAT_VERSION:
        raise DatasetError(
            f"dataset {path}: its format version is {version!r}, expected "
            f"{layout.FORMAT_VERSION}. Open it with the newer wban that wrote it."
        )


def _unreadable(path: Path, error: BaseException) -> DatasetError:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return DatasetError(
        f"dataset {path}: it cannot be read ({first}), expected a dataset as it was built. "
        "Build it again, or restore it from a copy."
    )
