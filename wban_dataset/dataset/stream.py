# pyright: basic, reportIndexIssue=false, reportAttributeAccessIssue=false
# pyright: reportReturnType=false, reportArgumentType=false
# h5py's types are incomplete: whatever stands in a file is a Group | Dataset | Datatype.
"""One stream of a dataset: every sample and every distinct picture of all sessions, once."""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from wban_dataset.dataset.layout import PICTURE_KINDS, TEMPERATURE_FILL


class DatasetStream:
    """Rows of all sessions, one session behind the other.

    Attributes
    ----------
    kind
        ``accel``, ``gyro``, ``thermal`` or ``infrared``.
    units
        Of what `rows` gives, UDUNITS.
    sampling_rate_hz
        Nominal; the stamps tell the true one.
    sample_shape
        (channels,) or (height, width).
    offset
        Rows of session i are offset[i] to offset[i + 1], int64 (s + 1,).
    """

    def __init__(self, group: h5py.Group) -> None:
        self._group = group
        self.name: str = str(group.name).rpartition("/")[2]
        self.kind = str(group.attrs["kind"])
        self.units = str(group.attrs["units"])
        self.sampling_rate_hz = float(group.attrs["sampling_rate_hz"])
        self.placement = str(group.attrs["placement"])
        self._data = group["data"]
        self.sample_shape: tuple[int, ...] = tuple(self._data.shape[1:])
        self.n_rows = int(self._data.shape[0])
        self.offset: NDArray[np.int64] = group["offset"][:]

    @property
    def is_pictures(self) -> bool:
        """Whether a row is a picture."""
        return self.kind in PICTURE_KINDS

    @property
    def devices(self) -> list[str]:
        """The device of each session; "" where a session has no such stream."""
        return list(self._group["device"].asstr()[:])

    @property
    def ranges(self) -> NDArray[np.float64]:
        """Full scale of the device in `units`, by session; 0 where unknown, (s,)."""
        return self._group["range"][:]

    @property
    def scale_factors(self) -> NDArray[np.float64]:
        """Physical value of one count of the device, by session; 0 where unknown, (s,)."""
        return self._group["scale_factor"][:]

    def rows(self, start: int, stop: int) -> NDArray[Any]:
        """Give rows [start, stop) in physical units.

        Returns
        -------
        NDArray
            Motion: float32 (n, channels). Thermal: float32 (n, h, w) degC, NaN where unknown.
            Infrared: uint8 (n, h, w).
        """
        return physical(self.kind, self.stored_rows(start, stop))

    def stored_rows(self, start: int, stop: int) -> NDArray[Any]:
        """Give rows [start, stop) as they stand in the file."""
        return self._data[start:stop]

    def monotonic_ns(self, start: int, stop: int) -> NDArray[np.int64]:
        """Stamps of rows [start, stop) on each session's own clock."""
        return self._group["monotonic_ns"][start:stop]

    def segment(self, start: int, stop: int) -> NDArray[np.int32]:
        """Give the number of the stretch without a gap that each of rows [start, stop) is in."""
        return self._group["segment"][start:stop]


def physical(kind: str, stored: NDArray[Any]) -> NDArray[Any]:
    """Turn stored rows into physical units; only thermal pictures are stored otherwise."""
    if kind != "thermal":
        return stored
    celsius = stored.astype(np.float32)
    celsius /= np.float32(100.0)  # scale_factor 0.01, without its rounding
    celsius[stored == TEMPERATURE_FILL] = np.nan
    return celsius
