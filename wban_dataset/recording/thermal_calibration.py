"""MLX90640 EEPROM (832 words) -> calibration parameters.

Data sheet 3901090640, section 11.1 ("Calculations: restoring calibration data"); the addresses in
comments are word indices from 0x2400. Values are kept as the EEPROM states them: the vendor's C
library rounds alpha to 16 bit and kta, kv to 8 bit once more, to save memory; that is not copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

N_ROWS, N_COLUMNS = 24, 32
N_PIXELS = N_ROWS * N_COLUMNS
N_EEPROM_WORDS = 832

# Melexis guarantees at most this many; clones and damaged EEPROMs have more.
MOST_BAD_PIXELS_BY_SPECIFICATION = 4


@dataclass(frozen=True, eq=False)
class Parameters:
    """What one MLX90640's EEPROM says, in the data sheet's symbols.

    Arrays over pixels are (24, 32) float64. Sensitivities are counts per K^4.

    Attributes
    ----------
    device_id
        48 bit serial number, 12 hexadecimal digits.
    chess_calibrated
        The factory calibrated in chess pattern; in the other pattern the CILC terms are applied.
    k_v
        (2, 2): supply coefficient by row parity and column parity (0-based), 1/V.
    alpha_cp, offset_cp
        Compensation pixel of subpage 0 and 1.
    corner_temperatures_c
        Lower ends of the four object temperature ranges.
    cilc
        Interleaved/chess correction C1, C2, C3, counts.
    bad_pixels
        (24, 32) bool: marked as outlier, or whole word 0 ("broken"). Never a reason to refuse.
    """

    device_id: str
    k_vdd: float
    vdd_25: float
    k_v_ptat: float
    k_t_ptat: float
    v_ptat_25: float
    alpha_ptat: float
    gain: float
    tgc: float
    ks_ta: float
    resolution: int
    chess_calibrated: bool
    ks_to: tuple[float, float, float, float]
    corner_temperatures_c: tuple[float, float, float, float]
    alpha_cp: tuple[float, float]
    offset_cp: tuple[float, float]
    k_ta_cp: float
    k_v_cp: float
    cilc: tuple[float, float, float]
    alpha: NDArray[np.float64]
    offset: NDArray[np.float64]
    k_ta: NDArray[np.float64]
    k_v: NDArray[np.float64]
    bad_pixels: NDArray[np.bool_]

    @classmethod
    def from_eeprom(cls, words: ArrayLike) -> Self:
        """Restore the parameters from the words at 0x2400-0x273F, shape (832,).

        Raises
        ------
        ValueError
            If the shape is another. The content is never refused: an EEPROM of zeros gives NaN
            temperatures, more than four or adjacent bad pixels are reported in `bad_pixels`.
        """
        eeprom = np.asarray(words)
        if eeprom.shape != (N_EEPROM_WORDS,):
            raise ValueError(f"an MLX90640 EEPROM has 832 words, got shape {eeprom.shape}")
        return cls(**_extract(eeprom.astype(np.int64) & 0xFFFF))

    @cached_property
    def bad_pixel_neighbours(self) -> bool:
        """Two bad pixels touch, which the specification rules out."""
        rows, columns = np.nonzero(self.bad_pixels)
        apart = np.maximum(
            abs(rows[:, None] - rows[None, :]), abs(columns[:, None] - columns[None, :])
        )
        return bool(np.any(apart == 1))

    @cached_property
    def within_specification(self) -> bool:
        """At most four bad pixels, none touching another (data sheet, section 9)."""
        few = int(self.bad_pixels.sum()) <= MOST_BAD_PIXELS_BY_SPECIFICATION
        return few and not self.bad_pixel_neighbours


def _signed(values: Any, n_bits: int) -> Any:
    """Two's complement of the low `n_bits` of a number or an array."""
    half = 1 << (n_bits - 1)
    return ((values & (2 * half - 1)) ^ half) - half


def _nibbles(words: NDArray[np.int64]) -> NDArray[np.int64]:
    """Signed 4-bit fields of a run of words, low nibble first, (4 n,)."""
    shifted = words[:, None] >> np.array([0, 4, 8, 12])
    return np.asarray(_signed(shifted, 4), dtype=np.int64).ravel()


def _extract(ee: NDArray[np.int64]) -> dict[str, Any]:
    """All fields of `Parameters` by name."""
    ks_to, corners_c = _object_temperature_ranges(ee)
    alpha_cp, offset_cp = _compensation_pixels(ee)
    tgc = float(_signed(ee[60], 8)) / 32
    return {
        "device_id": "".join(f"{int(word):04x}" for word in ee[7:10]),
        "k_vdd": 32.0 * float(_signed(ee[51] >> 8, 8)),
        "vdd_25": float(((int(ee[51]) & 0xFF) - 256) * 32 - 8192),
        "k_v_ptat": float(_signed(ee[50] >> 10, 6)) / 4096,
        "k_t_ptat": float(_signed(ee[50], 10)) / 8,
        "v_ptat_25": float(_signed(ee[49], 16)),
        "alpha_ptat": float(ee[16] >> 12) / 4 + 8,
        "gain": float(_signed(ee[48], 16)),
        "tgc": tgc,
        "ks_ta": float(_signed(ee[60] >> 8, 8)) / 8192,
        "resolution": int(ee[56] >> 12) & 0x3,
        "chess_calibrated": not int(ee[10]) & 0x0800,
        "ks_to": ks_to,
        "corner_temperatures_c": corners_c,
        "alpha_cp": alpha_cp,
        "offset_cp": offset_cp,
        "k_ta_cp": float(_signed(ee[59], 8)) / _k_ta_scale(ee),
        "k_v_cp": float(_signed(ee[59] >> 8, 8)) / _k_v_scale(ee),
        "cilc": (
            float(_signed(ee[53], 6)) / 16,
            float(_signed(ee[53] >> 6, 5)) / 2,
            float(_signed(ee[53] >> 11, 5)) / 8,
        ),
        "alpha": _pixel_alpha(ee, tgc, alpha_cp),
        "offset": _pixel_offset(ee),
        "k_ta": _pixel_k_ta(ee),
        "k_v": _parity_k_v(ee),
        "bad_pixels": ((ee[64:] == 0) | (ee[64:] & 1 == 1)).reshape(N_ROWS, N_COLUMNS),
    }


def _k_ta_scale(ee: NDArray[np.int64]) -> float:
    return 2.0 ** ((int(ee[56]) >> 4 & 0xF) + 8)


def _k_v_scale(ee: NDArray[np.int64]) -> float:
    return 2.0 ** (int(ee[56]) >> 8 & 0xF)


def _object_temperature_ranges(
    ee: NDArray[np.int64],
) -> tuple[tuple[float, float, float, float], tuple[float, float, float, float]]:
    """KsTo of the four ranges and the temperature (degC) at which each begins."""
    scale = 2.0 ** ((int(ee[63]) & 0xF) + 8)
    first, second = int(ee[61]), int(ee[62])
    fields = (first, first >> 8, second, second >> 8)
    k1, k2, k3, k4 = (float(_signed(field, 8)) / scale for field in fields)
    step_c = 10.0 * (int(ee[63]) >> 12 & 0x3)
    ct3_c = step_c * (int(ee[63]) >> 4 & 0xF)
    ct4_c = ct3_c + step_c * (int(ee[63]) >> 8 & 0xF)
    return (k1, k2, k3, k4), (-40.0, 0.0, ct3_c, ct4_c)


def _compensation_pixels(
    ee: NDArray[np.int64],
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Sensitivity and offset of the compensation pixel, subpages 0 and 1."""
    alpha = float(_signed(ee[57], 10)) / 2.0 ** ((int(ee[32]) >> 12) + 27)
    alpha_ratio = 1 + float(_signed(ee[57] >> 10, 6)) / 128
    offset = float(_signed(ee[58], 10))
    return (alpha, alpha * alpha_ratio), (offset, offset + float(_signed(ee[58] >> 10, 6)))


def _rows_plus_columns(
    rows: NDArray[np.int64], columns: NDArray[np.int64], scale_word: int
) -> NDArray[np.int64]:
    """Row and column corrections (24,) and (32,), scaled by their nibbles, as (24, 32)."""
    row_scale, column_scale = scale_word >> 8 & 0xF, scale_word >> 4 & 0xF
    return (rows[:, None] << row_scale) + (columns[None, :] << column_scale)


def _pixel_offset(ee: NDArray[np.int64]) -> NDArray[np.float64]:
    """Offset of each pixel at 25 degC and 3.3 V, counts."""
    remainder = _signed(ee[64:] >> 10, 6).reshape(N_ROWS, N_COLUMNS) << int(ee[16] & 0xF)
    corrections = _rows_plus_columns(_nibbles(ee[18:24]), _nibbles(ee[24:32]), int(ee[16]))
    return np.asarray(int(_signed(ee[17], 16)) + corrections + remainder, dtype=np.float64)


def _pixel_alpha(
    ee: NDArray[np.int64], tgc: float, alpha_cp: tuple[float, float]
) -> NDArray[np.float64]:
    """Sensitivity of each pixel, less TGC times the compensation pixel's.

    With TGC other than 0 the data sheet subtracts the compensation pixel of the pixel's own subpage
    and the vendor's library the mean of both. The library is what every sensor is used with, and
    what others' temperatures come from: the mean.
    """
    remainder = _signed(ee[64:] >> 4, 6).reshape(N_ROWS, N_COLUMNS) << int(ee[32] & 0xF)
    corrections = _rows_plus_columns(_nibbles(ee[34:40]), _nibbles(ee[40:48]), int(ee[32]))
    scale = 2.0 ** ((int(ee[32]) >> 12) + 30)
    alpha = np.asarray(int(ee[33]) + corrections + remainder, dtype=np.float64) / scale
    return alpha - tgc * (alpha_cp[0] + alpha_cp[1]) / 2


def _pixel_k_ta(ee: NDArray[np.int64]) -> NDArray[np.float64]:
    """Ambient temperature coefficient of each pixel's offset, 1/K."""
    # Words 54 and 55 name rows and columns from 1: "odd, odd" is the first pixel.
    odd_odd, even_odd = _signed(ee[54] >> 8, 8), _signed(ee[54], 8)
    odd_even, even_even = _signed(ee[55] >> 8, 8), _signed(ee[55], 8)
    average = np.tile(np.array([[odd_odd, odd_even], [even_odd, even_even]]), (12, 16))
    remainder = _signed(ee[64:] >> 1, 3).reshape(N_ROWS, N_COLUMNS) << int(ee[56] & 0xF)
    return np.asarray(average + remainder, dtype=np.float64) / _k_ta_scale(ee)


def _parity_k_v(ee: NDArray[np.int64]) -> NDArray[np.float64]:
    """Supply coefficient by row and column parity, (2, 2), 1/V."""
    odd_odd, even_odd = _signed(ee[52] >> 12, 4), _signed(ee[52] >> 8, 4)
    odd_even, even_even = _signed(ee[52] >> 4, 4), _signed(ee[52], 4)
    by_parity = np.array([[odd_odd, odd_even], [even_odd, even_even]], dtype=np.float64)
    return by_parity / _k_v_scale(ee)
