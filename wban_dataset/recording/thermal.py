"""MLX90640 words -> degC: pure numpy, from the EEPROM and the RAM words that were recorded.

A row of `raw` has 834 words: 768 pixels, 64 auxiliary words, control register, subpage. Pattern,
ADC resolution and subpage are taken from the row itself. How the data sheet's traps were decided:

- CILC's conversion pattern uses floor division (`thermal_subpage.pattern_correction`).
- TGC other than 0: the vendor's library is followed, not the data sheet (`_pixel_alpha`).
- The data sheet's worked example mixes two subpages; here a row uses its own words alone.
- The moving average over compensation pixel readings is the option `cp_average`, off by default.
- Negative radicands, a gain word of 0 and words 0x7FFF give NaN and no warning.
- Dropping the first two subpages after power-up or a change of rate is the driver's part.
"""

from __future__ import annotations

from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wban_dataset.recording import thermal_subpage
from wban_dataset.recording.thermal_calibration import N_COLUMNS, N_PIXELS, N_ROWS, Parameters
from wban_dataset.recording.thermal_image import complete, compose, fill_bad_pixels
from wban_dataset.recording.thermal_subpage import (
    CHESS_BIT,
    CONTROL_WORD,
    N_WORDS,
    SUBPAGE_WORD,
    Pattern,
    SubpageConverter,
)

__all__ = ["Calibration", "ambient_temperatures", "compose", "temperatures"]

DEFAULT_EMISSIVITY = 0.95
DEFAULT_REFLECTED_OFFSET_C = 8.0  # the sensor sits about 8 K above its surroundings (Melexis)


class Calibration(Parameters):
    """One MLX90640's parameters, and the conversion with them. Not for several threads at once."""

    def temperatures(
        self,
        raw: ArrayLike,
        emissivity: float = DEFAULT_EMISSIVITY,
        reflected_c: ArrayLike | None = None,
        fill: bool = True,
        *,
        reflected_offset_c: float = DEFAULT_REFLECTED_OFFSET_C,
        previous: NDArray[np.float32] | None = None,
        cp_average: int = 1,
    ) -> NDArray[np.float32]:
        """Whole images of rows in time order, degC.

        Parameters
        ----------
        raw
            (n, 834) uint16.
        reflected_c
            Temperature of what the objects reflect, scalar or (n,); None: ambient less
            `reflected_offset_c`.
        fill
            Replace bad pixels from their neighbours; otherwise they are computed like the others.
        previous
            Last image of the batch before; None at the start of a segment.
        cp_average
            See `temperatures`.

        Returns
        -------
        NDArray
            (n, 24, 32) float32. A row holds its own subpage and the other half as the rows before
            left it; NaN where that was not seen yet, and where a row is invalid.

        Raises
        ------
        ValueError
            If `raw` has another shape, or the emissivity is not in (0, 1].
        """
        words = _checked(raw)
        halves = temperatures(
            self,
            words,
            emissivity,
            reflected_offset_c,
            reflected_c=reflected_c,
            cp_average=cp_average,
        )
        for rows, pattern in _pattern_runs(words):
            images, subpages = halves[rows], words[rows, SUBPAGE_WORD]
            if fill:
                fill_bad_pixels(images, subpages, self.bad_pixels, pattern)
            complete(images, subpages, previous, pattern)
            previous = images[-1]
        return halves

    def ambient_c(self, raw: ArrayLike) -> NDArray[np.float64]:
        """Temperature of the sensor itself for each row, (n,) degC; NaN for invalid rows."""
        return ambient_temperatures(self, raw)

    def supply_v(self, raw: ArrayLike) -> NDArray[np.float64]:
        """Supply voltage for each row, (n,) V; NaN for invalid rows."""
        words = _checked(raw)
        with np.errstate(all="ignore"):
            volts = thermal_subpage.supply_v(self, words)
        return np.where(thermal_subpage.valid_rows(words), volts, np.nan)

    @cached_property
    def converters(self) -> tuple[SubpageConverter, ...]:
        """One for each pattern and subpage."""
        patterns: tuple[Pattern, ...] = ("chess", "interleaved")
        return tuple(SubpageConverter(self, p, s) for p in patterns for s in (0, 1))


def ambient_temperatures(calibration: Calibration, raw: ArrayLike) -> NDArray[np.float64]:
    """Temperature of the sensor itself for each row of `raw` (n, 834), degC; NaN if invalid."""
    words = _checked(raw)
    with np.errstate(all="ignore"):
        celsius = thermal_subpage.ambient_c(calibration, words)
    return np.where(thermal_subpage.valid_rows(words), celsius, np.nan)


def temperatures(
    calibration: Calibration,
    raw: ArrayLike,
    emissivity: float = DEFAULT_EMISSIVITY,
    reflected_offset_c: float = DEFAULT_REFLECTED_OFFSET_C,
    *,
    reflected_c: ArrayLike | None = None,
    cp_average: int = 1,
) -> NDArray[np.float32]:
    """Object temperatures of each row's own subpage, degC; NaN at the other pixels.

    Parameters
    ----------
    raw
        (n, 834) uint16, in time order.
    reflected_offset_c
        The reflected temperature is ambient less this, unless `reflected_c`, scalar or (n,), states
        it.
    cp_average
        Number of compensation pixel readings of the same subpage to average, within this call;
        Melexis advises 16 or more for sensors with TGC other than 0. 1: none, as the library does.

    Returns
    -------
    NDArray
        (n, 24, 32) float32. Bad pixels are computed like the others. Rows that the chip marked as
        invalid are NaN, and so is a pixel without a real solution.

    Raises
    ------
    ValueError
        If `raw` has another shape, or the emissivity is not in (0, 1].
    """
    if not 0 < emissivity <= 1:
        raise ValueError(f"emissivity must be above 0 and at most 1, got {emissivity}")
    words = _checked(raw)
    out = np.full((len(words), N_ROWS, N_COLUMNS), np.nan, dtype=np.float32)
    view = thermal_subpage.by_quarter(out)
    pixels = words[:, :N_PIXELS].view(np.int16).reshape(-1, N_ROWS // 2, 2, N_COLUMNS // 2, 2)
    with np.errstate(all="ignore"):
        if reflected_c is None:
            reflected = thermal_subpage.ambient_c(calibration, words) - reflected_offset_c
        else:
            reflected = np.broadcast_to(np.asarray(reflected_c, np.float64), (len(words),))
        terms = thermal_subpage.row_terms(calibration, words, emissivity, reflected, cp_average)
        kinds = 2 * ((words[:, CONTROL_WORD] & CHESS_BIT) == 0) + (words[:, SUBPAGE_WORD] & 1)
        for kind, converter in enumerate(calibration.converters):
            converter.convert(pixels, terms, np.flatnonzero(kinds == kind), view)
    return out


def _checked(raw: ArrayLike) -> NDArray[np.uint16]:
    """`raw` as contiguous native uint16 (n, 834)."""
    words = np.ascontiguousarray(raw, dtype=np.uint16)
    if words.ndim != 2 or words.shape[1] != N_WORDS:
        raise ValueError(
            f"raw thermal rows have 834 words (768 pixels, 64 auxiliary, control register, "
            f"subpage): expected shape (n, 834), got {words.shape}"
        )
    return words


def _pattern_runs(words: NDArray[np.uint16]) -> list[tuple[slice, Pattern]]:
    """Stretches of rows with one and the same pattern."""
    chess = (words[:, CONTROL_WORD] & CHESS_BIT) != 0
    changes = np.flatnonzero(chess[1:] != chess[:-1]) + 1
    bounds = [0, *changes.tolist(), len(words)]
    return [
        (slice(start, stop), "chess" if chess[start] else "interleaved")
        for start, stop in pairwise(bounds)
        if stop > start
    ]
