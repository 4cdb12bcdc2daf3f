"""EEPROM of an MLX90640: what its 832 words say, and words for a sensor that never was.

Written from the field table of the data sheet (3901090640, chapters 11.1 and 10), for the simulated
chip alone: the decoder that recordings are read with must not check itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

N_WORDS = 832
N_ROWS, N_COLUMNS = 24, 32
FIRST_PIXEL = 64
CONTROL_DEFAULT = 0x1901  # chess, 18 bit, 2 Hz

Words = NDArray[np.uint16]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class SensorParameters:
    """What the EEPROM says, in the data sheet's units; pixel arrays are (768,) in row order.

    `alpha` in counts per K^4. `ks_to` and `corners_c` are the four temperature ranges' slopes and
    lower ends. `outlier` marks pixels that the factory found bad.
    """

    chess_calibrated: bool
    k_vdd: float
    vdd_25: float
    k_v_ptat: float
    k_t_ptat: float
    v_ptat_25: float
    alpha_ptat: float
    gain: float
    tgc: float
    ks_ta: float
    ks_to: Floats
    corners_c: Floats
    resolution: int
    cilc: tuple[float, float, float]
    alpha_cp: tuple[float, float]
    offset_cp: tuple[float, float]
    k_ta_cp: float
    k_v_cp: float
    alpha: Floats
    offset: Floats
    k_ta: Floats
    k_v: Floats
    outlier: NDArray[np.bool_]


def signed(value: int, n_bits: int) -> int:
    """Read the low bits of a word as two's complement."""
    value &= (1 << n_bits) - 1
    return value - (1 << n_bits) if value >> (n_bits - 1) else value


def read_parameters(eeprom: Words) -> SensorParameters:
    """Work out a sensor's parameters from its EEPROM (832,)."""
    w = [int(word) for word in eeprom]
    ks_to_scale = 2.0 ** ((w[63] & 15) + 8)
    step_c = ((w[63] >> 12) & 3) * 10
    corner_3 = ((w[63] >> 4) & 15) * step_c
    corner_4 = corner_3 + ((w[63] >> 8) & 15) * step_c
    k_ta_scale = 2.0 ** (((w[56] >> 4) & 15) + 8)
    k_v_scale = 2.0 ** ((w[56] >> 8) & 15)
    alpha_cp = signed(w[57], 10) / 2.0 ** ((w[32] >> 12) + 27)
    offset_cp = float(signed(w[58], 10))
    return SensorParameters(
        chess_calibrated=not w[10] & 0x0800,
        k_vdd=signed(w[51] >> 8, 8) * 32.0,
        vdd_25=((w[51] & 255) - 256) * 32.0 - 8192.0,
        k_v_ptat=signed(w[50] >> 10, 6) / 4096.0,
        k_t_ptat=signed(w[50], 10) / 8.0,
        v_ptat_25=float(signed(w[49], 16)),
        alpha_ptat=(w[16] >> 12) / 4.0 + 8.0,
        gain=float(signed(w[48], 16)),
        tgc=signed(w[60], 8) / 32.0,
        ks_ta=signed(w[60] >> 8, 8) / 8192.0,
        ks_to=np.array([signed(w[i] >> s, 8) for i in (61, 62) for s in (0, 8)]) / ks_to_scale,
        corners_c=np.array([-40.0, 0.0, corner_3, corner_4]),
        resolution=(w[56] >> 12) & 3,
        cilc=(signed(w[53], 6) / 16.0, signed(w[53] >> 6, 5) / 2.0, signed(w[53] >> 11, 5) / 8.0),
        alpha_cp=(alpha_cp, alpha_cp * (1 + signed(w[57] >> 10, 6) / 128.0)),
        offset_cp=(offset_cp, offset_cp + signed(w[58] >> 10, 6)),
        k_ta_cp=signed(w[59], 8) / k_ta_scale,
        k_v_cp=signed(w[59] >> 8, 8) / k_v_scale,
        alpha=_pixel_sum(w, 32, 33, 4, average=w[33]) / 2.0 ** ((w[32] >> 12) + 30),
        offset=_pixel_sum(w, 16, 17, 10, average=signed(w[17], 16)),
        k_ta=_k_ta(w) / k_ta_scale,
        k_v=_by_parity([signed(w[52] >> s, 4) for s in (12, 8, 4, 0)]) / k_v_scale,
        outlier=np.array([word & 1 == 1 or word == 0 for word in w[FIRST_PIXEL:]]),
    )


def _nibbles(words: Sequence[int]) -> Floats:
    """Signed nibbles, the lowest first."""
    return np.array([signed(word >> s, 4) for word in words for s in (0, 4, 8, 12)], np.float64)


def _pixel_sum(w: Sequence[int], scales: int, first: int, shift: int, *, average: float) -> Floats:
    """Add average, row, column and remainder of a pixel's offset or sensitivity (11.1.3, 11.1.4).

    Word `scales` holds the three scales; the rows' words follow word `first`, then the columns';
    the remainder stands in the pixel's word from bit `shift`.
    """
    row_scale, column_scale, rest_scale = ((w[scales] >> s) & 15 for s in (8, 4, 0))
    rows = _nibbles(w[first + 1 : first + 7]) * 2.0**row_scale
    columns = _nibbles(w[first + 7 : first + 15]) * 2.0**column_scale
    rest = np.array([signed(word >> shift, 6) for word in w[FIRST_PIXEL:]]) * 2.0**rest_scale
    return average + (rows[:, None] + columns[None, :]).ravel() + rest


def _k_ta(w: Sequence[int]) -> Floats:
    averages = [signed(w[54] >> 8, 8), signed(w[54], 8), signed(w[55] >> 8, 8), signed(w[55], 8)]
    rest = np.array([signed(word >> 1, 3) for word in w[FIRST_PIXEL:]])
    return _by_parity(averages) + rest * 2.0 ** (w[56] & 15)


def _by_parity(values: Sequence[int]) -> Floats:
    """Spread four values over the pixels by the parity of row and column.

    Their order, counted from 1: row odd and column odd, even odd, odd even, even even.
    """
    row, column = np.divmod(np.arange(N_ROWS * N_COLUMNS), N_COLUMNS)
    return np.array(values, np.float64)[2 * (column % 2) + row % 2]


def synthesise(seed: int, *, n_bad_pixels: int | None = None, tgc_code: int = 0) -> Words:
    """Make the EEPROM of a plausible sensor.

    Spreads are those of Melexis' example and of the data sheet's worked example; the sensitivity
    falls to about 0.4 in the corners.

    Parameters
    ----------
    seed
        Another sensor for every number.
    n_bad_pixels
        Marked as outliers, never adjacent; None: 0 to 2.
    tgc_code
        Thermal gradient compensation in 1/32; 0 as in most sensors made today.

    Returns
    -------
    Words
        (832,) uint16, the words from address 0x2400.
    """
    random = np.random.default_rng(seed)
    words = np.zeros(N_WORDS, np.uint16)
    words[:16] = _identity(random)
    for index, value in _general_fields(random, tgc_code).items():
        words[index] = value & 0xFFFF
    words[18:24] = _packed(random.integers(-2, 3, N_ROWS))
    words[24:32] = _packed(random.integers(-3, 4, N_COLUMNS))
    words[34:40] = _packed(_profile(N_ROWS, high=5, low=-4))
    words[40:48] = _packed(_profile(N_COLUMNS, high=4, low=-3))
    words[FIRST_PIXEL:] = _pixel_words(random)
    if n_bad_pixels is None:
        n_bad_pixels = int(random.integers(0, 3))
    for pixel in _apart(random, n_bad_pixels):
        words[FIRST_PIXEL + pixel] |= 1
    return words


def _identity(random: np.random.Generator) -> Words:
    words = np.zeros(16, np.uint16)
    words[0] = 0x00AE
    words[7:10] = random.integers(1, 0xFFFF, 3)  # device id
    words[10] = 0x0499 & ~0x0800  # calibrated in chess
    words[12] = CONTROL_DEFAULT
    words[15] = 0xBE33  # I2C address 0x33 in the low byte
    return words


def _general_fields(random: np.random.Generator, tgc_code: int) -> dict[int, int]:
    """Words 16 to 63 without the rows' and columns'; bit fields as in the data sheet."""

    def around(middle: int, spread: int) -> int:
        return int(random.integers(middle - spread, middle + spread + 1))

    k_ta = [around(54, 3) for _ in range(4)]
    return {
        16: 4 << 12 | 2 << 8 | 1 << 4 | 0,  # alphaPTAT 9; offset scales
        17: around(-62, 12),
        32: 7 << 12 | 9 << 8 | 10 << 4 | 6,  # sensitivity in 2^-37
        33: around(12100, 600),
        48: around(5800, 400),
        49: around(12200, 60),
        50: around(9, 1) << 10 | around(341, 4),
        51: (around(-100, 3) & 0xFF) << 8 | around(120, 4),
        52: around(6, 1) << 12 | around(6, 1) << 8 | around(6, 1) << 4 | around(6, 1),
        53: (around(2, 1) & 31) << 11 | (around(3, 1) & 31) << 6 | (around(8, 3) & 63),
        54: k_ta[0] << 8 | k_ta[1],
        55: k_ta[2] << 8 | k_ta[3],
        56: 2 << 12 | 4 << 8 | 5 << 4 | 2,  # calibrated with 18 bit
        57: (around(1, 1) & 63) << 10 | around(130, 20),
        58: (around(2, 2) & 63) << 10 | (around(-68, 8) & 0x3FF),
        59: around(6, 1) << 8 | around(36, 3),
        60: (around(-20, 3) & 0xFF) << 8 | (tgc_code & 0xFF),
        61: (around(-105, 5) & 0xFF) << 8 | (around(-105, 5) & 0xFF),
        62: (around(-105, 5) & 0xFF) << 8 | (around(-105, 5) & 0xFF),
        63: 2 << 12 | 5 << 8 | 8 << 4 | 9,  # corners at 160 and 260 degC, KsTo in 2^-17
    }


def _packed(nibbles: NDArray[np.int64]) -> Words:
    quads = (nibbles & 15).reshape(-1, 4)
    return (quads << np.array([0, 4, 8, 12])).sum(axis=1).astype(np.uint16)


def _profile(n: int, *, high: int, low: int) -> NDArray[np.int64]:
    """Fall off from the middle to the edges as a lens does."""
    from_middle = np.linspace(-1.0, 1.0, n)
    return np.rint(high - (high - low) * from_middle**2).astype(np.int64)


def _pixel_words(random: np.random.Generator) -> Words:
    n = N_ROWS * N_COLUMNS
    offset = np.clip(np.rint(random.normal(0, 3.2, n)), -32, 31).astype(np.int64)
    alpha = np.clip(np.rint(random.normal(0, 5, n)), -32, 31).astype(np.int64)
    k_ta = np.clip(np.rint(random.normal(0, 0.7, n)), -4, 3).astype(np.int64)
    words = (offset & 63) << 10 | (alpha & 63) << 4 | (k_ta & 7) << 1
    # A word of 0 would mark a broken pixel; a remainder of one step does no harm.
    return np.where(words == 0, 1 << 4, words).astype(np.uint16)


def _apart(random: np.random.Generator, n: int) -> list[int]:
    """Draw pixels of which no two touch, and none at the edge."""
    chosen: list[tuple[int, int]] = []
    while len(chosen) < n:
        row, column = int(random.integers(1, 23)), int(random.integers(1, 31))
        if all(max(abs(row - r), abs(column - c)) > 2 for r, c in chosen):
            chosen.append((row, column))
    return [row * N_COLUMNS + column for row, column in chosen]
