"""Raw thermal rows to what the session file keeps of them, batch after batch."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording.layout import (
    REFLECTED_OFFSET_C,
    TEMPERATURE_FILL,
    TEMPERATURE_SCALE_C,
)
from wban_dataset.recording.streams import StreamSpec
from wban_dataset.recording.thermal import DEFAULT_EMISSIVITY, Calibration, ambient_temperatures

N_EEPROM_WORDS = 832
IMAGE_SHAPE = (24, 32)
BATCH_ROWS = 128
"""Rows worth converting together: 200 kB of words, and about 5 MB on the way to temperatures."""


class ThermalRows:
    """Converts rows in the order in which they were recorded.

    The half of an image that a row did not measure is the row's before, within a segment; a segment
    begins with unknown pixels.

    Parameters
    ----------
    spec
        Of the stream; without a usable EEPROM every temperature is unknown.
    emissivity
        Where the stream does not state its own.

    Attributes
    ----------
    problem
        Why there are no temperatures; "" where there are.
    """

    def __init__(self, spec: StreamSpec, emissivity: float = DEFAULT_EMISSIVITY) -> None:
        self.emissivity = float(spec.attributes.get("emissivity", emissivity))
        self.reflected_offset_c = float(
            spec.attributes.get("reflected_offset_c", REFLECTED_OFFSET_C)
        )
        self.eeprom: NDArray[np.uint16] = eeprom_words(spec)
        self.problem = ""
        self._calibration: Calibration | None = None
        if self.eeprom.any():
            self._calibration = Calibration.from_eeprom(self.eeprom)
        else:
            self.problem = f"stream {spec.name}: no temperatures, its EEPROM was not recorded"
        self._previous: NDArray[np.float32] | None = None
        self._segment: int | None = None

    @property
    def bad_pixels(self) -> NDArray[np.uint8]:
        """Pixels that the EEPROM says are broken, (24, 32)."""
        if self._calibration is None:
            return np.zeros(IMAGE_SHAPE, dtype=np.uint8)
        return self._calibration.bad_pixels.astype(np.uint8)

    def convert(
        self, raw: NDArray[np.uint16], segment: NDArray[Any]
    ) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
        """Convert the next rows.

        Parameters
        ----------
        raw
            (n, 834) words.
        segment
            (n,) segment of each row.

        Returns
        -------
        data, ambient_c
            (n, 24, 32) hundredths of a degC, `TEMPERATURE_FILL` where unknown; (n,) degC.
        """
        calibration = self._calibration
        if calibration is None or not len(raw):
            data = np.full((len(raw), *IMAGE_SHAPE), TEMPERATURE_FILL, dtype=np.int16)
            return data, np.full(len(raw), np.nan, dtype=np.float32)
        images = np.empty((len(raw), *IMAGE_SHAPE), dtype=np.float32)
        bounds = [0, *(np.flatnonzero(np.diff(segment)) + 1).tolist(), len(raw)]
        for start, stop in itertools.pairwise(bounds):
            if int(segment[start]) != self._segment:
                self._segment, self._previous = int(segment[start]), None
            images[start:stop] = calibration.temperatures(
                raw[start:stop],
                self.emissivity,
                reflected_offset_c=self.reflected_offset_c,
                previous=self._previous,
            )
            self._previous = images[stop - 1].copy()
        ambient_c = ambient_temperatures(calibration, raw).astype(np.float32)
        return to_counts(images), ambient_c


def to_counts(images_c: NDArray[np.float32]) -> NDArray[np.int16]:
    """Hundredths of a degC; unknown temperatures become `TEMPERATURE_FILL`."""
    largest = np.iinfo(np.int16).max
    scaled = np.rint(images_c * np.float32(1 / TEMPERATURE_SCALE_C))
    known = np.clip(np.nan_to_num(scaled, nan=0.0), -largest, largest).astype(np.int16)
    return np.where(np.isnan(images_c), np.int16(TEMPERATURE_FILL), known)


def eeprom_words(spec: StreamSpec) -> NDArray[np.uint16]:
    """Words of the stream's EEPROM, (832,); zeros where it was not recorded."""
    words = spec.calibration.get("eeprom")
    if words is None or words.shape != (N_EEPROM_WORDS,):
        return np.zeros(N_EEPROM_WORDS, dtype=np.uint16)
    return words.astype(np.uint16)
