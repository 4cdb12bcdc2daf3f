"""MLX90640 RAM words of one subpage -> object temperatures of its 384 pixels.

Data sheet 3901090640, section 11.2. For a pixel, with x = V_ir / (emissivity * alpha_comp)::

    T1 = (x / (1 - 273.15 KsTo2 + KsTo2 (x + T_ar)^(1/4)) + T_ar)^(1/4)      first estimate, K
    T  = (x / (corr_r (1 + KsTo_r (T1 - 273.15 - CT_r))) + T_ar)^(1/4)        r: range of T1

which is the vendor's form with the pixel's sensitivity divided out, so that it enters once.

Speed: only the subpage's own pixels are computed, in single precision (the words have 16 bits; the
error is below 0.001 degC, see the tests), in place, in blocks that stay in the L2 cache. What
depends on the row alone is computed in double precision before. Every step is elementwise: a row's
result does not depend on the rows that are converted with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from wban_dataset.recording.thermal_calibration import N_COLUMNS, N_PIXELS, N_ROWS, Parameters

Pattern = Literal["chess", "interleaved"]
Scalar = TypeVar("Scalar", bound=np.generic)

N_WORDS = 834  # RAM (768 pixels, 64 auxiliary words), control register 0x800D, subpage
CONTROL_WORD, SUBPAGE_WORD = 832, 833
CHESS_BIT = 0x1000
INVALID = 0x7FFF

# Index of the auxiliary words (data sheet, section 10.6).
VBE, CP_SUBPAGE_0, GAIN, PTAT, CP_SUBPAGE_1, VDD = 768, 776, 778, 800, 808, 810
USED_AUXILIARY_WORDS = (VBE, CP_SUBPAGE_0, GAIN, PTAT, CP_SUBPAGE_1, VDD)

KELVIN = 273.15
# 64 rows of 384 pixels in single precision are 96 KiB a buffer; three of them stay in 512 KiB.
BLOCK_ROWS = 64


def subpage_mask(pattern: Pattern, subpage: int) -> NDArray[np.bool_]:
    """Mark the pixels (24, 32) of a subpage: (row xor column) & 1 in chess, otherwise row & 1."""
    row, column = np.indices((N_ROWS, N_COLUMNS))
    parity = (row ^ column) & 1 if pattern == "chess" else row & 1
    return np.asarray(parity == subpage)


def quarters(pattern: Pattern, subpage: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Name the two (row parity, column parity) of a subpage, 12 x 16 pixels each."""
    if pattern == "chess":
        return (0, subpage), (1, 1 - subpage)
    return (subpage, 0), (subpage, 1)


def by_quarter(images: NDArray[Scalar]) -> NDArray[Scalar]:
    """View (..., 24, 32) as (..., 12, row parity, 16, column parity)."""
    return images.reshape(*images.shape[:-2], N_ROWS // 2, 2, N_COLUMNS // 2, 2)


def as_selection(rows: NDArray[np.intp]) -> slice | NDArray[np.intp]:
    """Row numbers as a slice where they are evenly spaced: a view instead of a copy."""
    if len(rows) == 0:
        return slice(0, 0)
    if len(rows) == 1:
        return slice(int(rows[0]), int(rows[0]) + 1)
    step = int(rows[1] - rows[0])
    if step > 0 and bool(np.all(np.diff(rows) == step)):
        return slice(int(rows[0]), int(rows[-1]) + 1, step)
    return rows


def supply_v(parameters: Parameters, raw: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Supply voltage of each row, V. Only this value depends on the ADC resolution in use."""
    in_use = (raw[:, CONTROL_WORD] >> 10) & 0x3
    correction = 2.0 ** (parameters.resolution - in_use.astype(np.float64))
    vdd = _signed_column(raw, VDD)
    return (correction * vdd - parameters.vdd_25) / parameters.k_vdd + 3.3


def ambient_c(parameters: Parameters, raw: NDArray[np.uint16]) -> NDArray[np.float64]:
    """Temperature of the sensor's die of each row, degC."""
    ptat = _signed_column(raw, PTAT)
    v_ptat_art = ptat / (ptat * parameters.alpha_ptat + _signed_column(raw, VBE)) * 2.0**18
    delta_v = supply_v(parameters, raw) - 3.3
    delta_ptat = v_ptat_art / (1 + parameters.k_v_ptat * delta_v) - parameters.v_ptat_25
    return delta_ptat / parameters.k_t_ptat + 25.0


def valid_rows(raw: NDArray[np.uint16]) -> NDArray[np.bool_]:
    """Rows without the chip's mark 0x7FFF, (n,).

    Looked for where the vendor's later library does: in the auxiliary words that the calculation
    uses, and in the first word of the pixel rows of the row's own subpage (in either pattern the
    rows whose parity is the subpage's).
    """
    auxiliary = raw[:, USED_AUXILIARY_WORDS] == INVALID
    own = (np.arange(N_ROWS) & 1) == (raw[:, SUBPAGE_WORD, None] & 1)
    row_starts = (raw[:, 0:N_PIXELS:N_COLUMNS] == INVALID) & own
    return ~(auxiliary.any(axis=1) | row_starts.any(axis=1))


def _signed_column(raw: NDArray[np.uint16], word: int) -> NDArray[np.float64]:
    return raw[:, word].astype(np.int16).astype(np.float64)


@dataclass(frozen=True, slots=True)
class RowTerms:
    """What the pixels of a row share; (n, 1) float32 each, `k_v_factors` (2, 2, n, 1).

    `scale` is 1 / (emissivity (1 + KsTa (Ta - 25))); all others but `delta_ta` and `t_ar`
    contain it. `t_ar` is the data sheet's T_a-r in K^4.
    """

    gain: NDArray[np.float32]
    delta_ta: NDArray[np.float32]
    k_v_factors: NDArray[np.float32]
    compensation: NDArray[np.float32]
    scale: NDArray[np.float32]
    t_ar: NDArray[np.float32]

    def select(self, rows: slice | NDArray[np.intp]) -> RowTerms:
        """Take some of the rows."""
        return RowTerms(
            self.gain[rows],
            self.delta_ta[rows],
            self.k_v_factors[:, :, rows],
            self.compensation[rows],
            self.scale[rows],
            self.t_ar[rows],
        )


def row_terms(
    parameters: Parameters,
    raw: NDArray[np.uint16],
    emissivity: float,
    reflected_c: NDArray[np.float64],
    cp_average: int,
) -> RowTerms:
    """Compute what the pixels of a row share; invalid rows get a gain of NaN."""
    ta = ambient_c(parameters, raw)
    delta_ta, delta_v = ta - 25.0, supply_v(parameters, raw) - 3.3
    gain_word = _signed_column(raw, GAIN)
    usable = valid_rows(raw) & (gain_word != 0)
    gain = np.where(usable, parameters.gain / gain_word, np.nan)
    scale = 1 / (emissivity * (1 + parameters.ks_ta * delta_ta))
    cp = _compensation_reading(parameters, raw, gain, delta_ta, delta_v, cp_average)
    reflected_k4 = (reflected_c + KELVIN) ** 4
    t_ar = reflected_k4 - (reflected_k4 - (ta + KELVIN) ** 4) / emissivity
    k_v_factors = (1 + parameters.k_v[:, :, None] * delta_v) * scale
    return RowTerms(
        gain=_column(gain * scale),
        delta_ta=_column(delta_ta),
        k_v_factors=k_v_factors.astype(np.float32)[..., None],
        compensation=_column(parameters.tgc * cp * scale),
        scale=_column(scale),
        t_ar=_column(t_ar),
    )


def _column(values: NDArray[np.float64]) -> NDArray[np.float32]:
    return values.astype(np.float32)[:, None]


def _compensation_reading(
    parameters: Parameters,
    raw: NDArray[np.uint16],
    gain: NDArray[np.float64],
    delta_ta: NDArray[np.float64],
    delta_v: NDArray[np.float64],
    cp_average: int,
) -> NDArray[np.float64]:
    """Compensation pixel of each row's own subpage, offset removed, counts (n,).

    As in the vendor's library C1 is added to the offset of subpage 1 when the pattern in use is not
    the one of the calibration.
    """
    odd = (raw[:, SUBPAGE_WORD] & 1).astype(bool)
    chess = (raw[:, CONTROL_WORD] & CHESS_BIT) != 0
    other_pattern = chess != parameters.chess_calibrated
    offset = np.where(
        odd,
        parameters.offset_cp[1] + np.where(other_pattern, parameters.cilc[0], 0.0),
        parameters.offset_cp[0],
    )
    reading = np.where(odd, _signed_column(raw, CP_SUBPAGE_1), _signed_column(raw, CP_SUBPAGE_0))
    drift = (1 + parameters.k_ta_cp * delta_ta) * (1 + parameters.k_v_cp * delta_v)
    cp = reading * gain - offset * drift
    for subpage in (False, True):
        rows = np.flatnonzero(odd == subpage)
        cp[rows] = _trailing_mean(cp[rows], cp_average)
    return cp


def _trailing_mean(values: NDArray[np.float64], n: int) -> NDArray[np.float64]:
    """Mean of each value and the up to n - 1 finite ones before it; NaN stays where it is."""
    if n <= 1:
        return values
    finite = np.isfinite(values)
    sums = np.concatenate([[0.0], np.cumsum(np.where(finite, values, 0.0))])
    counts = np.concatenate([[0], np.cumsum(finite)])
    stop = np.arange(1, len(values) + 1)
    start = np.maximum(stop - n, 0)
    mean = (sums[stop] - sums[start]) / np.maximum(counts[stop] - counts[start], 1)
    return np.where(finite, mean, np.nan)


class SubpageConverter:
    """The arithmetic of one subpage in one pattern, everything constant computed beforehand.

    Pixels are ordered as (quarter, 12, 16), see `quarters`; the supply coefficient is the same
    within a quarter.
    """

    def __init__(self, parameters: Parameters, pattern: Pattern, subpage: int) -> None:
        self.pattern: Pattern = pattern
        self.subpage = subpage
        self.quarters = quarters(pattern, subpage)
        with np.errstate(all="ignore"):  # an EEPROM of zeros has no sensitivity: inf, then NaN
            per_alpha = 1 / parameters.alpha
            self._per_alpha = self._ordered(per_alpha)
            self._offset = self._ordered(parameters.offset * per_alpha)
            self._offset_k_ta = self._ordered(parameters.offset * parameters.k_ta * per_alpha)
            cilc = pattern_correction(parameters) * per_alpha
        self._cilc = (
            None if (pattern == "chess") == parameters.chess_calibrated else self._ordered(cilc)
        )
        self._has_compensation = parameters.tgc != 0
        self._slopes, self._intercepts, self._corners_k = _range_lines(parameters)
        self._counts = np.empty((BLOCK_ROWS, 2, 12, 16), dtype=np.int16)
        self._buffers = np.empty((3, BLOCK_ROWS, N_PIXELS // 2), dtype=np.float32)

    def _ordered(self, pixels: NDArray[np.float64]) -> NDArray[np.float32]:
        view = by_quarter(pixels)
        ordered = np.stack([view[:, row, :, column] for row, column in self.quarters])
        return ordered.reshape(N_PIXELS // 2).astype(np.float32)

    def convert(
        self,
        pixels: NDArray[np.int16],
        terms: RowTerms,
        rows: NDArray[np.intp],
        out: NDArray[np.float32],
    ) -> None:
        """Write the temperatures (degC) of `rows` into their places in `out`.

        Parameters
        ----------
        pixels
            Pixel words of all rows by quarter, (n, 12, 2, 16, 2).
        terms
            Of all rows.
        rows
            The rows of this subpage and pattern.
        out
            (n, 12, 2, 16, 2); pixels of the other subpage stay as they are.
        """
        for begin in range(0, len(rows), BLOCK_ROWS):
            selection = as_selection(rows[begin : begin + BLOCK_ROWS])
            block = pixels[selection]
            counts = self._counts[: len(block)]
            for i, (row, column) in enumerate(self.quarters):
                counts[:, i] = block[:, :, row, :, column]
            kelvin = self._block(counts.reshape(len(block), -1), terms.select(selection))
            celsius = kelvin.reshape(len(block), 2, 12, 16)
            for i, (row, column) in enumerate(self.quarters):
                out[selection, :, row, :, column] = celsius[:, i]

    def _block(self, counts: NDArray[np.int16], terms: RowTerms) -> NDArray[np.float32]:
        """Temperatures (m, 384) degC of up to `BLOCK_ROWS` rows, in a buffer of this object."""
        x, y, z = self._buffers[:, : len(counts)]
        self._radiance(counts, terms, x, y)
        np.add(x, terms.t_ar, out=y)
        _fourth_root(y)
        np.multiply(y, self._slopes[1], out=y)
        y += self._intercepts[1]
        self._divided(x, y, terms)
        np.multiply(y, self._slopes[1], out=z)
        z += self._intercepts[1]
        # Nearly every pixel of a living scene is in range 2 (0 degC to CT3); NaN fails the test.
        if not (y.min() >= self._corners_k[0] and y.max() < self._corners_k[1]):
            self._correct_other_ranges(y, z)
        np.copyto(y, z)
        self._divided(x, y, terms)
        y -= np.float32(KELVIN)
        return y

    def _radiance(
        self,
        counts: NDArray[np.int16],
        terms: RowTerms,
        x: NDArray[np.float32],
        y: NDArray[np.float32],
    ) -> None:
        """Compute x = V_ir / (emissivity alpha_comp) in K^4; y is scratch."""
        np.copyto(x, counts)
        x *= self._per_alpha
        x *= terms.gain
        np.multiply(self._offset_k_ta, terms.delta_ta, out=y)
        y += self._offset
        half = N_PIXELS // 4
        y[:, :half] *= terms.k_v_factors[self.quarters[0]]
        y[:, half:] *= terms.k_v_factors[self.quarters[1]]
        x -= y
        if self._cilc is not None:
            np.multiply(self._cilc, terms.scale, out=y)
            x += y
        if self._has_compensation:
            np.multiply(self._per_alpha, terms.compensation, out=y)
            x -= y

    def _divided(self, x: NDArray[np.float32], y: NDArray[np.float32], terms: RowTerms) -> None:
        """Compute y = (x / y + T_ar)^(1/4) in place."""
        np.divide(x, y, out=y)
        y += terms.t_ar
        _fourth_root(y)

    def _correct_other_ranges(self, first: NDArray[np.float32], line: NDArray[np.float32]) -> None:
        """Replace range 2's divisor where the first estimate (K) lies in another range."""
        outside = np.nonzero(~((first >= self._corners_k[0]) & (first < self._corners_k[1])))
        estimate = first[outside]
        i = np.searchsorted(self._corners_k, estimate, side="right")
        line[outside] = self._slopes[i] * estimate + self._intercepts[i]


def _fourth_root(values: NDArray[np.float32]) -> None:
    """In place. Two square roots are ten times faster than a power; negative gives NaN."""
    np.sqrt(values, out=values)
    np.sqrt(values, out=values)


def pattern_correction(parameters: Parameters) -> NDArray[np.float64]:
    """CILC correction added to each pixel (24, 32) in the pattern that was not calibrated, counts.

    The conversion pattern needs floor division: with the data sheet's int() of a negative quotient
    pixel 2 gets the wrong sign.
    """
    p = np.arange(N_PIXELS)
    odd_row = p // N_COLUMNS % 2
    conversion = ((p + 2) // 4 - (p + 3) // 4 + (p + 1) // 4 - p // 4) * (1 - 2 * odd_row)
    _, c2, c3 = parameters.cilc
    return (c3 * (2 * odd_row - 1) - c2 * conversion).reshape(N_ROWS, N_COLUMNS)


def _range_lines(
    parameters: Parameters,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """corr_r (1 + KsTo_r (T - CT_r)) as slope and intercept over T in K, and the inner corners."""
    ks_to = np.array(parameters.ks_to)
    corners_c = np.array(parameters.corner_temperatures_c)
    with np.errstate(all="ignore"):
        correction = np.ones(4)
        correction[0] = 1 / (1 + 40 * ks_to[0])
        correction[2] = 1 + ks_to[1] * corners_c[2]
        correction[3] = correction[2] * (1 + ks_to[2] * (corners_c[3] - corners_c[2]))
        intercepts = correction * (1 - ks_to * (KELVIN + corners_c))
    return (
        (correction * ks_to).astype(np.float32),
        intercepts.astype(np.float32),
        (corners_c[1:] + KELVIN).astype(np.float32),
    )
