"""One stream of a session, sealed or not."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording import layout
from wban_dataset.recording.evidence import Ints
from wban_dataset.recording.store import Store
from wban_dataset.recording.timebase import StampInputs
from wban_dataset.recording.verification import store_stamp_inputs


class Stream:
    """One stream of a session; columns are read when they are first asked for.

    Attributes
    ----------
    n
        Number of samples.
    sampling_rate_hz, effective_rate_hz
        As asked for, and as it was.
    units
        Of what `read` gives, UDUNITS.
    """

    def __init__(self, store: Store, name: str, to_utc: Callable[[Ints], Ints]) -> None:
        self.name = name
        self._store = store
        self._to_utc = to_utc
        self.attributes: Mapping[str, Any] = self._store.stream_attributes(name)
        self.units, self.scale_factor, self.add_offset = self._store.scaling(name)
        self.sample_shape = self._store.sample_shape(name)

    @property
    def kind(self) -> str:
        """``accel``, ``gyro``, ``thermal`` or ``infrared``."""
        return self.attributes["kind"]

    @property
    def device(self) -> str:
        """The device that was recorded from."""
        return self.attributes["device"]

    @property
    def placement(self) -> str:
        """Where on the body it was."""
        return self.attributes["placement"]

    @property
    def sampling_rate_hz(self) -> float:
        """The rate that was asked for."""
        return float(self.attributes["sampling_rate_hz"])

    @property
    def effective_rate_hz(self) -> float:
        """The rate that was fitted; 0 with fewer than two samples."""
        return float(self.attributes["effective_rate_hz"])

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.monotonic_ns)

    @cached_property
    def channels(self) -> tuple[str, ...]:
        """Names of the channels; () for images."""
        if self.kind not in ("accel", "gyro"):
            return ()
        return tuple(str(name) for name in self.column("channel"))

    @cached_property
    def monotonic_ns(self) -> NDArray[np.int64]:
        """Stamps, CLOCK_MONOTONIC, strictly increasing, (n,)."""
        return np.asarray(self.column("monotonic_ns"))

    @cached_property
    def time(self) -> NDArray[np.int64]:
        """Stamps in UTC, ns since 1970, (n,); after ``clock.csv`` was applied."""
        return self._to_utc(self.monotonic_ns)

    @cached_property
    def time_unc_ns(self) -> NDArray[np.int32]:
        """1-sigma uncertainty of the stamps, (n,)."""
        return np.asarray(self.column("time_unc_ns"))

    @cached_property
    def segment(self) -> NDArray[np.uint16]:
        """Number of the stretch without a gap that each sample belongs to, (n,)."""
        return np.asarray(self.column("segment"))

    def column(self, name: str) -> Any:
        """Give any other column of the group by its name, e.g. ``exposure_ns``."""
        return self._store.column(self.name, name)

    def span(self, start_ns: int | None = None, stop_ns: int | None = None) -> slice:
        """Rows with start_ns <= monotonic_ns < stop_ns."""
        stamps = self.monotonic_ns
        start = 0 if start_ns is None else int(np.searchsorted(stamps, start_ns, side="left"))
        stop = len(stamps) if stop_ns is None else int(np.searchsorted(stamps, stop_ns, "left"))
        return slice(start, max(start, stop))

    def read_counts(self, start_ns: int | None = None, stop_ns: int | None = None) -> NDArray[Any]:
        """Read a span as recorded: int16 (n, 3), uint8 (n, h, w), words uint16 (n, 834)."""
        rows = self.span(start_ns, stop_ns)
        name = "raw" if self.kind == "thermal" else "data"
        return self._store.rows(self.name, name, rows.start, rows.stop)

    def read(self, start_ns: int | None = None, stop_ns: int | None = None) -> NDArray[Any]:
        """Read a span in physical units.

        Returns
        -------
        NDArray
            Accelerometer, gyroscope: float64 (n, 3). Thermal: float32 (n, 24, 32) degC, NaN where
            unknown. Infrared: uint8 (n, h, w).
        """
        rows = self.span(start_ns, stop_ns)
        counts = self._store.rows(self.name, "data", rows.start, rows.stop)
        if self.kind == "infrared":
            return counts
        if self.kind == "thermal":
            celsius = counts * np.float32(self.scale_factor)
            celsius[counts == layout.TEMPERATURE_FILL] = np.nan
            return celsius
        return counts * self.scale_factor + self.add_offset

    def stamp_inputs(self) -> StampInputs:
        """Return what the stamps were made from."""
        return store_stamp_inputs(self._store, self.name)

    def to_xarray(self) -> Any:
        """Make an ``xarray.Dataset`` in physical units with ``time`` in UTC as its axis."""
        xarray = importlib.import_module("xarray")
        columns = layout.stream_columns(self.attributes["kind"])
        data = next(column for column in columns if column.name == "data")
        coordinates: dict[str, NDArray[Any]] = {"time": self.time.astype("datetime64[ns]")}
        coordinates |= {axis: np.asarray(self.column(axis)) for axis in data.axes[1:]}
        return xarray.Dataset(
            {
                "data": (data.axes, self.read(), {"units": self.units}),
                "monotonic_ns": ("time", self.monotonic_ns),
                "time_unc_ns": ("time", self.time_unc_ns),
                "segment": ("time", self.segment),
            },
            coordinates,
            {k: v for k, v in self.attributes.items() if isinstance(v, (str, int, float, bool))},
        )
