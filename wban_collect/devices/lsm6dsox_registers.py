"""LSM6DSOX and LSM6DSO: registers, rates, settings and the meaning of their bytes.

Data sheets DS12140 (LSM6DSO) and DS12814 (LSM6DSOX), whose register maps agree in all that is used
here; the exact rates are those of the application notes AN5192 and AN5272.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

FIFO_CTRL3 = 0x09
FIFO_CTRL4 = 0x0A
INT1_CTRL = 0x0D
WHO_AM_I = 0x0F
CTRL1_XL = 0x10
CTRL2_G = 0x11
CTRL3_C = 0x12
CTRL4_C = 0x13
CTRL5_C = 0x14
CTRL6_C = 0x15
CTRL7_G = 0x16
CTRL8_XL = 0x17
CTRL9_XL = 0x18
CTRL10_C = 0x19
OUTX_L_G = 0x22
OUTX_L_A = 0x28
FIFO_STATUS1 = 0x3A
INTERNAL_FREQ_FINE = 0x63
FIFO_DATA_OUT_TAG = 0x78

DEVICE_ID = 0x6C
RELATIVES = {0x69: "LSM6DS3", 0x6A: "LSM6DS3TR-C", 0x6B: "ISM330DHCX"}
"""Parts that answer at the same addresses and are read in another way."""

POWER_DOWN = 0x00
BDU = 0x40
IF_INC = 0x04
SW_RESET = 0x01
DRDY_MASK = 0x08
"""Samples taken before the filters have settled read 0x7FFD or more instead of something."""
DEN_DEFAULT = 0xE0
I3C_DISABLE = 0x02
TIMESTAMP_EN = 0x20

BATCH_EVERY_TIMESTAMP = 0x40
FIFO_BYPASS = 0x00
FIFO_CONTINUOUS = 0x06

FIFO_OVR = 0x40
FIFO_OVR_LATCHED = 0x08
DIFF_FIFO_HIGH = 0x03

WORD_BYTES = 7
"""One byte that tells the sensor, six of data."""
WORDS_PER_SLOT = 3
"""Gyroscope, accelerometer and timestamp of one instant."""
FIFO_WORDS = 512
FIFO_SLOTS = FIFO_WORDS // WORDS_PER_SLOT

GYRO_TAG, ACCEL_TAG, TIMESTAMP_TAG = 1, 2, 4

FIRST_INVALID_COUNT = 0x7FFD

TICK_NS = 25_000.0
"""Nominal step of the timestamp; the true one and all rates share one oscillator."""
FREQ_FINE_STEP = 0.0015

ACCEL_COUNTS_PER_G = {2: 16384.0, 4: 8192.0, 8: 4096.0, 16: 2048.0}
"""The range over 32768, which the data sheet prints as 0.061 to 0.488 mg."""
ACCEL_RANGE_CODES = {2: 0x00, 16: 0x04, 4: 0x08, 8: 0x0C}
GYRO_DPS_PER_COUNT = {250: 0.00875, 500: 0.0175, 1000: 0.035, 2000: 0.07}
GYRO_RANGE_CODES = {250: 0x00, 500: 0x04, 1000: 0x08, 2000: 0x0C}
LARGEST_COUNT = 32767
"""Where both clip; the gyroscope's counts reach 15 % beyond the range it is named after."""

LARGEST_WATERMARK = 31
"""Samples per read, as for the other chips; less than a fifth of the FIFO."""

CLOCK_TOLERANCE = 0.2
"""INTERNAL_FREQ_FINE can tell of 19 %, and is only read after the chip runs."""

RATE_TOLERANCE = 0.05
"""How far a rate may be from the one asked for: 100 Hz gets 104."""

RESET_NS = 1_000_000
"""The application note gives 50 us."""
GYRO_TURN_ON_NS = 70_000_000
"""From power-down to high-performance mode (data sheet, table 2)."""
N_SETTLING_SAMPLES = 3


@dataclass(frozen=True, slots=True)
class OutputRate:
    """One output data rate, the same for both sensors and for the FIFO.

    Attributes
    ----------
    name_hz
        What the data sheet calls it; the chip is faster than that (104 Hz is 104.167).
    ticks
        Steps of the timestamp from one sample to the next.
    gyro_hz
        Cut-off of the gyroscope's filter LPF2 (data sheet, table 18).
    """

    code: int
    name_hz: float
    ticks: int
    gyro_hz: float

    @property
    def hz(self) -> float:
        """Samples per second of a chip whose oscillator is right."""
        return 1e9 / (self.ticks * TICK_NS)

    @property
    def accel_hz(self) -> float:
        """Cut-off of the accelerometer's filter LPF1."""
        return self.hz / 2

    @property
    def accel_delay_ns(self) -> int:
        """How much later than the motion the accelerometer's sample is latched.

        Half a period: an average over one period has about the bandwidth that the data sheet
        tells, and this delay.
        """
        return round(0.5e9 / self.hz)

    @property
    def gyro_delay_ns(self) -> int:
        """The same of the gyroscope: a second-order low-pass of this cut-off, at low frequency."""
        return round(math.sqrt(2.0) / (2.0 * math.pi * self.gyro_hz) * 1e9)


RATES = (
    OutputRate(1, 12.5, 3072, 4.2),
    OutputRate(2, 26.0, 1536, 8.3),
    OutputRate(3, 52.0, 768, 16.6),
    OutputRate(4, 104.0, 384, 33.0),
    OutputRate(5, 208.0, 192, 66.8),
    OutputRate(6, 416.0, 96, 135.9),
    OutputRate(7, 833.0, 48, 295.5),
)
"""Those that a 400 kHz bus carries: at 833 Hz three words a sample are 40 % of it."""


def output_rate(sampling_rate_hz: float) -> OutputRate:
    """Choose the rate nearest to the one asked for.

    Raises
    ------
    ValueError
        If it is more than 5 % away.
    """
    nearest = min(RATES, key=lambda rate: abs(rate.hz - sampling_rate_hz))
    if abs(nearest.hz - sampling_rate_hz) > RATE_TOLERANCE * sampling_rate_hz:
        names = ", ".join(f"{rate.name_hz:g}" for rate in RATES[:-1])
        raise ValueError(
            f"LSM6DSOX: sampling_rate_hz is {sampling_rate_hz:g}; the nearest rate that the chip "
            f"makes is {nearest.hz:.6g}. Allowed, to 5 %: {names} and {RATES[-1].name_hz:g}."
        )
    return nearest


def settings(rate: OutputRate, accel_range_g: int, gyro_range_dps: int) -> dict[int, int]:
    """Give the registers in the order of writing; all can be read back. The FIFO starts later."""
    return {
        CTRL3_C: BDU | IF_INC,
        CTRL9_XL: DEN_DEFAULT | I3C_DISABLE,
        CTRL4_C: DRDY_MASK,
        CTRL5_C: 0,
        CTRL6_C: 0,
        CTRL7_G: 0,
        CTRL8_XL: 0,
        INT1_CTRL: 0,
        FIFO_CTRL3: rate.code << 4 | rate.code,
        FIFO_CTRL4: BATCH_EVERY_TIMESTAMP | FIFO_BYPASS,
        CTRL10_C: TIMESTAMP_EN,
        CTRL1_XL: rate.code << 4 | ACCEL_RANGE_CODES[accel_range_g],
        CTRL2_G: rate.code << 4 | GYRO_RANGE_CODES[gyro_range_dps],
    }


def freq_fine(register: int) -> int:
    """Decode INTERNAL_FREQ_FINE: how fast the oscillator runs, in steps of 0.15 %."""
    return register - 256 if register & 0x80 else register


def clock_factor(fine: int) -> float:
    """How much faster than nominal the rates and the timestamp are."""
    return 1.0 + FREQ_FINE_STEP * fine


def parse_status(raw: bytes) -> tuple[int, bool]:
    """Words in the FIFO and whether it was completely filled, from FIFO_STATUS1 and 2."""
    n_words = (raw[1] & DIFF_FIFO_HIGH) << 8 | raw[0]
    return n_words, bool(raw[1] & (FIFO_OVR | FIFO_OVR_LATCHED))
