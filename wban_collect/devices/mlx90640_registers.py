"""MLX90640 addresses and register fields (data sheet 3901090640, sections 8 and 10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Pattern = Literal["chess", "interleaved"]

RAM, N_RAM_WORDS = 0x0400, 832
EEPROM, N_EEPROM_WORDS = 0x2400, 832
EEPROM_END = EEPROM + N_EEPROM_WORDS
STATUS, CONTROL = 0x8000, 0x800D
ADDRESSES = range(0x08, 0x78)

# Status register.
SUBPAGE_MASK, NEW_DATA = 0x0007, 0x0008
# Clears "new data"; bit 4 lets the chip overwrite the RAM, bit 5 is what older data sheets want.
CLEAR_NEW_DATA = 0x0030

# Control register 1.
SUBPAGE_MODE, CHESS = 0x0001, 0x1000
RATE_SHIFT, ADC_SHIFT = 7, 10
REFRESH_RATES_HZ = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Subpages per second by the code in bits 9:7; a whole image takes two."""
ADC_BITS = (16, 17, 18, 19)

# Words of the EEPROM, counted from `EEPROM`.
DEVICE_ID_WORDS = slice(7, 10)
DEVICE_SELECT_WORD, DEVICE_SELECT_MLX90641 = 10, 0x0040
POWER_ON_CONTROL_WORD = 12

INVALID = 0x7FFF
"""Marks pixels and auxiliary words that the chip could not measure."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the chip is to measure.

    Raises
    ------
    ValueError
        If the chip has no such setting.
    """

    refresh_hz: float
    adc_bits: int
    pattern: Pattern

    def __post_init__(self) -> None:
        if self.refresh_hz not in REFRESH_RATES_HZ:
            allowed = ", ".join(f"{rate:g}" for rate in REFRESH_RATES_HZ)
            raise ValueError(f"MLX90640: refresh_hz is {self.refresh_hz:g}; allowed are {allowed}")
        if self.adc_bits not in ADC_BITS:
            raise ValueError(
                f"MLX90640: adc_bits is {self.adc_bits}; allowed are 16, 17, 18 and 19"
            )
        if self.pattern not in ("chess", "interleaved"):
            raise ValueError(
                f"MLX90640: pattern is {self.pattern!r}; allowed are 'chess' and 'interleaved'"
            )

    @property
    def control(self) -> int:
        """Word for control register 1: both subpages in turn, free running."""
        rate = REFRESH_RATES_HZ.index(self.refresh_hz) << RATE_SHIFT
        adc = ADC_BITS.index(self.adc_bits) << ADC_SHIFT
        return SUBPAGE_MODE | rate | adc | (CHESS if self.pattern == "chess" else 0)

    @property
    def period_ns(self) -> float:
        """Nominal time of one subpage."""
        return 1e9 / self.refresh_hz


def period_of_control_ns(control: int) -> float:
    """Subpage period that a control word asks for."""
    return 1e9 / REFRESH_RATES_HZ[control >> RATE_SHIFT & 0x7]


def check_writable(address: int) -> None:
    """Refuse the EEPROM: its cells bear ten writes, and a wrong one ruins the calibration.

    Raises
    ------
    ValueError
        If `address` lies in 0x2400-0x273F.
    """
    if EEPROM <= address < EEPROM_END:
        raise ValueError(
            f"MLX90640: writing to EEPROM address 0x{address:04x} was asked for, expected a "
            "register; the calibration is never written."
        )
