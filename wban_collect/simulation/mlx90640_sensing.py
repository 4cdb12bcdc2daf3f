"""What an MLX90640 measures, before any register: a scene in degC to RAM words.

The inverse of the data sheet's calculation (3901090640, section 11.2). The chip's analogue side is
taken to agree with the words that it reports: pixels are made with the gain, supply voltage and die
temperature that the auxiliary words in RAM give, so that nothing but rounding, and noise where
wanted, stands between a scene and its decoded picture.

The scene is the temperature of surfaces of the stated emissivity in surroundings of a uniform
temperature, which they reflect; with emissivity 1 it is what a black body would show.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from wban_collect.simulation.mlx90640_eeprom import N_COLUMNS, N_ROWS, SensorParameters

N_PIXELS = N_ROWS * N_COLUMNS
N_RAM_WORDS = 832
# Index in RAM (data sheet, section 10.6.3). The row from 0x0700 is measured with subpage 0, the one
# from 0x0720 with subpage 1.
VBE, CP_0, GAIN, PTAT, CP_1, VDD = 768, 776, 778, 800, 808, 810
HALVES = (slice(768, 800), slice(800, 832))
INVALID = 0x7FFF

KELVIN = 273.15
_NOMINAL_VBE = 19_500.0
# Noise-equivalent temperature difference in the middle of the field, at 0.5 Hz and 25 degC; grows
# with the root of the rate. Towards the corners it grows as the sensitivity falls.
_NETD_K = 0.1
_NETD_RATE_HZ = 0.5
_BAD_PIXEL_COUNTS = 400.0

Words = NDArray[np.uint16]
Floats = NDArray[np.float64]


@cache
def subpage_pixels(chess: bool, subpage: int) -> NDArray[np.intp]:
    """Index (384,) of the pixels of a subpage: (row xor column) & 1 in chess, otherwise row & 1."""
    row, column = np.divmod(np.arange(N_PIXELS), N_COLUMNS)
    parity = (row ^ column) & 1 if chess else row & 1
    return np.flatnonzero(parity == subpage)


class _Half(NamedTuple):
    """What belongs to the pixels of one subpage in one pattern, (384,) each."""

    pixels: NDArray[np.intp]
    alpha: Floats
    offset: Floats
    k_ta: Floats
    k_v: Floats
    extra: Floats  # counts of bad pixels, and what the pattern that was not calibrated takes away


class Mlx90640Sensing:
    """The sensing side of one sensor.

    Parameters
    ----------
    emissivity
        Of everything in the scene.
    noise
        Thermal noise of the pixels, and the last bits of the auxiliary words.
    """

    def __init__(
        self, parameters: SensorParameters, *, emissivity: float = 1.0, noise: bool = True
    ) -> None:
        if not 0 < emissivity <= 1:
            raise ValueError(f"emissivity of a scene is {emissivity}, expected above 0 and up to 1")
        self._parameters = parameters
        self._emissivity = emissivity
        self._noise = noise
        # The vendor takes the compensation pixels' mean sensitivity, whichever subpage it is.
        alpha = parameters.alpha - parameters.tgc * sum(parameters.alpha_cp) / 2
        middle = alpha.reshape(N_ROWS, N_COLUMNS)[8:16, 12:20]
        self._counts_per_k = float(np.median(middle)) * 4 * (25 + KELVIN) ** 3
        self._halves = {
            (chess, subpage): _half(parameters, alpha, chess, subpage)
            for chess in (False, True)
            for subpage in (0, 1)
        }
        ks_to, corners = parameters.ks_to, parameters.corners_c
        third = 1 + ks_to[1] * (corners[2] - corners[1])
        self._range_factors = np.array(
            [
                1 / (1 + 40 * ks_to[0]),
                1.0,
                third,
                third * (1 + ks_to[2] * (corners[3] - corners[2])),
            ]
        )

    def auxiliary(
        self, die_c: float, supply_v: float, control: int, random: np.random.Generator
    ) -> Words:
        """Measure the auxiliary words (64,), as they stand in RAM from 0x0700.

        Parameters
        ----------
        die_c, supply_v
            Temperature of the sensor itself and its supply voltage.
        control
            Control register under which it is measured: resolution and pattern.
        random
            For the last bits.
        """
        p = self._parameters
        jitter = random.normal(0, 1, 5) if self._noise else np.zeros(5)
        gain_word = round(p.gain * (1.015 - 2e-4 * (die_c - 25)) + 0.5 * jitter[0])
        gain = p.gain / gain_word
        delta_v, delta_ta = supply_v - 3.3, die_c - 25
        vdd = (delta_v * p.k_vdd + p.vdd_25) * 2.0 ** (_resolution(control) - p.resolution)
        ptat, vbe = self._ptat_and_vbe(delta_ta, delta_v)
        drift = (1 + p.k_ta_cp * delta_ta) * (1 + p.k_v_cp * delta_v)
        other_pattern = _is_chess(control) != p.chess_calibrated
        cp_1 = p.offset_cp[1] + (p.cilc[0] if other_pattern else 0.0)
        words = np.ones(64, np.int64)
        words[[2, 4, 6, 33, 35, 37]] = INVALID  # as in a real sensor; nobody uses these
        words[VBE - N_PIXELS] = round(vbe + 2 * jitter[1])
        words[PTAT - N_PIXELS] = ptat
        words[GAIN - N_PIXELS] = gain_word
        words[VDD - N_PIXELS] = round(vdd + jitter[2])
        words[CP_0 - N_PIXELS] = round(p.offset_cp[0] * drift / gain + 0.7 * jitter[3])
        words[CP_1 - N_PIXELS] = round(cp_1 * drift / gain + 0.7 * jitter[4])
        return words.astype(np.uint16)

    def _ptat_and_vbe(self, delta_ta: float, delta_v: float) -> tuple[int, float]:
        """Invert V_PTATart = PTAT / (PTAT alpha + Vbe) 2^18; Vbe takes up what PTAT rounds off."""
        p = self._parameters
        art = (p.v_ptat_25 + p.k_t_ptat * delta_ta) * (1 + p.k_v_ptat * delta_v)
        ptat = round(art * _NOMINAL_VBE / (2.0**18 - art * p.alpha_ptat))
        return ptat, ptat * (2.0**18 / art - p.alpha_ptat)

    def pixels(
        self,
        scene_c: Floats,
        ram: Words,
        *,
        subpage: int,
        control: int,
        surroundings_c: float,
        rate_hz: float,
        random: np.random.Generator,
    ) -> Words:
        """Measure the pixels (384,) of one subpage, in the order of `subpage_pixels`.

        Parameters
        ----------
        scene_c
            Object temperatures (24, 32).
        ram
            (832,) with auxiliary words that are complete.
        surroundings_c
            What the objects reflect.
        """
        p = self._parameters
        half = self._halves[_is_chess(control), subpage]
        gain, delta_v, delta_ta = self._conditions(ram, control)
        counts = self._radiation(scene_c.ravel()[half.pixels], half, delta_ta, surroundings_c)
        if self._noise:
            netd_k = _NETD_K * math.sqrt(rate_hz / _NETD_RATE_HZ)
            counts += random.standard_normal(len(counts)) * (netd_k * self._counts_per_k)
        if p.tgc:
            counts += p.tgc * self._compensation(ram, subpage, control, (gain, delta_v, delta_ta))
        counts += half.offset * (1 + half.k_ta * delta_ta) * (1 + half.k_v * delta_v)
        counts += half.extra
        # 0x7FFF marks invalid data.
        words = np.minimum(np.maximum(np.rint(counts / gain), -0x8000), 0x7FFE)
        return words.astype(np.int16).view(np.uint16)

    def _conditions(self, ram: Words, control: int) -> tuple[float, float, float]:
        """Give gain, supply voltage over 3.3 V and die temperature over 25 degC as RAM has them."""
        p = self._parameters
        vbe, gain_word, ptat, vdd = (_signed(ram[i]) for i in (VBE, GAIN, PTAT, VDD))
        correction = 2.0 ** (p.resolution - _resolution(control))
        delta_v = (correction * vdd - p.vdd_25) / p.k_vdd
        art = ptat / (ptat * p.alpha_ptat + vbe) * 2.0**18
        delta_ta = (art / (1 + p.k_v_ptat * delta_v) - p.v_ptat_25) / p.k_t_ptat
        return p.gain / gain_word, delta_v, delta_ta

    def _radiation(
        self, scene_c: Floats, half: _Half, delta_ta: float, surroundings_c: float
    ) -> Floats:
        """Give the counts from the radiation that objects, surroundings and die exchange."""
        p, emissivity = self._parameters, self._emissivity
        surroundings = (surroundings_c + KELVIN) ** 4
        die = (delta_ta + 25 + KELVIN) ** 4
        in_range = np.searchsorted(p.corners_c[1:], scene_c, side="right")
        sensitivity = self._range_factors[in_range] * (
            1 + p.ks_to[in_range] * (scene_c - p.corners_c[in_range])
        )
        sensitivity *= half.alpha * (1 + p.ks_ta * delta_ta)
        squared = (scene_c + KELVIN) ** 2  # ** 4 is much slower than two products
        objects = squared * squared
        exchanged = emissivity * objects + (1 - emissivity) * surroundings - die
        return np.asarray(sensitivity * exchanged)

    def _compensation(
        self, ram: Words, subpage: int, control: int, conditions: tuple[float, float, float]
    ) -> float:
        """Give what the compensation pixel of this subpage shows besides its offset."""
        p = self._parameters
        gain, delta_v, delta_ta = conditions
        offset = p.offset_cp[subpage]
        if subpage and _is_chess(control) != p.chess_calibrated:
            offset += p.cilc[0]
        drift = (1 + p.k_ta_cp * delta_ta) * (1 + p.k_v_cp * delta_v)
        return _signed(ram[CP_1 if subpage else CP_0]) * gain - offset * drift


def _half(parameters: SensorParameters, alpha: Floats, chess: bool, subpage: int) -> _Half:
    which = subpage_pixels(chess, subpage)
    extra = np.where(parameters.outlier[which], _BAD_PIXEL_COUNTS, 0.0)
    if chess != parameters.chess_calibrated:
        extra -= _pattern_correction(parameters)[which]
    p = parameters
    return _Half(which, alpha[which], p.offset[which], p.k_ta[which], p.k_v[which], extra)


def _is_chess(control: int) -> bool:
    return bool(control & 0x1000)


def _resolution(control: int) -> int:
    return (control >> 10) & 3


def _signed(word: np.uint16) -> float:
    value = int(word)
    return float(value - 0x10000 if value & 0x8000 else value)


def _pattern_correction(parameters: SensorParameters) -> Floats:
    """Give what a decoder adds to each pixel (768,) outside of the calibrated pattern."""
    pixel = np.arange(N_PIXELS)
    row_parity = pixel // N_COLUMNS % 2
    conversion = (pixel + 2) // 4 - (pixel + 3) // 4 + (pixel + 1) // 4 - pixel // 4
    conversion = conversion * (1 - 2 * row_parity)
    _, c2, c3 = parameters.cilc
    return np.asarray(c3 * (2 * row_parity - 1) - c2 * conversion)
